"""The page: record, upload or just talk, and see which emotion a model hears, when, how sure it is and why.

python app.py    # serves http://127.0.0.1:7860
"""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any
from typing import cast

import gradio as gr
import numpy as np
import torch
from gradio.processing_utils import save_bytes_to_cache
from huggingface_hub import snapshot_download
from transformers import pipeline

from ser import SERPipeline
from ser import load_audio
from ser.files import read_json
from ser.inference import timeline
from ser.inference.saliency import class_activation
from ser.inference.voice_activity import SILENCE
from ser.inference.voice_activity import has_speech
from ser.page import components
from ser.page import descriptions
from ser.page.plots import plot_clip
from ser.page.plots import plot_timeline
from ser.page.uploads import LONGEST
from ser.page.uploads import readable
from ser.reporting.plots import plot_confusion
from ser.reporting.report_file import REPORT
from ser.reporting.report_file import means_when_changed
from ser.reporting.report_file import measured

HERE = Path(__file__).parent
WANTED = os.environ.get("SER_MODELS", "")  # ids on the Hub, separated by commas, instead of the bundled models
SILENT_DB = 20 * np.log10(SILENCE) - 20  # level of a long recording in which nobody speaks: speech peaks above it
ONE_CLIP = 6.0  # seconds; longer recordings are heard in windows
AT_ONCE, WAITING, SESSIONS = 2, 100, 300  # requests, requests, and visitors whose state is kept in memory
LIVE_SECONDS, LIVE_EVERY = 120, 0.5  # seconds
LIVE_AT_ONCE, LIVE_CHANGES = 8, 8
START, NOTHING = "## Record, upload or choose an example", "nothing"
UNHEARD = "## This could not be heard"
TALK = "## Press Record and talk"
LIVE_OVER = "## Time is over\nPress Stop, then Record to go on."
NOTE = (
    "Trained on **acted** speech: it hears how a voice *sounds*, not what a person feels. "
    "Not for hiring, policing, health or judging anyone. Recordings are deleted within an hour."
)
EXAMPLES = {
    "Synthetic voice, plain": "plain",
    "Synthetic voice, fast, high and loud": "fast-high-and-loud",
    "Synthetic voice, slow, low and soft": "slow-low-and-soft",
    "Two synthetic voices, 20 seconds": "two-voices",
}
PROGRESS = gr.Progress()
THEME = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
    block_label_text_color="*primary_700",  # darker than Soft's, for contrast
    block_title_text_color="*primary_700",
    block_info_text_color="*neutral_600",
    checkbox_label_background_fill_selected="*primary_600",
)


def find_models() -> dict[str, Path]:
    """Folders of the models that the page offers, by name, the one that hears strangers' recordings best first."""
    if names := [name.strip() for name in WANTED.split(",") if name.strip()]:
        folders = {name: fetch_model(name) for name in names}
    else:
        folders = {path.parent.name: path.parent for path in (HERE / "checkpoints").glob(f"[!.]*/{REPORT}")}
    if not folders:
        sys.exit(
            "app.py: there is no model in checkpoints: fetch the whole project, or name some of the Hub in SER_MODELS"
        )
    return best_first(folders)


def fetch_model(name: str) -> Path:
    """The folder of a model on the Hub, which is fetched if it is not here yet."""
    try:
        folder = Path(snapshot_download(name))
    except (ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        sys.exit(f"app.py: SER_MODELS names {name!r}, which cannot be fetched: {reason}")
    if not (folder / REPORT).is_file():
        sys.exit(f"app.py: SER_MODELS names {name!r}, which has no {REPORT}: name models that train.py pushed")
    return folder


def best_first(folders: dict[str, Path]) -> dict[str, Path]:
    """By the mean accuracy on clips that `ser robustness` changed; where it was not done, behind, by clean ones."""
    changed = means_when_changed({name: measured(folder, "conditions") for name, folder in folders.items()})

    def place(name: str) -> tuple[bool, float]:
        mean = changed[name]
        return mean is None, -(read_json(folders[name] / REPORT)["accuracy"] if mean is None else mean)

    return {name: folders[name] for name in sorted(folders, key=place)}


FOLDERS = find_models()
RESULTS = {name: read_json(folder / REPORT) for name, folder in FOLDERS.items()}
MODELS = {  # importing ser makes these pipelines its own
    # On a GPU, what drove the decision of a CRNN could not be asked: cuDNN has no gradients of a network in use.
    name: cast(SERPipeline, pipeline("audio-classification", model=str(folder), device="cpu"))
    for name, folder in FOLDERS.items()
}


def rate_of(model: str) -> int:
    """Sampling rate in Hz at which a model of the page hears."""
    return MODELS[model].feature_extractor.sampling_rate


def hear_clip(waveform: np.ndarray, model: str) -> dict[str, float] | None:
    """Probability of each emotion in a waveform of shape `(samples,)`; None if nobody speaks."""
    if not has_speech(waveform, rate_of(model)):
        return None
    return {entry["label"]: entry["score"] for entry in MODELS[model](waveform)}


def read_clip(sound: str, model: str, start: float = 0.0, end: float = LONGEST) -> np.ndarray:
    """What lies between two times in seconds, of shape `(samples,)`, at the model's rate."""
    return np.concatenate(list(timeline.read_blocks(sound, rate_of(model), start, end)))


def hear(
    sound: str, seconds: float, model: str, progress: gr.Progress
) -> tuple[str, dict[str, float] | None, list[dict]]:
    """A sentence, the probability of each emotion, None if nobody speaks, and the windows of a long recording.

    Raises:
        ValueError: The file cannot be decoded, or is silent.
    """
    if seconds > ONE_CLIP:
        rows = timeline.analyse(
            sound,
            MODELS[model],
            lambda done: progress((min(done, seconds), seconds), unit="s"),  # type: ignore[arg-type]  # floats do
        )
        silent = max(row["level_db"] for row in rows) < SILENT_DB
        scores = timeline.overall(rows)
    else:
        waveform, rows = read_clip(sound, model), []
        silent = np.abs(waveform).max() < SILENCE
        scores = hear_clip(waveform, model)
    if silent:
        raise ValueError("The recording is silent: check the microphone and record again.")
    return (
        descriptions.describe_scores(scores, RESULTS[model], windows=sum(row["speech"] for row in rows)),
        scores,
        rows,
    )


def classify(
    path: str | None, model: str, progress: gr.Progress = PROGRESS
) -> tuple[str, dict[str, float] | None, list[dict]]:
    """Name the emotion in a recording of speech.

    Args:
        path: The audio file; above 6 seconds it is heard in overlapping windows.
        model: Name of a model of the page.
        progress: Shown while a long recording is heard.

    Returns:
        A sentence, the probability of each emotion, and for a long recording what was heard in each window.
    """
    try:
        if path is None:
            raise ValueError("Upload a recording first.")
        with readable(path) as (sound, seconds):
            return hear(sound, seconds, model, progress)
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error


def respond(path: str | None, model: str, progress: gr.Progress = PROGRESS) -> Iterator[dict]:
    """All that the page shows of a recording, as it becomes known: first the answer, then what explains it."""
    hidden = gr.Column(elem_classes="away")
    nothing: dict[Any, Any] = {answer: START, bars: None, heard: [], picture: "", windows: hidden}
    if path is None:
        yield nothing
        return
    try:
        with readable(path) as (sound, seconds):
            said, scores, rows = hear(sound, seconds, model, progress)
            yield nothing | {answer: said, bars: scores, heard: rows}
            yield {picture: draw(sound, model, scores, rows)}
            if rows:
                yield show_windows(rows, model)
                yield dict(zip(window_parts, show_window(sound, model, rows, 0.0), strict=True))
    except ValueError as error:
        yield nothing | {answer: f"{UNHEARD}\n{error}"}


def compare(path: str | None, other: str, progress: gr.Progress = PROGRESS) -> tuple[str, gr.Label]:
    """What another model says of the same recording."""
    if path is None or other == NOTHING:
        return "", gr.Label(None)
    try:
        with readable(path) as (sound, seconds):
            said, scores, _ = hear(sound, seconds, other, progress)
    except ValueError as error:
        return f"{UNHEARD}\n{error}", gr.Label(None)
    return said, gr.Label(scores, label=f"According to {other}")


def draw(sound: str, model: str, scores: dict[str, float] | None, rows: list[dict]) -> str:
    """The picture below the answer: of a clip, or of a long recording's windows."""
    if rows:
        return components.figure_html(plot_timeline(rows), descriptions.describe_windows(rows))
    return draw_clip(read_clip(sound, model), model, scores)


def draw_clip(waveform: np.ndarray, model: str, scores: dict[str, float] | None, start: float = 0.0) -> str:
    """A waveform of shape `(samples,)` and its spectrogram, with what drove the decision, and a sentence about it.

    It begins at a time in seconds of the recording, whose times are shown and told.
    """
    about, activation = f"Waveform and mel spectrogram of {len(waveform) / rate_of(model):.1f} s of sound.", None
    if scores:
        label = max(scores, key=scores.__getitem__)
        activation = class_activation(waveform, MODELS[model], label, start)
    if activation:
        begin, end = activation.strongest()
        about += f" Tinted: what made it {label} to the model, most of all from {begin:.1f} to {end:.1f} s."
    return components.figure_html(plot_clip(waveform, rate_of(model), activation, start), about)


def show_windows(rows: list[dict], model: str) -> dict:
    """The windows of a long recording, to choose from and to save."""
    files = {"timeline.csv": timeline.to_csv(rows), "timeline.json": timeline.to_json(rows, model)}
    csv_path, json_path = (save_bytes_to_cache(text.encode(), name, audio.GRADIO_CACHE) for name, text in files.items())
    return {
        windows: gr.Column(elem_classes=[]),
        moment: gr.Slider(maximum=rows[-1]["start"], value=0),
        table: components.windows_html(rows),
        csv_file: csv_path,
        json_file: json_path,
    }


def show_window(sound: str, model: str, rows: list[dict], moment: float) -> tuple[str, dict | None, str]:
    """What was heard in the window that begins at a moment of a long recording, and its picture.

    Raises:
        ValueError: The file cannot be decoded.
    """
    row = min(rows, key=lambda row: abs(row["start"] - moment))
    scores = row["probabilities"] if row["speech"] else None
    said = descriptions.describe_scores(scores, RESULTS[model]).split("\n")[0]
    waveform = read_clip(sound, model, row["start"], row["end"])
    heading = f"{said}, from {row['start']:.1f} to {row['end']:.1f} s"
    return heading, scores, draw_clip(waveform, model, scores, row["start"])


def choose_window(path: str | None, model: str, rows: list[dict], moment: float) -> tuple[str, dict | None, str]:
    """The window that a visitor chose, or why it cannot be shown."""
    if path is None or not rows:
        return "", None, ""
    try:
        with readable(path) as (sound, _):
            return show_window(sound, model, rows, moment)
    except ValueError as error:
        return f"{UNHEARD}\n{error}", None, ""


def convert(path: str) -> str:
    """The sound of an M4A, MP4 or WebM file as WAV, for the player."""
    try:
        with readable(path) as (sound, _):
            return shutil.copy(sound, f"{path}.wav")
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error


def begin_live(model: str) -> tuple[None, str, str, str]:
    """The live tab before anything is heard."""
    return None, TALK, draw_bars(model), ""


def hear_live(chunk: tuple[int, np.ndarray] | None, kept: dict | None, model: str) -> tuple:
    """Listen on: twice a second to the last three seconds of what comes in.

    Args:
        chunk: Sampling rate in Hz and samples of shape `(samples,)` or `(samples, channels)`.
        kept: What was returned for the chunk before; None before the first.
        model: Name of a model of the page.

    Returns:
        What to keep; a sentence, bars and what was heard when, as HTML.
    """
    if chunk is None:
        return kept, *[gr.skip()] * 3
    rate, samples = chunk[0], load_audio(chunk[1], sampling_rate=chunk[0])
    now = monotonic()
    if kept is None:
        kept = {"began": now, "due": 0.0, "samples": samples[:0], "changes": []}
    kept["samples"] = np.concatenate([kept["samples"], samples])[-round(timeline.WINDOW * rate) :]
    seconds = now - kept["began"]
    if seconds > LIVE_SECONDS:
        return kept, LIVE_OVER, *[gr.skip()] * 2
    if seconds < kept["due"]:
        return kept, *[gr.skip()] * 3
    kept["due"] = seconds + LIVE_EVERY / 2  # chunks of LIVE_EVERY come as they can
    scores = hear_clip(load_audio(kept["samples"], sampling_rate=rate_of(model), source_rate=rate), model)
    said = max(scores, key=scores.__getitem__) if scores else "nobody speaks"
    if not kept["changes"] or kept["changes"][0][1] != said:
        kept["changes"] = [(seconds, said), *kept["changes"]][:LIVE_CHANGES]
    heading = descriptions.describe_scores(scores, RESULTS[model]).split("\n")[0]
    return kept, heading, draw_bars(model, scores), components.changes_html(kept["changes"])


def draw_bars(model: str, scores: dict[str, float] | None = None) -> str:
    """Bars of the live tab: in the order of the model's labels, empty where nobody speaks."""
    return components.bars_html(scores, list(MODELS[model].model.config.label2id))


def describe(model: str) -> tuple[str, str]:
    """What a model's report says: a sentence, and what it and what people mistake for what, as pictures."""
    results = RESULTS[model]
    labels, votes = results["labels"], results.get("human_confusion_matrix")
    own = plot_confusion(results["confusion_matrix"], labels, f"What {model} mistakes", normalized=True)
    pictures = [components.figure_html(own, descriptions.describe_confusion(results), small=True)]
    if votes:
        peoples = plot_confusion(votes, labels, "What people mistake", normalized=True, listener="people")
        pictures.append(components.figure_html(peoples, descriptions.describe_listeners(results), small=True))
    return descriptions.describe_model(model, results), f'<div class="beside">{"".join(pictures)}</div>'


with gr.Blocks(title="ser: emotion in speech", delete_cache=(300, 1800)) as demo:
    first = next(iter(MODELS))
    gr.Markdown("# What does your voice sound like?")
    gr.Markdown(NOTE, elem_id="note")
    in_order = "Best first; “How good?” has the figures of each."
    model = gr.Radio(list(MODELS), value=first, label="Model", info=in_order, elem_id="model")
    with gr.Tabs(overflow_behavior="wrap"):  # the menu that is the default takes a tab away on a phone
        with gr.Tab("Recording"):
            with gr.Row():
                with gr.Column():
                    audio = gr.Audio(
                        sources=["microphone", "upload"], type="filepath", label="Speech", buttons=["download"]
                    )
                    film = gr.UploadButton("Upload M4A, MP4 or WebM", file_types=[".m4a", ".mp4", ".webm"], size="sm")
                    paths = [[str(HERE / f"ser/examples/{name}.ogg")] for name in EXAMPLES.values()]
                    gr.Examples(paths, audio, example_labels=list(EXAMPLES), label="Examples, spoken by a machine")
                with gr.Column():
                    answer = gr.Markdown(START, elem_id="words")
                    bars = gr.Label(label="Probability of each emotion", show_heading=False, elem_id="bars")
                    other = gr.Radio([NOTHING, *MODELS], value=NOTHING, label="Compare with", elem_id="compare")
                # Hidden by a class: what `visible` makes may stay away all the same (gradio-app/gradio#13494).
                with gr.Column(elem_classes="away") as other_column:
                    other_answer = gr.Markdown(elem_id="other-words")
                    other_bars = gr.Label(show_heading=False, elem_id="other")
            heard = gr.JSON([], visible=False)
            picture = gr.HTML(elem_id="picture")
            with gr.Column(elem_classes="away") as windows:
                gr.Markdown(
                    f"## Over time\nWindows of {timeline.WINDOW:g} s, a new one every {timeline.HOP:g} s. "
                    "The answer above is the mean of those in which somebody speaks."
                )
                with gr.Row():
                    with gr.Column():
                        table = gr.HTML()
                        with gr.Row():
                            csv_file, json_file = gr.DownloadButton("Save as CSV"), gr.DownloadButton("Save as JSON")
                    with gr.Column():
                        moment = gr.Slider(0, 1, step=timeline.HOP, label="Look at the window that begins at (s)")
                        window_answer = gr.Markdown(elem_id="window-words")
                        window_bars = gr.Label(label="Probability in this window", show_heading=False)
                window_picture = gr.HTML(elem_id="window-picture")
        with gr.Tab("Live", render_children=True), gr.Row():
            with gr.Column():
                live = gr.Audio(sources=["microphone"], streaming=True, type="numpy", label="Talk")
                gr.Markdown(
                    f"What it hears in the last {timeline.WINDOW:g} s, twice a second, for {LIVE_SECONDS / 60:g} "
                    f"minutes. Of {LIVE_AT_ONCE} places one must be free: if no answer comes, wait a moment, "
                    "then press Stop and Record again."
                )
            with gr.Column():
                kept = gr.State(None)
                live_answer = gr.Markdown(TALK, elem_id="live-words")
                live_bars = gr.HTML(draw_bars(first), elem_id="live-bars")
                live_changes = gr.HTML(elem_id="live-changes")
        with gr.Tab("How good?") as trust:
            about = gr.Markdown(elem_id="about")
            confusions = gr.HTML()

    newest: dict[str, Any] = {"trigger_mode": "always_last", "api_visibility": "private"}
    window_parts = [window_answer, window_bars, window_picture]
    shown = [answer, bars, heard, picture, windows, moment, table, csv_file, json_file, *window_parts]
    # Each on an event of its own: Gradio repeats all functions of an event when one had to wait, so two repeat forever.
    chosen = gr.on([audio.change, model.change], respond, [audio, model], shown, concurrency_limit=AT_ONCE, **newest)
    for ready in (chosen.then, other.change):
        ready(compare, [audio, other], [other_answer, other_bars], **newest)
    other.input(lambda name: gr.Column(elem_classes="away" if name == NOTHING else []), other, other_column, **newest)
    moment.change(choose_window, [audio, model, heard, moment], window_parts, **newest)
    film.upload(convert, film, audio, api_visibility="private")
    gr.on([trust.select, model.input], describe, model, [about, confusions], **newest)
    for_programs = gr.Button(visible=False)
    for_programs.click(classify, [audio, model], [answer, bars, heard], api_name="classify", concurrency_limit=AT_ONCE)

    told = [kept, live_answer, live_bars, live_changes]
    gr.on([live.start_recording, model.select], begin_live, model, told, **newest)
    live.stream(
        hear_live,
        [live, kept, model],
        told,
        api_visibility="private",
        show_progress="hidden",
        stream_every=LIVE_EVERY,
        time_limit=LIVE_SECONDS,
        concurrency_limit=LIVE_AT_ONCE,
    )
    demo.load(None, js=components.ANNOUNCE, api_visibility="private")

audio.keep_in_cache.update(audio.temp_files)  # the examples: not to be deleted with the recordings
demo.queue(max_size=WAITING)
LAUNCH = {
    "theme": THEME,
    "css": components.STYLE,
    "max_file_size": "400mb",
    "state_session_capacity": SESSIONS,
    "run_history": False,  # nothing is kept of what visitors did
    "enable_monitoring": False,
    "i18n": gr.I18n(en={"common.complete": "Complete"}),  # Gradio tells it to screen readers, and has no word for it
}

if __name__ == "__main__":
    torch.set_num_threads(1)  # requests share the cores; a second thread for each only makes them wait for one another
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # recordings are deleted when a service is stopped, too
    demo.launch(**LAUNCH)
