"""CREMA-D (Cao et al. 2014, doi:10.1109/TAFFC.2014.2336244) as a `datasets` builder.

A clip's name says everything: `ACTOR_SENTENCE_EMOTION_LEVEL`, for example `1001_IEO_ANG_HI`. The official tables
(`VideoDemographics.csv`, `processedResults/tabulatedVotes.csv`) add who the actor is and what listeners heard.
"""

import csv
import functools
import hashlib
import logging
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa

from ser.audio_ser import load_audio
from ser.corpora.download import TABLES
from ser.corpora.download import download_crema_d

logger = logging.getLogger(__name__)

SAMPLING_RATE = 16000  # Hz
EMOTIONS = ("anger", "disgust", "fear", "happy", "neutral", "sad")
EMOTION_OF_CODE = dict(zip(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"), EMOTIONS, strict=True))
SENTENCES = ("DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI")
ACTORS = tuple(str(number) for number in range(1001, 1092))
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")  # in order of preference, where a clip is there twice
MISSPELT = {"1040_ITH_SAD_X": "1040_ITH_SAD_XX"}
NEVER_RECORDED = {
    "1008_WSI": EMOTION_OF_CODE,
    "1009_MTI": EMOTION_OF_CODE,
    "1019_ITH": EMOTION_OF_CODE,
    "1002_TIE": ("NEU",),
    "1076_ITS": ("NEU",),
}
# The same bytes stand under two contradicting names; as the `tfds` split does, the other name is kept.
CONTRADICTORY = {
    "1006_TIE_NEU_XX": "1006_TIE_HAP_XX",
    "1013_WSI_DIS_XX": "1013_WSI_SAD_XX",
    "1017_IWW_FEA_XX": "1017_IWW_ANG_XX",
}
VOTES = tuple(f"votes_{emotion}" for emotion in EMOTIONS)
FEATURES = datasets.Features(
    {
        "audio": datasets.Audio(sampling_rate=SAMPLING_RATE, decode=False),
        "label": datasets.ClassLabel(names=list(EMOTIONS)),
        "clip": datasets.Value("string"),
        "actor": datasets.Value("string"),
        "sentence": datasets.Value("string"),
        "level": datasets.Value("string"),
        "duration": datasets.Value("float32"),  # seconds
        "age": datasets.Value("int32"),
        "sex": datasets.Value("string"),
        "race": datasets.Value("string"),
        "ethnicity": datasets.Value("string"),
        **{name: datasets.Value("int32") for name in VOTES},
        "problem": datasets.Value("string"),
    }
)


@functools.cache
def official_names() -> frozenset[str]:
    """The names of all 7,442 clips."""
    names = set()
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


def some(names: Iterable[str], shown: int = 3) -> str:
    """The first few of many names, for a message.

    Example:
        >>> some(["a", "b", "c", "d"])
        'a, b, c, ...'
    """
    names = sorted(names)
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")


def find_clips(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Official clips below `folder` by name, whatever their container, and the names of other audio files.

    Raises:
        ValueError: There is no folder, or no official clip in it.
    """
    if not folder.is_dir():
        raise ValueError(
            f"expected a folder with CREMA-D clips at {str(folder)!r}, but there is none; check --data_dir"
        )
    audio = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    audio.sort(key=lambda path: (SUFFIXES.index(path.suffix.lower()), path))
    clips, unknown = {}, []
    for path in audio:
        name = MISSPELT.get(path.stem, path.stem)
        if parse_name(name) is None:
            unknown.append(path.name)
        else:
            clips.setdefault(name, path)
    if not clips:
        raise ValueError(
            f"expected CREMA-D clips named like 1001_DFA_ANG_XX.wav below {str(folder)!r}; found {len(audio)} audio "
            f"files{f', none of them so named ({some(unknown)})' if audio else ''}; "
            "point --data_dir at AudioWAV or its parent"
        )
    return dict(sorted(clips.items())), unknown


def _find_table(folder: Path, table: str) -> Path | None:
    """An official table beside the clips: in their folder, below it, or beside it."""
    for root in (folder, folder.parent):
        for candidate in (root / table, root / Path(table).name):
            if candidate.is_file():
                return candidate
    return None


def read_actors(folder: Path) -> dict[str, dict]:
    """Age, sex, race and ethnicity by actor, empty where `VideoDemographics.csv` is not beside the clips."""
    path = _find_table(folder, TABLES["actors"])
    if path is None:
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {
            row["ActorID"]: {
                "age": int(row["Age"]),
                "sex": row["Sex"].lower(),
                "race": row["Race"],
                "ethnicity": row["Ethnicity"],
            }
            for row in csv.DictReader(file)
        }


def read_votes(folder: Path) -> dict[str, dict]:
    """Votes of listeners on the audio alone by clip, empty where `tabulatedVotes.csv` is not beside the clips."""
    path = _find_table(folder, TABLES["votes"])
    if path is None:
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {
            row["fileName"]: {name: int(row[code]) for name, code in zip(VOTES, "ADFHNS", strict=True)}
            for row in csv.DictReader(file)
            if row[""].startswith("1")  # 1xxxxx audio only, 2xxxxx video only, 3xxxxx both
        }


def inspect_clip(path: Path) -> tuple[float | None, str | None]:
    """Duration in seconds and what is wrong with a clip: None, "undecodable" or "silent"."""
    try:
        waveform = load_audio(path, sampling_rate=SAMPLING_RATE)
    except ValueError:
        return None, "undecodable"
    return len(waveform) / SAMPLING_RATE, None if np.abs(waveform).max() > 1e-4 else "silent"


@dataclass
class CremaDConfig(datasets.BuilderConfig):
    """Where the clips are.

    Args:
        folder: Holds the clips, at any depth.
        fingerprint: Set by the builder; changes when a file in the folder does, so that a cached table is never stale.
    """

    folder: str | None = None
    fingerprint: str | None = None


class CremaD(datasets.ArrowBasedBuilder):
    """Builds one table of all clips in a folder; the column `problem` says which of them are unfit for use.

    Args:
        folder: Holds the clips, at any depth.
        **kwargs: As `datasets.DatasetBuilder`.
    """

    BUILDER_CONFIG_CLASS = CremaDConfig
    VERSION = datasets.Version("1.0.0")

    def __init__(self, *, folder: str | Path, **kwargs):
        folder = Path(folder).expanduser().resolve()
        super().__init__(folder=str(folder), fingerprint=_fingerprint(folder), **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            features=FEATURES,
            homepage="https://github.com/CheyneyComputerScience/CREMA-D",
            license="ODbL 1.0 (database), DbCL 1.0 (contents)",
        )

    def _split_generators(self, dl_manager) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator(name="corpus", gen_kwargs={"folder": self.config.folder})]

    def _generate_tables(self, folder: str) -> Iterator[tuple[int, pa.Table]]:
        folder = Path(folder)
        (clips, _), actors, votes = find_clips(folder), read_actors(folder), read_votes(folder)
        with ThreadPoolExecutor() as pool:
            inspected = pool.map(inspect_clip, clips.values())
            for number, ((name, path), (duration, problem)) in enumerate(zip(clips.items(), inspected, strict=True)):
                parsed = parse_name(name)
                row = {
                    "audio": {"bytes": None, "path": str(path)},
                    "label": EMOTIONS.index(parsed["emotion"]),
                    "clip": name,
                    "actor": parsed["actor"],
                    "sentence": parsed["sentence"],
                    "level": parsed["level"],
                    "duration": duration,
                    **actors.get(parsed["actor"], {}),
                    **votes.get(name, {}),
                    "problem": problem or ("contradictory twin" if CONTRADICTORY.get(name) in clips else None),
                }
                yield number, pa.Table.from_pylist([row], schema=FEATURES.arrow_schema)


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
        One row a usable clip: audio (path, undecoded), label, clip, actor, sentence, level, duration in seconds, and
        age, sex, race, ethnicity and six vote counts, which are None without the official tables.

    Raises:
        ValueError: The folder is missing, or holds no official clip or none that decodes.
        ConnectionError: Some clips could not be downloaded.
    """
    folder = Path(data_dir).expanduser().resolve()
    if download:
        download_crema_d(folder, sorted(official_names()), **urls)
    _log_coverage(*find_clips(folder))
    builder = CremaD(folder=folder, cache_dir=None if cache_dir is None else str(cache_dir))
    builder.download_and_prepare()
    return _without_problems(builder.as_dataset(split="corpus"))


def _fingerprint(folder: Path) -> str:
    """Hash of the clips' and tables' paths, sizes and times of change."""
    tables = [path for table in TABLES.values() if (path := _find_table(folder, table))]
    digest = hashlib.sha256()
    for path in [*find_clips(folder)[0].values(), *tables]:
        status = path.stat()
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _log_coverage(clips: dict[str, Path], unknown: list[str]) -> None:
    if unknown:
        logger.warning("passed over %d audio files without an official name (%s)", len(unknown), some(unknown))
    official = official_names()
    missing = official - clips.keys()
    if missing:
        found = len(official) - len(missing)
        logger.warning(
            "partial corpus: %d of %d official clips found, %d missing (%s)",
            found,
            len(official),
            len(missing),
            some(missing),
        )


def _without_problems(clips: datasets.Dataset) -> datasets.Dataset:
    problems = clips["problem"][:]
    for problem in sorted(set(problems) - {None}):
        names = [name for name, found in zip(clips["clip"][:], problems, strict=True) if found == problem]
        logger.warning("left out %d clips: %s (%s)", len(names), problem, some(names))
    usable = [index for index, problem in enumerate(problems) if problem is None]
    if not usable:
        raise ValueError(f"expected clips that decode; none of the {len(clips)} clips found does; fetch them again")
    return clips.select(usable).remove_columns("problem")


__all__ = ["EMOTIONS", "CremaD", "load_crema_d", "official_names", "parse_name"]
