"""`train.py` as a user runs it, on the clips of four actors."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from conftest import RATE
from conftest import ROOT
from conftest import voice
from conftest import write_corpus
from transformers import AutoModelForAudioClassification
from transformers import TrainingArguments
from transformers import pipeline

from ser.corpora import load_crema_d
from ser.corpora.splits import fixed_share
from ser.reporting import provenance
from ser.reporting.report_file import REPORT
from ser.training import command as script
from ser.training.arguments import SERTrainingArguments
from ser.training.arguments import parse_arguments
from ser.training.distillation import load_teacher
from ser.training.run import for_inference
from ser.training.run import push
from ser.training.run import train as train_run
from ser.training.run import training_targets
from ser.training.run_identity import RUN_FILE
from ser.training.run_identity import RunIdentity
from ser.training.run_identity import check_same_run
from ser.training.run_identity import refuse_to_overwrite
from ser.training.run_identity import trained_name
from ser.training.setup import prepare


def train(*arguments: str, cwd) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HOME": str(cwd / "hf")}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


FINISHED = ("--recipe", "cnn1d", "--num_train_epochs", "2", "--seed", "3", "--model", '{"channels": [8, 16, 16]}')
FINISHED += ("--feature_extractor", '{"hop_length": 512}')


@pytest.fixture(scope="module")
def finished(small_corpus, tmp_path_factory):
    """A folder in which two epochs of `cnn1d` were trained."""
    folder = tmp_path_factory.mktemp("run")
    done = train(*FINISHED, "--data_dir", str(small_corpus), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_a_run_leaves_a_complete_report(finished):
    folder, done = finished
    report = folder / "results/cnn1d/tfds/seed-3"
    assert {path.name for path in report.iterdir()} == {
        "results.json",
        "predictions.csv",
        "curves.png",
        "reliability.png",
        "confusion.png",
        "confusion_normalized.png",
        "listeners.png",
    }
    results = json.loads((report / "results.json").read_text())
    assert (results["recipe"], results["protocol"], results["seed"]) == ("cnn1d", "tfds", 3)
    assert (results["test_clips"], results["test_actors"]) == (82, 1)
    assert [results["parts"][name]["clips"] for name in ("train", "dev", "test")] == [163, 82, 82]
    for name in ("accuracy", "uar", "macro_f1", "weighted_f1"):
        assert 0 <= results[name] <= 1
        assert results["parts"]["train"][name] is not None
    assert results["interval_over"] == "clips"  # there is one test actor only
    assert results["interval_95"]["accuracy"][0] <= results["accuracy"] <= results["interval_95"]["accuracy"][1]
    assert np.trace(results["confusion_matrix"]) / 82 == pytest.approx(results["accuracy"])
    assert results["parameters"] > 0
    assert 0.2 < results["human_single_vote_accuracy"] < 0.6
    assert results["versions"]["torch"].startswith("2.13.0")
    assert results["wall_time_seconds"] > 0
    assert results["best_epoch"] in (1.0, 2.0)
    for picture in report.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert "of 82 test clips (95 % interval over clips" in done.stdout
    assert "macro F1" in done.stdout and "precision  recall     F1  clips" in done.stdout
    assert "most confused: " in done.stdout and str(Path("results/cnn1d/tfds/seed-3")) in done.stdout


def test_predictions_and_scores_agree(finished):
    report = finished[0] / "results/cnn1d/tfds/seed-3"
    header, *rows = (line.split(",") for line in (report / "predictions.csv").read_text().splitlines())
    assert header == ["clip", "label", "anger", "disgust", "fear", "happy", "neutral", "sad"]
    hits = [header[2 + int(np.argmax([float(value) for value in row[2:]]))] == row[1] for row in rows]
    assert np.mean(hits) == pytest.approx(json.loads((report / "results.json").read_text())["accuracy"], abs=0.015)


def test_the_saved_model_gives_the_reported_predictions(finished, small_corpus):
    folder, _ = finished
    header, *rows = (
        line.split(",") for line in (folder / "results/cnn1d/tfds/seed-3/predictions.csv").read_text().splitlines()
    )
    classifier = pipeline("audio-classification", model=str(folder / "runs/cnn1d/tfds/seed-3/model"))
    for name, _, *reported in rows[::10]:
        scores = {entry["label"]: entry["score"] for entry in classifier(str(small_corpus / f"{name}.ogg"))}
        assert [scores[label] for label in header[2:]] == pytest.approx([float(value) for value in reported], abs=1e-4)


def test_the_model_folder_is_loadable_and_holds_no_pickle(finished):
    folder = finished[0] / "runs/cnn1d/tfds/seed-3/model"
    names = {path.name for path in folder.iterdir()}
    assert {"model.safetensors", "config.json", "preprocessor_config.json", "pipeline_ser.py", "README.md"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"] == dict(enumerate_as_text(["anger", "disgust", "fear", "happy", "neutral", "sad"]))
    assert config["channels"] == [8, 16, 16]
    saved = json.loads((folder / "preprocessor_config.json").read_text())
    assert saved["hop_length"] == 512
    assert len(saved["mean"]) == 7
    card = (folder / "README.md").read_text()
    assert str(finished[0]) not in (folder / "config.json").read_text() + card
    assert "library_name: transformers" in card
    assert "82 test clips" in card


@pytest.mark.slow
def test_a_run_is_repeated_with_its_dev_split_to_train_on(finished, small_corpus, monkeypatch):
    folder, _ = finished
    arguments = ["--recipe", "cnn1d", "--data_dir", str(small_corpus), "--num_train_epochs", "2", "--refit"]
    arguments += ["--model", '{"channels": [8, 16, 16]}', "--feature_extractor", '{"hop_length": 512}']
    earlier = folder / "results/cnn1d/tfds/seed-3/results.json"
    before = json.loads(earlier.read_text()) | {"best_epoch": 1.0}
    earlier.write_text(json.dumps(before))
    done = train(*arguments, "--seed", "3", cwd=folder)
    assert done.returncode == 0, done.stderr
    report = folder / "results/cnn1d/tfds/refit-seed-3"
    results = json.loads((report / "results.json").read_text())
    assert {name: part["clips"] for name, part in results["parts"].items()} == {"train": 163 + 82, "test": 82}
    assert results["temperature"] == before["temperature"] and results["best_epoch"] is None
    assert results["history"][-1]["epoch"] == 1
    assert not any("eval_uar" in entry for entry in results["history"])
    assert (report / "curves.png").read_bytes().startswith(b"\x89PNG")
    model = AutoModelForAudioClassification.from_pretrained(folder / "runs/cnn1d/tfds/refit-seed-3/model")
    assert model.config.calibration_temperature == before["temperature"]
    monkeypatch.chdir(folder)
    teacher = "runs/cnn1d/tfds/seed-3/model"
    for other, message in (
        (["--seed", "4"], r"run the command with --refit False first \(results/cnn1d/tfds/seed-4/results.json\)"),
        (["--seed", "3", "--learning_rate", "0.1"], "expects the settings of the run before it; that was python train"),
        (
            ["--seed", "3", "--teachers", teacher],
            "run the command with --refit False .*/distilled-seed-3/results.json",
        ),
        (["--seed", "3", "--lr_scheduler_type", "reduce_lr_on_plateau"], "no dev split to lower the learning rate by"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(parse_arguments([*arguments, *other, "--output_dir", "runs/again"]))


@pytest.mark.slow
def test_a_student_learns_from_teachers_of_the_same_splits_only(finished, small_corpus, monkeypatch):
    folder, _ = finished
    network = ("--model", '{"channels": [8, 16, 16]}', "--feature_extractor", '{"hop_length": 512}')
    arguments = ("--recipe", "cnn1d", "--data_dir", str(small_corpus), "--num_train_epochs", "1", *network)
    teachers = ("--teachers", "runs/cnn1d/tfds/seed-3/model")
    done = train(*arguments, *teachers, "--teacher_share", "0.7", cwd=folder)
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "results/cnn1d/tfds/distilled-seed-0/results.json").read_text())
    assert results["teachers"] == ["ser-cnn1d"]
    assert "--teachers DIR" in results["command"]
    card = (folder / "runs/cnn1d/tfds/distilled-seed-0/model/README.md").read_text()
    assert "Distilled from ser-cnn1d, trained on the same split." in card
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="with protocol tfds, this run has random: take teachers .* --teacher_share 0"):
        prepare(parse_arguments([*arguments, *teachers, "--protocol", "random"]))
    alone = prepare(parse_arguments([*arguments, *teachers, "--protocol", "random", "--teacher_share", "0"]))
    assert len(np.unique(training_targets(alone))) == 2  # labels and their smoothing
    more = (*arguments, *teachers, "--teacher_share", "0.2", "--output_dir", "runs/again")
    with pytest.raises(ValueError, match=r"distilled-seed-0 holds the report of another run \(python train.py .* 0.7"):
        prepare(parse_arguments(list(more)))
    another = shutil.copytree("runs/cnn1d/tfds/seed-3/model", folder / "another")
    (another / REPORT).write_text(json.dumps(json.loads((another / REPORT).read_text()) | {"recipe": "cnn2d"}))
    more = (*arguments, "--teachers", str(another), "--teacher_share", "0.7", "--output_dir", "runs/again")
    with pytest.raises(ValueError, match="holds the report of another run .*, with the teachers ser-cnn1d"):
        prepare(parse_arguments(list(more)))
    student = prepare(parse_arguments([*arguments[:-4], *teachers, "--seed", "1"]))  # it reads other features
    targets = training_targets(student)
    assert targets.shape == (163, 6)
    assert targets.sum(1) == pytest.approx(1, abs=1e-5)
    assert len(np.unique(targets.round(4))) > 100  # no longer two values, of labels and their smoothing
    with pytest.raises(ValueError, match="has other labels than this run"):
        load_teacher(teachers[1], student.identity.split, ["calm", "angry"])
    with pytest.raises(ValueError, match="--teachers: expected a model folder with its results.json; got 'nowhere'"):
        prepare(parse_arguments([*arguments, "--teachers", "nowhere", "--seed", "1"]))


def test_inference_may_override_the_front_end_of_training(tmp_path):
    for actor in (1001, 1010, 1015):
        for code in ("ANG", "SAD"):
            clip = np.pad(voice(1.0), RATE)  # a second of silence before and after
            soundfile.write(tmp_path / f"{actor}_DFA_{code}_XX.wav", clip, RATE)
    arguments = ["--recipe", "flagship-distilled", "--teacher_share", "0", "--data_dir", str(tmp_path)]
    arguments += ["--output_dir", str(tmp_path / "run"), "--results_dir", str(tmp_path / "results")]
    arguments += ["--cache_dir", str(tmp_path / "cache")]
    run = prepare(parse_arguments(arguments))
    used = for_inference(run)
    frames = {name: len(each.splits["dev"]["features"][0]) // 80 for name, each in (("run", run), ("used", used))}
    assert frames["run"] == 1 + 3 * RATE // 256
    assert abs(frames["used"] - 1.4 * RATE // 256) < 6
    assert used.splits["test"]["clip"][:] == run.splits["test"]["clip"][:]
    assert used.extractor.mean == run.extractor.mean
    assert run.extractor.trim_db is None and used.extractor.trim_db == 35.0
    asked = prepare(parse_arguments([*arguments, "--feature_extractor", '{"trim_db": 50.0, "trim_margin": 0.1}']))
    assert for_inference(asked) is asked
    plain = prepare(parse_arguments(["--recipe", "cnn2d", *arguments[4:]]))
    assert for_inference(plain) is plain

    for name, trims in (("teachers/flagship-distilled", True), ("cnn2d", False)):  # as is one that goes on
        model = shutil.copytree(ROOT / "checkpoints" / name, tmp_path / "models" / name)
        report = json.loads((model / REPORT).read_text())
        report["refit"] = False  # as it was before it was trained on the dev split
        (model / REPORT).write_text(json.dumps(report))
        tuned = [*arguments[4:], "--model_name_or_path", str(model), "--protocol", "tfds"]
        run = prepare(parse_arguments(["--recipe", "flagship-distilled", "--teacher_share", "0", *tuned]))
        assert run.extractor.trim_db is None
        assert for_inference(run).extractor.trim_db == (35.0 if trims else None)
        by_another_recipe = prepare(parse_arguments(["--recipe", "cnn2d", *tuned]))
        assert by_another_recipe.extractor.trim_db == (35.0 if trims else None)
        assert for_inference(by_another_recipe) is by_another_recipe
        changed = ["--feature_extractor", '{"subtract_noise": true}']
        quieter = prepare(parse_arguments(["--recipe", "cnn2d", *tuned, *changed]))
        assert quieter.extractor.to_dict() == by_another_recipe.extractor.to_dict() | {"subtract_noise": True}
    for asked, message in (
        ('{"n_mels": 40}', "--feature_extractor: the trained model needs its own n_mels, 80; leave it out"),
        ('{"trim": 40}', r"--feature_extractor has unknown fields \['trim'\]"),
        ('{"trim_db": "a"}', "--feature_extractor: expected trim_db as a number"),
        ('{"mean": null}', "--feature_extractor: normalization 'corpus' here needs a mean and std; give both"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(parse_arguments(["--recipe", "cnn2d", *tuned, "--feature_extractor", asked]))
    with pytest.raises(ValueError, match="--model describes a new network; leave it out"):
        prepare(parse_arguments(["--recipe", "cnn2d", *tuned, "--model", '{"dropout": 0.1}']))


def enumerate_as_text(names):
    return [(str(index), name) for index, name in enumerate(names)]


@pytest.mark.slow
def test_a_run_goes_on_from_its_last_checkpoint_and_never_mixes_with_another(finished, small_corpus, monkeypatch):
    folder, _ = finished
    monkeypatch.chdir(folder)
    command = (*FINISHED, "--data_dir", str(small_corpus))
    with pytest.raises(ValueError, match="holds the checkpoints of an earlier run; continue it with --resume_from"):
        prepare(parse_arguments([*command]))
    command += ("--resume_from_checkpoint", "last")
    output = Path("runs/cnn1d/tfds/seed-3")
    for other in (
        ("--num_train_epochs", "3"),
        ("--learning_rate", "0.01"),
        ("--seed", "4", "--output_dir", str(output)),
    ):
        with pytest.raises(ValueError, match=r"checkpoint-\d+ was trained by another command \(python .* start again"):
            prepare(parse_arguments([*command, *other]))
    before = json.loads(Path("results/cnn1d/tfds/seed-3/results.json").read_text())
    done = train(*command, cwd=folder)
    assert done.returncode == 0, done.stderr
    after = json.loads(Path("results/cnn1d/tfds/seed-3/results.json").read_text())
    epochs = [[entry["epoch"] for entry in results["history"] if "eval_uar" in entry] for results in (before, after)]
    assert epochs == [[1, 2], [1, 2]]
    assert (after["accuracy"], after["command"]) == (before["accuracy"], before["command"])
    assert "Extracting features" not in done.stderr  # cached
    slower = shutil.copytree(output, Path("runs/slower"))
    run = json.loads((slower / "run.json").read_text())
    (slower / "run.json").write_text(json.dumps(run | {"command": run["command"] + " --learning_rate 0.01"}))
    with pytest.raises(ValueError, match="holds the report of another run"):
        prepare(parse_arguments([*command, "--learning_rate", "0.01", "--output_dir", str(slower)]))


def test_an_interruption_says_how_to_go_on(monkeypatch, tmp_path):
    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["train.py", "--recipe", "cnn1d"])
    monkeypatch.setattr(script, "prepare", interrupt)
    with pytest.raises(SystemExit, match="stopped before the training began; the same command starts again"):
        script.main()
    arguments = SERTrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    monkeypatch.setattr(script, "prepare", lambda *_: SimpleNamespace(training=arguments))
    monkeypatch.setattr(script, "train", interrupt)
    with pytest.raises(SystemExit, match="stopped before a checkpoint was written; the same command starts again"):
        script.main()
    monkeypatch.setattr(script, "last_checkpoint", lambda *_, **__: "checkpoint-1")
    with pytest.raises(SystemExit, match="the same command with --resume_from_checkpoint last continues"):
        script.main()


def test_a_training_that_diverges_ends_in_one_sentence(monkeypatch, tmp_path):
    write_corpus(tmp_path / "clips/calm", [f"c{number}" for number in range(15)])
    write_corpus(tmp_path / "clips/cross", [f"x{number}" for number in range(15)])
    command = ["train.py", "--recipe=cnn1d", f"--dataset_dir={tmp_path / 'clips'}", "--protocol=random", "--use_cpu"]
    monkeypatch.setattr(sys, "argv", [*command, "--learning_rate=1e30", "--max_grad_norm=0", "--num_train_epochs=3"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"train.py: (eval_)?loss is nan .* --learning_rate below 1e\+30"):
        script.main()
    assert not (tmp_path / "results").exists()


def test_a_push_without_room_on_the_disk_leaves_the_model_and_the_command_for_later(monkeypatch):
    def full(*_, **__) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ser.training.run.push_model", full)
    run = SimpleNamespace(model_dir=Path("runs/model"), repo_id="user/x")
    run.training = SimpleNamespace(hub_token=None, hub_revision=None)
    with pytest.raises(ConnectionError, match="in runs/model; later: python -m ser push model runs/model user/x"):
        push(run)


def test_a_commit_is_dirty_where_the_code_was_changed_and_not_where_results_were(tmp_path, monkeypatch):
    def git(*arguments: str) -> str:
        author = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(tmp_path), *author, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    assert provenance.git_commit() is None
    code = [tmp_path / name for name in ("ser/provenance.py", "train.py", "requirements.txt")]
    results = tmp_path / "results/results.json"
    for path in (*code, results):
        path.parent.mkdir(exist_ok=True)
        path.write_text("as committed")
    git("init")
    git("add", ".")
    git("commit", "--message", "all")
    results.write_text("changed")
    assert provenance.git_commit() == git("rev-parse", "HEAD")
    for path in code:
        path.write_text("changed")
        assert provenance.git_commit() == git("rev-parse", "HEAD") + "-dirty"
        path.write_text("as committed")


def test_the_report_of_another_run_is_kept(tmp_path):
    this = json.loads((ROOT / "checkpoints/cnn1d/results.json").read_text()) | {"labels": ["a", "b"]}
    this |= {"command": "python train.py --recipe cnn1d --dataset_name DIR --label_column arousal"}
    this |= {"fine_tuned_from": None, "weights_before": None, "teachers": []}
    (tmp_path / REPORT).write_text(json.dumps(this))
    assert refuse_to_overwrite(tmp_path, RunIdentity.from_report(this)) is None
    for other in (
        {"command": this["command"].replace("arousal", "valence")},
        {"labels": ["a", "c"]},
        {"fine_tuned_from": "ser-cnn1d"},
        {"weights_before": "0123456789abcdef"},
        {"teachers": ["ser-cnn1d"]},
    ):
        with pytest.raises(ValueError, match="holds the report of another run"):
            refuse_to_overwrite(tmp_path, RunIdentity.from_report(this | other))


def test_a_checkpoint_is_gone_on_from_by_its_own_run_only(tmp_path):
    this = {"recipe": "cnn1d", "corpus": "CREMA-D", "protocol": "tfds", "seed": 0, "processes": 1, "labels": ["a", "b"]}
    this["command"] = "python train.py --recipe cnn1d --data_dir DIR"
    (tmp_path / RUN_FILE).write_text(json.dumps(this))
    assert check_same_run(str(tmp_path / "checkpoint-1"), RunIdentity.from_report(this)) is None
    with pytest.raises(ValueError, match="checkpoint-1 was trained with fold None, this run has 2: start again"):
        check_same_run(str(tmp_path / "checkpoint-1"), RunIdentity.from_report(this | {"fold": 2}))
    changed = {"command": f"{this['command']} --learning_rate 0.5"}
    for other in ({"recipe": "cnn2d"}, {"variant": "votes"}, {"seed": 1}, {"processes": 2}, changed):
        with pytest.raises(ValueError, match="checkpoint-1 was trained by another command"):
            check_same_run(str(tmp_path / "checkpoint-1"), RunIdentity.from_report(this | other))


def test_a_report_of_an_older_version_is_of_the_same_run():
    report = json.loads((ROOT / "results/cnn1d/tfds/seed-0/results.json").read_text())
    this = RunIdentity.from_report(report)
    assert RunIdentity.from_report(this.report_fields()) == this
    lacking = {"contains", "processes", "weights_before", "teachers", "fine_tuned_from", "refit"}
    older = {name: value for name, value in report.items() if name not in lacking} | {"held_out": None}
    assert not this.differences(RunIdentity.from_report(older))


@pytest.mark.parametrize(
    ("fields", "name"),
    [({}, ""), ({"refit": True}, " (refit)"), ({"held_out": 2}, "")],
)
def test_a_model_is_called_by_its_recipe(tmp_path, fields, name):
    report = json.loads((ROOT / "checkpoints/cnn1d/results.json").read_text()) | {"refit": False}
    (tmp_path / REPORT).write_text(json.dumps(report | fields))
    assert trained_name(str(tmp_path)) == f"ser-cnn1d{name}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "cnn1d", "--data_dir", "nowhere"], "there is none; check --data_dir"),
        (["--recipe", "cnn1d", "--data_dir", "clips"], "the tfds protocol leaves no clips for dev and test"),
        (["--recipe", "cnn1d", "--data_dir", "clips", "--protocol", "actor-5fold"], "expected --fold between 1 and 5"),
        (
            ["--recipe", "cnn1d", "--data_dir", "clips", "--share_of_clips", "0.5"],
            "--share_of_clips 0.5 keeps 1 clip: the tfds protocol leaves no clips for",
        ),
        (["--recipe", "cnn1d", "--data_dir", "clips", "--model", "{dropout}"], "expected --model as JSON"),
        (["--recipe", "cnn1d", "--data_dir", "clips", "--gain_db", "3"], "gain_db needs images of log_mel"),
        (
            ["--recipe", "cnn1d", "--data_dir", "clips", "--feature_extractor", '{"nmels": 3}'],
            "--feature_extractor has unknown fields ['nmels']",
        ),
    ],
)
def test_wrong_arguments_end_in_one_sentence(arguments, message, tmp_path, monkeypatch):
    write_corpus(tmp_path / "clips", ["1001_DFA_ANG_XX", "1001_DFA_HAP_XX"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as caught:
        prepare(parse_arguments([*arguments, "--cache_dir", str(tmp_path / "cache")]))
    assert message in str(caught.value)


@pytest.mark.slow
def test_waveform_augmentation_plateau_and_another_dataset(small_corpus, tmp_path):
    """The other half of the options, in one short run on a dataset without actors."""
    clips = load_crema_d(small_corpus, cache_dir=tmp_path / "cache").select_columns(["audio", "label"])
    renamed = clips.select(range(0, len(clips), 2)).rename_columns({"audio": "sound", "label": "mood"})
    renamed.save_to_disk(tmp_path / "dataset")
    run = prepare(
        parse_arguments(
            [
                *("--recipe", "cnn2d", "--dataset_name", str(tmp_path / "dataset"), "--audio_column", "sound"),
                *("--label_column", "mood", "--protocol", "random", "--split_seed", "1", "--max_steps", "4"),
                *("--model", '{"channels": [4, 8], "pool_sizes": 4}', "--waveform_probability", "0.5"),
                *("--lr_scheduler_type", "reduce_lr_on_plateau", "--eval_strategy", "steps", "--eval_steps", "2"),
                *("--save_strategy", "steps", "--save_steps", "2", "--output_dir", str(tmp_path / "run")),
                *("--results_dir", str(tmp_path / "results"), "--disable_tqdm", "True"),
            ]
        )
    )
    assert run.training.lr_scheduler_kwargs == {"mode": "max"}
    results = train_run(run)
    assert run.name == "cnn2d/dataset-random/split-1-seed-0"
    assert sum(part["clips"] for part in results["parts"].values()) == len(renamed)
    assert results["human_single_vote_accuracy"] is None and results["human_confusion_matrix"] is None
    assert set(results["groups"]) == {"duration", "level"}  # the official file names are recognised
    assert json.loads((run.results_dir / "results.json").read_text())["split_seed"] == 1


def changed_copies(run) -> float:
    """The share of the clips whose copy is another sound."""
    return changed_copies_of(row for name in ("train", "test") for row in run.splits[name])


def changed_copies_of(clips) -> float:
    """The same of some rows."""
    rows = {(row["clip"], row["copy"]): row["features"] for row in clips}
    return np.mean([rows[clip, 0] != rows[clip, 1] for clip, copy in rows if copy])


@pytest.mark.slow
def test_leaky_copies_are_augmented_once_before_the_split_and_called_invalid(small_corpus, tmp_path):
    arguments = [
        *("--recipe", "zcr-energy-1d", "--data_dir", str(small_corpus), "--protocol", "leaky"),
        *("--model", '{"channels": [4, 4]}', "--max_steps", "1", "--cache_dir", str(tmp_path / "cache")),
        *("--output_dir", str(tmp_path / "run"), "--results_dir", str(tmp_path / "results")),
        *("--eval_strategy", "steps", "--eval_steps", "1", "--save_strategy", "steps", "--save_steps", "1"),
    ]
    run = prepare(parse_arguments(arguments))
    assert changed_copies(run) > 0.9
    rarely = prepare(parse_arguments([*arguments, "--changed_copies", "False", "--waveform_probability", "0.01"]))
    assert changed_copies(rarely) < 0.2  # and not those of before, out of the cache
    assert rarely.augmentation.waveform_probability == 0
    results = train_run(run)
    assert results["valid"] is False
    assert results["leakage"]["train and test"]["clips"] > 0
    assert "The scores of this model are invalid" in (run.model_dir / "README.md").read_text()


def test_training_clips_have_changed_copies_and_others_have_none(small_corpus, tmp_path):
    arguments = [
        *("--recipe", "zcr-energy-1d", "--data_dir", str(small_corpus), "--protocol", "random"),
        *("--model", '{"channels": [4, 4]}', "--max_steps", "1", "--cache_dir", str(tmp_path / "cache")),
        *("--output_dir", str(tmp_path / "run"), "--results_dir", str(tmp_path / "results")),
        *("--eval_strategy", "steps", "--eval_steps", "1", "--save_strategy", "steps", "--save_steps", "1"),
    ]
    run = prepare(parse_arguments(arguments))
    train = run.splits["train"]
    assert sorted(train["copy"]) == [0] * (len(train) // 2) + [1] * (len(train) // 2)
    assert changed_copies_of(train) > 0.9
    assert not {"copy"} & {*run.splits["dev"].column_names, *run.splits["test"].column_names}
    parts = train_run(run)["parts"]
    assert parts["train"]["clips"] == len(train) // 2


def test_emodb_leaves_one_speaker_out(tmp_path):
    letters = "WLEAFTN"
    write_corpus(tmp_path / "wav", [f"{speaker}a01{letter}a" for speaker in ("03", "08", "09") for letter in letters])
    run = prepare(
        parse_arguments(
            [
                *("--recipe", "crnn-emodb", "--data_dir", str(tmp_path / "wav"), "--fold", "2", "--max_steps", "1"),
                *("--model", '{"channels": [4, 4, 4, 4], "lstm_size": 4}', "--cache_dir", str(tmp_path / "cache")),
                *("--output_dir", str(tmp_path / "run"), "--results_dir", str(tmp_path / "results")),
                *("--eval_strategy", "steps", "--eval_steps", "1", "--save_strategy", "steps", "--save_steps", "1"),
            ]
        )
    )
    assert run.name == "crnn-emodb/emodb-loso/fold-2-seed-0"
    assert {name: set(clips["speaker"]) for name, clips in run.splits.items()} == {
        "train": {"03"},
        "dev": {"09"},
        "test": {"08"},
    }
    results = train_run(run)
    assert (results["corpus"], len(results["labels"]), results["test_actors"]) == ("EmoDB", 7, 1)
    card = (run.model_dir / "README.md").read_text()
    assert "the acted German speech of EmoDB" in card
    assert "one speaker who is in neither" in card


def test_unknown_model_fields_are_refused(small_corpus, tmp_path):
    arguments = ["--recipe", "cnn1d", "--data_dir", str(small_corpus), "--cache_dir", str(tmp_path)]
    with pytest.raises(ValueError, match=r"--model has unknown fields \['drop'\]; expected fields of CNN1DConfig"):
        prepare(parse_arguments([*arguments, "--model", '{"drop": 1}']))


def test_the_command_says_what_is_wrong_without_a_traceback(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "--recipe", "cnn1d", "--data_dir", "nowhere"])
    with pytest.raises(SystemExit, match="^train.py: expected a folder with CREMA-D clips"):
        script.main()


@pytest.mark.parametrize(
    ("metric", "greater_is_better"), [("uar", True), ("eval_accuracy", True), ("loss", False), ("eval_loss", False)]
)
def test_the_direction_follows_the_metric(metric, greater_is_better):
    arguments = ["--recipe", "cnn1d", "--data_dir", "x", "--metric_for_best_model", metric]
    assert parse_arguments(arguments).training.greater_is_better is greater_is_better


def test_one_process_uses_one_gpu(monkeypatch, caplog):
    def setup(arguments):
        arguments._n_gpu = 4
        return torch.device("cpu")

    monkeypatch.setattr(TrainingArguments, "_setup_devices", property(setup))
    with caplog.at_level(logging.INFO):
        training = parse_arguments(["--recipe", "cnn1d", "--data_dir", "x"]).training
    assert training.n_gpu == 1
    assert "one of 4 GPUs is used; for all: torchrun --nproc_per_node 4 train.py" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", '{"channels": [8, 16]}'], "--model does not describe a network"),
        (["--model", '{"dropout": "high"}'], "--model does not describe a network"),
        (["--feature_extractor", '{"n_mels": "64"}'], "--feature_extractor: expected n_mels as a whole number"),
        (["--metric_for_best_model", "f1"], "expected --metric_for_best_model out of loss, accuracy, uar"),
        (["--eval_strategy", "no", "--load_best_model_at_end", "False"], "add --early_stopping_patience 0"),
        (
            ["--protocol", "leaky", "--refit", "--early_stopping_patience", "0", "--load_best_model_at_end", "False"],
            "--refit would train on the test clips",
        ),
        (["--model_dir", "clips"], "would be replaced, but holds other files; choose a new folder"),
        (["--frequency_shift", "-3"], "expected --frequency_shift of at least 0; got -3"),
        (["--waveform_probability", "2"], "expected --waveform_probability of at least 0 and at most 1; got 2"),
        (["--label_smoothing", "nan"], "expected --label_smoothing of at least 0 and at most 1; got nan"),
        (["--time_stretch", "0.9"], "expected --time_stretch of at least 0 and at most 0.5; got 0.9"),
        (["--teacher_share", "1.5"], "expected --teacher_share of at least 0 and at most 1; got 1.5"),
        (["--ema_decay", "-1"], "expected --ema_decay of at least 0 and at most 1; got -1"),
        (["--feature_extractor", '{"statistics": ["mean"]}'], "gain_db needs images of log_mel alone"),
        (["--fold", "2"], "the tfds protocol has no folds; leave out --fold"),
        (["--num_train_epochs", "nan"], "expected --num_train_epochs of at least 0; got nan"),
        (["--learning_rate", "nan"], "expected --learning_rate of at least 0; got nan"),
        (["--dataloader_num_workers", "-1"], "expected --dataloader_num_workers of at least 0; got -1"),
        (["--gradient_accumulation_steps", "0"], "expected --gradient_accumulation_steps of at least 1; got 0"),
        (["--per_device_train_batch_size", "0"], "expected --per_device_train_batch_size of at least 1; got 0"),
        (["--label_smoothing_factor", "0.1"], "set --label_smoothing, which is"),
        (["--resume_from_checkpoint", "nowhere"], "expected a checkpoint folder or 'last'"),
        (["--resume_from_checkpoint", "last"], "there is no checkpoint in"),
        (["--start_share", "0.5"], "--start_share needs the weights of a trained model: name one with"),
        (["--report_to", "smoke_signals"], "--report_to smoke_signals is not installed here"),
        (["--model_dir", "results"], "the model would replace the folder 'results', which contains the report"),
        (["--output_dir", "all", "--model_dir", "all"], "the folder 'all', which contains --output_dir"),
        (["--model_dir", "results/cnn2d/tfds/seed-0/model"], "the report would replace .* which contains the model"),
    ],
)
def test_wrong_values_end_in_one_sentence(options, message, tmp_path, monkeypatch):
    write_corpus(tmp_path / "clips", ["1001_DFA_ANG_XX", "1010_DFA_HAP_XX", "1015_DFA_SAD_XX"])
    monkeypatch.chdir(tmp_path)
    arguments = ["--recipe", "cnn2d", "--data_dir", "clips", "--cache_dir", str(tmp_path / "cache")]
    with pytest.raises(ValueError, match=message):
        prepare(parse_arguments([*arguments, *options]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--protocol", "actor-5fold", "--fold", "6"), "expected --fold between 1 and 5"),
        (("--vote_share", "0.2"), "--vote_share needs clips with listeners' votes"),
        (("--model", '{"dropout": 4}'), "--model does not describe a network"),
    ],
)
def test_what_needs_no_features_is_refused_before_they_are_extracted(tmp_path, monkeypatch, options, message):
    names = [f"{actor}_DFA_{code}_XX" for actor in (1001, 1010, 1015, 1020) for code in ("ANG", "HAP")]
    write_corpus(tmp_path / "clips", names)
    monkeypatch.setattr("ser.training.setup.with_features", lambda *_, **__: pytest.fail("features were made"))
    monkeypatch.chdir(tmp_path)  # away from the bundled reports
    with pytest.raises(ValueError, match=message):
        prepare(parse_arguments(["--recipe", "cnn1d", "--data_dir", "clips", "--cache_dir", "cache", *options]))


def test_a_share_of_the_clips_is_the_same_in_every_run_and_named(tmp_path):
    names = [f"10{actor:02}_DFA_{code}_XX" for actor in range(1, 11) for code in ("ANG", "DIS", "FEA", "HAP", "SAD")]
    write_corpus(tmp_path / "clips", names)
    clips = load_crema_d(tmp_path / "clips", cache_dir=tmp_path / "cache")
    chosen = fixed_share(clips, 0.2)["clip"][:]
    assert len(chosen) == len(set(chosen)) == 10 and chosen == sorted(chosen)
    assert fixed_share(clips, 0.2)["clip"][:] == chosen
    arguments = ["--recipe", "exponet", "--data_dir", str(tmp_path), "--share_of_clips", "0.2"]
    assert parse_arguments([*arguments, "--seed", "1"]).name == "exponet/tfds/share-0.2-seed-1"


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        ([], "results"),
        (["--share_of_clips", "0.1"], "runs/results"),
        (["--share_of_clips", "0.1", "--results_dir", "mine"], "mine"),
    ],
)
def test_the_report_of_a_trial_on_few_clips_does_not_go_to_those_in_git(options, folder):
    assert parse_arguments(["--recipe", "cnn1d", *options]).results_dir.is_relative_to(folder)


@pytest.mark.parametrize("share", [0, -0.5, 1.5, float("nan")])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(ValueError, match="expected --share_of_clips above 0 and at most 1"):
        fixed_share(None, share)
