"""Class project C: the network and training of `dummynet-zcr` on the energy."""

from dataclasses import replace

from ser.recipes.dummynet_zcr import RECIPE as ZCR

RECIPE = replace(
    ZCR,
    model=ZCR.model | {"input_length": 501},
    feature_extractor=ZCR.feature_extractor | {"features": ["energy"]},
    printed_accuracy=0.42,
)
