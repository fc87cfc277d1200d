"""Class project C: rectangular kernels over frequency on a 40-band mel image. Printed: 0.50.

After Deep-Net (Sensors 2020, 20(18), 5212). Kernels are height by width of an image whose height is frequency.
"""

from ser.models.configuration_ser import CNN2DConfig
from ser.recipes import Recipe
from ser.recipes import Source

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
    source=Source(
        project="C",
        accuracy=0.50,
        chosen_here=(
            "10 x 1 for the third block, as the text has it, where its figure has 13 x 1",
            "gradients clipped at 1, decoupled weight decay",
            "each of noise, shift, pitch, tempo and volume at a probability of 0.5, anew in each epoch",
        ),
        deviations=(
            "no batch norm, where Deep-Net has one after each pool",
            "hop 160, not 128",
            "constant rate, since a step decay at epoch 50 would come after the last epoch",
            "early stopping and the choice of the epoch watch UAR on dev, not the loss",
        ),
    ),
)
