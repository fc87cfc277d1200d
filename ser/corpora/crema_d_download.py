"""Download the official CREMA-D clips and tables: in parallel, resumable, and each file checked."""

import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import soundfile
from tqdm.auto import tqdm

logger = logging.getLogger(__name__)

REPOSITORY = "CheyneyComputerScience/CREMA-D/master"
AUDIO_URL = f"https://media.githubusercontent.com/media/{REPOSITORY}"  # the clips are Git LFS objects
TABLE_URL = f"https://raw.githubusercontent.com/{REPOSITORY}"
TABLES = {"actors": "VideoDemographics.csv", "votes": "processedResults/tabulatedVotes.csv"}
SIZE = "600 MB"  # of all files
UNFINISHED = ".download-unfinished"  # a file in the folder while files are missing
LFS_POINTER = b"version https://git-lfs"
CONNECTIONS = 8
ATTEMPTS = 3


def download_crema_d(folder: Path, names: list[str], *, audio_url: str = AUDIO_URL, table_url: str = TABLE_URL) -> None:
    """Download the clips `names` into `folder/AudioWAV` and the official tables into `folder`; existing files stay.

    Raises:
        ConnectionError: The server cannot be reached, or some files could not be fetched; calling again fetches those.
    """
    wanted = {folder / table: f"{table_url}/{table}" for table in TABLES.values()}
    wanted |= {folder / f"AudioWAV/{name}.wav": f"{audio_url}/AudioWAV/{name}.wav" for name in names}
    missing = {path: url for path, url in wanted.items() if not is_fetched(path)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / UNFINISHED).touch()
    with httpx2.Client(follow_redirects=True, timeout=30) as client, ThreadPoolExecutor(CONNECTIONS) as pool:
        if missing:
            _check_connection(client, next(iter(missing.values())))
        results = pool.map(lambda item: _fetch(client, *item), missing.items())
        progress = tqdm(results, total=len(missing), desc="Downloading CREMA-D", unit="file")
        failures = [problem for problem in progress if problem]
    if failures:
        raise ConnectionError(
            f"{len(failures)} of {len(wanted)} files could not be downloaded (first: {failures[0]}); "
            "run the same command again to fetch the rest"
        )
    (folder / UNFINISHED).unlink()


def was_interrupted(folder: Path) -> bool:
    """Whether a download into this folder is incomplete."""
    return (folder / UNFINISHED).exists()


def is_fetched(path: Path) -> bool:
    """Whether the file itself is there, not the pointer that git leaves in its place without Git LFS."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(LFS_POINTER)) != LFS_POINTER


def _check_connection(client: httpx2.Client, url: str) -> None:
    """Raise `ConnectionError` if the server of a URL cannot be reached."""
    try:
        client.head(url)
    except httpx2.TransportError as error:
        raise ConnectionError(
            f"{url} cannot be reached ({error}): connect to the internet, or name a folder that has the corpus with "
            "--data_dir"
        ) from error


def _fetch(client: httpx2.Client, path: Path, url: str) -> str | None:
    """Fetch one file; returns what went wrong, if it did."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    problem = None
    for attempt in range(ATTEMPTS):
        time.sleep(attempt)
        try:
            response = client.get(url)
            response.raise_for_status()
            partial.write_bytes(response.content)
            if path.suffix == ".wav":
                soundfile.read(partial)  # a Git LFS pointer or a torn file does not decode
            os.replace(partial, path)
            return None
        except (httpx2.HTTPError, soundfile.LibsndfileError, OSError) as error:
            partial.unlink(missing_ok=True)
            problem = f"{url}: {error}"
    return problem


__all__ = ["SIZE", "TABLES", "download_crema_d", "is_fetched", "was_interrupted"]
