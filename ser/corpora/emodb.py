"""EmoDB, the Berlin Database of Emotional Speech (Burkhardt et al. 2005), as a `datasets` builder.

Clips are named `SSTTTEV` (speaker, text, emotion, version), for example `03a01Fa`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import datasets

from ser.corpora.folder_corpus import COLUMNS
from ser.corpora.folder_corpus import Corpus
from ser.corpora.folder_corpus import FolderCorpus

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
    """One row per clip: label, speaker, text, version, sex, age."""

    TITLE = "EmoDB"
    EXAMPLE = "03a01Fa.wav"
    CLIPS = 535
    CARD = Corpus(
        speech="the acted German speech of EmoDB",
        details="Ten fixed sentences, spoken by ten actors.",
        limits="Acted emotions of ten actors, German, ten sentences, one recording room.\nOther speakers, languages "
        "and spontaneous speech are outside what it was trained on.",
        language="de",
        licence="CC0 1.0 (some copies say CC BY 4.0).",
        licence_id="cc0-1.0",
        citation="""@inproceedings{burkhardt2005database,
  title={A database of {German} emotional speech},
  author={Burkhardt, Felix and Paeschke, Astrid and Rolfes, Miriam and Sendlmeier, Walter F. and Weiss, Benjamin},
  booktitle={Interspeech}, pages={1517--1520}, year={2005}, doi={10.21437/Interspeech.2005-446}
}""",
    )
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
        """Rows from the names."""
        for name in self.clips:
            row = cast(re.Match, NAME.fullmatch(name)).groupdict()  # only official names are among them
            row["label"] = EMOTIONS.index(EMOTION_OF_LETTER[row.pop("emotion")])
            row["sex"], row["age"] = SEX_AND_AGE[row["speaker"]]
            yield row


__all__ = ["EMOTIONS", "EmoDB"]
