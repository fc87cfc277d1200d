"""As `flagship-bilingual`, with Polish and Urdu speech beside, from `flagship-distilled`, which has one block more.

Noise is not subtracted. nEMO is licensed CC BY-NC-SA 4.0 and URDU is for research only, and so is the model.

python train.py --recipe flagship-multilingual --model_name_or_path checkpoints/teachers/flagship-distilled \\
    --corpora crema-d=DIR emodb=DIR nemo=DIR urdu=DIR
"""

from dataclasses import replace

from ser.recipes.flagship_bilingual import RECIPE as BILINGUAL
from ser.recipes.flagship_compact import RECIPE as COMPACT

RECIPE = replace(BILINGUAL, chosen_with=COMPACT.chosen_with)
