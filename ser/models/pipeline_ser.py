"""The audio-classification pipeline that travels with a model: any file, rate or channel count, and all the labels."""

import dataclasses
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import torch
from transformers import AudioClassificationPipeline
from transformers import BatchFeature
from transformers import PreTrainedModel
from transformers.pipelines.pt_utils import KeyDataset
from transformers.utils.generic import ModelOutput

from .audio_ser import check_audible
from .audio_ser import load_audio
from .feature_extraction_ser import SERFeatureExtractor
from .ordinary_voice_ser import check_calibrated
from .ordinary_voice_ser import relative_to

TIMEOUT = 30.0  # seconds without an answer from a URL
OPTIONS = ("top_k", "function_to_apply", "sampling_rate", "timeout", "ordinary_voice")
MOST_CHANNELS = 2  # of an array; more are assumed to be stacked clips


class SERPipeline(AudioClassificationPipeline):
    """`pipeline("audio-classification")` without ffmpeg or torchaudio, returning all labels unless `top_k` is given.

    Accepts whatever `load_audio` accepts, and `http(s)://` URLs of audio files; lists, generators and `KeyDataset` of
    these. An array without a rate (`sampling_rate=`, or in a dict) is assumed to have the model's rate. A URL that does
    not answer within `timeout` seconds (30) is an error.

    `ordinary_voice`, one recording or a list of them, makes answers relative to how their speaker ordinarily talks: a
    sentence or two, read or said without emotion, into the same microphone. The model must be calibrated for it. Given
    to `pipeline(...)`, it applies to every call but those with their own, or with `ordinary_voice=None`. With it,
    `function_to_apply="none"` returns log-probabilities in place of logits.
    """

    feature_extractor: SERFeatureExtractor
    model: Any  # a network of modeling_ser, which names this file and so cannot be named here

    def __init__(self, *args: Any, top_k: int | None = None, **kwargs: Any):
        super().__init__(*args, top_k=top_k, **kwargs)
        check_fits(self.model, self.feature_extractor)

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:  # type: ignore[override]  # its types are of one clip only
        """As the base class, but `datasets` does not decode audio columns, for which it would need torchcodec."""
        read: Any = undecoded(inputs) if isinstance(inputs, KeyDataset) else inputs
        return super().__call__(read, **kwargs)

    def _sanitize_parameters(self, top_k: Any = None, function_to_apply: Any = None, **kwargs: Any) -> Any:
        """A call without `top_k` keeps the pipeline's, and unknown options are refused, unlike in the base class."""
        if unknown := sorted(kwargs.keys() - {*OPTIONS}):
            raise ValueError(f"expected options out of {', '.join(OPTIONS)}; got {', '.join(unknown)}")
        _, forward, postprocess = super()._sanitize_parameters(top_k, function_to_apply)
        preprocess = {name: value for name, value in kwargs.items() if name != "ordinary_voice" and value is not None}
        if top_k is None and hasattr(self, "_postprocess_params"):
            del postprocess["top_k"]
        if "ordinary_voice" in kwargs:
            voice, reading = kwargs["ordinary_voice"], getattr(self, "_preprocess_params", {}) | preprocess
            postprocess["voice"] = None if voice is None else self.mean_log(voice, **reading)
            forward["exact"] = voice is not None
        return preprocess, forward, postprocess

    def check_model_type(self, supported_models: list[str] | dict) -> None:
        """Accept any model that returns logits; the base class accepts only those inside transformers."""

    def preprocess(  # type: ignore[override]  # as the class above has it
        self, inputs: Any, sampling_rate: int | None = None, timeout: float = TIMEOUT
    ) -> BatchFeature:
        """One clip to `input_features (1, frames, n_features)` and its `attention_mask (1, frames)`."""
        if isinstance(inputs, str) and inputs.startswith(("http://", "https://")):
            inputs = fetch(inputs, timeout)
        check_one_clip(inputs, sampling_rate)
        rate = self.feature_extractor.sampling_rate
        waveform = load_audio(inputs, sampling_rate=rate, source_rate=sampling_rate)
        check_audible(waveform)
        return self.feature_extractor(waveform, sampling_rate=rate, return_tensors="pt").to(dtype=self.dtype)

    def _forward(self, model_inputs: BatchFeature, exact: bool = False) -> ModelOutput:  # type: ignore[override]
        """Logits of shape `(1, num_labels)`; if relative to a voice, `exact`, as close calls are not known yet."""
        if exact or not hasattr(self.model, "quick_logits"):  # as in a module that wraps one of our models
            return ModelOutput(logits=self.model(**model_inputs).logits)
        return ModelOutput(logits=self.model.quick_logits(**model_inputs))

    def mean_log(self, recordings: Any, sampling_rate: int | None = None, timeout: float = TIMEOUT) -> np.ndarray:
        """Mean log-probabilities of one recording or a list of them, shape `(num_labels,)`.

        `sampling_rate` is that of the arrays among them, as of those to classify.
        """
        check_calibrated(self.model.config.ordinary_voice)
        several = recordings if isinstance(recordings, (list, tuple)) else [recordings]
        if not several:
            raise ValueError("expected at least one recording of the ordinary voice; got none")
        try:
            inputs = [self.preprocess(each, sampling_rate if is_array(each) else None, timeout) for each in several]
        except ValueError as error:  # which of the recordings of a call it is, it does not say
            raise ValueError(f"ordinary_voice: {error}") from error
        logits = [self.forward(each, exact=True).logits for each in inputs]
        return torch.cat(logits).float().log_softmax(1).mean(0).numpy()

    def postprocess(  # type: ignore[override]  # as the class above has it
        self, model_outputs: Any, voice: np.ndarray | None = None, **options: Any
    ) -> list[dict]:
        """Labels with their scores, relative to the mean log-probabilities of an ordinary voice if there is one."""
        if voice is not None:
            log = model_outputs.logits.float().log_softmax(1).numpy()
            relative = relative_to(voice, log, self.model.config.ordinary_voice)
            model_outputs = ModelOutput(logits=torch.from_numpy(relative))
        return super().postprocess(model_outputs, **options)


def fetch(address: str, timeout: float) -> bytes:
    """The content of an http(s) URL.

    Raises:
        OSError: It is not found, or does not answer in time; the message has the URL.
    """
    try:
        with urlopen(address, timeout=timeout) as response:  # noqa: S310 - http(s) alone; raises on 4xx and 5xx
            return response.read()
    except (OSError, HTTPException, ValueError) as error:  # ValueError: no address can be written so
        reason = error if isinstance(error, HTTPError) else getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise TimeoutError(f"{address!r} did not answer for {timeout:g} s; try again, or set timeout=") from error
        raise OSError(f"{address!r} cannot be fetched ({reason}); check it, or download the file first") from error


def is_array(inputs: Any) -> bool:
    """Whether the rate of a clip has to be given beside it."""
    return isinstance(inputs, (np.ndarray, torch.Tensor))


def check_one_clip(inputs: Any, sampling_rate: int | None) -> None:
    """Refuse several clips in one array, and a rate for input that has its own.

    Raises:
        ValueError: The message says what to pass.
    """
    if is_array(inputs) and inputs.ndim == 2 and min(inputs.shape) > MOST_CHANNELS:
        raise ValueError(
            f"expected one clip of one or two channels; got an array of shape {tuple(inputs.shape)}: pass a batch as a "
            "list of clips, and mix more channels down"
        )
    if sampling_rate is not None and not is_array(inputs):
        raise ValueError(f"sampling_rate={sampling_rate} is for arrays; a file or dict has its own: leave it out")


def undecoded(clips: KeyDataset) -> KeyDataset:
    """The same clips, as undecoded files if they are an audio column."""
    dataset: Any = clips.dataset  # of torch, or of the package datasets
    feature: Any = (getattr(dataset, "features", None) or {}).get(clips.key)
    if not getattr(feature, "decode", False):
        return clips
    return KeyDataset(dataset.cast_column(clips.key, dataclasses.replace(feature, decode=False)), clips.key)


def check_fits(model: PreTrainedModel, extractor: SERFeatureExtractor) -> None:
    """Refuse a feature extractor that does not match one of our models.

    Raises:
        ValueError: Names the field in which its preprocessor_config.json does not match the model's config.json.
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
