"""Audio files of a dataset as they are, without torchcodec: this project decodes them by itself."""

from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
from huggingface_hub import HfFileSystem

UNDECODED = datasets.Audio(decode=False)
ON_THE_HUB = "hf://"


@contextmanager
def without_torchcodec() -> Iterator[None]:
    """While this lasts, `datasets` builds and streams columns of audio files without torchcodec.

    Every row passes `Audio.encode_example`, which in datasets 5.2 imports torchcodec before it looks whether there is
    anything to encode. A feature of our own cannot stand in: the builders of `load_dataset` choose `Audio` themselves.
    So that method is replaced, and put back at the end; only one thread may be in here at a time.
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
    """The cell of a clip, with the bytes of its file where that was left on the Hub.

    Raises:
        OSError: The Hub cannot be reached or refuses.
    """
    if audio and not audio["bytes"] and (audio["path"] or "").startswith(ON_THE_HUB):
        return audio | {"bytes": HfFileSystem().read_bytes(audio["path"])}
    return audio


__all__ = ["UNDECODED", "fetched", "streamed", "without_torchcodec"]
