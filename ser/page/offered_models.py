"""The models that the page offers: found, put in order and, when the page starts, loaded."""

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple
from typing import TypeAlias

import numpy as np
from huggingface_hub import snapshot_download

from ser.files import BUNDLED
from ser.files import PROJECT
from ser.inference.loading import check_own
from ser.inference.loading import load_trained
from ser.models.pipeline_ser import SERPipeline
from ser.reporting.report_file import REPORT
from ser.reporting.report_file import Report
from ser.reporting.report_file import bundled_models
from ser.reporting.report_file import load_report
from ser.reporting.report_file import means_when_changed
from ser.reporting.report_file import measured

Voices: TypeAlias = dict[str, list[float]]  # mean log-probabilities of an ordinary voice, by model
WANTED = "SER_MODELS"  # environment variable: folders or Hub ids, separated by commas, instead of the bundled models


class OfferedModel(NamedTuple):
    """A model of the page: its pipeline, the report of its training, and its folder with further scores.

    `voice` is the visitor's ordinary voice, to which answers are relative: its mean log-probabilities, `(num_labels,)`.
    """

    classifier: SERPipeline
    report: Report
    folder: Path
    voice: np.ndarray | None = None


@cache
def load() -> dict[str, OfferedModel]:
    """The models by name, best first; they are loaded by the first call.

    Raises:
        ValueError: There is none, or one cannot be fetched or is damaged.
    """
    return {name: load_model(folder) for name, folder in find_models().items()}


def load_model(folder: Path) -> OfferedModel:
    """A model folder with its report; on the CPU, as cuDNN has no gradients of an LSTM in evaluation mode.

    Raises:
        ValueError: It is not a model of this project, or it is damaged.
    """
    report = load_report(folder)
    model, extractor = load_trained(str(folder))
    check_own(model, extractor, str(folder))
    return OfferedModel(SERPipeline(model=model, feature_extractor=extractor, device="cpu"), report, folder)


def find_models() -> dict[str, Path]:
    """Folders of the models by name, best first: those in `SER_MODELS`, or the bundled ones.

    Raises:
        ValueError: There is none, or one cannot be fetched.
    """
    if names := [name.strip() for name in os.environ.get(WANTED, "").split(",") if name.strip()]:
        folders = {name: fetch_model(name) for name in names}
    else:
        folders = {folder.name: folder for folder in bundled_models(PROJECT)}
    if not folders:
        raise ValueError(f"there is no model in checkpoints: clone the whole project, or name models in {WANTED}")
    return best_first(folders)


def fetch_model(name: str) -> Path:
    """The folder of a model, which is downloaded if it is on the Hub and not in the cache.

    Raises:
        ValueError: It cannot be fetched, or has no report.
    """
    try:
        folder = Path(name) if Path(name).is_dir() else Path(snapshot_download(name))
    except (ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{WANTED} names {name!r}, which cannot be fetched: {reason}") from error
    if not (folder / REPORT).is_file():
        raise ValueError(f"{WANTED} names {name!r}, which has no {REPORT}: name models that train.py pushed")
    return folder


def best_first(folders: dict[str, Path]) -> dict[str, Path]:
    """The default model, then by mean accuracy on changed clips; models without that last, by test accuracy."""
    changed = means_when_changed({name: measured(folder, "conditions") for name, folder in folders.items()})

    def place(name: str) -> tuple[bool, bool, float]:
        mean = changed[name]
        accuracy = load_report(folders[name])["accuracy"] if mean is None else mean
        return name != BUNDLED.name, mean is None, -accuracy

    return {name: folders[name] for name in sorted(folders, key=place)}


def chosen(name: str, voices: Voices | None = None) -> OfferedModel:
    """A model of the page, with the visitor's ordinary voice if it is known."""
    voice = (voices or {}).get(name)
    return load()[name]._replace(voice=None if voice is None else np.array(voice))


def rate_of(model: OfferedModel) -> int:
    """Sampling rate in Hz of the features of a model."""
    return model.classifier.feature_extractor.sampling_rate


__all__ = ["OfferedModel", "Voices", "best_first", "chosen", "fetch_model", "find_models", "load", "rate_of"]
