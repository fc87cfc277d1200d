"""What the page does: each function answers one event and returns values by name, which app.py gives to components."""

import shutil
from collections.abc import Iterator
from time import monotonic
from typing import Any
from typing import NamedTuple

import gradio as gr
import numpy as np
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from ser.inference import timeline
from ser.inference.saliency import class_activation
from ser.inference.voice_activity import SILENCE
from ser.inference.voice_activity import has_speech
from ser.models.audio_ser import load_audio
from ser.page import components
from ser.page import descriptions
from ser.page.offered_models import load
from ser.page.offered_models import rate_of
from ser.page.pitch import find_pitch
from ser.page.plots import plot_clip
from ser.page.plots import plot_timeline
from ser.page.uploads import LONGEST
from ser.page.uploads import readable
from ser.reporting.plots import plot_confusion

SILENT_DB = 20 * np.log10(SILENCE) - 20  # level of a long recording in which nobody speaks: speech peaks above it
ONE_CLIP = 6.0  # seconds; longer recordings are classified in windows
LIVE_SECONDS, LIVE_EVERY = 120, 0.5  # seconds
LIVE_CHANGES = 8  # lines of the list
START, NOTHING = "## Record, upload or choose an example", "nothing"
REFUSED = "## This recording cannot be classified"
TALK = "## Press Record and talk"
LIVE_OVER = "## Time is over\nPress Stop, then Record to go on."
AWAY = "away"  # class that hides: what `visible` makes may stay away all the same (gradio-app/gradio#13494)
SAME: Any = gr.skip()  # leaves a component as it is
PROGRESS = gr.Progress()


class Answer(NamedTuple):
    """What a model says of a recording.

    Attributes:
        answer: A sentence, in Markdown.
        bars: Probability of each emotion; None if nobody speaks.
        rows: The windows of a long recording, as `ser.inference.timeline.analyse` returns them.
    """

    answer: str
    bars: dict[str, float] | None
    rows: list[dict]


class Recording(NamedTuple):
    """What the tab of recordings shows, without the window that is looked at."""

    answer: Any = SAME
    bars: Any = SAME
    rows: Any = SAME
    picture: Any = SAME
    windows: Any = SAME
    moment: Any = SAME
    table: Any = SAME
    csv_file: Any = SAME
    json_file: Any = SAME


class Window(NamedTuple):
    """What is shown of one window of a long recording."""

    window_answer: Any = SAME
    window_bars: Any = SAME
    window_picture: Any = SAME


class Live(NamedTuple):
    """What the live tab keeps until the next chunk, and shows."""

    kept: dict | None
    live_answer: Any = SAME
    live_bars: Any = SAME
    live_changes: Any = SAME


NO_WINDOW = Window("", None, "")


def classify(path: str | None, model: str, progress: gr.Progress = PROGRESS) -> Answer:
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
            return answer_of(sound, seconds, model, progress)
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error


def respond(path: str | None, model: str, progress: gr.Progress = PROGRESS) -> Iterator[tuple]:
    """A `Recording` and a `Window`, as they become known: first the answer, then what explains it."""
    if path is None:
        yield *nothing(START), *Window()
        return
    try:
        with readable(path) as (sound, seconds):
            said = answer_of(sound, seconds, model, progress)
            yield *nothing(said.answer)._replace(bars=said.bars, rows=said.rows), *Window()
            yield *Recording(picture=draw(sound, model, said)), *Window()
            if said.rows:
                yield *show_windows(said.rows, model), *Window()
                yield *Recording(), *show_window(sound, model, said.rows, 0.0)
    except ValueError as error:
        yield *nothing(f"{REFUSED}\n{error}"), *Window()


def nothing(answer: str) -> Recording:
    """A sentence alone."""
    return Recording(answer, None, [], "", gr.Column(elem_classes=AWAY))


def compare(path: str | None, other: str, progress: gr.Progress = PROGRESS) -> tuple[str, gr.Label]:
    """What another model says of the same recording."""
    if path is None or other == NOTHING:
        return "", gr.Label(None)
    try:
        with readable(path) as (sound, seconds):
            said = answer_of(sound, seconds, other, progress)
    except ValueError as error:
        return f"{REFUSED}\n{error}", gr.Label(None)
    return said.answer, gr.Label(said.bars, label=f"According to {other}")


def show_other(other: str) -> gr.Column:
    """The column of the other model, hidden where none is chosen."""
    return gr.Column(elem_classes=AWAY if other == NOTHING else [])


def choose_window(path: str | None, model: str, rows: list[dict], moment: float) -> Window:
    """The window that a visitor chose, or why it cannot be shown."""
    if path is None or not rows:
        return NO_WINDOW
    try:
        with readable(path) as (sound, _):
            return show_window(sound, model, rows, moment)
    except ValueError as error:
        return NO_WINDOW._replace(window_answer=f"{REFUSED}\n{error}")


def convert(path: str) -> str:
    """The sound of an M4A, MP4 or WebM file as WAV, for the player."""
    try:
        with readable(path) as (sound, _):
            return shutil.copy(sound, f"{path}.wav")
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error


def begin_live(model: str) -> Live:
    """The live tab before anybody speaks."""
    return Live(None, TALK, draw_bars(model), "")


def continue_live(chunk: tuple[int, np.ndarray] | None, kept: dict | None, model: str) -> Live:
    """Classify the last three seconds of what comes in, twice a second.

    Args:
        chunk: Sampling rate in Hz and samples of shape `(samples,)` or `(samples, channels)`.
        kept: What was returned for the chunk before; None before the first.
        model: Name of a model of the page.
    """
    if chunk is None:
        return Live(kept)
    rate, samples = chunk[0], load_audio(chunk[1], sampling_rate=chunk[0])
    now = monotonic()
    if kept is None:
        kept = {"began": now, "due": 0.0, "samples": samples[:0], "changes": []}
    kept["samples"] = np.concatenate([kept["samples"], samples])[-round(timeline.WINDOW * rate) :]
    seconds = now - kept["began"]
    if seconds > LIVE_SECONDS:
        return Live(kept, LIVE_OVER)
    if seconds < kept["due"]:
        return Live(kept)
    kept["due"] = seconds + LIVE_EVERY / 2  # chunks of LIVE_EVERY come as they can
    scores = classify_clip(load_audio(kept["samples"], sampling_rate=rate_of(model), source_rate=rate), model)
    said = max(scores, key=scores.__getitem__) if scores else "nobody speaks"
    if not kept["changes"] or kept["changes"][0][1] != said:
        kept["changes"] = [(seconds, said), *kept["changes"]][:LIVE_CHANGES]
    return Live(kept, heading(scores, model), draw_bars(model, scores), components.changes_html(kept["changes"]))


def describe(model: str) -> tuple[str, str]:
    """What a model's report says: a sentence, and its and people's confusion matrices as pictures."""
    report = load()[model].report
    labels, votes = report["labels"], report.get("human_confusion_matrix")
    own = plot_confusion(report["confusion_matrix"], labels, f"What {model} mistakes", normalized=True)
    pictures = [components.figure_html(own, descriptions.describe_confusion(report), small=True)]
    if votes:
        peoples = plot_confusion(votes, labels, "What people mistake", normalized=True, listener="people")
        pictures.append(components.figure_html(peoples, descriptions.describe_listeners(report), small=True))
    return descriptions.describe_model(model, report), f'<div class="beside">{"".join(pictures)}</div>'


def answer_of(sound: str, seconds: float, model: str, progress: gr.Progress) -> Answer:
    """What a model says of a file of so many seconds.

    Raises:
        ValueError: The file cannot be decoded, or is silent.
    """
    if seconds > ONE_CLIP:
        rows = timeline.analyse(
            sound,
            load()[model].classifier,
            lambda done: progress((min(done, seconds), seconds), unit="s"),  # type: ignore[arg-type]  # floats do
        )
        silent = max(row["level_db"] for row in rows) < SILENT_DB
        scores = timeline.overall(rows)
    else:
        waveform, rows = read_clip(sound, model), []
        silent = np.abs(waveform).max() < SILENCE
        scores = classify_clip(waveform, model)
    if silent:
        raise ValueError("The recording is silent: check the microphone and record again.")
    spoken = sum(row["speech"] for row in rows)
    return Answer(answer_in_words(scores, model, spoken), scores, rows)


def classify_clip(waveform: np.ndarray, model: str) -> dict[str, float] | None:
    """Probability of each emotion in a waveform of shape `(samples,)`; None if nobody speaks."""
    if not has_speech(waveform, rate_of(model)):
        return None
    return {entry["label"]: entry["score"] for entry in load()[model].classifier(waveform)}


def read_clip(sound: str, model: str, start: float = 0.0, end: float = LONGEST) -> np.ndarray:
    """What lies between two times in seconds, of shape `(samples,)`, at the model's rate."""
    return np.concatenate(list(timeline.read_blocks(sound, rate_of(model), start, end)))


def heading(scores: dict[str, float] | None, model: str) -> str:
    """The first line of the answer for some probabilities."""
    return answer_in_words(scores, model).split("\n")[0]


def answer_in_words(scores: dict[str, float] | None, model: str, windows: int = 0) -> str:
    """What to say of the scores that a model gave; see `descriptions.describe_scores`."""
    _, report, strangers = load()[model]
    return descriptions.describe_scores(scores, report, strangers, windows=windows)


def draw(sound: str, model: str, said: Answer) -> str:
    """The picture below the answer: of a clip, or of the windows of a long recording."""
    if said.rows:
        return components.figure_html(plot_timeline(said.rows), descriptions.describe_windows(said.rows))
    return draw_clip(read_clip(sound, model), model, said.bars)


def draw_clip(waveform: np.ndarray, model: str, scores: dict[str, float] | None, start: float = 0.0) -> str:
    """A waveform of shape `(samples,)` and its spectrogram, with a sentence about it.

    Where somebody speaks, it shows the pitch and what drove the decision. The waveform begins at `start`, in seconds
    of the recording.
    """
    rate, activation, pitch = rate_of(model), None, None
    about = f"Waveform and mel spectrogram of {len(waveform) / rate:.1f} s of sound."
    if scores:
        label = max(scores, key=scores.__getitem__)
        activation = class_activation(waveform, load()[model].classifier, label, start)
        pitch = find_pitch(waveform, rate, start)
    if activation:
        begin, end = activation.strongest()
        about += f" Tinted: what made it {label} to the model, most of all from {begin:.1f} to {end:.1f} s."
    if pitch and (hertz := pitch.median()):
        about += f" Blue line: the pitch of the voice, {hertz:.0f} Hz in the median."
    return components.figure_html(plot_clip(waveform, rate, activation, start, pitch=pitch), about)


def show_windows(rows: list[dict], model: str) -> Recording:
    """The windows of a long recording, to choose from and to save."""
    files = {"timeline.csv": timeline.to_csv(rows), "timeline.json": timeline.to_json(rows, model)}
    csv_file, json_file = (
        save_bytes_to_cache(text.encode(), name, get_upload_folder()) for name, text in files.items()
    )
    return Recording(
        windows=gr.Column(elem_classes=[]),
        moment=gr.Slider(maximum=rows[-1]["start"], value=0),
        table=components.windows_html(rows),
        csv_file=csv_file,
        json_file=json_file,
    )


def show_window(sound: str, model: str, rows: list[dict], moment: float) -> Window:
    """The window that begins nearest to a moment of a long recording.

    Raises:
        ValueError: The file cannot be decoded.
    """
    row = min(rows, key=lambda row: abs(row["start"] - moment))
    scores = row["probabilities"] if row["speech"] else None
    said = f"{heading(scores, model)}, from {row['start']:.1f} to {row['end']:.1f} s"
    waveform = read_clip(sound, model, row["start"], row["end"])
    return Window(said, scores, draw_clip(waveform, model, scores, row["start"]))


def draw_bars(model: str, scores: dict[str, float] | None = None) -> str:
    """Bars of the live tab: in the order of the model's labels, empty where nobody speaks."""
    return components.bars_html(scores, list(load()[model].classifier.model.config.label2id))


__all__ = [
    "LIVE_EVERY",
    "LIVE_SECONDS",
    "NOTHING",
    "START",
    "TALK",
    "Answer",
    "Live",
    "Recording",
    "Window",
    "begin_live",
    "choose_window",
    "classify",
    "compare",
    "continue_live",
    "convert",
    "describe",
    "respond",
    "show_other",
]
