"""Which runs are planned, which are missing, and what a failed one leads to."""

import sys

import pytest
import torch

from ser import reproduce
from ser.recipes import load_recipe
from ser.recipes import recipe_names


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project folder that is also the working directory."""
    monkeypatch.setattr(reproduce, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_recipe_has_a_figure_for_the_same_and_for_unseen_speakers():
    for recipe in recipe_names():
        runs = list(reproduce.plan(recipe))
        protocols = {run.get("protocol", "loso") for run in runs if "variant" not in run}
        assert protocols - {"leaky", "actor-5fold", "new-sentences"} in (
            {"tfds"} if load_recipe(recipe).has_teachers else {"tfds", "random-70-30"},
            {"loso", "random"},
        ), recipe
    assert len(list(reproduce.plan("mel-2d"))) == 7  # two protocols, three seeds, and leaky
    flagship = list(reproduce.plan("flagship"))
    assert [run["fold"] for run in flagship if run.get("protocol") == "actor-5fold"] == [1, 2, 3, 4, 5]
    assert [run["variant"] for run in flagship if "variant" in run] == list(load_recipe("flagship").variants)
    assert [run["fold"] for run in reproduce.plan("crnn-emodb") if "fold" in run] == list(range(1, 11))


def test_a_slow_recipe_is_cut_down_without_a_gpu_only(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert all(run["share_of_clips"] == 0.2 for run in reproduce.plan("exponet"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not any("share_of_clips" in run for run in reproduce.plan("exponet"))


def test_what_has_results_is_skipped_and_what_was_started_goes_on(project):
    run, corpora = {"recipe": "class-2d", "protocol": "tfds", "seed": 1}, {"crema-d": "clips", "emodb": None}
    arguments = ["--recipe=class-2d", "--protocol=tfds", "--seed=1", "--data_dir=clips"]
    assert reproduce.missing(run, corpora) == arguments
    checkpoint = project / "runs/class-2d/tfds/seed-1/checkpoint-10"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text('{"epoch": 1')  # killed while it wrote
    assert reproduce.missing(run, corpora) == arguments
    (checkpoint / "trainer_state.json").write_text('{"epoch": 1}')
    assert reproduce.missing(run, corpora) == [*arguments, "--resume_from_checkpoint=last"]
    report = project / "results/class-2d/tfds/seed-1/results.json"
    report.parent.mkdir(parents=True)
    report.write_text("{}")
    assert reproduce.missing(run, corpora) is None
    assert reproduce.missing({"recipe": "crnn-emodb", "fold": 1}, corpora) is None  # its corpus was not given


def test_failed_runs_are_named_and_the_others_still_tried(project, monkeypatch):
    (project / "train.py").write_text("import sys; sys.exit('--protocol=tfds' in sys.argv)")
    tables = []
    monkeypatch.setattr(reproduce, "regenerate", lambda: tables.append(1))
    monkeypatch.setattr(sys, "argv", ["reproduce", "--crema_d", "clips", "--recipes", "rezonet"])
    with pytest.raises(SystemExit) as stopped:
        reproduce.main()
    assert "--recipe=rezonet --protocol=tfds" in str(stopped.value)
    assert "random-70-30" not in str(stopped.value)
    assert tables == [1]  # after the one that went well


def test_without_a_corpus_there_is_nothing_to_run(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reproduce"])
    with pytest.raises(SystemExit):
        reproduce.main()
    assert "expected --crema_d or --emodb" in capsys.readouterr().err
