"""Any clips with labels, from the Hub or from disk, in the form the rest of the library reads."""

import csv
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import datasets

from ser.corpora.crema_d import EMOTION_OF_CODE
from ser.corpora.crema_d import EMOTIONS
from ser.corpora.crema_d import CremaD
from ser.corpora.crema_d import parse_name
from ser.corpora.emodb import EmoDB
from ser.corpora.folder import audio_files
from ser.corpora.folder import inspect_clip
from ser.corpora.folder import without_problems

logger = logging.getLogger(__name__)

# How copies of CREMA-D spell its labels.
SPELLINGS = (
    dict(zip(EMOTIONS, EMOTIONS, strict=True))
    | {code.lower(): emotion for code, emotion in EMOTION_OF_CODE.items()}
    | {"angry": "anger", "disgusted": "disgust", "fearful": "fear", "happiness": "happy", "sadness": "sad"}
)
SPEAKERS = ("actor", "speaker", "speaker_id")
FILES = ("file", "file_name", "path")  # of metadata.csv
# What the corpora tell of their clips; a dataset that has such a column, of the same type, keeps it.
KNOWN = {
    name: feature
    for name, feature in (EmoDB.FEATURES | CremaD.FEATURES).items()
    if name not in ("audio", "label", *SPEAKERS)
}


def load_labelled_audio(
    name: str, *, audio_column: str = "audio", label_column: str = "label", cache_dir: str | None = None
) -> datasets.Dataset:
    """All splits of a dataset as one, in the columns audio (undecoded), label, clip, duration and, if known, speaker.

    Labels keep the names and the order that the data gives them (sorted, where they are plain text), unless they are
    spellings of the six of CREMA-D, which then get their usual names and order. Where all files have official CREMA-D
    names, actor, sentence and level are read from them. Rows without audio or label, and clips that are missing, silent
    or do not decode, are left out and counted.

    Args:
        name: Id on the Hub, a folder written by `save_to_disk`, a folder with metadata.csv (columns file, label and,
            if known, speaker), or a folder with a subfolder of clips for each label.
        audio_column: Column with audio, in a dataset.
        label_column: Column with labels, as strings or `ClassLabel`.
        cache_dir: Where `datasets` keeps what it downloads.

    Raises:
        ValueError: A column is missing (the message lists those there are), or no clip can be used.
    """
    clips = _load(name, label_column, cache_dir)
    for option, column in (("audio_column", audio_column), ("label_column", label_column)):
        if column not in clips.column_names:
            raise ValueError(f"{name} has no column {column!r}; set --{option} to one of {clips.column_names}")
    clips = clips.cast_column(audio_column, datasets.Audio(decode=False))
    labels, names = _labels(clips, label_column)
    complete = [i for i, audio in enumerate(clips[audio_column]) if audio is not None and labels[i] is not None]
    if len(complete) < len(clips):
        logger.warning("left out %d rows without audio or label", len(clips) - len(complete))
    clips, labels = clips.select(complete), [labels[i] for i in complete]
    columns = _metadata(clips, audio_column)
    columns["label"] = [names.index(label) for label in labels]
    if "problem" not in columns or "duration" not in columns:
        with ThreadPoolExecutor() as pool:
            columns["duration"], columns["problem"] = zip(*pool.map(inspect_clip, clips[audio_column]), strict=True)
    features = {column: KNOWN.get(column, datasets.Value("string")) for column in columns}
    features["label"] = datasets.ClassLabel(names=names)
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    audio = clips.select_columns(audio_column)
    if audio_column != "audio":
        audio = audio.rename_column(audio_column, "audio")
    return without_problems(datasets.concatenate_datasets([audio, table], axis=1))


def saved_to_disk(folder: str | Path) -> bool:
    """Whether `save_to_disk` of `datasets` wrote this folder."""
    return any((Path(folder) / marker).exists() for marker in ("dataset_info.json", "dataset_dict.json"))


def _load(name: str, label_column: str, cache_dir: str | None) -> datasets.Dataset:
    """All splits as one, from wherever they are."""
    folder = Path(name)
    if saved_to_disk(folder):
        loaded = datasets.load_from_disk(name)
    elif (folder / "metadata.csv").is_file():
        loaded = _read_metadata(folder, label_column)
    elif folder.is_dir():
        rows = [{"audio": str(path), label_column: path.parent.name} for path in audio_files(folder)]
        if not rows:
            raise ValueError(
                f"expected audio files in subfolders of {name!r} named after their labels, or a metadata.csv with the "
                "columns file and label; found none"
            )
        loaded = datasets.Dataset.from_list(rows)
    else:
        loaded = datasets.load_dataset(name, cache_dir=cache_dir)
    return datasets.concatenate_datasets(list(loaded.values())) if isinstance(loaded, dict) else loaded


def _read_metadata(folder: Path, label_column: str) -> datasets.Dataset:
    """Rows of `metadata.csv`: the path of the audio, the label, the speaker."""
    with (folder / "metadata.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0]) if rows else []
    file_column = next((name for name in FILES if name in columns), None)
    if file_column is None or label_column not in columns:
        raise ValueError(
            f"expected the columns file, {label_column} and, if known, speaker in {str(folder / 'metadata.csv')!r}; "
            f"got {columns}"
        )
    kept = [label_column, *(name for name in SPEAKERS if name in columns)]
    table = {"audio": [str(folder / row[file_column]) if row[file_column] else None for row in rows]}
    return datasets.Dataset.from_dict(table | {name: [row[name] or None for row in rows] for name in kept})


def _labels(clips: datasets.Dataset, column: str) -> tuple[list[str | None], list[str]]:
    """The label of each row, and all labels in order."""
    feature = clips.features[column]
    if isinstance(feature, datasets.ClassLabel):
        labels = [None if value is None or value < 0 else feature.int2str(value) for value in clips[column]]
        names = feature.names
    else:
        labels = [None if value is None else str(value) for value in clips[column]]
        names = sorted(set(labels) - {None})
    if {label.lower() for label in names} <= SPELLINGS.keys():
        return [label and SPELLINGS[label.lower()] for label in labels], list(EMOTIONS)
    return labels, names


def _metadata(clips: datasets.Dataset, audio_column: str) -> dict:
    """What is known of each clip beside its label: its name, who speaks, and the columns of the known corpora."""
    columns = {name: clips[name][:] for name in clips.column_names if clips.features[name] == KNOWN.get(name)}
    stems = columns.get("clip") or [Path(audio["path"] or "").stem for audio in clips[audio_column]]
    stems = [CremaD.corrected(stem) for stem in stems]
    parsed = [parse_name(stem) for stem in stems]
    if stems and all(parsed):
        return columns | {"clip": stems} | {key: [row[key] for row in parsed] for key in ("actor", "sentence", "level")}
    columns["clip"] = [stem or str(index) for index, stem in enumerate(stems)]
    for name in [name for name in SPEAKERS if name in clips.column_names][:1]:
        columns["speaker"] = [None if speaker is None else str(speaker) for speaker in clips[name]]
    return columns


__all__ = ["load_labelled_audio", "saved_to_disk"]
