"""`flagship-compact`, trained on with English and German speech, for strangers' voices.

It starts from the trained `flagship-compact` and goes on with CREMA-D and EmoDB at once; the loss is over the labels
that a clip's corpus has, and teachers classify the clips of CREMA-D. The finished weights are halfway between those of
the start and those at the end (Wortsman et al. 2022, arXiv:2109.01903). From here on, steady noise is subtracted from
each image, in training after simulated noise was added.

python train.py --recipe flagship-bilingual --model_name_or_path checkpoints/teachers/flagship-compact \\
    --feature_extractor '{"subtract_noise": true}' --corpora crema-d=DIR emodb=DIR
"""

from dataclasses import replace

from ser.recipes.flagship_compact import RECIPE as COMPACT

NOISES = tuple(f"{colour} noise, {snr} dB" for colour in ("white", "pink") for snr in (20, 10, 5))
RECIPE = replace(
    COMPACT,
    augmentation=COMPACT.augmentation | {"label_smoothing": 0.05},
    training=COMPACT.training | {"num_train_epochs": 10, "learning_rate": 5e-4, "start_share": 0.5},
    chosen_with=(*COMPACT.chosen_with, *NOISES),  # on speech of nEMO, URDU and ASED
)
