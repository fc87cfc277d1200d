"""Emotion recognition in speech: `import ser` registers its models with transformers, so no remote code is needed.

The import itself is cheap: torch and transformers are imported with the first name that needs them, and the models are
registered as soon as anything imports transformers.
"""

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
    from ser.models.audio_ser import load_audio
    from ser.models.configuration_ser import CNN1DConfig
    from ser.models.configuration_ser import CNN2DConfig
    from ser.models.configuration_ser import CRNNConfig
    from ser.models.configuration_ser import SERConfig
    from ser.models.feature_extraction_ser import SERFeatureExtractor
    from ser.models.modeling_ser import CNN1DForAudioClassification
    from ser.models.modeling_ser import CNN1DModel
    from ser.models.modeling_ser import CNN2DForAudioClassification
    from ser.models.modeling_ser import CNN2DModel
    from ser.models.modeling_ser import CRNNForAudioClassification
    from ser.models.modeling_ser import CRNNModel
    from ser.models.pipeline_ser import SERPipeline

__version__ = "0.2.0"

__all__ = [
    "CNN1DConfig",
    "CNN1DForAudioClassification",
    "CNN1DModel",
    "CNN2DConfig",
    "CNN2DForAudioClassification",
    "CNN2DModel",
    "CRNNConfig",
    "CRNNForAudioClassification",
    "CRNNModel",
    "SERConfig",
    "SERFeatureExtractor",
    "SERPipeline",
    "load_audio",
]

# As soon as one of these is imported, the models are registered.
_REGISTERING = {
    "transformers",
    "ser.models.configuration_ser",
    "ser.models.feature_extraction_ser",
    "ser.models.modeling_ser",
    "ser.models.pipeline_ser",
}


class _Registration:
    """A module finder that registers the models when the outermost import of such a module has finished."""

    imports = 0  # in progress

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in _REGISTERING:
            return None
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, others), None)
        if spec and spec.loader:
            spec.loader.exec_module = partial(self.execute, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec

    def execute(self, execute: Callable[[ModuleType], None], module: ModuleType) -> None:
        self.imports += 1
        try:
            execute(module)
        finally:
            self.imports -= 1
        if not self.imports and self in sys.meta_path:
            sys.meta_path.remove(self)
            import_module("ser.registration")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ser' has no attribute {name!r}")
    return getattr(import_module("ser.models.audio_ser" if name == "load_audio" else "ser.registration"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if "transformers" in sys.modules:
    import_module("ser.registration")
else:
    sys.meta_path.insert(0, _Registration())
