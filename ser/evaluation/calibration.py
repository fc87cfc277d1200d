"""Probabilities that mean what they say: a temperature, fitted on the dev part (Guo et al. 2017, arXiv:1706.04599)."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

BINS = 15
TEMPERATURES = (0.05, 20.0)
SPREAD = 0.5  # of the logarithm of temperatures, as far as one knows before looking


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean over clips of minus the log probability of the label; logits `(clips, num_labels)`, labels `(clips,)`."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The number by which to divide logits so that their probabilities fit the labels best.

    A few clips tell little, and if all of them are right, nothing would be too sure. So the temperature is taken to be
    near 1 beforehand, which some hundred clips outweigh.

    Args:
        logits: Of the dev part, shape `(clips, num_labels)`.
        labels: Class indices, shape `(clips,)`.
    """
    bounds = np.log(TEMPERATURES)

    def loss(log: float) -> float:
        return len(labels) * negative_log_likelihood(logits / np.exp(log), labels) + (log / SPREAD) ** 2 / 2

    return float(np.exp(minimize_scalar(loss, bounds=bounds).x))


def reliability(logits: np.ndarray, labels: np.ndarray) -> dict:
    """How often the first guess is right, by how sure it claims to be.

    Returns:
        "ece", the expected calibration error: the mean gap between confidence and accuracy over bins of equal width,
        weighted by their clips; "nll", the negative log likelihood; and "bins" with confidence, accuracy and clips.
    """
    probabilities = np.exp(log_softmax(logits, axis=1))
    confidence, hits = probabilities.max(1), logits.argmax(1) == labels
    index = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = [
        {
            "confidence": float(confidence[chosen].mean()),
            "accuracy": float(hits[chosen].mean()),
            "clips": int(sum(chosen)),
        }
        for chosen in (index == number for number in range(BINS))
        if chosen.any()
    ]
    gaps = [abs(each["confidence"] - each["accuracy"]) * each["clips"] for each in bins]
    return {"ece": sum(gaps) / len(labels), "nll": negative_log_likelihood(logits, labels), "bins": bins}


__all__ = ["fit_temperature", "negative_log_likelihood", "reliability"]
