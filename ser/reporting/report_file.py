"""`results.json`, the report of a run: its fields, and functions to read it."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any
from typing import NotRequired
from typing import TypedDict
from typing import cast

from transformers.utils.hub import cached_file

from ser.files import read_json

REPORT = "results.json"
# Scores that are measured after training, in further files of the model folder.
MEASURED = {
    "conditions": "robustness.json",
    "conditions_on_dev": "robustness_dev.json",
    "corpora": "cross_corpus.json",
    "strangers": "strangers.json",
}
CLEAN = "clean"  # the condition that changes nothing


class Scores(TypedDict):
    """Scores of one split."""

    accuracy: float  # weighted accuracy, WA
    uar: float  # unweighted average recall
    macro_f1: float
    weighted_f1: float


class SplitScores(Scores):
    """Size and scores of one split."""

    clips: int
    actors: int | None  # None where speakers are unknown


class Confusion(TypedDict):
    """How often one label is predicted instead of another."""

    label: str
    predicted: str
    clips: int
    share: float  # of the clips with this label


class GroupScores(TypedDict):
    """Accuracy on the clips of a group of speakers, levels or durations."""

    clips: int
    accuracy: float
    interval_95: list[float] | None  # None for a single speaker


class Bin(TypedDict):
    """Test clips of similar confidence."""

    confidence: float
    accuracy: float
    clips: int


class Reliability(TypedDict):
    """How well confidence matches accuracy."""

    ece: float  # expected calibration error
    nll: float  # mean negative log likelihood
    bins: list[Bin]


class Split(TypedDict):
    """Which clips are in which split."""

    corpus: str
    protocol: str
    fold: int | None
    split_seed: int
    share_of_clips: float  # below 1: a fixed share of the clips of each split
    drawn_from: str | None  # digest of the clips that a random split was drawn from
    refit: bool  # trained on the dev split, too
    contains: list[str] | None  # other known corpora with clips in this one; of several corpora, those trained on
    test_corpus: NotRequired[str | None]  # of several corpora, the one that is tested and not trained on


class Report(Split, Scores):
    """The content of `results.json`; scores without another note are of the test split."""

    # the run
    recipe: str
    variant: str | None
    seed: int
    processes: int
    command: str  # repeats the run
    teachers: list[str]  # models that it was distilled from
    fine_tuned_from: str | None
    weights_before: NotRequired[str | None]  # fingerprint of the weights it was fine-tuned from
    trained_before: list[Split] | None  # splits that these weights were trained on; None: unknown
    base_model: str | None  # Hub id of `fine_tuned_from`
    dataset_name: str | None  # Hub id of the data
    license: str | None
    git_commit: str | None
    versions: dict[str, str]

    # training
    device: str
    threads: int
    bf16_training: bool
    wall_time_seconds: float
    peak_memory_gib: float | None
    history: list[dict[str, float]]  # the log of `Trainer`
    best_epoch: float | None
    selected_by: str | None  # the dev score that chose the best epoch
    parameters: int
    temperature: NotRequired[float]  # of the calibration

    # splits
    valid: bool  # False: training and test overlap
    parts: dict[str, SplitScores]  # by split: train, dev, test
    by_corpus: NotRequired[dict[str, dict[str, SplitScores]]]  # of several corpora, by split and title
    leakage: dict[str, dict[str, int | None]]  # number of shared speakers, clips and sentences, by pair of splits

    # test
    test_clips: int
    test_actors: int | None
    labels: list[str]
    interval_95: dict[str, list[float]]  # of accuracy and uar
    interval_over: str  # the unit of the bootstrap: actors or clips
    interval_too_narrow: bool
    per_class: dict[str, Any]  # scikit-learn's classification report
    confusion_matrix: list[list[int]]  # rows: labels, columns: predictions
    most_confused: list[Confusion]
    groups: dict[str, dict[str, GroupScores]]  # by column (sex, age, ...) and its value
    calibration: NotRequired[dict[str, Reliability]]  # "before" and "after"
    human_single_vote_accuracy: float | None
    human_confusion_matrix: list[list[int]] | None
    agreement_with_a_listener: dict[str, float] | None


# Values of fields that older reports lack.
OLDER: dict[str, Any] = {
    "variant": None,
    "processes": 1,
    "fine_tuned_from": None,
    "trained_before": [],  # trained from scratch
    "base_model": None,
    "dataset_name": None,
    "license": None,
    "share_of_clips": 1.0,
    "drawn_from": None,
    "refit": False,
    "contains": None,
    "interval_too_narrow": False,
    "human_confusion_matrix": None,
    "agreement_with_a_listener": None,
}

RENAMED = {"heard_before": "trained_before", "heard_as": "predicted"}  # fields of reports written by version 0.1.0


def load_report(folder: Path) -> Report:
    """The report in a local folder.

    Raises:
        ValueError: The file is not a report.
        FileNotFoundError: There is none.
    """
    return _as_report(read_json(folder / REPORT), str(folder))


def bundled_models(root: Path) -> list[Path]:
    """Folders of the bundled models, sorted by name, without the teachers, which are one level deeper."""
    return sorted(path.parent for path in (root / "checkpoints").glob(f"[!.]*/{REPORT}"))


def read_report(folder: Path) -> Report | None:
    """The report in a local folder; None if there is none."""
    return load_report(folder) if (folder / REPORT).is_file() else None


def report_of(source: str) -> Report | None:
    """The report of a model, in its folder or on the Hub; None if there is none.

    Raises:
        ValueError: The file is not a report.
    """
    path = cached_file(
        source,
        REPORT,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if path is None else _as_report(read_json(path), source)


def _as_report(content: Any, source: str) -> Report:
    """The content of a report, with the fields that older ones lack."""
    if not isinstance(content, dict):
        raise ValueError(f"{REPORT} of {source!r} is no report of this project; take another model")
    report = OLDER | _renamed(content)
    if missing := Report.__required_keys__ - report.keys() - {"teachers"}:
        raise ValueError(
            f"{REPORT} of {source!r} is no report of this project (it lacks {', '.join(sorted(missing))}); "
            "take another model"
        )
    report["teachers"] = report.get("teachers") or []  # older reports have none, or a number
    report["most_confused"] = [_renamed(pair) for pair in report["most_confused"] or []]
    return cast(Report, report)


def _renamed(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {RENAMED.get(name, name): value for name, value in fields.items()}


def on_crema_d(report: Report) -> Mapping[str, Any]:
    """Scores and intervals on the test clips of CREMA-D if it is one of several corpora, else on all test clips."""
    return report.get("by_corpus", {}).get("test", {}).get("CREMA-D", report)


def measured(folder: Path, what: str) -> dict[str, dict]:
    """Scores of a model measured after training, by `ser robustness` ("conditions"), `cross-corpus` or `calibrate`.

    Raises:
        ValueError: The file contains something else.
    """
    path = folder / MEASURED[what]
    content = read_json(path) if path.is_file() else {what: {}}
    if not isinstance(content, dict) or not isinstance(content.get(what), dict):
        raise ValueError(f"{str(path)!r} has no {what}; take the whole file, or remove it and measure anew")
    return content[what]


def means_when_changed(models: dict[Any, dict[str, dict]]) -> dict[Any, float | None]:
    """Mean accuracy of each model over the conditions that change the clips.

    Args:
        models: Robustness scores, by model and condition.

    Returns:
        None for a model that lacks a condition of another model, as such means are not comparable.
    """
    changed = {name for conditions in models.values() for name in conditions} - {CLEAN}
    means: dict[Any, float | None] = dict.fromkeys(models)
    for model, conditions in models.items():
        if changed and changed <= conditions.keys():
            means[model] = fmean(conditions[name]["accuracy"] for name in changed)
    return means


__all__ = [
    "CLEAN",
    "MEASURED",
    "OLDER",
    "REPORT",
    "Bin",
    "Confusion",
    "GroupScores",
    "Reliability",
    "Report",
    "Scores",
    "Split",
    "SplitScores",
    "bundled_models",
    "load_report",
    "means_when_changed",
    "measured",
    "on_crema_d",
    "read_report",
    "report_of",
]
