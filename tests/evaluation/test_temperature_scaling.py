"""Temperatures against ones that are known, and a model whose probabilities follow its own."""

import io
import json
import shutil

import numpy as np
import pytest
import torch
from conftest import EXAMPLES
from conftest import ROOT
from scipy.special import softmax
from transformers import pipeline

import ser
from ser.evaluation.temperature_scaling import fit_temperature
from ser.evaluation.temperature_scaling import negative_log_likelihood
from ser.evaluation.temperature_scaling import reliability
from ser.reporting import plots
from ser.reporting.plots import plot_confusion
from ser.reporting.plots import plot_curves
from ser.reporting.plots import plot_reliability


def sure_by(factor: float, clips: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `factor` times what their labels were drawn from."""
    generator = np.random.default_rng(0)
    honest = generator.normal(size=(clips, 4)) * 1.5
    labels = (honest + generator.gumbel(size=honest.shape)).argmax(1)  # a draw from their softmax
    return honest * factor, labels


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_what_was_overdone(factor):
    logits, labels = sure_by(factor)
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(factor, rel=0.05)
    before, after = reliability(logits, labels), reliability(logits / temperature, labels)
    assert after["ece"] < 0.02
    assert (before["ece"] > 0.1) == (factor != 1.0)
    assert after["nll"] <= before["nll"]
    assert sum(each["clips"] for each in after["bins"]) == len(labels)


@pytest.mark.parametrize("right", [True, False])
def test_a_few_clips_make_nothing_sure(right):
    logits, labels = sure_by(1.0)
    chosen = np.flatnonzero((logits.argmax(1) == labels) == right)
    temperatures = [fit_temperature(logits[chosen[:count]], labels[chosen[:count]]) for count in (3, 12, 2000)]
    assert sorted(temperatures, reverse=right) == temperatures  # the more clips, the further from 1
    assert 0.5 < temperatures[0] < 2 and 0.2 < temperatures[1] < 5


def test_errors_by_hand():
    logits = np.log(np.array([[0.8, 0.2], [0.8, 0.2], [0.6, 0.4], [0.4, 0.6]]))
    report = reliability(logits, np.array([0, 1, 0, 1]))
    # 0.8 sure and right half of the time; 0.6 sure and always right
    assert report["ece"] == pytest.approx(0.5 * 0.3 + 0.5 * 0.4)
    assert report["nll"] == pytest.approx(-np.log([0.8, 0.2, 0.6, 0.6]).mean())
    assert negative_log_likelihood(np.zeros((3, 4)), np.array([0, 1, 2])) == pytest.approx(np.log(4))
    certain = reliability(np.array([[1000.0, 0.0], [1000.0, 0.0]]), np.array([0, 1]))
    assert certain["ece"] == 0.5 and certain["bins"] == [{"confidence": 1.0, "accuracy": 0.5, "clips": 2}]
    bins = reliability(np.log([[0.61, 0.39], [0.65, 0.35], [0.67, 0.33]]), np.zeros(3, dtype=int))["bins"]
    assert [each["clips"] for each in bins] == [2, 1]  # the tenth of fifteen ends at two thirds


def test_a_model_divides_its_logits_and_remembers_by_what(tmp_path):
    torch.manual_seed(0)
    model = ser.CNN1DForAudioClassification(ser.CNN1DConfig(n_features=2, channels=[4, 8])).eval()
    clip = torch.randn(1, 30, 2)
    logits = model(clip).logits
    model.config.calibration_temperature = 2.5
    model.save_pretrained(tmp_path)
    loaded = ser.CNN1DForAudioClassification.from_pretrained(tmp_path)
    assert torch.allclose(loaded(clip).logits, logits / 2.5)
    with pytest.raises(Exception, match="expected calibration_temperature between 0.001 and 1000; got 0"):
        ser.CNN1DConfig(calibration_temperature=0)


def test_a_bias_is_added_by_forward_and_by_the_pipeline_and_remembered(tmp_path):
    folder = shutil.copytree(ROOT / "checkpoints/cnn1d", tmp_path / "cnn1d")
    before = pipeline("audio-classification", model=str(folder))
    assert before.model.config.calibration_bias is None
    bias = [0.5, -1.0, 0.0, 0.25, 1.5, -0.25]
    scores = {each["label"]: each["score"] for each in before(str(EXAMPLES / "plain.ogg"))}
    before.model.config.update({"calibration_bias": bias, "certain_threshold": 0.6})
    before.model.config.save_pretrained(folder)
    after = pipeline("audio-classification", model=str(folder))
    assert after.model.config.certain_threshold == 0.6
    labels = list(before.model.config.label2id)
    expected = softmax(np.log([scores[label] for label in labels]) + bias)
    got = {each["label"]: each["score"] for each in after(str(EXAMPLES / "plain.ogg"))}
    assert got == pytest.approx(dict(zip(labels, expected, strict=True)), abs=1e-5)


def test_models_saved_before_there_was_a_bias_answer_as_they_did(tmp_path):
    torch.manual_seed(0)
    model = ser.CNN1DForAudioClassification(ser.CNN1DConfig(n_features=2, channels=[4, 8])).eval()
    model.save_pretrained(tmp_path)
    saved = ser.CNN1DForAudioClassification.from_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert all(config.pop(name, 0) is None for name in ("calibration_bias", "certain_threshold", "ordinary_voice"))
    (tmp_path / "config.json").write_text(json.dumps(config))
    clip = torch.randn(1, 30, 2)
    assert torch.equal(ser.CNN1DForAudioClassification.from_pretrained(tmp_path)(clip).logits, saved(clip).logits)


VOICE = {"temperature": 1.0, "bias": [0.0, 1.0], "certain_threshold": 0.5}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("calibration_bias", [1.0]),
        ("calibration_bias", [0.0, float("nan")]),
        ("calibration_bias", [0.0, 1000.0]),
        ("calibration_bias", ["a", "b"]),
        ("calibration_bias", 1.0),
        ("certain_threshold", 1.5),
        ("certain_threshold", float("nan")),
        ("certain_threshold", "often"),
        ("ordinary_voice", {}),
        ("ordinary_voice", VOICE | {"temperature": 0}),
        ("ordinary_voice", VOICE | {"temperature": "warm"}),
        ("ordinary_voice", VOICE | {"bias": [1.0]}),
        ("ordinary_voice", VOICE | {"bias": "ab"}),
        ("ordinary_voice", VOICE | {"certain_threshold": float("nan")}),
        ("ordinary_voice", [1.0]),
    ],
)
def test_a_damaged_calibration_is_refused_by_its_name(field, value):
    config = ser.CNN1DConfig(num_labels=2).to_dict()
    with pytest.raises(ValueError, match=field):
        ser.CNN1DConfig.from_dict(config | {field: value})


def test_the_picture_tells_both_errors():
    logits, labels = sure_by(3.0, clips=500)
    figure = plot_reliability({"before": reliability(logits, labels), "after": reliability(logits / 3, labels)}, "run")
    titles = [axes.get_title() for axes in figure.axes]
    assert [title.split(":")[0] for title in titles] == ["before calibration", "after calibration"]
    same = reliability(logits, labels)
    (axes,) = plot_reliability({"before": same, "after": same}, "run").axes  # where no temperature was fitted
    assert axes.get_title().startswith("without calibration")


def test_labels_are_no_formulas(tmp_path):
    names = ["a$x_$", r"\\alpha$", "b"]
    figure = plot_confusion([[1, 0, 0], [0, 1, 0], [0, 0, 1]], names, "a run of $^$", normalized=True)
    figure.savefig(tmp_path / "confusion.png")


def test_the_name_of_a_run_stays_within_its_picture():
    name, report = ", ".join(["flagship-distilled", *12 * ["split-0"], "seed-0"]), reliability(*sure_by(3.0, clips=500))
    confusion = plot_confusion([[1, 0], [0, 1]], ["a", "b"], name, normalized=True)
    curves, calibration = plot_curves([], name), plot_reliability({"before": report, "after": report}, name)
    for figure, title in (
        (confusion, confusion.axes[0].title),
        *((each, each._suptitle) for each in (curves, calibration)),
    ):
        figure.savefig(io.BytesIO())
        extent = title.get_window_extent()
        assert 0 <= extent.x0 and extent.x1 <= figure.bbox.width
        assert 0 <= extent.y0 and extent.y1 <= figure.bbox.height


def test_letters_that_the_first_font_lacks_are_taken_from_another(monkeypatch, recwarn):
    matrix, names = [[1, 0], [0, 1]], ["\u1d81", "a"]  # a letter that only one of matplotlib's own fonts has
    for fonts, missing in (([], True), (["STIXGeneral", "a font that nobody has"], False)):
        monkeypatch.setattr(plots, "WIDE_FONTS", fonts)
        figure = plot_confusion(matrix, names, "\u1d81, tfds", normalized=True)
        figure.savefig(io.BytesIO())
        curves = plot_curves([], "\u1d81")
        curves.savefig(io.BytesIO())
        assert any("missing from font" in str(each.message) for each in recwarn.list) == missing
        recwarn.clear()
