"""Damaged files through the library, the command line, the pipeline and the page: a result, or one clear sentence."""

import csv
import os
import subprocess
import sys
import tracemalloc

import imageio_ffmpeg
import malformed
import numpy as np
import pytest
from conftest import RATE
from conftest import ROOT
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from transformers import pipeline

import ser
from ser.inference import timeline
from ser.models.audio_ser import is_silent

MOST_MEMORY = 300 * 2**20  # bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("malformed")
    for name, content in malformed.files():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def path_with_ffmpeg(tmp_path_factory) -> str:
    """Where programs are looked for."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="module")
def heard(folder, path_with_ffmpeg) -> dict[str, np.ndarray | str]:
    """What the library makes of each file: a waveform or a sentence."""
    outcomes = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path_with_ffmpeg)
        for path in sorted(folder.iterdir()):
            tracemalloc.start()
            try:
                outcomes[path.name] = ser.load_audio(path, sampling_rate=RATE)
            except ValueError as error:
                outcomes[path.name] = str(error)
            assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY, path.name
            tracemalloc.stop()
    return outcomes


def is_one_sentence(text: str) -> bool:
    return 10 < len(text) < 400 and "\n" not in text and "Traceback" not in text


def test_there_are_hundreds_and_some_of_either_kind(heard):
    assert len(heard) >= 600
    assert 50 < sum(isinstance(outcome, str) for outcome in heard.values()) < len(heard) - 50


def test_the_library_gives_finite_sound_or_one_sentence(heard):
    for name, outcome in heard.items():
        if isinstance(outcome, str):
            assert is_one_sentence(outcome), (name, outcome)
        else:
            assert outcome.ndim == 1 and outcome.dtype == np.float32 and len(outcome) > 0, name
            assert np.isfinite(outcome).all(), name


def test_what_is_no_sound_is_never_heard(heard):
    for name, outcome in heard.items():
        if name.startswith(("nothing.", "text.", "cut-4.", "no-data", "no-format")):
            assert isinstance(outcome, str), name


def test_bytes_are_heard_as_the_file_is_and_nothing_is_printed(folder, heard, path_with_ffmpeg, monkeypatch, capfd):
    monkeypatch.setenv("PATH", path_with_ffmpeg)
    for name, outcome in heard.items():
        try:
            waveform = ser.load_audio((folder / name).read_bytes(), sampling_rate=RATE)
        except ValueError as error:
            assert is_one_sentence(str(error)) and isinstance(outcome, str), (name, str(error))
            continue
        assert not isinstance(outcome, str) and np.array_equal(waveform, outcome), name
    assert "Traceback" not in capfd.readouterr().err


def test_the_timeline_never_hears_another_sound(folder, heard):
    for name, outcome in heard.items():
        try:
            samples = sum(map(len, timeline.read_blocks(folder / name, RATE)))
        except ValueError as error:
            assert is_one_sentence(str(error)), (name, str(error))
            continue
        assert isinstance(outcome, str) or abs(samples - len(outcome)) <= 2, name


def test_the_pipeline_gives_probabilities_or_the_same_sentence(folder, heard, path_with_ffmpeg, monkeypatch):
    monkeypatch.setenv("PATH", path_with_ffmpeg)
    classifier = pipeline("audio-classification", model=str(ROOT / "checkpoints/cnn1d"))
    for name, outcome in heard.items():
        if isinstance(outcome, str):
            with pytest.raises(ValueError) as caught:
                classifier(str(folder / name))
            assert str(caught.value) == outcome
        elif is_silent(outcome):
            with pytest.raises(ValueError, match="^the clip is silent"):
                classifier(str(folder / name))
        else:
            scores = [entry["score"] for entry in classifier(str(folder / name))]
            assert np.isfinite(scores).all() and sum(scores) == pytest.approx(1, abs=1e-3), name


def test_the_command_line_gives_each_a_row(folder, heard, path_with_ffmpeg, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", path_with_ffmpeg)
    command = [sys.executable, "-m", "ser", "predict", f"{folder}/*", "--model", ROOT / "checkpoints/cnn1d"]
    done = subprocess.run(
        [*command, "--output", tmp_path / "table.csv"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["file"].rsplit("/")[-1]: row for row in csv.DictReader(file)}
    assert rows.keys() == heard.keys()
    for name, row in rows.items():
        unfit = isinstance(heard[name], str) or is_silent(heard[name])
        assert bool(row["error"]) == unfit, name
        assert not row["error"] or is_one_sentence(row["error"]), row["error"]


def test_the_page_answers_each(folder, heard, client):
    for name in list(heard)[::30]:
        try:
            said, bars, _ = client.predict(handle_file(folder / name), "cnn1d", api_name="/classify")
            assert said.startswith("##")
            assert not bars or np.isfinite([entry["confidence"] for entry in bars["confidences"]]).all()
        except AppError as error:
            assert is_one_sentence(str(error)) and str(error).endswith("."), (name, str(error))
            assert str(folder) not in str(error) and "gradio" not in str(error), str(error)
