"""Predictions relative to their group: the clips of a speaker or a folder, or the windows of a recording.

The mean log-probability of each label over the group is subtracted, and with it what is specific to a voice, a
microphone or a language. This assumes that the group contains several emotions: if one dominates, it is subtracted as
well, and the predictions mislead.
"""

from collections.abc import Hashable
from collections.abc import Sequence

import numpy as np

SMALLEST = 1e-6  # probability, so that one clip of probability 0 does not decide a mean


class GroupMeans:
    """Mean log-probabilities of groups, which may be added in batches; None means no group."""

    def __init__(self) -> None:
        self._sums: dict[Hashable, np.ndarray] = {}
        self._clips: dict[Hashable, int] = {}

    def add(self, log: np.ndarray, groups: Sequence[Hashable] | np.ndarray) -> None:
        """Add log-probabilities of shape `(clips, num_labels)`, with the group of each clip."""
        for values, group in zip(log, groups, strict=True):
            self._sums[group] = self._sums.get(group, 0.0) + values
            self._clips[group] = self._clips.get(group, 0) + 1

    @property
    def alone(self) -> int:
        """Number of clips that `centre` does not change."""
        return sum(clips for group, clips in self._clips.items() if not self.has(group))

    def has(self, group: Hashable) -> bool:
        """Whether the group has a useful mean, which takes more than one clip."""
        return group is not None and self._clips.get(group, 0) > 1

    def centre(self, log: np.ndarray, groups: Sequence[Hashable] | np.ndarray) -> np.ndarray:
        """Log-probabilities relative to their group, normalised again; a clip alone in its group does not change."""
        nothing = np.zeros(log.shape[1])
        means = [self._sums[group] / self._clips[group] if self.has(group) else nothing for group in groups]
        relative = log - np.reshape(means, log.shape)
        return relative - np.logaddexp.reduce(relative, axis=1, keepdims=True)


def centred(log: np.ndarray, groups: Sequence[Hashable] | np.ndarray) -> np.ndarray:
    """All log-probabilities, shape `(clips, num_labels)`, relative to their groups."""
    means = GroupMeans()
    means.add(log, groups)
    return means.centre(log, groups)


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities, which are raised to at least `SMALLEST`."""
    return np.log(np.maximum(probabilities, SMALLEST))


__all__ = ["GroupMeans", "centred", "log_probabilities"]
