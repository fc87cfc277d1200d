"""Residual 2D CNN on the log-mel image, with squeeze-excitation and attentive statistics pooling."""

from ser.models.configuration_ser import CNN2DConfig
from ser.recipes import Recipe

RECIPE = Recipe(
    config_class=CNN2DConfig,
    model={
        "channels": [24, 32, 64, 128, 256],
        "block": "residual",
        "pool_sizes": [1, 2, 2, 2, [1, 2]],
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
        "normalization": "corpus",
    },
    augmentation={
        "crop_duration": 3.072,
        "gain_db": 6.0,
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
        "num_train_epochs": 50,
        "per_device_train_batch_size": 16,
        "learning_rate": 1.5e-3,
        "weight_decay": 0.01,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
        "ema_decay": 0.998,
    },
)
