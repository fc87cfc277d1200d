"""Markdown tables of the bundled models: unseen actors, robustness, other corpora."""

from collections.abc import Collection
from statistics import fmean

from ser.experiments.tables import markdown_table
from ser.experiments.tables import with_interval
from ser.reporting.report_file import CLEAN
from ser.reporting.report_file import Report
from ser.reporting.report_file import means_when_changed
from ser.reporting.report_file import on_crema_d
from ser.reporting.strangers_table import CENTRED_COLUMNS
from ser.reporting.strangers_table import COLUMNS
from ser.reporting.strangers_table import VOICE_COLUMNS
from ser.reporting.strangers_table import centred_rows
from ser.reporting.strangers_table import promise
from ser.reporting.strangers_table import strangers_rows
from ser.reporting.strangers_table import voice_rows

BUNDLED_COLUMNS = ("model", "CREMA-D, unseen actors", "noise, rooms, codecs")
SUMMARY_COLUMNS = (
    "model",
    "unseen corpora",
    "certain answers there",
    "certain answers right",
    "ordinary speech: neutral",
    "ordinary speech: certain, not neutral",
    "CREMA-D",
)


def bundled_table(
    reports: dict[str, Report], conditions: dict[str, dict[str, dict]], corpora: dict[str, dict[str, dict]]
) -> str:
    """One row for each bundled model: accuracy on each kind of clips; the most robust model comes first.

    Args:
        reports: Content of `results.json`, by model.
        conditions: Robustness scores, by model and condition.
        corpora: Cross-corpus scores, by model and corpus.
    """
    changed = means_when_changed({name: conditions.get(name, {}) for name in reports})
    titles = list(dict.fromkeys(title for scores in corpora.values() for title in scores))
    rows = [
        [
            f"`{name}`",
            with_interval(on_crema_d(reports[name])),
            "" if mean is None else f"{mean:.3f}",
            *(_on_another(title, corpora.get(name, {}), reports[name]) for title in titles),
            f"{reports[name]['parameters']:,}",
        ]
        for name, mean in sorted(changed.items(), key=lambda item: -(item[1] or 0.0))
    ]
    return markdown_table((*BUNDLED_COLUMNS, *titles, "parameters"), rows)


def _on_another(title: str, corpora: dict[str, dict], report: Report) -> str:
    """A model's accuracy on another corpus, if it was measured and the model was not trained on that corpus."""
    if title in (report["contains"] or ()):
        return "trained on"
    return with_interval(corpora[title]) if title in corpora else ""


def strangers_summary(strangers: dict[str, dict]) -> str:
    """For each model that is calibrated for strangers' voices, scores before and after, and with an ordinary voice.

    Args:
        strangers: Content of `strangers.json`, by model.
    """
    rows = []
    for name, each in strangers.items():
        rows.append([f"`{name}`", *_alone(each)])
        if each["ordinary_voice"]:
            rows.append(["the same, with one sentence in the speaker's ordinary voice", *_with_voice(each)])
    return markdown_table(SUMMARY_COLUMNS, rows)


def _alone(strangers: dict) -> list[str]:
    """Scores before and after calibration, in the order of `SUMMARY_COLUMNS`."""
    return [
        _before_and_after(strangers["corpora"].values(), "accuracy", ".3f"),
        *_promised(strangers),
        _before_and_after([strangers["ordinary"]], "accuracy", ".0%"),
        _before_and_after([strangers["ordinary"]], "certain_wrong", ".0%"),
        _before_and_after(strangers["own"].values(), "accuracy", ".3f"),
    ]


def _with_voice(strangers: dict) -> list[str]:
    """Scores with one recording of the ordinary voice, in the same order."""
    acted, own = (
        [each["ordinary_voice"]["1"] for each in strangers[kind].values() if each["ordinary_voice"]]
        for kind in ("corpora", "own")
    )
    spoken = strangers["ordinary"]["ordinary_voice"]["1"]
    return [
        _without_and_with(acted, ".3f"),
        *_promised(strangers["ordinary_voice"]),
        _without_and_with([spoken], ".0%"),
        f"{spoken['certain_wrong']:.0%}",
        _without_and_with(own, ".3f"),
    ]


def _promised(calibrated: dict) -> list[str]:
    """The share of certain answers, and the share of these that is right."""
    point = promise(calibrated)
    return [f"{point[what]:.0%}" if point else "" for what in ("certain", "right")]


def _without_and_with(measured: Collection[dict], form: str) -> str:
    """The mean accuracy without and with an ordinary voice, on the same clips; empty if it was not measured."""
    if not measured:
        return ""
    return " → ".join(f"{fmean(each[what] for each in measured):{form}}" for what in ("without", "accuracy"))


def _before_and_after(measured: Collection[dict], what: str, form: str) -> str:
    """The mean of a score before and after calibration; empty if it was not measured."""
    if not measured:
        return ""
    before, after = fmean(each["before"][what] for each in measured), fmean(each[what] for each in measured)
    return f"{before:{form}} → {after:{form}}"


def robustness_table(models: dict[str, dict[str, dict]]) -> str:
    """One row for each condition: accuracy of each model and its change; then the mean over the changed conditions.

    Args:
        models: Robustness scores, by model and condition.
    """
    measured = dict.fromkeys(name for scores in models.values() for name in scores)
    rows = [
        [name, *(_with_change(scores[name]) if name in scores else "" for scores in models.values())]
        for name in measured
    ]
    means = means_when_changed(models).values()
    if any(mean is not None for mean in means):
        title = f"mean of all {len(measured.keys() - {CLEAN})} changed conditions"
        rows.append([title, *("" if mean is None else f"{mean:.3f}" for mean in means)])
    return markdown_table(("condition", *(f"`{name}`" for name in models)), rows)


def corpora_table(models: dict[str, dict[str, dict]]) -> str:
    """Three rows for each corpus: accuracy, the majority baseline, and the emotion predicted too often.

    Args:
        models: Cross-corpus scores, by model and corpus.
    """
    rows = []
    for corpus in dict.fromkeys(name for scores in models.values() for name in scores):
        measured = [scores.get(corpus) for scores in models.values()]
        one = next(each for each in measured if each)
        clips, speakers = one["clips"], one["speakers"]
        rows.append([corpus, f"{clips:,}", f"{speakers or 'unknown'}"])
        rows[-1] += [f"{with_interval(each)}, UAR {each['uar']:.3f}" if each else "" for each in measured]
        (label, most), labels = max(one["intended"].items(), key=lambda item: item[1]), len(one["labels"])
        always = f"{most / clips:.3f}, UAR {1 / labels:.3f}"
        rows.append([f"always {label}", "", "", *(always if each else "" for each in measured)])
        rows.append(["predicted too often", "", "", *(_too_often(each) if each else "" for each in measured)])
    return markdown_table(("corpus", "clips", "speakers", *(f"`{name}`" for name in models)), rows)


def strangers_table(models: dict[str, dict]) -> str:
    """One row for each model and kind of strangers' speech, before and after calibration.

    Args:
        models: The content of `strangers.json`, by model.
    """
    rows = [[f"`{name}`", *row] for name, strangers in models.items() for row in strangers_rows(strangers)]
    return markdown_table(("model", *COLUMNS), rows)


def centred_table(models: dict[str, dict]) -> str:
    """Like `strangers_table`, without and with centring by speaker."""
    rows = [[f"`{name}`", *row] for name, strangers in models.items() for row in centred_rows(strangers)]
    return markdown_table(("model", *CENTRED_COLUMNS), rows)


def voice_table(models: dict[str, dict]) -> str:
    """Like `strangers_table`, without and with recordings of the speaker's ordinary voice."""
    rows = [[f"`{name}`", *row] for name, strangers in models.items() for row in voice_rows(strangers)]
    return markdown_table(("model", *VOICE_COLUMNS), rows)


def _too_often(scores: dict) -> str:
    """The label that a model overpredicts most, with its share of the predictions and of the labels."""
    excess = {name: count - scores["intended"][name] for name, count in scores["answered"].items()}
    name = max(excess, key=excess.__getitem__)
    predicted, intended = (100 * scores[what][name] / scores["clips"] for what in ("answered", "intended"))
    return f"{name}: {predicted:.0f} %, intended {intended:.0f} %"


def _with_change(scores: dict) -> str:
    return "{accuracy:.3f} ({change:+.3f})".format(**scores)


__all__ = [
    "BUNDLED_COLUMNS",
    "bundled_table",
    "centred_table",
    "corpora_table",
    "robustness_table",
    "strangers_summary",
    "strangers_table",
    "voice_table",
]
