"""1D CNN on seven hand-made frame features of loudness, noisiness and brightness, without a spectrogram."""

from ser.models.configuration_ser import CNN1DConfig
from ser.recipes import Recipe

RECIPE = Recipe(
    config_class=CNN1DConfig,
    model={"channels": [64, 128, 256, 512], "pooling": "attentive_statistics", "dropout": 0.3},
    feature_extractor={
        "sampling_rate": 16000,
        "n_fft": 1024,
        "hop_length": 256,
        "features": [
            "zero_crossing_rate",
            "rms",
            "frame_mean",
            "frame_std",
            "spectral_centroid",
            "spectral_bandwidth",
            "spectral_rolloff",
        ],
        "normalization": "corpus",
    },
    augmentation={
        "time_stretch": 0.1,
        "time_masks": 2,
        "time_mask_frames": 24,
        "mixup_beta": 0.3,
        "label_smoothing": 0.05,
    },
    training={
        "num_train_epochs": 40,
        "per_device_train_batch_size": 32,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
        "ema_decay": 0.995,
    },
)
