"""Predictions relative to their group, by hand, and `python -m ser predict --center_by` against the table without."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from conftest import RATE
from conftest import ROOT
from conftest import voice
from scipy.special import softmax

from ser.__main__ import main
from ser.inference import many_clips
from ser.inference import prediction_table
from ser.inference.centering import GroupMeans
from ser.inference.centering import centred
from ser.inference.centering import log_probabilities

MODEL = ROOT / "checkpoints/cnn1d"
LABELS = ["anger", "disgust", "fear", "happy", "neutral", "sad"]
SPEAKERS = ["ann", "bob", "ann", "bob", "ann", "cid", None]  # of the clips


def test_the_mean_of_the_group_is_subtracted():
    log = np.log([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]])
    odds = (9 / 1.5) ** 0.5  # 9 and 1.5 to 1, relative to their geometric mean
    expected = [[odds / (1 + odds), 1 / (1 + odds)], [1 / (1 + odds), odds / (1 + odds)]]
    found = np.exp(centred(log, ["a", "a", "alone", None]))
    assert found[:2] == pytest.approx(np.array(expected))
    assert found[2:] == pytest.approx(np.exp(log[2:]))


def test_piece_by_piece_is_as_at_once_and_clips_of_one_group_do_not_touch_another():
    log = np.log(softmax(np.random.default_rng(0).normal(size=(9, 3)), axis=1))
    groups = ["a", "b", "a", None, "b", "c", "b", "a", None]
    means = GroupMeans()
    for start in (0, 4):
        means.add(log[start : start + 4], groups[start : start + 4])
    means.add(log[8:], groups[8:])
    assert means.centre(log, groups) == pytest.approx(centred(log, groups))
    assert means.alone == 3
    of_b = [index for index, group in enumerate(groups) if group == "b"]
    assert centred(log, groups)[of_b] == pytest.approx(centred(log[of_b], ["b"] * 3))
    assert centred(log[:0], []).shape == (0, 3)


def test_a_probability_of_zero_does_not_decide_a_mean():
    log = log_probabilities(np.array([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5]]))
    assert np.isfinite(log).all() and np.exp(centred(log, "aaa"))[1] == pytest.approx([0.01, 0.99], abs=1e-4)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """One with a threshold of certain answers."""
    folder = shutil.copytree(MODEL, tmp_path_factory.mktemp("model") / "cnn1d")
    config = json.loads((folder / "config.json").read_text()) | {"certain_threshold": 0.4}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Clips of three speakers and of nobody known in two folders, an unreadable one of ann's, and a metadata.csv."""
    root = tmp_path_factory.mktemp("clips")
    rows = [("one/x.wav", "ann")]
    for number, speaker in enumerate(SPEAKERS):
        rows.append((f"{'one' if number < 3 else 'two'}/clip{number}.wav", speaker or ""))
        (root / rows[-1][0]).parent.mkdir(exist_ok=True)
        soundfile.write(root / rows[-1][0], voice(0.6 + 0.1 * number, seed=number, pitch=90 + 30 * number), RATE)
    (root / "one/x.wav").write_text("not a sound")
    with (root / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "speaker"), *rows])
    return root


def table(*arguments, output: Path) -> list[dict]:
    main(["predict", *map(str, arguments), "--output", str(output)])
    return pq.read_table(output).to_pylist()


def check(plain: list[dict], relative: list[dict], groups: list[str | None]) -> None:
    """Whether each row is relative to the rows of its group, and those without others are as before."""
    assert [list(row) for row in relative] == [list(row) for row in plain]
    for row, before, group in zip(relative, plain, groups, strict=True):
        same = [r for r, name in zip(plain, groups, strict=True) if name == group and r["error"] is None]
        if before["error"] or group is None or len(same) == 1:
            assert row == pytest.approx(before, abs=1e-6)
            continue
        log = np.log([[other[label] for label in LABELS] for other in same])
        expected = softmax(log[same.index(before)] - log.mean(0))
        assert [row[label] for label in LABELS] == pytest.approx(expected, abs=1e-6)
        assert (row["label"], row["score"]) == (LABELS[expected.argmax()], row[row["label"]])
        assert row["certain"] == (row["score"] >= 0.4)
        assert [row[name] for name in ("file", "duration")] == [before[name] for name in ("file", "duration")]


def test_clips_relative_to_their_speaker_or_folder(clips, model, tmp_path, capsys):
    plain = table(clips, "--model", model, output=tmp_path / "plain.parquet")
    speakers = [*SPEAKERS[:3], "ann", *SPEAKERS[3:]]  # x.wav comes after the others of its folder
    assert [Path(row["file"]).stem for row in plain][3] == "x"
    capsys.readouterr()
    relative = table(clips, "--model", model, "--center_by", "speaker", output=tmp_path / "speaker.parquet")
    check(plain, relative, speakers)
    assert "8 clips, 1 with errors, 2 left as they are, the only ones of their speaker" in capsys.readouterr().out
    assert any(row["label"] != other["label"] for row, other in zip(relative, plain, strict=True))
    below = table(clips / "two", "--model", model, "--center_by", "speaker", output=tmp_path / "below.parquet")
    check(plain[4:], below, SPEAKERS[3:])  # the table lies above them
    folders = [Path(row["file"]).parent.name for row in plain]
    check(plain, table(clips, "--model", model, "--center_by", "folder", output=tmp_path / "f.parquet"), folders)


def test_speakers_of_a_dataset_also_as_a_stream_and_as_numbers(clips, model, tmp_path):
    paths = [str(path) for path in sorted(clips.rglob("clip*.wav"))]
    plain = table(*paths, "--model", model, output=tmp_path / "plain.parquet")
    numbers = [speaker and ord(speaker[0]) for speaker in SPEAKERS]
    blanks = [speaker and f"{speaker} " for speaker in SPEAKERS]
    for column, speakers in (("speaker", SPEAKERS), ("speaker_id", numbers), ("Speaker", blanks)):
        folder = tmp_path / column
        rows = datasets.Dataset.from_dict({column: speakers, "audio": paths})
        rows.save_to_disk(folder / "saved")
        rows.cast_column("audio", datasets.Audio(decode=False)).to_parquet(folder / "parquet/test.parquet")
        command = "--model", model, "--center_by", "speaker"
        check(plain, table(folder / "saved", *command, output=folder / "saved.parquet"), SPEAKERS)
        stream = "--dataset", folder / "parquet", "--streaming"
        check(plain, table(*stream, *command, output=folder / "stream.parquet"), SPEAKERS)


def test_a_job_that_was_stopped_is_centred_over_all_its_clips(clips, model, tmp_path, monkeypatch):
    command = clips, "--model", model, "--center_by", "speaker"
    whole = table(*command, output=tmp_path / "whole.parquet")
    monkeypatch.setattr(many_clips, "CHUNK_CLIPS", 2)
    with monkeypatch.context() as patch:
        writes = iter((many_clips.write_part, many_clips.write_part))
        patch.setattr(many_clips, "write_part", lambda *part: next(writes)(*part))
        with pytest.raises(StopIteration):
            table(*command, output=tmp_path / "preds.parquet")
    with monkeypatch.context() as patch:  # and once more while the table is written
        patch.setattr(prediction_table, "merge_parts", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(SystemExit, match="stopped; finished rows are kept"):
            table(*command, output=tmp_path / "preds.parquet")
    rows = table(*command, output=tmp_path / "preds.parquet")
    for row, other in zip(rows, whole, strict=True):
        assert row == pytest.approx(other, abs=1e-5)


@pytest.mark.slow
def test_two_processes_share_the_means(clips, model, tmp_path):
    command = [str(clips), "--model", str(model), "--center_by", "speaker"]
    whole = table(*command, output=tmp_path / "one.parquet")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "ser"]
    output = tmp_path / "two.parquet"
    subprocess.run([*torchrun, "predict", *command, "--output", str(output)], cwd=ROOT, check=True, capture_output=True)
    for row, other in zip(pq.read_table(output).to_pylist(), whole, strict=True):
        assert row == pytest.approx(other, abs=1e-5)


def test_groups_that_are_not_known_are_asked_for_in_one_sentence(clips, model, tmp_path):
    datasets.Dataset.from_dict({"audio": [str(clips / "one/clip0.wav")]}).save_to_disk(tmp_path / "saved")
    lone = tmp_path / "lone"
    lone.mkdir()
    shutil.copy(clips / "one/clip0.wav", lone)
    for inputs, by, sentence in (
        ([tmp_path / "saved"], "speaker", "expected a column speaker that says who speaks; got audio"),
        ([tmp_path / "saved"], "folder", "expected files and folders with --center_by folder"),
        ([lone], "speaker", "expected a metadata.csv .columns file and speaker. beside or above the clips"),
    ):
        with pytest.raises(SystemExit, match=sentence):
            table(*inputs, "--model", model, "--center_by", by, output=tmp_path / "preds.parquet")
    (lone / "metadata.csv").write_text("file,label\nclip0.wav,happy\n")
    with pytest.raises(
        SystemExit, match=r"expected the comma-separated columns file and speaker .*; got \['file', 'label'\]"
    ):
        table(lone, "--model", model, "--center_by", "speaker", output=tmp_path / "preds.parquet")
