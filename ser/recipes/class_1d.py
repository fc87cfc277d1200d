"""Class project B, 1D: seven frame features summed up over the clip to one vector, which 1D convolutions read.

The source does not name the statistics: mean, standard deviation, minimum and maximum are chosen, 28 numbers a clip.
"""

from ser.models.configuration_ser import CNN1DConfig
from ser.recipes import Recipe

RECIPE = Recipe(
    config_class=CNN1DConfig,
    model={"channels": [64, 128, 256], "hidden_sizes": [128], "dropout": 0.2},
    feature_extractor={
        "sampling_rate": 22050,
        "n_fft": 2048,
        "hop_length": 512,
        "features": [
            "zero_crossing_rate",
            "rms",
            "frame_mean",
            "frame_std",
            "spectral_centroid",
            "spectral_bandwidth",
            "spectral_rolloff",
        ],
        "statistics": ["mean", "std", "min", "max"],
        "join": True,
        "normalization": "corpus",
    },
    training={
        "num_train_epochs": 50,
        "per_device_train_batch_size": 64,
        "learning_rate": 1e-4,
        "weight_decay": 0.01,
        "lr_scheduler_type": "reduce_lr_on_plateau",
        "lr_scheduler_kwargs": {"factor": 0.5, "patience": 3},
        "early_stopping_patience": 8,
    },
    printed_accuracy=0.579,
)
