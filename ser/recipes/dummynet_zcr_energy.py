"""Class project C: `dummynet-zcr` on zero-crossing rate and energy end to end. Printed: 0.41."""

from dataclasses import replace

from ser.recipes.dummynet_zcr import RECIPE as ZCR
from ser.recipes.dummynet_zcr import SOURCE

RECIPE = replace(
    ZCR,
    model=ZCR.model | {"input_length": 1002},
    feature_extractor=ZCR.feature_extractor | {"features": ["zero_crossing_rate", "energy"]},
    source=replace(SOURCE, accuracy=0.41),
)
