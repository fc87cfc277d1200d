"""Augmentation of the training split, on the fly: of the waveform, of the features and of the batch.

Random numbers come from numpy's global generator, which `Trainer` seeds, stores in checkpoints and restores.
"""

import inspect
import math
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from functools import partial

import audiomentations
import numpy as np
import torch

from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.training.acoustic_channel import Channel

SHARES: tuple[str, ...] = ("waveform_probability", "channel_probability", "floor_probability", "voice_probability")
SHARES += ("label_smoothing", "vote_share")
MOST = dict.fromkeys(SHARES, 1.0) | {"time_stretch": 0.5}


@dataclass
class AugmentationArguments:
    """Strength of each augmentation; 0 switches it off.

    Raises:
        ValueError: One is negative, or a share or probability above 1.
    """

    crop_duration: float = field(
        default=0.0, metadata={"help": "Length in seconds of a random crop from longer training clips; 0 for none."}
    )
    waveform_probability: float = field(
        default=0.0,
        metadata={"help": "Probability of each change to the waveform: noise, shift, pitch, tempo, volume."},
    )
    changed_copies: bool = field(
        default=False,
        metadata={
            "help": "Train on each clip twice: unchanged, and as a copy with noise, a shift, another pitch or another "
            "tempo, made once before training."
        },
    )
    channel_probability: float = field(
        default=0.0,
        metadata={"help": "Probability of each change to a log-mel image: room, noise, narrow band, silent margins."},
    )
    floor_probability: float = field(
        default=0.0,
        metadata={"help": "Probability that the noise floor of a log-mel image is replaced by another one."},
    )
    voice_probability: float = field(
        default=0.0,
        metadata={"help": "Probability that another clip of the batch is added behind the voice of a log-mel image."},
    )
    equalizer_db: float = field(
        default=0.0,
        metadata={"help": "Largest boost or cut of a band of a log-mel image, as by another microphone, in dB."},
    )
    gain_db: float = field(default=0.0, metadata={"help": "Largest change of the level of a log-mel image, in dB."})
    frequency_shift: int = field(default=0, metadata={"help": "Largest shift of a log-mel image, in mel bands."})
    time_stretch: float = field(
        default=0.0, metadata={"help": "Largest change of the tempo of the features: 0.1 for a tenth faster or slower."}
    )
    time_masks: int = field(default=0, metadata={"help": "SpecAugment: number of time masks."})
    time_mask_frames: int = field(default=24, metadata={"help": "SpecAugment: longest time mask, in frames."})
    frequency_masks: int = field(default=0, metadata={"help": "SpecAugment: number of masks over feature columns."})
    frequency_mask_bands: int = field(default=10, metadata={"help": "SpecAugment: widest such mask, in columns."})
    mixup_beta: float = field(default=0.0, metadata={"help": "Mixup: both parameters of the beta distribution."})
    label_smoothing: float = field(
        default=0.0, metadata={"help": "Share of the training target that is spread over all labels."}
    )
    vote_share: float = field(
        default=0.0,
        metadata={"help": "Weight of listeners' votes in the training target, or in what the teachers leave of it."},
    )

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name, value in vars(self).items():
            check_range(name, value, at_most=MOST.get(name, math.inf))


def check_range(name: str, value: float, *, at_least: int = 0, at_most: float = math.inf) -> None:
    """Refuse the value of an option that is below `at_least` or above `at_most`."""
    if not at_least <= value <= at_most:
        limit = "" if at_most == math.inf else f" and at most {at_most:g}"
        raise ValueError(f"expected --{name} of at least {at_least}{limit}; got {value}")


class WaveformAugmentation:
    """Noise, shift, pitch, tempo and volume, each with the given probability."""

    def __init__(self, probability: float, sampling_rate: int):
        self.probability = probability
        self.sampling_rate = sampling_rate
        self.transforms = audiomentations.Compose(
            [
                audiomentations.AddGaussianSNR(min_snr_db=10.0, max_snr_db=40.0, p=probability),
                audiomentations.Shift(min_shift=-0.1, max_shift=0.1, rollover=False, p=probability),
                audiomentations.PitchShift(min_semitones=-2.0, max_semitones=2.0, p=probability),
                audiomentations.TimeStretch(min_rate=0.9, max_rate=1.1, leave_length_unchanged=False, p=probability),
                audiomentations.Gain(min_gain_db=-6.0, max_gain_db=6.0, p=probability),
            ]
        )

    @property
    def fingerprint(self) -> tuple[str, float]:
        """What decides how a waveform is changed: this code and the probability."""
        return inspect.getsource(type(self)), self.probability

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """`(samples,)` to `(samples,)`."""
        return self.transforms(waveform, sample_rate=self.sampling_rate)


class OneChange:
    """Noise, a shift, another pitch or another tempo: one of the four, at equal odds."""

    def __init__(self, sampling_rate: int):
        pitch = audiomentations.PitchShift(min_semitones=4.0, max_semitones=4.0, p=1.0)
        tempo = audiomentations.TimeStretch(min_rate=0.8, max_rate=1.2, leave_length_unchanged=False, p=1.0)
        self.changes: list[Callable[[np.ndarray], np.ndarray]] = [self.noise, self.shift]
        self.changes += [partial(each, sample_rate=sampling_rate) for each in (pitch, tempo)]

    @property
    def fingerprint(self) -> str:
        """What decides how a waveform is changed: this code."""
        return inspect.getsource(type(self))

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """`(samples,)` to `(samples,)`."""
        return self.changes[np.random.randint(len(self.changes))](waveform)

    def noise(self, waveform: np.ndarray) -> np.ndarray:
        """White noise of up to 0.075 of the loudest sample."""
        level = 0.075 * np.random.uniform() * waveform.max()
        return waveform + (level * np.random.normal(size=len(waveform))).astype(np.float32)

    def shift(self, waveform: np.ndarray) -> np.ndarray:
        """By up to 5,000 samples either way; what leaves at one end comes back at the other."""
        return np.roll(waveform, np.random.randint(-5000, 5001))


class FeatureAugmentation:
    """Changes a log-mel image as another speaker and another recording would. `(frames, n_features)` in and out."""

    def __init__(self, arguments: AugmentationArguments, extractor: SERFeatureExtractor):
        self.arguments = arguments
        self.extractor = extractor
        self.channel = None
        options = {
            "probability": arguments.channel_probability,
            "floor_probability": arguments.floor_probability,
            "voice_probability": arguments.voice_probability,
            "equalizer_db": arguments.equalizer_db,
        }
        if any(options.values()):
            self.channel = Channel(extractor, **options)

    def __call__(self, features: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Augment features before normalisation; `other` are those of a clip that may be mixed into the background."""
        arguments = self.arguments
        if arguments.time_stretch:
            features = stretch(features, 1 + np.random.uniform(-1, 1) * arguments.time_stretch)
        if arguments.frequency_shift:
            bands = np.random.randint(-arguments.frequency_shift, arguments.frequency_shift + 1)
            features = features[:, np.clip(np.arange(features.shape[1]) - bands, 0, features.shape[1] - 1)]
        if self.channel:
            features = self.extractor.limit_range(self.channel(features, other))
        if arguments.gain_db:
            features = features + np.float32(np.random.uniform(-1, 1) * arguments.gain_db)
        return features


def stretch(features: np.ndarray, rate: float) -> np.ndarray:
    """Play `(frames, n_features)` `rate` times as fast, by linear interpolation between frames."""
    frames = len(features)
    position = np.linspace(0, frames - 1, max(1, round(frames / rate)), dtype=np.float32)
    before = position.astype(np.int64)
    after = np.minimum(before + 1, frames - 1)
    share = (position - before)[:, None]
    return features[before] * (1 - share) + features[after] * share


class FeatureMasking:
    """Random crop, then SpecAugment (Park et al. 2019, arXiv:1904.08779) with the mean as fill; features normalised.

    Args:
        arguments: Number and size of the masks.
        crop_frames: Longest clip that is kept whole, in frames; 0 keeps all.
    """

    def __init__(self, arguments: AugmentationArguments, crop_frames: int):
        self.arguments = arguments
        self.crop_frames = crop_frames

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """`(frames, n_features)` to `(at most crop_frames, n_features)`."""
        if 0 < self.crop_frames < len(features):
            start = np.random.randint(0, len(features) - self.crop_frames + 1)
            features = features[start : start + self.crop_frames]
        features = features.copy()
        for _ in range(self.arguments.time_masks):
            features[random_span(len(features), self.arguments.time_mask_frames)] = 0
        for _ in range(self.arguments.frequency_masks):
            features[:, random_span(features.shape[1], self.arguments.frequency_mask_bands)] = 0
        return features


def random_span(size: int, longest: int) -> slice:
    """A random span of 0 to `longest` out of `size` positions."""
    length = np.random.randint(0, min(longest, size) + 1)
    start = np.random.randint(0, size - length + 1)
    return slice(start, start + length)


def soft_targets(
    labels: np.ndarray,
    num_labels: int,
    *,
    smoothing: float = 0.0,
    opinions: Sequence[tuple[np.ndarray, float]] = (),
) -> np.ndarray:
    """Class indices `(clips,)` to the probabilities `(clips, num_labels)` that the network is to learn.

    Args:
        labels: Shape `(clips,)`.
        num_labels: Number of classes.
        smoothing: Share that is spread over all classes.
        opinions: Votes of listeners or probabilities of teachers, shape `(clips, num_labels)`, and their weight in the
            target; each is mixed into the result of those before. A clip without any keeps its target.
    """
    targets = np.eye(num_labels, dtype=np.float32)[labels]
    for votes, share in opinions:
        total = votes.sum(1, keepdims=True)
        targets = np.where(total > 0, (1 - share) * targets + share * votes / np.maximum(total, 1e-9), targets)
    return (targets * (1 - smoothing) + smoothing / num_labels).astype(np.float32)


def mixup(batch: dict[str, torch.Tensor], beta: float) -> dict[str, torch.Tensor]:
    """Blend each clip of a batch with another, labels too (Zhang et al. 2018, arXiv:1710.09412).

    Args:
        batch: `input_features (batch, frames, n_features)`, `attention_mask (batch, frames)`, `labels` as probabilities
            `(batch, num_labels)` and, perhaps, `known_labels (batch, num_labels)`: of a blend, those of either clip.
        beta: Both parameters of the beta distribution of the share.
    """
    share = np.random.beta(beta, beta)
    share = max(share, 1 - share)
    other = torch.from_numpy(np.random.permutation(len(batch["labels"]))).to(batch["labels"].device)
    blended = {name: share * batch[name] + (1 - share) * batch[name][other] for name in ("input_features", "labels")}
    either = {name: batch[name] | batch[name][other] for name in ("attention_mask", "known_labels") if name in batch}
    return blended | either


__all__ = [
    "AugmentationArguments",
    "FeatureAugmentation",
    "FeatureMasking",
    "OneChange",
    "WaveformAugmentation",
    "check_range",
    "mixup",
    "soft_targets",
    "stretch",
]
