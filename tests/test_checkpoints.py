"""The bundled models are what their reports, cards and the README say they are."""

import csv
import json
import os
import shutil
from functools import cache

import numpy as np
import pytest
from conftest import EXAMPLES
from conftest import ROOT
from conftest import WITHOUT_THE_PACKAGE
from conftest import run_python
from transformers import pipeline

from ser import load_audio
from ser.evaluation.certain_answers import CERTAIN_WRONG
from ser.evaluation.certain_answers import RIGHT
from ser.evaluation.conditions import CONDITIONS
from ser.evaluation.robustness import CLEAN
from ser.experiments import write_results
from ser.experiments.runs import read_runs
from ser.experiments.runs import run_folders
from ser.experiments.write_results import generated
from ser.files import BUNDLED
from ser.inference.loading import NOT_CALIBRATED
from ser.reporting.report_file import bundled_models
from ser.reporting.report_file import load_report
from ser.reporting.report_file import measured
from ser.reporting.report_file import on_crema_d
from ser.reporting.strangers_table import promise

CHECKPOINTS = bundled_models(ROOT)
ANSWERS = {  # to ser/examples/plain.ogg, in the order of the labels
    "cnn1d": [0.8286, 0.1325, 0.0007, 0.0085, 0.0282, 0.0014],
    "cnn2d": [0.2594, 0.0318, 0.0064, 0.6210, 0.0629, 0.0185],
    "flagship-bilingual": [0.1419, 0.0910, 0.0433, 0.1157, 0.5354, 0.0727],  # calibrated on the world
    "flagship-multilingual": [0.1490, 0.0465, 0.0241, 0.1024, 0.6078, 0.0702],  # likewise
}
LEAST = {
    "cnn1d": 0.60,
    "cnn2d": 0.66,
    "flagship-bilingual": 0.66,
    "flagship-multilingual": 0.66,
}
CALIBRATED = ["flagship-bilingual", "flagship-multilingual"]


@cache
def run_of(folder):
    """The folder below results/ of the run that a checkpoint is from."""
    return next(run for run in run_folders(ROOT / "results") if load_report(run) == load_report(folder))


def predictions_of(folder):
    with (run_of(folder) / "predictions.csv").open() as file:
        return list(csv.DictReader(file))


def test_all_models_are_bundled_with_their_reports():
    assert [folder.name for folder in CHECKPOINTS] == list(LEAST)
    for folder in CHECKPOINTS:
        conditions = json.loads((folder / "robustness.json").read_text())["conditions"]
        assert list(conditions) == list(CONDITIONS)
        assert conditions[CLEAN]["accuracy"] == round(on_crema_d(load_report(folder))["accuracy"], 4)


def test_a_report_that_is_being_written_is_no_run(tmp_path):
    run = tmp_path / "results/cnn1d/tfds/seed-0"
    shutil.copytree(ROOT / "results/cnn1d/tfds/seed-0", run)
    for name in (".seed-0.unfinished", ".seed-0.previous"):
        shutil.copytree(run, run.with_name(name))
    assert len(read_runs(tmp_path / "results")) == 1


def test_the_flagships_hear_other_recordings_better_than_the_others():
    reports = {folder.name: measured(folder, "conditions") for folder in CHECKPOINTS}
    means = {name: np.mean([figure["accuracy"] for figure in figures.values()]) for name, figures in reports.items()}
    assert sorted(means, key=means.__getitem__)[:2] == ["cnn1d", "cnn2d"]
    for model in CALIBRATED:
        assert means[model] > means["cnn2d"] + 0.1
        for name in ("20 dB louder", "20 dB softer"):
            assert abs(reports[model][name]["change"]) < 0.005  # the level does not count


def test_the_default_model_is_right_where_noise_is_suppressed():
    assert measured(BUNDLED, "conditions")["noise suppressed"]["change"] > -0.1


@pytest.mark.parametrize("folder", CHECKPOINTS, ids=lambda folder: folder.name)
def test_the_report_of_a_checkpoint_is_that_of_a_run(folder):
    results = load_report(run_of(folder))
    assert results == load_report(folder)
    scores = results["by_corpus"]["test"]["CREMA-D"] if "by_corpus" in results else results["parts"]["test"]
    assert (scores["actors"], scores["clips"]) == (19, 1556)
    assert scores["accuracy"] >= LEAST[folder.name]
    assert results["git_commit"]
    assert not results["git_commit"].endswith("-dirty")


@pytest.mark.parametrize("folder", CHECKPOINTS, ids=lambda folder: folder.name)
def test_the_figures_follow_from_the_predictions(folder):
    results = json.loads((folder / "results.json").read_text())
    rows = [row for row in predictions_of(folder) if row["clip"][:4].isdigit()]  # of CREMA-D
    predicted = [max(results["labels"], key=lambda label: float(row[label])) for row in rows]
    assert len({row["clip"].split("_")[0] for row in rows}) == 19
    accuracy = np.mean([p == row["label"] for p, row in zip(predicted, rows, strict=True)])
    assert accuracy == pytest.approx(on_crema_d(results)["accuracy"], abs=0.002)  # probabilities are rounded


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("folder", CHECKPOINTS, ids=lambda folder: folder.name)
def test_a_checkpoint_gives_its_reported_predictions(folder, crema_d):
    results = json.loads((folder / "results.json").read_text())
    rows = [row for row in predictions_of(folder) if row["clip"][:4].isdigit()][::25]  # of CREMA-D
    classifier = pipeline("audio-classification", model=str(folder))
    classifier.model.config.update(NOT_CALIBRATED | {"calibration_temperature": results["temperature"]})  # as reported
    for row in rows:
        answer = classifier(str(crema_d / "AudioOGG" / f"{row['clip']}.ogg"))
        scores = {entry["label"]: entry["score"] for entry in answer}
        assert scores == pytest.approx({label: float(row[label]) for label in results["labels"]}, abs=1e-4)


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("folder", CHECKPOINTS, ids=lambda folder: folder.name)
def test_a_checkpoint_says_of_an_example_what_it_always_said(folder):
    answer = pipeline("audio-classification", model=str(folder))(str(EXAMPLES / "plain.ogg"))
    scores = {entry["label"]: entry["score"] for entry in answer}
    labels = json.loads((folder / "results.json").read_text())["labels"]
    assert scores == pytest.approx(dict(zip(labels, ANSWERS[folder.name], strict=True)), abs=2e-4)


def test_a_stranger_gets_the_same_answer(clip_path, tmp_path):
    np.save(tmp_path / "clip.npy", load_audio(clip_path, sampling_rate=16000))
    answers = run_python(WITHOUT_THE_PACKAGE, clip_path, tmp_path / "clip.npy", *CHECKPOINTS, cwd=tmp_path)
    expected = [pipeline("audio-classification", model=str(folder))(str(clip_path)) for folder in CHECKPOINTS]
    assert answers == [[answer] * 4 for answer in expected]


@pytest.mark.parametrize("name", CALIBRATED)
def test_a_model_is_calibrated_as_its_report_on_strangers_says(name):
    folder = ROOT / "checkpoints" / name
    strangers, config = measured(folder, "strangers"), json.loads((folder / "config.json").read_text())
    assert config["calibration_temperature"] == strangers["temperature"]
    assert config["calibration_bias"] == list(strangers["bias"].values())
    assert config["certain_threshold"] == strangers["certain_threshold"]
    assert promise(strangers)["right"] >= RIGHT and strangers["ordinary"]["certain_wrong"] <= CERTAIN_WRONG
    scores = [strangers["ordinary"], *strangers["corpora"].values()]
    assert np.mean([each["accuracy"] for each in scores]) > np.mean([each["before"]["accuracy"] for each in scores])


def test_every_generated_text_is_up_to_date():
    for path, text in generated(ROOT).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: run make results"


@pytest.mark.slow
def test_stale_texts_are_written_anew(tmp_path, monkeypatch):
    for name in ("results", "checkpoints", "ser"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.safetensors", "curves.png"))
    (tmp_path / "README.md").write_text((ROOT / "README.md").read_text())
    stale = tmp_path / "docs/results.md", tmp_path / "checkpoints/cnn1d/audio_ser.py"
    stale[1].write_text("stale")
    monkeypatch.setattr(write_results, "PROJECT", tmp_path)
    write_results.write_all()
    assert all(path.read_text() == (ROOT / path.relative_to(tmp_path)).read_text() for path in stale)


@pytest.mark.slow
def test_the_picture_of_two_networks_is_drawn_where_it_is_missing(tmp_path):
    for recipe in write_results.SIDE_BY_SIDE:
        shutil.copytree(ROOT / "results" / recipe / "tfds/seed-0", tmp_path / recipe / "tfds/seed-0")
    write_results.draw_missing(tmp_path)
    drawn = tmp_path / "curves-1d-2d.png"
    assert drawn.read_bytes().startswith(b"\x89PNG")
    drawn.write_text("kept")
    write_results.draw_missing(tmp_path)
    assert drawn.read_text() == "kept"


@pytest.mark.parametrize("calibrated", [True, False])  # older reports say nothing of calibration
def test_missing_pictures_of_a_run_are_drawn(calibrated, tmp_path):
    folder = tmp_path / "cnn2d/tfds/seed-0"
    folder.mkdir(parents=True)
    report = load_report(ROOT / "results/cnn2d/tfds/seed-0")
    if not calibrated:
        report.pop("calibration")
    (folder / "results.json").write_text(json.dumps(report))
    write_results.draw_missing(tmp_path)
    pictures = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    assert {"curves.png", "confusion.png", "confusion_normalized.png"} <= pictures.keys()
    assert ("reliability.png" in pictures) == calibrated
    (folder / "confusion.png").write_text("kept")
    write_results.draw_missing(tmp_path)
    assert (folder / "confusion.png").read_text() == "kept"
    os.utime(folder / "curves.png", (0, 0))  # older than the report
    write_results.draw_missing(tmp_path)
    assert (folder / "confusion.png").read_bytes() == pictures["confusion.png"]
