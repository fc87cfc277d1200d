"""Class project A, 1D: four plain blocks on zero-crossing rate and energy, laid end to end as one sequence.

The source pads each of the two to 400 frames; 157 hold the longest clip. It augments each clip once before training;
here noise, shift, pitch, tempo and volume change on the fly. Optimiser, batch and epochs are not given.
"""

from ser.models.configuration_ser import CNN1DConfig
from ser.recipes import Recipe

RECIPE = Recipe(
    config_class=CNN1DConfig,  # its defaults are this network: 587,526 parameters with running statistics
    feature_extractor={
        "sampling_rate": 16000,
        "n_fft": 2048,
        "hop_length": 512,
        "features": ["zero_crossing_rate", "energy"],
        "trim_db": 60.0,
        "max_duration": 5.008,
        "pad_to_max_duration": True,
        "join": True,
        "normalization": "corpus",
    },
    augmentation={"waveform_probability": 0.5},
    training={
        "num_train_epochs": 40,
        "per_device_train_batch_size": 32,
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "lr_scheduler_type": "reduce_lr_on_plateau",
        "lr_scheduler_kwargs": {"factor": 0.5, "patience": 3},
        "early_stopping_patience": 10,
        "dataloader_num_workers": 2,
    },
    printed_accuracy=0.5605,
    printed_confusion=("happy", "anger"),
)
