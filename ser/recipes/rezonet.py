"""Class project C: rectangular kernels over frequency on a 40-band mel image.

After Deep-Net (Sensors 2020, 20(18), 5212). Kernels are height by width of an image whose height is frequency.
The text says 10 x 1 where the figure says 13 x 1 for the third block: the text is followed.
Its step decay at epoch 50 would come after the last of the 50 epochs trained here.
"""

from ser.models.configuration_ser import CNN2DConfig
from ser.recipes import Recipe

RECIPE = Recipe(
    config_class=CNN2DConfig,
    model={
        "channels": [10, 10, 10, 40, 40, 80, 80, 80],
        "kernel_sizes": [[1, 9], [1, 2], [1, 3], [1, 3], [1, 3], [1, 10], 1, 1],  # [time, frequency]
        "pool_sizes": [1, 1, [1, 3], 1, [1, 2], 1, [1, 2], 1],
        "batch_norm": False,
        "pooling": "flatten",
        "input_length": 501,
        "hidden_sizes": [80, 30],
        "dropout": 0.0,
    },
    feature_extractor={
        "sampling_rate": 16000,
        "n_fft": 512,
        "hop_length": 160,
        "n_mels": 40,
        "features": ["log_mel"],
        "max_duration": 5.005,
        "pad_to_max_duration": True,
        "normalization": "corpus",
    },
    augmentation={"waveform_probability": 0.5},
    training={
        "num_train_epochs": 50,
        "per_device_train_batch_size": 16,
        "learning_rate": 1e-5,
        "weight_decay": 0.01,
        "lr_scheduler_type": "constant",
        "early_stopping_patience": 10,
        "dataloader_num_workers": 2,
    },
    printed_accuracy=0.50,
)
