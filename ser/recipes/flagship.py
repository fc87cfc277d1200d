"""A deeper residual 2D CNN, trained with simulated rooms, microphones and telephone lines.

Levels are relative to the clip's loudest moment, so that microphone gain does not matter, and each training clip gets a
different room, noise and line in each epoch (`acoustic_channel`). Crops are shorter than those of `cnn2d`, and there
are fewer epochs; features and other augmentation are the same.
"""

from ser.models.configuration_ser import CNN2DConfig
from ser.recipes import Recipe

# One change at a time, to train with --variant.
VARIANTS: dict[str, dict[str, dict]] = {
    "absolute-level": {"feature_extractor": {"db_reference": "one"}, "augmentation": {"gain_db": 6.0}},
    "one-recording": {"augmentation": {"channel_probability": 0.0, "equalizer_db": 0.0}},
    "more-noise": {"augmentation": {"channel_probability": 0.4}},
    "no-mixup": {"augmentation": {"mixup_beta": 0.0}},
    "votes": {"augmentation": {"vote_share": 0.2}},
    "network-of-cnn2d": {"model": {"channels": [24, 32, 64, 128, 256], "pool_sizes": [1, 2, 2, 2, [1, 2]]}},
    "longer-crops": {"augmentation": {"crop_duration": 3.072}},
    "finer-bands": {"feature_extractor": {"n_mels": 128, "n_fft": 2048}},
    # For a few hundred clips, as in EmoDB: as many steps need more epochs, and one dev speaker cannot choose an epoch.
    "small-corpus": {
        "training": {
            "num_train_epochs": 150,
            "early_stopping_patience": 0,
            "load_best_model_at_end": False,
            "ema_decay": 0.99,
        }
    },
}
RECIPE = Recipe(
    config_class=CNN2DConfig,
    model={
        "channels": [32, 32, 64, 64, 128, 128, 256],
        "block": "residual",
        "pool_sizes": [2, 2, 1, 2, 1, [1, 2], [1, 2]],
        "squeeze_excitation": 8,
        "pooling": "attentive_statistics",
        "hidden_sizes": [],
        "dropout": 0.2,
    },
    feature_extractor={
        "sampling_rate": 16000,
        "n_fft": 1024,
        "hop_length": 256,
        "n_mels": 80,
        "features": ["log_mel"],
        "db_reference": "max",
        "normalization": "corpus",
    },
    augmentation={
        "crop_duration": 2.048,
        "channel_probability": 0.2,
        "equalizer_db": 6.0,
        "frequency_shift": 2,
        "time_stretch": 0.1,
        "time_masks": 2,
        "time_mask_frames": 24,
        "frequency_masks": 2,
        "frequency_mask_bands": 10,
        "mixup_beta": 0.3,
        "label_smoothing": 0.05,
    },
    training={
        "num_train_epochs": 40,
        "per_device_train_batch_size": 16,
        "learning_rate": 1.5e-3,
        "weight_decay": 0.01,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
        "ema_decay": 0.998,
    },
    variants=VARIANTS,
)
