"""The table of `ser predict`, for both of its backends; nothing here imports torch."""

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ser.audio_files import GROUP
from ser.audio_files import find_files
from ser.files import BUNDLED
from ser.files import MODEL
from ser.inference.centering import GroupMeans
from ser.inference.centering import log_probabilities
from ser.inference.resumable_table import merge_parts
from ser.inference.resumable_table import read_parts
from ser.models.audio_ser import check_audible
from ser.models.audio_ser import load_audio
from ser.models.ordinary_voice_ser import check_calibrated
from ser.models.ordinary_voice_ser import relative_to

STOPPED = "finished rows are kept: run the same command again to continue"
LONGEST = 600.0  # seconds of one clip; the network takes 130 MB a minute


def read_waveform(audio: dict | None, sampling_rate: int) -> tuple[dict, np.ndarray | None]:
    """Name and duration of a clip, and its samples; or its name and the error, and None."""
    row = {"file": audio and audio["path"]}
    try:
        waveform = load_audio(audio, sampling_rate=sampling_rate)
        row["duration"] = duration = len(waveform) / sampling_rate
        if duration > LONGEST:
            raise ValueError(
                f"the clip lasts {duration:,.0f} s, longer than {LONGEST:.0f} s: cut it into utterances, or "
                "classify it window by window with ser.inference.timeline.analyse"
            )
        check_audible(waveform)
    except (ValueError, OSError) as error:
        return row | {"error": str(error)}, None
    return row, waveform


def table_schema(labels: list[str]) -> pa.Schema:
    """Columns of the table; durations are in seconds, and each label has a column with its probability.

    `certain` says whether the score reaches the model's `certain_threshold`; it is null if the model has none.
    """
    columns = {"file": pa.string(), "duration": pa.float32(), "label": pa.string(), "score": pa.float32()}
    columns |= {"certain": pa.bool_()}
    return pa.schema(columns | dict.fromkeys(labels, pa.float32()) | {"error": pa.string()})


def part_schema(labels: list[str]) -> pa.Schema:
    """As `table_schema`, with the group of each clip."""
    return table_schema(labels).append(pa.field(GROUP, pa.string()))


def check_labels(labels: list[str]) -> None:
    """Raise `ValueError` for a label with the name of another column of the table."""
    if taken := sorted({*labels} & {*part_schema([]).names}):
        raise ValueError(
            f"the model has a label {taken[0]!r}, which is also another column of the table: rename the label in "
            "id2label and label2id of its config.json"
        )


def predicted(scores: dict[str, float], threshold: float | None) -> dict:
    """The cells of a clip with these probabilities."""
    label = max(scores, key=scores.__getitem__)
    certain = None if threshold is None else scores[label] >= threshold
    return scores | {"label": label, "score": scores[label], "certain": certain}


def readable(part: list[dict], labels: list[str]) -> tuple[list[dict], np.ndarray, list[str | None]]:
    """The rows without an error, their log-probabilities of shape `(rows, num_labels)` and their groups."""
    rows = [row for row in part if row["error"] is None]
    values = np.array([[row[label] for label in labels] for row in rows], dtype=float).reshape(-1, len(labels))
    return rows, log_probabilities(values), [row[GROUP] for row in rows]


def mean_by_group(parts: Path, labels: list[str]) -> GroupMeans:
    """Means over all rows; one part is in memory at a time."""
    means = GroupMeans()
    for part in read_parts(parts):
        _, log, groups = readable(part.to_pylist(), labels)
        means.add(log, groups)
    return means


def centre(part: pa.Table, labels: list[str], means: GroupMeans, threshold: float | None) -> pa.Table:
    """A part of the table, with its rows relative to their groups."""
    all_rows = part.to_pylist()
    rows, log, groups = readable(all_rows, labels)
    for row, group, values in zip(rows, groups, np.exp(means.centre(log, groups)).tolist(), strict=True):
        if means.has(group):  # the others stay as they are, to the last digit
            row.update(predicted(dict(zip(labels, values, strict=True)), threshold))
    return pa.Table.from_pylist(all_rows, part.schema)


class OrdinaryVoices(NamedTuple):
    """Ordinary voices, as a model sees them."""

    logs: dict[str | None, np.ndarray]  # mean log-probabilities, shape (num_labels,), by the group of the clips
    settings: dict[str, Any]  # `ordinary_voice` in the configuration of the model


def voices_of(
    options: argparse.Namespace,
    rows_of: Callable[[list[dict | None]], list[dict]],
    labels: list[str],
    settings: dict[str, Any] | None,
) -> OrdinaryVoices | None:
    """The ordinary voices in the recordings of `--ordinary_voice`; None without that option.

    Args:
        options: Of `ser predict`; with `--center_by`, each speaker or folder has its own recordings.
        rows_of: Classifies undecoded clips; returns the row of each.
        labels: Of the model.
        settings: `ordinary_voice` in its configuration.

    Raises:
        ValueError: The model has no settings, or a recording cannot be read or has no group; the message names it.
    """
    if not options.ordinary_voice:
        return None
    settings = check_calibrated(settings)
    try:
        clips = recordings(options.ordinary_voice, options.center_by)
    except ValueError as error:
        raise ValueError(f"--ordinary_voice: {error}") from error
    found: dict[str | None, list[list[float]]] = {}
    for row, (_, group) in zip(rows_of([audio for audio, _ in clips]), clips, strict=True):
        if row.get("error"):
            raise ValueError(f"--ordinary_voice {row['file']!r}: {row['error']}")
        found.setdefault(group, []).append([row[label] for label in labels])
    return OrdinaryVoices({group: log_probabilities(np.array(each)).mean(0) for group, each in found.items()}, settings)


def recordings(paths: list[str], group_by: str | None) -> list[tuple[dict | None, str | None]]:
    """Undecoded clips in files, folders or patterns, each with its group; raises `ValueError` if one has none."""
    if not group_by:
        return [({"path": path, "bytes": None}, None) for path in find_files(paths)]
    from ser.corpora.unlabelled_audio import clips_at  # takes a moment
    from ser.corpora.unlabelled_audio import find_grouped

    clips = find_grouped(paths, group_by)
    found = list(clips_at(clips, range(len(clips))))
    for audio, group in found:
        if group is None:
            raise ValueError(f"no metadata.csv names the speaker of {audio and audio['path']!r}; add it there")
    return found


def relate(part: pa.Table, labels: list[str], voices: OrdinaryVoices) -> pa.Table:
    """A part of the table, with its rows relative to the ordinary voice of their group, if it is known."""
    all_rows = part.to_pylist()
    for row, log, group in zip(*readable(all_rows, labels), strict=True):
        if group in voices.logs:
            (values,) = np.exp(relative_to(voices.logs[group], log[None], voices.settings)).tolist()
            scores = dict(zip(labels, values, strict=True))
            row.update(predicted(scores, voices.settings["certain_threshold"]))
    return pa.Table.from_pylist(all_rows, part.schema)


def put_together(
    parts: Path,
    output: Path,
    labels: list[str],
    *,
    threshold: float | None,
    center_by: str | None,
    voices: OrdinaryVoices | None,
) -> str:
    """Write the table from all parts, relative to groups or ordinary voices if requested; a summary in words."""
    change, alone, why = None, 0, ""
    if voices:
        change = partial(relate, labels=labels, voices=voices)
        if center_by:
            groups = (group for part in read_parts(parts) for group in readable(part.to_pylist(), labels)[2])
            alone, why = sum(each not in voices.logs for each in groups), "without an ordinary voice"
    elif center_by:
        means = mean_by_group(parts, labels)
        change = partial(centre, labels=labels, means=means, threshold=threshold)
        alone, why = means.alone, f"the only ones of their {center_by}"
    summary = merge_parts(parts, output, table_schema(labels), change)
    return f"{summary}, {alone:,} left as they are, {why}" if alone else summary


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Clips and a model."""
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="audio file, folder, pattern like 'clips/*.wav', or dataset that save_to_disk wrote",
    )
    parser.add_argument("--dataset", help="instead of INPUT: dataset on the Hub, or folder that load_dataset reads")
    parser.add_argument("--dataset_config", help="configuration of the dataset; needed if it has several")
    parser.add_argument("--split", help="split of the dataset; needed if it has several")
    parser.add_argument("--audio_column", default="audio", help="column of the dataset with the audio (default: audio)")
    parser.add_argument("--streaming", action="store_true", help="read the dataset without downloading it whole first")
    parser.add_argument(
        "--model",
        default=MODEL,
        help=f"model folder or Hub id (default: {BUNDLED.name}, in the clone or on the Hub)",
    )
    parser.add_argument("--revision", help="commit, tag or branch, of a model on the Hub")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


__all__ = [
    "LONGEST",
    "STOPPED",
    "OrdinaryVoices",
    "add_inputs",
    "check_labels",
    "cores",
    "part_schema",
    "predicted",
    "put_together",
    "read_waveform",
    "table_schema",
    "voices_of",
]
