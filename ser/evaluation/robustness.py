"""Accuracy of a model in noise, rooms, telephone lines and codecs, on its own test split.

python -m ser robustness checkpoints/flagship-bilingual --data_dir data/crema-d
writes robustness.json into the model folder and rewrites its model card after each condition. Every clip is changed,
with fixed seeds; no condition is used in training or to choose an epoch. Conditions that were measured before are kept:
remove the file to measure them again. To choose between models, use --split dev, which writes robustness_dev.json.
"""

import argparse
import functools
import warnings
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
from transformers import PreTrainedModel
from transformers import set_seed

from ser.corpora import CORPORA
from ser.corpora import with_title
from ser.corpora.clip_dataset import ClipDataset
from ser.corpora.clip_dataset import with_features
from ser.corpora.crema_d import CremaD
from ser.corpora.splits import drawn_from
from ser.corpora.splits import fixed_share
from ser.corpora.splits import speakers_of
from ser.corpora.splits import split
from ser.evaluation.conditions import CONDITIONS
from ser.evaluation.intervals import mean_interval
from ser.evaluation.scores import predict_logits
from ser.evaluation.scores import score
from ser.files import check_writable
from ser.inference.loading import labels_of
from ser.inference.loading import load_reported
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.plural import counted
from ser.reporting.model_card import record
from ser.reporting.provenance import by_corpus
from ser.reporting.provenance import git_commit
from ser.reporting.report_file import CLEAN
from ser.reporting.report_file import MEASURED
from ser.reporting.report_file import Report
from ser.reporting.report_file import measured

STOPPED = "what was measured is kept; the same command continues"


def own_split(report: Report, data_dir: str, cache_dir: str | None, *, name: str) -> datasets.Dataset:
    """The test or dev split of a model, by its report; if it was trained on several corpora, that of `own_title`.

    Raises:
        ValueError: The data does not match the report.
    """
    title = own_title(report)
    corpus, own = with_title(title), next(each for each in by_corpus(report) if each["corpus"] == title)
    if corpus is None:
        titles = " or ".join(known.TITLE for known in CORPORA.values())
        raise ValueError(f"expected a model trained on {titles}; this one was trained on {title}")
    if name not in report["parts"]:
        raise ValueError("this model was trained on its dev split: take the model of the run before --refit")
    if not report["valid"]:
        raise ValueError(f"the {report['protocol']} protocol has no separate test split; take another model")
    clips = fixed_share(corpus.load(data_dir, cache_dir=cache_dir), own["share_of_clips"])
    if drawn_from(clips, own["protocol"]) != own.get("drawn_from"):
        raise ValueError("its splits were drawn from other clips, or in another order: take the data it was trained on")
    chosen = split(clips, own["protocol"], fold=own["fold"], split_seed=own["split_seed"])[name]
    expected = report["by_corpus"][name].get(title) if "by_corpus" in report else report["parts"][name]
    if expected and len(chosen) != expected["clips"]:
        clips_then = counted(expected["clips"], "clip")
        raise ValueError(f"its {name} split has {clips_then}, here are {len(chosen):,}: take the whole corpus")
    return chosen


def own_title(report: Report) -> str:
    """The corpus that a model was trained on; among several, CREMA-D."""
    titles = [each["corpus"] for each in by_corpus(report)]
    return CremaD.TITLE if CremaD.TITLE in titles else titles[0]


def changed(waveform: np.ndarray, change: Callable, sampling_rate: int) -> np.ndarray:
    """A waveform of shape `(samples,)` under one condition."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*had to be resampled")  # the other voice: slow once, and harmless
        return np.asarray(change(waveform, sample_rate=sampling_rate), dtype=np.float32)


def measure(
    model: PreTrainedModel, extractor: SERFeatureExtractor, clips: datasets.Dataset, conditions: Iterable[str]
) -> Iterator[tuple[str, dict]]:
    """Accuracy and UAR under each condition, and the change of accuracy against the clean clips with its interval.

    Yields:
        Name and scores of each condition; the clean clips come first.

    Raises:
        ValueError: The model has other labels than the clips, or another order.
    """
    if labels_of(model) != clips.features["label"].names:
        raise ValueError("expected a model with the labels of its corpus in their order; train it with --data_dir")
    clips, labels = with_features(clips, extractor), np.asarray(clips["label"][:])
    speakers, commit, clean = speakers_of(clips), git_commit(), None
    for name in dict.fromkeys([CLEAN, *conditions]):
        change = CONDITIONS[name]
        set_seed(0)
        augment = change and functools.partial(changed, change=change, sampling_rate=extractor.sampling_rate)
        dataset = ClipDataset(clips, extractor, augment_waveform=augment)
        predicted = predict_logits(model, dataset, batch_size=16, desc=name).argmax(1)
        hits = predicted == labels
        clean = hits if clean is None else clean
        yield (
            name,
            {key: round(value, 4) for key, value in score(labels, predicted).items()}
            | {
                "change": round(float(hits.mean() - clean.mean()), 4),
                "change_interval_95": mean_interval(hits.astype(float) - clean, speakers),
                "git_commit": commit,
            },
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("model", help="model folder with its results.json")
    parser.add_argument(
        "--data_dir", required=True, help="folder with the corpus that the model was trained on (of several: CREMA-D)"
    )
    parser.add_argument("--split", choices=("test", "dev"), default="test", help="the split to change (default: test)")
    parser.add_argument("--cache_dir", help="where tables and features are cached")


def run(options: argparse.Namespace) -> None:
    """Measure what is missing, and write it."""
    folder, what = Path(options.model), "conditions" if options.split == "test" else "conditions_on_dev"
    model, extractor, report = load_reported(options.model)
    check_writable(folder)
    known = measured(folder, what)
    missing = [name for name in CONDITIONS if name not in known]
    clips = own_split(report, options.data_dir, options.cache_dir, name=options.split)
    for name, scores in measure(model, extractor, clips, missing) if missing else ():
        known = {name: scores} | known
        record(folder, what, {name: known[name] for name in CONDITIONS if name in known})
    print(f"measured {', '.join(missing) or 'nothing new'}; {len(known)} conditions in {folder / MEASURED[what]}")


__all__ = ["STOPPED", "add_arguments", "measure", "own_split", "own_title", "run"]
