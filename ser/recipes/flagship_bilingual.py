"""`flagship-distilled`, trained on with English and German speech, for strangers' voices.

It starts from the trained `flagship-distilled` and goes on with CREMA-D and EmoDB at once; the loss is over the labels
that a clip's corpus has, and teachers classify the clips of CREMA-D. The finished weights are halfway between those of
the start and those at the end (Wortsman et al. 2022, arXiv:2109.01903). Dev splits choose nothing here, so they are
trained on, too.

python train.py --recipe flagship-bilingual --model_name_or_path checkpoints/teachers/flagship-distilled \\
    --corpora crema-d=DIR emodb=DIR
"""

from dataclasses import replace

from ser.recipes.flagship_distilled import RECIPE as DISTILLED

RECIPE = replace(
    DISTILLED,
    augmentation=DISTILLED.augmentation | {"label_smoothing": 0.05},
    training=DISTILLED.training
    | {"num_train_epochs": 10, "learning_rate": 5e-4, "start_share": 0.5, "load_best_model_at_end": False},
    data={"refit": True},
    variants={},
    chosen_with=(*DISTILLED.chosen_with, "nEMO", "URDU", "ASED"),
)
