"""Answers relative to an ordinary voice: who is left out, what is subtracted, and what it is worth."""

import numpy as np
import pytest
from test_calibrate import NAMES
from test_calibrate import NEUTRAL
from test_calibrate import OFF
from test_calibrate import ordinary
from test_calibrate import peculiar
from test_calibrate import world

from ser.evaluation.calibrate import judge
from ser.evaluation.cross_corpus_calibration import Speech
from ser.evaluation.ordinary_voice import relative
from ser.models.ordinary_voice_ser import SHARE
from ser.models.ordinary_voice_ser import relative_to


def test_a_clip_is_compared_with_other_neutral_clips_of_its_speaker():
    log = np.log(np.random.default_rng(0).dirichlet(np.ones(4), 7))
    labels = np.array([NEUTRAL, 0, NEUTRAL, 0, NEUTRAL, 1, 0])
    speech = Speech(log, labels, np.array(["a", "a", "b", "b", "b", "c", "b"]))
    shifted, index = relative(speech, log, NEUTRAL, 1)
    assert index.tolist() == [1, 2, 3, 4, 6]  # the only neutral clip of "a" has no other, and "c" has none
    assert shifted.labels.tolist() == labels[index].tolist() and shifted.speakers[0] == "a"
    assert shifted.logits[0] == pytest.approx(log[1] - SHARE * log[0])
    assert shifted.logits[1] == pytest.approx(log[2] - SHARE * log[4])
    shifted, index = relative(speech, log, NEUTRAL, 2)
    assert index.tolist() == [3, 6]
    assert shifted.logits[0] == pytest.approx(log[3] - SHARE * log[[2, 4]].mean(0))
    assert len(relative(speech, log, NEUTRAL, 3)[1]) == 0


def test_an_ordinary_voice_undoes_what_is_peculiar_to_speakers():
    corpora = {str(seed): peculiar(world(600, seed=seed), seed=seed) for seed in range(5)}
    _, scores = judge(corpora, [], peculiar(ordinary(400), seed=9), OFF, NAMES)
    found = [scores["corpora"][title]["ordinary_voice"] for title in corpora]
    assert all(each["1"]["clips"] == 600 and each["1"]["accuracy"] > each["1"]["without"] for each in found)
    one, three = (np.mean([each[count]["accuracy"] for each in found]) for count in ("1", "3"))
    assert np.mean([each["1"]["without"] for each in found]) + 0.05 < one < three
    spoken = scores["ordinary"]["ordinary_voice"]["1"]
    assert spoken["accuracy"] > scores["ordinary"]["accuracy"] + 0.1 and spoken["certain_wrong"] <= 0.08
    assert scores["ordinary_voice"]["certain_threshold"] <= scores["certain_threshold"]


def test_a_corpus_without_neutral_clips_is_not_evaluated_with_a_voice():
    corpora = {"one": world(600, seed=5), "two": world(600, seed=1, lacks=NEUTRAL)}
    _, scores = judge(corpora, [], ordinary(400), OFF, NAMES)
    assert scores["corpora"]["two"]["ordinary_voice"] == {} and scores["corpora"]["one"]["ordinary_voice"].keys()


def test_without_neutral_clips_in_any_corpus_there_is_no_calibration():
    corpora = {str(seed): world(100, seed=seed, lacks=NEUTRAL) for seed in (1, 5)}
    _, scores = judge(corpora, [], ordinary(400), OFF, NAMES)
    assert scores["ordinary_voice"] is None and scores["ordinary"]["ordinary_voice"] == {}
    assert all(each["ordinary_voice"] == {} for each in scores["corpora"].values())


def test_one_clip_of_each_speaker_of_ordinary_speech_is_not_enough():
    alone = ordinary(40)
    alone = alone._replace(speakers=np.arange(len(alone.labels)).astype(str))
    _, scores = judge({"one": world(100, seed=5), "two": world(100, seed=1)}, [], alone, OFF, NAMES)
    assert scores["ordinary_voice"] is None
    assert scores["corpora"]["one"]["ordinary_voice"] == scores["ordinary"]["ordinary_voice"] == {}


def test_relative_answers_are_probabilities_and_need_a_calibration():
    voice, log = np.log([0.7, 0.1, 0.1, 0.1]), np.log([[0.7, 0.1, 0.1, 0.1], [0.4, 0.4, 0.1, 0.1]])
    settings = {"temperature": 0.5, "bias": [0.0, 0.0, 1.0, 0.0], "certain_threshold": 0.5}
    found = relative_to(voice, log, settings)
    assert np.exp(found).sum(1) == pytest.approx([1, 1])
    assert found[1].argmax() == 1  # what the voice always has does not count
    assert found[0, 2] - found[0, 3] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="this model was not calibrated for answers relative to an ordinary voice"):
        relative_to(voice, log, None)
