"""An exported model says what the model says, for any length, without torch."""

import ast
import logging
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
import torch
from conftest import RATE
from conftest import ROOT
from conftest import voice

from ser.__main__ import main
from ser.inference.export_onnx import export
from ser.inference.export_onnx import quantize
from ser.inference.export_onnx import quietly
from ser.inference.export_onnx import write
from ser.inference.loading import load_trained
from ser.models.audio_ser import load_audio
from ser.models.configuration_ser import CNN2DConfig
from ser.models.feature_extraction_ser import SERFeatureExtractor
from ser.models.modeling_ser import CNN2DForAudioClassification

CHECKPOINT = ROOT / "checkpoints/flagship-bilingual"
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def examples() -> list[str]:
    return [str(path) for path in sorted((ROOT / "ser/examples").glob("*.ogg"))]


@pytest.fixture(scope="module")
def exported(tmp_path_factory, examples) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    write(str(CHECKPOINT), folder, examples)
    return folder


def probabilities_of(model, extractor, waveform: np.ndarray) -> np.ndarray:
    inputs = extractor(waveform, sampling_rate=RATE, return_tensors="pt")
    return model(**inputs).logits.softmax(1)[0].detach().numpy()


def small(**settings: Any) -> tuple[CNN2DForAudioClassification, SERFeatureExtractor]:
    """Untrained, and in doubt about any clip."""
    torch.manual_seed(1)
    model = CNN2DForAudioClassification(CNN2DConfig(n_features=20, channels=[4, 8])).eval()
    statistics = {"mean": [-40.0] * 20, "std": [20.0] * 20}
    return model, SERFeatureExtractor(n_mels=20, normalization="corpus", **statistics, **settings)


@pytest.mark.parametrize("samples", [3200, RATE, 3 * RATE + 77])
def test_any_length_gets_the_probabilities_of_the_model(exported, samples):
    waveform = np.resize(0.3 * voice(1.0), samples).astype(np.float32)
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    (got,) = session.run(None, {"waveform": waveform})
    np.testing.assert_allclose(got, probabilities_of(*load_trained(str(CHECKPOINT)), waveform), atol=1e-4)


@pytest.mark.slow
def test_a_bias_is_part_of_both_files(tmp_path):
    model, extractor = small(n_fft=400, hop_length=160)
    waveform, answers = (0.3 * voice(1.5)).astype(np.float32), {}
    for model.config.calibration_bias in (None, [1.0, -0.5]):
        graph = export(model, extractor)
        onnx.save(graph, tmp_path / "model.onnx")
        quantize(graph, [waveform], tmp_path / "model.int8.onnx")
        for name in ("model.onnx", "model.int8.onnx"):
            (answer,) = onnxruntime.InferenceSession(tmp_path / name).run(None, {"waveform": waveform})
            answers.setdefault(name, []).append(np.log(answer[0] / answer[1]))
        np.testing.assert_allclose(answers["model.onnx"][-1], odds(model, extractor, waveform), atol=1e-4)
    for before, after in answers.values():
        assert after - before == pytest.approx(1.5, abs=1e-3)


def odds(model, extractor, waveform: np.ndarray) -> float:
    first, second = probabilities_of(model, extractor, waveform)
    return np.log(first / second)


def test_silence_around_the_voice_is_cut_off_where_the_model_does_so(exported, tmp_path):
    waveform = np.pad(0.3 * voice(1.5), (RATE, 2 * RATE + 77)).astype(np.float32)
    (got,) = onnxruntime.InferenceSession(exported / "model.onnx").run(None, {"waveform": waveform})
    np.testing.assert_allclose(got, probabilities_of(*load_trained(str(CHECKPOINT)), waveform), atol=1e-4)
    model, extractor = small(n_fft=400, hop_length=160)
    answers = []
    for extractor.trim_db in (None, 35.0):
        onnx.save(export(model, extractor), tmp_path / "model.onnx")
        (got,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"waveform": waveform})
        np.testing.assert_allclose(got, probabilities_of(model, extractor, waveform), atol=1e-4)
        answers.append(got)
    assert np.abs(answers[0] - answers[1]).max() > 1e-2


def test_steady_noise_is_subtracted_where_the_model_does_so(tmp_path):
    model, extractor = small(db_reference="max", trim_db=20.0, subtract_noise=True)
    onnx.save(export(model, extractor), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    speech = np.pad(0.3 * voice(1.5), (RATE, 2 * RATE + 77)).astype(np.float32)
    noisy = speech + 0.01 * np.random.default_rng(0).standard_normal(len(speech)).astype(np.float32)
    for waveform in (noisy, noisy[: RATE // 5], speech):
        (got,) = session.run(None, {"waveform": waveform})
        np.testing.assert_allclose(got, probabilities_of(model, extractor, waveform), atol=1e-4)
    extractor.subtract_noise = False
    assert np.abs(session.run(None, {"waveform": noisy})[0] - probabilities_of(model, extractor, noisy)).max() > 1e-2


@pytest.mark.parametrize("n_fft, hop_length", [(400, 160), pytest.param(1000, 333, marks=pytest.mark.slow)])
def test_frames_of_other_sizes_are_cut_alike(tmp_path, n_fft, hop_length):
    model, extractor = small(n_fft=n_fft, hop_length=hop_length)
    onnx.save(export(model, extractor), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for samples in (RATE // 5, RATE, RATE + 251):
        waveform = np.resize(0.3 * voice(1.0), samples).astype(np.float32)
        (got,) = session.run(None, {"waveform": waveform})
        np.testing.assert_allclose(got, probabilities_of(model, extractor, waveform), atol=1e-4)


def test_what_is_no_clip_gets_no_probabilities_from_either_file(exported):
    for name in ("model.onnx", "model.int8.onnx"):
        session = onnxruntime.InferenceSession(exported / name)
        one_nan = np.where(np.arange(RATE) == 77, np.nan, voice(1.0)).astype(np.float32)
        for clip in (
            np.zeros(0, np.float32),
            np.zeros(RATE, np.float32),
            1e-3 * voice(),
            voice(0.19),
            np.full(RATE, np.inf, np.float32),
            one_nan,
            1000 * voice(),
        ):
            assert np.isnan(session.run(None, {"waveform": clip})[0]).all()
        assert session.run(None, {"waveform": voice(0.2)})[0].sum() == pytest.approx(1, abs=1e-3)


def test_eight_bits_are_a_third_of_the_size_and_say_nearly_the_same(exported, examples):
    sizes = [(exported / name).stat().st_size for name in ("model.onnx", "model.int8.onnx")]
    assert sizes[1] < 0.4 * sizes[0]
    full, small = (onnxruntime.InferenceSession(exported / name) for name in ("model.onnx", "model.int8.onnx"))
    waveform = (0.3 * voice(2.0)).astype(np.float32)
    np.testing.assert_allclose(
        small.run(None, {"waveform": waveform})[0], full.run(None, {"waveform": waveform})[0], atol=0.15
    )


def test_it_runs_without_torch_as_the_readme_says_and_knows_its_labels(exported, examples, tmp_path):
    (tmp_path / "onnx").symlink_to(exported)
    (tmp_path / "speech.wav").symlink_to(examples[0])
    block = next(text for text in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "onnxruntime" in text)
    *lines, answer = block.strip().splitlines()
    script = [
        "import sys",
        "sys.modules['torch'] = None",
        *lines,
        f"print({{k: float(v) for k, v in {answer}.items()}})",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(script)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    model, extractor = load_trained(str(CHECKPOINT))
    waveform = load_audio(examples[0], sampling_rate=RATE)
    expected = dict(zip(model.config.id2label.values(), probabilities_of(model, extractor, waveform), strict=True))
    assert ast.literal_eval(done.stdout) == pytest.approx(expected, abs=1e-4)


def test_without_the_extra_its_name_is_told(monkeypatch):
    monkeypatch.delitem(sys.modules, "ser.inference.export_onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(SystemExit, match=r"exporting needs the package onnx: pip install onnx onnxscript$"):
        main(["export-onnx", "a", "b"])


def test_the_exporter_says_nothing_of_its_own_code(caplog, recwarn):
    with quietly():
        logging.getLogger("torch.onnx").warning("torchvision is not installed")
        warnings.warn("deprecated", stacklevel=1)
    logging.getLogger("ser").warning("heard")
    assert caplog.messages == ["heard"] and not recwarn.list


def test_a_calibration_clip_that_cannot_be_heard_is_named(tmp_path):
    soundfile.write(tmp_path / "broken.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    with pytest.raises(SystemExit, match=r"broken\.wav.*NaN or infinite"):
        main(["export-onnx", str(CHECKPOINT), str(tmp_path / "onnx"), "--calibration", str(tmp_path / "broken.wav")])


def test_a_front_end_that_the_graph_does_not_know_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"models with features=\['zero_crossing_rate.*cannot be exported"):
        main(["export-onnx", str(CHECKPOINT.parent / "cnn1d"), str(tmp_path / "onnx")])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "{out}"], "expected a model folder or Hub id; 'nowhere' is neither"),
        ([str(CHECKPOINT), f"{__file__}/onnx"], "expected a folder that can be written to"),
        (
            [str(CHECKPOINT), "{out}", "--calibration", "nothing.wav"],
            "there is no file, folder or match of 'nothing.wav'",
        ),
    ],
)
def test_a_bad_command_ends_in_one_sentence(tmp_path, monkeypatch, arguments, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SystemExit, match=message) as stopped:
        main(["export-onnx", *(argument.format(out=tmp_path / "onnx") for argument in arguments)])
    assert "\n" not in str(stopped.value)
