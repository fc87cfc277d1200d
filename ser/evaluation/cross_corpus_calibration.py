"""Calibration with a temperature and a bias for each label, for corpora that a model was not trained on."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

PRIOR = 1.0  # inverse variance of the biases around 0, and of the logarithm of the temperature


class Speech(NamedTuple):
    """Logits of an uncalibrated model for the clips of a corpus."""

    logits: np.ndarray  # (clips, num_labels)
    labels: np.ndarray  # (clips,), indices among the model's labels
    speakers: np.ndarray  # (clips,), their names

    def halves(self) -> tuple["Speech", "Speech"]:
        """The clips of every other speaker, and those of the rest."""
        first = np.isin(self.speakers, np.unique(self.speakers)[::2])
        return Speech(*(values[first] for values in self)), Speech(*(values[~first] for values in self))


class Calibration(NamedTuple):
    """Divides logits by the temperature, then adds the bias."""

    temperature: float
    bias: np.ndarray  # (num_labels,)

    def log_probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated log-probabilities; logits and result of shape `(clips, num_labels)`."""
        return log_softmax(logits / self.temperature + self.bias, axis=1)


class _Term(NamedTuple):
    speech: Speech
    known: np.ndarray  # (num_labels,), whether the corpus has clips of the label
    weights: np.ndarray  # (clips,)


def fit(corpora: Iterable[Speech], ordinary: Speech) -> Calibration:
    """The calibration with the highest posterior probability.

    All corpora, including ordinary speech, have the same weight, as have all labels within a corpus. The softmax is
    over the labels that a corpus has; for ordinary speech, which has only one, over all labels.
    """
    num_labels = ordinary.logits.shape[1]
    terms = []
    for speech in corpora:
        clips = np.bincount(speech.labels, minlength=num_labels)
        terms.append(_Term(speech, clips > 0, 1 / (clips[speech.labels] * np.count_nonzero(clips))))
    weights = np.full(len(ordinary.labels), 1 / len(ordinary.labels))
    terms.append(_Term(ordinary, np.ones(num_labels, dtype=bool), weights))
    best = minimize(_loss, np.zeros(1 + num_labels), args=(terms,), jac=True, method="L-BFGS-B").x
    return Calibration(float(np.exp(-best[0])), best[1:] - best[1:].mean())


def _loss(parameters: np.ndarray, terms: list[_Term]) -> tuple[float, np.ndarray]:
    """The negative log posterior and its gradient; the parameters are minus the log temperature, and the biases."""
    scale, bias = np.exp(parameters[0]), parameters[1:]
    loss, gradient = PRIOR / 2 * np.square(parameters).sum(), PRIOR * parameters
    for (logits, labels, _), known, weights in terms:
        log = log_softmax(np.where(known, logits * scale + bias, -np.inf), axis=1)
        clip = np.arange(len(labels))
        loss -= weights @ log[clip, labels]
        excess = np.exp(log)
        excess[clip, labels] -= 1
        excess *= weights[:, None]
        gradient[0] += scale * (excess * logits).sum()
        gradient[1:] += excess.sum(0)
    return loss, gradient


__all__ = ["Calibration", "PRIOR", "Speech", "fit"]
