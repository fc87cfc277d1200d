"""Class project C: `dummynet-zcr` on the energy. Printed: 0.42."""

from dataclasses import replace

from ser.recipes.dummynet_zcr import RECIPE as ZCR
from ser.recipes.dummynet_zcr import SOURCE

RECIPE = replace(
    ZCR,
    model=ZCR.model | {"input_length": 501},
    feature_extractor=ZCR.feature_extractor | {"features": ["energy"]},
    source=replace(SOURCE, accuracy=0.42),
)
