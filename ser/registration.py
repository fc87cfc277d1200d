"""Importing this module registers the models with transformers, so that they need no remote code."""

from typing import Any

from transformers import AudioClassificationPipeline
from transformers import AutoConfig
from transformers import AutoFeatureExtractor
from transformers import AutoModel
from transformers import AutoModelForAudioClassification
from transformers import PreTrainedModel
from transformers.pipelines import PIPELINE_REGISTRY

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


class _RegisteredPipeline(SERPipeline):
    """`pipeline("audio-classification")` in a process that imported `ser`: ours for our models, else the stock one."""

    def __new__(cls, *args: Any, model: PreTrainedModel, **kwargs: Any) -> Any:
        pipeline_class = SERPipeline if isinstance(model.config, SERConfig) else AudioClassificationPipeline
        return pipeline_class(*args, model=model, **kwargs)


def _register() -> None:
    for config_class, encoder_class, model_class in (
        (CNN1DConfig, CNN1DModel, CNN1DForAudioClassification),
        (CNN2DConfig, CNN2DModel, CNN2DForAudioClassification),
        (CRNNConfig, CRNNModel, CRNNForAudioClassification),
    ):
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        AutoFeatureExtractor.register(config_class, SERFeatureExtractor, exist_ok=True)
        AutoModelForAudioClassification.register(config_class, model_class, exist_ok=True)
        AutoModel.register(config_class, encoder_class, exist_ok=True)
        config_class.register_for_auto_class()
        encoder_class.register_for_auto_class()
        model_class.register_for_auto_class("AutoModelForAudioClassification")
    SERFeatureExtractor.register_for_auto_class("AutoFeatureExtractor")
    # The installed classes are used for these models, so the copy of the pipeline in a model folder is not read.
    SERConfig.custom_pipelines = property(lambda self: {}, lambda self, value: None)  # type: ignore[attr-defined]
    PIPELINE_REGISTRY.supported_tasks["audio-classification"]["impl"] = _RegisteredPipeline


_register()
