"""Class project C: `dummynet-zcr` on a 40-band mel spectrogram laid end to end. Printed: 0.51.

The full run, `python train.py --recipe dummynet-mel --data_dir DIR`, takes some 20,000 steps at over ten GMACs a clip
and needs a GPU; without one, `ser reproduce` trains on a fifth of the clips for fewer epochs, and the table says so.
A batch of 32 would need far more memory, so gradients of four batches of 8 are accumulated, which is the same without
batch norm.
"""

from dataclasses import replace

from ser.recipes.dummynet_zcr import RECIPE as ZCR
from ser.recipes.dummynet_zcr import SOURCE

RECIPE = replace(
    ZCR,
    model=ZCR.model | {"input_length": 20040},
    feature_extractor=ZCR.feature_extractor | {"features": ["log_mel"], "n_mels": 40},
    training=ZCR.training
    | {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 4, "per_device_eval_batch_size": 8},
    budget_without_gpu={"share_of_clips": 0.2, "num_train_epochs": 3},
    source=replace(SOURCE, accuracy=0.51),
)
