"""Figures in sentences, for the README."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ser.evaluation.intervals import bootstrap_interval
from ser.evaluation.intervals import mean_interval
from ser.evaluation.scores import score
from ser.experiments.aggregate import FOLDS
from ser.experiments.aggregate import KNOWN
from ser.experiments.aggregate import SENTENCES
from ser.experiments.aggregate import UNSEEN
from ser.experiments.aggregate import Predictions
from ser.experiments.aggregate import actors_of
from ser.experiments.aggregate import grouped
from ser.experiments.aggregate import summarize
from ser.experiments.aggregate import system_of
from ser.experiments.tables import difference
from ser.experiments.tables import figure
from ser.experiments.tables import with_interval
from ser.inference.loading import MODEL
from ser.recipes import load_recipe


def paired_differences(hits: dict[str, np.ndarray], clips: Sequence[str]) -> str:
    """How much more often the default model is right than each other one on the same clips, in words.

    Args:
        hits: By the name of a model as Markdown, whether it was right, shape `(clips,)`.
        clips: Names of the clips of CREMA-D, which begin with the actor.
    """
    name, actors = f"`{MODEL.name}`", actors_of(clips)
    parts = [f"{other} {difference(hits[name], hits[other], actors)}" for other in hits if other != name]
    return (
        f"Accuracy of {name} less that of {', '.join(parts)}:\n"
        f"the same {len(actors):,} clean clips (`tfds`), one seed each, 95 % interval over the actors.\n"
    )


def folds_figures(results: list[dict], protocol: str) -> str:
    """What recipes reach under a protocol whose folds test each speaker once, and with known speakers, in words.

    Those of which folds are missing, or of which nobody knows how many there are, are left out.
    """
    groups = grouped(results)
    folds = {system: {run["fold"] for run in runs} for system, runs in groups.items() if system.protocol == protocol}
    whole = [system for system in folds if len(folds[system]) == FOLDS.get((system.corpus, protocol))]
    summaries = [(system, summarize(groups[system])) for system in whole]
    lines = []
    for system, summary in sorted(summaries, key=lambda item: -item[1]["accuracy"]):
        lines.append(_in_words(system.name, summary))
        if known := groups.get(system._replace(protocol=KNOWN)):
            lines.append(f"  (the same speakers in training and test, `{KNOWN}`: {figure(summarize(known))})")
    return "\n".join([*lines, ""])


def sentences_figures(results: list[dict]) -> str:
    """What recipes reach on sentences that nobody says in training, and where they are said there, in words."""
    lines = []
    for system, runs in grouped(results).items():
        if system.protocol != SENTENCES:
            continue
        lines.append(_in_words(system.name, summarize(runs)))
        seeds = {run["seed"] for run in runs}
        unseen = system._replace(protocol=UNSEEN)
        heard = [run for run in results if system_of(run) == unseen and run["seed"] in seeds]
        if sum(run["test_clips"] for run in heard) == sum(run["test_clips"] for run in runs):  # the very same clips
            lines.append(f"  (the same clips, their sentences heard in training: {summarize(heard)['accuracy']:.3f})")
    return "\n".join([*lines, ""])


def _in_words(name: str, summary: dict) -> str:
    return f"- `{name}`: UAR {summary['uar']:.3f}, accuracy {figure(summary)}"


def together_figures(alone: Predictions, together: dict[str, Predictions]) -> str:
    """What a network reaches with others, by the mean of their probabilities, and how much that adds, in words.

    Args:
        alone: All folds put together.
        together: The same clips, by the names as Markdown of who is asked, too.
    """
    lines, actors = [], actors_of(alone.clips)
    for name, predictions in together.items():
        labels, guesses = predictions.labels, predictions.guesses
        interval = bootstrap_interval(labels, guesses, actors, num_labels=int(labels.max()) + 1)
        figures = score(labels, guesses) | {"interval_95": interval}
        added = difference(predictions.hits, alone.hits, actors)
        lines.append(f"- with {name}: UAR {figures['uar']:.3f}, accuracy {with_interval(figures)}, which is {added}")
    return "\n".join([*lines, ""])


def copies_figures(runs: dict[str, Predictions]) -> str:
    """How a leaky split inflates the figures of a recipe: clips that training had a copy of, and the others, in words.

    Args:
        runs: By recipe, on the test part, where a clip stands twice if neither of its copies is in training.
    """
    lines = []
    for name, predictions in runs.items():
        clips, hits = predictions.clips, predictions.hits
        times, actors = Counter(clips), actors_of(clips)
        known, printed = np.array([times[clip] == 1 for clip in clips]), load_recipe(name).printed_accuracy
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
    return with_interval({"accuracy": hits[chosen].mean(), "interval_95": {"accuracy": interval}})


def noise_floor_figures(report: dict) -> str:
    """What `ser noise-floor` measured, in words."""
    own, other = (with_interval(report[name]) for name in ("own_noise", "other_noise"))
    medians = sorted((levels["0.5"], name) for name, levels in report["below_the_voice_db"].items())
    (loud, loudest), (quiet, quietest) = medians[0], medians[-1]
    lines = [
        f"Between the words, the noise of the room lies {-loud:.0f} dB below the voice in a clip of {loudest}, and",
        f"{-quiet:.0f} dB below it in one of {quietest} (medians): the room is the same, the voice louder or softer.",
        "A linear classifier that is told nothing but how far the quietest moments lie below the loudest, by band,",
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
    name = MODEL.name
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


__all__ = [
    "benchmark_figures",
    "copies_figures",
    "folds_figures",
    "noise_floor_figures",
    "page_figures",
    "paired_differences",
    "sentences_figures",
    "together_figures",
]
