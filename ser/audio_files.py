"""Finding audio and video files by their names; imports nothing slow."""

import argparse
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

GROUP = "group"  # column with the name of the speaker or folder of a clip
# In order of preference if a clip is there twice; files of a kind that cannot be read are reported.
SUFFIXES: tuple[str, ...] = (".wav", ".flac", ".aiff", ".aif", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".webm")
SUFFIXES += (".wave", ".w64", ".rf64", ".au", ".snd", ".caf", ".aifc", ".voc", ".sph", ".nist", ".mp1", ".mp2", ".spx")
SUFFIXES += (".amr", ".awb", ".aac", ".3gp", ".3g2", ".3gpp", ".wma", ".wmv", ".asf", ".mov", ".m4b", ".m4v", ".qt")
SUFFIXES += (".mkv", ".mka", ".weba", ".avi", ".flv", ".mpg", ".mpeg", ".ac3", ".ape", ".wv", ".tta", ".ra", ".rm")
SUFFIXES += (".gsm", ".vox", ".pcm", ".raw", ".dss", ".ds2")


def find_files(inputs: list[str]) -> list[str]:
    """The audio files among files, folders and patterns, in their order, each once.

    Raises:
        ValueError: An input matches no file, or a file name is not UTF-8, which tables cannot hold.
    """
    found: list[str] = []
    for name in inputs:
        matches = [Path(name)] if os.path.exists(name) else _matches(name)
        paths = [path for match in matches for path in (audio_files(match) if match.is_dir() else [match])]
        if not paths:
            kinds = ".wav, .flac, .ogg, .mp3 or another kind"
            what = f"no audio file ({kinds}) below" if matches else "no file, folder or match of"
            raise ValueError(f"there is {what} {name!r}; check the path")
        check_names(matches)  # files below a folder are checked by audio_files
        found += map(str, paths)
    return list(dict.fromkeys(found))


def _matches(pattern: str) -> list[Path]:
    """Paths that match a pattern; unlike `glob.glob`, it does not follow circular links."""
    anchor = Path(pattern).anchor
    try:
        return sorted(Path(anchor).glob(pattern.removeprefix(anchor)))
    except (OSError, ValueError):  # no file can have such a name
        return []


def audio_files(folder: Path) -> list[Path]:
    """Files below `folder` with names of audio or video files, sorted by path.

    Hidden folders (`.ipynb_checkpoints`) and the `._clip.wav` of macOS are left out; links to folders are not followed.

    Raises:
        ValueError: A name is not UTF-8, which tables cannot hold.
    """
    named = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not _hidden(path, folder))
    found = sorted(path for path in named if path.is_file() or not path.exists())  # broken links are named, too
    check_names(found)
    return found


def _hidden(path: Path, folder: Path) -> bool:
    *folders, name = path.relative_to(folder).parts
    return name.startswith("._") or any(each.startswith(".") for each in folders)


def check_names(paths: Iterable[Path]) -> None:
    """Raise `ValueError` if a name is not UTF-8, which tables cannot hold."""
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"expected file names in UTF-8; got {ascii(str(path))}; rename the file") from error


def dataset_options(options: argparse.Namespace) -> list[str]:
    """The given options that only apply to a dataset."""
    defaults = {"dataset_config": None, "split": None, "streaming": False, "audio_column": "audio"}
    return [f"--{name}" for name, default in defaults.items() if getattr(options, name) != default]


def digest_of(names: Iterable[str]) -> str:
    """A digest of these file names in this order."""
    return hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()


__all__ = ["GROUP", "SUFFIXES", "audio_files", "check_names", "dataset_options", "digest_of", "find_files"]
