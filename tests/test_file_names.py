"""File names are data: no name reaches a shell, leaves its folder or breaks a table, whatever is written in it."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
from conftest import RATE
from conftest import ROOT
from conftest import speech
from gradio_client import handle_file

import ser
from ser.__main__ import main
from ser.corpora import load_labelled_audio
from ser.corpora.unlabelled_audio import find_clips
from ser.page.uploads import readable

NAMES = [
    "; touch pwned; .wav",
    "$(touch pwned).wav",
    "`touch pwned`.wav",
    "| touch pwned |.wav",
    "-i.wav",
    "--output=pwned.wav",
    "..%2f..%2fpwned.wav",
    "..\\..\\pwned.wav",
    "a\nb.wav",
    "a\r\nb\t.wav",
    "\u202evaw.exe.wav",
    "<img src=x onerror=alert(1)>.wav",
    "'\"; drop table clips.wav",
    "=cmd|' calc'!A0.wav",
    "@sum(1+1).wav",
    "clip[0-9]*?.wav",
    "%d%s%n{0}{file}.wav",
    "~.wav",
    "ä ö 声 🎙.wav",
    f"{'n' * 251}.wav",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Clips of those names, below the working directory."""
    monkeypatch.chdir(tmp_path)
    for label in ("calm", "cross"):
        (tmp_path / "clips" / label).mkdir(parents=True)
    for number, name in enumerate(NAMES):
        path = tmp_path / "clips" / ("calm", "cross")[number % 2] / name
        soundfile.write(path, speech(0.5), RATE, format="WAV")
        path.write_bytes(path.read_bytes() + bytes([number]))  # else they would be copies of one clip
    return tmp_path / "clips"


def predict_main(*arguments: str) -> None:
    main(["predict", "--model", str(ROOT / "checkpoints/cnn1d"), "--output", "table.csv", *arguments])


def test_every_name_is_a_row_of_the_table_as_it_is(folder, tmp_path):
    """Also those that a spreadsheet would take for formulas: the column must still name the file."""
    predict_main("clips")
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [str(Path(path).relative_to(tmp_path)) for path in sorted(paths(folder))]
    assert not [row["error"] for row in rows if row["error"]]
    assert sorted(os.listdir(tmp_path)) == ["clips", "table.csv"]


def paths(folder) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_name_given_by_itself_is_a_name_and_no_option_or_pattern(folder, tmp_path, capsys):
    names = [os.path.join("clips", ("calm", "cross")[number % 2], name) for number, name in enumerate(NAMES)]
    for name in ("-i.wav", "--output=pwned.wav", "=cmd|' calc'!A0.wav"):
        soundfile.write(tmp_path / name, speech(0.5), RATE)
    predict_main("--", "-i.wav", "--output=pwned.wav", "=cmd|' calc'!A0.wav", *names)
    assert capsys.readouterr().out.strip() == f"{len(NAMES) + 3} clips, 0 with errors: table.csv"
    assert not (tmp_path / "pwned.wav").exists() and not (tmp_path / "pwned").exists()


def test_clips_of_any_name_are_training_data(folder, tmp_path):
    clips = load_labelled_audio(str(folder))
    assert sorted(clips["clip"][:]) == sorted(Path(name).stem for name in NAMES)


@pytest.mark.parametrize("name", ["n" * 5000 + ".wav", "a\0b.wav", ".", ".."])
def test_names_that_no_clip_can_have_are_missing_clips(folder, name, caplog):
    rows = f"calm/{NAMES[0]},calm\ncross/{NAMES[1]},cross\ncalm/{name},calm\n"
    (folder / "metadata.csv").write_text(f"file,label\n{rows}")
    assert len(load_labelled_audio(str(folder))) == 2
    assert "left out 1 clip: missing" in caplog.text
    with pytest.raises(FileNotFoundError, match="expected an audio file at"):
        ser.load_audio(name, sampling_rate=RATE)


@pytest.mark.parametrize("name", ["n" * 5000 + ".wav", "a\0b.wav", "", "**.wav", "//[.wav"])
def test_patterns_that_no_clip_can_match_are_told_in_a_sentence(name):
    with pytest.raises(ValueError, match="no file, folder or match of"):
        find_clips([name])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_not_utf_8_is_told_in_a_sentence(folder, tmp_path):
    soundfile.write(folder / "calm" / "plain.wav", speech(0.5), RATE)
    os.rename(folder / "calm/plain.wav", os.fsencode(folder / "calm") + b"/\xff.wav")
    with pytest.raises(SystemExit) as end:
        predict_main("clips")
    assert str(end.value) == r"ser predict: expected file names in UTF-8; got 'clips/calm/\udcff.wav'; rename the file"


def test_no_name_is_an_option_or_a_command_to_ffmpeg(folder, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    plain = ["ffmpeg", "-v", "error", "-i", paths(folder)[0], "-c:a", "aac", "plain.m4a"]
    subprocess.run(plain, check=True)
    content = Path("plain.m4a").read_bytes()
    for name in NAMES:
        film = Path(name).with_suffix(".m4a")
        film.write_bytes(content)
        with readable(film) as (_, seconds):
            assert seconds == pytest.approx(0.5, abs=0.1), name
        film.unlink()
    assert sorted(os.listdir(tmp_path)) == ["bin", "clips", "plain.m4a"]


def test_the_page_hears_uploads_of_any_name(folder, tmp_path, client):
    before = np.inf
    for path in paths(folder):
        said, bars, _ = client.predict(handle_file(path), "cnn1d", api_name="/classify")
        confidence = bars["confidences"][0]["confidence"]
        assert before in (np.inf, confidence), path.name
        before = confidence
        assert path.stem not in said
    assert not list(ROOT.glob("*pwned*")) and not list(tmp_path.glob("*pwned*"))
