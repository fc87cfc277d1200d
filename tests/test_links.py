"""What lies in a folder of clips leads nowhere else: names in tables, links, pipes and devices."""

import os
from pathlib import Path

import datasets
import pytest
import soundfile
from conftest import RATE
from conftest import voice
from conftest import write_corpus

from ser.corpora import load_labelled_audio
from ser.corpora.unlabelled_audio import find_clips
from ser.hub.push import push_dataset


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two clips of two labels, and beside their folder one that is private."""
    write_corpus(tmp_path / "private", ["secret"])
    for label in ("calm", "cross"):
        write_corpus(tmp_path / "clips" / label, [label])
    return tmp_path / "clips"


def names(clips: datasets.Dataset) -> list[str]:
    return sorted(Path(audio["path"] if isinstance(audio, dict) else audio).name for audio in clips["audio"])


@pytest.mark.parametrize(
    "name",
    ["../private/secret.wav", "calm/../../private/secret.wav", "{outside}", "/etc/passwd", "../clips2/a.wav"],
)
def test_a_table_cannot_name_a_file_outside_of_its_folder(folder, name):
    name = name.format(outside=folder.parent / "private/secret.wav")
    (folder / "metadata.csv").write_text(f"file,label\ncalm/calm.wav,calm\ncross/cross.wav,cross\n{name},calm\n")
    with pytest.raises(ValueError, match="expected clips inside .*; its metadata.csv names .*; copy the clip into the"):
        load_labelled_audio(str(folder))


def test_a_table_may_name_any_file_inside(folder, monkeypatch):
    (folder / "tables").mkdir()
    rows = f"../calm/calm.wav,calm\n{folder}/cross/cross.wav,cross\n"
    (folder / "tables/metadata.csv").write_text(f"file,label\n{rows}")
    monkeypatch.chdir(folder.parent)
    for name in (str(folder), "clips", "./clips/"):
        assert names(load_labelled_audio(name)) == ["calm.wav", "cross.wav"]


def test_links_to_clips_are_clips_and_links_to_folders_are_not_followed(folder):
    (folder / "calm/linked.wav").symlink_to(folder.parent / "private/secret.wav")
    (folder / "calm/elsewhere").symlink_to(folder.parent / "private")
    for clips in (load_labelled_audio(str(folder)), find_clips([str(folder)])):
        assert names(clips) == ["calm.wav", "cross.wav", "linked.wav"]


def test_links_that_go_round_in_circles_end(folder):
    """Two of them double the paths at each level: following them would never end."""
    for number in range(3):
        (folder / f"calm/round{number}").symlink_to(folder)
    (folder / "calm/itself.wav").symlink_to(folder / "calm/itself.wav")
    assert names(find_clips([str(folder)])) == ["calm.wav", "cross.wav", "itself.wav"]  # to be a row with the reason
    assert names(find_clips([str(folder / "**/c*.wav")])) == ["calm.wav", "cross.wav"]
    assert names(load_labelled_audio(str(folder))) == ["calm.wav", "cross.wav"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_no_clips_and_are_not_waited_for(folder):
    for name in ("calm/pipe.wav", "metadata.csv", "metadata.txt"):
        os.mkfifo(folder / name)
    (folder / "calm/endless.wav").symlink_to("/dev/zero")
    (folder / "calm/folder.wav").mkdir()
    assert names(load_labelled_audio(str(folder))) == ["calm.wav", "cross.wav"]
    assert names(find_clips([str(folder)])) == ["calm.wav", "cross.wav"]
    (folder / "metadata.csv").unlink()
    (folder / "metadata.csv").write_text(
        "file,label\ncalm/pipe.wav,calm\ncalm/endless.wav,calm\ncalm/calm.wav,calm\ncross/cross.wav,cross\n"
    )
    (folder / "metadata.txt").unlink()
    assert names(load_labelled_audio(str(folder))) == ["calm.wav", "cross.wav"]


def test_a_linked_clip_is_not_published_unasked(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_never_sent")
    (folder / "calm/linked.wav").symlink_to(tmp_path / "private/secret.wav")
    with pytest.raises(ValueError, match="1 clip outside of .*linked.wav.*; copy those that you want to publish"):
        push_dataset(str(folder), "user/clips")
    soundfile.write(tmp_path / "1001_DFA_ANG_XX.wav", voice(0.4), RATE)
    (tmp_path / "crema-d").mkdir()
    (tmp_path / "crema-d/1001_DFA_ANG_XX.wav").symlink_to(tmp_path / "1001_DFA_ANG_XX.wav")
    with pytest.raises(ValueError, match="1 clip outside of"):
        push_dataset(str(tmp_path / "crema-d"), "user/clips", corpus="crema-d")


def test_a_dataset_on_disk_cannot_have_other_files_published(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_never_sent")
    paths = [str(folder / "calm/calm.wav"), str(tmp_path / "private/secret.wav")]
    cells = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    features = datasets.Features({"audio": cells, "label": datasets.Value("string")})
    rows = {"audio": [{"bytes": None, "path": path} for path in paths], "label": ["calm", "cross"]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(folder / "saved")
    with pytest.raises(ValueError, match="2 clips outside of"):
        push_dataset(str(folder / "saved"), "user/clips")
