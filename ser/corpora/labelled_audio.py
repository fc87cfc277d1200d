"""Clips with labels from the Hub or from disk, in the columns that the rest of the library reads."""

import csv
import hashlib
import logging
import os
import unicodedata
from collections import Counter
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets.exceptions import DatasetsError

from ser.audio_files import audio_files
from ser.corpora.audio_column import undecoded
from ser.corpora.audio_column import without_torchcodec
from ser.corpora.crema_d import EMOTION_OF_CODE
from ser.corpora.crema_d import EMOTIONS
from ser.corpora.crema_d import CremaD
from ser.corpora.crema_d import parse_name
from ser.corpora.emodb import EmoDB
from ser.corpora.folder_corpus import NAMELESS
from ser.corpora.folder_corpus import inspect_clip
from ser.corpora.folder_corpus import some
from ser.corpora.folder_corpus import without_problems
from ser.plural import counted

logger = logging.getLogger(__name__)

# How copies of CREMA-D spell its labels.
SPELLINGS = (
    dict(zip(EMOTIONS, EMOTIONS, strict=True))
    | {code.lower(): emotion for code, emotion in EMOTION_OF_CODE.items()}
    | {"angry": "anger", "disgusted": "disgust", "fearful": "fear", "happiness": "happy", "sadness": "sad"}
)
SPEAKERS = ("actor", "speaker", "speaker_id")  # columns, in any case
# What `datasets` raises on data that cannot be read.
UNREADABLE = (OSError, ValueError, ImportError, RuntimeError, pa.ArrowException, DatasetsError)
FILES = ("file", "file_name", "path")  # of metadata.csv
# Names of splits that a dataset or folder brings.
ROLES = dict.fromkeys(("train", "training"), "train") | dict.fromkeys(("test", "testing"), "test")
ROLES |= dict.fromkeys(("dev", "development", "val", "valid", "validation"), "dev")
# Columns of the known corpora; a dataset with such a column of the same type keeps it.
KNOWN = {
    name: feature
    for name, feature in (EmoDB.FEATURES | CremaD.FEATURES).items()
    if name not in ("audio", "label", *SPEAKERS)
}


def load_labelled_audio(
    name: str,
    *,
    config: str | None = None,
    audio_column: str = "audio",
    label_column: str = "label",
    cache_dir: str | None = None,
) -> datasets.Dataset:
    """All splits of a dataset as one, in the columns audio (undecoded), label, clip, duration and, if known, speaker.

    If the data is divided into train and test (or dev) splits or folders, the column split has the split of each clip.

    Labels keep the names and the order of the data (sorted, if they are plain text), unless they are spellings of the
    six of CREMA-D, which get their usual names and order. If all files have official CREMA-D names, actor, sentence and
    level are read from them. Rows without audio or label, and clips that are missing, silent, undecodable or duplicate,
    are left out and counted.

    Args:
        name: Id on the Hub, a folder written by `save_to_disk`, a folder with metadata.csv (columns file, label and,
            if known, speaker), or a folder with a subfolder of clips for each label.
        config: Configuration of a dataset that has several.
        audio_column: Column with audio, in a dataset.
        label_column: Column with labels, as strings or `ClassLabel`.
        cache_dir: Where `datasets` keeps what it downloads, and tables of folders and their features.

    Raises:
        ValueError: A column is missing (the message lists the columns), a metadata.csv names a file outside of the
            folder, or no clip can be used.
    """
    clips = _load(name, config, label_column, cache_dir)
    for option, column in (("audio_column", audio_column), ("label_column", label_column)):
        if column not in clips.column_names:
            raise ValueError(f"{name} has no column {column!r}; set --{option} to one of {clips.column_names}")
    clips = undecoded(clips, audio_column)
    given, names = _labels(clips, label_column)
    complete = [i for i, audio in enumerate(clips[audio_column]) if audio is not None and given[i] is not None]
    if len(complete) < len(clips):
        without = sorted({*range(len(clips))} - {*complete})
        logger.warning(
            "left out %s without audio or label (row %d first): fill them in, or remove them",
            *(counted(len(without), "row"), without[0] + 1),
        )
    clips, labels = clips.select(complete), [label for i in complete if (label := given[i]) is not None]
    stems = _stems(clips, audio_column)
    parsed = [parse_name(stem) for stem in stems]
    official = bool(stems) and all(parsed)
    labels, names = _usual_spelling(labels, names, official=official)
    if len(names) < 2:
        raise ValueError(f"expected clips of at least two labels in {name}; got {names}; add clips of another label")
    logger.info("labels: %s", ", ".join(names))
    columns = _metadata(clips, stems)
    if "split" in clips.column_names and (roles := roles_of({*clips["split"]})):
        columns["split"] = [roles[split] for split in clips["split"]]
    if official:
        columns |= {key: [row[key] for row in parsed if row] for key in ("actor", "sentence", "level")}
        columns["clip"] = stems
        columns.pop("speaker", None)
    columns["label"] = [names.index(label) for label in labels]
    if "problem" not in columns or "duration" not in columns:
        columns["duration"], columns["problem"] = zip(*_inspect(clips, audio_column), strict=True)
    columns["problem"] = _without_copies(columns["problem"], labels, clips.select_columns(audio_column))
    features = {column: KNOWN.get(column, datasets.Value("string")) for column in columns}
    features["label"] = datasets.ClassLabel(names=names)
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    audio = clips.select_columns(audio_column)
    if audio_column != "audio":
        audio = audio.rename_column(audio_column, "audio")
    usable = without_problems(datasets.concatenate_datasets([audio, table], axis=1))
    _refuse_vanished([names[number] for number in {*columns["label"]} - {*usable["label"]}])
    return usable


def _refuse_vanished(labels: list[str]) -> None:
    """Refuse labels without a usable clip, which would be silently missing from the model."""
    if labels:
        raise ValueError(
            f"no clip of {some(labels)} can be used; see the warnings above for the reasons: convert the clips to WAV, "
            "or remove the label"
        )


def saved_to_disk(folder: str | Path) -> bool:
    """Whether `save_to_disk` of `datasets` wrote this folder."""
    return any((Path(folder) / marker).exists() for marker in ("dataset_info.json", "dataset_dict.json"))


def read_dataset(name: str, config: str | None, **options: Any) -> Any:
    """Read a dataset with `load_from_disk` or `load_dataset`.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        if saved_to_disk(name):
            return datasets.load_from_disk(name)
        with without_torchcodec():
            return datasets.load_dataset(name, config, **options)
    except UNREADABLE as error:
        reason = str(error.__cause__ or error)  # RuntimeError: a loading script
        several = "Config name is missing" in reason
        hint = "; name one with --dataset_config" if several else ""
        raise ValueError(
            f"dataset {name!r} cannot be read: {reason.partition('Example of usage')[0].strip()}{hint}"
        ) from error


def _load(name: str, config: str | None, label_column: str, cache_dir: str | None) -> datasets.Dataset:
    """All splits as one, with a column split if there are several."""
    folder = Path(name)
    if folder.is_dir() and not saved_to_disk(folder):
        tables = sorted(path for path in folder.rglob("metadata.*") if path.is_file())
        unread = [path.name for path in tables if path.suffix != ".csv"]
        if unread:
            raise ValueError(f"{unread[0]} in {name!r} is not read; write metadata.csv (columns file, label, speaker)")
        rows = [row for path in tables for row in read_metadata(path, label_column)]
        _refuse_outside(rows, folder)
        if tables:
            _name_unlisted(rows, folder)
        rows = _once(rows, label_column) if tables else _read_subfolders(folder, label_column)
        if roles_of(subfolders(folder)):
            rows = [row | {"split": _first_folder(row["audio"], folder)} for row in rows]
        return _on_disk(rows, cache_dir)
    loaded = read_dataset(name, config, cache_dir=cache_dir)
    if not isinstance(loaded, dict):
        return loaded
    if len(loaded) > 1 and not roles_of(loaded):
        logger.warning("the splits %s are joined and split again", ", ".join(loaded))
    marked = [
        clips.remove_columns([*{"split"} & {*clips.column_names}]).add_column("split", [name] * len(clips))
        for name, clips in loaded.items()
    ]
    return datasets.concatenate_datasets(marked)


def roles_of(splits: Iterable[str]) -> dict[str, str]:
    """Whether each split is train, dev or test; empty unless all names are known and train is not alone.

    Example:
        >>> roles_of(["train", "validation"]), roles_of(["train", "extra"])
        ({'train': 'train', 'validation': 'test'}, {})
    """
    roles = {name: ROLES.get(str(name).strip().lower(), "") for name in splits}
    found = {*roles.values()}
    if len(roles) != len(found) or not {"train"} < found <= {"train", "dev", "test"}:
        return {}
    return roles if "test" in found else {name: role.replace("dev", "test") for name, role in roles.items()}


def subfolders(folder: Path) -> set[str]:
    """Names of the folders in a folder, without hidden ones."""
    return {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}


def _first_folder(path: str | None, folder: Path) -> str | None:
    return os.path.relpath(path, folder).split(os.sep)[0] if path else None


def _on_disk(rows: list[dict], cache_dir: str | None) -> datasets.Dataset:
    """Rows of strings as a table in the cache, beside which features are cached; a new one if a clip has changed."""
    columns = dict.fromkeys(name for row in rows for name in row)
    rows = [{name: row.get(name) for name in columns} for row in rows]
    clips = [Path(row["audio"]) for row in rows if row["audio"] and os.path.isfile(row["audio"])]
    facts = rows, [(stat.st_size, stat.st_mtime_ns) for stat in map(Path.stat, clips)]
    return datasets.Dataset.from_generator(
        lambda: rows,
        features=datasets.Features(dict.fromkeys(columns, datasets.Value("string"))),
        cache_dir=cache_dir,
        fingerprint=hashlib.sha256(repr(facts).encode()).hexdigest()[:16],
    )


def _read_subfolders(folder: Path, label_column: str) -> list[dict]:
    """A row for each clip, labelled by the name of its folder, which may be in a folder for each split."""
    paths = audio_files(folder)
    if not paths:
        raise ValueError(
            f"expected audio files in subfolders of {str(folder)!r} named after their labels, or a metadata.csv with "
            "the columns file and label; found none"
        )
    depth = 3 if roles_of(subfolders(folder)) else 2
    misplaced = [path for path in (path.relative_to(folder) for path in paths) if len(path.parts) != depth]
    if misplaced:  # deeper, either of two folders could be the label, and the other one the speaker
        raise ValueError(
            f"expected every clip in a subfolder named after its label, and no deeper; {str(misplaced[0])!r} is not: "
            "move it, or write a metadata.csv with the columns file, label and, if known, speaker"
        )
    parents = [folder / split for split in subfolders(folder)] if depth == 3 else [folder]
    if without := {name for parent in parents for name in subfolders(parent)} - {path.parent.name for path in paths}:
        logger.warning("skipped folders without audio files: %s", some(without))
    return [{"audio": str(path), label_column: path.parent.name} for path in paths]


def read_metadata(path: Path, label_column: str | None) -> list[dict]:
    """Rows of a `metadata.csv`: the path of the audio, the label and, if there is a column for it, the speaker.

    Without `label_column`, only the speaker is read, and is required.

    Raises:
        ValueError: It cannot be read, or lacks a column.
    """
    needed = f"file, {label_column} and, if known, speaker" if label_column else "file and speaker"
    expected = f"expected the comma-separated columns {needed} in {str(path)!r}"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = [{k.strip(): (v or "").strip() for k, v in row.items() if k} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{expected}; it cannot be read ({error}): save it as CSV in UTF-8") from error
    columns = list(rows[0]) if rows else []
    file_column = next((name for name in FILES if name in columns), None)
    speakers = speaker_columns(columns)
    if file_column is None or not (label_column in columns if label_column else speakers):
        raise ValueError(f"{expected}; got {columns}")
    for name in (row[file_column] for row in rows if "\\" in row[file_column]):
        if not os.path.isfile(path.parent / name):
            raise ValueError(f"{str(path)!r} names {name!r}, which is not there; write / between folders, not \\")
    kept = [name for name in (label_column, *speakers) if name]
    return [
        {"audio": str(path.parent / row[file_column]) if row[file_column] else None}
        | {name if name == label_column else name.lower(): row[name] or None for name in kept}
        for row in rows
    ]


def _refuse_outside(rows: list[dict], folder: Path) -> None:
    """Refuse files outside of the folder: its table came with the clips, and must not open anything else.

    A link counts as a file of its folder: unlike a name in a table, it was made on this machine.
    """
    root = os.path.abspath(folder)
    for name in filter(None, (row["audio"] for row in rows)):
        if os.path.commonpath([root, os.path.abspath(name)]) != root:
            raise ValueError(
                f"expected clips inside {str(folder)!r}; its metadata.csv names {name!r}; copy the clip into the folder"
            )


def _name_unlisted(rows: list[dict], folder: Path) -> None:
    """Warn of clips in a folder that its tables do not list."""
    named = {os.path.abspath(row["audio"]) for row in rows if row["audio"]}
    if unlisted := [path.name for path in audio_files(folder) if os.path.abspath(path) not in named]:
        clips = counted(len(unlisted), "clip")
        logger.warning("left out %s that metadata.csv does not name (%s)", clips, some(unlisted))


def _once(rows: list[dict], label_column: str) -> list[dict]:
    """The rows without duplicates; the same clip under two labels is refused."""
    unique = [dict(items) for items in dict.fromkeys(tuple(row.items()) for row in rows)]
    if len(unique) < len(rows):
        logger.warning("left out %s", counted(len(rows) - len(unique), "repeated row"))
    clips = Counter(row["audio"] for row in unique if row["audio"] and row[label_column])
    if clips and clips.most_common(1)[0][1] > 1:
        raise ValueError(f"{clips.most_common(1)[0][0]!r} has two labels or speakers; keep one of its rows")
    return unique


def _inspect(clips: datasets.Dataset, audio_column: str) -> Iterator[tuple[float | None, str | None]]:
    """`inspect_clip` of all clips, some of them in memory at a time."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(clips), 256):
            yield from pool.map(inspect_clip, clips[start : start + 256][audio_column])


def _without_copies(problems: Sequence[str | None], labels: Sequence[str], audio: datasets.Dataset) -> list[str | None]:
    """Problems of clips, including duplicates, which could otherwise end up on both sides of a split."""
    found, places = list(problems), defaultdict(list)
    for index, row in enumerate(audio):
        cell = next(iter(row.values()))
        if problems[index] is None and (content := cell["bytes"] or Path(cell["path"]).read_bytes()):
            places[hashlib.sha256(content).digest()].append(index)
    for first, *others in places.values():
        if len({labels[index] for index in (first, *others)}) > 1:
            found[first] = "the same file has two labels"
        for index in others:
            found[index] = found[first] or "copy of another clip"
    return found


def _stems(clips: datasets.Dataset, audio_column: str) -> list[str]:
    """Names of the clips, from the column `clip` or from their files."""
    if clips.features.get("clip") == KNOWN["clip"]:
        return clips["clip"][:]
    return [CremaD.corrected(Path(audio["path"] or "").stem) for audio in clips[audio_column]]


def _labels(clips: datasets.Dataset, column: str) -> tuple[list[str | None], list[str]]:
    """The label of each row, and all labels in order."""
    feature, values = clips.features[column], clips[column][:]
    if isinstance(feature, datasets.ClassLabel):
        names = _tidy(feature.names, "labels")
        labels = [None if value is None or value < 0 else names[value] for value in values]
        return labels, list(dict.fromkeys(filter(None, names)))
    if not isinstance(feature, datasets.Value) or feature.dtype.startswith(("float", "double")):
        raise ValueError(
            f"expected one label per clip in column {column!r}, as text or integer; got {_kind(feature)}: models here "
            "choose one of several labels, and learn neither several labels at once nor numbers on a scale"
        )
    labels = _tidy(values, "labels")
    return labels, sorted({*filter(None, labels)})


def _kind(feature: Any) -> str:
    return f"{feature.dtype} numbers" if isinstance(feature, datasets.Value) else "several values per clip"


def _tidy(values: Sequence, what: str) -> list[str | None]:
    """Labels or speakers as text without surrounding spaces; None for empty ones.

    Raises:
        ValueError: Two differ only in upper and lower case, and are not known spellings of one label.
    """
    texts = [None if value is None else unicodedata.normalize("NFC", " ".join(str(value).split())) for value in values]
    variants: dict[str, set[str]] = defaultdict(set)
    for text in filter(None, texts):
        variants[text.casefold()].add(text)
    for folded, spelt in variants.items():
        if len(spelt) > 1 and (what, folded in SPELLINGS) != ("labels", True):
            raise ValueError(
                f"the {what} {some(map(repr, spelt))} differ only in upper and lower case; spell them the same way"
            )
    return [text or None for text in texts]


def speaker_columns(columns: Sequence[str]) -> list[str]:
    """The columns with speakers, the most reliable one first."""
    return [column for name in SPEAKERS for column in columns if column.strip().lower() == name]


def _usual_spelling(labels: list[str], names: list[str], *, official: bool) -> tuple[list[str], list[str]]:
    """The emotions of CREMA-D in its spelling and order: all of them for its own clips, else those present."""
    if {label.lower() for label in names} <= SPELLINGS.keys():
        usual = {SPELLINGS[label.lower()] for label in names}
        order = [label for label in EMOTIONS if official or label in usual]
        return [SPELLINGS[label.lower()] for label in labels], order
    return labels, names


def _metadata(clips: datasets.Dataset, stems: list[str]) -> dict:
    """What is known of each clip besides its label: its name, its speaker, and the columns of the known corpora."""
    columns = {name: clips[name][:] for name in clips.column_names if clips.features[name] == KNOWN.get(name)}
    counts = Counter(stems)
    columns["clip"] = [
        stem if stem and counts[stem] == 1 else f"{stem}-{number}".lstrip("-") for number, stem in enumerate(stems)
    ]
    for name in speaker_columns(clips.column_names)[:1]:
        speakers = _tidy(clips[name], "speakers")
        unknown = speakers.count(None)
        if 0 < unknown < len(speakers):
            logger.warning("%s without a speaker: each counts as a speaker of its own", counted(unknown, "clip"))
        if unknown < len(speakers):
            columns["speaker"] = [s or f"{NAMELESS}{number}" for number, s in enumerate(speakers)]
    return columns


__all__ = [
    "SPEAKERS",
    "SPELLINGS",
    "UNREADABLE",
    "load_labelled_audio",
    "read_dataset",
    "read_metadata",
    "roles_of",
    "saved_to_disk",
    "speaker_columns",
    "subfolders",
]
