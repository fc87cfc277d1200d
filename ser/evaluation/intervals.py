"""Confidence intervals: the bootstrap over speakers."""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000
FEW_SPEAKERS = 8  # with fewer speakers the bootstrap interval is too narrow


def bootstrap_interval(
    labels: np.ndarray,
    predicted: np.ndarray,
    speakers: Sequence[str] | np.ndarray | None,
    *,
    num_labels: int,
    seed: int = 0,
) -> dict[str, list[float]]:
    """95 % bootstrap intervals of accuracy and UAR over speakers (see `_units`).

    Args:
        labels: Shape `(clips,)`.
        predicted: Shape `(clips,)`.
        speakers: Speaker of each clip; None if unknown.
        num_labels: Number of classes.
        seed: Of the resampling.
    """
    group = _units(speakers, len(labels))
    shape = (group.max() + 1, num_labels)
    clips, hits = np.zeros(shape), np.zeros(shape)
    np.add.at(clips, (group, labels), 1)
    np.add.at(hits, (group, labels), predicted == labels)
    drawn = np.random.default_rng(seed).integers(shape[0], size=(RESAMPLES, shape[0]))
    clips, hits = clips[drawn].sum(1), hits[drawn].sum(1)  # (resamples, num_labels)
    recall = np.divide(hits, clips, out=np.full_like(hits, np.nan), where=clips > 0)
    samples = {"accuracy": hits.sum(1) / clips.sum(1), "uar": np.nanmean(recall, axis=1)}
    return {name: np.quantile(values, [0.025, 0.975]).round(4).tolist() for name, values in samples.items()}


def _units(speakers: Sequence[str] | np.ndarray | None, clips: int) -> np.ndarray:
    """The unit that is resampled for each clip, shape `(clips,)`: its speaker, numbered.

    The clip itself if the speakers are unknown or there is only one, as resampling one speaker gives no interval.
    """
    if speakers is None or len(set(speakers)) < 2:
        speakers = [str(index) for index in range(clips)]
    return np.unique(np.asarray(speakers), return_inverse=True)[1]


def mean_interval(values: np.ndarray, speakers: Sequence[str] | np.ndarray | None) -> list[float]:
    """95 % bootstrap interval of the mean of `values`, shape `(clips,)`, over speakers (see `_units`)."""
    speaker = _units(speakers, len(values))
    clips, sums = np.bincount(speaker), np.bincount(speaker, weights=values)
    drawn = np.random.default_rng(0).integers(len(clips), size=(RESAMPLES, len(clips)))
    return np.quantile(sums[drawn].sum(1) / clips[drawn].sum(1), [0.025, 0.975]).round(4).tolist()


__all__ = ["FEW_SPEAKERS", "RESAMPLES", "bootstrap_interval", "mean_interval"]
