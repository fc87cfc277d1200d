"""Class project C: five 1D convolutions on zero-crossing rate, energy and a mel spectrogram, end to end. Printed: 0.58.

The full run, `python train.py --recipe exponet --data_dir DIR`, takes some 21,000 steps at over ten GMACs a clip and
needs a GPU; without one, `ser reproduce` trains on a fifth of the clips for fewer epochs, and the table says so.
"""

from ser.models.configuration_ser import CNN1DConfig
from ser.recipes import Recipe
from ser.recipes import Source

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
        "max_grad_norm": 1.0,
        "lr_scheduler_type": "linear",
        "metric_for_best_model": "uar",
        "dataloader_num_workers": 2,
    },
    budget_without_gpu={"share_of_clips": 0.2, "num_train_epochs": 3},
    source=Source(
        project="C",
        accuracy=0.58,
        chosen_here=(
            "512-512-256-256-128 channels, of which only the first number is given",
            "gradients clipped at 1, decoupled weight decay",
            "each of noise, shift, pitch, tempo and volume at a probability of 0.5, anew in each epoch",
        ),
        deviations=(
            "hop 160, not 128",
            "the rate falls linearly to 0",
            "the choice of the epoch watches UAR on dev, not the loss",
            "without a GPU: a fifth of the clips and 3 of 10 epochs",
        ),
    ),
)
