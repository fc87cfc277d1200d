"""One run in two processes, and what TensorBoard and other trackers get."""

import csv
import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from conftest import write_corpus
from transformers import set_seed

from ser.corpora.splits import TFDS_DEV
from ser.corpora.splits import TFDS_TEST
from ser.training.run_identity import changes
from ser.training.trainer import seed_process

CODES = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
TINY = (
    *("--recipe", "cnn2d", "--data_dir", "clips", "--cache_dir", "cache", "--num_train_epochs", "2"),
    *("--model", '{"channels": [4, 8], "pool_sizes": 4, "squeeze_excitation": 0}', "--disable_tqdm", "True"),
    *("--per_device_train_batch_size", "4", "--per_device_eval_batch_size", "2"),
)


@pytest.fixture
def corpus(tmp_path):
    """An odd number of dev and test clips, so that two processes cannot share them evenly."""
    names = [f"{actor}_DFA_{code}_XX" for actor in ("1001", "1002", TFDS_DEV[0], TFDS_TEST[0]) for code in CODES]
    names += [f"{TFDS_DEV[0]}_IEO_ANG_HI", f"{TFDS_TEST[0]}_IEO_ANG_HI"]
    write_corpus(tmp_path / "clips", names)
    return tmp_path


def start(*command: str, cwd, **variables) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HOME": str(cwd / "hf"), "OMP_NUM_THREADS": "1"} | variables
    command = [sys.executable, *command]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_two_processes_train_one_model_and_count_each_clip_once(corpus):
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29717")
    done = start(*launcher, str(ROOT / "train.py"), *TINY, cwd=corpus)
    assert done.stdout.count("of 7 test clips") == 1  # one of them reports
    (report,) = (corpus / "results").rglob("results.json")
    results = json.loads(report.read_text())
    assert results["processes"] == 2
    assert [results["parts"][name]["clips"] for name in ("train", "dev", "test")] == [12, 7, 7]
    assert results["command"].startswith("torchrun --nproc_per_node 2 train.py --recipe cnn2d")
    assert changes(results["command"]).keys() >= {"num_train_epochs", "model"}  # the tables read it
    with (report.parent / "predictions.csv").open() as file:
        clips = [row["clip"] for row in csv.DictReader(file)]
    assert len(clips) == len(set(clips)) == 7
    assert all(clip.startswith(TFDS_TEST[0]) for clip in clips)
    best = next(
        entry for entry in results["history"] if entry.get("eval_uar") and entry["epoch"] == results["best_epoch"]
    )
    for name in ("accuracy", "uar"):  # counted by both together, and again by one alone
        assert best[f"eval_{name}"] == pytest.approx(results["parts"]["dev"][name])


def test_processes_augment_each_in_its_own_way_and_order_their_clips_alike():
    draws = []
    for rank in (0, 1, 0):
        set_seed(3)
        seed_process(3 + rank)
        draws.append((np.random.random(), random.getstate()[1], torch.rand(1).item()))
    first, second, again = draws
    assert first == again
    assert first[0] != second[0] and first[1] != second[1] and first[2] == second[2]


@pytest.mark.slow
def test_training_can_be_watched_in_tensorboard_and_trackio(corpus):
    pytest.importorskip("tensorboard", reason="tensorboard is optional")
    pytest.importorskip("trackio", reason="trackio is optional")
    logs = corpus / "logs"
    start(
        *(str(ROOT / "train.py"), *TINY, "--report_to", "all", "--project", "ours"),
        cwd=corpus,
        TENSORBOARD_LOGGING_DIR=str(logs),
        TRACKIO_DIR=str(corpus / "trackio"),
    )
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs))
    events.Reload()
    assert [event.step for event in events.Scalars("eval/uar")] == [3, 6]
    assert list((corpus / "trackio").glob("ours*"))
