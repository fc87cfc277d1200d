"""Reading runs: their reports, their predictions, and the scores of their models measured later."""

import csv
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from typing import NotRequired
from typing import cast

import numpy as np

from ser.reporting.report_file import MEASURED
from ser.reporting.report_file import REPORT
from ser.reporting.report_file import Report
from ser.reporting.report_file import bundled_models
from ser.reporting.report_file import load_report
from ser.reporting.report_file import measured


class Predictions(NamedTuple):
    """Predictions on a test split: clip names, labels and predicted labels, each of shape `(clips,)`."""

    clips: Sequence[str]
    labels: np.ndarray
    predicted: np.ndarray

    @property
    def hits(self) -> np.ndarray:
        """Whether the prediction is right, shape `(clips,)`."""
        return self.labels == self.predicted


class Run(Report):
    """The report of a run, with the scores of its model measured later."""

    conditions: NotRequired[dict[str, dict]]
    conditions_on_dev: NotRequired[dict[str, dict]]
    corpora: NotRequired[dict[str, dict]]
    predictions: NotRequired[Predictions]


def run_folders(results: Path) -> list[Path]:
    """Folders of the runs below `results`; names that begin with a dot are still being written."""
    return sorted(path.parent for path in results.glob(f"[!.]*/[!.]*/[!.]*/{REPORT}"))


def read_runs(results: Path) -> list[Run]:
    """The report of each run below `results`, with the robustness and cross-corpus scores saved beside it.

    Folds that test several actors include their predictions, so that the bootstrap can resample actors, not folds.
    """
    runs = []
    for folder in run_folders(results):
        run = cast(Run, {**load_report(folder), **{what: measured(folder, what) for what in MEASURED}})
        if run["fold"] and run["interval_over"] == "actors":
            run["predictions"] = read_predictions(folder)
        runs.append(run)
    return runs


def read_measured(root: Path, what: str) -> dict[str, dict[str, dict]]:
    """Robustness or cross-corpus scores (see `measured`) of the bundled models, by name."""
    found = {folder.name: measured(folder, what) for folder in bundled_models(root)}
    return {name: scores for name, scores in found.items() if scores}


def read_predictions(run: Path) -> Predictions:
    """The predictions of a run on its test split."""
    with (run / "predictions.csv").open(newline="", encoding="utf-8") as file:
        (_, _, *names), *rows = csv.reader(file)
    labels = np.array([names.index(label) for _, label, *_ in rows])
    probabilities = np.array([row[2:] for row in rows], dtype=float)
    return Predictions([clip for clip, *_ in rows], labels, probabilities.argmax(1))


def read_refits(results: Path) -> Iterator[tuple[Report, Predictions, Predictions]]:
    """For each refit run below `results`: its report, the predictions of the run before it, and its own.

    Raises:
        ValueError: They have different test splits.
    """
    for after in run_folders(results):
        before = after.with_name(after.name.replace("refit-", "", 1))
        if before == after or not (before / "predictions.csv").exists():
            continue
        first, second = read_predictions(before), read_predictions(after)
        if first.clips != second.clips:
            raise ValueError(f"expected the same test split in {before} and {after}")
        yield load_report(after), first, second


__all__ = [
    "Predictions",
    "Run",
    "read_measured",
    "read_predictions",
    "read_refits",
    "read_runs",
    "run_folders",
]
