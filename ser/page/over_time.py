"""A long recording over time, as the page draws it: raw, smoothed, and relative to the recording itself."""

from typing import Any

import numpy as np

from ser.inference import timeline
from ser.page import trust
from ser.page.emotions import adjective
from ser.page.emotions import face
from ser.page.emotions import tone
from ser.page.offered_models import OfferedModel

NEIGHBOURS = 5  # windows that are averaged
PEAKS_RATE = 8000  # Hz, of the sound from which the waveform is drawn
MOST_PEAKS, PEAKS_EACH_SECOND = 12_000, 50
NOBODY = ("e-none", "nobody speaks")


def describe(path: str, rows: list[dict], model: OfferedModel) -> dict[str, Any]:
    """What `timeline` of page.js draws.

    Args:
        path: The recording.
        rows: Its windows, as `ser.inference.timeline.analyse` returns them.
        model: The model that classified them.
    """
    labels, speech = sorted(rows[0]["probabilities"]), [row["speech"] for row in rows]
    raw, relative = _table(rows, labels), _table(timeline.relative_to_recording(rows), labels)
    least = trust.threshold(model)
    views = {
        "raw": _named(raw, labels, speech, 0.0),
        "smoothed": _named(smooth(raw, speech), labels, speech, least),
        "relative": _named(relative, labels, speech, 0.0),
    }
    looks = [*labels, "unclear", "none"]
    return {
        "seconds": rows[-1]["end"],
        "hop": timeline.HOP,
        "peaks": peaks(path, rows[-1]["end"]),
        "faces": {tone(look): face(look) for look in looks},
        "rows": [
            {"start": row["start"]} | {view: named[index] for view, named in views.items()}
            for index, row in enumerate(rows)
        ],
    }


def smooth(probabilities: np.ndarray, speech: list[bool]) -> np.ndarray:
    """Moving average over `NEIGHBOURS` windows, leaving out those without speech; shape `(windows, labels)`."""
    weights, kernel, half = np.array(speech, float), np.ones(NEIGHBOURS), NEIGHBOURS // 2
    summed = [np.convolve(column, kernel) for column in (weights, *(probabilities * weights[:, None]).T)]
    counts, *sums = (column[half : half + len(speech)] for column in summed)
    return np.stack(sums, axis=1) / np.maximum(counts, 1)[:, None]


def _table(rows: list[dict], labels: list[str]) -> np.ndarray:
    """Probabilities of shape `(windows, labels)`."""
    return np.array([[row["probabilities"][label] for label in labels] for row in rows])


def _named(probabilities: np.ndarray, labels: list[str], speech: list[bool], least: float) -> list[tuple[str, str]]:
    """Style and words of each window."""
    named = []
    for row, spoken in zip(probabilities, speech, strict=True):
        first, second = np.argsort(-row)[:2]
        words = f"{adjective(labels[first])} {row[first]:.0%}"
        if not spoken:
            named.append(NOBODY)
        elif row[first] < least:
            named.append(("e-unclear", f"unclear: {adjective(labels[first])} or {adjective(labels[second])}"))
        else:
            named.append((tone(labels[first]), words))
    return named


def peaks(path: str, seconds: float) -> list[float]:
    """The waveform's envelope: the square root of the peak of each stretch, scaled to at most 1."""
    count = int(min(MOST_PEAKS, PEAKS_EACH_SECOND * seconds))
    blocks = [np.abs(block) for block in timeline.read_blocks(path, PEAKS_RATE)]
    edges = np.linspace(0, sum(map(len, blocks)), count, endpoint=False).astype(int)
    found = np.maximum.reduceat(np.concatenate(blocks), edges)
    return np.sqrt(found / max(float(found.max()), 1e-9)).round(2).tolist()


__all__ = ["describe", "peaks", "smooth"]
