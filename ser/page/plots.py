"""The picture of a clip: waveform, spectrogram, pitch, and the stretch that decided."""

import numpy as np
from matplotlib.figure import Figure
from transformers.audio_utils import hertz_to_mel

from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.page.pitch import Pitch
from ser.reporting.plots import DEV
from ser.reporting.plots import TRAINING

MOST_POINTS = 20_000  # of a waveform; more cannot be seen
INK = "#777777"  # the same contrast on white and on the dark page


def plot_clip(
    waveform: np.ndarray,
    sampling_rate: int,
    *,
    mark: tuple[float, float] | None = None,
    start: float = 0.0,
    pitch: Pitch | None = None,
) -> Figure:
    """Waveform above log-mel spectrogram on one time axis.

    Args:
        waveform: Shape `(samples,)`.
        sampling_rate: In Hz.
        mark: Begin and end in seconds of the stretch to mark.
        start: Time of the first sample in seconds, as `mark` and `pitch` have it.
        pitch: A line in the spectrogram.
    """
    view = SERFeatureExtractor(sampling_rate=sampling_rate)
    end = start + len(waveform) / sampling_rate
    figure = Figure(figsize=(7, 4), dpi=130, layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    step = max(1, len(waveform) // MOST_POINTS)
    top.plot(start + np.arange(len(waveform))[::step] / sampling_rate, waveform[::step], lw=0.6, color=TRAINING)
    top.set(yticks=[], ylabel="sound")
    mel = view.extract(waveform)  # (frames, n_mels)
    bottom.imshow(mel.T, origin="lower", aspect="auto", cmap="Greys", extent=(start, end, 0, view.n_mels))
    ticks = np.array([hertz for hertz in (250, 500, 1000, 2000, 4000) if hertz < 0.95 * sampling_rate / 2])
    bottom.set_yticks(_height(ticks, view), ticks)
    bottom.set_xlabel("seconds", fontsize=13)
    bottom.set_ylabel("hertz", fontsize=13)
    for axes in (top, bottom):
        axes.tick_params(labelsize=12)
        if mark is not None:
            axes.axvspan(*mark, facecolor=DEV, alpha=0.2)
            for edge in mark:
                axes.axvline(edge, color=DEV, lw=2.5)
    if pitch is not None:
        bottom.plot(pitch.times, _height(pitch.hertz, view), color=TRAINING, lw=3)
    top.yaxis.label.set_fontsize(13)
    top.set_xlim(start, end)
    return figure


def _height(hertz: np.ndarray, view: SERFeatureExtractor) -> np.ndarray:
    """Where frequencies lie in a picture of mel bands, the centre of the first one at 0.5."""
    highest = hertz_to_mel(view.sampling_rate / 2, "slaney")
    return np.asarray(hertz_to_mel(hertz, "slaney")) / highest * (view.n_mels + 1) - 0.5


def see_through(figure: Figure) -> Figure:
    """The same figure for a light or a dark page: no background, text and lines in mid-grey."""
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
        axes.tick_params(colors=INK, which="both")
        for part in (axes.xaxis.label, axes.yaxis.label, axes.title):
            part.set_color(INK)
        for spine in axes.spines.values():
            spine.set_edgecolor(INK)
    return figure


__all__ = ["INK", "MOST_POINTS", "plot_clip", "see_through"]
