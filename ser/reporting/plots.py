"""Pictures for reports and for the page; each function returns a matplotlib figure and touches no global state."""

import logging
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names

from ser.reporting.report_file import Reliability
from ser.reporting.report_file import Report

FEWEST_CLIPS = 10  # of a bin that is drawn
# System fonts for Chinese, Japanese and Korean labels, which matplotlib's own font cannot show.
WIDE_FONTS = ["Noto Sans CJK SC", "Noto Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Microsoft YaHei"]
WIDE_FONTS += ["PingFang SC", "Hiragino Sans", "Yu Gothic", "Malgun Gothic", "Apple SD Gothic Neo", "Arial Unicode MS"]
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # warns of missing weights
TRAINING, DEV = "#1f6fb2", "#c8501e"


def plot_curves(history: list[dict], title: str) -> Figure:
    """Loss and accuracy by epoch from `Trainer`'s log history."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        _draw_curves(axes, history, name)
    figure.suptitle(_plain(title), fontfamily=_fonts(), wrap=True)
    return figure


def plot_side_by_side(results: dict[str, Report]) -> Figure:
    """Accuracy by epoch of several runs on one scale, by the names of their recipes."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, (recipe, run) in zip(figure.subplots(1, len(results), sharey=True), results.items(), strict=True):
        _draw_curves(axes, run["history"], "accuracy")
        axes.set_title(f"{recipe}: test accuracy {run['accuracy']:.1%} ({run['protocol']}, seed {run['seed']})")
    return figure


def _plain(text: str) -> str:
    """Escape text that matplotlib would take for a formula."""
    return text.replace("$", r"\$")


def _fonts() -> list[str]:
    """Fonts to look for a letter in: matplotlib's own, then the installed ones with more letters."""
    installed = set(get_font_names())
    return ["DejaVu Sans", *(name for name in WIDE_FONTS if name in installed)]


def _draw_curves(axes: Axes, history: list[dict], name: str) -> None:
    training = [entry for entry in history if "loss" in entry and "accuracy" in entry]
    dev = [entry for entry in history if "eval_loss" in entry]
    axes.plot([e["epoch"] for e in training], [e[name] for e in training], color=TRAINING, label="training batches")
    if dev:
        axes.plot([e["epoch"] for e in dev], [e[f"eval_{name}"] for e in dev], color=DEV, ls="--", label="dev")
    axes.set(xlabel="epoch", ylabel=name)
    axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]  # known to the default locator
    axes.grid(alpha=0.3)
    axes.legend()


def plot_reliability(calibration: dict[str, Reliability], title: str) -> Figure:
    """Accuracy against confidence on the test split, before and after a temperature was fitted if one was."""
    panels = calibration if calibration["before"] != calibration["after"] else {"without": calibration["before"]}
    figure = Figure(figsize=(4.5 * len(panels), 4.2), layout="constrained")
    subplots = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (when, report) in zip(subplots, panels.items(), strict=True):
        bins = [each for each in report["bins"] if each["clips"] >= FEWEST_CLIPS]
        confidence, accuracy, clips = ([each[name] for each in bins] for name in ("confidence", "accuracy", "clips"))
        axes.plot([0, 1], [0, 1], color="grey", ls="--", label="calibrated")
        axes.plot(confidence, accuracy, color=TRAINING, marker="o", label="the model")
        for x, y, count in zip(confidence, accuracy, clips, strict=True):
            axes.annotate(str(count), (x, y), textcoords="offset points", xytext=(4, -10), fontsize=7)
        axes.set(
            title=f"{when} calibration: expected error {report['ece']:.1%}", xlabel="confidence", ylabel="accuracy"
        )
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left")
    note = f"(beside each point: clips; fewer than {FEWEST_CLIPS} are left out)"
    figure.suptitle(f"{_plain(title)} {note}", fontfamily=_fonts(), wrap=True)
    return figure


def plot_risk_coverage(calibrated: dict[str, dict], title: str) -> Figure:
    """Accuracy of certain answers against their share of all clips; dots: at the thresholds, which are probabilities.

    Args:
        calibrated: By what the legend calls it, "curve" and "certain_threshold" as `ser.evaluation.calibrate` has them.
        title: Of the picture.
    """
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.subplots()
    for (name, each), colour in zip(calibrated.items(), (TRAINING, DEV), strict=False):
        curve, threshold = each["curve"], each["certain_threshold"]
        chosen = [point for point in curve if point["threshold"] == threshold]
        label = f"{name} (dot: from {threshold:.2f})" if chosen else name
        axes.plot([point["certain"] for point in curve], [point["right"] for point in curve], color=colour, label=label)
        axes.plot([point["certain"] for point in chosen], [point["right"] for point in chosen], "o", color=colour)
    axes.set(xlabel="share of clips with a certain answer", ylabel="of these, right", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize="small")
    axes.set_title(_plain(title), fontfamily=_fonts(), wrap=True)
    return figure


def plot_noise_floor(levels: dict[str, dict[str, float]]) -> Figure:
    """Noise level relative to the voice by emotion: boxes of the quartiles, whiskers at 5 and 95 %."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots()
    names = ("whislo", "q1", "med", "q3", "whishi")
    boxes = [dict(zip(names, each.values(), strict=True)) | {"label": label} for label, each in levels.items()]
    axes.bxp(boxes, showfliers=False, medianprops={"color": DEV, "lw": 2})
    axes.set(ylabel="noise, dB relative to the voice", title="noise in the pauses of CREMA-D")
    axes.grid(alpha=0.3, axis="y")
    return figure


def plot_confusion(
    matrix: Sequence[Sequence[int]], names: Sequence[str], title: str, *, normalized: bool, listener: str = "the model"
) -> Figure:
    """Confusion matrix, in clips or as a share of each true class."""
    clips = np.asarray(matrix)
    share = clips / np.maximum(clips.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(5.6, 5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(share):
        text = f"{value:.0%}" if normalized else str(clips[row, column])
        axes.text(column, row, text, ha="center", va="center", color="white" if value > 0.5 else "black")
    axes.set_xticks(range(len(names)), map(_plain, names), rotation=30, ha="right", fontfamily=_fonts())
    axes.set_yticks(range(len(names)), map(_plain, names), fontfamily=_fonts())
    axes.set(xlabel=f"predicted by {listener}", ylabel="intended by the actor")
    axes.set_title(_plain(title), fontfamily=_fonts(), wrap=True)
    return figure


__all__ = [
    "DEV",
    "TRAINING",
    "plot_confusion",
    "plot_curves",
    "plot_noise_floor",
    "plot_reliability",
    "plot_risk_coverage",
    "plot_side_by_side",
]
