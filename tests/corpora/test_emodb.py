"""EmoDB, whole and made up."""

import logging

import numpy as np
import pytest
from conftest import SHARED
from conftest import write_corpus

from ser.corpora.emodb import EMOTIONS
from ser.corpora.emodb import EmoDB


def test_the_whole_corpus_has_its_published_numbers(tmp_path, caplog):
    folder = SHARED / "emodb"
    if not folder.is_dir():
        pytest.skip("needs EmoDB beside the checkout, at ../shared/data/emodb")
    with caplog.at_level(logging.WARNING):
        clips = EmoDB.load(folder, cache_dir=tmp_path)
    assert not caplog.records
    counts = dict(zip(EMOTIONS, np.bincount(clips["label"]).tolist(), strict=True))
    assert counts == {
        "anger": 127,
        "boredom": 81,
        "disgust": 46,
        "fear": 69,
        "happiness": 71,
        "sadness": 62,
        "neutral": 79,
    }
    assert len(set(clips["speaker"])) == 10
    assert len(set(clips["text"])) == 10
    assert sum(clips["duration"]) / 60 == pytest.approx(24.8, abs=0.1)
    assert len({speaker for speaker, sex in zip(clips["speaker"], clips["sex"], strict=True) if sex == "female"}) == 5


def test_names_tell_speaker_text_emotion_and_version(tmp_path, caplog):
    write_corpus(tmp_path / "wav", ["03a01Fa", "16b10Td", "99a01Fa", "03a01Xa"])
    with caplog.at_level(logging.WARNING):
        clips = EmoDB.load(tmp_path / "wav", cache_dir=tmp_path / "cache")
    rows = [{key: row[key] for key in ("speaker", "text", "version", "sex", "age")} for row in clips]
    assert rows == [
        {"speaker": "03", "text": "a01", "version": "a", "sex": "male", "age": 31},
        {"speaker": "16", "text": "b10", "version": "d", "sex": "female", "age": 31},
    ]
    assert [EMOTIONS[label] for label in clips["label"]] == ["happiness", "sadness"]
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "skipped 2 audio files without an official name (03a01Xa.wav, 99a01Fa.wav)",
        "partial corpus: 2 of 535 official clips found",
    ]
