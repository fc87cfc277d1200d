"""Feature extractor: waveforms in, padded frame features and their attention mask out."""

import inspect
import math
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from numbers import Integral
from numbers import Real
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature
from transformers import SequenceFeatureExtractor
from transformers.audio_utils import mel_filter_bank

from .acoustic_features_ser import FEATURES
from .acoustic_features_ser import Frames
from .acoustic_features_ser import MelFilters
from .acoustic_features_ser import limit_range
from .acoustic_features_ser import loud_span
from .acoustic_features_ser import subtract_noise
from .acoustic_features_ser import to_decibels
from .acoustic_features_ser import wiener_filter
from .audio_ser import LOUDEST
from .audio_ser import peak_of
from .audio_ser import to_numpy
from .configuration_ser import refuse_misspelt

STATISTICS: dict[str, Callable[..., np.ndarray]] = {"mean": np.mean, "std": np.std, "min": np.min, "max": np.max}
NORMALIZATIONS = ("none", "clip", "corpus")
DB_REFERENCES = ("one", "max")
NAMES = {"features": FEATURES, "statistics": STATISTICS}
CHOICES = {"db_reference": DB_REFERENCES, "normalization": NORMALIZATIONS}
SWITCHES = ("wiener", "pad_to_max_duration", "join", "subtract_noise")
RANGES = {  # type, lowest and highest; beyond them, memory would run out or nothing would be left of a clip
    "sampling_rate": (Integral, 1000, 768_000),
    "n_fft": (Integral, 2, 2**16),
    "hop_length": (Integral, 1, 2**16),
    "n_mels": (Integral, 1, 2**11),
    "fmin": (Real, 0, 384_000),
    "fmax": (Real, 0, 384_000),
    "top_db": (Real, 0, 1000),
    "band_top_db": (Real, 0, 1000),
    "trim_db": (Real, 0.001, 1000),
    "trim_margin": (Real, 0, 3600),
    "max_duration": (Real, 0.001, 3600),
}
MAY_BE_NONE = ("fmax", "top_db", "band_top_db", "trim_db", "max_duration", "statistics")
# Older models lack these settings, whose defaults do not change their features.
NEW = ("band_top_db", "trim_margin", "subtract_noise")


class SERFeatureExtractor(SequenceFeatureExtractor):
    r"""Turns waveforms into `input_features` of shape `(batch, frames, n_features)`.

    Args:
        sampling_rate: Expected rate of the waveforms, in Hz.
        n_fft: Frame length and FFT size, in samples (even).
        hop_length: Step between frames, in samples.
        n_mels: Mel bands of `log_mel`.
        fmin: Lowest mel frequency, in Hz.
        fmax: Highest mel frequency, in Hz; None for half the sampling rate.
        features: Ordered names out of `FEATURES`; their columns are joined in this order.
        top_db: Dynamic range of `log_mel` below the clip's loudest cell, in dB; None keeps all.
        band_top_db: Dynamic range of each band of `log_mel` below its own loudest frame, in dB; None keeps all. It cuts
            off quiet sounds that are audible in quiet rooms only.
        db_reference: "one" for absolute dB, "max" for dB relative to the clip's loudest cell.
        trim_db: Cut leading and trailing sound this many dB below the loudest frame; None keeps all.
        trim_margin: Seconds that trimming leaves on either side, if the clip has them.
        wiener: Whether to denoise the waveform with a Wiener filter first.
        subtract_noise: Whether to subtract the steady noise of a clip from `log_mel`, by spectral subtraction.
        max_duration: Seconds kept from the start of a clip; None keeps all.
        pad_to_max_duration: Whether to pad shorter clips with digital silence up to `max_duration`.
        statistics: Out of "mean", "std", "min" and "max": each column is reduced to these over the clip, which leaves
            one frame of `len(statistics)` times as many columns; None keeps the frames.
        join: Whether to lay the normalised columns end to end, as one column of `frames * n_features` rows.
        normalization: "none", "clip" (each feature to zero mean and unit variance within the clip) or "corpus" (by
            `mean` and `std`, learned on the training split with `fit_normalization`).
        mean: One number per feature column, for `normalization="corpus"`.
        std: One number per feature column, for `normalization="corpus"`.

    Example:
        >>> import numpy as np
        >>> extractor = SERFeatureExtractor(n_mels=40)
        >>> clips = [np.zeros(16000, dtype=np.float32), np.zeros(8000, dtype=np.float32)]
        >>> extractor(clips, sampling_rate=16000)["input_features"].shape
        (2, 63, 40)
    """

    model_input_names = ["input_features", "attention_mask"]

    def __init__(
        self,
        sampling_rate: int = 16000,
        n_fft: int = 1024,
        hop_length: int = 256,
        n_mels: int = 80,
        fmin: float = 0.0,
        fmax: float | None = None,
        features: Sequence[str] = ("log_mel",),
        top_db: float | None = 80.0,
        db_reference: str = "one",
        trim_db: float | None = None,
        wiener: bool = False,
        max_duration: float | None = None,
        pad_to_max_duration: bool = False,
        statistics: Sequence[str] | None = None,
        join: bool = False,
        normalization: str = "none",
        mean: list[float] | None = None,
        std: list[float] | None = None,
        band_top_db: float | None = None,
        trim_margin: float = 0.0,
        subtract_noise: bool = False,
        **kwargs: Any,
    ):
        self.sampling_rate = sampling_rate
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.n_mels = n_mels
        self.fmin = fmin
        self.fmax = fmax
        self.features = list(features) if isinstance(features, tuple) else features
        self.top_db = top_db
        self.band_top_db = band_top_db
        self.db_reference = db_reference
        self.trim_db = trim_db
        self.trim_margin = trim_margin
        self.wiener = wiener
        self.subtract_noise = subtract_noise
        self.max_duration = max_duration
        self.pad_to_max_duration = pad_to_max_duration
        self.statistics = list(statistics) if isinstance(statistics, tuple) else statistics
        self.join = join
        self.normalization = normalization
        self.mean = mean
        self.std = std
        self._check_names()
        self._check_numbers()
        columns = sum(n_mels if name == "log_mel" else 1 for name in features) * len(statistics or "1")
        self._check_normalization(columns)
        derived: dict[str, Any] = {"feature_size": 1 if join else columns, "padding_value": 0.0}
        refuse_misspelt(kwargs, [*settings_of(type(self)), *derived])
        for name, value in derived.items():
            if kwargs.pop(name, value) != value:
                raise ValueError(f"expected {name} to be {value}, as the other fields make it; leave it out")
        super().__init__(**derived, sampling_rate=sampling_rate, **kwargs)
        filters = mel_filter_bank(
            num_frequency_bins=1 + n_fft // 2,
            num_mel_filters=n_mels,
            min_frequency=fmin,
            max_frequency=fmax or sampling_rate / 2,
            sampling_rate=sampling_rate,
            norm="slaney",
            mel_scale="slaney",
        )
        self.mel_filters = MelFilters(filters)  # transformers leaves this name out of the JSON

    def _check_names(self) -> None:
        """Raise if a choice is unknown."""
        for name, known in NAMES.items():
            value = getattr(self, name)
            if value is None and name in MAY_BE_NONE:
                continue
            if not isinstance(value, list) or not value or any(str(part) not in known for part in value):
                raise ValueError(f"expected {name} out of {', '.join(known)}, as a list; got {value!r}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"expected {name} to be one of {choices}; got {getattr(self, name)!r}")
        for name in SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"expected {name} to be true or false; got {getattr(self, name)!r}")

    def _check_numbers(self) -> None:
        """Raise if a number has the wrong type or is out of range."""
        for name, (kind, lowest, highest) in RANGES.items():
            value = getattr(self, name)
            if value is None and name in MAY_BE_NONE:
                continue
            if not (_is_number(value, kind) and lowest <= value <= highest):
                what = "a whole number" if kind is Integral else "a number"
                raise ValueError(f"expected {name} as {what} between {lowest:,} and {highest:,}; got {value!r}")
        if self.n_fft % 2:
            raise ValueError(f"expected an even n_fft; got {self.n_fft}")
        half = self.sampling_rate / 2
        if not self.fmin < (half if self.fmax is None else self.fmax) <= half:
            raise ValueError(
                f"expected fmin below fmax, at most {half:g} Hz; got fmin {self.fmin} and fmax {self.fmax}"
            )
        if self.pad_to_max_duration and self.max_duration is None:
            raise ValueError("expected max_duration in seconds beside pad_to_max_duration; set it")

    def _check_normalization(self, columns: int) -> None:
        """Raise if `mean` or `std` is given, but is not one finite number for each column."""
        for name, lowest in (("mean", -math.inf), ("std", 0.0)):
            value = getattr(self, name)
            usable = isinstance(value, list) and all(_is_number(part, Real) and part >= lowest for part in value)
            if value is not None and not (usable and len(value) == columns):
                raise ValueError(f"expected {name} as a list of {columns} finite numbers, one for each feature column")

    @classmethod
    def from_dict(cls, feature_extractor_dict: dict, **kwargs: Any) -> Any:
        """As the base class, but a file that lacks a field is refused: a default could change the features.

        Raises:
            ValueError: Names the field.
        """
        for name in settings_of(cls):
            if name not in feature_extractor_dict and name not in NEW:
                raise ValueError(f"preprocessor_config.json has no {name}; take the whole file as it was saved")
        try:
            return super().from_dict(feature_extractor_dict, **kwargs)
        except ValueError as error:
            raise ValueError(f"preprocessor_config.json: {error}") from error

    def __call__(
        self,
        raw_speech: np.ndarray | torch.Tensor | list,
        sampling_rate: int | None = None,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Extract the features of one waveform or a list of waveforms.

        Args:
            raw_speech: Float waveform of shape `(samples,)`, or a list of such waveforms.
            sampling_rate: Their rate in Hz; must be given and be the extractor's.
            return_tensors: "pt" for torch tensors, "np" (default) for numpy arrays.
            **kwargs: Accepted for compatibility with `transformers` callers and ignored; padding is to the longest.

        Returns:
            `input_features` of shape `(batch, frames, n_features)`, float32, zeros where padded, and `attention_mask`
            of shape `(batch, frames)`, 1 for real frames.

        Raises:
            ValueError: The rate is missing or wrong, or a waveform is empty, not 1-D, not float, or not finite.
        """
        if sampling_rate != self.sampling_rate:
            raise ValueError(
                f"expected audio sampled at {self.sampling_rate} Hz; got sampling_rate={sampling_rate}; "
                f"resample it and pass sampling_rate={self.sampling_rate}"
            )
        single = not isinstance(raw_speech, (list, tuple)) or (len(raw_speech) > 0 and np.isscalar(raw_speech[0]))
        waveforms = [raw_speech] if single else raw_speech
        features = [self.arrange(self.normalize(self.extract(waveform))) for waveform in waveforms]
        return self.pad([{"input_features": array} for array in features], return_tensors=return_tensors)

    def extract(self, waveform: np.ndarray | torch.Tensor | list[float]) -> np.ndarray:
        """Float32 features of one waveform of shape `(samples,)`, not yet normalised, shape `(frames, n_features)`."""
        waveform = self._prepare(_as_waveform(waveform))
        frames = Frames(
            waveform,
            sampling_rate=self.sampling_rate,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            mel_filters=self.mel_filters,
            top_db=self.top_db,
            band_top_db=self.band_top_db,
            db_reference=self.db_reference,
            subtract_noise=self.subtract_noise,
        )
        columns = [FEATURES[name](frames).reshape(len(frames), -1) for name in self.features]
        features = np.concatenate(columns, axis=1, dtype=np.float32)
        if self.statistics is None:
            return features
        return np.concatenate([STATISTICS[name](features, axis=0) for name in self.statistics])[None]

    def limit_range(self, image: np.ndarray) -> np.ndarray:
        """Treat noise, level and range of a changed log-mel image, shape `(frames, n_mels)`, as `extract` does."""
        if self.subtract_noise:
            image = to_decibels(subtract_noise(10 ** (image / 10)))
        return limit_range(image, top_db=self.top_db, band_top_db=self.band_top_db, db_reference=self.db_reference)

    def loud_span(self, waveform: np.ndarray) -> slice:
        """Samples of a waveform of shape `(samples,)` that remain after silence is trimmed."""
        if self.trim_db is None:
            return slice(0, len(waveform))
        span = loud_span(waveform, top_db=self.trim_db, frame_length=self.n_fft, hop_length=self.hop_length)
        margin = round(self.trim_margin * self.sampling_rate)
        return slice(max(0, span.start - margin), min(len(waveform), span.stop + margin))

    def _prepare(self, waveform: np.ndarray) -> np.ndarray:
        """Trim, denoise, crop and pad, in this order; shape `(samples,)` in and out."""
        waveform = waveform[self.loud_span(waveform)]
        if self.wiener:
            waveform = wiener_filter(waveform)
        if self.max_duration is not None:
            samples = round(self.max_duration * self.sampling_rate)
            waveform = waveform[:samples]
            if self.pad_to_max_duration:
                waveform = np.pad(waveform, (0, samples - len(waveform)))
        return waveform

    def normalize(self, features: np.ndarray) -> np.ndarray:
        """Normalise `(frames, n_features)` as `normalization` says."""
        if self.normalization == "none":
            return features
        if self.normalization == "clip":
            mean, std = features.mean(axis=0), features.std(axis=0)
        elif self.mean is None or self.std is None:
            raise ValueError("expected a mean and std for normalization='corpus'; call fit_normalization first")
        else:
            mean, std = np.asarray(self.mean, dtype=np.float32), np.asarray(self.std, dtype=np.float32)
        return (features - mean) / np.maximum(std, 1e-5)

    def arrange(self, features: np.ndarray) -> np.ndarray:
        """The last step: `(frames, n_features)` as they are, or joined to `(frames * n_features, 1)`."""
        return features.T.reshape(-1, 1) if self.join else features

    def fit_normalization(self, features: Iterable[np.ndarray]) -> None:
        """Learn `mean` and `std` of each column over an iterable of `(frames, n_features)` of training clips."""
        count, total, squares = 0, np.zeros(1), np.zeros(1)
        for array in features:
            array = np.asarray(array, dtype=np.float64)
            count += len(array)
            total = total + array.sum(axis=0)
            squares = squares + np.square(array).sum(axis=0)
        if not count:
            raise ValueError("expected at least one clip to learn the normalisation from; got none")
        mean = total / count
        self.mean = mean.tolist()
        self.std = np.sqrt(np.maximum(squares / count - mean**2, 0.0)).tolist()

    def pad(  # type: ignore[override]  # the arguments left out, all about how far to pad, are accepted and ignored
        self,
        processed_features: Mapping[str, Sequence] | Sequence[Mapping[str, Any]],
        return_tensors: str | None = None,
        pad_to_multiple_of: int | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Pad items with `input_features` of shape `(frames, n_features)` to the longest, or to the next multiple.

        Items with an `attention_mask` of shape `(frames,)` were padded before and are first cut to it; other keys
        (labels) are stacked. A mapping with one list for each key also works. Unlike the base class, this also pads
        features of a single column.
        """
        if isinstance(processed_features, Mapping):
            rows = zip(*processed_features.values(), strict=True)
            processed_features = [dict(zip(processed_features, row, strict=True)) for row in rows]
        arrays = [_real_frames(item) for item in processed_features]
        if not arrays:
            raise ValueError("expected at least one waveform; got an empty list")
        multiple = pad_to_multiple_of or 1
        shape = (len(arrays), -(-max(map(len, arrays)) // multiple) * multiple)
        batch: dict[str, np.ndarray] = {
            "input_features": np.full((*shape, self.feature_size), self.padding_value, dtype=np.float32),
            "attention_mask": np.zeros(shape, dtype=np.int64),
        }
        for row, array in enumerate(arrays):
            batch["input_features"][row, : len(array)] = array
            batch["attention_mask"][row, : len(array)] = 1
        for key in processed_features[0].keys() - batch.keys():
            batch[key] = np.stack([item[key] for item in processed_features])
        return BatchFeature(batch, tensor_type=return_tensors)


def settings_of(extractor_class: type[SERFeatureExtractor]) -> list[str]:
    """Names of the settings in the file of a saved feature extractor."""
    return [name for name in inspect.signature(extractor_class).parameters if name != "kwargs"]


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and abs(value) < 1e38  # fits into float32


def _real_frames(item: Mapping[str, Any]) -> np.ndarray:
    """`input_features` of an item, shape `(frames, n_features)`, without the padding that its mask marks."""
    features, mask = np.asarray(item["input_features"], dtype=np.float32), item.get("attention_mask")
    return features if mask is None else features[np.asarray(mask, dtype=bool)]


def _as_waveform(waveform: np.ndarray | torch.Tensor | list[float]) -> np.ndarray:
    waveform = to_numpy(waveform) if isinstance(waveform, torch.Tensor) else np.asarray(waveform)
    if waveform.ndim != 1:
        raise ValueError(f"expected a waveform of shape (samples,); got shape {waveform.shape}; mix it down to mono")
    if waveform.size == 0:
        raise ValueError("expected a waveform with samples; got an empty one; record or choose another clip")
    if not np.issubdtype(waveform.dtype, np.floating):
        raise ValueError(f"expected float samples within -1..1; got {waveform.dtype}; divide by its full scale")
    peak = peak_of(waveform)
    if not math.isfinite(peak):
        raise ValueError("expected finite samples; got NaN or infinity; export the recording again")
    if peak > LOUDEST:
        raise ValueError(f"expected samples within -1..1; got one beyond {LOUDEST}; divide by its full scale")
    return waveform.astype(np.float32, copy=False)


__all__ = ["SERFeatureExtractor"]
