"""`ser predict --backend onnx`: the same table without torch, from a graph that is made once."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import soundfile
from conftest import RATE
from conftest import ROOT
from conftest import voice
from hub_server import serve
from hub_server import take_for_the_hub
from huggingface_hub import constants

from ser.__main__ import main
from ser.hub.push import push_model
from ser.inference import export_onnx
from ser.inference import onnx_predict
from ser.inference.loading import load_trained
from ser.inference.many_clips import weights_of
from ser.inference.onnx_predict import MADE_OF
from ser.inference.onnx_predict import OnnxClassifier
from ser.inference.onnx_predict import folder_of
from ser.inference.onnx_predict import graph_of

MODEL = str(ROOT / "checkpoints/flagship-bilingual")
WITHOUT_TORCH = """
import sys
from ser.__main__ import main
main(sys.argv[1:])
assert not {"torch", "transformers", "datasets"} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """A cache that holds the graph of the default model."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        graph_of(MODEL)
    return folder


@pytest.fixture
def clips(tmp_path) -> Path:
    """Speech, silence, too little, and two files that are no sound."""
    folder = tmp_path / "clips"
    shutil.copytree(ROOT / "ser/examples/crema-d", folder, ignore=shutil.ignore_patterns("*.json"))
    soundfile.write(folder / "a.wav", voice(0.05), RATE)
    soundfile.write(folder / "b.wav", 0 * voice(0.5), RATE)
    (folder / "c.wav").touch()
    (folder / "d.wav").write_text("not a sound")
    return folder


@pytest.mark.usefixtures("float32")
def test_the_table_is_that_of_torch_and_torch_is_not_imported(clips, cache, tmp_path):
    files = sorted(map(str, clips.iterdir()))
    main(["predict", *files, "--model", MODEL, "--output", str(tmp_path / "torch.parquet")])
    command = ["predict", *files, "--backend", "onnx", "--model", MODEL, "--output", str(tmp_path / "onnx.parquet")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)}
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *command], env=environment, check=True)
    expected, got = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("torch", "onnx"))
    assert got.schema == expected.schema and len(got) == len(files)
    for row, other in zip(got.to_pylist(), expected.to_pylist(), strict=True):
        assert row == pytest.approx(other, abs=1e-4)


def test_a_folder_with_its_means_gives_the_same_table(clips, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    tables = []
    for backend in ("torch", "onnx"):
        output = tmp_path / f"{backend}.parquet"
        main(["predict", str(clips), "--center_by", "folder", "--backend", backend, "--output", str(output)])
        tables.append(pq.read_table(output).to_pylist())
    for row, other in zip(*tables, strict=True):
        assert row == pytest.approx(other, abs=1e-3)


def test_a_graph_is_made_again_for_other_settings_only(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(export_onnx, "write_graph", lambda model, path, revision: path.touch())
    made = graph_of(MODEL)
    folder = shutil.copytree(MODEL, tmp_path / "model")
    (folder / "README.md").write_text("another card")
    assert graph_of(str(folder)) == made
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"certain_threshold": 0.65}))
    assert graph_of(str(folder)) != made


def test_a_newer_model_on_the_hub_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = shutil.copytree(ROOT / "checkpoints/cnn2d", tmp_path / "cnn2d")
    with serve() as hub:
        take_for_the_hub(monkeypatch, hub.url)
        for name in ("first", "second"):
            (folder / "notes.md").write_text(name)
            push_model(folder, "user/x")
            found = folder_of("user/x", None)
            load_trained("user/x")
            assert found.name == hub.model("user/x").head == weights_of("user/x", None)
            assert {*MADE_OF} <= {path.name for path in found.iterdir()}
    assert folder_of("user/x", None) == found  # though the Hub is gone


def test_the_classifier_takes_what_load_audio_takes(cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    classifier = OnnxClassifier()
    of_array, of_file = classifier(voice(1.0, rate=8000), 8000), classifier(ROOT / "ser/examples/plain.ogg")
    for answer in (of_array, of_file):
        assert list(answer) == classifier.labels and sum(answer.values()) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match="which is too short: speak for at least 0.2 s"):
        classifier(voice(0.1))


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("nowhere", "expected a model folder or Hub id; 'nowhere' is neither"),
        (str(ROOT / "checkpoints/cnn1d"), "cannot be exported; those of cnn2d and of the flagship recipes can"),
    ],
)
def test_a_model_that_has_no_graph_is_refused(model, sentence, clips, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(SystemExit, match=sentence):
        main(["predict", str(clips), "--backend", "onnx", "--model", model, "--output", str(tmp_path / "preds.csv")])
    assert not [*(tmp_path / "ser").glob("*")]


def test_a_stopped_job_goes_on(clips, cache, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(onnx_predict, "CHUNK_CLIPS", 4)
    command = ["predict", str(clips), "--backend", "onnx", "--output", str(tmp_path / "preds.parquet")]
    with monkeypatch.context() as patch:
        rows = onnx_predict.write_part
        patch.setattr(onnx_predict, "write_part", lambda *arguments: rows(*arguments) or stopped())
        with pytest.raises(SystemExit, match="finished rows are kept"):
            main(command)
    late = shutil.copy(clips / "a.wav", clips / "0.wav")
    with pytest.raises(SystemExit, match="of other clips"):
        main(command)
    late.unlink()
    main(command)
    names = [Path(row["file"]).name for row in pq.read_table(tmp_path / "preds.parquet").to_pylist()]
    assert names == sorted(path.name for path in clips.iterdir())


def test_several_processes_that_would_all_do_the_same_are_refused(clips, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit, match="ser predict: --backend onnx uses all cores in one process; run it without"):
        main(["predict", str(clips), "--backend", "onnx", "--output", str(tmp_path / "preds.csv")])
    assert not [*tmp_path.glob(".preds*")]
