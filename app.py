"""The page: record, upload or just talk, and see which emotion a model hears, when, how sure it is and why.

python app.py    # serves http://127.0.0.1:7860
"""

import json
import os
from pathlib import Path

import gradio as gr
import numpy as np
import torch
from gradio.processing_utils import save_bytes_to_cache
from huggingface_hub import snapshot_download
from transformers import pipeline

from ser import load_audio
from ser import markup
from ser import timeline
from ser import words
from ser.activation import class_activation
from ser.plots import plot_clip
from ser.plots import plot_confusion
from ser.plots import plot_timeline
from ser.speech import SILENCE
from ser.speech import has_speech
from ser.uploads import LONGEST
from ser.uploads import readable

HERE = Path(__file__).parent
WANTED = os.environ.get("SER_MODELS", "")  # ids on the Hub, separated by commas, instead of the bundled models
ONE_CLIP = 6.0  # seconds; longer recordings are heard in windows
AT_ONCE, WAITING, SESSIONS = 2, 100, 300  # requests, requests, and visitors whose state is kept in memory
LIVE_SECONDS, LIVE_EVERY, LIVE_AT_ONCE, LIVE_CHANGES = 120, 0.5, 8, 8
START, TALK, NOTHING = "## Record, upload or choose an example", "## Press Record and talk", "nothing"
NOTE = (
    "Trained on **acted** speech: it hears how a voice *sounds*, not what a person feels. "
    "Not for hiring, policing, health or judging anyone. Recordings are not stored."
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
    checkbox_label_background_fill_selected="*primary_600",
)


def find_models() -> dict[str, Path]:
    """Folders of the models that the page offers, by name, the most accurate first."""
    if WANTED:
        folders = {name.strip(): Path(snapshot_download(name.strip())) for name in WANTED.split(",")}
    else:
        folders = {path.parent.name: path.parent for path in (HERE / "checkpoints").glob("*/results.json")}
    return dict(sorted(folders.items(), key=lambda item: -read_results(item[1])["accuracy"]))


def read_results(folder: Path) -> dict:
    """The report that lies in a model's folder."""
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


FOLDERS = find_models()
RESULTS = {name: read_results(folder) for name, folder in FOLDERS.items()}
MODELS = {name: pipeline("audio-classification", model=str(folder)) for name, folder in FOLDERS.items()}


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


def hear(path: str, model: str, progress: gr.Progress) -> tuple[dict[str, float] | None, list[dict]]:
    """Probability of each emotion, None if nobody speaks, and the windows of a long recording.

    Raises:
        ValueError: The file cannot be heard.
    """
    with readable(path) as (sound, seconds):
        if seconds > ONE_CLIP:
            rows = timeline.analyse(
                sound, MODELS[model], lambda done: progress((min(done, seconds), seconds), unit="s")
            )
            loudest = max(row["level_db"] for row in rows)
            scores = timeline.overall(rows)
        else:
            waveform, rows = read_clip(sound, model), []
            loudest = 20 * np.log10(np.abs(waveform).max() + 1e-9)
            scores = hear_clip(waveform, model)
    if loudest < 20 * np.log10(SILENCE):
        raise ValueError("The recording is silent: check the microphone and record again.")
    return scores, rows


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
    if path is None:
        return START, None, []
    try:
        scores, rows = hear(path, model, progress)
    except ValueError as error:
        raise gr.Error(str(error)) from error
    return words.describe_scores(scores, RESULTS[model]), scores, rows


def compare(path: str | None, other: str, progress: gr.Progress = PROGRESS) -> tuple[str, dict[str, float] | None]:
    """What another model says of the same recording."""
    return ("", None) if path is None or other == NOTHING else classify(path, other, progress)[:2]


def show_other(other: str) -> tuple[gr.Column, gr.Label]:
    """The column of another model, or none."""
    return gr.Column(visible=other != NOTHING), gr.Label(label=f"According to {other}")


def draw(path: str | None, model: str, scores: dict[str, float] | None, rows: list[dict]) -> str:
    """The picture below the answer: of a clip, or of a long recording's windows."""
    if rows:
        return markup.figure_html(plot_timeline(rows), words.describe_windows(rows))
    return "" if path is None else draw_clip(path, model, scores)


def draw_clip(path: str, model: str, scores: dict[str, float] | None, start: float = 0.0, end: float = LONGEST) -> str:
    """Waveform and spectrogram between two times, with what drove the decision, and a sentence about it."""
    with readable(path) as (sound, _):
        waveform = read_clip(sound, model, start, end)
    about, activation = f"Waveform and mel spectrogram of {len(waveform) / rate_of(model):.1f} s of sound.", None
    if scores:
        label = max(scores, key=scores.get)
        activation = class_activation(waveform, MODELS[model], label)
    if activation:
        begin, end = activation.strongest()
        about += f" Tinted: what made it {label} to the model, most of all from {begin:.1f} to {end:.1f} s."
    return markup.figure_html(plot_clip(waveform, rate_of(model), activation), about)


def show_windows(rows: list[dict], model: str) -> tuple:
    """The windows of a long recording to choose from and to save, or nothing of the kind for a clip."""
    if not rows:
        return gr.Column(visible=False), gr.Slider(), "", None, None
    files = {"timeline.csv": timeline.to_csv(rows), "timeline.json": timeline.to_json(rows, model)}
    paths = [save_bytes_to_cache(text.encode(), name, audio.GRADIO_CACHE) for name, text in files.items()]
    return gr.Column(visible=True), gr.Slider(maximum=rows[-1]["start"], value=0), markup.windows_html(rows), *paths


def show_window(path: str | None, model: str, rows: list[dict], moment: float) -> tuple[str, dict | None, str]:
    """What was heard in the window that begins at a moment of a long recording, and its picture."""
    if path is None or not rows:
        return "", None, ""
    row = min(rows, key=lambda row: abs(row["start"] - moment))
    scores = row["probabilities"] if row["speech"] else None
    said = words.describe_scores(scores, RESULTS[model]).split("\n")[0]
    heading = f"{said}, from {row['start']:.1f} to {row['end']:.1f} s"
    return heading, scores, draw_clip(path, model, scores, row["start"], row["end"])


def hear_live(chunk: tuple[int, np.ndarray] | None, kept: dict | None, model: str) -> tuple:
    """Listen on: twice a second to the last three seconds of what comes in.

    Args:
        chunk: Sampling rate in Hz and samples of shape `(samples,)` or `(samples, channels)`.
        kept: What was returned for the chunk before.
        model: Name of a model of the page.

    Returns:
        What to keep; a sentence, bars and what was heard when, as HTML.
    """
    if chunk is None:
        return kept, *[gr.skip()] * 3
    rate, samples = chunk[0], load_audio(chunk[1], sampling_rate=chunk[0])
    kept = kept or {"seconds": 0.0, "due": LIVE_EVERY, "samples": samples[:0], "changes": []}
    kept["seconds"] = round(kept["seconds"] + len(samples) / rate, 3)
    kept["samples"] = np.concatenate([kept["samples"], samples])[-round(timeline.WINDOW * rate) :]
    if kept["seconds"] < kept["due"]:
        return kept, *[gr.skip()] * 3
    kept["due"] = round(kept["seconds"] + LIVE_EVERY, 3)
    scores = hear_clip(load_audio(kept["samples"], sampling_rate=rate_of(model), source_rate=rate), model)
    said = max(scores, key=scores.get) if scores else "nobody speaks"
    if not kept["changes"] or kept["changes"][0][1] != said:
        kept["changes"] = [(kept["seconds"], said), *kept["changes"]][:LIVE_CHANGES]
    heading = words.describe_scores(scores, RESULTS[model]).split("\n")[0]
    return kept, heading, draw_bars(model, scores), markup.changes_html(kept["changes"])


def draw_bars(model: str, scores: dict[str, float] | None = None) -> str:
    """Bars of the live tab: in the order of the model's labels, empty where nobody speaks."""
    return markup.bars_html(scores, list(MODELS[model].model.config.label2id))


def describe(model: str) -> tuple[str, str, str]:
    """What a model's report says: a sentence, and what it and what people mistake for what, as pictures."""
    results = RESULTS[model]
    labels, votes = results["labels"], results.get("human_confusion_matrix")
    own = plot_confusion(results["confusion_matrix"], labels, model, normalized=True)
    peoples = plot_confusion(votes, labels, "people", normalized=True, listener="people") if votes else None
    return (
        words.describe_model(model, results),
        markup.figure_html(own, words.describe_confusion(results), small=True),
        markup.figure_html(peoples, words.describe_listeners(results), small=True) if votes else "",
    )


with gr.Blocks(title="ser: emotion in speech", delete_cache=(300, 300)) as demo:
    first = next(iter(MODELS))
    gr.Markdown("# What does your voice sound like?")
    gr.Markdown(NOTE, elem_id="note")
    model = gr.Radio(list(MODELS), value=first, label="Model", elem_id="model")
    with gr.Tab("Recording"):
        with gr.Row():
            with gr.Column():
                audio = gr.Audio(
                    sources=["microphone", "upload"], type="filepath", label="Speech", buttons=["download"]
                )
                paths = [[str(HERE / f"ser/examples/{name}.ogg")] for name in EXAMPLES.values()]
                gr.Examples(paths, audio, example_labels=list(EXAMPLES), label="Examples, spoken by a machine")
            with gr.Column():
                answer = gr.Markdown(START, elem_id="words")
                bars = gr.Label(label="Probability of each emotion", show_heading=False, elem_id="bars")
                other = gr.Radio([NOTHING, *MODELS], value=NOTHING, label="Compare with", elem_id="compare")
            with gr.Column(visible=False) as other_column:
                other_answer = gr.Markdown(elem_id="other-words")
                other_bars = gr.Label(show_heading=False, elem_id="other")
        heard = gr.JSON([], visible=False)
        picture = gr.HTML(elem_id="picture")
        with gr.Column(visible=False) as windows:
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
    with gr.Tab("Live"), gr.Row():
        with gr.Column():
            live = gr.Audio(sources=["microphone"], streaming=True, type="numpy", label="Talk")
            gr.Markdown(
                f"What it hears in the last {timeline.WINDOW:g} s, twice a second, up to {LIVE_SECONDS / 60:g} minutes."
            )
        with gr.Column():
            kept = gr.State(None)
            live_answer = gr.Markdown(TALK, elem_id="live-words")
            live_bars = gr.HTML(draw_bars(first), elem_id="live-bars")
            live_changes = gr.HTML(elem_id="live-changes")
    with gr.Tab("How good?") as trust:
        about = gr.Markdown(elem_id="about")
        with gr.Row():
            with gr.Column():
                gr.Markdown("## What the model mistakes")
                own_confusion = gr.HTML()
            with gr.Column():
                gr.Markdown("## What people mistake, hearing the same clips")
                peoples_confusion = gr.HTML()

    newest = {"trigger_mode": "always_last", "api_visibility": "private"}
    asked = gr.on(
        [audio.change, model.change],
        classify,
        [audio, model],
        [answer, bars, heard],
        api_name="classify",
        trigger_mode="always_last",
        concurrency_limit=AT_ONCE,
    )
    asked.success(draw, [audio, model, bars, heard], picture, concurrency_limit=AT_ONCE, **newest)
    shown = asked.success(show_windows, [heard, model], [windows, moment, table, csv_file, json_file], **newest)
    shown.success(show_window, [audio, model, heard, moment], [window_answer, window_bars, window_picture], **newest)
    moment.change(show_window, [audio, model, heard, moment], [window_answer, window_bars, window_picture], **newest)
    failed = ["## This could not be heard", None, [], "", gr.Column(visible=False)]
    asked.failure(lambda: failed, None, [answer, bars, heard, picture, windows], **newest)
    for ready in (asked.success, other.change):
        ready(compare, [audio, other], [other_answer, other_bars], **newest)
    other.change(show_other, other, [other_column, other_bars], **newest)
    gr.on([trust.select, model.change], describe, model, [about, own_confusion, peoples_confusion], **newest)
    announce = "() => document.querySelector('#words').setAttribute('aria-live', 'polite')"
    demo.load(None, js=announce, api_visibility="private")
    live.start_recording(lambda: None, None, kept, api_visibility="private")
    live.stream(
        hear_live,
        [live, kept, model],
        [kept, live_answer, live_bars, live_changes],
        api_visibility="private",
        show_progress="hidden",
        stream_every=LIVE_EVERY,
        time_limit=LIVE_SECONDS,
        concurrency_limit=LIVE_AT_ONCE,
    )

demo.queue(max_size=WAITING)
LAUNCH = {
    "theme": THEME,
    "css": markup.STYLE,
    "max_file_size": "400mb",
    "state_session_capacity": SESSIONS,
    "run_history": False,  # nothing is kept of what visitors did
    "enable_monitoring": False,
}

if __name__ == "__main__":
    torch.set_num_threads(1)  # requests share the cores; a second thread for each only makes them wait for one another
    demo.launch(**LAUNCH)
