"""The network of `flagship`, distilled from `cnn1d`, `cnn2d` and `flagship` itself.

The teachers' probabilities are soft, so labels are not smoothed. Training with strong augmentation is slow, so there
are more epochs than in `flagship`, with larger batches. Background noise reveals loudness (`ser noise-floor`), so each
band is clipped 25 dB below its peak, and most training clips get another noise floor (`acoustic_channel`). The length
after trimming would reveal it as well, so training clips are not trimmed; the finished model trims silence, except for
a margin.
For another split, give `--teachers` that were trained on it; `--teacher_share 0` trains without teachers. With several
corpora, the teachers classify only the clips of CREMA-D; the other clips are learned from their labels.
"""

from dataclasses import replace

from ser.files import PROJECT
from ser.recipes import FINE_TUNING
from ser.recipes.flagship import RECIPE as FLAGSHIP

CHECKPOINTS = PROJECT / "checkpoints"
NO_TEACHERS: dict = {"teachers": []}
SMOOTHED, VOICES_BEHIND = {"label_smoothing": 0.05}, {"voice_probability": 0.3}
VARIANTS: dict[str, dict[str, dict]] = {
    "labels-alone": {"training": NO_TEACHERS, "augmentation": SMOOTHED},
    "full-range": {"feature_extractor": {"band_top_db": None}},
    "own-floors": {"augmentation": {"floor_probability": 0.0}},
    "clip-normalization": {"feature_extractor": {"normalization": "clip"}},
    "other-voices": {"augmentation": {"frequency_shift": 4, "time_stretch": 0.2}},
    "no-mixup": {"augmentation": {"mixup_beta": 0.0}},
    "voices-behind": {"augmentation": VOICES_BEHIND},
    "labels-alone-voices-behind": {"training": NO_TEACHERS, "augmentation": SMOOTHED | VOICES_BEHIND},
    # From a trained model, with --model_name_or_path: dev splits of some fifty clips are too small to choose an epoch.
    FINE_TUNING: {
        "training": NO_TEACHERS
        | {
            "num_train_epochs": 40,
            "per_device_train_batch_size": 16,
            "learning_rate": 5e-4,
            "ema_decay": 0.99,
            "load_best_model_at_end": False,
        },
        "augmentation": SMOOTHED,
    },
}
RECIPE = replace(
    FLAGSHIP,
    feature_extractor=FLAGSHIP.feature_extractor | {"band_top_db": 25.0},
    inference_overrides={"trim_db": 35.0, "trim_margin": 0.2},
    augmentation=FLAGSHIP.augmentation
    | {"channel_probability": 0.25, "floor_probability": 0.7, "label_smoothing": 0.0},
    training=FLAGSHIP.training
    | {
        "num_train_epochs": 100,
        "per_device_train_batch_size": 64,
        "ema_decay": 0.995,
        "early_stopping_patience": 0,
        "teachers": [str(CHECKPOINTS / name) for name in ("cnn1d", "cnn2d", "teachers/flagship")],
        "teacher_share": 0.7,
    },
    variants=VARIANTS,
    # Earlier models predicted anger too often on EmoDB, and were worse in a telephone band and between silences.
    chosen_with=("EmoDB", "telephone band", "silent margins", "margins of room noise"),
)
