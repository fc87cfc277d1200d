"""Scores of a model on a split: metrics with intervals, confusions, groups of speakers, human listeners."""

import math
from collections.abc import Sequence

import datasets
import numpy as np
import torch
from sklearn.metrics import classification_report
from sklearn.metrics import confusion_matrix
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from ser.corpora.clip_dataset import ClipDataset
from ser.corpora.splits import speakers_of
from ser.evaluation.intervals import FEW_SPEAKERS
from ser.evaluation.intervals import bootstrap_interval
from ser.evaluation.intervals import mean_interval
from ser.evaluation.metrics import SpeechEmotionMetric

# Each ends where the next begins.
AGE_BANDS = ((30, "under 30"), (45, "30 to 44"), (60, "45 to 59"), (math.inf, "60 and over"))
DURATION_BANDS = ((2, "under 2 s"), (3, "2 to 3 s"), (math.inf, "3 s and over"))


@torch.inference_mode()
def predict_logits(model: PreTrainedModel, clips: ClipDataset, *, batch_size: int, desc: str) -> np.ndarray:
    """Logits of all clips in float32, shape `(clips, num_labels)`."""
    model.eval()
    loader = torch.utils.data.DataLoader(clips, batch_size, collate_fn=clips.extractor.pad)
    logits = []
    for batch in tqdm(loader, desc=desc):
        inputs = {name: torch.as_tensor(batch[name], device=model.device) for name in clips.extractor.model_input_names}
        logits.append(model(**inputs).logits.cpu())
    return torch.cat(logits).numpy()


def score(labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Accuracy, UAR, macro and weighted F1 of class indices of shape `(clips,)`."""
    return SpeechEmotionMetric(keep_in_memory=True).compute(predictions=predicted, references=labels)


def most_confused(matrix: np.ndarray, names: Sequence[str], *, count: int = 5) -> list[dict]:
    """Off-diagonal cells of a confusion matrix with the largest share of their true class."""
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    np.fill_diagonal(share, 0)
    order = np.argsort(share, axis=None)[::-1][:count]
    cells = [np.unravel_index(index, share.shape) for index in order]
    return [
        {"label": names[i], "predicted": names[j], "clips": int(matrix[i, j]), "share": round(float(share[i, j]), 4)}
        for i, j in cells
        if share[i, j] > 0
    ]


def _band(value: float, bands: Sequence[tuple]) -> str:
    return next(name for end, name in bands if value < end)


def accuracy_by_group(clips: datasets.Dataset, hits: np.ndarray) -> dict[str, dict]:
    """Accuracy by sex, age band, race, level and duration band, for the columns that the corpus has.

    The interval is over the speakers of a group; None for a single speaker.
    """
    speakers = np.asarray(speakers_of(clips) or range(len(clips)))
    columns = {name: clips[name][:] for name in ("sex", "race", "level") if name in clips.column_names}
    for name, bands in (("age", AGE_BANDS), ("duration", DURATION_BANDS)):
        values = clips[name][:] if name in clips.column_names else []
        if values and None not in values and min(values) >= 0:
            columns[name] = [_band(value, bands) for value in values]
    return {
        column: {
            value: _group(hits[chosen := np.asarray(values) == value], speakers[chosen])
            for value in sorted(set(values))
        }
        for column, values in columns.items()
        if None not in values
    }


def _group(hits: np.ndarray, speakers: np.ndarray) -> dict:
    interval = mean_interval(hits.astype(float), speakers) if len(set(speakers)) > 1 else None
    return {"clips": len(hits), "accuracy": float(hits.mean()), "interval_95": interval}


def agreement(votes: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """How often a random listener's vote equals another listener's, the model's prediction, and the label.

    Args:
        votes: Number of votes for each label, shape `(clips, num_labels)`; clips with fewer than two are left out.
        labels: Intended emotions, shape `(clips,)`.
        predicted: Predicted emotions, shape `(clips,)`.
    """
    listeners = votes.sum(1)
    kept = listeners > 1
    votes, listeners, clip = votes[kept], listeners[kept], np.arange(kept.sum())
    return {
        "listener": float(np.mean((votes * (votes - 1)).sum(1) / (listeners * (listeners - 1)))),
        "model": float(np.mean(votes[clip, predicted[kept]] / listeners)),
        "intended": float(np.mean(votes[clip, labels[kept]] / listeners)),
    }


def listeners_votes(clips: datasets.Dataset) -> np.ndarray | None:
    """Number of listeners' votes for each label, shape `(clips, num_labels)`.

    Zeros for clips with incomplete votes; None if this is so for all clips.
    """
    columns = [f"votes_{name}" for name in clips.features["label"].names]
    if not set(columns) <= set(clips.column_names):
        return None
    votes = np.array([clips[column][:] for column in columns], dtype=float).T
    known = ~np.isnan(votes).any(1)
    return np.where(known[:, None], votes, 0) if known.any() else None


def human_confusion(votes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Confusion matrix of listeners' votes, `(num_labels, num_labels)`; votes of shape `(clips, num_labels)`."""
    return np.stack([votes[labels == label].sum(0) for label in range(votes.shape[1])]).astype(int)


def describe_split(clips: datasets.Dataset, logits: np.ndarray) -> dict:
    """Number of clips and actors, and scores, of one split."""
    speakers = speakers_of(clips)
    actors = None if speakers is None else len(set(speakers))
    return {"clips": len(clips), "actors": actors, **score(np.asarray(clips["label"][:]), logits.argmax(1))}


def describe_by_corpus(clips: datasets.Dataset, logits: np.ndarray) -> dict[str, dict]:
    """As `describe_split`, with the 95 % interval, for each corpus of the column corpus, by its title."""
    titles, found = np.asarray(clips["corpus"][:]), {}
    for title in dict.fromkeys(titles.tolist()):
        own, own_logits = clips.select(np.flatnonzero(titles == title)), logits[titles == title]
        interval = bootstrap_interval(
            np.asarray(own["label"][:]), own_logits.argmax(1), speakers_of(own), num_labels=own_logits.shape[1]
        )
        found[title] = describe_split(own, own_logits) | {"interval_95": interval}
    return found


def report_on_test(clips: datasets.Dataset, logits: np.ndarray) -> dict:
    """The fields of a report on the test split."""
    names = clips.features["label"].names
    labels, predicted = np.asarray(clips["label"][:]), logits.argmax(1)
    matrix = confusion_matrix(labels, predicted, labels=range(len(names)))
    summary, votes = describe_split(clips, logits), listeners_votes(clips)
    if votes is not None and not votes.any(1).all():  # votes on only some clips cannot be compared with the model
        votes = None
    people = None if votes is None else human_confusion(votes, labels)
    by_actor = (summary["actors"] or 0) > 1
    return {
        **{name: summary[name] for name in ("accuracy", "uar", "macro_f1", "weighted_f1")},
        "test_clips": summary["clips"],
        "test_actors": summary["actors"],
        "interval_95": bootstrap_interval(labels, predicted, speakers_of(clips), num_labels=len(names)),
        "interval_over": "actors" if by_actor else "clips",
        "interval_too_narrow": (by_actor and summary["actors"] < FEW_SPEAKERS) or summary["accuracy"] in (0, 1),
        "labels": names,
        "per_class": classification_report(
            labels, predicted, labels=range(len(names)), target_names=names, output_dict=True, zero_division=0
        ),
        "confusion_matrix": matrix.tolist(),
        "most_confused": most_confused(matrix, names),
        "groups": accuracy_by_group(clips, predicted == labels),
        "agreement_with_a_listener": None if votes is None else agreement(votes, labels, predicted),
        "human_single_vote_accuracy": None if people is None else float(np.trace(people) / people.sum()),
        "human_confusion_matrix": None if people is None else people.tolist(),
    }


__all__ = [
    "accuracy_by_group",
    "agreement",
    "describe_by_corpus",
    "describe_split",
    "human_confusion",
    "listeners_votes",
    "most_confused",
    "predict_logits",
    "report_on_test",
    "score",
]
