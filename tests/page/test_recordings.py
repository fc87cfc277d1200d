"""Recordings lie in a folder of their own, and none is left of a page that crashed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PATIENCE
from conftest import ROOT

from ser.page import recordings


def test_what_a_crash_left_is_deleted_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    recordings.choose_folder()
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    for path, age in (("old/recording.wav", 7200), ("new/recording.wav", 60), ("../thesis.txt", 7200)):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text("some content")
        os.utime(folder / path, (time.time() - age,) * 2)
    recordings.sweep()
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert (tmp_path / "thesis.txt").exists()  # of the user, who named the folder for recordings


def test_the_folder_is_this_users_own(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # so that it is as before when the test is over
    monkeypatch.delenv("GRADIO_TEMP_DIR")
    monkeypatch.setattr(recordings.tempfile, "gettempdir", lambda: str(tmp_path))
    recordings.choose_folder()
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    assert folder.parent == tmp_path and folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "other"))
    shutil.copytree(folder, tmp_path / "other/ser-page--1")
    monkeypatch.setattr(recordings, "USER", -1)  # whose the folder that is there is not
    with pytest.raises(ValueError, match="recordings cannot be kept in"):
        recordings.choose_folder()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match="recordings cannot be kept in .*: name another folder in GRADIO_TEMP_DIR"):
        recordings.choose_folder()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM"])
def test_recordings_are_deleted_when_the_page_is_ended(name, tmp_path):
    import httpx2

    from benchmarks.server import page
    from benchmarks.server import upload

    with page(GRADIO_TEMP_DIR=str(tmp_path)) as (url, process):
        with httpx2.Client(timeout=PATIENCE) as client:
            path = Path(upload(client, url, ROOT / "ser/examples/plain.ogg"))
        assert path.is_file()
        process.send_signal(getattr(signal, name))
        process.wait(PATIENCE)
    assert not path.exists()


ENDED_WHILE_IT_STARTS = """
import sys
from pathlib import Path

import httpx2
from gradio import networking

import app
from benchmarks.server import upload


def end(url):
    with httpx2.Client() as client:
        path = Path(upload(client, url.rstrip("/"), Path("ser/examples/plain.ogg")))
    assert path.is_file()
    print("recording:", path)
    raise KeyboardInterrupt


networking.url_ok = end
app.main()
print("ended")
"""


@pytest.mark.slow
def test_recordings_are_deleted_when_the_page_is_ended_while_it_starts(tmp_path):
    environment = os.environ | {"GRADIO_TEMP_DIR": str(tmp_path), "GRADIO_ANALYTICS_ENABLED": "False"}
    command = [sys.executable, "-c", ENDED_WHILE_IT_STARTS]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert "ended" in result.stdout, result.stderr
    (recording,) = re.findall(r"recording: (.+)", result.stdout)
    assert not Path(recording).exists()
