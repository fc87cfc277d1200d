"""Clips to predict: files, folders, patterns or a dataset, as one column of undecoded audio, and one of groups."""

import argparse
import os
from collections.abc import Iterable
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias
from typing import cast

import datasets

from ser.audio_files import GROUP
from ser.audio_files import dataset_options
from ser.audio_files import digest_of
from ser.audio_files import find_files
from ser.corpora.audio_column import UNDECODED
from ser.corpora.audio_column import fetched
from ser.corpora.audio_column import streamed
from ser.corpora.audio_column import undecoded
from ser.corpora.labelled_audio import SPEAKERS
from ser.corpora.labelled_audio import UNREADABLE
from ser.corpora.labelled_audio import read_dataset
from ser.corpora.labelled_audio import read_metadata
from ser.corpora.labelled_audio import saved_to_disk
from ser.corpora.labelled_audio import speaker_columns

Clips: TypeAlias = datasets.Dataset | datasets.IterableDataset
METADATA = "metadata.csv"


def find_clips(inputs: list[str]) -> datasets.Dataset:
    """The clips that `find_files` finds; raises the same errors."""
    return datasets.Dataset.from_dict({"audio": find_files(inputs)}).cast_column("audio", UNDECODED)


def find_grouped(inputs: list[str], group_by: str | None) -> datasets.Dataset:
    """The clips that `find_files` finds, each with its "speaker" or "folder" as the group; raises as `by_speaker`."""
    files = find_clips(inputs)
    return {"speaker": by_speaker, "folder": by_folder}[group_by](files) if group_by else files


def by_folder(files: datasets.Dataset) -> datasets.Dataset:
    """The clips of `find_clips`, each with its folder as the group."""
    folders = [os.path.dirname(os.path.abspath(audio["path"])) for audio in files["audio"]]
    return files.add_column(GROUP, folders)


def by_speaker(files: datasets.Dataset) -> datasets.Dataset:
    """The clips of `find_clips`, each with its speaker, from the nearest metadata.csv beside or above it, as the group.

    Raises:
        ValueError: A metadata.csv lacks a column, or none names a speaker of these clips.
    """
    paths = [os.path.abspath(audio["path"]) for audio in files["audio"]]
    folders = {Path(path).parent for path in paths}
    tables = {table for folder in folders if (table := _nearest_table(folder))}
    rows = [row for table in sorted(tables) for row in read_metadata(table, None) if row["audio"]]
    speakers = {os.path.abspath(row["audio"]): next(filter(None, map(row.get, SPEAKERS)), None) for row in rows}
    groups = [speakers.get(path) for path in paths]
    if not any(groups):
        raise ValueError(
            f"expected a {METADATA} (columns file and speaker) beside or above the clips that names their speakers; "
            "there is none: write one, or give a dataset with a column speaker"
        )
    return files.add_column(GROUP, groups)


def _nearest_table(folder: Path) -> Path | None:
    return next((table for each in (folder, *folder.parents) if (table := each / METADATA).is_file()), None)


def open_dataset(
    name: str,
    *,
    config: str | None = None,
    split: str | None,
    streaming: bool,
    audio_column: str,
    speakers: bool = False,
) -> Clips:
    """The audio of one split of a dataset.

    Args:
        name: A folder written by `save_to_disk`, or what `load_dataset` takes: an id on the Hub or a folder.
        config: Configuration of a dataset that has several.
        split: Its name; may be None if there is only one.
        streaming: Whether to read it without downloading it whole first.
        audio_column: Column with audio.
        speakers: Whether each clip gets its speaker as the group.

    Raises:
        ValueError: It cannot be read, or there is no such split or column (the message lists the existing ones).
    """
    loaded = read_dataset(name, config, streaming=streaming)
    try:
        if isinstance(loaded, dict):
            split = next(iter(loaded)) if len(loaded) == 1 and split is None else split
            if split not in loaded:
                raise ValueError(f"expected --split to be one of {', '.join(loaded)}; got {split}")
            loaded = loaded[split]
        if audio_column not in loaded.column_names:
            raise ValueError(f"expected --audio_column to be one of {', '.join(loaded.column_names)}")
        speaker = next(iter(speaker_columns(loaded.column_names)), None)
        if speakers and not speaker:
            raise ValueError(f"expected a column speaker that says who speaks; got {', '.join(loaded.column_names)}")
        if isinstance(loaded, datasets.Dataset) and len(loaded) == 0:
            raise ValueError("it has no rows")
        if isinstance(loaded, datasets.IterableDataset):
            loaded = loaded.decode(False)  # before all else: a column of files on the Hub would be decoded on its way
        clips = loaded.select_columns([audio_column, *([speaker] if speakers else [])])
        clips = undecoded(clips.rename_column(speaker, GROUP) if speakers else clips, audio_column)
        next(streamed(clips), None)  # so that audio in a form that is never readable is refused here
    except UNREADABLE as error:
        raise ValueError(f"dataset {name!r} cannot be read: {error.__cause__ or error}") from error
    return clips


def open_clips(options: argparse.Namespace) -> Clips:
    """The clips given on the command line; raises `ValueError` as `find_clips` and `open_dataset` do."""
    if not options.dataset and len(options.inputs) == 1 and saved_to_disk(options.inputs[0]):
        options.dataset = options.inputs.pop()
    if bool(options.inputs) == bool(options.dataset):
        raise ValueError("expected either INPUT or --dataset")
    if not options.dataset:
        if unused := dataset_options(options):
            raise ValueError(f"{unused[0]} is for a dataset, and {options.inputs[0]!r} is not one: leave it out")
        return find_grouped(options.inputs, options.center_by)
    if options.center_by == "folder":
        raise ValueError("expected files and folders with --center_by folder; a dataset has --center_by speaker")
    names = ("split", "streaming", "audio_column")
    return open_dataset(
        options.dataset,
        config=options.dataset_config,
        speakers=options.center_by == "speaker",
        **{name: getattr(options, name) for name in names},
    )


def share(
    clips: Clips, rank: int, processes: int, *, done: int = 0
) -> tuple[Iterator[tuple[dict | None, str | None]], int | None]:
    """Clips of one process, without the first `done`, and their number if it is known.

    Each clip is its undecoded audio and its group or None.

    The shares are contiguous and in order. A stream is shared by its files, so surplus processes get no clips.
    """
    if isinstance(clips, datasets.Dataset):
        numbers = share_of(clips, rank, processes)
        return clips_at(clips, numbers[done:]), len(numbers)
    processes = min(processes, clips.num_shards)
    rows = streamed(clips.shard(processes, rank).skip(done)) if rank < processes else ()
    return map(_clip, rows), None


def share_of(clips: datasets.Dataset, rank: int, processes: int) -> range:
    """Numbers of the clips of one process."""
    return range(*(len(clips) * number // processes for number in (rank, rank + 1)))


def clips_at(clips: datasets.Dataset, numbers: Iterable[int]) -> Iterator[tuple[dict | None, str | None]]:
    """The clips with these numbers, as `share` gives them."""
    return map(_clip, (clips[number] for number in numbers))


def fingerprint(clips: Clips, source: str | None) -> str | None:
    """A digest of these clips: for a folder read as a stream, of its files; None for a stream from the Hub."""
    if known := getattr(clips, "_fingerprint", None):
        return known
    folder = Path(cast(str, source))
    if not folder.is_dir():
        return None
    return digest_of(sorted(str(path.relative_to(folder)) for path in folder.rglob("*")))


def _clip(row: dict) -> tuple[dict | None, str | None]:
    (audio,) = (value for name, value in row.items() if name != GROUP)
    group = row.get(GROUP)
    return fetched(audio), None if group is None else " ".join(str(group).split()) or None


__all__ = [
    "Clips",
    "by_folder",
    "by_speaker",
    "clips_at",
    "find_clips",
    "find_grouped",
    "fingerprint",
    "open_clips",
    "open_dataset",
    "share",
    "share_of",
]
