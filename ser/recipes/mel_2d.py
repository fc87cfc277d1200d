"""Class project A, 2D: four plain blocks on a trimmed 128-band mel image in dB relative to the clip's maximum.

The source pads images to 400 frames before global average pooling; here padding is masked, so that only the clip's own
frames count, and the longest clip has 157. Optimiser, batch and epochs are not given: Adam 1e-3 with early stopping.
Batch norms see clips of one length at a time here, and their running statistics remember too few batches for that: dev
scores jumped from epoch to epoch. So statistics, and weights with them, are averaged over some hundred batches.
What it prints is what comes out where the list of clips is doubled for augmented copies, only the input of the 1D
network is augmented, and rows are split after that: most test clips are training clips, too (`--protocol leaky`).
"""

from ser.models.configuration_ser import CNN2DConfig
from ser.recipes import Recipe

RECIPE = Recipe(
    config_class=CNN2DConfig,  # its defaults are this network: 1,620,102 parameters with running statistics
    feature_extractor={
        "sampling_rate": 16000,
        "n_fft": 2048,
        "hop_length": 512,
        "n_mels": 128,
        "features": ["log_mel"],
        "db_reference": "max",
        "trim_db": 60.0,
        "normalization": "corpus",
    },
    training={
        "num_train_epochs": 30,
        "per_device_train_batch_size": 32,
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "lr_scheduler_type": "reduce_lr_on_plateau",
        "lr_scheduler_kwargs": {"factor": 0.5, "patience": 3},
        "early_stopping_patience": 8,
        "ema_decay": 0.99,
        "train_sampling_strategy": "group_by_length",  # a batch of clips of one length computes on no padding
    },
    printed_accuracy=0.8766,
    printed_confusion=("fear", "sad"),
)
