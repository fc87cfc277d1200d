"""Class project C: five 1D convolutions on zero-crossing rate, energy and a 40-band mel spectrogram, all end to end.

The source gives the first layer's 512 channels only: 512-512-256-256-128 are chosen.
Some 21,000 steps cost ten and more GMACs a clip. `python train.py --recipe exponet --data_dir DIR` is the full run,
for a GPU; without one, `ser reproduce` trains on a fifth of the clips and for fewer epochs, and the table says so.
"""

from ser.models.configuration_ser import CNN1DConfig
from ser.recipes import Recipe

RECIPE = Recipe(
    config_class=CNN1DConfig,
    model={
        "channels": [512, 512, 256, 256, 128],
        "kernel_sizes": 5,
        "pool_sizes": 5,
        "pool_strides": 2,
        "pooling": "flatten",
        "input_length": 21042,
        "hidden_sizes": [512],
        "hidden_batch_norm": True,
        "dropout": 0.0,
    },
    feature_extractor={
        "sampling_rate": 16000,
        "n_fft": 512,
        "hop_length": 160,
        "n_mels": 40,
        "features": ["zero_crossing_rate", "energy", "log_mel"],
        "max_duration": 5.005,
        "pad_to_max_duration": True,
        "join": True,
        "normalization": "corpus",
    },
    augmentation={"waveform_probability": 0.5},
    training={
        "num_train_epochs": 10,
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 8,
        "learning_rate": 1e-5,
        "weight_decay": 1e-3,
        "dataloader_num_workers": 2,
    },
    budget_without_gpu={"share_of_clips": 0.2, "num_train_epochs": 3},
    printed_accuracy=0.58,
)
