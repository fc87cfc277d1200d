"""Class project B, 2D: conv blocks with growing filters on a mel image resized to one size. Printed: 0.608."""

from ser.models.configuration_ser import CNN2DConfig
from ser.recipes import Recipe
from ser.recipes import Source

RECIPE = Recipe(
    config_class=CNN2DConfig,
    model={
        "channels": [32, 64, 128, 256],
        "image_size": [128, 128],
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
        "lr_scheduler_type": "reduce_lr_on_plateau",
        "lr_scheduler_kwargs": {"factor": 0.5, "patience": 3},
        "early_stopping_patience": 8,
    },
    source=Source(
        project="B",
        accuracy=0.608,
        f1=0.610,
        train_accuracy=0.884,
        val_accuracy=0.563,
        chosen_here=(
            "filters 32-64-128-256",
            "images of 128 x 128",
            "a dense layer of 128",
            "dropout before the output layer only: after each block, before the next batch norm, it shifts that norm's "
            "variance (Li et al. 2019, arXiv:1801.05134), which cost a third of the accuracy on dev",
            "decoupled weight decay 0.01, gradients clipped at 1",
        ),
        deviations=(
            "global pooling where the source flattens into dense layers",
            "plateau, early stopping and the choice of the epoch watch UAR on dev, not the loss",
        ),
    ),
)
