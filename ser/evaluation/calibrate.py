"""Calibrate a model for strangers' voices: on corpora that it was not trained on, and on ordinary speech.

python -m ser calibrate checkpoints/cnn2d --corpora emodb=DIR nemo=DIR urdu=DIR ased=DIR \\
    --fit_only emospeech=DIR --ordinary_speech speechocean762=DIR --data_dir data/crema-d
writes a temperature, a bias for each label and the threshold of certain answers into the model's config.json, and the
same for answers relative to a speaker's ordinary voice (`ser.evaluation.ordinary_voice`). The scores on strangers'
speech go into strangers.json and the model card. To evaluate one of --corpora, the calibration is fitted on the others;
for ordinary speech, all of it neutral, on other speakers. The weights do not change.

If the model was trained on a corpus, a stand-in takes its place there: a model trained in the same way without it.
python -m ser calibrate checkpoints/flagship-multilingual --stand_ins emodb=MODEL nemo=MODEL urdu=MODEL ...
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import NamedTuple

import datasets
import numpy as np
from matplotlib.figure import Figure
from transformers import PreTrainedModel

from ser.corpora import CORPORA
from ser.corpora.clip_dataset import ClipDataset
from ser.corpora.clip_dataset import with_features
from ser.corpora.several_corpora import check_emotional
from ser.corpora.several_corpora import emotions_of
from ser.corpora.several_corpora import folders_of
from ser.corpora.splits import speakers_of
from ser.evaluation.certain_answers import choose_threshold
from ser.evaluation.certain_answers import curve
from ser.evaluation.certain_answers import measure
from ser.evaluation.cross_corpus import own_label
from ser.evaluation.cross_corpus_calibration import Calibration
from ser.evaluation.cross_corpus_calibration import Speech
from ser.evaluation.cross_corpus_calibration import fit
from ser.evaluation.ordinary_voice import judge_voice
from ser.evaluation.ordinary_voice import measure_voice
from ser.evaluation.robustness import own_split
from ser.evaluation.robustness import own_title
from ser.evaluation.scores import predict_logits
from ser.files import PROJECT
from ser.files import check_writable
from ser.files import read_json
from ser.files import write_text
from ser.inference.centering import centred
from ser.inference.loading import NOT_CALIBRATED
from ser.inference.loading import labels_of
from ser.inference.loading import load_reported
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.models.ordinary_voice_ser import SETTINGS
from ser.reporting.model_card import record
from ser.reporting.plots import plot_risk_coverage
from ser.reporting.provenance import corpora_of
from ser.reporting.provenance import git_commit
from ser.reporting.provenance import training_splits
from ser.reporting.report_file import Report
from ser.reporting.run_report import save

PICTURE = "strangers.png"
STOPPED = "run the same command again"
MOST_CLIPS = 200  # of one speaker, as some corpora give many people one name
MOST_ORDINARY = 4  # clips of one speaker of ordinary speech
OTHERS = 5  # clips of the same speaker, to evaluate centring with few clips
THRESHOLD_BEFORE = 0.5  # of certain answers, where a model has none of its own


def compare(
    speech: Speech, before: Calibration, log: np.ndarray, threshold: float, names: Sequence[str]
) -> dict[str, Any]:
    """The scores of `measure`, the share of the "prevailing" label, and the scores of three other predictions.

    "before" uses an earlier calibration and `THRESHOLD_BEFORE`, "centred" predicts relative to all clips of the same
    speaker, and "centred_few" relative to `OTHERS` of them.
    """
    others = {
        "before": measure(speech, before.log_probabilities(speech.logits), THRESHOLD_BEFORE, names),
        "centred": measure(speech, centred(log, speech.speakers), threshold, names),
        "centred_few": measure(speech, centred_by_few(log, speech.speakers), threshold, names),
    }
    return measure(speech, log, threshold, names) | {"prevailing": prevailing(speech)} | others


def prevailing(speech: Speech) -> float:
    """The share of clips that have the commonest label of their speaker."""
    counts = [np.bincount(speech.labels[speech.speakers == name]) for name in np.unique(speech.speakers)]
    return float(sum(each.max() for each in counts) / len(speech.labels))


def centred_by_few(log: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Each clip relative to itself and at most `OTHERS` of the same speaker, drawn at random, the same in every run."""
    generator, found = np.random.default_rng(0), np.empty_like(log)
    for clip, speaker in enumerate(speakers):
        same = np.flatnonzero(speakers == speaker)
        others = generator.permutation(same[same != clip])[:OTHERS]
        group = log[[clip, *others]]
        found[clip] = centred(group, [speaker] * len(group))[0]
    return found


def judge(
    corpora: dict[str, Speech], fit_only: Sequence[Speech], ordinary: Speech, before: Calibration, names: Sequence[str]
) -> tuple[Calibration, dict]:
    """The calibration fitted on all corpora, and scores on each corpus with a fit that leaves it out.

    Args:
        corpora: By their titles.
        fit_only: Further corpora, in every fit.
        ordinary: Fitted on half of its speakers, evaluated on the others.
        before: Calibration on the model's own corpus.
        names: Of its labels.
    """
    fitted, unseen = ordinary.halves()
    after = fit([*corpora.values(), *fit_only], fitted)
    calibrations = {}  # for each corpus, the one that leaves it out
    for title in corpora:
        others = [other for name, other in corpora.items() if name != title]
        calibrations[title] = fit([*others, *fit_only], fitted)
    logs = {title: calibrations[title].log_probabilities(speech.logits) for title, speech in corpora.items()}
    points = curve([(logs[title], speech.labels) for title, speech in corpora.items()])
    log = after.log_probabilities(unseen.logits)
    threshold = choose_threshold(points, unseen, log)
    voice, with_voice, ordinary_with_voice = judge_voice(corpora, fit_only, ordinary, calibrations, after, names)
    return after, {
        "temperature": after.temperature,
        "bias": dict(zip(names, after.bias.tolist(), strict=True)),
        "certain_threshold": threshold,
        "corpora": {
            title: compare(speech, before, logs[title], threshold, names) | {"ordinary_voice": with_voice[title]}
            for title, speech in corpora.items()
        },
        "ordinary": compare(unseen, before, log, threshold, names) | {"ordinary_voice": ordinary_with_voice},
        "curve": points,
        "ordinary_voice": voice,
    }


def some_of_each(clips: datasets.Dataset, most: int) -> datasets.Dataset:
    """At most so many clips of each speaker, drawn at random, the same in every run."""
    speakers = np.asarray(speakers_of(clips))
    order = np.random.default_rng(0).permutation(len(clips))
    kept = [order[speakers[order] == name][:most] for name in np.unique(speakers)]
    return clips.select(np.sort(np.concatenate(kept)))


def classify(model: PreTrainedModel, extractor: SERFeatureExtractor, clips: datasets.Dataset) -> Speech:
    """Logits of an uncalibrated model, for the clips with one of its labels.

    Raises:
        ValueError: There are no such clips.
    """
    own = np.array([own_label(name, labels_of(model)) for name in clips.features["label"].names], dtype=float)
    labels = own[np.asarray(clips["label"][:])]
    if np.isnan(labels).all():
        raise ValueError(f"the model knows none of the labels {', '.join(clips.features['label'].names)}")
    clips = with_features(clips.select(np.flatnonzero(~np.isnan(labels))), extractor)
    logits = predict_logits(model, ClipDataset(clips, extractor), batch_size=16, desc="Classifying")
    return Speech(logits.astype(float), labels[~np.isnan(labels)].astype(int), np.asarray(speakers_of(clips)))


class Classifier(NamedTuple):
    """A model without calibration, and its feature extractor."""

    model: PreTrainedModel
    extractor: SERFeatureExtractor


class Judges:
    """The model, and the models that take its place on corpora that it was trained on.

    Args:
        model: Folder of the model.
        stand_ins: Texts like `emodb=MODEL`: folders of models that were trained without that corpus.
        cache_dir: Where tables and features are cached.

    Raises:
        ValueError: One is not a model, has other labels, or was trained on the corpus that it is meant for.
    """

    def __init__(self, model: str, stand_ins: Sequence[str], cache_dir: str | None):
        self.cache_dir = cache_dir
        own, extractor, self.report = load_reported(model)
        self.names, self.temperature = labels_of(own), own.config.calibration_temperature
        self.own, self.stand_ins = Classifier(uncalibrated(own), extractor), dict[str, Classifier]()
        self.trained_on = trained_on(self.report)
        for name, folder in folders_of(stand_ins).items():
            other, extractor, report = load_reported(folder)
            title = CORPORA[name].TITLE
            if title not in self.trained_on:
                raise ValueError(f"the model was not trained on {title}, so it needs no --stand_ins for it")
            if report["recipe"] != self.report["recipe"]:
                raise ValueError(f"{folder!r} was trained by another recipe: {report['recipe']}")
            if title in trained_on(report):
                raise ValueError(f"{folder!r} was trained on {title}, too; take a model that was trained without it")
            if labels_of(other) != self.names:
                raise ValueError(f"{folder!r} has other labels than the model that it stands in for")
            self.stand_ins[title] = Classifier(uncalibrated(other), extractor)

    def classify(self, named: Sequence[str], most: int) -> dict[str, Speech]:
        """Classify corpora; returns the results by title.

        Args:
            named: Texts like `emodb=DIR`.
            most: Clips of one speaker, at most.

        Raises:
            ValueError: A text is not of that form, or a corpus is unknown, missing, or was trained on.
        """
        corpora = {CORPORA[name].TITLE: (CORPORA[name], folder) for name, folder in folders_of(named).items()}
        if known := self.trained_on & corpora.keys() - self.stand_ins.keys():
            raise ValueError(f"the model was trained on {min(known)}; leave it out, or see --stand_ins in --help")
        return {
            title: classify(
                *self.stand_ins.get(title, self.own), some_of_each(corpus.load(folder, cache_dir=self.cache_dir), most)
            )
            for title, (corpus, folder) in corpora.items()
        }


def uncalibrated(model: PreTrainedModel) -> PreTrainedModel:
    """The model, with its calibration removed."""
    model.config.update(NOT_CALIBRATED)
    return model


def trained_on(report: Report) -> set[str]:
    """Titles of the corpora that a model was trained on.

    Raises:
        ValueError: That is not known.
    """
    splits = training_splits(report)
    if splits is None:
        raise ValueError(
            "the training data of the model that this one was fine-tuned from is unknown; take another one"
        )
    return set[str]().union(*map(corpora_of, splits))


def write_calibration(folder: Path, calibration: Calibration, scores: dict) -> None:
    """Write it into config.json, and save the current code, which applies it, beside.

    Args:
        folder: Of the model.
        calibration: Fitted on all corpora.
        scores: Returned by `judge`.
    """
    for code in (PROJECT / "ser/models").glob("*_ser.py"):
        write_text(folder / code.name, code.read_text(encoding="utf-8"))
    voice = scores["ordinary_voice"]
    config = read_json(folder / "config.json") | {
        "calibration_temperature": calibration.temperature,
        "calibration_bias": calibration.bias.tolist(),
        "certain_threshold": scores["certain_threshold"],
        "ordinary_voice": voice and {name: voice[name] for name in SETTINGS},
    }
    write_text(folder / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("model", help="model folder with its results.json")
    for option, what in (
        ("corpora", f"folders of two or more of {', '.join(CORPORA)}; see --stand_ins if it was trained on one"),
        ("fit_only", "further corpora to fit on but not to evaluate, such as single words"),
        ("stand_ins", "for each corpus that the model was trained on: a model trained in the same way without it"),
        ("ordinary_speech", "a corpus of neutral speech only"),
    ):
        parser.add_argument(
            f"--{option}",
            nargs="+",
            default=[],
            required=option in ("corpora", "ordinary_speech"),
            metavar="NAME=DIR",
            help=what,
        )
    parser.add_argument(
        "--data_dir", help="folder with the corpus it was trained on (of several: CREMA-D), to test it there as well"
    )
    parser.add_argument("--cache_dir", help="where tables and features are cached")


def run(options: argparse.Namespace) -> None:
    """Classify, fit, write and print."""
    folder = Path(options.model)
    check_writable(folder)
    check_corpora(options)
    judges = Judges(options.model, options.stand_ins, options.cache_dir)
    own = own_split(judges.report, options.data_dir, options.cache_dir, name="test") if options.data_dir else None
    before = Calibration(judges.temperature, np.zeros(len(judges.names)))
    fit_only = judges.classify(options.fit_only, MOST_CLIPS)
    ((title, ordinary),) = judges.classify(options.ordinary_speech, MOST_ORDINARY).items()
    calibration, scores = judge(
        judges.classify(options.corpora, MOST_CLIPS), list(fit_only.values()), ordinary, before, judges.names
    )
    scores |= {"ordinary_title": title, "fit_only": list(fit_only), "stand_ins": list(judges.stand_ins)}
    own_scores = judge_own(classify(*judges.own, own), calibration, before, scores, judges.names) if own else {}
    scores |= {"own": {own_title(judges.report): own_scores} if own else {}, "git_commit": git_commit()}
    write_calibration(folder, calibration, scores)
    save({PICTURE: picture_of(scores, judges.report["recipe"])}, folder)
    print(f"{in_words(scores)}\n{record(folder, 'strangers', scores)}")


def picture_of(scores: dict, recipe: str) -> Figure:
    """Risk and coverage of a model, without and with an ordinary voice."""
    calibrated = {
        "the clip alone": scores,
        "with one sentence in the speaker's ordinary voice": scores["ordinary_voice"],
    }
    shown = {name: each for name, each in calibrated.items() if each}
    return plot_risk_coverage(shown, f"{recipe}, corpora left out of the fit")


def judge_own(
    test: Speech, calibration: Calibration, before: Calibration, scores: dict, names: Sequence[str]
) -> dict[str, Any]:
    """Scores on the test split of the model's own corpus, as `compare` returns them.

    With "ordinary_voice", those of `measure_voice`.
    """
    log, voice = calibration.log_probabilities(test.logits), scores["ordinary_voice"]
    found = compare(test, before, log, scores["certain_threshold"], names) | {"ordinary_voice": {}}
    if voice:
        relative, neutral = Calibration(voice["temperature"], np.array(voice["bias"])), list(names).index("neutral")
        rest = voice["certain_threshold"], neutral, names
        found["ordinary_voice"] = measure_voice(test, calibration, relative, *rest)
    return found


def check_corpora(options: argparse.Namespace) -> None:
    """Refuse too few corpora, one named twice, ordinary speech in the wrong place, and unused stand-ins."""
    for name in folders_of([*options.corpora, *options.fit_only]):
        check_emotional(CORPORA[name])
    named = [*options.corpora, *options.fit_only, *options.ordinary_speech]
    folders = folders_of(named)  # refuses a corpus that is named twice
    if unused := folders_of(options.stand_ins).keys() - folders.keys():
        raise ValueError(f"--stand_ins names {min(unused)}, which is not in --corpora; leave it out")
    for name in folders_of(options.ordinary_speech):
        if emotions_of(CORPORA[name]) != {"neutral"}:
            raise ValueError(f"--ordinary_speech expects speech that is all neutral; {CORPORA[name].TITLE} is not")
    if len(options.corpora) < 2 or len(options.ordinary_speech) != 1:
        raise ValueError(
            "expected --corpora with two or more, as each is evaluated after fitting on the others, and one "
            "--ordinary_speech"
        )


def in_words(scores: dict) -> str:
    """The results of `judge`, as lines of text."""
    kinds = scores["own"] | scores["corpora"] | {scores["ordinary_title"]: scores["ordinary"]}
    lines = [f"{title}: {_in_words(each)}" for title, each in kinds.items()]
    return "\n".join([*lines, f"threshold of certain answers: {scores['certain_threshold']}"])


def _in_words(scores: dict) -> str:
    """The scores of `compare`, as a line of text."""
    before, voice = scores["before"], scores["ordinary_voice"].get("1")
    return (
        f"accuracy {scores['accuracy']:.3f} ({before['accuracy']:.3f} before), confidence {scores['confidence']:.3f} "
        f"({before['confidence']:.3f}), {scores['certain']:.0%} certain answers"
        + (f"; with an ordinary voice, accuracy {voice['accuracy']:.3f}" if voice else "")
    )


__all__ = ["STOPPED", "add_arguments", "judge", "run", "trained_on"]
