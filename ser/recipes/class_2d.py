"""Class project B, 2D: conv blocks with growing filters on a mel image resized to one size.

The source gives 128 mel bands, dropout 0.2 and fully connected layers, but neither numbers of filters nor image size:
32-64-128-256 filters and 128 x 128 are chosen. Dropout stands before the output layer only: after each block, before
the next batch norm, it shifts that norm's variance (Li et al. 2019, arXiv:1801.05134), which cost a third of the
accuracy on the dev split.
"""

from ser.models.configuration_ser import CNN2DConfig
from ser.recipes import Recipe

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
    printed_accuracy=0.608,
)
