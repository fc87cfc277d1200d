"""The audio-classification pipeline that travels with a model: any file, rate or channel count, and all the labels."""

from typing import Any
from urllib.request import urlopen

from transformers import AudioClassificationPipeline
from transformers import BatchFeature
from transformers import PreTrainedModel

from .audio_ser import load_audio
from .feature_extraction_ser import SERFeatureExtractor


class SERPipeline(AudioClassificationPipeline):
    """`pipeline("audio-classification")` without ffmpeg or torchaudio, returning every label unless `top_k` says less.

    Accepts whatever `load_audio` accepts, and `http(s)://` addresses of audio files.
    An array without a rate is taken to be at the model's own sampling rate.
    """

    feature_extractor: SERFeatureExtractor
    model: Any  # a network of modeling_ser, which names this file and so cannot be named here

    def __init__(self, *args: Any, top_k: int | None = None, **kwargs: Any):
        super().__init__(*args, top_k=top_k, **kwargs)
        check_fits(self.model, self.feature_extractor)

    def _sanitize_parameters(self, top_k: Any = None, function_to_apply: Any = None, **kwargs: Any) -> Any:
        """A call without `top_k` keeps that of the pipeline; the base class would take all labels."""
        preprocess, forward, postprocess = super()._sanitize_parameters(top_k, function_to_apply, **kwargs)
        if top_k is None and hasattr(self, "_postprocess_params"):
            del postprocess["top_k"]
        return preprocess, forward, postprocess

    def check_model_type(self, supported_models: list[str] | dict) -> None:
        """Any model that gives logits will do; the base class only knows those inside transformers."""

    def preprocess(self, inputs: Any) -> BatchFeature:  # type: ignore[override]  # as the class above has it
        """One clip to `input_features (1, frames, n_features)` and its `attention_mask (1, frames)`."""
        if isinstance(inputs, str) and inputs.startswith(("http://", "https://")):
            with urlopen(inputs) as response:  # noqa: S310 - http(s) alone; follows redirections, raises on 4xx and 5xx
                inputs = response.read()
        sampling_rate = self.feature_extractor.sampling_rate
        waveform = load_audio(inputs, sampling_rate=sampling_rate)
        features = self.feature_extractor(waveform, sampling_rate=sampling_rate, return_tensors="pt")
        return features.to(dtype=self.dtype)


def check_fits(model: PreTrainedModel, extractor: SERFeatureExtractor) -> None:
    """Refuse a feature extractor that does not make what one of our models reads.

    Raises:
        ValueError: Says in which field its preprocessor_config.json does not belong to the model's config.json.
    """
    if model.main_input_name not in extractor.model_input_names:
        kind = type(extractor).__name__
        raise ValueError(f"expected feature_extractor_type SERFeatureExtractor in preprocessor_config.json; got {kind}")
    if model.config.n_features != extractor.feature_size:
        raise ValueError(
            f"config.json says n_features {model.config.n_features}, but preprocessor_config.json makes feature_size "
            f"{extractor.feature_size}; take both files of one model"
        )
    if extractor.normalization == "corpus" and (extractor.mean is None or extractor.std is None):
        raise ValueError("expected a mean and std in preprocessor_config.json with normalization='corpus'; got none")


__all__ = ["SERPipeline", "check_fits"]
