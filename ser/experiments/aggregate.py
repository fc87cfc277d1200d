"""Scores of several runs of one system: folds pooled, means over seeds."""

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ser.corpora.emodb import SEX_AND_AGE
from ser.corpora.splits import BLOCKS
from ser.corpora.splits import NEW_SENTENCES
from ser.evaluation.intervals import bootstrap_interval
from ser.evaluation.scores import most_confused
from ser.evaluation.scores import score
from ser.experiments.runs import Run
from ser.plural import counted
from ser.recipes import load_recipe
from ser.reporting.report_file import Report
from ser.training.run_identity import changes

LEAKY = "leaky"
VARIANTS_PROTOCOL = "tfds"
FOLDS = {  # number of folds; for another corpus, the highest one seen
    ("CREMA-D", "actor-5fold"): len(BLOCKS),
    ("CREMA-D", "new-sentences"): len(NEW_SENTENCES),
    ("EmoDB", "loso"): len(SEX_AND_AGE),
}


class System(NamedTuple):
    """What runs that are averaged have in common."""

    corpus: str
    protocol: str
    name: str
    share: float
    changed: str


def grouped(results: Sequence[Run]) -> dict[System, list[Run]]:
    """Runs by system, without those of the variant table."""
    groups = defaultdict(list)
    for run in results:
        if run["refit"] or not (run["variant"] and run["protocol"] == VARIANTS_PROTOCOL):
            groups[system_of(run)].append(run)
    return groups


def system_of(run: Report) -> System:
    """The system that a run belongs to."""
    name = ", ".join(filter(None, [_name(run), run["variant"], "refit" if run["refit"] else None]))
    tested = run.get("test_corpus")
    corpus = f"{run['corpus']}, tested on {tested}" if tested else run["corpus"]
    return System(corpus, run["protocol"], name, run["share_of_clips"], _changed(run))


def _name(run: Report) -> str:
    """The recipe of a run and, after a comma, the origin of its weights or targets if the recipe does not set it."""
    taught = run["teachers"] and not load_recipe(run["recipe"]).has_teachers
    tuned = run["fine_tuned_from"]
    return run["recipe"] + (", distilled" if taught else "") + (f", fine-tuned from {tuned}" if tuned else "")


def _changed(run: Report) -> str:
    """The options in which a run differs from its recipe; in a reduced run, fewer epochs do not count."""
    changed = changes(run["command"])
    if run["share_of_clips"] < 1:
        changed.pop("num_train_epochs", None)
    return "changed: " + ", ".join(f"{name} {value}" for name, value in changed.items()) if changed else ""


def summarize(runs: Sequence[Run]) -> dict:
    """Scores of the runs of one system: folds pooled, then the mean over seeds.

    Seeds with fewer folds than another seed are left out.
    """
    seeds = defaultdict(list)
    for run in runs:
        seeds[run["seed"], run["split_seed"]].append(run)
    most = max(({run["fold"] for run in folds} for folds in seeds.values()), key=len)
    whole = [folds for folds in seeds.values() if {run["fold"] for run in folds} == most]
    runs = [run for folds in whole for run in folds]
    tests = [_pooled(folds) if len(folds) > 1 else folds[0] for folds in whole]
    first, epochs = runs[0], [run["history"][-1]["epoch"] for run in runs]
    share = first["share_of_clips"]
    listeners = [accuracy for run in runs if (accuracy := run["human_single_vote_accuracy"]) is not None]
    times = [run["wall_time_seconds"] for run in runs if run["device"] == first["device"]]
    return {
        **{name: np.mean([test[name] for test in tests]) for name in ("accuracy", "uar", "macro_f1")},
        "interval": np.mean([test["interval_95"]["accuracy"] for test in tests], axis=0),
        "most_confused": next(iter(tests[0]["most_confused"]), None),
        "parameters": first["parameters"],
        "listeners": np.mean(listeners) if len(listeners) == len(runs) else None,
        "runs": count(runs),
        "training": f"{np.mean(times) / 60:.0f} min, {first['device']}"
        + (f", {counted(first['threads'], 'thread')}" if first["device"] == "cpu" else ""),
        "reduced": f"reduced: {share:.0%} of the clips, {max(epochs):.0f} epochs" if share < 1 else "",
        "changed": _changed(first),
    }


def count(runs: Sequence[Report]) -> str:
    """The number of seeds and folds; if folds are missing, those that are there."""
    seeds = len({(run["seed"], run["split_seed"]) for run in runs})
    numbers = sorted({run["fold"] for run in runs if run["fold"]})
    text = counted(seeds, "seed")
    if len(numbers) > 1 and len(numbers) == FOLDS.get((runs[0]["corpus"], runs[0]["protocol"]), numbers[-1]):
        return f"{text}, {len(numbers)} folds"
    return f"{text}, fold{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}" if numbers else text


def _pooled(folds: Sequence[Run]) -> dict:
    """Scores of the pooled test splits of several folds, with the bootstrap over actors or, if unknown, over folds."""
    matrices = np.array([run["confusion_matrix"] for run in folds])  # (folds, labels, labels)
    names, matrix = folds[0]["labels"], matrices.sum(0)
    if all("predictions" in run for run in folds):
        clips, label, predicted = map(np.concatenate, zip(*(run["predictions"] for run in folds), strict=True))
        group = actors_of(clips)
    else:
        indices = np.indices(matrices.shape).reshape(3, -1)
        group, label, predicted = (np.repeat(index, matrices.ravel()) for index in indices)
    return score(label, predicted) | {
        "interval_95": bootstrap_interval(label, predicted, group, num_labels=len(names)),
        "most_confused": most_confused(matrix, names),
    }


def actors_of(clips: Iterable[str]) -> np.ndarray:
    """The actor of each clip of CREMA-D, which is the first field of its name; shape `(clips,)`."""
    return np.array([clip.split("_")[0] for clip in clips])


__all__ = [
    "FOLDS",
    "LEAKY",
    "VARIANTS_PROTOCOL",
    "System",
    "actors_of",
    "count",
    "grouped",
    "summarize",
    "system_of",
]
