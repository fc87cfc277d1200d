"""Any dataset with audio and label columns, from the Hub or from disk, in the form the rest of the library reads."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import datasets

from ser.corpora.crema_d import EMOTION_OF_CODE
from ser.corpora.crema_d import EMOTIONS
from ser.corpora.crema_d import CremaD
from ser.corpora.crema_d import parse_name
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


def load_labelled_audio(
    name: str, *, audio_column: str = "audio", label_column: str = "label", cache_dir: str | None = None
) -> datasets.Dataset:
    """All splits of a dataset as one, in the columns audio (undecoded), label, clip, duration and, if known, speaker.

    Labels keep the names that the data gives them, sorted, unless they are spellings of the six of CREMA-D, which then
    get their usual names and order. Where all files have official CREMA-D names, actor, sentence and level are read
    from them. Rows without audio or label, and clips that are silent or do not decode, are left out and counted.

    Args:
        name: Id on the Hub, a folder written by `save_to_disk`, or a folder with a subfolder of clips for each label.
        audio_column: Column with audio.
        label_column: Column with labels, as strings or `ClassLabel`.
        cache_dir: Where `datasets` keeps what it downloads.

    Raises:
        ValueError: A column is missing (the message lists those there are), or no clip can be used.
    """
    clips = _load(name, cache_dir)
    for option, column in (("audio_column", audio_column), ("label_column", label_column)):
        if column not in clips.column_names:
            raise ValueError(f"{name} has no column {column!r}; set --{option} to one of {clips.column_names}")
    speakers = [column for column in SPEAKERS if column in clips.column_names][:1]
    clips = clips.select_columns([audio_column, label_column, *speakers])
    clips = clips.cast_column(audio_column, datasets.Audio(decode=False))
    labels = _label_texts(clips, label_column)
    complete = [i for i, audio in enumerate(clips[audio_column]) if audio is not None and labels[i] is not None]
    if len(complete) < len(clips):
        logger.warning("left out %d rows without audio or label", len(clips) - len(complete))
    clips, labels = clips.select(complete), [labels[i] for i in complete]
    columns = _names(clips, audio_column) | {"label": labels}
    if speakers and "actor" not in columns:
        columns["speaker"] = [str(speaker) for speaker in clips[speakers[0]]]
    with ThreadPoolExecutor() as pool:
        columns["duration"], columns["problem"] = zip(*pool.map(inspect_clip, clips[audio_column]), strict=True)
    audio = clips.select_columns(audio_column)
    if audio_column != "audio":
        audio = audio.rename_column(audio_column, "audio")
    return without_problems(datasets.concatenate_datasets([audio, _table(columns)], axis=1))


def _load(name: str, cache_dir: str | None) -> datasets.Dataset:
    """All splits as one, from wherever they are."""
    folder = Path(name)
    if any((folder / marker).exists() for marker in ("dataset_info.json", "dataset_dict.json")):
        loaded = datasets.load_from_disk(name)
    elif folder.is_dir():
        rows = [{"audio": str(path), "label": path.parent.name} for path in audio_files(folder)]
        if not rows:
            raise ValueError(f"expected audio files in subfolders of {name!r}, named after their labels; found none")
        loaded = datasets.Dataset.from_list(rows)
    else:
        loaded = datasets.load_dataset(name, cache_dir=cache_dir)
    return datasets.concatenate_datasets(list(loaded.values())) if isinstance(loaded, dict) else loaded


def _label_texts(clips: datasets.Dataset, column: str) -> list[str | None]:
    feature = clips.features[column]
    if isinstance(feature, datasets.ClassLabel):
        return [None if value is None or value < 0 else feature.int2str(value) for value in clips[column]]
    return [None if value is None else str(value) for value in clips[column]]


def _table(columns: dict) -> datasets.Dataset:
    """The columns beside the audio, labels as `ClassLabel`."""
    labels = columns["label"]
    if {label.lower() for label in labels} <= SPELLINGS.keys():
        labels, names = [SPELLINGS[label.lower()] for label in labels], list(EMOTIONS)
    else:
        names = sorted(set(labels))
    columns["label"] = [names.index(label) for label in labels]
    features = {name: CremaD.FEATURES.get(name, datasets.Value("string")) for name in columns}
    return datasets.Dataset.from_dict(
        columns, features=datasets.Features(features | {"label": datasets.ClassLabel(names=names)})
    )


def _names(clips: datasets.Dataset, audio_column: str) -> dict:
    """Names of the clips; with actor, sentence and level where all of them are official names of CREMA-D."""
    stems = [CremaD.corrected(Path(audio["path"] or "").stem) for audio in clips[audio_column]]
    parsed = [parse_name(stem) for stem in stems]
    if not stems or not all(parsed):
        return {"clip": [stem or str(index) for index, stem in enumerate(stems)]}
    return {"clip": stems} | {key: [row[key] for row in parsed] for key in ("actor", "sentence", "level")}


__all__ = ["load_labelled_audio"]
