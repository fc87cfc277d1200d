"""Class project C: three plain 1D convolutions on the zero-crossing rate, flattened. Printed: 0.41."""

from ser.models.configuration_ser import CNN1DConfig
from ser.recipes import Recipe
from ser.recipes import Source

SOURCE = Source(
    project="C",
    accuracy=0.41,
    chosen_here=("Adam 1e-4, batch 32, 20 epochs, early stopping", "clips padded to 5.005 s, the longest"),
    deviations=(
        "hop 160, not 128",
        "no augmentation, where the source has five changes",
        "the rate falls linearly to 0",
        "early stopping and the choice of the epoch watch UAR on dev, not the loss",
    ),
)
RECIPE = Recipe(
    config_class=CNN1DConfig,
    model={
        "channels": [512, 512, 128],
        "kernel_sizes": 5,
        "pool_sizes": 5,
        "pool_strides": 2,
        "batch_norm": False,
        "pooling": "flatten",
        "input_length": 501,
        "hidden_sizes": [256],
        "dropout": 0.0,
    },
    feature_extractor={
        "sampling_rate": 16000,
        "n_fft": 512,
        "hop_length": 160,
        "features": ["zero_crossing_rate"],
        "max_duration": 5.005,
        "pad_to_max_duration": True,
        "join": True,
        "normalization": "corpus",
    },
    training={
        "num_train_epochs": 20,
        "per_device_train_batch_size": 32,
        "learning_rate": 1e-4,
        "weight_decay": 0.0,
        "early_stopping_patience": 5,
    },
    source=SOURCE,
)
