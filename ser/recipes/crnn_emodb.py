"""Class project D: four 2D convolutions and a bidirectional LSTM on EmoDB. Printed: scores in plots only."""

from ser.models.configuration_ser import CRNNConfig
from ser.recipes import Recipe
from ser.recipes import Source

RECIPE = Recipe(
    config_class=CRNNConfig,
    model={"channels": [64, 64, 128, 128], "lstm_size": 128, "hidden_sizes": [], "dropout": 0.0},
    feature_extractor={
        "sampling_rate": 44100,
        "n_fft": 2048,
        "hop_length": 512,
        "n_mels": 128,
        "features": ["log_mel"],
        "db_reference": "max",
        "trim_db": 60.0,
        "wiener": True,
        "max_duration": 3.0,
        "pad_to_max_duration": True,
    },
    training={
        "num_train_epochs": 10,
        "per_device_train_batch_size": 16,
        "learning_rate": 1e-4,
        "weight_decay": 0.0,
        "max_grad_norm": 0.0,
        "lr_scheduler_type": "constant",
        "metric_for_best_model": "loss",
    },
    data={"corpus": "emodb", "protocol": "loso"},
    source=Source(
        project="D",
        protocol="random",
        chosen_here=(
            "dB relative to the clip's maximum, no other normalization",
            "the epoch with the lowest loss on dev",
        ),
        deviations=("seven emotions, which EmoDB has, where the source counts eight",),
    ),
)
