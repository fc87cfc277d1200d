"""Which teachers are asked about which clips."""

import json

import numpy as np
import pytest
import torch
from conftest import write_corpus

from ser.corpora import load_crema_d
from ser.corpora.clip_dataset import with_features
from ser.corpora.splits import fifth_of
from ser.recipes import load_recipe
from ser.reporting.provenance import SPLIT
from ser.reporting.report_file import REPORT
from ser.training.distillation import Teacher
from ser.training.distillation import load_teacher
from ser.training.distillation import teachers_say
from ser.training.model_setup import build_extractor
from ser.training.model_setup import build_model

LABELS = ["anger", "disgust", "fear", "happy", "neutral", "sad"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two clips each of six actors, with a student's features."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, [f"{actor}_IEO_{code}_HI" for actor in range(1001, 1007) for code in ("ANG", "SAD")])
    return with_features(load_crema_d(folder, cache_dir=folder / "cache"), build_extractor(load_recipe("cnn1d"), {}))


def one_who_always_says(label: int, held_out: int | None) -> Teacher:
    recipe = load_recipe("class-2d")
    extractor = build_extractor(recipe, {"normalization": "clip", "max_duration": 0.4})
    model = build_model(recipe, {}, extractor, LABELS)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(20.0 * torch.eye(len(LABELS))[label])
    return Teacher(model, extractor, held_out)


def test_a_clip_is_answered_by_the_teacher_that_never_heard_its_speaker(clips):
    teachers = [one_who_always_says(fifth - 1, held_out=fifth) for fifth in (3, 1, 5, 2, 4)]
    answers = teachers_say([*teachers, one_who_always_says(5, held_out=None)], clips, CPU)
    assert answers.shape == (12, 6)
    # The last one, who heard all, is not asked.
    assert answers == pytest.approx(np.eye(6)[fifth_of(clips) - 1], abs=1e-6)


def test_where_all_teachers_heard_a_clip_all_answer(clips):
    teachers = [one_who_always_says(0, held_out=2), one_who_always_says(5, held_out=None)]
    answers = teachers_say(teachers, clips, CPU)
    held_out = fifth_of(clips) == 2
    assert answers[held_out] == pytest.approx(np.tile(np.eye(6)[0], (held_out.sum(), 1)), abs=1e-6)
    assert answers[~held_out] == pytest.approx(
        np.tile((np.eye(6)[0] + np.eye(6)[5]) / 2, ((~held_out).sum(), 1)), abs=1e-6
    )
    assert teachers_say(teachers[1:], clips, CPU) == pytest.approx(np.tile(np.eye(6)[5], (12, 1)), abs=1e-6)


def test_a_teacher_that_heard_fewer_speakers_is_taken_and_one_that_heard_more_is_not(tmp_path):
    model, extractor, _ = one_who_always_says(0, held_out=2)
    model.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    split = dict.fromkeys(SPLIT) | {"corpus": "CREMA-D", "protocol": "tfds", "recipe": "cnn1d"}
    (tmp_path / REPORT).write_text(json.dumps(split | {"held_out": 2}))
    assert load_teacher(str(tmp_path), split, LABELS).held_out == 2
    (tmp_path / REPORT).write_text(json.dumps(split))
    assert load_teacher(str(tmp_path), split, LABELS).held_out is None
    with pytest.raises(ValueError, match="was trained with held_out None, this run has 1"):
        load_teacher(str(tmp_path), split | {"held_out": 1}, LABELS)


@pytest.mark.parametrize(
    ("of_teacher", "of_student", "refused"),
    [
        ({}, {"refit": True}, False),  # it chose on clips that the student trains on
        ({"refit": True}, {"refit": False}, True),  # it trained on clips that the student chooses on
        ({"held_out": 2}, {"refit": True}, True),  # its fifths are of other speakers
    ],
)
def test_a_teacher_has_trained_on_no_clip_that_its_student_chooses_on(tmp_path, of_teacher, of_student, refused):
    model, extractor, _ = one_who_always_says(0, held_out=None)
    model.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    split = dict.fromkeys(SPLIT) | {"corpus": "CREMA-D", "protocol": "tfds", "recipe": "cnn1d"}
    (tmp_path / REPORT).write_text(json.dumps({**split, **of_teacher}))
    if refused:
        with pytest.raises(ValueError, match="was trained with refit True, this run has False|lacks a fifth of other"):
            load_teacher(str(tmp_path), split | of_student, LABELS)
    else:
        assert load_teacher(str(tmp_path), split | of_student, LABELS).held_out == of_teacher.get("held_out")
