"""Certain answers: how many there are, how many of them are right, and the threshold that makes an answer certain."""

from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from ser.evaluation.cross_corpus_calibration import Speech
from ser.evaluation.intervals import bootstrap_interval
from ser.evaluation.scores import score

RIGHT = 0.70  # of certain answers, at least
CERTAIN_WRONG = 0.08  # of ordinary speech that is called another emotion with certainty, at most
THRESHOLDS = np.arange(30, 96) / 100
NEVER = 1.0  # the threshold of a model that keeps these promises at no threshold


def is_certain(log: np.ndarray, threshold: float) -> np.ndarray:
    """Whether each clip gets a certain answer; log-probabilities `(clips, num_labels)` to `(clips,)`."""
    return np.exp(log.max(1)) >= threshold


def curve(judged: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[dict[str, float]]:
    """Risk and coverage: by threshold, the share of certain answers, and the share of these that is right.

    Args:
        judged: Log-probabilities and labels of each corpus; all corpora have the same weight.
    """
    points = []
    for threshold in THRESHOLDS:
        certain = [is_certain(log, threshold) for log, _ in judged]
        hits = [log.argmax(1) == labels for log, labels in judged]
        coverage = np.mean([each.mean() for each in certain])
        if coverage:
            right = np.mean([(one & other).mean() for one, other in zip(certain, hits, strict=True)]) / coverage
            points.append({"threshold": float(threshold), "certain": float(coverage), "right": float(right)})
    return points


def choose_threshold(points: Iterable[dict[str, float]], ordinary: Speech, log: np.ndarray) -> float:
    """The lowest threshold that keeps both promises, `RIGHT` and `CERTAIN_WRONG`; `NEVER` if none does.

    Args:
        points: Returned by `curve`.
        ordinary: Ordinary speech.
        log: Its log-probabilities.
    """
    return next(
        (
            point["threshold"]
            for point in points
            if point["right"] >= RIGHT and certain_wrong(ordinary, log, point["threshold"]) <= CERTAIN_WRONG
        ),
        NEVER,
    )


def certain_wrong(speech: Speech, log: np.ndarray, threshold: float) -> float:
    """The share of clips with a certain but wrong answer."""
    return float(((log.argmax(1) != speech.labels) & is_certain(log, threshold)).mean())


def measure(speech: Speech, log: np.ndarray, threshold: float, names: Sequence[str]) -> dict:
    """Scores, the recall of each label, the mean confidence, and certain answers.

    Args:
        speech: The clips.
        log: Their log-probabilities, shape `(clips, num_labels)`.
        threshold: Probability from which an answer is certain.
        names: Of the labels.
    """
    _, labels, speakers = speech
    predicted = log.argmax(1)
    hits, certain = predicted == labels, is_certain(log, threshold)
    scores = score(labels, predicted)
    return {
        "clips": len(labels),
        "speakers": len(set(speakers)),
        "accuracy": scores["accuracy"],
        "uar": scores["uar"],
        "interval_95": bootstrap_interval(labels, predicted, speakers, num_labels=len(names)),
        "recall": {names[label]: float(hits[labels == label].mean()) for label in np.unique(labels)},
        "confidence": float(np.exp(log.max(1)).mean()),
        "certain": float(certain.mean()),
        "certain_right": float(hits[certain].mean()) if certain.any() else None,
        "certain_wrong": certain_wrong(speech, log, threshold),
    }


__all__ = ["CERTAIN_WRONG", "RIGHT", "choose_threshold", "curve", "measure"]
