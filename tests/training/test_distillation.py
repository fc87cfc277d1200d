"""What teachers are taken, and what is learned from them."""

import json

import numpy as np
import pytest
import torch
from conftest import ROOT
from conftest import write_corpus

from ser.corpora import load_crema_d
from ser.corpora.clip_dataset import with_features
from ser.recipes import load_recipe
from ser.reporting.report_file import REPORT
from ser.training.distillation import Teacher
from ser.training.distillation import load_teacher
from ser.training.distillation import teacher_probabilities
from ser.training.model_setup import build_extractor
from ser.training.model_setup import build_model
from ser.training.run_identity import RunIdentity

LABELS = ["anger", "disgust", "fear", "happy", "neutral", "sad"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two clips each of six actors, with a student's features."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, [f"{actor}_IEO_{code}_HI" for actor in range(1001, 1007) for code in ("ANG", "SAD")])
    return with_features(load_crema_d(folder, cache_dir=folder / "cache"), build_extractor(load_recipe("cnn1d"), {}))


def one_who_always_says(label: int, corpus: str = "CREMA-D") -> Teacher:
    recipe = load_recipe("class-2d")
    extractor = build_extractor(recipe, {"normalization": "clip", "max_duration": 0.4})
    model = build_model(recipe, {}, extractor, LABELS)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(20.0 * torch.eye(len(LABELS))[label])
    return Teacher(model, extractor, frozenset({corpus}))


def test_all_teachers_are_learned_from(clips):
    teachers = [one_who_always_says(0), one_who_always_says(5)]
    expected = np.eye(6)[0] + np.eye(6)[5]
    assert teacher_probabilities(teachers, clips, CPU) == pytest.approx(np.tile(expected, (12, 1)), abs=1e-6)


def test_a_teacher_classifies_the_corpora_that_it_was_trained_on(clips):
    mixed = clips.add_column("corpus", ["CREMA-D", "nEMO"] * 6)
    answers = teacher_probabilities([one_who_always_says(0), one_who_always_says(5, "nEMO")], mixed, CPU)
    assert answers == pytest.approx(np.tile(np.eye(6)[[0, 5]], (6, 1)), abs=1e-6)


def test_teachers_of_one_corpus_serve_a_run_on_several(tmp_path):
    model, extractor, _ = one_who_always_says(0)
    model.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    report = json.loads((ROOT / "checkpoints/cnn1d/results.json").read_text()) | {"refit": False}
    (tmp_path / REPORT).write_text(json.dumps(report))
    several = {"corpus": "CREMA-D + EmoDB", "contains": ["CREMA-D", "EmoDB"], "protocol": "per-corpus"}
    split = RunIdentity.from_report(report | several).split
    assert load_teacher(str(tmp_path), split, LABELS).corpora == {"CREMA-D"}
    without = RunIdentity.from_report(report | several | {"contains": ["EmoDB", "nEMO"]}).split
    with pytest.raises(ValueError, match="was trained with corpus CREMA-D, this run has CREMA-D . EmoDB"):
        load_teacher(str(tmp_path), without, LABELS)


@pytest.mark.parametrize(
    ("of_teacher", "of_student", "refused"),
    [
        ({}, {"refit": True}, False),  # it chose on clips that the student trains on
        ({"refit": True}, {"refit": False}, True),  # it trained on clips that the student chooses on
        ({"held_out": 2}, {}, False),  # an older report, of a model that was trained on fewer speakers
    ],
)
def test_a_teacher_has_trained_on_no_clip_that_its_student_chooses_on(tmp_path, of_teacher, of_student, refused):
    model, extractor, _ = one_who_always_says(0)
    model.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    report = json.loads((ROOT / "checkpoints/cnn1d/results.json").read_text()) | {"refit": False}
    (tmp_path / REPORT).write_text(json.dumps(report | of_teacher))
    split = RunIdentity.from_report(report | of_student).split
    if refused:
        with pytest.raises(ValueError, match="was trained with refit True, this run has (False|None)"):
            load_teacher(str(tmp_path), split, LABELS)
    else:
        assert load_teacher(str(tmp_path), split, LABELS).model.config.num_labels == 6
