"""Calibration on several corpora: known numbers found again, promises kept on left-out ones, a model that follows."""

import json
import shutil

import numpy as np
import pytest
from conftest import ROOT
from conftest import SHARED
from scipy.special import softmax
from transformers import pipeline

from ser.__main__ import main
from ser.evaluation import cross_corpus_calibration
from ser.evaluation.calibrate import OTHERS
from ser.evaluation.calibrate import centred_by_few
from ser.evaluation.calibrate import judge
from ser.evaluation.certain_answers import NEVER
from ser.evaluation.certain_answers import choose_threshold
from ser.evaluation.certain_answers import curve
from ser.evaluation.certain_answers import measure
from ser.evaluation.cross_corpus_calibration import Calibration
from ser.evaluation.cross_corpus_calibration import Speech
from ser.evaluation.cross_corpus_calibration import _loss
from ser.evaluation.cross_corpus_calibration import _Term
from ser.evaluation.cross_corpus_calibration import fit

NAMES = ["anger", "happy", "neutral", "sad"]
NEUTRAL = 2
OFF = Calibration(0.5, np.array([1.0, -0.5, -1.0, 0.5]))  # what has to be undone


def world(clips: int = 4000, *, lacks: int | None = None, seed: int = 0, hard: float = 1.5) -> Speech:
    """A corpus of ten speakers on which a model is wrong by `OFF`, its labels drawn evenly."""
    generator = np.random.default_rng(seed)
    labels = generator.choice([label for label in range(4) if label != lacks], size=clips)
    honest = generator.normal(size=(clips, 4)) + hard * np.eye(4)[labels]  # log-odds are linear in such values
    logits = (honest * hard - OFF.bias) * OFF.temperature
    return Speech(logits, labels, np.array([f"s{number}" for number in np.arange(clips) % 10]))


def peculiar(speech: Speech, seed: int = 1) -> Speech:
    """The same, with logits that are off by something else for each speaker."""
    voices = np.unique(speech.speakers)
    of_speaker = dict(zip(voices, np.random.default_rng(seed).normal(0, 2, (len(voices), 4)), strict=True))
    return speech._replace(logits=speech.logits + np.stack([of_speaker[name] for name in speech.speakers]))


def ordinary(clips: int = 2000) -> Speech:
    speech = world(2 * clips, seed=9)
    return Speech(*(values[speech.labels == NEUTRAL] for values in speech))


def test_what_is_off_is_found_on_corpora_that_lack_labels(monkeypatch):
    held_back = fit([world(seed=1)], ordinary())
    assert OFF.temperature < held_back.temperature < 1 and np.abs(held_back.bias).max() < np.abs(OFF.bias).max()
    monkeypatch.setattr(cross_corpus_calibration, "PRIOR", 0.05)
    found = fit([world(seed=1), world(seed=2, lacks=0), world(seed=3, lacks=NEUTRAL)], ordinary())
    assert found.temperature == pytest.approx(OFF.temperature, rel=0.15)
    bias = found.bias - OFF.bias
    assert np.abs(np.delete(bias, NEUTRAL)).max() < 0.7
    assert bias.argmax() == NEUTRAL  # as ordinary speech asks for
    assert found.bias.sum() == pytest.approx(0)
    fresh = world(seed=4)
    losses = [
        -calibration.log_probabilities(fresh.logits)[np.arange(len(fresh.labels)), fresh.labels].mean()
        for calibration in (OFF, found, Calibration(1.0, np.zeros(4)))
    ]
    assert losses[0] < losses[1] < losses[0] + 0.1 < losses[2]


def test_the_gradient_is_that_of_the_loss():
    terms = [_Term(world(50, lacks=0), np.array([False, True, True, True]), np.full(50, 0.02))]
    parameters = np.array([0.3, -0.2, 0.1, 0.5, 0.0])
    _, gradient = _loss(parameters, terms)
    for index, step in enumerate(1e-6 * np.eye(5)):
        slope = (_loss(parameters + step, terms)[0] - _loss(parameters - step, terms)[0]) / 2e-6
        assert gradient[index] == pytest.approx(slope, abs=1e-5)


def test_corpora_and_labels_weigh_the_same_whatever_their_size():
    small, large = world(400, seed=1), world(400, seed=2, hard=0.5)
    repeated = Speech(*(np.concatenate([values] * 5) for values in large))
    once, often = (fit([small, each], ordinary()) for each in (large, repeated))
    assert once.temperature == pytest.approx(often.temperature, rel=1e-3)
    assert once.bias == pytest.approx(often.bias, abs=1e-3)


def test_few_clips_change_little():
    three = Speech(np.eye(4)[:3] * 5.0, np.array([3, 3, 3]), np.array(["a", "b", "c"]))
    found = fit([three], Speech(*(values[:2] for values in ordinary())))
    assert np.abs(found.bias).max() < 10 and 0.1 < found.temperature < 10


def test_risk_coverage_and_the_threshold_by_hand():
    log = np.log([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.45, 0.55]])
    points = {round(each["threshold"], 2): each for each in curve([(log, np.array([0, 0, 0, 1]))])}
    assert (points[0.5]["certain"], points[0.5]["right"]) == (1.0, 0.75)
    assert (points[0.6]["certain"], points[0.6]["right"]) == (0.75, pytest.approx(2 / 3))
    assert (points[0.85]["certain"], points[0.85]["right"]) == (0.25, 1.0)
    assert 0.95 not in points
    quiet = Speech(np.zeros((1, 2)), np.array([0]), np.array(["a"]))
    for wrong, expected in ((0.1, 0.3), (0.7, 0.71), (0.97, NEVER)):
        spoken = np.log([[1 - wrong, wrong]])
        assert choose_threshold(list(points.values()), quiet, spoken) == pytest.approx(expected, abs=0.02)


def test_each_corpus_is_judged_by_a_fit_on_the_others():
    corpora = {"one": world(seed=1), "two": world(seed=2, lacks=0), "three": world(seed=3)}
    after, scores = judge(corpora, [], ordinary(), Calibration(1.0, np.zeros(4)), NAMES)
    for title, speech in corpora.items():
        judged, (fitted, _) = scores["corpora"][title], ordinary().halves()
        others = fit([other for name, other in corpora.items() if name != title], fitted)
        expected = measure(speech, others.log_probabilities(speech.logits), scores["certain_threshold"], NAMES)
        assert {name: judged[name] for name in expected} == expected
        off, off_before = (abs(each["confidence"] - each["accuracy"]) for each in (judged, judged["before"]))
        assert off < off_before
        assert judged["certain_right"] > 0.65
    assert scores["ordinary"]["speakers"] == 5
    assert scores["ordinary"]["certain_wrong"] <= 0.08
    assert list(scores["bias"].values()) == after.bias.tolist()
    assert 0.3 <= scores["certain_threshold"] < 1


def test_centring_undoes_what_is_peculiar_to_speakers_and_few_clips_undo_most_of_it():
    speech = world(600, seed=5)
    _, figures = judge({"one": peculiar(speech), "two": world(seed=1)}, [], ordinary(), OFF, NAMES)
    scores = figures["corpora"]["one"]
    assert scores["accuracy"] < scores["centred_few"]["accuracy"] < scores["centred"]["accuracy"]
    assert figures["ordinary"]["centred"]["accuracy"] < figures["ordinary"]["accuracy"]  # as one emotion prevails
    assert 0.25 < scores["prevailing"] < 0.5 and figures["ordinary"]["prevailing"] == 1.0


def test_centring_by_few_takes_other_clips_of_the_same_speaker():
    log = np.log(softmax(np.random.default_rng(0).normal(size=(20, 4)), axis=1))
    speakers = np.array(["a"] * (OTHERS + 1) + ["b"] * 13 + ["alone"])
    found = centred_by_few(log, speakers)
    mean = log[: OTHERS + 1].mean(0)  # of "a", all of whose clips are taken
    assert softmax(log[: OTHERS + 1] - mean, axis=1) == pytest.approx(np.exp(found[: OTHERS + 1]))
    assert found[-1] == pytest.approx(log[-1])
    assert (centred_by_few(log, speakers) == found).all()


@pytest.fixture
def model(tmp_path):
    folder = shutil.copytree(ROOT / "checkpoints/cnn1d", tmp_path / "cnn1d")
    (folder / "audio_ser.py").write_text("an earlier version")
    (folder / "features_ser.py").write_text("a module of an earlier version")
    (folder / "folding_ser.py").unlink()  # which earlier versions lack
    return folder


def named(*names: str) -> list[str]:
    if not (SHARED / "more/samples").is_dir():
        pytest.skip("needs samples of the corpora beside the checkout, at ../shared/data/more/samples")
    return [f"{name}={SHARED / 'more/samples' / name}" for name in names]


def test_the_command_writes_what_forward_applies_and_the_card_tells(model, tmp_path, capsys):
    clip = SHARED / "more/samples/nemo/samples/EB0_anger_1.flac"
    command = ["calibrate", str(model), "--corpora", *named("nemo", "urdu"), "--fit_only", *named("emospeech")]
    command += ["--ordinary_speech", *named("speechocean762"), "--cache_dir", str(tmp_path)]
    before = {each["label"]: each["score"] for each in pipeline("audio-classification", model=str(model))(str(clip))}
    temperature = json.loads((model / "config.json").read_text())["calibration_temperature"]
    main(command)
    scores = json.loads((model / "strangers.json").read_text())["strangers"]
    assert list(scores["corpora"]) == ["nEMO", "URDU"]
    assert (scores["fit_only"], scores["ordinary_title"]) == (["EmoSpeech"], "speechocean762")
    assert scores["corpora"]["URDU"]["clips"] == 20 and scores["ordinary"]["speakers"] == 11
    config = json.loads((model / "config.json").read_text())
    assert config["calibration_temperature"] == scores["temperature"]
    assert config["calibration_bias"] == list(scores["bias"].values())
    assert config["certain_threshold"] == scores["certain_threshold"]
    assert config["ordinary_voice"] is scores["ordinary_voice"] is None  # as each speaker has a single clip
    for code in (ROOT / "ser/models").glob("*_ser.py"):
        assert (model / code.name).read_text() == code.read_text()
    logits = np.log(list(before.values())) * temperature / scores["temperature"]
    expected = softmax(logits + [scores["bias"][label] for label in before])
    after = {each["label"]: each["score"] for each in pipeline("audio-classification", model=str(model))(str(clip))}
    assert [after[label] for label in before] == pytest.approx(expected, abs=1e-4)
    assert "| nEMO | 22 |" in (model / "README.md").read_text()
    assert "threshold of certain answers" in capsys.readouterr().out
    strangers = (model / "strangers.json").read_text()
    main(command)  # starts from the report, and so comes to the same
    again = json.loads((model / "strangers.json").read_text())["strangers"]
    assert again == json.loads(strangers)["strangers"]


def test_what_cannot_be_calibrated_on_is_refused_in_one_sentence(model, crema_d):
    nemo, urdu, speech = named("nemo", "urdu", "speechocean762")
    for corpora, sentence in (
        ([nemo, f"crema-d={crema_d}"], "the model was trained on CREMA-D; leave it out"),
        ([nemo], "expected --corpora with two or more"),
        ([nemo, "nemo"], "expected NAME=DIR with NAME out of crema-d, .*; got 'nemo'"),
        ([nemo, "mine=clips"], "expected NAME=DIR .*; got 'mine=clips'"),
        ([nemo, "urdu=nowhere"], "expected a folder with URDU clips at '.*nowhere'"),
        ([nemo, urdu, "--fit_only", nemo], "nemo is named twice"),
        ([speech], "speechocean762 is ordinary speech only, all of it neutral: name another corpus here"),
        ([nemo, urdu, "--stand_ins", f"nemo={model}"], "the model was not trained on nEMO"),
        ([nemo, urdu, "--stand_ins", f"ased={model}"], "--stand_ins names ased, which is not in --corpora"),
    ):
        with pytest.raises(SystemExit, match=sentence) as stopped:
            main(["calibrate", str(model), "--corpora", *corpora, "--ordinary_speech", speech])
        assert "\n" not in str(stopped.value)
    with pytest.raises(SystemExit, match="--ordinary_speech expects speech that is all neutral; URDU is not"):
        main(["calibrate", str(model), "--corpora", nemo, "--ordinary_speech", urdu])
    assert not (model / "strangers.json").exists()


def test_a_model_stands_in_for_corpora_that_were_trained_on(model, tmp_path):
    command = ["--corpora", *named("nemo", "urdu"), "--ordinary_speech", *named("speechocean762")]
    command += ["--cache_dir", str(tmp_path)]
    without = shutil.copytree(model, tmp_path / "without")
    main(["calibrate", str(without), *command])
    report = json.loads((model / "results.json").read_text()) | {"contains": ["nEMO"]}
    (model / "results.json").write_text(json.dumps(report))
    shutil.copy(ROOT / "checkpoints/cnn1d/model.safetensors", model)
    for extra, sentence in (
        ([], "the model was trained on nEMO; leave it out, or see --stand_ins"),
        ([f"nemo={model}"], "was trained on nEMO, too; take a model that was trained without it"),
    ):
        with pytest.raises(SystemExit, match=sentence):
            main(["calibrate", str(model), *command, *(["--stand_ins", *extra] if extra else [])])
    main(["calibrate", str(model), *command, "--stand_ins", f"nemo={without}"])
    alone, stood_in = (json.loads((each / "strangers.json").read_text())["strangers"] for each in (without, model))
    assert (alone["stand_ins"], stood_in["stand_ins"]) == ([], ["nEMO"])
    assert stood_in["corpora"] == alone["corpora"]
    card = (model / "README.md").read_text()
    assert "For nEMO, which it was trained on, a model trained in the same way without it takes its place." in card
