"""`results.json`, the report of a run: where it lies, and reading it."""

from pathlib import Path
from statistics import fmean
from typing import Any

from transformers.utils.hub import cached_file

from ser.files import read_json


def read_report(folder: Path) -> dict | None:
    """The report in a folder of this machine; None if there is none."""
    path = folder / REPORT
    return read_json(path) if path.is_file() else None


# Files of a model folder, by what was measured of the model after its training.
MEASURED = {
    "conditions": "robustness.json",
    "conditions_on_dev": "robustness_dev.json",
    "corpora": "cross_corpus.json",
}


CLEAN = "clean"  # the condition in which nothing is changed


def measured(folder: Path, what: str) -> dict[str, dict]:
    """What was measured of a model so far, by name: by `ser robustness` ("conditions") or `ser cross-corpus`."""
    path = folder / MEASURED[what]
    return read_json(path)[what] if path.is_file() else {}


def means_when_changed(models: dict[Any, dict[str, dict]]) -> dict[Any, float | None]:
    """Mean accuracy of each model over the conditions in which clips are changed.

    Args:
        models: What `ser robustness` measured, by name of the model and of the condition.

    Returns:
        None for a model of which not all was measured that was of another: the mean of some does not compare.
    """
    changed = {name for conditions in models.values() for name in conditions} - {CLEAN}
    means: dict[Any, float | None] = dict.fromkeys(models)
    for model, conditions in models.items():
        if changed and changed <= conditions.keys():
            means[model] = fmean(conditions[name]["accuracy"] for name in changed)
    return means


REPORT = "results.json"


def report_of(source: str) -> dict | None:
    """The report that lies beside a model, in its folder or on the Hub; None if there is none.

    Raises:
        ValueError: A file of that name is something else.
    """
    path = cached_file(
        source,
        REPORT,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if path is None:
        return None
    report = read_json(path)
    if not isinstance(report, dict) or not {"recipe", "protocol"} <= report.keys():
        raise ValueError(f"{REPORT} of {source!r} is no report of this project; take another model")
    return report


__all__ = ["CLEAN", "MEASURED", "REPORT", "means_when_changed", "measured", "read_report", "report_of"]
