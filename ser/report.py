"""What a run leaves behind: a model folder that loads anywhere, and a report folder with figures and pictures."""

import csv
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax
from transformers import PreTrainedModel

from ser.files import atomic_folder
from ser.model_card import render_card
from ser.plots import plot_confusion
from ser.plots import plot_curves
from ser.plots import plot_reliability
from ser.provenance import REPORT

if TYPE_CHECKING:
    from ser.preparation import Run


def draw(results: dict, name: str) -> dict[str, Figure]:
    """The pictures of a report, by the names of their files.

    Args:
        results: The content of `results.json`.
        name: Of the run, for their titles.
    """
    title = name.replace("/", ", ") + ("" if results["valid"] else "\nINVALID: training and test part overlap")
    pictures = {
        "curves.png": plot_curves(results["history"], title),
        "reliability.png": plot_reliability(results["calibration"], title),
        "confusion.png": plot_confusion(results["confusion_matrix"], results["labels"], title, normalized=False),
        "confusion_normalized.png": plot_confusion(
            results["confusion_matrix"], results["labels"], title, normalized=True
        ),
    }
    if results["human_confusion_matrix"]:
        pictures["listeners.png"] = plot_confusion(
            results["human_confusion_matrix"],
            results["labels"],
            "single votes of human listeners, same clips",
            normalized=True,
            listener="people",
        )
    return pictures


def write_report(run: "Run", model: PreTrainedModel, results: dict, logits: np.ndarray) -> None:
    """Write the model folder and `RESULTS_DIR/RUN/`, each at once; the report comes last, so that it tells of the end.

    Args:
        run: The run.
        model: With its final weights.
        results: The content of `results.json`.
        logits: Of the test part, shape `(test_clips, num_labels)`.
    """
    pictures = draw(results, run.name)
    with atomic_folder(run.model_dir) as folder:
        model.save_pretrained(folder)
        run.extractor.save_pretrained(folder)
        (folder / REPORT).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(render_card(results), encoding="utf-8")
        for name, figure in pictures.items():
            figure.savefig(folder / name, dpi=110)
    with atomic_folder(run.results_dir) as folder:
        for name in (REPORT, *pictures):
            shutil.copy(run.model_dir / name, folder)
        write_predictions(run, logits, folder / "predictions.csv")


def write_predictions(run: "Run", logits: np.ndarray, path: Path) -> None:
    """The model's probability of every label for each test clip, beside its label, as CSV."""
    clips = run.parts["test"]
    names = clips.features["label"].names
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["clip", "label", *names])
        for clip, label, row in zip(clips["clip"], clips["label"], softmax(logits, axis=1), strict=True):
            writer.writerow([clip, names[label], *(f"{value:.4f}" for value in row)])


__all__ = ["write_report"]
