"""docs/projects.md: the scores that the class projects print, beside those of their recipes here."""

from collections.abc import Sequence

import numpy as np

from ser.experiments.aggregate import LEAKY
from ser.experiments.aggregate import grouped
from ser.experiments.aggregate import summarize
from ser.experiments.runs import Run
from ser.experiments.tables import markdown_table
from ser.recipes import Source
from ser.recipes import load_recipe
from ser.recipes import recipe_names

COLUMNS = (
    "recipe",
    "split",
    "runs",
    "printed",
    "ours (95 % interval)",
    "difference",
    "macro F1",
    "dev",
    "training",
    "chosen by",
)
CLEAN = ("random-70-30", "random")  # the splits of the sources, without their leak
UNSEEN = ("tfds", "loso")
WORDS = {"random-70-30": "random 70/30", "random": "random 80/10/10", "tfds": "unseen speakers"}
CHOSEN_BY = {"uar": "UAR", "loss": "loss"}  # on the dev split
WORDS |= {"loso": "unseen speakers, one at a time", LEAKY: "leaky: invalid"}


def sources() -> dict[str, Source]:
    """The source of each recipe that follows a class project, project by project."""
    found = {name: load_recipe(name).source for name in recipe_names()}
    return dict(sorted(((name, each) for name, each in found.items() if each), key=lambda item: item[1].project))


def projects_table(results: Sequence[Run]) -> str:
    """One row for each recipe that follows a class project and each split."""
    groups = {(system.name, system.protocol): runs for system, runs in grouped(results).items() if not system.changed}
    rows = []
    for name, source in sources().items():
        found = [protocol for protocol in (*CLEAN, LEAKY, *UNSEEN) if (name, protocol) in groups]
        rows += [_row(name, source, protocol, groups[name, protocol]) for protocol in found]
        if not found:
            rows.append([f"`{name}`", "", "none yet", _number(source.accuracy), *[""] * (len(COLUMNS) - 4)])
    return markdown_table(COLUMNS, rows)


def _row(name: str, source: Source, protocol: str, runs: list[Run]) -> list[str]:
    summary = summarize(runs)
    low, high = summary["interval"]
    compared = source.accuracy is not None and protocol not in UNSEEN
    difference = summary["accuracy"] - (source.accuracy or 0)
    printed = source if compared else Source(project=source.project)
    return [
        f"`{name}`",
        WORDS[protocol],
        "; ".join(filter(None, [summary["runs"], summary["reduced"]])),
        _number(printed.accuracy),
        f"{summary['accuracy']:.3f} ({low:.3f} to {high:.3f})",
        f"{difference:+.3f}" if compared else "",
        _pair(printed.f1, summary["macro_f1"]),
        "" if protocol == LEAKY else _pair(printed.val_accuracy, _mean(runs, "dev")),
        _pair(printed.train_accuracy, _mean(runs, "train")),
        ", ".join(sorted({CHOSEN_BY[run["selected_by"] or "uar"] for run in runs})),
    ]


def _mean(runs: Sequence[Run], part: str) -> float:
    return float(np.mean([run["parts"][part]["accuracy"] for run in runs]))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _pair(printed: float | None, ours: float) -> str:
    return f"{ours:.3f}" if printed is None else f"{printed:.3f} / {ours:.3f}"


def lower_list(results: Sequence[Run]) -> str:
    """Recipes whose printed accuracy is above our 95 % interval on a clean split, and why."""
    lines, by_recipe = [], sources()
    for system, runs in grouped(results).items():
        source = by_recipe.get(system.name)
        if source is None or source.accuracy is None or system.changed or system.protocol not in CLEAN:
            continue
        summary = summarize(runs)
        if source.accuracy > summary["interval"][1]:
            reason = "trained on fewer clips" if summary["reduced"] else source.explained or "not explained"
            lines.append(f"- `{system.name}`: {reason}.")
    return "\n".join(sorted(lines))


def deviations_table() -> str:
    """Where each recipe differs from its source, and what the source leaves open."""
    rows = [
        [
            f"`{name}`",
            source.project,
            "; ".join(source.deviations) or "none",
            "; ".join(source.chosen_here) or "nothing",
        ]
        for name, source in sources().items()
    ]
    return markdown_table(("recipe", "project", "different from the source", "not in the source, chosen here"), rows)


__all__ = ["deviations_table", "lower_list", "projects_table"]
