"""Reads the audio files of a dataset undecoded, without torchcodec: this project decodes them itself."""

import io
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import soundfile
from huggingface_hub import HfFileSystem

UNDECODED = datasets.Audio(decode=False)
CELL = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
ON_THE_HUB = "hf://"


@contextmanager
def without_torchcodec() -> Iterator[None]:
    """Within this block, `datasets` builds and streams columns of audio files without torchcodec.

    Every row passes `Audio.encode_example`, which in datasets 5.2 imports torchcodec before it checks whether there is
    anything to encode. A feature class of our own is no way out: the builders of `load_dataset` choose `Audio`. So that
    method is replaced, and restored at the end; only one thread may be in here at a time.
    """
    encode = datasets.Audio.encode_example

    def encode_example(feature: datasets.Audio, value: Any) -> dict:
        if isinstance(value, (str, Path)):
            return {"bytes": None, "path": str(value)}
        if isinstance(value, dict) and "array" not in value and (value.get("bytes") or value.get("path")):
            return {"bytes": value.get("bytes"), "path": value.get("path")}
        return encode(feature, value)

    datasets.Audio.encode_example = encode_example
    try:
        yield
    finally:
        datasets.Audio.encode_example = encode


def undecoded(clips: Any, column: str) -> Any:
    """A `Dataset` or `IterableDataset` whose audio column holds a file in each row; samples with a rate become one.

    Raises:
        ValueError: The column holds neither.
    """
    feature = (clips.features or {}).get(column)
    kind = getattr(feature, "dtype", None)  # of a Value
    if isinstance(feature, dict) and {"array", "sampling_rate"} <= feature.keys():
        clips = clips.map(
            lambda row: {column: as_file(row[column])}, features=datasets.Features(clips.features | {column: CELL})
        )
    elif not (
        feature is None
        or isinstance(feature, datasets.Audio)
        or (isinstance(feature, dict) and feature.keys() & CELL.keys())
        or kind in ("string", "large_string", "binary", "large_binary")
    ):
        raise ValueError(
            f"expected column {column!r} to hold audio files (datasets.Audio, paths or bytes), or dicts of array and "
            f"sampling_rate; got {kind or type(feature).__name__}: samples alone do not say their rate"
        )
    return clips.cast_column(column, UNDECODED)


def as_file(samples: dict | None) -> dict | None:
    """`{"array", "sampling_rate"}` as an audio cell with a WAV file of floats."""
    if samples is None or samples["array"] is None:
        return None
    file, waveform = io.BytesIO(), np.asarray(samples["array"], dtype=np.float32)
    channels_last = waveform if waveform.ndim == 1 or waveform.shape[0] > waveform.shape[1] else waveform.T
    soundfile.write(file, channels_last, int(samples["sampling_rate"] or 0), format="WAV", subtype="FLOAT")
    return {"bytes": file.getvalue(), "path": None}


def streamed(rows: Iterable[dict]) -> Iterator[dict]:
    """The rows of a stream, each read without torchcodec."""
    remaining = iter(rows)
    while True:
        with without_torchcodec():
            row = next(remaining, None)
        if row is None:
            return
        yield row


def fetched(audio: dict | None) -> dict | None:
    """The audio cell of a clip, with the bytes of its file if that is still on the Hub.

    Raises:
        OSError: The Hub cannot be reached or refuses.
    """
    if audio and not audio["bytes"] and (audio["path"] or "").startswith(ON_THE_HUB):
        return audio | {"bytes": HfFileSystem().read_bytes(audio["path"])}
    return audio


__all__ = ["UNDECODED", "fetched", "streamed", "undecoded", "without_torchcodec"]
