"""Class project C: the network and training of `dummynet-zcr` on zero-crossing rate and energy end to end."""

from dataclasses import replace

from ser.recipes.dummynet_zcr import RECIPE as ZCR

RECIPE = replace(
    ZCR,
    model=ZCR.model | {"input_length": 1002},
    feature_extractor=ZCR.feature_extractor | {"features": ["zero_crossing_rate", "energy"]},
    printed_accuracy=0.41,
)
