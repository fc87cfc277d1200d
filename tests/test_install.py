"""`pip install .`: the package alone, without its clone, predicts, trains and writes a card."""

import csv
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import EXAMPLES
from conftest import ROOT
from conftest import write_corpus
from hub_server import Hub
from hub_server import Repository
from hub_server import serve

import ser.__main__
from ser.files import BUNDLED
from ser.files import PUBLISHED
from ser.reporting.report_file import load_report

TINY = ("--recipe", "cnn1d", "--model", '{"channels": [4, 8]}', "--num_train_epochs", "1", "--disable_tqdm", "True")
CLASSIFY = """
import sys
import ser
from transformers import pipeline
print(pipeline("audio-classification", model=sys.argv[1])(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """What pip makes of the clone, made without pip, which would ask for the newest setuptools first."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("ser", "pyproject.toml", "requirements.txt", "README.md"):  # a build leaves files in its folder
        (source / name).symlink_to(ROOT / name)
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(target)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (wheel,) = target.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder that holds the package and nothing else of the project."""
    folder = tmp_path_factory.mktemp("site-packages")
    command = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    subprocess.run([sys.executable, "-m", *command], check=True)
    return folder


@pytest.fixture
def run(installed, tmp_path):
    """Runs Python in an empty folder, with the package as it is installed."""

    def python(*words: str, hub: Hub | None = None) -> subprocess.CompletedProcess:
        environment = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"}
        environment |= {"PYTHONPATH": str(installed), "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
        environment |= hub.environment(tmp_path / "hf", token=None) if hub else {}
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return python


def test_all_that_the_package_reads_is_in_it(installed):
    tracked = subprocess.run(["git", "ls-files", "ser"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    absent = {name for name in tracked.splitlines() if not (installed / name).is_file()}
    of_the_docs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ser/experiments").glob("*.md")}
    assert absent == of_the_docs  # texts of docs/, which only a clone has
    template = (installed / "ser/reporting/model_card.md").read_text(encoding="utf-8")
    assert template == (ROOT / "model_card.md").read_text(encoding="utf-8") and "{{ card_data }}" in template


@pytest.mark.slow
def test_the_default_model_comes_from_the_hub_once_and_then_from_the_cache(run, tmp_path):
    done = run("-m", "ser", "predict", str(EXAMPLES), "--output", "offline.csv")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{PUBLISHED!r} is neither: there is no such folder, the Hub cannot be reached, and no copy" in done.stderr
    files = {path.name: path.read_bytes() for path in BUNDLED.iterdir()}
    with serve() as hub:
        hub.repositories["models", PUBLISHED] = Repository({}, {"1" * 40: files}, {"main": "1" * 40})
        assert run("-m", "ser", "predict", str(EXAMPLES), "--output", "fetched.csv", hub=hub).returncode == 0
    done = run("-m", "ser", "predict", str(EXAMPLES), "--output", "cached.csv")
    assert done.returncode == 0, done.stderr
    done = run("-m", "ser", "predict", str(EXAMPLES), "--output", "named.csv", "--model", str(BUNDLED))
    assert done.returncode == 0, done.stderr
    fetched, cached, named = ((tmp_path / f"{name}.csv").read_text() for name in ("fetched", "cached", "named"))
    assert fetched == cached == named and len(list(csv.reader(fetched.splitlines()))) > 10


@pytest.mark.slow
def test_a_training_writes_a_model_with_its_card_that_the_pipeline_takes(run, tmp_path):
    for label in ("calm", "cross"):
        write_corpus(tmp_path / "clips" / label, [f"{label}-{number}" for number in range(12)])
    done = run("-m", "ser", "train", "--dataset_dir", "clips", *TINY)
    assert done.returncode == 0, done.stderr
    (card,) = (tmp_path / "runs").rglob("README.md")
    assert "Recognizes 2 emotions (calm, cross)" in card.read_text(encoding="utf-8")
    assert load_report(card.parent)["git_commit"] is None
    clip = next((tmp_path / "clips").rglob("*.wav"))
    done = run("-c", CLASSIFY, str(card.parent), str(clip))
    assert done.returncode == 0 and "'label': 'calm'" in done.stdout, done.stderr


@pytest.mark.parametrize("words", [("results",), ("reproduce", "--crema_d", "clips"), ("push", "space", "user/page")])
def test_what_needs_the_clone_says_so(words, tmp_path, monkeypatch):
    importlib.import_module(ser.__main__.COMMANDS[words[0]])
    monkeypatch.setattr("ser.files.PROJECT", tmp_path)
    with pytest.raises(SystemExit, match="expected app.py beside the package; run this command in a clone of the pro"):
        ser.__main__.main([*words])


def test_teachers_that_are_not_there_are_noticed_before_a_corpus_is_fetched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = "ser train: --teachers: expected a model folder .* got 'gone': .* in a clone .* --teacher_share 0"
    with pytest.raises(SystemExit, match=expected):
        ser.__main__.main(["train", "--teachers", "gone"])


def test_the_commands_are_listed(run):
    done = run("-m", "ser", "--help")
    assert done.returncode == 0 and "python -m ser train" in done.stdout
