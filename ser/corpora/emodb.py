"""EmoDB, the Berlin Database of Emotional Speech (Burkhardt et al. 2005), as a `datasets` builder.

A clip's name says everything: `SSTTTEV`, speaker, text, emotion, version, for example `03a01Fa`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import datasets

from ser.corpora.folder import COLUMNS
from ser.corpora.folder import FolderCorpus

EMOTIONS = ("anger", "boredom", "disgust", "fear", "happiness", "sadness", "neutral")
EMOTION_OF_LETTER = dict(zip("WLEAFTN", EMOTIONS, strict=True))
SEX_AND_AGE = {
    "03": ("male", 31),
    "08": ("female", 34),
    "09": ("female", 21),
    "10": ("male", 32),
    "11": ("male", 26),
    "12": ("male", 30),
    "13": ("female", 32),
    "14": ("female", 35),
    "15": ("male", 25),
    "16": ("female", 31),
}
NAME = re.compile(r"(?P<speaker>\d\d)(?P<text>[ab]\d\d)(?P<emotion>[WLEAFTN])(?P<version>[a-g])")


class EmoDB(FolderCorpus):
    """One row a clip: label, speaker, text, version, sex, age."""

    TITLE = "EmoDB"
    EXAMPLE = "03a01Fa.wav"
    CLIPS = 535
    FEATURES = datasets.Features(
        COLUMNS
        | {
            "label": datasets.ClassLabel(names=list(EMOTIONS)),
            "speaker": datasets.Value("string"),
            "text": datasets.Value("string"),
            "version": datasets.Value("string"),
            "sex": datasets.Value("string"),
            "age": datasets.Value("int32"),
        }
    )

    @classmethod
    def is_official(cls, name: str) -> bool:
        """Whether the name is of the form `SSTTTEV` with a speaker of the corpus."""
        match = NAME.fullmatch(name)
        return match is not None and match["speaker"] in SEX_AND_AGE

    def describe(self, folder: Path) -> Iterator[dict]:
        """What the names tell."""
        for name in self.clips:
            row = cast(re.Match, NAME.fullmatch(name)).groupdict()  # only official names are among them
            row["label"] = EMOTIONS.index(EMOTION_OF_LETTER[row.pop("emotion")])
            row["sex"], row["age"] = SEX_AND_AGE[row["speaker"]]
            yield row


__all__ = ["EMOTIONS", "EmoDB"]
