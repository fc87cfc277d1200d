"""Killed, out of space, refused by the disk, or twice at once: a run ends as if nothing had been, or in a sentence."""

import csv
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from conftest import write_corpus
from safetensors.numpy import load_file

from ser.training.arguments import parse_arguments
from ser.training.trainer import last_checkpoint

CHANGES_FILES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}
OF_THE_MOMENT = ("wall_time_seconds", "peak_memory_gib", "history")
PROCESSES = multiprocessing.get_context("forkserver")  # imports once, so that a run costs what the training costs
PROCESSES.set_forkserver_preload(["train", "transformers", "datasets", "sklearn", "matplotlib.pyplot"])


IN_A_PLACE = """
mount -t tmpfs -o "$1" tmpfs "$2" && place="$2" && shift 2 && "$@"
code=$?
cp -r "$place" "$place.left"
exit $code
"""


def arguments(corpus: Path, folder: Path) -> list[str]:
    """A short training in which all that is random takes part: weights, order, waveforms, masks, mixup, dropout."""
    return [
        *("--recipe", "cnn2d", "--data_dir", str(corpus), "--cache_dir", str(folder / "cache"), "--use_cpu", "True"),
        *("--model", '{"channels": [4, 8], "pool_sizes": 4}', "--feature_extractor", '{"n_mels": 24}'),
        *("--waveform_probability", "0.5", "--num_train_epochs", "4", "--early_stopping_patience", "3"),
        *("--output_dir", str(folder / "run"), "--results_dir", str(folder / "results"), "--disable_tqdm", "True"),
    ]


def train(arguments: list[str], log: Path, kill_at: int | None = None) -> None:
    """In a process of its own: `train.py`, killed before it changes a file for the `kill_at`-th time."""
    import train as script

    changes = itertools.count()

    def strike(event: str, given: tuple) -> None:
        writes = event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (writes or event in CHANGES_FILES) and next(changes) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.addaudithook(strike)
    sys.argv = ["train.py", *arguments]
    script.main()
    log.with_suffix(".changes").write_text(str(next(changes)))


def start(corpus: Path, folder: Path, kill_at: int | None = None) -> multiprocessing.Process:
    folder.mkdir(exist_ok=True)
    given = arguments(corpus, folder)
    if last_checkpoint(parse_arguments(given).training):
        given += ["--resume_from_checkpoint", "last"]
    process = PROCESSES.Process(target=train, args=(given, folder / "log", kill_at))
    process.start()
    return process


def outcome(folder: Path) -> tuple[dict, list, dict, dict]:
    """All that a run found, but for what it took: scores, learning curves, probabilities, weights."""
    report, model = folder / "results/cnn2d/tfds/seed-0", folder / "run/model"
    results = json.loads((report / "results.json").read_text())
    curves = [
        {name: value for name, value in entry.items() if "second" not in name and "runtime" not in name}
        for entry in results["history"]
    ]
    scores = {name: value for name, value in results.items() if name not in OF_THE_MOMENT}
    with (report / "predictions.csv").open(newline="", encoding="utf-8") as file:
        predictions = {row["clip"]: row for row in csv.DictReader(file)}
    weights = {name: value.tolist() for name, value in load_file(model / "model.safetensors").items()}
    return scores, curves[:-1], predictions, weights  # the last entry is the time that the training took


def nothing_half_written(folder: Path) -> None:
    """A report or a model folder that is there is there entirely."""
    for report in folder.glob("results/*/*/seed-0"):
        assert json.loads((report / "results.json").read_text())["test_clips"] > 0
        assert (report / "predictions.csv").read_text().endswith("\n")
        assert all(path.read_bytes().endswith(b"IEND\xaeB`\x82") for path in report.glob("*.png"))
    if (folder / "run/model").exists():
        assert load_file(folder / "run/model/model.safetensors")
        assert json.loads((folder / "run/model/config.json").read_text())["model_type"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Seventy-two clips of twelve actors, four of them for dev or test."""
    folder = tmp_path_factory.mktemp("corpus")
    actors = (1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1010, 1013, 1015, 1020)
    write_corpus(
        folder, [f"{actor}_DFA_{code}_XX" for actor in actors for code in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")]
    )
    return folder


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory) -> tuple[tuple, int, float]:
    """What a run finds that nobody disturbs, how often it changes a file, and its seconds."""
    first = PROCESSES.Process()  # waits for the imports
    first.start()
    first.join()
    folder = tmp_path_factory.mktemp("undisturbed")
    begin = time.monotonic()
    process = start(corpus, folder)
    process.join()
    assert process.exitcode == 0, (folder / "log").read_text()
    return outcome(folder), int((folder / "log.changes").read_text()), time.monotonic() - begin


def test_the_same_seed_gives_the_same_scores_to_the_last_digit(undisturbed, corpus, tmp_path):
    process = start(corpus, tmp_path)
    process.join()
    assert outcome(tmp_path) == undisturbed[0]


@pytest.mark.parametrize("times", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_a_run_that_was_killed_finds_what_an_undisturbed_one_finds(undisturbed, corpus, tmp_path, times):
    """At random moments, and just before random changes of files, wherever the run has come to by then."""
    expected, changes, seconds = undisturbed
    generator = np.random.default_rng(0)
    kills, runs, finished = 0, 0, False
    while kills < times or not finished:
        folder, by_time = tmp_path / str(runs), kills % 2
        moment = generator.random() ** 2  # early rather than late: a second try has less to do
        process = start(corpus, folder, None if by_time or kills == times else int(moment * changes))
        process.join(moment * seconds if by_time and kills < times else None)
        process.kill()
        process.join()
        nothing_half_written(folder)
        finished = process.exitcode == 0
        if finished:
            assert outcome(folder) == expected
            runs += 1
        else:
            assert process.exitcode == -signal.SIGKILL, (folder / "log").read_text()
            kills += 1


def train_in_a_place(options: str, place: Path, arguments: list[str]) -> str:
    """What `train.py` says at its end when `place` is a file system with these mount options, seen by it alone."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a system that lets this user mount a small file system")
    place.mkdir(parents=True)
    command = ["unshare", "-rm", "sh", "-c", IN_A_PLACE, "sh", options, place, sys.executable, ROOT / "train.py"]
    done = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    place.rmdir()
    place.with_name(f"{place.name}.left").rename(place)
    return done.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("where", "size"), [("run", "12k"), ("run", "200k"), ("results", "60k"), ("cache", "60k")])
def test_a_full_disk_ends_in_a_sentence_and_with_room_the_run_goes_on(undisturbed, corpus, tmp_path, where, size):
    said = train_in_a_place(f"size={size}", tmp_path / where, arguments(corpus, tmp_path))
    assert said.startswith("train.py: ") and ("No space left" in said or "could not be written" in said)
    nothing_half_written(tmp_path)
    process = start(corpus, tmp_path)
    process.join()
    assert process.exitcode == 0, (tmp_path / "log").read_text()
    assert outcome(tmp_path) == undisturbed[0]


@pytest.mark.parametrize("where", ["run", pytest.param("results", marks=pytest.mark.slow)])
def test_a_folder_that_cannot_be_written_is_refused_before_hours_of_training(corpus, tmp_path, where):
    said = train_in_a_place("ro", tmp_path / where, arguments(corpus, tmp_path))
    assert said.startswith("train.py: expected a folder that can be written to")
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_runs_that_share_a_cache_do_not_disturb_each_other(undisturbed, corpus, tmp_path):
    """Three at once, on a cache that is still empty."""
    (tmp_path / "cache").mkdir()
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "cache").symlink_to(tmp_path / "cache")
    processes = [start(corpus, tmp_path / name) for name in "abc"]
    for process, name in zip(processes, "abc", strict=True):
        process.join()
        assert process.exitcode == 0, (tmp_path / name / "log").read_text()
        assert outcome(tmp_path / name) == undisturbed[0]
