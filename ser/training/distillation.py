"""Teachers: trained models whose answers to the training clips a network learns beside the labels.

Each teacher hears the whole clip as it was recorded, by its own front end, once before training; the student hears a
piece of it in another room, line and noise (Hinton et al. 2015, arXiv:1503.02531; for what is noisy after what is
clean, Li et al. 2017, arXiv:1708.05466). So networks of other kinds and features can teach, and an epoch costs no more.

Of a clip that it was trained on, a teacher knows the label by heart. Those trained with `--held_out` can say what one
hears who does not: where any of the teachers has never heard a clip's speaker, the others are not asked.
"""

from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import datasets
import numpy as np
import torch

from ser.corpora.clip_dataset import ClipDataset
from ser.corpora.clip_dataset import with_features
from ser.corpora.splits import fifth_of
from ser.evaluation.scores import predict_logits
from ser.inference.loading import labels_of
from ser.inference.loading import load_reported
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.reporting.provenance import different
from ser.reporting.provenance import heard_splits


class Teacher(NamedTuple):
    """A trained network, its front end, and the fifth of this run's training speakers that it never heard, if any."""

    model: Any  # a PreTrainedModel
    extractor: SERFeatureExtractor
    held_out: int | None


def load_teacher(folder: str, split: dict, labels: list[str]) -> Teacher:
    """A model that heard the training part of this run and nothing of its other parts.

    Args:
        folder: Of the model, with its `results.json`.
        split: What this run's report will say of its parts, by the names of the fields there.
        labels: Of this run.

    Raises:
        ValueError: It is no model of this project, knows other labels, or was trained on other parts.
    """
    try:
        model, extractor, report = load_reported(folder)
    except ValueError as error:
        raise ValueError(f"--teachers: {error}") from error
    heard = heard_splits(report)
    if heard is None:
        raise ValueError(f"--teachers: nobody can tell what {folder!r} has heard before; take another one")
    may_differ: dict = {"held_out": None}
    if split["refit"]:
        if report.get("held_out"):
            raise ValueError(f"--teachers: {folder!r} lacks a fifth of other speakers than a run with --refit has")
        may_differ |= {"refit": True}  # it may have chosen on clips that are now trained on
    for other in heard:
        if difference := different(other | may_differ, split):
            raise ValueError(
                f"--teachers: {folder!r} was trained {difference}: take teachers that were trained on the very same "
                "parts, as others may have heard this run's test part, or go without them: --teacher_share 0"
            )
    if labels_of(model) != labels:
        raise ValueError(f"--teachers: {folder!r} knows other labels than this run")
    return Teacher(model, extractor, report.get("held_out"))


def teachers_say(teachers: Sequence[Teacher], clips: datasets.Dataset, device: torch.device) -> np.ndarray:
    """Mean probabilities of the teachers that are asked, shape `(clips, num_labels)`.

    Raises:
        ValueError: Some were trained without a fifth of the speakers, and there are fewer than five.
    """
    sources = clips.remove_columns(["features", "frames"])  # which are of the student
    unheard = np.zeros((len(teachers), len(clips)), dtype=bool)
    if any(teacher.held_out for teacher in teachers):
        unheard = fifth_of(clips) == np.array([[teacher.held_out or 0] for teacher in teachers])
    asked = unheard | ~unheard.any(0)
    answers = np.zeros((len(clips), len(clips.features["label"].names)))
    for (model, extractor, _), theirs in zip(teachers, asked, strict=True):
        if not theirs.any():
            continue
        heard = with_features(sources.select(np.flatnonzero(theirs)), extractor)
        logits = predict_logits(model.to(device), ClipDataset(heard, extractor), batch_size=16, desc="Asking")
        answers[theirs] += torch.from_numpy(logits).softmax(1).numpy()
    return answers / asked.sum(0)[:, None]


__all__ = ["Teacher", "load_teacher", "teachers_say"]
