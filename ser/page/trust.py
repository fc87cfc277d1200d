"""How far a model's answers can be trusted, from what was measured of it on recordings of other people."""

from statistics import fmean
from typing import Any

from ser.page.offered_models import OfferedModel
from ser.reporting.report_file import measured

ENOUGH = 0.02  # share of clips with answers so sure, below which how many of them were right says little
PLAIN = 0.5  # probability from which an emotion is stated plainly by a model whose configuration does not say


def on_strangers(model: OfferedModel) -> dict[str, Any]:
    """What `python -m ser calibrate` measured; empty if it was not run."""
    return measured(model.folder, "strangers")


def threshold(model: OfferedModel) -> float:
    """Probability from which the likeliest emotion is stated plainly."""
    own = getattr(model.classifier.model.config, "certain_threshold", None)
    return PLAIN if own is None else own


def other_corpora(model: OfferedModel) -> dict[str, float]:
    """Accuracy by the corpora that the model was not trained on."""
    found = on_strangers(model).get("corpora") or measured(model.folder, "corpora")
    return {name: each["accuracy"] for name, each in found.items()}


def right_on_strangers(model: OfferedModel) -> float | None:
    """Mean accuracy over those corpora."""
    return fmean(accuracies) if (accuracies := other_corpora(model).values()) else None


def ordinary_speech(model: OfferedModel) -> float | None:
    """Share of clips of ordinary speech that are plainly called an emotion which they do not have."""
    return on_strangers(model).get("ordinary", {}).get("plain_wrong")


def right_when(model: OfferedModel, share: float) -> float | None:
    """In how many of the answers that were at least this sure the model was right, on other people's recordings.

    Of answers surer than nearly all that were measured, as many as of the surest that were measured often enough.
    """
    curve = on_strangers(model).get("curve", [])
    reached = [point for point in curve if point["threshold"] <= share and point["plain"] >= ENOUGH]
    return max(reached, key=lambda point: point["threshold"])["right"] if reached else None


__all__ = ["on_strangers", "ordinary_speech", "other_corpora", "right_on_strangers", "right_when", "threshold"]
