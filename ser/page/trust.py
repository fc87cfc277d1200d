"""How far a model's answers can be trusted, as measured on other people's recordings."""

from statistics import fmean
from typing import Any

from ser.page.offered_models import OfferedModel
from ser.reporting.report_file import measured

ENOUGH = 0.02  # share of clips with answers of such a probability, below which their accuracy says little
CERTAIN = 0.5  # probability from which an answer is certain, for a model without a `certain_threshold`


def on_strangers(model: OfferedModel) -> dict[str, Any]:
    """What `python -m ser calibrate` measured; empty if it was not run."""
    return measured(model.folder, "strangers")


def threshold(model: OfferedModel) -> float:
    """Probability from which an answer is certain."""
    config = model.classifier.model.config
    own = config.certain_threshold if model.voice is None else config.ordinary_voice["certain_threshold"]
    return CERTAIN if own is None else own


def other_corpora(model: OfferedModel) -> dict[str, float]:
    """Accuracy by the corpora that the model was not trained on, relative to ordinary voices if it knows one."""
    found = on_strangers(model).get("corpora") or measured(model.folder, "corpora")
    if model.voice is not None:
        found = {name: each["ordinary_voice"]["1"] for name, each in found.items() if each.get("ordinary_voice")}
    return {name: each["accuracy"] for name, each in found.items()}


def right_on_strangers(model: OfferedModel) -> float | None:
    """Mean accuracy over those corpora."""
    return fmean(accuracies) if (accuracies := other_corpora(model).values()) else None


def ordinary_speech(model: OfferedModel) -> float | None:
    """Share of clips of ordinary speech with a certain but wrong answer."""
    return on_strangers(model).get("ordinary", {}).get("certain_wrong")


def gain_of_voice(model: OfferedModel) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Accuracy without and with one recording of the ordinary voice: mean over corpora, and on ordinary speech."""
    strangers = on_strangers(model)
    if not strangers.get("ordinary_voice"):
        return None
    found = [each["ordinary_voice"]["1"] for each in strangers["corpora"].values() if each["ordinary_voice"]]
    spoken = strangers["ordinary"]["ordinary_voice"]["1"]
    without, relative = (fmean(each[what] for each in found) for what in ("without", "accuracy"))
    return (without, relative), (spoken["without"], spoken["accuracy"])


def right_when(model: OfferedModel, share: float) -> float | None:
    """Accuracy of the model's answers of at least this probability, on other people's recordings.

    If too few answers were that certain, it is the accuracy at the highest probability that enough of them had.
    """
    strangers = on_strangers(model)
    curve = (strangers if model.voice is None else strangers.get("ordinary_voice") or {}).get("curve", [])
    reached = [point for point in curve if point["threshold"] <= share and point["certain"] >= ENOUGH]
    return max(reached, key=lambda point: point["threshold"])["right"] if reached else None


__all__ = [
    "gain_of_voice",
    "on_strangers",
    "ordinary_speech",
    "other_corpora",
    "right_on_strangers",
    "right_when",
    "threshold",
]
