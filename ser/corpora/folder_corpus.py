"""Base of the corpora whose clips are in a folder and are described by their names: find, check, tabulate, log."""

import hashlib
import logging
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.exceptions import DatasetGenerationError

from ser.audio_files import SUFFIXES
from ser.audio_files import audio_files
from ser.models.audio_ser import SHORTEST
from ser.models.audio_ser import load_audio
from ser.plural import counted

logger = logging.getLogger(__name__)


SAMPLING_RATE = 16000  # Hz, of every corpus here
NAMELESS = "unknown-"  # and a number: an unknown speaker among known ones
# Problems of clips that are counted together, by a fragment of their error message.
ALIKE = {"could not be decoded": "undecodable", "which is too short": f"shorter than {SHORTEST} s"}
SILENCE = 1e-4  # peak amplitude below which a clip is digital silence, lossy coding aside
COLUMNS = {
    "audio": datasets.Audio(sampling_rate=SAMPLING_RATE, decode=False),
    "clip": datasets.Value("string"),
    "duration": datasets.Value("float32"),  # seconds
    "problem": datasets.Value("string"),
}


def some(names: Iterable[str], shown: int = 3) -> str:
    """The first few of many names, for a message.

    Example:
        >>> some(["a", "b", "c", "d"])
        'a, b, c, ...'
    """
    names = sorted(names)
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")


def inspect_clip(source: str | Path | dict) -> tuple[float | None, str | None]:
    """Seconds of a path or a `datasets` audio cell, and its problem: None, "missing", "silent" or another."""
    try:
        waveform = load_audio(source, sampling_rate=SAMPLING_RATE)
    except FileNotFoundError:
        return None, "missing"
    except (ValueError, OSError) as error:
        return None, next((problem for words, problem in ALIKE.items() if words in str(error)), str(error))
    return len(waveform) / SAMPLING_RATE, None if np.abs(waveform).max() > SILENCE else "silent"


@dataclass
class FolderConfig(datasets.BuilderConfig):
    """Where the clips are.

    Args:
        folder: Holds the clips, at any depth.
        fingerprint: Set by the builder; changes with the files in the folder, so that a cached table is never stale.
    """

    folder: str | None = None
    fingerprint: str | None = None


class FolderCorpus(datasets.ArrowBasedBuilder):
    """Builds one table of all clips in a folder; the column `problem` says why a clip cannot be used.

    Each corpus is a subclass that parses the names of its clips and reads its tables.

    Args:
        folder: Holds the clips, at any depth.
        **kwargs: As `datasets.DatasetBuilder`.

    Raises:
        ValueError: There is no folder, or no clip of the corpus in it.
    """

    BUILDER_CONFIG_CLASS = FolderConfig
    VERSION = datasets.Version("1.0.0")
    TITLE: str  # for messages
    EXAMPLE: str  # the name of a clip, for messages
    CLIPS: int  # of the whole corpus
    CARD: "Corpus"
    TO_FETCH = ""  # how to get it, for messages
    FEATURES: datasets.Features

    def __init__(self, *, folder: str | Path, **kwargs: Any):
        folder = Path(folder).expanduser().resolve()
        self.clips, self.unknown = self.find_clips(folder)
        super().__init__(folder=str(folder), fingerprint=self._fingerprint(folder), **kwargs)

    @classmethod
    def is_official(cls, name: str) -> bool:
        """Whether a clip of the corpus has this name."""
        raise AttributeError(f"{cls.__name__} does not say what its clips are called")

    @classmethod
    def fetch(cls, folder: Path) -> None:
        """Download the corpus into a folder; does nothing for a corpus without a downloader."""

    @classmethod
    def missing(cls, found: Iterable[str]) -> frozenset[str]:
        """Names of the clips that were not found, if the corpus has a list of all clips."""
        return frozenset()

    @classmethod
    def corrected(cls, name: str) -> str:
        """The name, with a known misspelling corrected."""
        return name

    @classmethod
    def tables(cls, folder: Path) -> list[Path]:
        """Official tables found beside the clips."""
        return []

    def describe(self, folder: Path) -> Iterator[dict]:
        """One row for each of `self.clips`, in order, from its name and the tables."""
        raise AttributeError(f"{type(self).__name__} does not say what its clips are")

    @classmethod
    def find_clips(cls, folder: Path) -> tuple[dict[str, Path], list[str]]:
        """Clips of the corpus below `folder` by name, in any audio format, and the names of other audio files."""
        if not folder.is_dir():
            raise ValueError(
                f"expected a folder with {cls.TITLE} clips at {str(folder)!r}, but there is none; check --data_dir"
                f"{cls.TO_FETCH}"
            )
        audio = sorted(audio_files(folder), key=lambda path: SUFFIXES.index(path.suffix.lower()))
        clips: dict[str, Path] = {}
        unknown: list[str] = []
        for path in audio:
            name = cls.corrected(path.stem)
            if cls.is_official(name):
                clips.setdefault(name, path)
            else:
                unknown.append(path.name)
        if not clips:
            raise ValueError(
                f"expected {cls.TITLE} clips named like {cls.EXAMPLE} below {str(folder)!r}; found "
                f"{counted(len(audio), 'audio file')}{f', none with such a name ({some(unknown)})' if audio else ''}; "
                f"name the folder with the clips or its parent{cls.TO_FETCH}"
            )
        return dict(sorted(clips.items())), unknown

    @classmethod
    def load(cls, folder: str | Path, *, cache_dir: str | Path | None = None) -> datasets.Dataset:
        """The usable clips; the others are logged, with the first few names."""
        return without_problems(cls.table(folder, cache_dir=cache_dir))

    @classmethod
    def table(cls, folder: str | Path, *, cache_dir: str | Path | None = None) -> datasets.Dataset:
        """All clips, with their problems; what is missing or unknown is logged once, with the first few names."""
        builder = cls(folder=folder, cache_dir=None if cache_dir is None else str(cache_dir))
        if builder.unknown:
            files = counted(len(builder.unknown), "audio file")
            logger.warning("skipped %s without an official name (%s)", files, some(builder.unknown))
        if len(builder.clips) < cls.CLIPS:
            missing = cls.missing(builder.clips)
            names = f", missing are {some(missing)}" if missing else ""
            logger.warning("partial corpus: %d of %d official clips found%s", len(builder.clips), cls.CLIPS, names)
        try:
            builder.download_and_prepare()
        except DatasetGenerationError as error:
            raise ValueError(f"the tables beside the {cls.TITLE} clips cannot be read: {error.__cause__}") from error
        return builder.as_dataset(split="corpus")

    def _fingerprint(self, folder: Path) -> str:
        """Hash of the clips' and tables' paths, sizes and times of change."""
        digest = hashlib.sha256()
        for path in [*self.clips.values(), *self.tables(folder)]:
            status = path.stat()
            digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=self.FEATURES)

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator(name="corpus", gen_kwargs={"folder": self.config.folder})]

    def _generate_tables(self, folder: str) -> Iterator[tuple[int, pa.Table]]:
        with ThreadPoolExecutor() as pool:
            inspected = pool.map(inspect_clip, self.clips.values())
            clips = zip(self.clips.items(), inspected, self.describe(Path(folder)), strict=True)
            for number, ((name, path), (duration, problem), row) in enumerate(clips):
                row |= {"audio": {"bytes": None, "path": str(path)}, "clip": name, "duration": duration}
                row["problem"] = problem or row.get("problem")
                yield number, pa.Table.from_pylist([row], schema=self.FEATURES.arrow_schema)


def without_problems(clips: datasets.Dataset) -> datasets.Dataset:
    """The clips whose `problem` is None; the others are logged.

    Raises:
        ValueError: There are none.
    """
    problems = clips["problem"][:]
    for problem in sorted(set(problems) - {None}):
        names = [name for name, found in zip(clips["clip"][:], problems, strict=True) if found == problem]
        logger.warning("left out %s: %s (%s)", counted(len(names), "clip"), problem, some(names))
    usable = [index for index, problem in enumerate(problems) if problem is None]
    if not usable:
        raise ValueError(
            f"found no usable clip among {counted(len(clips), 'clip')} (the first, {clips['clip'][0]}: {problems[0]}); "
            "check the files, or fetch them again"
        )
    return clips.select(usable).remove_columns("problem")


@dataclass(frozen=True)
class Corpus:
    """Texts about a corpus for model cards and dataset cards.

    Args:
        speech: Completes "trained from scratch on".
        details: Completes the description of the training data.
        limits: Completes the limitations.
        language: Code of its language, or of several.
        licence: Of the data.
        licence_id: The same, as the Hub names it.
        citation: BibTeX.
    """

    speech: str
    details: str = ""
    limits: str = "Other speakers, microphones and languages are outside what it was trained on."
    language: str | list[str] | None = None
    licence: str = "see the dataset's own page."
    licence_id: str | None = None
    citation: str = ""


__all__ = [
    "COLUMNS",
    "Corpus",
    "FolderCorpus",
    "NAMELESS",
    "inspect_clip",
    "some",
    "without_problems",
]
