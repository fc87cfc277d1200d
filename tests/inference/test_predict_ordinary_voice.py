"""`python -m ser predict --ordinary_voice` against the table without it, in both backends."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from conftest import RATE
from conftest import ROOT
from conftest import voice

from ser.__main__ import main
from ser.models.ordinary_voice_ser import relative_to

MODEL = ROOT / "checkpoints/cnn2d"
LABELS = ["anger", "disgust", "fear", "happy", "neutral", "sad"]
SETTINGS = {"temperature": 0.8, "bias": [0.0, 0.1, 0.0, -0.2, 0.3, 0.0], "certain_threshold": 0.4}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = shutil.copytree(MODEL, tmp_path_factory.mktemp("model") / "cnn2d")
    config = json.loads((folder / "config.json").read_text()) | {"ordinary_voice": SETTINGS, "certain_threshold": 0.99}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Four clips, one of them unreadable, and two recordings of the ordinary voice in a folder of their own."""
    root = tmp_path_factory.mktemp("clips")
    for folder, count in (("clips", 3), ("me", 2)):
        (root / folder).mkdir()
        for number in range(count):
            sound = voice(0.6 + 0.2 * number, seed=number, pitch=100 + 40 * number + 20 * count)
            soundfile.write(root / folder / f"{number}.wav", sound, RATE)
    (root / "clips/x.wav").write_text("not a sound")
    return root


def table(*arguments, output: Path) -> list[dict]:
    main(["predict", *map(str, arguments), "--output", str(output)])
    return pq.read_table(output).to_pylist()


def log_of(row: dict) -> np.ndarray:
    return np.log([row[label] for label in LABELS])


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_rows_are_relative_to_the_recordings(clips, model, tmp_path, backend):
    command = "--model", model, "--backend", backend
    plain = table(clips / "clips", *command, output=tmp_path / "plain.parquet")
    me = table(clips / "me", *command, output=tmp_path / "me.parquet")
    found = table(clips / "clips", *command, "--ordinary_voice", clips / "me", output=tmp_path / "relative.parquet")
    mean = np.mean([log_of(row) for row in me], axis=0)
    for row, before in zip(found, plain, strict=True):
        if before["error"]:
            assert row == before
            continue
        expected = np.exp(relative_to(mean, log_of(before)[None], SETTINGS)[0])
        assert [row[label] for label in LABELS] == pytest.approx(expected, abs=1e-6)
        assert (row["label"], row["certain"]) == (LABELS[expected.argmax()], expected.max() >= 0.4)
    assert sum(row["error"] is None for row in found) == 3


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("group", ["speaker", "folder"])
@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_each_speaker_or_folder_has_its_own_recordings(model, tmp_path, capsys, backend, group):
    people = tmp_path / "people"
    names = [f"{who}/{clip}.wav" for who in ("ann", "bob") for clip in ("a", "b", "ordinary")] + ["cid/a.wav"]
    for number, name in enumerate(names):
        (people / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(people / name, voice(0.6, seed=number, pitch=90 + 20 * number), RATE)
    lines = [f"{name},{name.partition('/')[0]}" for name in names]
    (people / "metadata.csv").write_text("\n".join(["file,speaker", *lines]))
    command = "--model", model, "--backend", backend
    plain = table(people, *command, output=tmp_path / "plain.parquet")
    relative = "--ordinary_voice", f"{people}/*/ordinary.wav", "--center_by", group
    found = table(people, *command, *relative, output=tmp_path / "relative.parquet")
    assert "7 clips, 0 with errors, 1 left as they are, without an ordinary voice" in capsys.readouterr().out
    ordinary = {Path(row["file"]).parent: log_of(row) for row in plain if Path(row["file"]).stem == "ordinary"}
    for row, before in zip(found[:-1], plain[:-1], strict=True):
        expected = np.exp(relative_to(ordinary[Path(row["file"]).parent], log_of(before)[None], SETTINGS)[0])
        assert [row[label] for label in LABELS] == pytest.approx(expected, abs=1e-6)
        assert (row["label"], row["certain"]) == (LABELS[expected.argmax()], expected.max() >= 0.4)
    assert found[-1] == plain[-1]
    if group == "speaker":
        (people / "metadata.csv").write_text("\n".join(["file,speaker", *lines[:-2]]))
        with pytest.raises(SystemExit, match="no metadata.csv names the speaker of .*bob/ordinary.wav"):
            table(people, *command, *relative, output=tmp_path / "x.parquet")


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_what_cannot_be_an_ordinary_voice_is_refused_before_anything_is_classified(clips, model, tmp_path, backend):
    command = ["predict", str(clips / "clips"), "--output", str(tmp_path / "x.csv"), "--backend", backend]
    for arguments, sentence in (
        (["--model", str(model), "--ordinary_voice", str(clips / "clips")], "--ordinary_voice '.*x.wav': .* decoded"),
        (
            ["--model", str(model), "--ordinary_voice", "nowhere.wav"],
            "--ordinary_voice: there is no file, folder or match of 'nowhere.wav'",
        ),
        (["--model", str(MODEL), "--ordinary_voice", str(clips / "me")], "this model was not calibrated for answers"),
    ):
        with pytest.raises(SystemExit, match=sentence) as stopped:
            main([*command, *arguments])
        assert "\n" not in str(stopped.value)
    assert not list(tmp_path.glob("x*"))
