"""The further corpora: what their names tell, against the tables beside their samples and the whole corpora."""

import csv
import logging
from pathlib import Path

import pytest
from conftest import SHARED
from conftest import write_corpus

from ser.corpora import CORPORA
from ser.corpora import corpora_within
from ser.corpora import title_of

SAMPLES = SHARED / "more/samples"
LABELS = {
    "nemo": ["anger", "fear", "happy", "neutral", "sad"],
    "urdu": ["anger", "happy", "neutral", "sad"],
    "ased": ["anger", "fear", "happy", "neutral", "sad"],
    "emospeech": ["anger", "fear", "happy", "neutral"],
    "speechocean762": ["neutral"],
}


@pytest.mark.parametrize("name", LABELS)
def test_names_tell_label_speaker_and_text(name, tmp_path):
    if not SAMPLES.is_dir():
        pytest.skip("needs samples of the corpora beside the checkout, at ../shared/data/more/samples")
    with (SAMPLES / name / "metadata.csv").open(newline="") as file:
        expected = {Path(row["file"]).stem: row for row in csv.DictReader(file)}
    clips = CORPORA[name].load(SAMPLES / name, cache_dir=tmp_path)
    labels = clips.features["label"]
    assert labels.names == LABELS[name]
    assert {row["clip"]: labels.int2str(row["label"]) for row in clips} == {
        clip: row["label"] for clip, row in expected.items()
    }
    assert {row["clip"]: row["speaker"] for row in clips} == {
        clip: row["speaker"].removeprefix(f"{name}-") for clip, row in expected.items()
    }
    assert min(clips["duration"]) > 0.3
    assert corpora_within(clips) == [CORPORA[name].TITLE]
    assert title_of(name) == CORPORA[name].TITLE
    assert CORPORA[name].CARD.licence and CORPORA[name].CARD.language


def test_what_is_said(tmp_path):
    for name, clip, text in (
        ("nemo", "EB0_anger_71", "71"),
        ("urdu", "SM1_F10_A010", None),
        ("ased", "S4-04-02-01-29", "S4-04"),
        ("speechocean762", "000010011", "0011"),
        ("emospeech", f"help-glass break-Fearful-20190618164021 copy-{56 * 'a'}", "help"),
    ):
        write_corpus(tmp_path / name, [clip])
        row = CORPORA[name].load(tmp_path / name, cache_dir=tmp_path / "cache")[0]
        assert row["text"] == text


def test_other_emotions_and_names_are_left_out_and_said(tmp_path, caplog):
    write_corpus(tmp_path / "nemo", ["EB0_anger_1", "EB0_surprised_1", "EB0_anger"])
    user = 56 * "a"
    write_corpus(tmp_path / "emospeech", [f"background-safe-None-1-{user}", f"go-safe-None-1-{user}"])
    write_corpus(tmp_path / "emospeech", [f"go-safe-Happy-1-{user}"])
    with caplog.at_level(logging.WARNING):
        for name in ("nemo", "emospeech"):
            clips = CORPORA[name].load(tmp_path / name, cache_dir=tmp_path / "cache")
            assert len(clips) == 1
    said = [record.getMessage() for record in caplog.records]
    assert "skipped 1 audio file without an official name (EB0_anger.wav)" in said
    assert "left out 1 clip: labelled surprised (EB0_surprised_1)" in said
    assert any(sentence.startswith("skipped 2 audio files without an official name (background") for sentence in said)


def test_a_twin_with_dashes_in_its_name_is_known():
    clips = {"clip": ["n1-01-01-01-01-1", "mine-2"]}
    assert corpora_within(clips) == ["ASED"]
