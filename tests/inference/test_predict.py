"""`python -m ser predict`: one row for each clip, in order, whatever the clips are and however often it was stopped."""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import soundfile
from accelerate import PartialState
from conftest import RATE
from conftest import ROOT
from conftest import voice
from transformers import Wav2Vec2Config
from transformers import Wav2Vec2FeatureExtractor
from transformers import Wav2Vec2ForSequenceClassification
from transformers import Wav2Vec2Model
from transformers import pipeline

from ser.__main__ import main
from ser.corpora.unlabelled_audio import fingerprint
from ser.corpora.unlabelled_audio import open_dataset
from ser.corpora.unlabelled_audio import share
from ser.inference import many_clips
from ser.inference import predict
from ser.inference import prediction_table
from ser.inference import torch_predict
from ser.inference.loading import load_trained
from ser.inference.resumable_table import merge_parts
from ser.inference.resumable_table import rows_done
from ser.inference.resumable_table import write_part
from ser.models.audio_ser import load_audio
from ser.models.modeling_ser import CNNForAudioClassification

MODEL = str(ROOT / "checkpoints/cnn1d")
LABELS = ["anger", "disgust", "fear", "happy", "neutral", "sad"]
SECONDS = (0.7, 2.0, 0.201, 1.1, 0.3, 1.6, 0.9)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Seven clips of mixed lengths, an empty file and a text, in a folder and a folder in it."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "more").mkdir()
    for number, seconds in enumerate(SECONDS):
        name = f"{'more/' if number > 4 else ''}clip{number}.wav"
        soundfile.write(folder / name, voice(seconds, seed=number, pitch=100 + 20 * number), RATE)
    (folder / "clip1b.wav").touch()
    (folder / "clip3b.wav").write_text("not a sound")
    return folder


@pytest.fixture(scope="module")
def dataset(clips) -> datasets.Dataset:
    """The same with the files inside; a row without audio and one without a name at the end."""
    paths = sorted(clips.rglob("*.wav"))
    rows = [{"bytes": path.read_bytes() or None, "path": str(path)} for path in paths]
    rows += [None, {"bytes": paths[0].read_bytes(), "path": None}]
    cells = datasets.Features({"sound": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}})
    return datasets.Dataset.from_dict({"sound": rows}, features=cells).cast_column(
        "sound", datasets.Audio(decode=False)
    )


def table(*arguments, output: Path, model: str = MODEL) -> list[dict]:
    """The rows that a command writes."""
    main(["predict", *map(str, arguments), "--model", model, "--output", str(output)])
    return rows_of(output)


def rows_of(output: Path) -> list[dict]:
    if output.suffix == ".parquet":
        return pq.read_table(output).to_pylist()
    options = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
    return pyarrow.csv.read_csv(output, convert_options=options).to_pylist()


def figures(rows: list[dict]) -> list[dict]:
    return [{name: row[name] for name in (*LABELS, "score", "duration")} for row in rows]


def refusal(*arguments) -> str:
    """The sentence in which a command ends."""
    with pytest.raises(SystemExit) as end:
        main(["predict", *map(str, arguments)])
    return str(end.value)


def stop_after(monkeypatch, chunks: int) -> None:
    """Small chunks, and an end before one of them is predicted."""
    monkeypatch.setattr(many_clips, "CHUNK_CLIPS", 3)
    whole, calls = torch_predict.predict_chunk, []

    def stops(*arguments, **options):
        calls.append(arguments)
        if len(calls) > chunks:
            raise KeyboardInterrupt
        return whole(*arguments, **options)

    monkeypatch.setattr(torch_predict, "predict_chunk", stops)


def test_figures_are_those_of_the_pipeline(clips, tmp_path):
    classifier = pipeline("audio-classification", model=MODEL)
    rows = table(clips, output=tmp_path / "preds.parquet")
    good = [row for row in rows if row["error"] is None]
    assert [row["duration"] for row in good] == pytest.approx(SECONDS, abs=1e-6)
    for row in good:
        answer = classifier(row["file"])
        assert {label: row[label] for label in LABELS} == pytest.approx(
            {entry["label"]: entry["score"] for entry in answer}, abs=1e-5
        )
        assert (row["label"], row["score"]) == (answer[0]["label"], row[answer[0]["label"]])


@pytest.mark.parametrize("threshold", [None, 0.45])
def test_a_row_is_certain_from_the_threshold_of_the_model_on(clips, tmp_path, threshold):
    model = shutil.copytree(MODEL, tmp_path / "model")
    config = json.loads((model / "config.json").read_text()) | {"certain_threshold": threshold}
    (model / "config.json").write_text(json.dumps(config))
    for row in table(clips, output=tmp_path / "preds.csv", model=str(model)):
        unknown = threshold is None or row["error"] is not None
        assert row["certain"] == (None if unknown else row["score"] >= threshold)


def test_a_recording_that_is_no_clip_is_a_row_that_says_so(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(prediction_table, "LONGEST", 1.8)
    rows = {Path(row["file"]).stem: row for row in table(clips, output=tmp_path / "preds.parquet")}
    assert rows["clip1"]["error"].startswith("the clip lasts 2 s, longer than 2 s: cut it")
    assert rows["clip1"]["label"] is None
    assert rows["clip5"]["error"] is None


def test_one_of_several_configurations_is_asked_for_and_read(dataset, tmp_path):
    for name in ("en", "de"):
        dataset.select(range(2)).to_parquet(tmp_path / f"data/{name}.parquet")
    rows = "".join(f"- config_name: {name}\n  data_files: {name}.parquet\n" for name in ("en", "de"))
    (tmp_path / "data/README.md").write_text(f"---\nconfigs:\n{rows}---\n")
    command = ("--dataset", tmp_path / "data", "--audio_column", "sound")
    asked = r"Please pick one among the available configs: \['en', 'de'\]; name one with --dataset_config"
    assert re.search(asked, refusal(*command, "--output", tmp_path / "preds.csv"))
    assert len(table(*command, "--dataset_config", "de", output=tmp_path / "preds.csv")) == 2


def test_rows_are_in_the_order_of_the_input_and_no_clip_is_there_twice(clips, tmp_path):
    rows = table(clips / "clip4.wav", clips / "more", clips / "clip[0-3].wav", clips, output=tmp_path / "preds.parquet")
    names = ["clip4", "more/clip5", "more/clip6", "clip0", "clip1", "clip2", "clip3", "clip1b", "clip3b"]
    assert [row["file"] for row in rows] == [str(clips / f"{name}.wav") for name in names]


def test_bad_files_are_rows_with_their_error(clips, tmp_path, capsys):
    rows = {Path(row["file"]).stem: row for row in table(clips, output=tmp_path / "preds.parquet")}
    assert capsys.readouterr().out.splitlines()[-1] == f"9 clips, 2 with errors: {tmp_path / 'preds.parquet'}"
    for name in ("clip1b", "clip3b"):
        assert f"{name}.wav' could not be decoded" in rows[name].pop("error")
        assert {rows[name][column] for column in rows[name] if column != "file"} == {None}


def test_a_clip_too_short_for_an_answer_is_a_row_that_says_so(tmp_path):
    soundfile.write(tmp_path / "clip.wav", voice(0.05), RATE)
    (row,) = table(tmp_path, output=tmp_path / "preds.csv")
    assert row["error"] == "the clip lasts 0.05 s, which is too short: speak for at least 0.2 s" and not row["label"]


def test_every_audio_or_video_file_is_a_row_and_what_is_hidden_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    (tmp_path / "clips/.ipynb_checkpoints").mkdir(parents=True)
    for name, kind in (("a.au", "AU"), ("b.caf", "CAF"), ("c.w64", "W64")):
        soundfile.write(tmp_path / "clips" / name, voice(), RATE, format=kind, subtype="PCM_16")
    for name, head in (("d.AMR", b"#!AMR\n"), ("e.aac", b"\xff\xf1"), ("f.3gp", b"\0\0\0 ftyp3gp4"), ("g.rm", b"")):
        (tmp_path / "clips" / name).write_bytes(head + bytes(99))
    for name in ("._a.wav", ".ipynb_checkpoints/a.wav", "notes.txt"):
        (tmp_path / "clips" / name).write_text("nothing")
    rows = table(tmp_path / "clips", output=tmp_path / "preds.csv")
    assert [Path(row["file"]).name for row in rows] == "a.au b.caf c.w64 d.AMR e.aac f.3gp g.rm".split()
    assert [row["error"] for row in rows[:3]] == [None] * 3
    for row, kind in zip(rows[3:6], ("AMR", "AAC", "M4A, MP4 or 3GP"), strict=True):
        assert row["error"].startswith(f"{kind} files need the program ffmpeg, which is not installed here; convert")
    assert "g.rm' could not be decoded" in rows[6]["error"]


def test_a_dataset_of_samples_is_read_with_their_rate_and_refused_without(tmp_path):
    samples = [voice(0.5, rate=8000).tolist(), np.stack(2 * [voice(0.5, rate=8000)], 1).tolist()]
    answers = []
    for number, array in enumerate(samples):
        rows = {"audio": [{"array": array, "sampling_rate": 8000}]}
        datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / f"{number}")
        answers += table(tmp_path / f"{number}", output=tmp_path / f"{number}.parquet")
    assert [row["duration"] for row in answers] == [0.5, 0.5] and answers[0]["error"] is None
    assert answers[0]["score"] == pytest.approx(answers[1]["score"], abs=1e-4)
    datasets.Dataset.from_dict({"audio": samples[:1]}).save_to_disk(tmp_path / "lists")
    said = refusal(tmp_path / "lists", "--model", MODEL, "--output", tmp_path / "preds.csv")
    assert "or dicts of array and sampling_rate; got List: samples alone do not say their rate" in said


def test_a_file_that_is_gone_is_a_row_with_an_error(clips, tmp_path):
    paths = [str(clips / "clip0.wav"), str(tmp_path / "gone.wav")]
    datasets.Dataset.from_dict({"audio": paths}).save_to_disk(tmp_path / "saved")
    first, second = table(tmp_path / "saved", output=tmp_path / "preds.parquet")
    assert first["error"] is None and first["label"] in LABELS
    assert second["label"] is None and "there is none" in second["error"]


def test_the_home_folder_is_known_where_shells_do_not_name_it(clips, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    main(["predict", str(clips / "clip1.wav"), "--model", MODEL, "--output=~/preds.csv"])
    assert (tmp_path / "preds.csv").is_file()


def test_csv_and_parquet_agree(clips, tmp_path):
    rows = table(clips, output=tmp_path / "preds.parquet")
    assert list(rows[0]) == ["file", "duration", "label", "score", "certain", *LABELS, "error"]
    for row, other in zip(rows, table(clips, output=tmp_path / "preds.csv"), strict=True):
        assert list(row) == list(other)
        assert figures([row])[0] == pytest.approx(figures([other])[0], abs=1e-7)
        assert all(row[name] == other[name] for name in ("file", "label", "error"))


def test_a_saved_dataset_and_a_stream_give_the_figures_of_the_files(clips, dataset, tmp_path):
    from_files = table(clips, output=tmp_path / "files.parquet")
    datasets.DatasetDict({"all": dataset}).save_to_disk(tmp_path / "saved")
    (tmp_path / "parquet").mkdir()
    for number in range(2):
        dataset.shard(2, number).to_parquet(tmp_path / f"parquet/test-0000{number}-of-00002.parquet")
    column = ["--audio_column", "sound"]
    saved = table(tmp_path / "saved", *column, output=tmp_path / "saved.parquet")
    streamed = table(
        "--dataset", tmp_path / "parquet", "--split", "test", "--streaming", *column, output=tmp_path / "stream.parquet"
    )
    for rows in (saved, streamed):
        names = [Path(row["file"]).name for row in rows]
        assert names == [Path(row["file"]).name for row in from_files] + ["9", "10"]
        assert "NoneType" in rows[9]["error"]
        repeated = figures([*from_files, rows[9], from_files[0]])
        for row, other in zip(figures(rows), repeated, strict=True):
            assert row == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("processes", [1, 2, 3, 5, 20])
def test_shares_joined_are_the_whole(dataset, tmp_path, processes):
    for number in range(3):
        dataset.shard(3, number).to_parquet(tmp_path / f"train-{number}.parquet")
    stream = open_dataset(str(tmp_path), split=None, streaming=True, audio_column="sound")
    for clips in (dataset, stream):
        for done in (0, 2):
            shares = [list(share(clips, rank, processes)[0])[done:] for rank in range(processes)]
            resumed = [list(share(clips, rank, processes, done=done)[0]) for rank in range(processes)]
            assert resumed == shares
            if not done:
                assert sum(shares, []) == [(audio, None) for audio in dataset["sound"]]


def test_a_folder_read_as_a_stream_is_another_one_with_another_file(dataset, tmp_path):
    dataset.to_parquet(tmp_path / "train-0.parquet")
    stream = open_dataset(str(tmp_path), split=None, streaming=True, audio_column="sound")
    before = fingerprint(stream, str(tmp_path))
    assert before == fingerprint(stream, str(tmp_path))
    dataset.to_parquet(tmp_path / "train-1.parquet")
    assert before != fingerprint(stream, str(tmp_path))
    assert fingerprint(stream, "user/name") is None


def test_a_broken_link_is_a_row_with_the_reason(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/gone.wav").symlink_to(tmp_path / "nowhere.wav")
    (row,) = table(tmp_path / "clips", output=tmp_path / "predictions.csv")
    assert row["file"].endswith("gone.wav") and row["error"]


def test_what_was_stopped_goes_on_and_repeats_nothing(clips, tmp_path, monkeypatch):
    whole = table(clips, output=tmp_path / "whole.parquet")
    output, read = tmp_path / "preds.parquet", []
    with monkeypatch.context() as patch:
        stop_after(patch, chunks=1)
        with pytest.raises(SystemExit, match="stopped; finished rows are kept"):
            table(clips, output=output)
    assert not output.exists()
    with monkeypatch.context() as patch:
        load_audio = prediction_table.load_audio

        def noted(audio, **rate):
            read.append(audio["path"])
            return load_audio(audio, **rate)

        patch.setattr(prediction_table, "load_audio", noted)
        rows = table(clips, output=output)
    assert read == [row["file"] for row in whole[3:]]
    assert [row["file"] for row in rows] == [row["file"] for row in whole]
    for row, other in zip(figures(rows), figures(whole), strict=True):
        assert row == pytest.approx(other, abs=1e-5)
    assert sorted(tmp_path.iterdir()) == [output, tmp_path / "whole.parquet"]  # nothing is left behind


def test_parts_of_another_job_are_refused(clips, tmp_path, monkeypatch):
    model, output = tmp_path / "model", tmp_path / "preds.csv"
    model.mkdir()
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (model / name).write_bytes((Path(MODEL) / name).read_bytes())
    with monkeypatch.context() as patch:
        stop_after(patch, chunks=1)
        with pytest.raises(SystemExit, match="stopped; finished rows are kept"):
            table(clips, output=output, model=str(model))
    parts = str(tmp_path / ".preds.csv.parts")
    for arguments in ((clips, "--model", MODEL), (clips / "more", "--model", model)):
        sentence = refusal(*arguments, "--output", output)
        assert parts in sentence and "another command" in sentence and "remove the folder" in sentence
    os.utime(model / "model.safetensors", (0, 0))  # as if trained again in the meantime
    assert parts in refusal(clips, "--model", model, "--output", output)
    assert not output.exists()


def test_parts_of_other_clips_of_another_folder_or_of_more_processes_are_of_another_job(dataset, tmp_path, monkeypatch):
    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    options = parser.parse_args(["clips", "--model", MODEL, "--output", "preds.csv"])
    jobs = [many_clips.describe_job(options, clips) for clips in (dataset, dataset, dataset.select(range(2)))]
    monkeypatch.setattr(PartialState(), "num_processes", 2)
    jobs.append(many_clips.describe_job(options, dataset))
    monkeypatch.chdir(tmp_path)
    jobs.append(many_clips.describe_job(options, dataset))
    assert jobs[0] == jobs[1]
    assert len(set(map(str, jobs))) == 4


def test_many_parts_are_put_together_in_their_order_and_rows_without_a_name_are_numbered(tmp_path):
    schema = prediction_table.table_schema([])
    for rank, number in [(1, 0), *((0, number) for number in range(12))]:
        rows = [{"duration": 100 * rank + number}, {"file": "a.wav", "error": "silent"}]
        write_part(tmp_path, rank, pa.Table.from_pylist(rows, schema))
    assert (rows_done(tmp_path, 0), rows_done(tmp_path, 1), rows_done(tmp_path, 2)) == (24, 2, 0)
    output = tmp_path.with_suffix(".parquet")
    assert merge_parts(tmp_path, output, schema) == "26 clips, 13 with errors"
    nameless = rows_of(output)[::2]
    assert [row["duration"] for row in nameless] == [*range(12), 100]
    assert [row["file"] for row in nameless] == [str(number) for number in range(0, 26, 2)]


@pytest.mark.slow
def test_two_processes_write_what_one_writes(clips, tmp_path):
    whole = table(clips, output=tmp_path / "one.parquet")
    output = tmp_path / "two.parquet"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "ser", "predict", str(clips), "--model", MODEL, "--output", str(output)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"9 clips, 2 with errors: {output}"]
    rows = rows_of(output)
    assert [row["file"] for row in rows] == [row["file"] for row in whole]
    for row, other in zip(figures(rows), figures(whole), strict=True):
        assert row == pytest.approx(other, abs=1e-5)


def test_a_chunk_is_bounded_in_clips_and_in_seconds(clips, monkeypatch):
    _, extractor = load_trained(MODEL)
    second = {"path": str(clips / "clip3.wav"), "bytes": None}, "speaker"
    endless = iter(lambda: second, None)
    monkeypatch.setattr(many_clips, "CHUNK_CLIPS", 4)
    assert len(many_clips.read_chunk(endless, extractor)) == 4
    monkeypatch.setattr(many_clips, "CHUNK_SECONDS", 2.0)
    assert len(many_clips.read_chunk(endless, extractor)) == 2


def test_batches_have_clips_of_like_length_and_fit_their_budget():
    durations = dict(enumerate(np.random.default_rng(0).uniform(0.1, 12, 200))) | {200: 3600.0}
    groups = list(many_clips.batches(durations))
    assert sorted(sum(groups, [])) == sorted(durations)
    assert groups[-1] == [200]  # a clip beyond the budget is alone
    assert all(durations[group[-1]] * len(group) <= many_clips.BATCH_SECONDS for group in groups[:-1])
    assert sum(groups, []) == sorted(durations, key=durations.get)


def test_other_models_are_served_and_untrained_ones_refused(tmp_path):
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(16,), num_labels=12,
        conv_stride=(5,), conv_kernel=(10,), num_feat_extract_layers=1, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    Wav2Vec2ForSequenceClassification(config).save_pretrained(tmp_path / "trained")
    Wav2Vec2Model(config).save_pretrained(tmp_path / "untrained")
    for name in ("trained", "untrained"):
        Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / name)
    for number in range(2):
        soundfile.write(tmp_path / f"clip{number}.wav", voice(seed=number), RATE)
    rows = table(tmp_path, output=tmp_path / "preds.parquet", model=str(tmp_path / "trained"))
    assert list(rows[0])[5:-1] == [f"LABEL_{index}" for index in range(12)]
    classifier = pipeline("audio-classification", model=str(tmp_path / "trained"), top_k=None)
    for row in rows:
        answer = classifier(soundfile.read(row["file"], dtype="float32")[0])
        assert row == pytest.approx(row | {entry["label"]: entry["score"] for entry in answer}, abs=1e-5)
    options = "--model", tmp_path / "untrained", "--output", tmp_path / "more.csv"
    assert "was never trained" in refusal(tmp_path, *options)
    config = json.loads((tmp_path / "trained/config.json").read_text()) | {"problem_type": "multi_label_classification"}
    (tmp_path / "trained/config.json").write_text(json.dumps(config))
    options = "--model", tmp_path / "trained", "--output", tmp_path / "more.csv"
    assert "does not choose one label out of several" in refusal(tmp_path, *options)


@pytest.mark.parametrize("name", ["file", "error", "score", "label"])
def test_a_label_with_the_name_of_a_column_is_refused(clips, tmp_path, name):
    model = shutil.copytree(MODEL, tmp_path / "model")
    config = (model / "config.json").read_text().replace('"anger"', f'"{name}"')
    (model / "config.json").write_text(config)
    said = refusal(clips, "--model", model, "--output", tmp_path / "preds.csv")
    assert f"the model has a label '{name}', which is also another column of the table: rename the label" in said


def test_code_beside_a_model_is_not_run(clips, tmp_path):
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w')")
    config = {"model_type": "unheard", "auto_map": dict.fromkeys(("AutoConfig", "AutoFeatureExtractor"), "code.Code")}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    assert "expected a model folder or Hub id" in refusal(
        clips, "--model", tmp_path, "--output", tmp_path / "preds.csv"
    )
    assert not (tmp_path / "trace").exists()


def test_silence_has_no_emotion(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    (row,) = table(tmp_path / "silence.wav", output=tmp_path / "preds.parquet")
    assert (row["label"], row["duration"]) == (None, 1.0) and row["error"].startswith("the clip is silent: check")


def test_a_stop_by_hand_says_how_to_go_on(clips, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(torch_predict, "predict_chunk", stopped)
    answer = refusal(clips, "--model", MODEL, "--output", tmp_path / "preds.csv")
    assert answer == "ser predict: stopped; finished rows are kept: run the same command again to continue"


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["nowhere"], "there is no file, folder or match of 'nowhere'"),
        (["nothing*.wav"], "there is no file, folder or match of 'nothing*.wav'"),
        (
            ["silent"],
            "there is no audio file (.wav, .flac, .ogg, .mp3 or another kind) below 'silent'",
        ),
        (["{clips}", "--output", "preds.txt"], "expected --output to end in .csv or .parquet; got 'preds.txt'"),
        (["{clips}", "--output", "there.csv"], "'there.csv' is there already"),
        (["{clips}", "--output", "there.csv/preds.csv"], "cannot be written"),
        (["{clips}", "--model", "silent"], "expected a model folder or Hub id; 'silent' is neither"),
        (["{clips}", "--revision", "v1"], "is a folder, which has no revisions; leave --revision out, or name a Hub"),
        (["{clips}", "--revision", "v1", "--backend", "onnx"], "is a folder, which has no revisions; leave --revision"),
        (["{clips}", "--split", "test"], "--split is for a dataset, and '{clips}' is not one: leave it out"),
        (
            ["{clips}/clip1.wav", "--streaming", "--backend", "onnx"],
            "--streaming is for a dataset, and '{clips}/clip1.wa",
        ),
        (["saved"], "expected --split to be one of train, test; got None"),
        (["saved", "--split", "dev"], "expected --split to be one of train, test; got dev"),
        (["saved", "--split", "test"], "expected --audio_column to be one of path"),
        (["saved", "--split", "train", "--audio_column", "path"], "it has no rows"),
        (["--dataset", "silent"], "dataset 'silent' cannot be read"),
        (["--dataset", "user/unheard", "--streaming"], "dataset 'user/unheard' cannot be read"),
    ],
)
def test_bad_commands_end_in_one_sentence(clips, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    Path("silent").mkdir()
    Path("there.csv").touch()
    texts = datasets.Dataset.from_dict({"path": ["a.wav"]})
    datasets.DatasetDict({"train": texts.filter(lambda row: False), "test": texts}).save_to_disk("saved")
    arguments = [argument.format(clips=clips) for argument in arguments]
    answer = refusal("--model", MODEL, "--output", "preds.parquet", *arguments)
    assert answer.startswith("ser predict: ") and sentence.format(clips=clips) in answer
    assert "\n" not in answer
    assert not Path("preds.parquet").exists()


@pytest.mark.parametrize("backend", ["torch", "onnx"])
@pytest.mark.parametrize("arguments", [[], ["clips", "--dataset", "user/name"]])
def test_input_and_dataset_exclude_each_other(arguments, backend):
    with pytest.raises(SystemExit, match="expected either INPUT or --dataset"):
        main(["predict", *arguments, "--backend", backend, "--output", "preds.csv"])


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> Path:
    """Clips of CREMA-D in all lengths from a second on, and one that is none."""
    folder = tmp_path_factory.mktemp("examples")
    speech = [load_audio(path, sampling_rate=RATE) for path in sorted((ROOT / "ser/examples/crema-d").glob("*.ogg"))]
    for number in range(24):
        clip = speech[number % 6][400 * number :][: RATE + 2000 * number]
        soundfile.write(folder / f"clip{number:02}.wav", clip, RATE)
    (folder / "clip07b.wav").touch()
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_labels_are_those_of_float32_and_probabilities_nearly(examples, tmp_path, monkeypatch, workers):
    model = str(ROOT / "checkpoints/flagship-bilingual")
    with monkeypatch.context() as patch:
        patch.setattr(CNNForAudioClassification, "quick_logits", lambda self, **inputs: self(**inputs).logits)
        exact = table(examples, output=tmp_path / "exact.parquet", model=model)
    monkeypatch.setattr(many_clips, "MANY", 1)
    monkeypatch.setattr(many_clips, "workers_for", lambda *_: workers)
    monkeypatch.setattr(many_clips, "SLICE", 5)
    rows = table(examples, output=tmp_path / "preds.parquet", model=model)
    assert len(rows) == 25 and "could not be decoded" in rows[8]["error"]
    for row, expected in zip(rows, exact, strict=True):
        assert all(row[name] == expected[name] for name in ("file", "duration", "label", "certain", "error"))
        assert figures([row])[0] == pytest.approx(figures([expected])[0], abs=0.005)


def test_what_stops_a_worker_is_said_in_one_sentence(dataset, tmp_path, monkeypatch):
    def unreachable(*_):
        raise OSError("the Hub cannot be reached")

    dataset.save_to_disk(tmp_path / "saved")
    monkeypatch.setattr(many_clips, "workers_for", lambda *_: 2)
    monkeypatch.setattr(many_clips, "read_chunk", unreachable)
    output = ("--audio_column", "sound", "--output", tmp_path / "preds.csv")
    said = "ser predict: the Hub cannot be reached; finished rows are kept: run the same command again"
    assert refusal(tmp_path / "saved", "--model", MODEL, *output) == said


def test_a_killed_worker_is_named_and_the_job_goes_on(clips, tmp_path, monkeypatch):
    def killed(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(many_clips, "workers_for", lambda *_: 2)
    with monkeypatch.context() as patch:
        patch.setattr(many_clips, "read_chunk", killed)
        answer = refusal(clips, "--model", MODEL, "--output", tmp_path / "preds.csv")
    assert answer.startswith("ser predict: a worker process was killed") and "run the same command again" in answer
    assert "\n" not in answer
    main(["predict", str(clips), "--model", MODEL, "--output", str(tmp_path / "preds.csv")])


@pytest.mark.parametrize(
    ("clips", "processes", "here", "workers"),
    [(127, 1, None, 0), (128, 1, None, 8), (128, 1, "0", 8), (128, 1, "x", 8), (128, 4, "2", 4), (128, 8, None, 0)],
)
def test_workers_take_the_cores_that_processes_leave_and_few_clips_need_none(
    clips, processes, here, workers, monkeypatch
):
    monkeypatch.setattr(many_clips, "cores", lambda: 8)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if here:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", here)
    assert many_clips.workers_for(clips, processes) == workers
