"""Accuracy of a trained model on another corpus, or on your own labelled clips.

python -m ser cross-corpus checkpoints/cnn2d --corpus emodb --data_dir data/emodb
python -m ser cross-corpus checkpoints/flagship-bilingual --dataset_dir my-clips    # metadata.csv or subfolders
writes cross_corpus.json into the model folder and rewrites its model card; no clip is used for training or calibration.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np
from scipy.special import softmax
from transformers import PreTrainedModel

from ser.corpora import CORPORA
from ser.corpora import corpora_within
from ser.corpora import corpus_of
from ser.corpora import load_labelled_audio
from ser.corpora import title_of
from ser.corpora.clip_dataset import ClipDataset
from ser.corpora.clip_dataset import with_features
from ser.corpora.labelled_audio import SPELLINGS
from ser.corpora.splits import speakers_of
from ser.evaluation.intervals import bootstrap_interval
from ser.evaluation.scores import predict_logits
from ser.evaluation.scores import score
from ser.evaluation.temperature_scaling import reliability
from ser.files import check_writable
from ser.inference.loading import labels_of
from ser.inference.loading import load_reported
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.plural import counted
from ser.reporting.model_card import record
from ser.reporting.provenance import corpora_of
from ser.reporting.provenance import git_commit
from ser.reporting.provenance import training_splits
from ser.reporting.report_file import Report
from ser.reporting.report_file import measured

STOPPED = "nothing was written"


def own_label(label: str, labels: Sequence[str]) -> int | None:
    """Index of another corpus's `label` among a model's labels; None if the model does not have it.

    Example:
        >>> own_label("happiness", ["anger", "happy"]), own_label("boredom", ["anger", "happy"])
        (1, None)
    """
    spelt = [SPELLINGS.get(name.lower(), name.lower()) for name in (label, *labels)]
    return spelt.index(spelt[0], 1) - 1 if spelt[0] in spelt[1:] else None


def measure(model: PreTrainedModel, extractor: SERFeatureExtractor, clips: datasets.Dataset) -> dict:
    """Scores on the clips with one of the model's labels, with intervals over speakers; other clips are left out.

    Raises:
        ValueError: The model has none of the labels.
    """
    labels, names = labels_of(model), clips.features["label"].names
    known = {index: own for index, name in enumerate(names) if (own := own_label(name, labels)) is not None}
    if not known:
        raise ValueError(f"the model knows {', '.join(labels)}, and none of the clips' labels: {', '.join(names)}")
    kept = [index for index, label in enumerate(clips["label"]) if label in known]
    left_out = Counter(names[label] for label in clips["label"] if label not in known)
    clips = with_features(clips.select(kept), extractor)
    references = np.array([known[label] for label in clips["label"]])
    logits = predict_logits(model, ClipDataset(clips, extractor), batch_size=16, desc="Predicting")
    predicted, speakers = logits.argmax(1), speakers_of(clips)
    return {
        "clips": len(clips),
        "speakers": speakers and len(set(speakers)),
        "labels": [labels[index] for index in sorted(set(known.values()))],
        "left_out": dict(left_out),
        **score(references, predicted),
        "interval_95": bootstrap_interval(references, predicted, speakers, num_labels=len(labels)),
        "confidence": float(softmax(logits, axis=1).max(1).mean()),
        "ece": reliability(logits, references)["ece"],
        "intended": {name: int((references == index).sum()) for index, name in enumerate(labels)},
        "answered": {name: int((predicted == index).sum()) for index, name in enumerate(labels)},
    }


def other_clips(options: argparse.Namespace, report: Report) -> tuple[str, datasets.Dataset]:
    """The title of the clips, and the clips.

    Raises:
        ValueError: They cannot be read, or the model was or may have been trained on them.
    """
    title, known = title_of(options.corpus or options.dataset_dir), training_splits(report)
    if known is None:
        raise ValueError("the training data of this model is unknown; take another one")
    trained_on = set[str]().union(*map(corpora_of, known))
    if title not in trained_on:
        clips = _load(options)
        title = corpus_of(clips, title)
        if title not in trained_on and (shared := trained_on.intersection(corpora_within(clips))):
            raise ValueError(f"the model was trained on {min(shared)}, and {title} has clips of it: take them out")
    if title in trained_on:
        raise ValueError(
            f"the model was trained on {title}; its results.json has the scores of its test split "
            "(a folder of other clips must have another name)"
        )
    return title, clips


def _load(options: argparse.Namespace) -> datasets.Dataset:
    if options.corpus:
        return CORPORA[options.corpus].load(options.data_dir, cache_dir=options.cache_dir)
    if not Path(options.dataset_dir).is_dir():
        raise ValueError(f"expected a folder with your clips at {options.dataset_dir!r}; check --dataset_dir")
    return load_labelled_audio(options.dataset_dir, cache_dir=options.cache_dir)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("model", help="model folder with its results.json")
    parser.add_argument("--corpus", choices=list(CORPORA), help="the other corpus")
    parser.add_argument("--data_dir", help="folder with the clips of --corpus")
    parser.add_argument(
        "--dataset_dir", help="instead: folder with your own clips, in a folder for each label or with a metadata.csv"
    )
    parser.add_argument("--cache_dir", help="where tables and features are cached")


def run(options: argparse.Namespace) -> None:
    """Measure, write the scores and print them."""
    given = [bool(value) for value in (options.corpus, options.data_dir, options.dataset_dir)]
    if given not in ([True, True, False], [False, False, True]):
        raise ValueError("expected --corpus with --data_dir, or --dataset_dir")
    folder = Path(options.model)
    model, extractor, report = load_reported(options.model)
    check_writable(folder)
    title, clips = other_clips(options, report)
    scores = measure(model, extractor, clips)
    corpora = measured(folder, "corpora") | {title: scores | {"git_commit": git_commit()}}
    path = record(folder, "corpora", corpora)
    print(f"{title}: {in_words(scores)}\n{path}")


def in_words(scores: dict) -> str:
    """The scores in a line."""
    low, high = scores["interval_95"]["accuracy"]
    left_out = sum(scores["left_out"].values())
    more = f"; {counted(left_out, 'clip')} of other labels left out" if left_out else ""
    return (
        f"{scores['accuracy']:.1%} of {counted(scores['clips'], 'clip')} (95 % interval {low:.1%} to {high:.1%}), "
        f"UAR {scores['uar']:.1%}{more}"
    )


__all__ = ["STOPPED", "add_arguments", "run", "measure", "own_label"]
