"""Class project C: the network and training of `dummynet-zcr` on a 40-band mel spectrogram laid end to end.

Some 20,000 steps cost ten and more GMACs a clip: this one wants a GPU.
"""

from dataclasses import replace

from ser.recipes.dummynet_zcr import RECIPE as ZCR

RECIPE = replace(
    ZCR,
    model=ZCR.model | {"input_length": 20040},
    feature_extractor=ZCR.feature_extractor | {"features": ["log_mel"], "n_mels": 40},
    printed_accuracy=0.51,
)
