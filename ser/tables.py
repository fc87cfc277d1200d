"""Tables of results: one row for each recipe, and one for each recipe and protocol."""

from collections import Counter
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.metrics import f1_score

from ser.arguments import changes
from ser.corpora.splits import PROTOCOLS
from ser.evaluation import bootstrap_interval
from ser.evaluation import mean_interval
from ser.evaluation import most_confused
from ser.model_card import CLEAN
from ser.model_card import mean_when_changed
from ser.predict import MODEL
from ser.recipes import Recipe
from ser.recipes import load_recipe

CREMA_D = "CREMA-D"  # reports older than the second corpus do not name theirs
UNSEEN, RANDOM, LEAKY, SENTENCES, KNOWN = "tfds", "random-70-30", "leaky", "new-sentences", "random"
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
Reduced: a fixed share of the clips of each part, those of the test too, and fewer epochs, so that a network of this
size could be trained at all; beside the other rows it says little. Changed: what the run's command says otherwise than
the recipe.
Training and most confused: of the run on unseen speakers where there is one, the latter beside the
pair that the source names. Times are those of a machine with other work to do: take them for orders of magnitude.
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
Peak memory: of the process on its machine; beside a GPU, that of the GPU is not in it
([short trainings of each recipe on a CPU](benchmarks.md#memory)).
Listeners: share of single audio-only votes of CREMA-D's raters that name the intended emotion, on the same test clips.
"""
VARIANTS_PROTOCOL = "tfds"
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
that were not measured of all its rows (`ser.robustness`; of dev clips with `--part dev`). Changed test clips and the
other corpora (`ser.cross_corpus`) tell what a change does elsewhere; no row of this table was chosen by them. What the
recipe owes to them stands below the next table.
"""
REFIT_COLUMNS = ("recipe", "corpus", "protocol", "runs", "before", "refit", "difference")
REFIT_LEGEND = """
Accuracy on the very same test clips before and after `--refit`: the same settings, then trained on the training and
the dev part together. Difference: with its 95 % interval, the bootstrap over the test actors (over folds where each
is of one).
"""
SHOWN = (
    "clean",
    "pink noise, 10 dB",
    "white noise, 10 dB",
    "another voice, 10 dB",
    "room, 0.3 s",
    "room, 0.6 s",
    "telephone band",
    "Opus, 16 kbit/s",
    "clipped",
    "noise suppressed",
    "margins of room noise",
    "20 dB softer",
)
ROBUSTNESS_LEGEND = """
Accuracy on each model's own test part (`tfds`), every clip changed in one way, and the difference from the clean clips.
None of the conditions is heard in training as it is here (`python -m ser.robustness`). `flagship` and
`flagship-distilled` were trained with noise, rooms, narrow bands, margins and microphones worked out in another way
(`ser/channel.py`), the latter with suppressed noise, too; `cnn1d` and `cnn2d` were not. The telephone of training has
the same band, with other slopes, and its noise suppressor subtracts as this one does, but more of it.
Not all of this was chosen blind: `flagship-distilled` got sloping narrow bands after its figure for the telephone had
been seen to be low, and trims silence around the voice after that for silent margins had; how it trims was decided on
dev clips with both kinds of margins. These three rows are no untouched tests of it. Its 25 dB were chosen with EmoDB in
view. Levels cannot move the two flagships, which take each clip relative to its loudest moment.
The page offers first the model whose mean over these conditions is highest.
Another voice: one of the page's examples, spoken by a machine; no model was trained with voices behind the voice.
Rooms: an exponentially falling echo as loud as the direct sound. Clipped: the loudest tenth of the samples cut off.
Other microphones: seven bands up to 10 dB up or down. Noise suppressed: what is heard in the pauses, subtracted
everywhere. Silent margins: a second before and after; margins of room noise: the same, in pink noise 35 dB below the
whole.
"""


class Predictions(NamedTuple):
    """What a model made of the test part: names of its clips, their labels and its guesses, `(clips,)`."""

    clips: Sequence[str]
    labels: np.ndarray
    guesses: np.ndarray

    @property
    def hits(self) -> np.ndarray:
        """Whether it was right, shape `(clips,)`."""
        return self.labels == self.guesses


def recipe_table(results: list[dict]) -> str:
    """One Markdown row for each recipe on CREMA-D: what was printed, what clean, honest and leaky splits give.

    The most accurate on unseen speakers comes first, those with a reduced budget last.
    """
    groups: defaultdict[str, dict[str, dict]] = defaultdict(dict)
    for system, runs in sorted(_grouped(results).items(), key=lambda item: (item[0].share, not item[0].changed)):
        if system.corpus == CREMA_D and system.protocol in (UNSEEN, RANDOM, LEAKY):  # folds stand in the other table
            groups[system.name][system.protocol] = summarize(runs)  # the full, unchanged run last: it takes the place
    rows = [(group.get(UNSEEN), name, group) for name, group in groups.items()]
    rows.sort(key=lambda row: (bool(row[0]["reduced"]), -row[0]["accuracy"]) if row[0] else (True, 0.0))
    return _markdown(RECIPE_COLUMNS, [_recipe_row(name, unseen, group) for unseen, name, group in rows])


def protocol_table(results: list[dict]) -> str:
    """One Markdown row for each recipe and protocol, the most accurate recipe of a protocol first."""
    summaries = [(system, summarize(runs)) for system, runs in _grouped(results).items()]
    summaries.sort(key=lambda item: (item[0].corpus, PROTOCOLS.index(item[0].protocol), -item[1]["accuracy"]))
    return _markdown(PROTOCOL_COLUMNS, [_protocol_row(system, summary) for system, summary in summaries])


def variant_table(results: list[dict]) -> str:
    """One Markdown row for each recipe with variants and for each of these: what a single change does.

    Args:
        results: Of all runs, with the "conditions" and "corpora" that were measured of their models, if any.
    """
    groups = defaultdict(list)
    for run in results:
        judged = run["protocol"] == VARIANTS_PROTOCOL and not run.get("refit")
        if judged and _name(run) == run["recipe"] and not _changed(run):
            groups[run["recipe"], run.get("variant")].append(run)
    shown = [key for key in groups if key[1] or any(recipe == key[0] and variant for recipe, variant in groups)]
    shown.sort(key=lambda key: (key[0], key[1] or ""))
    changed = {what: _measured_of_all(groups, shown, what) for what in ("conditions_on_dev", "conditions")}
    rows = [
        _variant_row(
            groups[key],
            groups.get((key[0], None), []),
            [conditions[key] for conditions in changed.values()],
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


def _variant_row(runs: list[dict], base: list[dict], conditions: list[dict], corpora: dict) -> list[str]:
    recipe, variant = runs[0]["recipe"], runs[0].get("variant")
    uar, of_base = (np.mean([run["parts"]["dev"]["uar"] for run in each]) for each in (runs, base or runs))
    return [
        f"`{recipe}`",
        f"`{variant}`" if variant else "as it is",
        f"{len(runs)}",
        f"{uar:.3f}" + (f" ({uar - of_base:+.3f})" if variant and base else ""),
        *("" if (mean := mean_when_changed(each)) is None else f"{mean:.3f}" for each in conditions),
        ", ".join(f"{name} {_with_interval(figures)}" for name, figures in corpora.items()),
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
        groups[_system(run | {"refit": None})].append((run, before.hits, after.hits, _drawn_again(run, after)))
    rows = []
    for system, folds in groups.items():
        runs, *parts = zip(*folds, strict=True)
        first, second, drawn = map(np.concatenate, parts)
        low, high = mean_interval(second.astype(float) - first, drawn)
        rows.append([f"`{system.name}`", system.corpus, f"`{system.protocol}`", summarize(list(runs))["runs"]])
        rows[-1] += [f"{hits.mean():.3f}" for hits in (first, second)]
        rows[-1].append(f"{second.mean() - first.mean():+.3f} ({low:+.3f} to {high:+.3f})")
    return _markdown(REFIT_COLUMNS, rows) + REFIT_LEGEND


def _drawn_again(run: dict, predictions: Predictions) -> np.ndarray:
    """What the bootstrap draws, of each clip: its actor, or its fold where that has only one."""
    if run["interval_over"] == "actors":
        return _actors(predictions.clips)
    return np.full(len(predictions.clips), run["fold"]) if run["fold"] else np.asarray(predictions.clips)


def summarize(runs: list[dict]) -> dict:
    """Runs of one recipe under one protocol as one: folds put together, then the mean over seeds."""
    seeds = defaultdict(list)
    for run in runs:
        seeds[run["seed"], run["split_seed"]].append(run)
    tests = [_pooled(folds) if len(folds) > 1 else folds[0] for folds in seeds.values()]
    first, epochs = runs[0], [run["history"][-1]["epoch"] for run in runs]
    share = first.get("share_of_clips", 1.0)
    listeners = [run["human_single_vote_accuracy"] for run in runs]
    times = [run["wall_time_seconds"] for run in runs if run["device"] == first["device"]]
    return {
        **{name: np.mean([test[name] for test in tests]) for name in ("accuracy", "uar", "macro_f1")},
        "interval": np.mean([test["interval_95"]["accuracy"] for test in tests], axis=0),
        "most_confused": next(iter(tests[0]["most_confused"]), None),
        "parameters": first["parameters"],
        "listeners": None if None in listeners else np.mean(listeners),
        "runs": f"{len(tests)} seed{'s' * (len(tests) > 1)}{_folds(runs)}",
        "training": f"{np.mean(times) / 60:.0f} min, {first['device']}"
        + (f", {first['threads']} thread{'s' * (first['threads'] > 1)}" if first["device"] == "cpu" else ""),
        "peak_memory": max((run["peak_memory_gib"] for run in runs if run["peak_memory_gib"]), default=None),
        "reduced": f"reduced: {share:.0%} of the clips, {max(epochs):.0f} epochs" if share < 1 else "",
        "changed": _changed(first),
    }


def _folds(runs: list[dict]) -> str:
    """How many folds there are of a figure; which ones, if some before the last of them are missing."""
    numbers = sorted({run["fold"] for run in runs if run["fold"]})
    if len(numbers) > 1 and numbers[-1] == len(numbers):
        return f", {len(numbers)} folds"
    return f", fold{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}" if numbers else ""


def _pooled(folds: list[dict]) -> dict:
    """Figures of several test parts put together, with the bootstrap over their actors, or over folds of one each."""
    matrices = np.array([run["confusion_matrix"] for run in folds])  # (folds, labels, labels)
    names, matrix = folds[0]["labels"], matrices.sum(0)
    if all("predictions" in run for run in folds):
        clips, label, heard_as = map(np.concatenate, zip(*(run["predictions"] for run in folds), strict=True))
        group = _actors(clips)
    else:
        indices = np.indices(matrices.shape).reshape(3, -1)
        group, label, heard_as = (np.repeat(index, matrices.ravel()) for index in indices)
    return {
        "accuracy": np.trace(matrix) / matrix.sum(),
        "uar": np.mean(np.diag(matrix) / matrix.sum(1)),
        "macro_f1": f1_score(label, heard_as, average="macro"),
        "interval_95": bootstrap_interval(label, heard_as, group, num_labels=len(names)),
        "most_confused": most_confused(matrix, names),
    }


def robustness_table(models: dict[str, dict[str, dict]], conditions: Sequence[str] | None = None) -> str:
    """One Markdown row for each condition: accuracy of each model, and its change against the clean clips.

    Below them the mean over all that was measured but for the clean clips.

    Args:
        models: What `ser.robustness` measured, by name of the model and of the condition.
        conditions: Those to show; None for all.
    """
    rows = [
        [name, *("{accuracy:.3f} ({change:+.3f})".format(**figures[name]) for figures in models.values())]
        for name in conditions or next(iter(models.values()), {})
    ]
    means = [mean_when_changed(figures) for figures in models.values()]
    if rows and None not in means:
        rows.append([f"mean of all but {CLEAN}", *(f"{mean:.3f}" for mean in means)])
    return _markdown(("condition", *(f"`{name}`" for name in models)), rows)


def paired_differences(hits: dict[str, np.ndarray], clips: Sequence[str]) -> str:
    """How much more often the default model is right than each other one on the same clips, in words.

    Args:
        hits: By the name of a model as Markdown, whether it was right, shape `(clips,)`.
        clips: Names of the clips of CREMA-D, which begin with the actor.
    """
    name, actors = f"`{Path(MODEL).name}`", _actors(clips)
    changes = {other: hits[name].astype(float) - right for other, right in hits.items() if other != name}
    parts = [
        f"{other} {change.mean():+.3f} ({low:+.3f} to {high:+.3f})"
        for other, change in changes.items()
        for low, high in [mean_interval(change, actors)]
    ]
    return (
        f"Accuracy of {name} less that of {', '.join(parts)}:\n"
        f"the same {len(actors):,} clean clips (`tfds`), one seed each, 95 % interval over the actors.\n"
    )


def folds_figures(results: list[dict], protocol: str) -> str:
    """What recipes reach under a protocol whose folds test each speaker once, and with known speakers, in words."""
    groups = _grouped(results)
    summaries = [(system, summarize(runs)) for system, runs in groups.items() if system.protocol == protocol]
    lines = []
    for system, summary in sorted(summaries, key=lambda item: -item[1]["accuracy"]):
        lines.append(_in_words(system.name, summary))
        if known := groups.get(system._replace(protocol=KNOWN)):
            lines.append(f"  (the same speakers in training and test, `{KNOWN}`: {_figure(summarize(known))})")
    return "\n".join([*lines, ""])


def sentences_figures(results: list[dict]) -> str:
    """What recipes reach on sentences that nobody says in training, and where they are said there, in words."""
    lines = []
    for system, runs in _grouped(results).items():
        if system.protocol != SENTENCES:
            continue
        lines.append(_in_words(system.name, summarize(runs)))
        heard = [run for run in results if _system(run) == system._replace(protocol=UNSEEN)]
        if sum(run["test_clips"] for run in heard) == sum(run["test_clips"] for run in runs):  # the very same clips
            lines.append(f"  (the same clips, their sentences heard in training: {summarize(heard)['accuracy']:.3f})")
    return "\n".join([*lines, ""])


def _in_words(name: str, summary: dict) -> str:
    return f"- `{name}`: UAR {summary['uar']:.3f}, accuracy {_figure(summary)}"


def copies_figures(runs: dict[str, Predictions]) -> str:
    """How a leaky split inflates the figures of a recipe: clips that training had a copy of, and the others, in words.

    Args:
        runs: By recipe, on the test part, where a clip stands twice if neither of its copies is in training.
    """
    lines = []
    for name, predictions in runs.items():
        clips, hits = predictions.clips, predictions.hits
        times, actors = Counter(clips), _actors(clips)
        known, printed = np.array([times[clip] == 1 for clip in clips]), _recipe_of(name).printed_accuracy
        beside = f" (its authors print {printed:.3f})" if printed else ""
        of_known, of_others = (_share_right(hits, actors, chosen) for chosen in (known, ~known))
        lines += [
            f"- `{name}`: {hits.mean():.3f} in all{beside}, which is",
            f"  {of_known} on the {known.sum():,} test clips whose copy is in the training part",
            f"  and {of_others} on the {(~known).sum():,} others.",
        ]
    return "\n".join([*lines, ""])


def _share_right(hits: np.ndarray, actors: np.ndarray, chosen: np.ndarray) -> str:
    interval = mean_interval(hits[chosen].astype(float), actors[chosen])
    return _with_interval({"accuracy": hits[chosen].mean(), "interval_95": {"accuracy": interval}})


def _actors(clips: Iterable[str]) -> np.ndarray:
    return np.array([clip.split("_")[0] for clip in clips])


def corpora_table(models: dict[str, dict[str, dict]]) -> str:
    """Three Markdown rows for each corpus that no model was trained on: accuracy, a simple baseline, what is overheard.

    Args:
        models: What `ser.cross_corpus` measured, by name of the model and of the corpus.
    """
    rows = []
    for corpus in dict.fromkeys(name for figures in models.values() for name in figures):
        measured = [figures.get(corpus) for figures in models.values()]
        one = next(each for each in measured if each)
        clips, speakers = one["clips"], one["speakers"]
        rows.append([corpus, f"{clips:,}", f"{speakers or 'unknown'}"])
        rows[-1] += [f"{_with_interval(each)}, UAR {each['uar']:.3f}" if each else "" for each in measured]
        (label, most), labels = max(one["intended"].items(), key=lambda item: item[1]), len(one["labels"])
        always = f"{most / clips:.3f}, UAR {1 / labels:.3f}"
        rows.append([f"always {label}", "", "", *(always if each else "" for each in measured)])
        rows.append(["answered too often", "", "", *(_too_often(each) if each else "" for each in measured)])
    return _markdown(("corpus", "clips", "speakers", *(f"`{name}`" for name in models)), rows)


def noise_floor_figures(report: dict) -> str:
    """What `ser.noise_floor` measured, in words."""
    own, other = (_with_interval(report[name]) for name in ("own_noise", "other_noise"))
    medians = sorted((levels["0.5"], name) for name, levels in report["below_the_voice_db"].items())
    (loud, loudest), (quiet, quietest) = medians[0], medians[-1]
    lines = [
        f"Between the words, the noise of the room lies {-loud:.0f} dB below the voice in a clip of {loudest}, and",
        f"{-quiet:.0f} dB below it in one of {quietest} (medians). A linear classifier that sees only these frames",
        f"names the emotion of unseen actors with an accuracy of {own} (`{report['protocol']}`,",
        f"{report['own_noise']['test_clips']:,} clips, six emotions); with another noise in its place, of {other};",
        f"always naming the commonest emotion has {report['always_the_commonest']:.3f}",
        "([noise_floor.json](results/noise_floor.json)).",
    ]
    return "\n".join([*lines, ""])


def page_figures(page: dict, load: dict) -> str:
    """What `benchmarks/page.py` and `benchmarks/load.py` measured, in words."""
    grown = load["memory_end_mib"] - load["memory_after_30_s_mib"]
    lines = [
        f"From the end of a recording of 3 s to the bars it takes {page['clip_3s_ms_p50']} ms",
        f"(`{page['model']}`, median; browser and server on the same {page['cores']} cores),",
        f"half an hour of speech {page['file_30min_s']:.0f} s,",
        f"and the page is ready {page['ready_s']:.1f} s after the libraries' imports.",
        f"{load['clients']} clients at once for {load['seconds']} s asked {load['requests']:,} times:",
        f"{load['wrong']} wrong answers, {load['lost']} lost, half of them within {load['p50_ms'] / 1000:.1f} s;",
        f"memory changed by {grown:+d} MiB after the first 30 s",
        "([page.json](results/benchmarks/page.json), [load.json](results/benchmarks/load.json)).",
    ]
    return "\n".join([*lines, ""])


def benchmark_figures(features: dict, training: dict, inference: dict, one_core: dict) -> str:
    """What `benchmarks/features.py`, `training.py`, `inference.py` and `one_core.py` measured, in words."""
    mel = features["threads"]["1"]["log-mel (cnn2d)"]["ratios"]["librosa"]["median"]
    epochs = {name: run["ratios"] for name, run in training["recipes"].items()}
    plain, fast, same, fresh = (
        "{median:.1f} ({min:.1f} to {max:.1f})".format(**epochs[recipe][side]["later_epoch"])
        for recipe, side in (
            ("mel-2d", "ours, fp32"),
            ("mel-2d", "ours, bf16"),
            ("zcr-energy-1d", "ours, fp32, not augmented"),
            ("zcr-energy-1d", "ours, fp32"),
        )
    )
    sizes = training["recipes"]["mel-2d"]["sizes"]
    ratios = inference["pipeline"]["wav2vec2-base"]["latency_ratios"]
    small, large = (ratios[name]["median"] for name in ("cnn1d", "cnn2d"))
    name = Path(MODEL).name
    default = one_core["models"][name]
    low, high = default["accuracy"]["change_interval_95"]
    milliseconds = {way: times["median"] for way, times in default["milliseconds"].items()}
    lines = [
        f"Beside what else one would run, on the same {training['cores']} cores:",
        f"log-mel features of {mel:.1f} times as many clips a second as librosa (one process);",
        f"an epoch of `mel-2d` over {sizes['train']} clips {plain} times as fast as Keras (both in float32; ours in",
        f"bfloat16 {fast}), one of `zcr-energy-1d` {same} times on the same work, and {fresh} times",
        "where each epoch augments every clip anew and Keras did it once;",
        f"a clip of 3 s heard {small:.0f} (`cnn1d`) and {large:.0f} (`cnn2d`) times as fast as by wav2vec2-base.",
        f"`{name}` hears such a clip in {milliseconds['pipeline']:.0f} ms on one core, as an ONNX file in",
        f"{milliseconds['onnx']:.0f} ms, and in 8 bits ({default['megabytes']['onnx, 8 bits']} MB) in "
        f"{milliseconds['onnx, 8 bits']:.0f} ms, which changes its accuracy by",
        f"{100 * default['accuracy']['change']:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}).",
        "[All figures](results/benchmarks.md).",
    ]
    return "\n".join([*lines, ""])


class System(NamedTuple):
    """What the runs of one figure have in common."""

    corpus: str
    protocol: str
    name: str
    share: float
    changed: str


def _grouped(results: list[dict]) -> dict[System, list[dict]]:
    """Runs by what they have in common; where variants are compared on dev, they have a table of their own."""
    groups = defaultdict(list)
    for run in results:
        if run.get("refit") or not (run.get("variant") and run["protocol"] == VARIANTS_PROTOCOL):
            groups[_system(run)].append(run)
    return groups


def _system(run: dict) -> System:
    name = ", ".join(filter(None, [_name(run), run.get("variant"), "refit" if run.get("refit") else None]))
    corpus = run.get("corpus", CREMA_D)
    return System(corpus, run["protocol"], name, run.get("share_of_clips", 1.0), _changed(run))


def _name(run: dict) -> str:
    """The recipe of a run; after a comma, where its weights or targets come from if not from there."""
    taught = run.get("teachers") and not load_recipe(run["recipe"]).has_teachers
    tuned = run.get("fine_tuned_from")
    return run["recipe"] + (", distilled" if taught else "") + (f", fine-tuned from {tuned}" if tuned else "")


def _changed(run: dict) -> str:
    """What a run did otherwise than its recipe, as tables tell it; fewer epochs are part of a reduced budget."""
    changed = changes(run["command"])
    if run.get("share_of_clips", 1.0) < 1:
        changed.pop("num_train_epochs", None)
    return "changed: " + ", ".join(f"{name} {value}" for name, value in changed.items()) if changed else ""


def _recipe_of(name: str) -> Recipe:
    return load_recipe(name.partition(",")[0])


def _recipe_row(name: str, unseen: dict | None, group: dict[str, dict]) -> list[str]:
    recipe, any_protocol = _recipe_of(name), next(iter(group.values()))
    leaky = group.get(LEAKY)
    return [
        f"`{name}`",
        f"{recipe.printed_accuracy:.3f}" if recipe.printed_accuracy else "",
        _figure(group.get(RANDOM)),
        _figure(unseen, bold=True),
        f"invalid: {_figure(leaky)}" if leaky else "",
        f"{(unseen or any_protocol)['parameters']:,}",
        (unseen or any_protocol)["training"],
        _confusion(unseen or any_protocol, recipe.printed_confusion),
    ]


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


def _figure(summary: dict | None, *, bold: bool = False) -> str:
    """Accuracy, interval and what it rests on; a reduced budget is never bold."""
    if summary is None:
        return ""
    mark, (low, high) = "**" if bold and not summary["reduced"] else "", summary["interval"]
    return f"{mark}{summary['accuracy']:.3f}{mark} ({low:.3f} to {high:.3f}); {_rests_on(summary)}"


def _rests_on(summary: dict) -> str:
    return "; ".join(filter(None, [summary["runs"], summary["reduced"], summary["changed"]]))


def _with_interval(figures: dict) -> str:
    """Accuracy and its interval, of what was measured of a trained model."""
    return "{accuracy:.3f} ({interval_95[accuracy][0]:.3f} to {interval_95[accuracy][1]:.3f})".format(**figures)


def _too_often(figures: dict) -> str:
    """The label that a model answers most in excess, and how often it should have."""
    excess = {name: count - figures["intended"][name] for name, count in figures["answered"].items()}
    name = max(excess, key=excess.__getitem__)
    answered, intended = (100 * figures[what][name] / figures["clips"] for what in ("answered", "intended"))
    return f"{name}: {answered:.0f} %, intended {intended:.0f} %"


def _confusion(summary: dict, printed: tuple[str, str] | None) -> str:
    pair = summary["most_confused"]
    text = f"{pair['label']} as {pair['heard_as']}" if pair else "none"
    return f"{text} (source: {'/'.join(printed)})" if printed else text


def _markdown(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [columns, ["---"] * len(columns), *rows])


__all__ = [
    "SHOWN",
    "PROTOCOL_LEGEND",
    "RECIPE_LEGEND",
    "ROBUSTNESS_LEGEND",
    "Predictions",
    "benchmark_figures",
    "copies_figures",
    "folds_figures",
    "noise_floor_figures",
    "corpora_table",
    "page_figures",
    "paired_differences",
    "protocol_table",
    "recipe_table",
    "refit_table",
    "robustness_table",
    "sentences_figures",
    "variant_table",
    "summarize",
]
