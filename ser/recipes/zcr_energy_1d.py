"""Class project A, 1D: four plain blocks on zero-crossing rate and energy, laid end to end. Printed: 0.5605."""

from ser.models.configuration_ser import CNN1DConfig
from ser.recipes import Recipe
from ser.recipes import Source

RECIPE = Recipe(
    config_class=CNN1DConfig,  # its defaults are this network: 587,526 parameters with running statistics
    model={"batch_norm_after": "relu", "batch_norm_epsilon": 1e-3, "initialization": "glorot"},
    feature_extractor={
        "sampling_rate": 16000,
        "n_fft": 2048,
        "hop_length": 512,
        "features": ["zero_crossing_rate", "mean_energy"],
        "trim_db": 60.0,
        "max_duration": 5.008,
        "pad_to_max_duration": True,
        "join": True,
        "normalization": "corpus",
    },
    augmentation={"changed_copies": True},
    training={
        "num_train_epochs": 40,
        "per_device_train_batch_size": 32,
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "max_grad_norm": 0.0,
        "lr_scheduler_type": "reduce_lr_on_plateau",
        "lr_scheduler_kwargs": {"factor": 0.5, "patience": 2},
        "metric_for_best_model": "loss",
        "early_stopping_patience": 6,
        "ema_decay": 0.99,
    },
    source=Source(
        project="A",
        accuracy=0.5605,
        f1=0.5575,
        confused=("happy", "anger"),
        explained="it overfits: after the epoch that is kept, accuracy still rises on the training batches and falls "
        "on dev (`history` in the reports). Even with copies of test clips in the training split (`leaky`) it scores "
        "less than printed, so what took the source further is not known",
        chosen_here=(
            "Adam 1e-3, batch 32, 40 epochs; plateau, early stopping and the choice of the epoch watch the loss on dev",
            "kernels of 3",
        ),
        deviations=(
            "weights and batch-norm statistics are averaged (decay 0.99 a step), with PyTorch's momentum: with that of "
            "Keras, statistics lag behind the weights, and the loss on dev jumped from epoch to epoch",
            "157 frames, which hold the longest clip, where the source pads to 400",
            "clips are padded before they are cut into frames, so that the last frames of a clip end in silence",
        ),
    ),
)
