"""Nothing half-written is ever read: files and folders are written under a temporary name and then renamed."""

import errno
import json
import os
import shutil
from collections.abc import Collection
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
PROJECT = PACKAGE.parent  # the clone, with app.py, checkpoints and results

# The default model.
BUNDLED = PROJECT / "checkpoints/flagship-bilingual"
PUBLISHED = f"ser-project/ser-{BUNDLED.name}"  # on the Hub, for a package that is installed without its clone
MODEL = str(BUNDLED) if BUNDLED.is_dir() else PUBLISHED


@contextmanager
def atomic_folder(folder: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder` that replaces it if the block ends without an error.

    Remains of a killed process are removed by the next one that writes the same folder. If `folder` is a link, its
    target is replaced.
    """
    folder = Path(folder).resolve()
    temporary, previous = (folder.with_name(f".{folder.name}.{what}") for what in ("unfinished", "previous"))
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)
            os.replace(folder, previous)
        os.replace(temporary, folder)
        shutil.rmtree(previous, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_clone() -> None:
    """Raise `ValueError` if the package is installed alone, without the rest of the project."""
    if not (PROJECT / "app.py").is_file():
        raise ValueError("expected app.py beside the package; run this command in a clone of the project")


def check_writable(folder: str | Path) -> None:
    """Refuse a folder that cannot be written to; it need not exist yet.

    Raises:
        ValueError: It is in a read-only folder, or below a file.
    """
    folder = Path(folder).absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise ValueError(f"expected a folder that can be written to; got {str(folder)!r}; choose another one")


def check_replaceable(folder: str | Path, *, holding: str, beside: Collection[str] | None = None) -> None:
    """Refuse a folder that `atomic_folder` could not or should not replace.

    Args:
        folder: Need not exist yet.
        holding: A file that identifies a folder written earlier.
        beside: What else it may contain; None for anything.

    Raises:
        ValueError: It is not a folder, is in a read-only one, or contains something else.
    """
    folder = Path(folder).absolute()
    for place in (folder, folder.parent):
        check_writable(place)
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if names and (holding not in names or (beside is not None and names - {holding, *beside})):
        raise ValueError(f"{str(folder)!r} would be replaced, but holds other files; choose a new folder")


def sentence_of(error: BaseException) -> str:
    """The message of an error, with a remedy if a cache cannot be written."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    if cause is None or cause.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        return str(error)
    path, usual = Path(str(cause.filename)), os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    caches = [Path(usual), Path(os.environ.get("HF_HOME") or usual)]
    if not any(path.is_relative_to(cache) or cache.is_relative_to(path) for cache in caches):
        return str(error)
    return f"{error}: the cache cannot be written; set HF_HOME and XDG_CACHE_HOME to writable folders"


def check_revision(model: str, revision: str | None) -> None:
    """Raise `ValueError` for a revision of a model folder, which has none."""
    if revision is not None and Path(model).is_dir():
        raise ValueError(f"{model!r} is a folder, which has no revisions; leave --revision out, or name a Hub id")


def read_json(path: str | Path) -> Any:
    """The content of a JSON file; raises `ValueError` with its name if it is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is damaged or not a JSON file ({error}); take the whole file") from error


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically: a reader sees the old text or the new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


__all__ = [
    "BUNDLED",
    "MODEL",
    "PACKAGE",
    "PROJECT",
    "PUBLISHED",
    "atomic_folder",
    "check_clone",
    "check_replaceable",
    "check_revision",
    "check_writable",
    "read_json",
    "sentence_of",
    "write_text",
]
