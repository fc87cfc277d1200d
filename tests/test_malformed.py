"""Damaged files through the library, the command line, the pipeline and the page: a result, or one clear sentence."""

import csv
import subprocess
import sys
import tracemalloc

import malformed
import numpy as np
import pytest
from conftest import RATE
from conftest import ROOT
from gradio_client import Client
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from transformers import pipeline

import ser

MOST_MEMORY = 300 * 2**20  # bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("malformed")
    for name, content in malformed.files():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def heard(folder) -> dict[str, np.ndarray | str]:
    """What the library makes of each file: a waveform or a sentence."""
    outcomes = {}
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
    assert len(heard) >= 300
    assert 50 < sum(isinstance(outcome, str) for outcome in heard.values()) < len(heard) - 50


def test_the_library_gives_finite_sound_or_one_sentence(heard):
    for name, outcome in heard.items():
        if isinstance(outcome, str):
            assert is_one_sentence(outcome), (name, outcome)
        else:
            assert outcome.ndim == 1 and outcome.dtype == np.float32 and len(outcome) > 0, name
            assert np.isfinite(outcome).all(), name


def test_the_pipeline_gives_probabilities_or_the_same_sentence(folder, heard):
    classifier = pipeline("audio-classification", model=str(ROOT / "checkpoints/cnn1d"))
    for name, outcome in heard.items():
        if isinstance(outcome, str):
            with pytest.raises(ValueError) as caught:
                classifier(str(folder / name))
            assert str(caught.value) == outcome
        else:
            scores = [entry["score"] for entry in classifier(str(folder / name))]
            assert np.isfinite(scores).all() and sum(scores) == pytest.approx(1, abs=1e-3), name


def test_the_command_line_gives_each_a_row(folder, heard, tmp_path):
    command = [sys.executable, "-m", "ser.predict", folder, "--model", ROOT / "checkpoints/cnn1d"]
    done = subprocess.run(
        [*command, "--output", tmp_path / "table.csv"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["file"].rsplit("/")[-1]: row for row in csv.DictReader(file)}
    assert rows.keys() == heard.keys()
    for name, row in rows.items():
        assert bool(row["error"]) == isinstance(heard[name], str), name
        assert not row["error"] or is_one_sentence(row["error"]), row["error"]


def test_the_page_answers_each(folder, heard, url):
    client = Client(url, verbose=False)
    for name in list(heard)[::4]:
        try:
            said, bars, _ = client.predict(handle_file(folder / name), "cnn1d", api_name="/classify")
            assert said.startswith("##")
            assert not bars or np.isfinite([entry["confidence"] for entry in bars["confidences"]]).all()
        except AppError as error:
            assert is_one_sentence(str(error)) and str(error).endswith("."), (name, str(error))
            assert str(folder) not in str(error) and "gradio" not in str(error), str(error)
