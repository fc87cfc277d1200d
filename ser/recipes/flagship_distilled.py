"""The network of `flagship`, taught by the three bundled models: what a 1D and two 2D networks hear, in one of them.

The teachers' answers are soft already, so labels are not smoothed. There are more epochs, since `flagship` still got
better in its last ones, and another noise floor below most clips, since the corpus's own betrays how loud an actor was
(see `ser.channel`). For another split, give `--teachers` that were trained on it.
"""

from dataclasses import replace

from ser.recipes.flagship import RECIPE as FLAGSHIP

RECIPE = replace(
    FLAGSHIP,
    augmentation=FLAGSHIP.augmentation
    | {"channel_probability": 0.25, "floor_probability": 0.7, "label_smoothing": 0.0},
    training=FLAGSHIP.training
    | {
        "num_train_epochs": 70,
        "early_stopping_patience": 0,
        "teachers": ["checkpoints/cnn1d", "checkpoints/cnn2d", "checkpoints/flagship"],
        "teacher_share": 0.7,
    },
    variants={},
)
