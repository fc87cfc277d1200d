"""The two folders that a run writes: the model folder, and the report folder with scores and pictures."""

import csv
import json
import shutil
from pathlib import Path

import datasets
import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax
from transformers import PreTrainedModel

from ser.files import atomic_folder
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.plural import counted
from ser.reporting.model_card import render_card
from ser.reporting.plots import plot_confusion
from ser.reporting.plots import plot_curves
from ser.reporting.plots import plot_reliability
from ser.reporting.report_file import REPORT
from ser.reporting.report_file import Report


def classification_report(results: Report) -> str:
    """The classification report of the test split, and the most confused labels, as lines of text."""
    width = max(len("weighted avg"), *map(len, results["labels"]))
    lines = [f"{'':{width}}  precision  recall     F1  clips"]
    for name, scores in results["per_class"].items():
        if name != "accuracy":
            lines.append(
                f"{name:{width}}  {scores['precision']:9.3f}  {scores['recall']:6.3f}  {scores['f1-score']:5.3f}  "
                f"{scores['support']:5.0f}"
            )
    pairs = [
        f"{pair['label']} as {pair['predicted']} ({counted(pair['clips'], 'clip')}, {pair['share']:.0%})"
        for pair in results["most_confused"]
    ]
    return "\n".join([*lines, f"most confused: {', '.join(pairs) or 'none'}"])


def draw(results: Report, name: str) -> dict[str, Figure]:
    """The pictures of a report, by the names of their files.

    Args:
        results: The report.
        name: Name of the run, for the titles.
    """
    title = name.replace("/", ", ") + ("" if results["valid"] else "\nINVALID: training and test splits overlap")
    pictures = {
        "curves.png": plot_curves(results["history"], title),
        "confusion.png": plot_confusion(results["confusion_matrix"], results["labels"], title, normalized=False),
        "confusion_normalized.png": plot_confusion(
            results["confusion_matrix"], results["labels"], title, normalized=True
        ),
    }
    if results.get("calibration"):  # older reports have none
        pictures["reliability.png"] = plot_reliability(results["calibration"], title)
    if results["human_confusion_matrix"]:
        pictures["listeners.png"] = plot_confusion(
            results["human_confusion_matrix"],
            results["labels"],
            "single votes of human listeners, same clips",
            normalized=True,
            listener="people",
        )
    return pictures


def save(pictures: dict[str, Figure], folder: Path) -> None:
    """Write pictures into a folder, by the names of their files."""
    for name, picture in pictures.items():
        picture.savefig(folder / name, dpi=110)


def write_report(
    model: PreTrainedModel,
    extractor: SERFeatureExtractor,
    results: Report,
    logits: np.ndarray,
    clips: datasets.Dataset,
    *,
    model_dir: Path,
    results_dir: Path,
    title: str,
) -> None:
    """Write the model folder, then the report folder, each atomically.

    Args:
        model: With its final weights.
        extractor: The one that the model is used with.
        results: The report.
        logits: Calibrated logits of the test clips, shape `(test_clips, num_labels)`.
        clips: The test clips.
        model_dir: The model folder, which is replaced.
        results_dir: The report folder, which is replaced.
        title: Name of the run, for the titles of pictures.
    """
    pictures = draw(results, title)
    with atomic_folder(model_dir) as folder:
        model.save_pretrained(folder)
        extractor.save_pretrained(folder)
        (folder / REPORT).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(render_card(results), encoding="utf-8")
        save(pictures, folder)
    with atomic_folder(results_dir) as folder:
        for name in (REPORT, *pictures):
            shutil.copy(model_dir / name, folder)
        write_predictions(clips, logits, folder / "predictions.csv")


def write_predictions(clips: datasets.Dataset, logits: np.ndarray, path: Path) -> None:
    """Write the label and the predicted probability of every label for each test clip, as CSV."""
    names = clips.features["label"].names
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["clip", "label", *names])
        for clip, label, row in zip(clips["clip"], clips["label"], softmax(logits, axis=1), strict=True):
            writer.writerow([clip, names[label], *(f"{value:.4f}" for value in row)])


__all__ = ["classification_report", "draw", "save", "write_report"]
