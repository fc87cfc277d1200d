"""The page's event handlers, which take and return plain values; app.py connects them to components."""

import csv
import html
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from typing import NamedTuple

import gradio as gr
import numpy as np
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from ser.inference import timeline
from ser.inference.voice_activity import has_speech
from ser.models.audio_ser import QUIETEST
from ser.models.audio_ser import is_silent
from ser.page import answers
from ser.page import over_time
from ser.page import own_voice
from ser.page import why
from ser.page.components import AWAY
from ser.page.emotions import face
from ser.page.emotions import tone
from ser.page.examples import is_example
from ser.page.offered_models import OfferedModel
from ser.page.offered_models import Voices
from ser.page.offered_models import chosen
from ser.page.offered_models import load
from ser.page.offered_models import rate_of
from ser.page.uploads import LONGEST
from ser.page.uploads import paths_of
from ser.page.uploads import readable

SILENT_DB = 20 * np.log10(QUIETEST) - 20  # level of a long recording in which nobody speaks: speech peaks above it
ONE_CLIP = 6.0  # seconds; longer recordings are classified in windows
SAME: Any = gr.skip()  # leaves a component as it is
PROGRESS = gr.Progress()


class Answer(NamedTuple):
    """A model's answer for a recording.

    Attributes:
        verdict: What the page says.
        scores: Probability of each emotion; None if nobody speaks.
        rows: The windows of a long recording, as `ser.inference.timeline.analyse` returns them.
    """

    verdict: answers.Verdict
    scores: dict[str, float] | None
    rows: list[dict]


class Shown(NamedTuple):
    """What the page shows for a recording, before the explanation.

    Attributes:
        card: The answer.
        attempt: Its entry in the history.
        over_time: What the timeline draws.
        long: Whether the timeline is shown.
        csv_file: The windows as a CSV file.
        json_file: The windows as a JSON file.
        place: Start in seconds of the window of a long recording that is explained.
    """

    card: str
    attempt: Any = SAME
    over_time: Any = None
    long: Any = gr.Column(elem_classes=AWAY)
    csv_file: Any = SAME
    json_file: Any = SAME
    place: float | None = None


def classify(path: str | None, model: str, progress: gr.Progress = PROGRESS) -> tuple[str, dict | None, list[dict]]:
    """Name the emotion in a recording of speech.

    Args:
        path: The audio file; above 6 seconds it is classified in overlapping windows.
        model: Name of a model of the page.
        progress: Shown while a long recording is classified.

    Returns:
        A sentence, the probability of each emotion, and for a long recording the same for each window.
    """
    try:
        if path is None:
            raise ValueError("Upload a recording first.")
        with readable(path) as (sound, seconds):
            verdict, scores, rows = answer_of(sound, seconds, chosen(model), progress)
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error
    share = f", {verdict.share:.0%}" if scores else ""
    return html.unescape(f"## {verdict.words.capitalize()}{share}\n{' '.join(verdict.details)}"), scores, rows


def respond(files: list[dict], name: str, voices: Voices | None, progress: gr.Progress = PROGRESS) -> Shown:
    """The answer of the model of this name for a recording."""
    if not (paths := paths_of_one(files)):
        return Shown("")
    path, model = paths[0], model_for(paths[0], name, voices)
    try:
        with readable(path) as (sound, seconds):
            answer = answer_of(sound, seconds, model, progress)
            attempt = attempt_of(answer, path, name, model)
            hint = [] if is_example(path) else own_voice.hint(answer.verdict, model)
            verdict = answer.verdict._replace(details=answer.verdict.details + hint)
            shown = Shown(answers.card_html(verdict, answer.scores), attempt)
            return shown._replace(**over_time_of(sound, path, answer.rows, name, model)) if answer.rows else shown
    except ValueError as error:
        return Shown(answers.refusal_html(str(error)))


def paths_of_one(files: list[dict]) -> list[str]:
    """The path of the only recording; none for several files, which have a table instead."""
    paths = paths_of(files)
    return paths if len(paths) == 1 else []


def model_for(path: str, name: str, voices: Voices | None) -> OfferedModel:
    """The model of this name for a recording: with the visitor's ordinary voice, unless it is an example's."""
    return chosen(name, None if is_example(path) else voices)


def attempt_of(answer: Answer, path: str, name: str, model: OfferedModel) -> dict[str, Any]:
    """An entry of the history, which the browser keeps; there is one for each recording, model and ordinary voice."""
    verdict = answer.verdict
    stated = verdict.look not in (answers.UNCLEAR, answers.NONE)
    whose = whose_answer(name, model)
    voice = "" if model.voice is None else hash(model.voice.tobytes())
    return {
        "key": f"{Path(path).parent.name}{whose}{voice}",  # Gradio names the folder by the content
        "path": path,
        "tone": tone(verdict.look),
        "face": face(verdict.look),
        "word": html.unescape(verdict.words) + (f" {verdict.share:.0%}" if stated else "") + whose,
        "share": round(verdict.share, 3),
        "bars": answers.bars_html(answer.scores),
    }


def whose_answer(name: str, model: OfferedModel) -> str:
    """What follows an answer: its model, unless that is the default one, and whether it is relative to a voice."""
    return ("" if name == next(iter(load())) else f" ({name})") + ("" if model.voice is None else " (for your voice)")


def over_time_of(sound: str, path: str, rows: list[dict], name: str, model: OfferedModel) -> dict[str, Any]:
    """The fields of `Shown` that only a long recording has."""
    texts = {"timeline.csv": timeline.to_csv(rows), "timeline.json": timeline.to_json(rows, name)}
    csv_file, json_file = (save(text, name) for name, text in texts.items())
    return {
        "over_time": over_time.describe(sound, rows, model) | {"key": path},
        "long": gr.Column(elem_classes=[]),
        "csv_file": csv_file,
        "json_file": json_file,
        "place": max(rows, key=lambda row: row["probability"] or 0)["start"],
    }


def explain(files: list[dict], name: str, voices: Voices | None, place: float | None) -> str:
    """The explanation for a clip, or for the window of a long recording that begins at `place`."""
    if not (paths := paths_of_one(files)):
        return ""
    model = model_for(paths[0], name, voices)
    try:
        with readable(paths[0]) as (sound, _):
            waveform = read_clip(sound, model, place or 0.0, None if place is None else place + timeline.WINDOW)
    except ValueError:
        return ""  # the answer says it
    return why.explain(waveform, classify_clip(waveform, model), model, place or 0.0)


def explain_place(files: list[dict], name: str, voices: Voices | None, event: gr.EventData) -> tuple[str, float]:
    """The explanation for the window that a visitor chose, and where the window begins."""
    place = float(event.start)
    return explain(files, name, voices, place), place


def classify_several(files: list[dict], name: str, voices: Voices | None) -> Iterator[tuple[str, Any]]:
    """A table that gets a row for each file, and at the end the same as a CSV file; nothing for a single recording."""
    model, paths, rows = chosen(name, voices), paths_of(files), list[list[str]]()
    if len(paths) < 2:
        return
    for path in paths:
        rows.append(row_of(path, model))
        table = table_html(rows, len(paths), whose_answer(name, model))
        yield table, gr.DownloadButton(elem_classes=AWAY)
    text = io.StringIO()
    csv.writer(text).writerows([["file", "answer", "probability", "error"], *rows])
    yield table, gr.DownloadButton(value=save(text.getvalue(), "emotions.csv"), elem_classes=[])


def row_of(path: str, model: OfferedModel) -> list[str]:
    """Name, answer, its probability, and the error of a file."""
    name = Path(path).name
    try:
        with readable(path) as (sound, seconds):
            verdict, scores, _ = answer_of(sound, seconds, model, None)
    except ValueError as error:
        return [name, "", "", str(error)]
    return [name, html.unescape(verdict.words), f"{verdict.share:.4f}" if scores else "", ""]


def table_html(rows: list[list[str]], count: int, whose: str) -> str:
    """The rows so far, of `count`, and whose answers they are; page.js announces the first and the last."""
    said = f' data-say="{len(rows)} of {count} files"' if len(rows) in (1, count) else ""
    cells = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(answer or error)}</td>'
        f"<td>{f'{float(share):.0%}' if share else ''}</td></tr>"
        for name, answer, share, error in rows
    )
    return (
        f'<section class="card" aria-label="Several files"{said}>'
        f"<h3>{len(rows)} of {count} files{html.escape(whose)}</h3>"
        '<div class="scrolls" tabindex="0" role="group" aria-label="Table of files"><table class="table"><thead><tr>'
        '<th scope="col">file</th><th scope="col">answer</th><th scope="col">probability</th></tr></thead>'
        f"<tbody>{cells}</tbody></table></div></section>"
    )


def compare(
    files: list[dict],
    name: str,
    voices: Voices | None,
    other: str,
    opened: bool,
    progress: gr.Progress = PROGRESS,
) -> str:
    """The answers of two models for one recording, side by side; empty unless that part of the page is open."""
    if not opened:
        return ""
    if not (paths := paths_of_one(files)):
        return "<p>Record or choose something first.</p>"
    try:
        with readable(paths[0]) as (sound, seconds):
            names = dict.fromkeys((name, other))
            said = {each: answer_of(sound, seconds, model_for(paths[0], each, voices), progress) for each in names}
    except ValueError as error:
        return answers.refusal_html(str(error))
    sections = "".join(
        f'<section class="{tone(verdict.look)}"><h3>{html.escape(each)}: {face(verdict.look)}{verdict.words}</h3>'
        f"{answers.bars_html(scores)}</section>"
        for each, (verdict, scores, _) in said.items()
    )
    return f'<div class="pair">{sections}</div>'


def answer_of(sound: str, seconds: float, model: OfferedModel, progress: gr.Progress | None) -> Answer:
    """A model's answer for a sound file that lasts `seconds`.

    Raises:
        ValueError: The file cannot be decoded, or is silent.
    """
    rows: list[dict] = []
    if seconds > ONE_CLIP:
        report = progress and (lambda done: progress(min(done / seconds, 1), desc=f"{clock(done)} of {clock(seconds)}"))
        rows = own_voice.relative_rows(timeline.analyse(sound, model.classifier, report), model)
        silent = max(row["level_db"] for row in rows) < SILENT_DB
        scores = timeline.overall(rows)
    else:
        waveform = read_clip(sound, model)
        silent = is_silent(waveform)
        scores = classify_clip(waveform, model)
    if silent:
        raise ValueError("The recording is silent: check the microphone and record again.")
    spoken = sum(row["speech"] for row in rows)
    return Answer(answers.decide(scores, model, windows=spoken), scores, rows)


def save(text: str, name: str) -> str:
    """Path of a new file for a visitor to download."""
    return save_bytes_to_cache(text.encode(), name, get_upload_folder())


def clock(seconds: float) -> str:
    """Minutes and seconds, as m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def classify_clip(waveform: np.ndarray, model: OfferedModel) -> dict[str, float] | None:
    """Probability of each emotion in a waveform of shape `(samples,)`; None if nobody speaks."""
    if not has_speech(waveform, rate_of(model)):
        return None
    scores = {entry["label"]: entry["score"] for entry in model.classifier(waveform)}
    return own_voice.relative_scores(scores, model)


def read_clip(sound: str, model: OfferedModel, start: float = 0.0, end: float | None = LONGEST) -> np.ndarray:
    """The samples between two times in seconds, shape `(samples,)`, at the model's rate."""
    return np.concatenate(list(timeline.read_blocks(sound, rate_of(model), start, end)))


__all__ = [
    "Answer",
    "Shown",
    "answer_of",
    "classify",
    "classify_clip",
    "classify_several",
    "compare",
    "explain",
    "explain_place",
    "respond",
]
