"""Audio files of a dataset as they are, without torchcodec: this project decodes them by itself."""

from pathlib import Path
from typing import Any

import datasets
from huggingface_hub import HfFileSystem

UNDECODED = datasets.Audio(decode=False)
ON_THE_HUB = "hf://"

_encode = datasets.Audio.encode_example


def encode_example(feature: datasets.Audio, value: Any) -> dict:
    """As `Audio.encode_example` of datasets 5.2, which asks for torchcodec even where there is nothing to encode."""
    if isinstance(value, (str, Path)):
        return {"bytes": None, "path": str(value)}
    if isinstance(value, dict) and "array" not in value and (value.get("bytes") or value.get("path")):
        return {"bytes": value.get("bytes"), "path": value.get("path")}
    return _encode(feature, value)


datasets.Audio.encode_example = encode_example


def fetched(audio: dict | None) -> dict | None:
    """The cell of a clip, with the bytes of its file where that was left on the Hub.

    Raises:
        OSError: The Hub cannot be reached or refuses.
    """
    if audio and not audio["bytes"] and (audio["path"] or "").startswith(ON_THE_HUB):
        return audio | {"bytes": HfFileSystem().read_bytes(audio["path"])}
    return audio


__all__ = ["UNDECODED", "fetched"]
