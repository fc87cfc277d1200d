"""Answers relative to a speaker's ordinary voice, which one or a few recordings of ordinary speech show.

A voice, a microphone and a language change a model's answers to all clips in much the same way. The log-probabilities
of ordinary speech show this change, so most of it can be subtracted.
"""

from typing import Any

import numpy as np

SHARE = 0.75  # of the log-probabilities of the ordinary voice: one recording shows it only roughly
SETTINGS = ("temperature", "bias", "certain_threshold")


def check_calibrated(settings: dict[str, Any] | None) -> dict[str, Any]:
    """The settings of a model; raises `ValueError` if it has none."""
    if settings is None:
        raise ValueError(
            "this model was not calibrated for answers relative to an ordinary voice; choose another model, or run "
            "`python -m ser calibrate` on it"
        )
    return settings


def relative_to(voice: np.ndarray, log: np.ndarray, settings: dict[str, Any] | None) -> np.ndarray:
    """Log-probabilities relative to the ordinary voice of their speaker.

    Args:
        voice: Mean log-probabilities over recordings of the ordinary voice, shape `(num_labels,)`.
        log: Log-probabilities of clips of the same speaker, shape `(clips, num_labels)`.
        settings: `ordinary_voice` in the configuration of the model that gave both.

    Raises:
        ValueError: The model has no such settings.
    """
    settings = check_calibrated(settings)
    relative = (log - SHARE * voice) / settings["temperature"] + np.asarray(settings["bias"])
    return relative - np.logaddexp.reduce(relative, axis=1, keepdims=True)


__all__ = ["SETTINGS", "SHARE", "check_calibrated", "relative_to"]
