"""The page: record or upload speech, see which emotion a model hears and how sure it is.

python app.py    # serves http://127.0.0.1:7860
"""

import json
import os
from pathlib import Path

import gradio as gr
import numpy as np
from huggingface_hub import snapshot_download
from matplotlib.figure import Figure
from transformers import pipeline

from ser import load_audio
from ser.plots import plot_clip

CHECKPOINTS = Path(__file__).parent / "checkpoints"
WANTED = os.environ.get("SER_MODELS", "")  # ids on the Hub, separated by commas, instead of the bundled models
SHORTEST, LONGEST = 0.2, 60.0  # seconds
SILENCE = 1e-3  # peak amplitude below which nobody speaks
UNSURE = 0.5  # probability below which the page says so
ADJECTIVES = {"anger": "angry", "disgust": "disgusted", "fear": "fearful"}
THEME = gr.themes.Soft()
NOTE = (
    "Trained on **acted** English speech: it hears how a voice *sounds*, not what a person feels. "
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
    text = (
        f"**{name}** names the intended emotion in {results['accuracy']:.0%} of {results['test_clips']:,} clips of "
        f"{results['test_actors']} actors it never heard (95 % interval {low:.0%} to {high:.0%})"
    )
    people = results["human_single_vote_accuracy"]
    return f"{text}; single human listeners, hearing the same clips, in {people:.0%}." if people else f"{text}."


def read_clip(path: str, sampling_rate: int) -> np.ndarray:
    """The clip as a waveform of shape `(samples,)`, or an error that the page shows."""
    try:
        waveform = load_audio(path, sampling_rate=sampling_rate)
    except FileNotFoundError as error:
        raise gr.Error("The recording was deleted in the meantime: record or upload it again.") from error
    except ValueError as error:
        raise gr.Error(f"This file cannot be read: {_reason(error)}. Upload WAV, FLAC, Ogg or MP3.") from error
    seconds = len(waveform) / sampling_rate
    if seconds < SHORTEST:
        raise gr.Error(f"The clip lasts {seconds:.2f} s, which is too short: speak for at least {SHORTEST} s.")
    if seconds > LONGEST:
        raise gr.Error(f"The clip lasts {seconds:.0f} s, which is too long: choose one of at most {LONGEST:.0f} s.")
    if np.abs(waveform).max() < SILENCE:
        raise gr.Error("The clip is silent: check the microphone and record again.")
    return waveform


def _reason(error: ValueError) -> str:
    """What is wrong with a file, without its name on the server."""
    reason = str(error)
    return reason.split(";")[0] if reason.startswith("the audio holds") else "it is damaged or not audio"


def sentence(scores: dict[str, float]) -> str:
    """What the bars say, in words."""
    (first, share), (second, _) = sorted(scores.items(), key=lambda item: -item[1])[:2]
    first, second = (ADJECTIVES.get(label, label) for label in (first, second))
    if share < UNSURE:
        return f"### Not sure: perhaps {first} ({share:.0%}), perhaps {second}"
    return f"### Sounds {first} ({share:.0%})"


def classify(path: str | None, model: str) -> tuple[str, dict[str, float] | None, Figure | None]:
    """Name the emotion in a clip of speech.

    Args:
        path: The audio file.
        model: Name of a bundled model.

    Returns:
        A sentence, the probability of each emotion, and a picture of the clip.
    """
    if path is None:
        return "### Record or upload a clip first", None, None
    classifier = MODELS[model]
    sampling_rate = classifier.feature_extractor.sampling_rate
    waveform = read_clip(path, sampling_rate)
    scores = {entry["label"]: entry["score"] for entry in classifier(waveform)}
    return sentence(scores), scores, plot_clip(waveform, sampling_rate)


with gr.Blocks(title="ser: emotion in speech", delete_cache=(300, 300)) as demo:
    gr.Markdown("# Which emotion does the model hear?\nRecord a sentence or upload a clip. " + NOTE)
    with gr.Row():
        with gr.Column():
            audio = gr.Audio(sources=["microphone", "upload"], type="filepath", label="Speech")
            model = gr.Radio(list(MODELS), value=next(iter(MODELS), None), label="Model")
            about = gr.Markdown(describe_model(model.value) if model.value else "")
        with gr.Column():
            words = gr.Markdown("### Record or upload a clip first", elem_id="words")
            bars = gr.Label(label="Probability of each emotion", show_heading=False)
    gr.Markdown("### Waveform and mel spectrogram")
    picture = gr.Plot(label="Waveform and mel spectrogram", show_label=False)
    gr.on(
        [audio.change, model.change],
        classify,
        [audio, model],
        [words, bars, picture],
        api_name="classify",
        concurrency_limit=2,
    )
    model.change(describe_model, model, about, api_visibility="private")

demo.queue(max_size=20)

if __name__ == "__main__":
    demo.launch(theme=THEME)
