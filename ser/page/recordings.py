"""The folder of recordings: where it is, and how it is emptied, also after a crash."""

import getpass
import os
import shutil
import tempfile
import time
from pathlib import Path

import gradio as gr
from gradio.route_utils import delete_files_created_by_app
from gradio.utils import get_upload_folder

FOLDER = "GRADIO_TEMP_DIR"  # environment variable of Gradio
USER = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
OLDEST = 3600.0  # seconds


def choose_folder() -> None:
    """Keep recordings in a folder of their own, for this user, in `GRADIO_TEMP_DIR` or the system's temporary folder.

    Nothing else in there is deleted.

    Raises:
        ValueError: It is another user's, or cannot be written to.
    """
    folder = Path(os.environ.get(FOLDER) or tempfile.gettempdir(), f"ser-page-{USER}")
    os.environ[FOLDER] = str(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid") and folder.stat().st_uid != USER:
            raise PermissionError(f"{folder} is another user's")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"recordings cannot be kept in {folder}: name another folder in {FOLDER}") from error


def sweep() -> None:
    """Delete what is older than any recording that a page still needs."""
    root = Path(get_upload_folder())
    if not root.is_dir():
        return
    for path in root.iterdir():
        if time.time() - newest(path) > OLDEST:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def delete_of(page: gr.Blocks) -> None:
    """Delete the recordings of a page that has ended; Gradio does so only if its server stops in time."""
    delete_files_created_by_app(page, age=None)


def newest(path: Path) -> float:
    """When a file, or the newest file of a folder, was written."""
    times = [each.stat().st_mtime for each in (path, *path.rglob("*")) if each.is_file()]
    return max(times, default=path.stat().st_mtime)


__all__ = ["choose_folder", "delete_of", "newest", "sweep"]
