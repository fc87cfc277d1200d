"""Confidence intervals: the bootstrap over speakers."""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000


FEW_SPEAKERS = 8  # fewer, drawn again, differ less than others would: such an interval holds less often than it says


def bootstrap_interval(
    labels: np.ndarray,
    predicted: np.ndarray,
    speakers: Sequence[str] | np.ndarray | None,
    *,
    num_labels: int,
    seed: int = 0,
) -> dict[str, list[float]]:
    """95 % intervals of accuracy and UAR when whole speakers (see `_drawn`) are drawn again with replacement.

    Args:
        labels: Shape `(clips,)`.
        predicted: Shape `(clips,)`.
        speakers: Of the clips; None where they are not known.
        num_labels: Number of classes.
        seed: Of the draws.
    """
    group = _drawn(speakers, len(labels))
    shape = (group.max() + 1, num_labels)
    clips, hits = np.zeros(shape), np.zeros(shape)
    np.add.at(clips, (group, labels), 1)
    np.add.at(hits, (group, labels), predicted == labels)
    drawn = np.random.default_rng(seed).integers(shape[0], size=(RESAMPLES, shape[0]))
    clips, hits = clips[drawn].sum(1), hits[drawn].sum(1)  # (resamples, num_labels)
    recall = np.divide(hits, clips, out=np.full_like(hits, np.nan), where=clips > 0)
    samples = {"accuracy": hits.sum(1) / clips.sum(1), "uar": np.nanmean(recall, axis=1)}
    return {name: np.quantile(values, [0.025, 0.975]).round(4).tolist() for name, values in samples.items()}


def _drawn(speakers: Sequence[str] | np.ndarray | None, clips: int) -> np.ndarray:
    """What is drawn again for an interval, by its number, shape `(clips,)`: the speaker of each clip.

    The clip itself, where speakers are not known, or there is one only: drawing that one would say nothing.
    """
    if speakers is None or len(set(speakers)) < 2:
        speakers = [str(index) for index in range(clips)]
    return np.unique(np.asarray(speakers), return_inverse=True)[1]


def mean_interval(values: np.ndarray, speakers: Sequence[str] | np.ndarray | None) -> list[float]:
    """95 % interval of the mean of `values`, shape `(clips,)`, when whole speakers (see `_drawn`) are drawn again."""
    speaker = _drawn(speakers, len(values))
    clips, sums = np.bincount(speaker), np.bincount(speaker, weights=values)
    drawn = np.random.default_rng(0).integers(len(clips), size=(RESAMPLES, len(clips)))
    return np.quantile(sums[drawn].sum(1) / clips[drawn].sum(1), [0.025, 0.975]).round(4).tolist()


__all__ = ["FEW_SPEAKERS", "RESAMPLES", "bootstrap_interval", "mean_interval"]
