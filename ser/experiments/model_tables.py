"""Tables of the bundled models: unseen actors, changed recordings, other corpora."""

from collections.abc import Sequence

from ser.experiments.tables import _markdown
from ser.experiments.tables import with_interval
from ser.reporting.report_file import CLEAN
from ser.reporting.report_file import means_when_changed

BUNDLED_COLUMNS = ("model", "unseen actors", "the same clips, changed")


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
None of the conditions is heard in training as it is here (`python -m ser robustness`). `flagship` and
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


def bundled_table(
    reports: dict[str, dict], conditions: dict[str, dict[str, dict]], corpora: dict[str, dict[str, dict]]
) -> str:
    """One Markdown row for each bundled model, the one that bears other recordings best first, as on the page.

    Args:
        reports: Content of `results.json` by name of the model.
        conditions: What `ser robustness` measured, by name of the model and of the condition.
        corpora: What `ser cross-corpus` measured, by name of the model and of the corpus.
    """
    changed = means_when_changed({name: conditions.get(name, {}) for name in reports})
    elsewhere = list(dict.fromkeys(corpus for figures in corpora.values() for corpus in figures))
    rows = [
        [
            f"`{name}`",
            with_interval(reports[name]),
            "" if mean is None else f"{mean:.3f}",
            *(with_interval(figures) if (figures := corpora.get(name, {}).get(corpus)) else "" for corpus in elsewhere),
            f"{reports[name]['parameters']:,}",
        ]
        for name, mean in sorted(changed.items(), key=lambda item: -(item[1] or 0.0))
    ]
    return _markdown((*BUNDLED_COLUMNS, *elsewhere, "parameters"), rows)


def robustness_table(models: dict[str, dict[str, dict]], conditions: Sequence[str] | None = None) -> str:
    """One Markdown row for each condition: accuracy of each model, and its change against the clean clips.

    Below them the mean over all that was measured, shown or not, but for the clean clips.

    Args:
        models: What `ser robustness` measured, by name of the model and of the condition.
        conditions: Those to show; None for all.
    """
    measured = dict.fromkeys(name for figures in models.values() for name in figures)
    rows = [
        [name, *(_with_change(figures[name]) if name in figures else "" for figures in models.values())]
        for name in conditions or measured
        if name in measured
    ]
    means = means_when_changed(models).values()
    if any(mean is not None for mean in means):
        changed = len(measured.keys() - {CLEAN})
        rows.append([f"mean of all {changed} changes", *("" if mean is None else f"{mean:.3f}" for mean in means)])
    return _markdown(("condition", *(f"`{name}`" for name in models)), rows)


def corpora_table(models: dict[str, dict[str, dict]]) -> str:
    """Three Markdown rows for each corpus that no model was trained on: accuracy, a simple baseline, what is overheard.

    Args:
        models: What `ser cross-corpus` measured, by name of the model and of the corpus.
    """
    rows = []
    for corpus in dict.fromkeys(name for figures in models.values() for name in figures):
        measured = [figures.get(corpus) for figures in models.values()]
        one = next(each for each in measured if each)
        clips, speakers = one["clips"], one["speakers"]
        rows.append([corpus, f"{clips:,}", f"{speakers or 'unknown'}"])
        rows[-1] += [f"{with_interval(each)}, UAR {each['uar']:.3f}" if each else "" for each in measured]
        (label, most), labels = max(one["intended"].items(), key=lambda item: item[1]), len(one["labels"])
        always = f"{most / clips:.3f}, UAR {1 / labels:.3f}"
        rows.append([f"always {label}", "", "", *(always if each else "" for each in measured)])
        rows.append(["answered too often", "", "", *(_too_often(each) if each else "" for each in measured)])
    return _markdown(("corpus", "clips", "speakers", *(f"`{name}`" for name in models)), rows)


def _too_often(figures: dict) -> str:
    """The label that a model answers most in excess, and how often it should have."""
    excess = {name: count - figures["intended"][name] for name, count in figures["answered"].items()}
    name = max(excess, key=excess.__getitem__)
    answered, intended = (100 * figures[what][name] / figures["clips"] for what in ("answered", "intended"))
    return f"{name}: {answered:.0f} %, intended {intended:.0f} %"


def _with_change(figures: dict) -> str:
    return "{accuracy:.3f} ({change:+.3f})".format(**figures)


__all__ = ["BUNDLED_COLUMNS", "ROBUSTNESS_LEGEND", "SHOWN", "bundled_table", "corpora_table", "robustness_table"]
