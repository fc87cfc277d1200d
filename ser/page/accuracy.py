"""The section on accuracy: a table of all models, and the confusions of the chosen one and of people."""

import html
from pathlib import Path

import numpy as np

from ser.page import trust
from ser.page.emotions import adjective
from ser.page.emotions import face
from ser.page.offered_models import load
from ser.plural import counted
from ser.reporting.report_file import Report
from ser.reporting.report_file import means_when_changed
from ser.reporting.report_file import measured
from ser.reporting.report_file import on_crema_d

COLUMNS = {
    "unseen actors": "test clips of actors that the model was not trained on, before calibration on other people's "
    "recordings",
    "changed clips": "the same clips with noise, echo, telephones and other changes, on average",
    "other corpora": "recordings of other people in other rooms and languages, on average; German ones alone for "
    "models without a score for ordinary speech",
    "ordinary speech": "clips of people reading aloud with a certain answer other than neutral (lower is better)",
}
MISSING = '–<span class="unseen">not measured</span>'
BEFORE = " This and the table of confusions are before its calibration for other people's recordings."
MEANT = "Rows: what the actor meant. Columns: what {who} answered. Numbers: of 100 clips of a row; framed: right."


def models_html() -> str:
    """A table of all models of the page with their scores."""
    models = load()
    changed = means_when_changed({name: measured(model.folder, "conditions") for name, model in models.items()})
    rows = ""
    for name, model in models.items():
        values = [
            on_crema_d(model.report)["accuracy"],
            changed[name],
            trust.right_on_strangers(model),
            trust.ordinary_speech(model),
        ]
        cells = "".join(f"<td>{MISSING if value is None else f'{value:.0%}'}</td>" for value in values)
        rows += f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>'
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    legend = "".join(f"<li><b>{name}</b>: {what}</li>" for name, what in COLUMNS.items())
    return (
        f'<table class="table models"><thead><tr><th scope="col">model</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table><ul>{legend}</ul>"
    )


def describe(name: str) -> str:
    """What a model was tested on, its confusions and those of people, data and licence."""
    model = load()[name]
    report = model.report
    votes = report.get("human_confusion_matrix")
    parts = [
        f"<p>{tested(name, report)}{BEFORE if trust.on_strangers(model) else ''}</p>",
        confusion_html(report["confusion_matrix"], report["labels"], "the model"),
    ]
    if votes:
        parts += [f"<p>{people(report)}</p>", confusion_html(votes, report["labels"], "people")]
    return f"<h3>{html.escape(name)}</h3>{''.join(parts)}<p>{data(name, report)}</p>"


def tested(name: str, report: Report) -> str:
    """The accuracy of a model on its test split, in a sentence."""
    name = html.escape(name)
    if report["protocol"] == "leaky":
        return f"The scores of {name} are invalid: it was trained on some of its test clips."
    low, high = report["interval_95"]["accuracy"]
    known = report["trained_before"] is not None  # it is None for models fine-tuned from one without a report
    unseen = report["test_actors"] if known and not report["protocol"].startswith("random") else None
    who = f" of {counted(unseen, 'actor')} it was not trained on" if unseen else ""
    clips = counted(report["test_clips"], "test clip")
    return (
        f"{name} names the intended emotion in {report['accuracy']:.0%} of {clips}{who} "
        f"(95 % interval {low:.0%} to {high:.0%})."
    )


def people(report: Report) -> str:
    """The accuracy of human listeners, and how to compare with it."""
    share = report["human_single_vote_accuracy"]
    return (
        f"People who listened to the same clips named the intended emotion in {share:.0%} of their votes. That does "
        "not mean that the model understands voices better: each vote is one person's first guess about a stranger, "
        "often on a weakly acted clip. The model was trained on thousands of clips of other actors, with the same "
        "sentences in the same room."
    )


def confusion_html(matrix: list[list[int]], labels: list[str], who: str) -> str:
    """Counts of shape `(meant, said)` as a table of shares."""
    counts = np.array(matrix, float)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    order = np.argsort(labels)
    head = "".join(f'<th scope="col">{_symbol(labels[column])}</th>' for column in order)
    rows = ""
    for row in order:
        cells = "".join(
            f'<td{" class=right" if row == column else ""} style="--part: {shares[row, column]:.0f}">'
            f"{shares[row, column]:.0f}</td>"
            for column in order
        )
        rows += f'<tr><th scope="row">{_symbol(labels[row])}</th>{cells}</tr>'
    legend = ", ".join(f"{face(labels[column])}{adjective(labels[column])}" for column in order)
    return (
        f'<table class="confusion"><caption class="unseen">{MEANT.format(who=who)}</caption><thead><tr><td></td>{head}'
        f"</tr></thead><tbody>{rows}</tbody></table><p><small>{MEANT.format(who=who)}<br>{legend}</small></p>"
    )


def _symbol(label: str) -> str:
    return f'{face(label)}<span class="unseen">{adjective(label)}</span>'


def data(name: str, report: Report) -> str:
    """Where the data came from, and where the model card is."""
    if Path(name).is_dir():
        card = f"model card: {html.escape(name)}/README.md"
    elif "/" in name:
        card = f'<a href="https://huggingface.co/{html.escape(name)}">model card</a>'
    else:
        card = f"model card: checkpoints/{html.escape(name)}/README.md in the project"
    licence = f"; licence {html.escape(report['license'] or '')}" if report.get("license") else ""
    return (
        f"Trained on {html.escape(report['corpus'])}{licence}; {card}. It classifies how "
        "a voice sounds, not what a person feels. Not for hiring, policing, health, or judging anyone."
    )


__all__ = ["confusion_html", "describe", "models_html", "people", "tested"]
