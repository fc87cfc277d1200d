"""The explanation of an answer: a marked stretch of speech, the pitch, and three measurements beside usual values."""

import base64
import html
import io

import librosa
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ser.inference.saliency import Activation
from ser.inference.saliency import class_activation
from ser.inference.voice_activity import speech_frames
from ser.page.emotions import adjective
from ser.page.offered_models import OfferedModel
from ser.page.pitch import Pitch
from ser.page.pitch import find_pitch
from ser.page.plots import plot_clip
from ser.page.plots import see_through

FRAME = 0.032  # seconds, of the detector of speech
SPOKEN = 0.5  # probability from which a frame is surely speech
SHORTEST = 0.3  # seconds of the marked stretch, a fifth of the clip if that is longer
MOSTLY = 0.8  # share of its frames that are speech
LEAST_VOICED = 10  # frames, to say anything of the pitch
# Interquartile ranges of 644 clips of CREMA-D: every eighth clip of the training actors.
USUAL_PITCH = {"men": (111, 169), "women": (173, 248)}  # Hz
USUAL_RANGE, USUAL_VARIATION = (10.5, 18.6), (11.5, 15.0)  # semitones, dB
WORDS = ("less than usual", "as usual", "more than usual")


def explain(waveform: np.ndarray, scores: dict[str, float] | None, model: OfferedModel, start: float = 0.0) -> str:
    """The picture of a clip with its sentences, as HTML.

    Args:
        waveform: Shape `(samples,)`, at the model's rate.
        scores: Probability of each emotion; None where nobody speaks.
        model: The model that classified it.
        start: Time of the first sample in seconds of the recording.
    """
    rate, stretch, pitch = model.classifier.feature_extractor.sampling_rate, None, None
    if scores:
        label = max(scores, key=scores.__getitem__)
        activation = class_activation(waveform, model.classifier, label, start)
        stretch = activation and marked(activation, speech_frames(waveform, rate), start)
        pitch = find_pitch(waveform, rate, start)
    about = "Above, the sound; below, its spectrogram: how strong each frequency is."
    if stretch:
        begin, end = stretch
        about += f" The marked stretch of speech, {begin:.1f} to {end:.1f} s, supports “{adjective(label)}” most."
    if pitch:
        about += " The line is the pitch of the voice."
    picture = figure_html(plot_clip(waveform, rate, mark=stretch, start=start, pitch=pitch), about)
    return picture + (facts_html(waveform, rate, pitch) if pitch else "")


def marked(activation: Activation, frames: np.ndarray, start: float) -> tuple[float, float] | None:
    """Begin and end in seconds of the stretch of speech that supports the answer most; None if there is none.

    Args:
        activation: How much each part of the clip supports it.
        frames: Probability of speech in each `FRAME` of the clip.
        start: When the clip begins, in seconds.
    """
    size = max(round(SHORTEST / FRAME), len(frames) // 5)
    if len(frames) < size:
        return None
    image = activation.image.mean(1)
    centres = start + FRAME * (np.arange(len(frames)) + 0.5)
    places = np.linspace(activation.begin, activation.end, len(image))
    weights, spoken = np.interp(centres, places, image, left=0, right=0), frames >= SPOKEN
    sums = np.convolve(weights * spoken, np.ones(size), "valid")
    sums[np.convolve(spoken, np.ones(size), "valid") < MOSTLY * size] = 0
    if not sums.any():
        return None
    first = int(sums.argmax())
    return start + FRAME * first, start + FRAME * (first + size)


def facts_html(waveform: np.ndarray, sampling_rate: int, pitch: Pitch) -> str:
    """Pitch, its range and the variation of loudness, beside what is usual in CREMA-D."""
    voiced = ~np.isnan(pitch.hertz)
    if voiced.sum() < LEAST_VOICED:
        return "<p>There is too little voiced speech to measure the pitch.</p>"
    low, middle, high = np.percentile(pitch.hertz[voiced], [10, 50, 90])
    semitones = 12 * np.log2(high / low)
    level = librosa.feature.rms(y=waveform, frame_length=1024, hop_length=256)[0]
    spoken = 20 * np.log10(level[: len(voiced)][voiced[: len(level)]] + 1e-6)
    variation = float(np.subtract(*np.percentile(spoken, [90, 10])))
    usual = ", ".join(f"half of the {who} {low:.0f} to {high:.0f}" for who, (low, high) in USUAL_PITCH.items())
    rows = [
        ("Pitch of the voice", f"{middle:.0f} Hz", usual),
        ("Melody: how far it goes up and down", f"{semitones:.0f} semitones", _beside(semitones, USUAL_RANGE)),
        ("Loudness: how much it varies", f"{variation:.0f} dB", _beside(variation, USUAL_VARIATION)),
    ]
    cells = "".join(
        f'<tr><th scope="row">{name}</th><td>{value}</td><td>{usual}</td></tr>' for name, value, usual in rows
    )
    return (
        '<div class="scrolls" tabindex="0" role="group" aria-label="Three facts"><table class="table"><thead><tr>'
        f'<th scope="col">fact</th><th scope="col">here</th><th scope="col">actors of CREMA-D</th></tr></thead>'
        f"<tbody>{cells}</tbody></table></div>"
    )


def _beside(value: float, usual: tuple[float, float]) -> str:
    low, high = usual
    return f"{WORDS[int(value >= low) + int(value > high)]}: half of them {low:.0f} to {high:.0f}"


def figure_html(figure: Figure, about: str) -> str:
    """A figure with a sentence that says what it shows."""
    picture = io.BytesIO()
    FigureCanvasAgg(see_through(figure)).print_png(picture)  # savefig draws twice
    source = f"data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}"
    about = html.escape(about, quote=True)
    return f'<figure class="picture"><img src="{source}" alt="{about}"><figcaption>{about}</figcaption></figure>'


__all__ = ["explain", "facts_html", "figure_html", "marked"]
