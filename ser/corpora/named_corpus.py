"""Corpora whose file names contain label, speaker and text."""

import re
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import datasets

from ser.corpora.crema_d import EMOTIONS
from ser.corpora.folder_corpus import COLUMNS
from ser.corpora.folder_corpus import FolderCorpus


class NamedCorpus(FolderCorpus):
    """One row per clip: label (of the six of CREMA-D, those that the corpus has), speaker, text.

    Each corpus is a subclass with the pattern of its names and the emotion for each label in them.
    """

    NAME: re.Pattern  # of a clip, case-insensitive; with the groups label, speaker and text
    EMOTION_OF: Mapping[str, str]  # by the label in the name, in lower case

    def __init_subclass__(cls) -> None:
        """The columns, with the corpus's labels in the order of CREMA-D."""
        labels = [emotion for emotion in EMOTIONS if emotion in cls.EMOTION_OF.values()]
        cls.FEATURES = datasets.Features(
            COLUMNS
            | {
                "label": datasets.ClassLabel(names=labels),
                "speaker": datasets.Value("string"),
                "text": datasets.Value("string"),
            }
        )

    @classmethod
    def is_official(cls, name: str) -> bool:
        """Whether the name fits the pattern."""
        return cls.NAME.fullmatch(name) is not None

    def describe(self, folder: Path) -> Iterator[dict]:
        """Rows from the names; a clip of any other emotion is marked as a problem."""
        labels = self.FEATURES["label"]
        for name in self.clips:
            row = cast(re.Match, self.NAME.fullmatch(name)).groupdict()  # only official names are among them
            emotion = self.EMOTION_OF.get(row["label"].lower())
            problem = None if emotion else f"labelled {row['label'].lower()}"
            yield row | {"label": emotion and labels.str2int(emotion), "problem": problem}


__all__ = ["NamedCorpus"]
