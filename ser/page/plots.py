"""Pictures of the page: a clip with its pitch and what drove its classification, and a timeline."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from transformers.audio_utils import hertz_to_mel

from ser.inference.saliency import Activation
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.page.pitch import Pitch
from ser.reporting.plots import DEV
from ser.reporting.plots import TRAINING
from ser.reporting.plots import _fonts
from ser.reporting.plots import _plain

MOST_POINTS = 20_000  # of a waveform; more are not visible


INK = "#777777"  # as far from white as from the dark page


def plot_clip(
    waveform: np.ndarray,
    sampling_rate: int,
    activation: Activation | None = None,
    start: float = 0.0,
    *,
    pitch: Pitch | None = None,
) -> Figure:
    """Waveform above log-mel spectrogram on one time axis, tinted where it supports a label.

    Args:
        waveform: Shape `(samples,)`.
        sampling_rate: In Hz.
        activation: Of the label.
        start: Time of the first sample in seconds, as `activation` and `pitch` have it.
        pitch: A line in the spectrogram.
    """
    view = SERFeatureExtractor(sampling_rate=sampling_rate)
    mel = view.extract(waveform)  # (frames, n_mels)
    end = start + len(waveform) / sampling_rate
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2.4])
    step = max(1, len(waveform) // MOST_POINTS)
    times = start + np.arange(len(waveform))[::step] / sampling_rate
    top.plot(times, waveform[::step], lw=0.6, color=TRAINING)
    top.set(ylabel="amplitude")
    image = bottom.imshow(mel.T, origin="lower", aspect="auto", cmap="Greys", extent=(start, end, 0, view.n_mels))
    ticks = np.array([hertz for hertz in (250, 500, 1000, 2000, 4000) if hertz < 0.95 * sampling_rate / 2])
    bottom.set_yticks(_height(ticks, view), ticks)
    bottom.set(xlabel="time (s)", ylabel="frequency (Hz, mel scale)")
    figure.colorbar(image, ax=bottom, label="dB")
    if activation is not None:
        top.axvspan(*activation.strongest(), color=DEV, alpha=0.25)
        _draw_activation(bottom, activation, view.n_mels)
    if pitch is not None:
        bottom.plot(pitch.times, _height(pitch.hertz, view), color=TRAINING, lw=2.5)
    top.set_xlim(start, end)
    return figure


def _height(hertz: np.ndarray, view: SERFeatureExtractor) -> np.ndarray:
    """Where frequencies lie in a picture of mel bands, the centre of the first one at 0.5."""
    highest = hertz_to_mel(view.sampling_rate / 2, "slaney")
    return np.asarray(hertz_to_mel(hertz, "slaney")) / highest * (view.n_mels + 1) - 0.5


def _draw_activation(axes: Axes, activation: Activation, n_mels: int) -> None:
    """Tint where a clip supports a label, and outline where its activation is above half of the maximum."""
    image, extent = activation.image.T, (activation.begin, activation.end, 0, n_mels)
    if len(image) == 1:
        image = np.repeat(image, 2, axis=0)  # no bands: all of them
    tint = {"cmap": "Oranges", "vmin": 0, "vmax": 1, "alpha": 0.55 * np.clip(image, 0, 1)}
    axes.imshow(image, origin="lower", aspect="auto", extent=extent, interpolation="nearest", **tint)
    x, y = np.linspace(*extent[:2], image.shape[1]), np.linspace(*extent[2:], len(image))
    axes.contour(x, y, image, levels=[0.5], colors=[DEV], linewidths=1.6)


def plot_timeline(rows: list[dict]) -> Figure:
    """Level above the probability of each emotion on one time axis; a dot marks the most likely in each window.

    Args:
        rows: As `ser.inference.timeline.analyse` returns them.
    """
    labels = sorted(rows[0]["probabilities"])
    centres = np.array([(row["start"] + row["end"]) / 2 for row in rows])
    edges = np.array([rows[0]["start"], *(centres[1:] + centres[:-1]) / 2, rows[-1]["end"]])
    probabilities = np.array([[row["probabilities"][label] for row in rows] for label in labels])
    probabilities[:, [not row["speech"] for row in rows]] = np.nan  # shown as a gap
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1, 3])
    top.stairs([row["level_db"] for row in rows], edges, baseline=None, color=TRAINING)
    top.set(ylabel="level (dB)")
    image = bottom.pcolormesh(edges, np.arange(len(labels) + 1) - 0.5, probabilities, cmap="Blues", vmin=0, vmax=1)
    spoken = [(x, labels.index(row["emotion"])) for x, row in zip(centres, rows, strict=True) if row["speech"]]
    bottom.plot([x for x, _ in spoken], [y for _, y in spoken], ".", color=DEV)
    bottom.set_yticks(range(len(labels)), map(_plain, labels), fontfamily=_fonts())
    bottom.invert_yaxis()
    bottom.set(xlabel="time (s); dots: most likely; empty columns: nobody speaks", xlim=(edges[0], edges[-1]))
    figure.colorbar(image, ax=bottom, label="probability")
    return figure


def see_through(figure: Figure) -> Figure:
    """The same figure for a light or a dark page: without background, text and lines in a middle grey."""
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
        axes.tick_params(colors=INK, which="both")
        for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
            text.set_color(INK)
        for spine in axes.spines.values():
            spine.set_edgecolor(INK)
    return figure


__all__ = ["INK", "MOST_POINTS", "plot_clip", "plot_timeline", "see_through"]
