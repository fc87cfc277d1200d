"""The page: record or upload speech, see which emotion a model hears and how sure it is.

python app.py    # serves http://127.0.0.1:7860
"""

import json
import os
from pathlib import Path

import gradio as gr
import numpy as np
import soundfile
from gradio.processing_utils import save_bytes_to_cache
from huggingface_hub import snapshot_download
from matplotlib.figure import Figure
from transformers import pipeline

from ser import load_audio
from ser import timeline
from ser.plots import plot_clip
from ser.plots import plot_timeline

CHECKPOINTS = Path(__file__).parent / "checkpoints"
WANTED = os.environ.get("SER_MODELS", "")  # ids on the Hub, separated by commas, instead of the bundled models
SHORTEST, LONGEST = 0.2, 30 * 60.0  # seconds
ONE_CLIP = 6.0  # seconds; longer recordings are heard in windows
SILENCE = 1e-3  # peak amplitude below which nobody speaks
UNSURE = 0.5  # probability below which the page says so
ADJECTIVES = {"anger": "angry", "disgust": "disgusted", "fear": "fearful"}
NOTHING = "nothing"
PROGRESS = gr.Progress()
THEME = gr.themes.Soft()
NOTE = (
    "Trained on **acted** speech: it hears how a voice *sounds*, not what a person feels. "
    "Not for hiring, policing, health or judging anyone. Recordings are deleted within ten minutes."
)


def find_models() -> dict[str, Path]:
    """Folders of the models that the page offers, by name, the most accurate first."""
    if WANTED:
        folders = {name.strip(): Path(snapshot_download(name.strip())) for name in WANTED.split(",")}
    else:
        folders = {path.parent.name: path.parent for path in CHECKPOINTS.glob("*/results.json")}
    return dict(sorted(folders.items(), key=lambda item: -read_results(item[1])["accuracy"]))


def read_results(folder: Path) -> dict:
    """The report that lies in a model's folder."""
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


FOLDERS = find_models()
MODELS = {name: pipeline("audio-classification", model=str(folder)) for name, folder in FOLDERS.items()}


def describe_model(name: str) -> str:
    """What the figures of a model say, in a sentence."""
    results = read_results(FOLDERS[name])
    low, high = results["interval_95"]["accuracy"]
    if results["protocol"] == "leaky":
        return f"The figures of **{name}** are invalid: its training part and its test part overlap."
    unseen = results["test_actors"] and not results["protocol"].startswith("random")
    who = f" of {results['test_actors']} actors it never heard" if unseen else ""
    text = (
        f"**{name}** names the intended emotion in {results['accuracy']:.0%} of {results['test_clips']:,} test clips"
        f"{who} (95 % interval {low:.0%} to {high:.0%})"
    )
    people = results["human_single_vote_accuracy"]
    return f"{text}; single human listeners, hearing the same clips, in {people:.0%}." if people else f"{text}."


def most_mistaken(results: dict, heard: str) -> str | None:
    """Which other emotion the test clips that sounded like `heard` to a model were most often meant to be."""
    labels, matrix = results["labels"], np.array(results["confusion_matrix"])
    column = matrix[:, labels.index(heard)].copy()
    column[labels.index(heard)] = 0
    return labels[column.argmax()] if column.any() else None


def check_file(path: str) -> float:
    """Seconds of a recording that can be heard, or an error that the page shows; only its header is read."""
    try:
        seconds = soundfile.info(path).duration
    except soundfile.LibsndfileError as error:
        if not Path(path).is_file():
            raise gr.Error("The recording was deleted in the meantime: record or upload it again.") from error
        raise gr.Error("This file cannot be read: it is damaged or not audio. Upload WAV, FLAC, Ogg or MP3.") from error
    if seconds == 0:
        raise gr.Error("This file cannot be read: the audio holds no samples. Upload WAV, FLAC, Ogg or MP3.")
    if seconds < SHORTEST:
        raise gr.Error(f"The clip lasts {seconds:.2f} s, which is too short: speak for at least {SHORTEST} s.")
    if seconds > LONGEST:
        raise gr.Error(f"The recording lasts {seconds:.0f} s: choose one of at most {LONGEST / 60:.0f} minutes.")
    return seconds


def sentence(scores: dict[str, float], model: str) -> str:
    """What the bars say, in words, and what the model mistakes for it."""
    (first, share), (second, _) = sorted(scores.items(), key=lambda item: -item[1])[:2]
    heard, other = (ADJECTIVES.get(label, label) for label in (first, second))
    if share < UNSURE:
        return f"### Not sure: perhaps {heard} ({share:.0%}), perhaps {other}"
    mistaken = most_mistaken(read_results(FOLDERS[model]), first)
    warning = f"\nOf the other emotions, **{mistaken}** is the one it most often mistakes for this." if mistaken else ""
    return f"### Sounds {heard} ({share:.0%}){warning}"


def classify(
    path: str | None, model: str, progress: gr.Progress = PROGRESS
) -> tuple[str, dict | None, Figure | None, list[dict]]:
    """Name the emotion in a recording of speech.

    Args:
        path: The audio file; above 6 seconds it is heard in overlapping windows.
        model: Name of a model of the page.
        progress: Shown while a long recording is heard.

    Returns:
        A sentence, the probability of each emotion, a picture, and for a long recording what was heard in each window.
    """
    if path is None:
        return "### Record or upload a clip first", None, None, []
    seconds = check_file(path)
    try:
        heard = hear_clip(path, model) if seconds <= ONE_CLIP else hear_windows(path, model, seconds, progress)
    except ValueError as error:
        raise gr.Error(f"This file cannot be read: {_reason(error)}. Upload WAV, FLAC, Ogg or MP3.") from error
    if heard is None:
        raise gr.Error("The recording is silent: check the microphone and record again.")
    scores, picture, rows = heard
    return sentence(scores, model), scores, picture, rows


def hear_clip(path: str, model: str) -> tuple[dict, Figure, list[dict]] | None:
    """Probabilities and a picture of a clip heard at once, and no windows; None if it is silent."""
    sampling_rate = MODELS[model].feature_extractor.sampling_rate
    waveform = load_audio(path, sampling_rate=sampling_rate)
    if np.abs(waveform).max() < SILENCE:
        return None
    scores = {entry["label"]: entry["score"] for entry in MODELS[model](waveform)}
    return scores, plot_clip(waveform, sampling_rate), []


def hear_windows(
    path: str, model: str, seconds: float, progress: gr.Progress
) -> tuple[dict, Figure, list[dict]] | None:
    """Mean probabilities, a picture and the windows of a long recording; None if it is silent."""
    rows = timeline.analyse(path, MODELS[model], lambda done: progress((min(done, seconds), seconds), unit="s"))
    if max(row["level_db"] for row in rows) < 20 * np.log10(SILENCE):
        return None
    return timeline.overall(rows), plot_timeline(rows), rows


def _reason(error: ValueError) -> str:
    """What is wrong with a file, without its name on the server."""
    reason = str(error)
    return reason.split(";")[0] if reason.startswith("the audio holds") else "it is damaged or not audio"


def compare(path: str | None, other: str, progress: gr.Progress = PROGRESS) -> dict | None:
    """The probability of each emotion according to another model."""
    return None if path is None or other == NOTHING else classify(path, other, progress)[1]


def show_windows(rows: list[dict], model: str) -> tuple:
    """The table of a long recording and its files, or nothing of the kind for a clip."""
    if not rows:
        return gr.Column(visible=False), [], None, None
    table = [
        [f"{row['start']:.1f}", f"{row['end']:.1f}", "nobody speaks", ""]
        if row["quiet"]
        else [f"{row['start']:.1f}", f"{row['end']:.1f}", row["emotion"], f"{row['probability']:.0%}"]
        for row in rows
    ]
    files = {"timeline.csv": timeline.to_csv(rows), "timeline.json": timeline.to_json(rows, model)}
    paths = [save_bytes_to_cache(text.encode(), name, audio.GRADIO_CACHE) for name, text in files.items()]
    return gr.Column(visible=True), table, *paths


def show_window(rows: list[dict], event: gr.SelectData) -> tuple[str, dict]:
    """What was heard in the window whose row of the table was chosen."""
    row = rows[event.index[0]]
    return f"From {row['start']:.1f} to {row['end']:.1f} s", row["probabilities"]


def describe_confusion(name: str) -> tuple[str, str]:
    """What a model mistakes for what, in words and as a picture from its report."""
    pairs = read_results(FOLDERS[name])["most_confused"][:3]
    words = "; ".join(f"{p['share']:.0%} of the {p['label']} clips sound {p['heard_as']} to it" for p in pairs)
    return f"On the test part, {words}.", str(FOLDERS[name] / "confusion_normalized.png")


with gr.Blocks(title="ser: emotion in speech", delete_cache=(300, 300)) as demo:
    gr.Markdown("# Which emotion does the model hear?\nRecord a sentence or upload a recording. " + NOTE)
    heard = gr.JSON([], visible=False)
    first = next(iter(MODELS), None)
    with gr.Row():
        with gr.Column():
            audio = gr.Audio(sources=["microphone", "upload"], type="filepath", label="Speech")
            model = gr.Radio(list(MODELS), value=first, label="Model")
            about = gr.Markdown(describe_model(first))
            other = gr.Radio([NOTHING, *MODELS], value=NOTHING, label="Compare with", elem_id="compare")
        with gr.Column():
            words = gr.Markdown("### Record or upload a clip first", elem_id="words")
            bars = gr.Label(label="Probability of each emotion", show_heading=False)
            other_bars = gr.Label(
                label="According to the other model", show_heading=False, visible=False, elem_id="other"
            )
    gr.Markdown("### The recording\nWhat was heard, on one time axis.")
    picture = gr.Plot(label="The recording on one time axis", show_label=False)
    with gr.Column(visible=False) as windows:
        gr.Markdown(
            f"### Over time\nWindows of {timeline.WINDOW:g} s, a new one every {timeline.HOP:g} s. "
            "The bars above are the mean of those in which somebody speaks. Choose a row to see its bars."
        )
        with gr.Row():
            table = gr.Dataframe(
                headers=["from (s)", "to (s)", "emotion", "probability"], label="Windows", interactive=False
            )
            with gr.Column():
                chosen = gr.Markdown()
                window_bars = gr.Label(label="Probability in the chosen window", show_heading=False)
        with gr.Row():
            csv_file, json_file = gr.DownloadButton("Save as CSV"), gr.DownloadButton("Save as JSON")
    with gr.Accordion("How far to trust it", open=False):
        confusion_words = gr.Markdown(describe_confusion(first)[0])
        confusion = gr.Image(
            describe_confusion(first)[1], label="Confusion matrix on the test clips", interactive=False, height=480
        )

    answer = gr.on(
        [audio.change, model.change],
        classify,
        [audio, model],
        [words, bars, picture, heard],
        api_name="classify",
        concurrency_limit=2,
    )
    answer.success(show_windows, [heard, model], [windows, table, csv_file, json_file], api_visibility="private")
    gr.on(
        [audio.change, other.change], compare, [audio, other], other_bars, api_visibility="private", concurrency_limit=1
    )
    other.change(lambda name: gr.Label(visible=name != NOTHING), other, other_bars, api_visibility="private")
    table.select(show_window, heard, [chosen, window_bars], api_visibility="private")
    model.change(describe_model, model, about, api_visibility="private")
    model.change(describe_confusion, model, [confusion_words, confusion], api_visibility="private")

demo.queue(max_size=20)

if __name__ == "__main__":
    demo.launch(theme=THEME, max_file_size="400mb")
