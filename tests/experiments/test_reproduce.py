"""Which runs are planned, which are missing, and what a failed one leads to."""

import sys
from pathlib import Path

import pytest
import torch

from ser.__main__ import main
from ser.experiments import reproduce
from ser.recipes import load_recipe
from ser.recipes import recipe_names


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project folder that is also the working directory."""
    monkeypatch.setattr(reproduce, "PROJECT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_recipe_is_tested_on_known_and_on_unseen_speakers():
    for recipe in {*recipe_names()} - {*reproduce.ON_SEVERAL}:
        runs = list(reproduce.plan(recipe))
        protocols = {run.get("protocol", "loso") for run in runs if "variant" not in run}
        assert protocols - {"leaky", "actor-5fold", "new-sentences"} in (
            {"tfds"} if load_recipe(recipe).has_teachers else {"tfds", "random-70-30"},
            {"loso", "random"},
        ), recipe
    refit = {"recipe": "cnn1d", "protocol": "tfds", "refit": True}
    planned = list(reproduce.plan("cnn1d"))
    assert planned.index(refit) > planned.index({"recipe": "cnn1d", "protocol": "tfds", "seed": 0})
    assert len(list(reproduce.plan("mel-2d"))) == 7  # two protocols, three seeds, and leaky
    cnn2d, flagship, distilled = (list(reproduce.plan(name)) for name in ("cnn2d", "flagship", "flagship-distilled"))
    for plain in (planned, cnn2d):
        of_folds = [run for run in plain if "fold" in run and "refit" not in run]
        assert [run["fold"] for run in of_folds if run["protocol"] == "actor-5fold"] == [1, 2, 3, 4, 5]
        assert [run["fold"] for run in of_folds if run["protocol"] == "new-sentences"] == [1, 2, 3]
    for runs, small in ((flagship, "small-corpus"), (distilled, "fine-tuning")):
        on_crema_d, on_emodb = ([run for run in runs if ("corpus" in run) == other] for other in (False, True))
        variants = [run["variant"] for run in on_crema_d if "variant" in run and "fold" not in run]
        assert [*variants, small] == list(load_recipe(runs[0]["recipe"]).variants)
        chosen = [run for run in on_emodb if "refit" not in run]
        assert [run["fold"] for run in on_emodb if "refit" in run] == list(range(1, 11))
        assert [(run["variant"], run["corpus"], run["protocol"], run.get("fold")) for run in chosen] == [
            *((small, "emodb", "loso", fold) for fold in range(1, 11)),
            (small, "emodb", "random", None),
        ]
    folds = [run for run in distilled if "fold" in run and "corpus" not in run]
    assert {run["variant"] for run in folds} == {"labels-alone"}  # teachers know no fold
    assert all(run | {"refit": True} == again for run, again in zip(folds[::2], folds[1::2], strict=True))
    assert [run["fold"] for run in reproduce.plan("crnn-emodb") if "fold" in run] == list(range(1, 11))


def test_a_recipe_for_several_corpora_is_trained_with_and_without_each(project, commands):
    runs, names = list(reproduce.plan("flagship-multilingual")), ("crema-d", "emodb", "nemo", "urdu", "ased")
    assert [run.get("test_corpus") for run in runs] == [None, "emodb", "nemo", "urdu"]
    assert [run.get("license") for run in (runs[0], next(reproduce.plan("flagship-bilingual")))] == [
        "cc-by-nc-sa-4.0",
        None,
    ]
    corpora = dict.fromkeys(names, "clips")
    assert not reproduce.train(runs[1], corpora | {"ased": None})
    assert reproduce.train(runs[1], corpora)
    (command,) = commands
    assert command[-7:-1] == ["--corpora", *(f"{name}=clips" for name in names)]
    assert "--test_corpus=emodb" in command and not any(word.startswith("--data_dir") for word in command)
    assert not reproduce.measure_robustness(runs[1], corpora)


def test_a_slow_recipe_is_cut_down_without_a_gpu_only(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert all(run["share_of_clips"] == 0.2 for run in reproduce.plan("exponet"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not any("share_of_clips" in run for run in reproduce.plan("exponet"))


@pytest.fixture
def commands(monkeypatch):
    """The commands that would have been run, each of which went well; `ser.*` wrote what it measured."""
    ran = []

    def run(command, check):
        ran.append(list(command[1:]))
        if command[1] == "-m":
            name = {"robustness": "robustness.json", "cross-corpus": "cross_corpus.json"}[command[3]]
            name = "robustness_dev.json" if command[-1] == "--split=dev" else name
            (Path(command[4]) / name).write_text(" ".join(command[2:]))

    monkeypatch.setattr(reproduce.subprocess, "run", run)
    return ran


def test_what_has_results_is_skipped_and_what_was_started_goes_on(project, commands):
    run, corpora = {"recipe": "class-2d", "protocol": "tfds", "seed": 1}, {"crema-d": "clips", "emodb": None}
    command = [str(project / "train.py"), "--recipe=class-2d", "--protocol=tfds", "--seed=1", "--data_dir=clips"]
    command += ["--results_dir=results"]
    assert reproduce.train(run, corpora)
    assert commands.pop() == command
    checkpoint = project / "runs/class-2d/tfds/seed-1/checkpoint-10"
    checkpoint.mkdir(parents=True)
    for name in ("model.safetensors", "live_weights.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
        (checkpoint / name).touch()
    (checkpoint / "trainer_state.json").write_text('{"epoch": 1')  # killed while it wrote
    assert reproduce.train(run, corpora)
    assert commands.pop() == command
    (checkpoint / "trainer_state.json").write_text('{"epoch": 1}')
    assert reproduce.train(run, corpora)
    assert commands.pop() == [*command, "--resume_from_checkpoint=last"]
    report = project / "results/class-2d/tfds/seed-1/results.json"
    report.parent.mkdir(parents=True)
    report.write_text("{}")
    assert not reproduce.train(run, corpora)
    assert not reproduce.train({"recipe": "crnn-emodb", "fold": 1}, corpora)  # its corpus was not given
    assert not reproduce.measure_robustness(run, corpora)  # no variant
    assert not commands


def test_what_is_measured_of_a_variant_is_kept_beside_its_report(project, commands):
    name, model = "flagship-distilled", "runs/flagship-distilled/tfds/no-mixup-seed-0/model"
    run, corpora = {"recipe": name, "variant": "no-mixup", "seed": 0}, {"crema-d": "clips", "emodb": None}
    report = project / "results/flagship-distilled/tfds/no-mixup-seed-0"
    assert not reproduce.measure_robustness(run, corpora)  # there is no model
    (project / model).mkdir(parents=True)
    assert reproduce.measure_robustness(run, corpora)
    assert [command[1:3] for command in commands] == [["ser", "robustness"]] * 2
    for file, part in (("robustness.json", ""), ("robustness_dev.json", " --split=dev")):
        assert (report / file).read_text() == f"ser robustness {model} --data_dir=clips{part}"
    assert reproduce.measure_robustness(run, corpora | {"emodb": "more"})
    assert commands[2:] == [["-m", "ser", "cross-corpus", model, "--corpus=emodb", "--data_dir=more"]]
    assert (report / "cross_corpus.json").exists()
    assert not reproduce.measure_robustness(run, corpora | {"emodb": "more"})
    for other, folder in (
        ({"protocol": "actor-5fold", "fold": 1}, "actor-5fold/fold-1-no-mixup"),
        ({"refit": True}, "tfds/no-mixup-refit"),
        ({"corpus": "emodb", "protocol": "random"}, "emodb-random/split-0-no-mixup"),
    ):
        (project / f"runs/flagship-distilled/{folder}-seed-0/model").mkdir(parents=True)
        assert not reproduce.measure_robustness(run | other, corpora)
    as_it_is = project / "runs/flagship-distilled/tfds/seed-0/model"
    as_it_is.mkdir(parents=True)
    assert reproduce.measure_robustness({"recipe": name, "protocol": "tfds", "seed": 0}, corpora)


def test_failed_runs_are_named_and_the_others_still_tried(project, monkeypatch):
    (project / "train.py").write_text("import sys; sys.exit('--protocol=tfds' in sys.argv)")
    tables = []
    monkeypatch.setattr(reproduce, "write_all", lambda: tables.append(1))
    monkeypatch.setattr(sys, "argv", ["ser", "reproduce", "--crema_d", "../clips", "--recipes", "rezonet"])
    (project.parent / "elsewhere").mkdir()
    (project.parent / "clips").mkdir()
    monkeypatch.chdir(project.parent / "elsewhere")
    with pytest.raises(SystemExit) as stopped:
        main()
    assert "--recipe=rezonet --protocol=tfds" in str(stopped.value)
    assert "random-70-30" not in str(stopped.value)
    assert f"--data_dir={project.parent / 'clips'}" in str(stopped.value)
    assert tables == [1]  # after the one that went well
    assert Path.cwd() == project  # where reports are looked for
    monkeypatch.setattr(reproduce, "train", interrupt)
    monkeypatch.setattr(sys, "argv", ["ser", "reproduce", "--crema_d", "../clips", "--recipes", "rezonet"])
    with pytest.raises(SystemExit, match="stopped; the same command continues"):
        main()


def interrupt(*_) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [([], "expected --crema_d or --emodb"), (["--emodb", "nowhere"], "expected a folder with emodb at 'nowhere'")],
)
def test_without_a_corpus_there_is_nothing_to_run(monkeypatch, arguments, sentence):
    monkeypatch.setattr(sys, "argv", ["ser", "reproduce", *arguments])
    with pytest.raises(SystemExit, match=sentence):
        main()
