"""Distillation: the network also learns the probabilities that trained models, its teachers, give for training clips.

Each teacher classifies the whole unchanged clip, with its own feature extractor, once before training; the student gets
an augmented crop of it (Hinton et al. 2015, arXiv:1503.02531; Li et al. 2017, arXiv:1708.05466). So teachers may be
other networks with other features, and an epoch takes no longer. With several corpora, a teacher classifies only the
clips of those that it was trained on.
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
from ser.reporting.provenance import by_corpus
from ser.reporting.provenance import split_difference
from ser.reporting.provenance import training_splits
from ser.reporting.report_file import Split


class Teacher(NamedTuple):
    """A trained network, its feature extractor and the titles of the corpora that it was trained on."""

    model: Any  # a PreTrainedModel
    extractor: SERFeatureExtractor
    corpora: frozenset[str]


def load_teacher(folder: str, split: Split, labels: list[str]) -> Teacher:
    """A model that was trained on this run's training split and on none of its other clips.

    Args:
        folder: Of the model, with its `results.json`.
        split: Of this run, by the fields of its report.
        labels: Of this run.

    Raises:
        ValueError: It is not a model of this project, has other labels, or was trained on another split.
    """
    try:
        model, extractor, report = load_reported(folder)
    except ValueError as error:
        raise ValueError(f"--teachers: {error}") from error
    trained_on = training_splits(report)
    if trained_on is None:
        raise ValueError(f"--teachers: it is unknown what {folder!r} was fine-tuned from; take another model")
    taught = {each["corpus"]: each for each in by_corpus(split)}
    known = [each for other in trained_on for each in by_corpus(other)]
    for other in known:
        if split["refit"]:
            other = other | {"refit": True}  # its dev split may be trained on now
        if difference := split_difference(other, taught.get(other["corpus"], split)):
            raise ValueError(
                f"--teachers: {folder!r} was trained {difference}: take teachers that were trained on the same split, "
                "as others may have been trained on this run's test clips, or train without teachers: --teacher_share 0"
            )
    if labels_of(model) != labels:
        raise ValueError(f"--teachers: {folder!r} has other labels than this run")
    return Teacher(model, extractor, frozenset(each["corpus"] for each in known))


def teacher_probabilities(teachers: Sequence[Teacher], clips: datasets.Dataset, device: torch.device) -> np.ndarray:
    """Summed probabilities of the teachers that know the corpus of a clip, shape `(clips, num_labels)`."""
    sources = clips.remove_columns(["features", "frames"])  # features of the student
    several = "corpus" in clips.column_names
    summed = np.zeros((len(clips), len(clips.features["label"].names)))
    for model, extractor, corpora in teachers:
        known = np.flatnonzero([title in corpora for title in clips["corpus"]] if several else np.ones(len(clips)))
        dataset = ClipDataset(with_features(sources.select(known), extractor), extractor)
        logits = predict_logits(model.to(device), dataset, batch_size=16, desc="Asking a teacher")
        summed[known] += torch.from_numpy(logits).softmax(1).numpy()
    return summed


__all__ = ["Teacher", "load_teacher", "teacher_probabilities"]
