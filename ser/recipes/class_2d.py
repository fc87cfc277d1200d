"""Class project B, 2D: blocks with growing filters on a mel image of one size, flattened. Printed: 0.608."""

from ser.models.configuration_ser import CNN2DConfig
from ser.recipes import Recipe
from ser.recipes import Source

RECIPE = Recipe(
    config_class=CNN2DConfig,
    model={
        "channels": [16, 32, 64, 128],
        "image_size": [128, 128],
        "pooling": "flatten",
        "hidden_sizes": [128],
        "dropout": 0.2,
    },
    feature_extractor={
        "sampling_rate": 22050,
        "n_fft": 2048,
        "hop_length": 512,
        "n_mels": 128,
        "features": ["log_mel"],
        "normalization": "corpus",
    },
    training={
        "num_train_epochs": 35,
        "per_device_train_batch_size": 64,
        "learning_rate": 1e-4,
        "weight_decay": 0.01,
        "max_grad_norm": 0.0,
        "lr_scheduler_type": "reduce_lr_on_plateau",
        "lr_scheduler_kwargs": {"factor": 0.5, "patience": 3},
        "metric_for_best_model": "loss",
        "early_stopping_patience": 8,
        "ema_decay": 0.99,
    },
    source=Source(
        project="B",
        accuracy=0.608,
        f1=0.610,
        train_accuracy=0.884,
        val_accuracy=0.563,
        chosen_here=(
            "kernels of 3, batch norm, pools of 2, filters 16-32-64-128",
            "images of 128 x 128",
            "a dense layer of 128",
            "dropout before the output layer only: after each block, before the next batch norm, it shifts that norm's "
            "variance (Li et al. 2019, arXiv:1801.05134), which cost this network with global pooling a third of its "
            "accuracy on dev",
            "decoupled weight decay 0.01; plateau, early stopping and the choice of the epoch watch the loss on dev",
            "weights averaged (decay 0.99 a step), as in `class-1d`",
        ),
    ),
)
