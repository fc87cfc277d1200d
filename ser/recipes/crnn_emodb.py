"""Class project D: four 2D convolutions and a bidirectional LSTM on EmoDB.

44.1 kHz (the corpus has 16 kHz, so the upper bands stay empty), silence trimmed, Wiener filter, 3 s, 128 x 259 log-mel.
The source shows its scores in plots only, and counts eight emotions where EmoDB has seven.
"""

from ser.models.configuration_ser import CRNNConfig
from ser.recipes import Recipe

RECIPE = Recipe(
    config_class=CRNNConfig,
    model={"channels": [64, 64, 128, 128], "lstm_size": 128, "hidden_sizes": [], "dropout": 0.2},
    feature_extractor={
        "sampling_rate": 44100,
        "n_fft": 2048,
        "hop_length": 512,
        "n_mels": 128,
        "features": ["log_mel"],
        "trim_db": 30.0,
        "wiener": True,
        "max_duration": 3.0,
        "pad_to_max_duration": True,
        "normalization": "corpus",
    },
    training={
        "num_train_epochs": 10,
        "per_device_train_batch_size": 16,
        "learning_rate": 1e-4,
        "weight_decay": 0.0,
    },
    data={"corpus": "emodb", "protocol": "loso"},
)
