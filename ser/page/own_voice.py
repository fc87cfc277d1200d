"""The visitor's ordinary voice: recorded once, answers are then relative to it."""

import html
import json
from typing import Any
from uuid import uuid4

import gradio as gr

from ser.inference import timeline
from ser.inference.loading import labels_of
from ser.page import trust
from ser.page.answers import UNCLEAR
from ser.page.answers import Verdict
from ser.page.components import AWAY
from ser.page.offered_models import OfferedModel
from ser.page.offered_models import Voices
from ser.page.offered_models import load
from ser.page.uploads import paths_of
from ser.page.uploads import readable

SENTENCE = "The parcel came this morning. It is on the kitchen table."
LARGEST = 200.0  # size of a log-probability; those of float32 end at 104
NOBODY = "Nobody seems to speak: record again, closer to the microphone."


def is_of_use() -> bool:
    """Whether a model of the page can make its answers relative to an ordinary voice."""
    return any(map(settings_of, load().values()))


def introduction(name: str) -> str:
    """What to record, and what it is good for with the model of this name, as measured."""
    return (
        "<h2>Make it fit your voice</h2><p>Read this as you ordinarily talk, without any emotion: "
        f"<b>“{SENTENCE}”</b> {use(name)}</p>"
    )


def use(name: str) -> str:
    """What an ordinary voice changes in the answers of a model, or which models use it instead."""
    model = load()[name]
    if not settings_of(model):
        others = " or ".join(other for other, model in load().items() if settings_of(model))
        return html.escape(
            f"{name} does not use it: for answers relative to your ordinary voice, choose {others} under “Advanced”."
        )
    said = "Answers to your recordings are then relative to your ordinary voice."
    if measured := trust.gain_of_voice(model):
        (without, relative), (before, neutral) = measured
        said += (
            f" In our tests on other people's recordings, {relative:.0%} of answers were then right instead of "
            f"{without:.0%}, and ordinary speech was neutral in {neutral:.0%} of cases instead of {before:.0%}."
        )
    return said


def hint(verdict: Verdict, model: OfferedModel) -> list[str]:
    """Where to get a clearer answer, below one that is unclear."""
    helps = verdict.look == UNCLEAR and model.voice is None and trust.gain_of_voice(model)
    return ["More answers are clear if you first read a sentence in your ordinary voice, below."] if helps else []


def remember(files: list[dict]) -> tuple[Voices | None, str, Any]:
    """The ordinary voice in a recording for each model that can use it, what the page says, and the button to forget.

    A recording in which nobody speaks changes nothing but the note.
    """
    if not (paths := paths_of(files)):
        return gr.skip(), "", gr.skip()
    try:
        with readable(paths[0]) as (sound, _):
            voices = {name: voice_in(sound, model) for name, model in load().items() if settings_of(model)}
    except ValueError as error:
        return gr.skip(), note_html(str(error)), gr.skip()
    note = note_html("Your ordinary voice is remembered until you leave this page.", voices=json.dumps(voices))
    return voices, note, gr.Button(elem_classes=[])


def forget() -> tuple[None, str, Any]:
    """No ordinary voice any more."""
    note = note_html("Forgotten. Answers are no longer relative to your voice.", voices="null")
    return None, note, gr.Button(elem_classes=AWAY)


def note_html(sentence: str, **data: str) -> str:
    """A sentence, announced to screen readers; page.js sends `voices` along while it listens."""
    kept = "".join(f' data-{name}="{html.escape(value)}"' for name, value in data.items())
    return f'<p data-say="{html.escape(sentence)}" data-key="{uuid4()}"{kept}>{html.escape(sentence)}</p>'


def settings_of(model: OfferedModel) -> dict[str, Any] | None:
    """How the model's answers become relative to an ordinary voice; None if it was not calibrated for that."""
    return model.classifier.model.config.ordinary_voice


def voice_in(sound: str, model: OfferedModel) -> list[float]:
    """Mean log-probabilities over the windows of a sound file in which somebody speaks.

    Raises:
        ValueError: Nobody does, or the file cannot be decoded.
    """
    log = timeline.log_of_speech(timeline.analyse(sound, model.classifier), labels_of(model.classifier.model))
    if not len(log):
        raise ValueError(NOBODY)
    return log.mean(0).tolist()


def relative_rows(rows: list[dict], model: OfferedModel) -> list[dict]:
    """The windows of a recording relative to the visitor's ordinary voice; unchanged if it is not known."""
    settings = settings_of(model)
    if model.voice is None or settings is None:
        return rows
    return timeline.relative_to_voice(rows, labels_of(model.classifier.model), model.voice, settings)


def relative_scores(scores: dict[str, float], model: OfferedModel) -> dict[str, float]:
    """The probabilities of a clip relative to the visitor's ordinary voice; unchanged if it is not known."""
    (row,) = relative_rows([{"speech": True, "probabilities": scores}], model)
    return row["probabilities"]


def checked(voices: Any, name: str) -> Voices | None:
    """The voices that a browser sent, if there is one that fits the model."""
    voice, size = voices.get(name) if isinstance(voices, dict) else None, len(load()[name].report["labels"])
    if not settings_of(load()[name]) or not isinstance(voice, list) or len(voice) != size:
        return None
    if not all(isinstance(value, (int, float)) and abs(value) <= LARGEST for value in voice):
        return None
    return {name: voice}


__all__ = [
    "checked",
    "forget",
    "hint",
    "introduction",
    "is_of_use",
    "relative_rows",
    "relative_scores",
    "remember",
]
