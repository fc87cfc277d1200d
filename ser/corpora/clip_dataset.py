"""Clips as a torch dataset: features cached on disk, or computed from the augmented waveform each time."""

import hashlib
import inspect
import random
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence

import datasets
import numpy as np
import torch

from ser.models import acoustic_features_ser
from ser.models import audio_ser
from ser.models import feature_extraction_ser
from ser.models.audio_ser import load_audio
from ser.models.feature_extraction_ser import SERFeatureExtractor

# Settings that are applied after the cache, so that changing them keeps it valid.
NOT_IN_CACHE = ("normalization", "mean", "std", "join", "feature_size", "auto_map", "feature_extractor_type")
READ_AT_ONCE = 64  # clips


def with_features(
    clips: datasets.Dataset, extractor: SERFeatureExtractor, *, augment_copy: Callable | None = None
) -> datasets.Dataset:
    """Add the columns `features`, not yet normalised, flattened from `(frames, n_features)`, and `frames`.

    The cache file lies beside that of `clips`; its name hashes the clips, the extractor's settings and the code of the
    features. It is written under a temporary name first.

    Args:
        clips: Rows with audio and, perhaps, copy (see `with_copies`).
        extractor: Makes the features.
        augment_copy: Applied to the copies, of which silence has been trimmed; each has a seed of its own. It has a
            `fingerprint`.
    """
    settings = {name: value for name, value in extractor.to_dict().items() if name not in NOT_IN_CACHE}
    code = [inspect.getsource(module) for module in (audio_ser, feature_extraction_ser, acoustic_features_ser)]
    code.append(inspect.getsource(with_features))
    facts = clips._fingerprint, sorted(settings.items()), code, getattr(augment_copy, "fingerprint", None)
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    whole = SERFeatureExtractor.from_dict(extractor.to_dict() | {"trim_db": None})

    def extract(row: dict, index: int) -> dict:
        waveform = load_audio(row["audio"], sampling_rate=extractor.sampling_rate)
        if row.get("copy") and augment_copy:
            random.seed(index)
            np.random.seed(index)
            features = whole.extract(augment_copy(waveform[extractor.loud_span(waveform)]))
        else:
            features = extractor.extract(waveform)
        return {"features": features.ravel(), "frames": len(features)}

    features = clips.map(
        extract,
        with_indices=True,
        remove_columns=clips.column_names,
        features=datasets.Features(
            {"features": datasets.List(datasets.Value("float32")), "frames": datasets.Value("int32")}
        ),
        new_fingerprint=key,
        desc="Extracting features",
    )
    return datasets.concatenate_datasets([clips, features], axis=1)


class ClipDataset(torch.utils.data.Dataset):
    """Features of shape `(frames, n_features)`, ready for the network, and the label of each clip.

    Args:
        clips: Rows with audio, label and the cached features.
        extractor: Normalises, and extracts where the waveform is augmented.
        targets: Probabilities to learn instead of the labels, shape `(clips, num_labels)`.
        known_labels: The labels to which the loss of each clip is restricted, bool, shape `(clips, num_labels)`.
        augment_waveform: `(samples,)` to `(samples,)`; if given, the cached features are not used.
        augment_features: Augments features of shape `(frames, n_features)` before normalisation, given those of
            another clip of the batch.
        mask_features: Augments the features of one clip after normalisation.
    """

    def __init__(
        self,
        clips: datasets.Dataset,
        extractor: SERFeatureExtractor,
        *,
        targets: np.ndarray | None = None,
        known_labels: np.ndarray | None = None,
        augment_waveform: Callable | None = None,
        augment_features: Callable | None = None,
        mask_features: Callable | None = None,
    ):
        self.clips = clips
        self.extractor = extractor
        self.augment_waveform = augment_waveform
        self.augment_features = augment_features
        self.mask_features = mask_features
        self.targets = np.asarray(clips["label"][:]) if targets is None else targets
        self.known_labels = known_labels
        self.features = clips.with_format("numpy", columns=["features", "frames"])

    def __len__(self) -> int:
        return len(self.targets)

    def raw_features(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """Features of some clips before normalisation, each of shape `(frames, n_features)`."""
        if self.augment_waveform is None:
            for start in range(0, len(indices), READ_AT_ONCE):
                rows = self.features[indices[start : start + READ_AT_ONCE]]
                for features, frames in zip(rows["features"], rows["frames"], strict=True):
                    yield features.reshape(frames, -1)
            return
        for index in indices:
            waveform = load_audio(self.clips[index]["audio"], sampling_rate=self.extractor.sampling_rate)
            yield self.extractor.extract(self.augment_waveform(waveform))

    def __getitems__(self, indices: list[int]) -> list[dict]:
        """A batch for a `DataLoader`, read much faster than clip by clip."""
        batch = list(self.raw_features(indices))
        others = [batch[-1], *batch[:-1]]
        return [self.example(*each) for each in zip(batch, others, indices, strict=True)]

    def __getitem__(self, index: int) -> dict:
        return self.__getitems__([index])[0]

    def example(self, features: np.ndarray, other: np.ndarray, index: int) -> dict:
        """Features and target of a clip; another clip may be mixed into the background."""
        if self.augment_features:
            features = self.augment_features(features, other)
        features = self.extractor.normalize(features)
        if self.mask_features:
            features = self.mask_features(features)
        example = {"input_features": self.extractor.arrange(features), "labels": self.targets[index]}
        return example if self.known_labels is None else example | {"known_labels": self.known_labels[index]}


__all__ = ["ClipDataset", "with_features"]
