"""CREMA-D (Cao et al. 2014, doi:10.1109/TAFFC.2014.2336244) as a `datasets` builder.

Clips are named `ACTOR_SENTENCE_EMOTION_LEVEL`, for example `1001_IEO_ANG_HI`. The official tables
(`VideoDemographics.csv`, `processedResults/tabulatedVotes.csv`) describe the actors and the votes of listeners.
"""

import csv
import functools
import logging
from collections.abc import Iterable
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import datasets

from ser.audio_files import audio_files
from ser.corpora.crema_d_download import SIZE
from ser.corpora.crema_d_download import TABLES
from ser.corpora.crema_d_download import download_crema_d
from ser.corpora.crema_d_download import is_fetched
from ser.corpora.crema_d_download import was_interrupted
from ser.corpora.folder_corpus import COLUMNS
from ser.corpora.folder_corpus import Corpus
from ser.corpora.folder_corpus import FolderCorpus

logger = logging.getLogger(__name__)

EMOTIONS = ("anger", "disgust", "fear", "happy", "neutral", "sad")
EMOTION_OF_CODE = dict(zip(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"), EMOTIONS, strict=True))
SENTENCES = ("DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI")
ACTORS = tuple(str(number) for number in range(1001, 1092))
MISSPELT = {"1040_ITH_SAD_X": "1040_ITH_SAD_XX"}
NEVER_RECORDED = {
    "1008_WSI": EMOTION_OF_CODE,
    "1009_MTI": EMOTION_OF_CODE,
    "1019_ITH": EMOTION_OF_CODE,
    "1002_TIE": ("NEU",),
    "1076_ITS": ("NEU",),
}
# The same audio has two contradicting names; the other name is kept, as in the `tfds` split.
CONTRADICTORY = {
    "1006_TIE_NEU_XX": "1006_TIE_HAP_XX",
    "1013_WSI_DIS_XX": "1013_WSI_SAD_XX",
    "1017_IWW_FEA_XX": "1017_IWW_ANG_XX",
}
VOTES = tuple(f"votes_{emotion}" for emotion in EMOTIONS)


@functools.cache
def official_names() -> frozenset[str]:
    """The names of all 7,442 clips."""
    names: set[str] = set()
    for actor in ACTORS:
        for sentence in SENTENCES:
            for emotion in EMOTION_OF_CODE:
                levels = ("LO", "MD", "HI") if sentence == "IEO" and emotion != "NEU" else ("XX",)
                if emotion not in NEVER_RECORDED.get(f"{actor}_{sentence}", ()):
                    names.update(f"{actor}_{sentence}_{emotion}_{level}" for level in levels)
    return frozenset(names)


def parse_name(name: str) -> dict[str, str] | None:
    """Actor, sentence, emotion (our spelling) and level out of a clip's name, or None if the name is not official.

    Example:
        >>> parse_name("1001_IEO_ANG_HI")
        {'actor': '1001', 'sentence': 'IEO', 'emotion': 'anger', 'level': 'HI'}
    """
    if name not in official_names():
        return None
    actor, sentence, code, level = name.split("_")
    return {"actor": actor, "sentence": sentence, "emotion": EMOTION_OF_CODE[code], "level": level}


def _find_table(folder: Path, table: str) -> Path | None:
    """An official table beside the clips: in their folder, below it, or beside it."""
    for root in (folder, folder.parent):
        for candidate in (root / table, root / Path(table).name):
            if candidate.is_file():
                return candidate
    return None


def _rows(folder: Path, table: str) -> list[dict[str, str]]:
    """The rows of an official table; none if it is not beside the clips."""
    path = _find_table(folder, table)
    if path is None:
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_actors(folder: Path) -> dict[str, dict]:
    """Age, sex, race and ethnicity by actor, empty where `VideoDemographics.csv` is not beside the clips."""
    return {
        row["ActorID"]: {
            "age": int(row["Age"]) if row["Age"] else None,
            "sex": row["Sex"].lower(),
            "race": row["Race"],
            "ethnicity": row["Ethnicity"],
        }
        for row in _rows(folder, TABLES["actors"])
    }


def read_votes(folder: Path) -> dict[str, dict]:
    """Votes of listeners on the audio alone by clip, empty where `tabulatedVotes.csv` is not beside the clips."""
    return {
        row["fileName"]: {name: int(row[code]) for name, code in zip(VOTES, "ADFHNS", strict=True)}
        for row in _rows(folder, TABLES["votes"])
        if row[""].startswith("1")  # 1xxxxx audio only, 2xxxxx video only, 3xxxxx both
    }


class CremaD(FolderCorpus):
    """One row per clip: label, actor, sentence, level, and columns of the official tables (None without them)."""

    TITLE = "CREMA-D"
    EXAMPLE = "1001_DFA_ANG_XX.wav"
    CLIPS = 7442
    CARD = Corpus(
        speech="the acted English speech of CREMA-D",
        details="Twelve fixed sentences, spoken by actors; the silent clip and one of each pair of identical clips "
        "under contradicting names are left out.",
        limits="Acted emotions, English, twelve sentences, one recording room.\nOther microphones, languages, "
        "ages, spontaneous speech and mixed feelings are outside what it was trained on.",
        language="en",
        licence="database under ODbL 1.0, contents under DbCL 1.0.",
        licence_id="odbl",
        citation="""@article{cao2014crema,
  title={{CREMA-D}: Crowd-sourced Emotional Multimodal Actors Dataset},
  author={Cao, Houwei and Cooper, David G. and Keutmann, Michael K. and Gur, Ruben C. and Nenkova, Ani and
    Verma, Ragini},
  journal={IEEE Transactions on Affective Computing},
  volume={5}, number={4}, pages={377--390}, year={2014}, doi={10.1109/TAFFC.2014.2336244}
}""",
    )
    TO_FETCH = "; `python train.py` without --data_dir downloads CREMA-D into data/crema-d"
    FEATURES = datasets.Features(
        COLUMNS
        | {
            "label": datasets.ClassLabel(names=list(EMOTIONS)),
            "actor": datasets.Value("string"),
            "sentence": datasets.Value("string"),
            "level": datasets.Value("string"),
            "age": datasets.Value("int32"),
            "sex": datasets.Value("string"),
            "race": datasets.Value("string"),
            "ethnicity": datasets.Value("string"),
            **{name: datasets.Value("int32") for name in VOTES},
        }
    )

    @classmethod
    def is_official(cls, name: str) -> bool:
        """Whether the name is one of the 7,442."""
        return name in official_names()

    @classmethod
    def fetch(cls, folder: Path) -> None:
        """Download all clips and tables into a new folder, or the missing ones into that of an earlier download."""
        clips = (path for path in audio_files(folder) if is_fetched(path))
        if not was_interrupted(folder) and any(cls.is_official(cls.corrected(path.stem)) for path in clips):
            return
        logger.info("downloading CREMA-D (%s) into %s; if stopped, the same command goes on", SIZE, folder)
        download_crema_d(folder, sorted(official_names()))

    @classmethod
    def missing(cls, found: Iterable[str]) -> frozenset[str]:
        """Those of the 7,442 that were not found."""
        return official_names() - set(found)

    @classmethod
    def corrected(cls, name: str) -> str:
        """The correct name, which some copies misspell."""
        return MISSPELT.get(name, name)

    @classmethod
    def tables(cls, folder: Path) -> list[Path]:
        """The tables of actors and votes, if they are there."""
        return [path for table in TABLES.values() if (path := _find_table(folder, table))]

    def describe(self, folder: Path) -> Iterator[dict]:
        """Rows from names and tables; one of two contradicting duplicates is marked as a problem."""
        actors, votes = read_actors(folder), read_votes(folder)
        for name in self.clips:
            parsed = cast(dict[str, str], parse_name(name))  # only official names are among them
            yield {
                "label": EMOTIONS.index(parsed["emotion"]),
                "actor": parsed["actor"],
                "sentence": parsed["sentence"],
                "level": parsed["level"],
                **actors.get(parsed["actor"], {}),
                **votes.get(name, {}),
                "problem": "contradictory twin" if CONTRADICTORY.get(name) in self.clips else None,
            }


def load_crema_d(
    data_dir: str | Path,
    *,
    download: bool = False,
    cache_dir: str | Path | None = None,
    **urls: str,
) -> datasets.Dataset:
    """CREMA-D from a local folder, downloaded into it first if asked for.

    Args:
        data_dir: Folder with the clips (WAV, FLAC, OGG or MP3, at any depth) and, if there, the official tables.
        download: Whether to fetch what is missing from the official repository first.
        cache_dir: Where the built table is kept; the default is that of `datasets`.
        **urls: `audio_url` and `table_url`, to fetch from a mirror.

    Returns:
        One row per usable clip: audio (path, undecoded), label, clip, actor, sentence, level, duration in seconds, and
        age, sex, race, ethnicity and six vote counts, which are None without the official tables.

    Raises:
        ValueError: The folder is missing, or holds no official clip or none that decodes.
        ConnectionError: Some clips could not be downloaded.
    """
    if download:
        download_crema_d(Path(data_dir).expanduser(), sorted(official_names()), **urls)
    return CremaD.load(data_dir, cache_dir=cache_dir)


__all__ = [
    "CremaD",
    "EMOTIONS",
    "EMOTION_OF_CODE",
    "SENTENCES",
    "load_crema_d",
    "official_names",
    "parse_name",
]
