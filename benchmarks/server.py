"""The page in a process of its own, for the benchmarks that ask it from outside."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil

from benchmarks.turns import ROOT

EXAMPLES = ROOT / "ser/examples"


@contextmanager
def page(**variables: str) -> Iterator[tuple[str, psutil.Process]]:
    """Address and process of the page once it answers, started with more environment variables."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"} | variables
    server = subprocess.Popen(
        [sys.executable, ROOT / "app.py"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            if server.poll() is not None:
                raise RuntimeError("the page stopped while it started; run python app.py to see why")
            try:
                httpx2.get(url)
                break
            except httpx2.ConnectError:
                time.sleep(0.1)
        yield url, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()


def upload(client: httpx2.Client, url: str, path: Path) -> str:
    """Where the page keeps an uploaded file."""
    with path.open("rb") as file:
        answer = client.post(f"{url}/gradio_api/upload", files={"files": (path.name, file)})
    return answer.raise_for_status().json()[0]


def classify(client: httpx2.Client, url: str, uploaded: str, model: str) -> str:
    """The last event with which the page answers."""
    data = [{"path": uploaded, "meta": {"_type": "gradio.FileData"}}, model]
    call = client.post(f"{url}/gradio_api/call/classify", json={"data": data}).raise_for_status()
    return client.get(f"{url}/gradio_api/call/classify/{call.json()['event_id']}").raise_for_status().text


def megabytes(process: psutil.Process) -> int:
    """Resident memory in MiB."""
    return round(process.memory_info().rss / 2**20)
