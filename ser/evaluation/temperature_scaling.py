"""Calibration: a temperature, fitted on the dev split (Guo et al. 2017, arXiv:1706.04599), and reliability."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

BINS = 15
TEMPERATURES = (0.05, 20.0)
SPREAD = 0.5  # standard deviation of the prior of log temperatures


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean over clips of minus the log probability of the label; logits `(clips, num_labels)`, labels `(clips,)`."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature by which to divide logits so that the probabilities fit the labels best.

    A prior keeps the temperature of a few clips near 1; some hundred clips outweigh it.

    Args:
        logits: Of the dev split, shape `(clips, num_labels)`.
        labels: Class indices, shape `(clips,)`.
    """
    bounds = np.log(TEMPERATURES)

    def loss(log: float) -> float:
        return len(labels) * negative_log_likelihood(logits / np.exp(log), labels) + (log / SPREAD) ** 2 / 2

    return float(np.exp(minimize_scalar(loss, bounds=bounds).x))


def reliability(logits: np.ndarray, labels: np.ndarray) -> dict:
    """Accuracy by confidence.

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
