"""Splits that the data brings: those of a dataset, or folders called train and test."""

import json
from collections.abc import Iterable
from pathlib import Path

import datasets

from ser.corpora.labelled_audio import UNREADABLE
from ser.corpora.labelled_audio import roles_of
from ser.corpora.labelled_audio import saved_to_disk
from ser.corpora.labelled_audio import subfolders


def brings_splits(name: str, config: str | None) -> bool:
    """Whether a dataset or folder has train and test splits; False if it cannot be read."""
    try:
        return bool(roles_of(_split_names(name, config)))
    except UNREADABLE:  # loading it will say why
        return False


def _split_names(name: str, config: str | None) -> Iterable[str]:
    folder = Path(name)
    if not folder.is_dir():
        return datasets.get_dataset_split_names(name, config)
    if not saved_to_disk(folder):
        return subfolders(folder)
    saved = folder / "dataset_dict.json"
    return json.loads(saved.read_text(encoding="utf-8"))["splits"] if saved.is_file() else []


__all__ = ["brings_splits"]
