"""Markdown tables of this project's runs."""

from collections import Counter
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Literal

import numpy as np

from ser.corpora.crema_d import CremaD
from ser.corpora.splits import ACROSS_CORPORA
from ser.corpora.splits import PROTOCOLS
from ser.evaluation.intervals import mean_interval
from ser.experiments.aggregate import LEAKY
from ser.experiments.aggregate import VARIANTS_PROTOCOL
from ser.experiments.aggregate import actors_of
from ser.experiments.aggregate import count
from ser.experiments.aggregate import grouped
from ser.experiments.aggregate import summarize
from ser.experiments.aggregate import system_of
from ser.experiments.runs import Predictions
from ser.experiments.runs import Run
from ser.plural import counted
from ser.reporting.report_file import Report
from ser.reporting.report_file import means_when_changed

PROTOCOL_NOTES = {
    "tfds": "Unseen actors: TensorFlow Datasets' split, 19 test and 9 dev actors who are in no other split.",
    "actor-5fold": "Unseen actors: each actor is tested in one of five folds.",
    "new-sentences": "Unseen actors who speak unseen sentences.",
    "loso": "Unseen speakers: each fold tests one speaker (leave one speaker out).",
    "given": "The splits that the data brings.",
    "speakers": "Unseen speakers.",
    "random": "Known speakers: clips drawn at random, 80 % for training, 10 % for the test.",
    "random-70-30": "Known speakers: clips drawn at random, 66.5 % for training, 30 % for the test. "
    "The test clips and the number of training clips differ from those of `tfds`, so do not compare single scores.",
    "per-corpus": "Unseen speakers of each corpus, all test clips together.",
    "leave-one-corpus-out": "A corpus that was not trained on.",
    LEAKY: "**Invalid scores**: every clip twice before a random split, and the epoch chosen on the test split.",
}
RUN_COLUMNS = (
    "recipe",
    "runs",
    "accuracy",
    "95 % interval",
    "UAR",
    "macro F1",
    "parameters",
    "training",
    "most confused",
)
LEAKY_COLUMNS = ("recipe", "all test clips", "copy in the training split", "no copy in the training split")
VARIANT_COLUMNS = (
    "recipe",
    "variant",
    "seeds",
    "UAR on dev",
    "changed dev clips",
    "changed test clips",
    "other corpora",
    "parameters",
    "training",
)
REFIT_COLUMNS = ("recipe", "corpus", "protocol", "runs", "before", "refit", "difference")


def protocol_tables(results: Sequence[Run]) -> str:
    """A section with a table for each corpus and protocol; the most accurate recipe comes first."""
    sections = defaultdict(list)
    for system, runs in grouped(results).items():
        sections[system.corpus, system.protocol].append((system.name, summarize(runs)))
    texts = []
    order = (*PROTOCOLS, *ACROSS_CORPORA)
    for corpus, protocol in sorted(sections, key=lambda key: (key[0], order.index(key[1]))):
        summaries = sorted(sections[corpus, protocol], key=lambda item: -item[1]["accuracy"])
        table = markdown_table(RUN_COLUMNS, [_run_row(name, protocol, summary) for name, summary in summaries])
        texts.append(f"## {corpus}, `{protocol}`\n\n{PROTOCOL_NOTES[protocol]}{_listeners(summaries)}\n\n{table}")
    return "\n".join(texts)


def _listeners(summaries: Sequence[tuple[str, dict]]) -> str:
    """The accuracy of human listeners, if their votes are known."""
    known = [summary["listeners"] for _, summary in summaries if summary["listeners"] and not summary["reduced"]]
    return f"\nA single listener names the intended emotion of {known[0]:.3f} of the test clips." if known else ""


def _run_row(name: str, protocol: str, summary: dict) -> list[str]:
    (low, high), pair = summary["interval"], summary["most_confused"]
    return [
        f"`{name}`",
        "; ".join(filter(None, [summary["runs"], summary["reduced"], summary["changed"]])),
        _accuracy(protocol, summary),
        f"{low:.3f} to {high:.3f}",
        f"{summary['uar']:.3f}",
        f"{summary['macro_f1']:.3f}",
        f"{summary['parameters']:,}",
        summary["training"],
        f"{pair['label']} as {pair['predicted']}" if pair else "none",
    ]


def _accuracy(protocol: str, summary: dict) -> str:
    """The accuracy, in bold unless it is invalid or of a reduced run."""
    if protocol == LEAKY:
        return f"invalid: {summary['accuracy']:.3f}"
    return f"{summary['accuracy']:.3f}" if summary["reduced"] else f"**{summary['accuracy']:.3f}**"


def leaky_table(runs: dict[str, Predictions]) -> str:
    """Accuracy under the leaky protocol, on test clips with and without a copy in the training split.

    Args:
        runs: Predictions by recipe; a clip without a copy in the training split is in the test split twice.
    """
    rows = []
    for name, predictions in runs.items():
        times, actors = Counter(predictions.clips), actors_of(predictions.clips)
        copied = np.array([times[clip] == 1 for clip in predictions.clips])
        rows.append([f"`{name}`", f"{predictions.hits.mean():.3f}"])
        for chosen in (copied, ~copied):
            hits = predictions.hits[chosen].astype(float)
            low, high = mean_interval(hits, actors[chosen])
            rows[-1].append(f"{hits.mean():.3f} ({low:.3f} to {high:.3f}), {counted(len(hits), 'clip')}")
    return markdown_table(LEAKY_COLUMNS, rows)


def variant_table(results: Sequence[Run]) -> str:
    """One row for each recipe with variants, and one for each variant.

    Args:
        results: All runs, with the scores in "conditions", "conditions_on_dev" and "corpora" where there are any.
    """
    groups = defaultdict(list)
    for run in results:
        unchanged = run | {"variant": None}
        system = system_of(unchanged)
        if system.protocol == VARIANTS_PROTOCOL and (system.name, system.changed) == (run["recipe"], ""):
            groups[run["recipe"], run["variant"]].append(run)
    shown = [key for key in groups if key[1] or any(recipe == key[0] and variant for recipe, variant in groups)]
    shown.sort(key=lambda key: (key[0], key[1] or ""))
    measured = [_measured_of_all(groups, shown, what) for what in ("conditions_on_dev", "conditions")]
    means = [means_when_changed(conditions) for conditions in measured]
    rows = [
        _variant_row(
            groups[key],
            groups.get((key[0], None), []),
            [mean[key] for mean in means],
            _measured(groups[key], "corpora"),
        )
        for key in shown
    ]
    return markdown_table(VARIANT_COLUMNS, rows)


def _measured(runs: Sequence[Run], what: Literal["conditions", "conditions_on_dev", "corpora"]) -> dict:
    """The scores of the first run that has any."""
    return next((run[what] for run in runs if run.get(what)), {})


def _measured_of_all(groups: dict, keys: list, what: Literal["conditions", "conditions_on_dev"]) -> dict:
    """The scores of each group, for the conditions measured for every group that has scores."""
    scores = {key: _measured(groups[key], what) for key in keys}
    measured = [set(each) for each in scores.values() if each]
    shared = set.intersection(*measured) if measured else set()
    return {key: {name: each[name] for name in each if name in shared} for key, each in scores.items()}


def _variant_row(runs: Sequence[Run], base: Sequence[Run], means: list[float | None], corpora: dict) -> list[str]:
    recipe, variant = runs[0]["recipe"], runs[0]["variant"]
    uar, of_base = (np.mean([run["parts"]["dev"]["uar"] for run in each]) for each in (runs, base or runs))
    return [
        f"`{recipe}`",
        f"`{variant}`" if variant else "none",
        f"{len(runs)}",
        f"{uar:.3f}" + (f" ({uar - of_base:+.3f})" if variant and base else ""),
        *("" if mean is None else f"{mean:.3f}" for mean in means),
        ", ".join(f"{name} {with_interval(scores)}" for name, scores in corpora.items()),
        f"{runs[0]['parameters']:,}",
        f"{np.mean([run['wall_time_seconds'] for run in runs]) / 60:.0f} min",
    ]


def refit_table(refits: Iterable[tuple[Report, Predictions, Predictions]]) -> str:
    """One row for each refit system: accuracy before and after, and the difference.

    Args:
        refits: For each refit run: its report, the predictions of the run before it, and its own.
    """
    groups = defaultdict(list)
    for run, before, after in refits:
        groups[system_of({**run, "refit": False})].append((run, before.hits, after.hits, _resampled(run, after)))
    rows = []
    for system, folds in groups.items():
        runs, *arrays = zip(*folds, strict=True)
        first, second, units = map(np.concatenate, arrays)
        rows.append([f"`{system.name}`", system.corpus, f"`{system.protocol}`", count(list(runs))])
        rows[-1] += [f"{first.mean():.3f}", f"{second.mean():.3f}", difference(second, first, units)]
    return markdown_table(REFIT_COLUMNS, rows)


def _resampled(run: Report, predictions: Predictions) -> np.ndarray:
    """The unit that the bootstrap resamples, for each clip: its actor if known, else its fold, else the clip."""
    if run["interval_over"] == "actors" and run["corpus"] == CremaD.TITLE:
        return actors_of(predictions.clips)
    return np.full(len(predictions.clips), run["fold"]) if run["fold"] else np.asarray(predictions.clips)


def with_interval(scores: Mapping[str, Any]) -> str:
    """Accuracy and its 95 % interval."""
    return "{accuracy:.3f} ({interval_95[accuracy][0]:.3f} to {interval_95[accuracy][1]:.3f})".format_map(scores)


def difference(hits: np.ndarray, others: np.ndarray, speakers: np.ndarray) -> str:
    """Difference in accuracy on the same clips, with its 95 % interval; all arguments of shape `(clips,)`."""
    change = hits.astype(float) - others
    low, high = mean_interval(change, speakers)
    return f"{change.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def markdown_table(columns: Iterable[str], rows: list[list]) -> str:
    """A Markdown table."""
    columns = list(columns)
    return "".join(f"| {' | '.join(map(str, cells))} |\n" for cells in [columns, ["---"] * len(columns), *rows])


__all__ = [
    "difference",
    "leaky_table",
    "markdown_table",
    "protocol_tables",
    "refit_table",
    "variant_table",
    "with_interval",
]
