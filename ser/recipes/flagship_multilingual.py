"""As `flagship-bilingual`, with Polish, Urdu, Hindi and Indian English speech beside.

nEMO and EmoSpeech are licensed CC BY-NC-SA 4.0 and URDU is for research only, and so is the model.

python train.py --recipe flagship-multilingual --model_name_or_path checkpoints/teachers/flagship-compact \\
    --feature_extractor '{"subtract_noise": true}' --corpora crema-d=DIR emodb=DIR nemo=DIR urdu=DIR emospeech=DIR
"""

from ser.recipes.flagship_bilingual import RECIPE

__all__ = ["RECIPE"]
