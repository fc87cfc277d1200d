"""Tables of figures, as Markdown, and what stands below them."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from ser.corpora.crema_d import CremaD
from ser.corpora.splits import PROTOCOLS
from ser.evaluation.intervals import mean_interval
from ser.experiments.aggregate import LEAKY
from ser.experiments.aggregate import RANDOM
from ser.experiments.aggregate import UNSEEN
from ser.experiments.aggregate import VARIANTS_PROTOCOL
from ser.experiments.aggregate import Predictions
from ser.experiments.aggregate import System
from ser.experiments.aggregate import actors_of
from ser.experiments.aggregate import count
from ser.experiments.aggregate import grouped
from ser.experiments.aggregate import summarize
from ser.experiments.aggregate import system_of
from ser.recipes import Recipe
from ser.recipes import load_recipe
from ser.reporting.report_file import means_when_changed

RECIPE_COLUMNS = (
    "recipe",
    "printed by its authors",
    "clean random split",
    "unseen speakers",
    "leaky split",
    "parameters",
    "training",
    "most confused",
)
PROTOCOL_COLUMNS = (
    "recipe",
    "corpus",
    "protocol",
    "runs",
    "accuracy",
    "95 % interval",
    "UAR",
    "macro F1",
    "listeners",
    "parameters",
    "peak memory",
    "training",
    "most confused",
)
RECIPE_LEGEND = """
CREMA-D. Accuracy on the test part; the epoch is chosen on the dev part. Refit: the same settings, then trained on the
training and the dev part together, for as many epochs (`--refit`). 95 % interval: bootstrap over the test
actors; what another seed of the training would change is not in it.
Printed: in the reports of the class projects that the recipe follows, under protocols of their own.
Clean random: 30 % of the clips for the test, 66.5 % for training and
3.5 % for dev, no clip in two parts but the same speakers in all. Unseen speakers: 1,556 clips
of 19 actors who are in no other part (`tfds`). Leaky: every clip twice
before a random split, selection on the test part: **these figures are invalid** and show how such figures come about.
The random split is mostly not the easier one here: it has other test clips, fewer training clips and a third of the
dev clips, so the difference between these columns is not what known speakers alone do.
Reduced: a fixed share of the clips of each part, those of the test too, and fewer epochs: the budget that the recipe
has for machines without a GPU, whatever machine it was; beside the other rows it says little. Changed: what the run's
command says otherwise than the recipe.
Training and most confused: of the runs on unseen speakers where there are any, the latter beside the
pair that the source names. Training: of one run, the mean over those on the machine named. Times are those of machines
with other work to do, most of their CPUs with fast bfloat16 (AVX-512 BF16 or AMX), without which a large network takes
several times as long: take them for orders of magnitude.
"""
PROTOCOL_LEGEND = """
Test part only; the epoch is chosen on the dev part, but for the variants `small-corpus` and `fine-tuning`, which keep
the last one. Refit: the same settings, then trained on the training and the dev part together, for as many epochs as
the run before it kept.
Figures are means over seeds; the test parts of folds are put together first.
The interval is the bootstrap over test actors (over clips where only one is tested, over folds where each is of one),
drawn again 2,000 times, its ends averaged over the seeds.
`actor-5fold`: blocks of unseen actors; `new-sentences`: unseen actors who speak unseen sentences;
`random`: the same actors on all sides, so not a figure for unseen speakers.
After a comma: the variant of the recipe, where it was trained on folds, or where its targets or weights come from.
Training: of one run, the mean over those on the machine named.
Peak memory: of the process on its machine; beside a GPU, that of the GPU is not in it
([short trainings of each recipe on a CPU](benchmarks.md#memory)).
Listeners: share of single audio-only votes of CREMA-D's raters that name the intended emotion, on the same test clips.
"""
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
VARIANT_LEGEND = """
One change at a time (`python train.py --recipe RECIPE --variant VARIANT`), judged on the dev part alone: 738 clips
of nine actors, so that differences of less than about 0.03 may be chance. The best epoch of each run.
Changed clips: mean accuracy over the conditions of the next table, but for the clean one and, in each column, those
that were not measured of all its rows (`ser robustness`; of dev clips with `--part dev`). Changed test clips and the
other corpora (`ser cross-corpus`) tell what a change does elsewhere; no row of this table was chosen by them. What the
recipe owes to them stands below the next table.
"""
REFIT_COLUMNS = ("recipe", "corpus", "protocol", "runs", "before", "refit", "difference")
REFIT_LEGEND = """
Accuracy on the very same test clips before and after `--refit`: the same settings, then trained on the training and
the dev part together. Difference: with its 95 % interval, the bootstrap over the test actors (over folds where each
is of one; over clips where their names do not tell who speaks).
"""


def recipe_table(results: list[dict]) -> str:
    """One Markdown row for each recipe on CREMA-D: what was printed, what clean, honest and leaky splits give.

    The most accurate on unseen speakers comes first, those with a reduced budget last.
    """
    groups: defaultdict[str, dict[str, dict]] = defaultdict(dict)
    for system, runs in sorted(grouped(results).items(), key=lambda item: (item[0].share, not item[0].changed)):
        if system.corpus == CremaD.TITLE and system.protocol in (UNSEEN, RANDOM, LEAKY):  # folds: in the other table
            groups[system.name][system.protocol] = summarize(runs)  # the full, unchanged run last: it takes the place
    rows = [(group.get(UNSEEN), name, group) for name, group in groups.items()]
    rows.sort(key=lambda row: (bool(row[0]["reduced"]), -row[0]["accuracy"]) if row[0] else (True, 0.0))
    return _markdown(RECIPE_COLUMNS, [_recipe_row(name, unseen, group) for unseen, name, group in rows])


def _recipe_row(name: str, unseen: dict | None, group: dict[str, dict]) -> list[str]:
    recipe, any_protocol = _recipe_of(name), next(iter(group.values()))
    leaky = group.get(LEAKY)
    return [
        f"`{name}`",
        f"{recipe.printed_accuracy:.3f}" if recipe.printed_accuracy else "",
        figure(group.get(RANDOM)),
        figure(unseen, bold=True),
        f"invalid: {figure(leaky)}" if leaky else "",
        f"{(unseen or any_protocol)['parameters']:,}",
        (unseen or any_protocol)["training"],
        _confusion(unseen or any_protocol, recipe.printed_confusion),
    ]


def protocol_table(results: list[dict]) -> str:
    """One Markdown row for each recipe and protocol, the most accurate recipe of a protocol first."""
    summaries = [(system, summarize(runs)) for system, runs in grouped(results).items()]
    summaries.sort(key=lambda item: (item[0].corpus, PROTOCOLS.index(item[0].protocol), -item[1]["accuracy"]))
    return _markdown(PROTOCOL_COLUMNS, [_protocol_row(system, summary) for system, summary in summaries])


def _protocol_row(system: System, summary: dict) -> list[str]:
    low, high = summary["interval"]
    return [
        f"`{system.name}`",
        system.corpus,
        f"`{system.protocol}`",
        _rests_on(summary),
        ("invalid: {:.3f}" if system.protocol == LEAKY else "**{:.3f}**").format(summary["accuracy"]),
        f"{low:.3f} to {high:.3f}",
        f"{summary['uar']:.3f}",
        f"{summary['macro_f1']:.3f}",
        "" if summary["listeners"] is None else f"{summary['listeners']:.3f}",
        f"{summary['parameters']:,}",
        f"{summary['peak_memory']:.1f} GiB" if summary["peak_memory"] else "",
        summary["training"],
        _confusion(summary, _recipe_of(system.name).printed_confusion),
    ]


def variant_table(results: list[dict]) -> str:
    """One Markdown row for each recipe with variants and for each of these: what a single change does.

    Args:
        results: Of all runs, with the "conditions" and "corpora" that were measured of their models, if any.
    """
    groups = defaultdict(list)
    for run in results:
        system = system_of(run | {"variant": None})
        if system.protocol == VARIANTS_PROTOCOL and (system.name, system.changed) == (run["recipe"], ""):
            groups[run["recipe"], run.get("variant")].append(run)
    shown = [key for key in groups if key[1] or any(recipe == key[0] and variant for recipe, variant in groups)]
    shown.sort(key=lambda key: (key[0], key[1] or ""))
    measured = [_measured_of_all(groups, shown, what) for what in ("conditions_on_dev", "conditions")]
    changed = [means_when_changed(conditions) for conditions in measured]
    rows = [
        _variant_row(
            groups[key],
            groups.get((key[0], None), []),
            [means[key] for means in changed],
            _measured(groups[key], "corpora"),
        )
        for key in shown
    ]
    return (_markdown(VARIANT_COLUMNS, rows) if rows else "None is trained yet.\n") + VARIANT_LEGEND


def _measured(runs: list[dict], what: str) -> dict:
    """What was measured of the model of one of the runs."""
    return next((run[what] for run in runs if run.get(what)), {})


def _measured_of_all(groups: dict, keys: list, what: str) -> dict:
    """What was measured of each of the groups of runs of which anything was, by their keys."""
    figures = {key: _measured(groups[key], what) for key in keys}
    measured = [set(each) for each in figures.values() if each]
    shared = set.intersection(*measured) if measured else set()
    return {key: {name: each[name] for name in each if name in shared} for key, each in figures.items()}


def _variant_row(runs: list[dict], base: list[dict], means: list[float | None], corpora: dict) -> list[str]:
    recipe, variant = runs[0]["recipe"], runs[0].get("variant")
    uar, of_base = (np.mean([run["parts"]["dev"]["uar"] for run in each]) for each in (runs, base or runs))
    return [
        f"`{recipe}`",
        f"`{variant}`" if variant else "as it is",
        f"{len(runs)}",
        f"{uar:.3f}" + (f" ({uar - of_base:+.3f})" if variant and base else ""),
        *("" if mean is None else f"{mean:.3f}" for mean in means),
        ", ".join(f"{name} {with_interval(figures)}" for name, figures in corpora.items()),
        f"{runs[0]['parameters']:,}",
        f"{np.mean([run['wall_time_seconds'] for run in runs]) / 60:.0f} min",
    ]


def refit_table(refits: Iterable[tuple[dict, Predictions, Predictions]]) -> str:
    """One Markdown row for what was trained on the dev part, too: accuracy before and after, and the difference.

    Args:
        refits: Of each such run its report, and what the run before it and itself made of the test part.
    """
    groups = defaultdict(list)
    for run, before, after in refits:
        groups[system_of(run | {"refit": None})].append((run, before.hits, after.hits, _drawn_again(run, after)))
    rows = []
    for system, folds in groups.items():
        runs, *parts = zip(*folds, strict=True)
        first, second, drawn = map(np.concatenate, parts)
        rows.append([f"`{system.name}`", system.corpus, f"`{system.protocol}`", count(list(runs))])
        rows[-1] += [f"{first.mean():.3f}", f"{second.mean():.3f}", difference(second, first, drawn)]
    return _markdown(REFIT_COLUMNS, rows) + REFIT_LEGEND


def _drawn_again(run: dict, predictions: Predictions) -> np.ndarray:
    """What the bootstrap draws, of each clip: its actor where its name tells, else its fold or, without one, itself."""
    if run["interval_over"] == "actors" and run["corpus"] == CremaD.TITLE:
        return actors_of(predictions.clips)
    return np.full(len(predictions.clips), run["fold"]) if run["fold"] else np.asarray(predictions.clips)


def figure(summary: dict | None, *, bold: bool = False) -> str:
    """Accuracy, interval and what it rests on; a reduced budget is never bold."""
    if summary is None:
        return ""
    mark, (low, high) = "**" if bold and not summary["reduced"] else "", summary["interval"]
    return f"{mark}{summary['accuracy']:.3f}{mark} ({low:.3f} to {high:.3f}); {_rests_on(summary)}"


def _rests_on(summary: dict) -> str:
    return "; ".join(filter(None, [summary["runs"], summary["reduced"], summary["changed"]]))


def with_interval(figures: dict) -> str:
    """Accuracy and its interval, of what was measured of a trained model."""
    return "{accuracy:.3f} ({interval_95[accuracy][0]:.3f} to {interval_95[accuracy][1]:.3f})".format(**figures)


def difference(hits: np.ndarray, others: np.ndarray, speakers: np.ndarray) -> str:
    """How much more often one is right than another on the same clips, all `(clips,)`; the interval over speakers."""
    change = hits.astype(float) - others
    low, high = mean_interval(change, speakers)
    return f"{change.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def _confusion(summary: dict, printed: tuple[str, str] | None) -> str:
    pair = summary["most_confused"]
    text = f"{pair['label']} as {pair['heard_as']}" if pair else "none"
    return f"{text} (source: {'/'.join(printed)})" if printed else text


def _recipe_of(name: str) -> Recipe:
    return load_recipe(name.partition(",")[0])


def _markdown(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [columns, ["---"] * len(columns), *rows])


__all__ = [
    "PROTOCOL_LEGEND",
    "RECIPE_LEGEND",
    "difference",
    "figure",
    "protocol_table",
    "recipe_table",
    "refit_table",
    "variant_table",
    "with_interval",
]
