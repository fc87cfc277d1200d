"""Distillation: the network also learns what trained models, its teachers, answer for the training clips.

Each teacher classifies the whole clip as it was recorded, with its own feature extractor, once before training; the
student gets an augmented crop of it (Hinton et al. 2015, arXiv:1503.02531; Li et al. 2017, arXiv:1708.05466). So
teachers may be other networks with other features, and an epoch takes no longer.
"""

from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import datasets
import numpy as np
import torch

from ser.corpora.clip_dataset import ClipDataset
from ser.corpora.clip_dataset import with_features
from ser.evaluation.scores import predict_logits
from ser.inference.loading import labels_of
from ser.inference.loading import load_reported
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.reporting.provenance import split_difference
from ser.reporting.provenance import training_splits
from ser.reporting.report_file import Split


class Teacher(NamedTuple):
    """A trained network and its feature extractor."""

    model: Any  # a PreTrainedModel
    extractor: SERFeatureExtractor


def load_teacher(folder: str, split: Split, labels: list[str]) -> Teacher:
    """A model that was trained on this run's training split and on none of its other clips.

    Args:
        folder: Of the model, with its `results.json`.
        split: Of this run, by the fields of its report.
        labels: Of this run.

    Raises:
        ValueError: It is no model of this project, has other labels, or was trained on another split.
    """
    try:
        model, extractor, report = load_reported(folder)
    except ValueError as error:
        raise ValueError(f"--teachers: {error}") from error
    trained_on = training_splits(report)
    if trained_on is None:
        raise ValueError(f"--teachers: it is unknown what {folder!r} was fine-tuned from; take another model")
    for other in trained_on:
        if split["refit"]:
            other = other | {"refit": True}  # it may have used for selection what is now trained on
        if difference := split_difference(other, split):
            raise ValueError(
                f"--teachers: {folder!r} was trained {difference}: take teachers that were trained on the same split, "
                "as others may have been trained on this run's test clips, or go without them: --teacher_share 0"
            )
    if labels_of(model) != labels:
        raise ValueError(f"--teachers: {folder!r} has other labels than this run")
    return Teacher(model, extractor)


def teacher_probabilities(teachers: Sequence[Teacher], clips: datasets.Dataset, device: torch.device) -> np.ndarray:
    """Mean probabilities of the teachers, shape `(clips, num_labels)`."""
    sources = clips.remove_columns(["features", "frames"])  # which are of the student
    mean = np.zeros((len(clips), len(clips.features["label"].names)))
    for model, extractor in teachers:
        dataset = ClipDataset(with_features(sources, extractor), extractor)
        logits = predict_logits(model.to(device), dataset, batch_size=16, desc="Asking a teacher")
        mean += torch.from_numpy(logits).softmax(1).numpy() / len(teachers)
    return mean


__all__ = ["Teacher", "load_teacher", "teacher_probabilities"]
