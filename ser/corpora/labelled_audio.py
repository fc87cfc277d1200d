"""Any dataset with audio and label columns, from the Hub or from disk, in the form the rest of the library reads."""

from pathlib import Path

import datasets

from ser.corpora.crema_d import EMOTION_OF_CODE
from ser.corpora.crema_d import EMOTIONS
from ser.corpora.crema_d import parse_name

# How copies of CREMA-D spell its labels.
SPELLINGS = (
    dict(zip(EMOTIONS, EMOTIONS, strict=True))
    | {code.lower(): emotion for code, emotion in EMOTION_OF_CODE.items()}
    | {"angry": "anger", "disgusted": "disgust", "fearful": "fear", "happiness": "happy", "sadness": "sad"}
)


def load_labelled_audio(
    name: str, *, audio_column: str = "audio", label_column: str = "label", cache_dir: str | None = None
) -> datasets.Dataset:
    """All splits of a dataset as one, with the columns audio (undecoded) and label (`ClassLabel`).

    Labels keep the names that the data gives them, sorted, unless they are spellings of the six of CREMA-D, which then
    get their usual names and order. Clip, actor, sentence and level are read from official CREMA-D file names.

    Args:
        name: Id on the Hub, a folder written by `save_to_disk`, or a folder that `load_dataset` understands.
        audio_column: Column with audio.
        label_column: Column with labels, as strings or `ClassLabel`.
        cache_dir: Where `datasets` keeps what it downloads.

    Raises:
        ValueError: A column is missing; the message lists those there are.
    """
    if any((Path(name) / marker).exists() for marker in ("dataset_info.json", "dataset_dict.json")):
        loaded = datasets.load_from_disk(name)
    else:
        loaded = datasets.load_dataset(name, cache_dir=cache_dir)
    clips = datasets.concatenate_datasets(list(loaded.values())) if isinstance(loaded, dict) else loaded
    for option, column in (("audio_column", audio_column), ("label_column", label_column)):
        if column not in clips.column_names:
            raise ValueError(f"{name} has no column {column!r}; set --{option} to one of {clips.column_names}")
    audio = clips.select_columns(audio_column).with_format(None)
    if audio_column != "audio":
        audio = audio.rename_column(audio_column, "audio")
    audio = audio.cast_column("audio", datasets.Audio(decode=False))
    columns, features = _labels(clips, label_column)
    columns |= _names(audio)
    for column in clips.column_names:
        if column not in (audio_column, label_column, *columns):
            columns[column], features[column] = clips[column][:], clips.features[column]
    rest = datasets.Dataset.from_dict(columns)
    return datasets.concatenate_datasets([audio, rest.cast(datasets.Features(rest.features | features))], axis=1)


def _labels(clips: datasets.Dataset, column: str) -> tuple[dict, dict]:
    """The label column as class indices, and its feature."""
    labels, feature = clips[column][:], clips.features[column]
    if isinstance(feature, datasets.ClassLabel):
        labels = feature.int2str(labels)
    labels = [str(label) for label in labels]
    if {label.lower() for label in labels} <= SPELLINGS.keys():
        labels, names = [SPELLINGS[label.lower()] for label in labels], list(EMOTIONS)
    else:
        names = sorted(set(labels))
    return {"label": [names.index(label) for label in labels]}, {"label": datasets.ClassLabel(names=names)}


def _names(audio: datasets.Dataset) -> dict:
    """Clip, actor, sentence and level, where every file has an official CREMA-D name."""
    stems = [Path(row["path"] or "").stem for row in audio["audio"]]
    parsed = [parse_name(stem) for stem in stems]
    if not all(parsed):
        return {}
    return {"clip": stems} | {key: [row[key] for row in parsed] for key in ("actor", "sentence", "level")}


__all__ = ["load_labelled_audio"]
