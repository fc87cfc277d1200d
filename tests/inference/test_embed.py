"""One vector a clip: of the command, of `AutoModel`, and what neighbours it has."""

import json
import os
import re
import runpy
import shlex
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from conftest import RATE
from conftest import ROOT
from conftest import run_python
from conftest import voice
from conftest import write_corpus
from transformers import AutoFeatureExtractor
from transformers import AutoModel
from transformers import AutoModelForAudioClassification

import ser
from ser.__main__ import main
from ser.inference import many_clips

MODEL = str(ROOT / "checkpoints/cnn1d")
A_STRANGER = """
import json, sys
import numpy as np
from transformers import AutoFeatureExtractor, AutoModel
for model in sys.argv[2:]:
    extractor = AutoFeatureExtractor.from_pretrained(model, trust_remote_code=True)
    encoder = AutoModel.from_pretrained(model, trust_remote_code=True)
    inputs = extractor(np.load(sys.argv[1]), sampling_rate=16000, return_tensors="pt")
    print(json.dumps(encoder(**inputs).pooler_output[0].tolist()))
"""
ENDLESS = """
import os, time
from ser.__main__ import main
from ser.inference import many_clips
def read_clip(audio, extractor):
    os.write(1, b"a worker\\n")
    time.sleep(300)
many_clips.read_clip, many_clips.workers_for = read_clip, lambda *_: 2
main()
"""


def pooled(model: str, clip: np.ndarray) -> np.ndarray:
    extractor, encoder = AutoFeatureExtractor.from_pretrained(model), AutoModel.from_pretrained(model)
    with torch.inference_mode():
        return encoder(**extractor(clip, sampling_rate=RATE, return_tensors="pt")).pooler_output[0].numpy()


def test_the_command_writes_what_the_encoder_gives_and_the_reason_where_there_is_none(tmp_path, monkeypatch, capsys):
    write_corpus(tmp_path / "clips", ["a", "b", "c"])
    (tmp_path / "clips/d.wav").write_text("not a sound")
    monkeypatch.setattr(many_clips, "CHUNK_CLIPS", 2)
    main(["embed", str(tmp_path / "clips"), "--model", MODEL, "--output", str(tmp_path / "e.parquet")])
    *rows, broken = pq.read_table(tmp_path / "e.parquet").to_pylist()
    assert "4 clips, 1 with errors" in capsys.readouterr().out
    for row, name in zip(rows, "abc", strict=True):
        clip = ser.load_audio(tmp_path / f"clips/{name}.wav", sampling_rate=RATE)
        assert row["file"].endswith(f"{name}.wav") and row["duration"] == pytest.approx(0.4) and not row["error"]
        np.testing.assert_allclose(row["embedding"], pooled(MODEL, clip), rtol=1e-3, atol=2e-3)
    assert broken["embedding"] is None and "could not be decoded" in broken["error"]


def test_workers_embed_as_one_process_does(tmp_path, monkeypatch):
    write_corpus(tmp_path / "clips", list("abcdefg"))
    (tmp_path / "clips/c.wav").write_text("not a sound")
    monkeypatch.setattr(many_clips, "SLICE", 2)
    tables = []
    for workers in (0, 2):
        monkeypatch.setattr(many_clips, "workers_for", lambda *_, workers=workers: workers)
        output = tmp_path / f"{workers}.parquet"
        main(["embed", str(tmp_path / "clips"), "--model", MODEL, "--output", str(output)])
        tables.append(pq.read_table(output).to_pylist())
    for row, other in zip(*tables, strict=True):
        assert (row["file"], row["error"]) == (other["file"], other["error"])
        assert row["embedding"] is other["embedding"] or row["embedding"] == pytest.approx(other["embedding"], abs=2e-3)


@pytest.mark.slow
def test_workers_end_with_a_command_that_is_killed(tmp_path):
    write_corpus(tmp_path / "clips", list("abcdefgh"))
    words = [sys.executable, "-c", ENDLESS, "embed", "clips", "--model", MODEL, "--output", "e.parquet"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as command:
        for _ in range(2):
            assert command.stdout.readline() == b"a worker\n"
        command.kill()
        assert command.communicate(timeout=100) == (b"", None)  # once nobody is left who could write


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("clips", "--output", "e.csv"),
            "ser embed: expected --output to end in .parquet, which holds vectors; got 'e",
        ),
        (("gone", "--output", "e.parquet"), "ser embed: there is no file, folder or match of 'gone'"),
        (("--output", "e.parquet"), "ser embed: expected either INPUT or --dataset"),
    ],
)
def test_what_cannot_be_embedded_is_answered_in_one_sentence(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["embed", *words, "--model", MODEL])
    assert str(ended.value).startswith(sentence)


@pytest.mark.parametrize("name", ["cnn1d", "cnn2d"])
def test_hidden_states_are_there_when_asked_for_and_padding_does_not_reach_the_embedding(name):
    folder = ROOT / "checkpoints" / name
    extractor, encoder = AutoFeatureExtractor.from_pretrained(folder), AutoModel.from_pretrained(folder)
    classifier = AutoModelForAudioClassification.from_pretrained(folder)
    clips = [voice(0.5), voice(1.3, seed=1)]
    inputs = extractor(clips, sampling_rate=RATE, padding=True, return_tensors="pt")
    with torch.inference_mode():
        outputs, classified = (model(**inputs, output_hidden_states=True) for model in (encoder, classifier))
        assert encoder(**inputs).hidden_states is None and classifier(**inputs).hidden_states is None
        encoder.config.output_hidden_states = True
        assert len(encoder(**inputs).hidden_states) == len(encoder.blocks)
    for ours, theirs, channels in zip(
        outputs.hidden_states, classified.hidden_states, encoder.config.channels, strict=True
    ):
        assert torch.equal(ours, theirs) and ours.shape[:2] == (2, channels)
    assert torch.equal(outputs.hidden_states[-1], outputs.last_hidden_state)
    for clip, embedding in zip(clips, outputs.pooler_output, strict=True):
        np.testing.assert_allclose(embedding, pooled(str(folder), clip), rtol=1e-3, atol=2e-3)


def test_a_stranger_gets_the_encoder_with_the_model(tmp_path):
    AutoModelForAudioClassification.from_pretrained(MODEL).save_pretrained(tmp_path / "model")
    AutoFeatureExtractor.from_pretrained(MODEL).save_pretrained(tmp_path / "model")
    assert (
        json.loads((tmp_path / "model/config.json").read_text())["auto_map"]["AutoModel"] == "modeling_ser.CNN1DModel"
    )
    np.save(tmp_path / "clip.npy", voice())
    embeddings = run_python(A_STRANGER, tmp_path / "clip.npy", tmp_path / "model", MODEL, cwd=tmp_path)
    assert len(embeddings) == 2
    for embedding in embeddings:
        np.testing.assert_allclose(embedding, pooled(MODEL, voice()), rtol=1e-4, atol=1e-5)


def test_an_encoder_saved_alone_is_the_same_and_is_no_classifier(tmp_path):
    AutoModel.from_pretrained(MODEL).save_pretrained(tmp_path)
    AutoFeatureExtractor.from_pretrained(MODEL).save_pretrained(tmp_path)
    np.testing.assert_array_equal(pooled(str(tmp_path), voice()), pooled(MODEL, voice()))
    with pytest.raises(ValueError, match="weights are missing, such as classifier.bias"):
        AutoModelForAudioClassification.from_pretrained(tmp_path)


def test_the_documentation_can_be_typed(tmp_path, monkeypatch, capsys):
    command, neighbours, encoder = re.findall(
        r"^```(?:python)?\n(.*?)^```", (ROOT / "docs/embeddings.md").read_text(), re.M | re.S
    )
    for label in ("calm", "cross"):
        write_corpus(tmp_path / "my-clips" / label, [f"{label}-{number}" for number in range(4)])
    soundfile.write(tmp_path / "speech.wav", voice(), RATE)
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    main(shlex.split(command)[3:])
    (tmp_path / "neighbours.py").write_text(neighbours)
    found = runpy.run_path("neighbours.py")
    assert len(found["embeddings"]) == 8 and "['c" in capsys.readouterr().out
    (tmp_path / "encoder.py").write_text(encoder)
    outputs = runpy.run_path("encoder.py")["outputs"]
    assert outputs.pooler_output.shape == (1, 512) and outputs.hidden_states[0].ndim == 4
