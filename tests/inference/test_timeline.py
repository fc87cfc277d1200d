"""Windows of a long recording, read in blocks, against the recording read whole."""

import copy
import csv
import io
import json

import numpy as np
import pytest
import soundfile
from conftest import RATE
from conftest import ROOT
from conftest import speech
from conftest import voice
from transformers import pipeline

import ser
from ser.inference import timeline
from ser.models.audio_ser import is_silent
from ser.models.ordinary_voice_ser import relative_to


@pytest.fixture(scope="module")
def classifier():
    return pipeline("audio-classification", model=str(ROOT / "checkpoints/cnn1d"))


@pytest.fixture
def recording(tmp_path):
    """20 s in stereo at 44.1 kHz, in which nobody speaks from 8.5 to 14 s."""
    waveform = speech(20.0, rate=44100)
    waveform[17 * 22050 : 14 * 44100] *= 1e-3
    soundfile.write(tmp_path / "long.flac", np.stack([waveform, 0.5 * waveform], axis=1), 44100)
    return tmp_path / "long.flac"


def test_blocks_are_the_file_piece_by_piece(recording, monkeypatch):
    monkeypatch.setattr(timeline, "BLOCK", 1.7)
    pieces = list(timeline.read_blocks(recording, RATE))
    whole = ser.load_audio(recording, sampling_rate=RATE)
    assert len(pieces) > 10
    joined = np.concatenate(pieces)
    assert len(joined) == len(whole)
    assert np.abs(joined - whole).max() < 1e-4


def test_a_part_of_a_file_is_read_alone(recording):
    whole = ser.load_audio(recording, sampling_rate=RATE)
    part = np.concatenate(list(timeline.read_blocks(recording, RATE, 2.5, 4.0)))
    assert len(part) == 1.5 * RATE
    assert np.abs(part - whole[round(2.5 * RATE) : 4 * RATE])[200:-200].max() < 1e-3  # edges of the resampler aside


def window(speech: bool, **probabilities: float) -> dict:
    label = max(probabilities, key=probabilities.__getitem__)
    row = {"start": 0.0, "end": 3.0, "level_db": -20.0, "speech": speech}
    row |= {"emotion": label, "probability": probabilities[label]} if speech else {"emotion": None, "probability": None}
    return row | {"probabilities": probabilities}


def test_windows_relative_to_their_recording_by_hand():
    rows = [window(True, sad=0.9, fear=0.1), window(False, sad=0.5, fear=0.5), window(True, sad=0.6, fear=0.4)]
    before = copy.deepcopy(rows)
    first, silent, last = timeline.relative_to_recording(rows)
    odds = (9 / 1.5) ** 0.5  # of sad to fear are 9 and 1.5, their geometric mean is 9 / odds
    assert first["emotion"] == "sad" and first["probability"] == pytest.approx(odds / (1 + odds))
    assert last["emotion"] == "fear" and last["probabilities"]["sad"] == pytest.approx(1 / (1 + odds))
    assert list(last["probabilities"]) == ["fear", "sad"]  # the likeliest first, as in all rows
    assert silent == before[1] and rows == before
    assert timeline.relative_to_recording(rows[:2]) == rows[:2] and timeline.relative_to_recording([]) == []


def test_windows_relative_to_an_ordinary_voice():
    rows = [window(True, sad=0.9, fear=0.1), window(False, sad=0.5, fear=0.5), window(True, sad=0.6, fear=0.4)]
    log = timeline.log_of_speech(rows, ["fear", "sad"])
    assert np.exp(log) == pytest.approx(np.array([[0.1, 0.9], [0.4, 0.6]]))
    settings = {"temperature": 0.5, "bias": [0.2, 0.0], "certain_threshold": 0.5}
    first, silent, last = timeline.relative_to_voice(rows, ["fear", "sad"], log[0], settings)
    expected = np.exp(relative_to(log[0], log, settings))
    assert first["probabilities"] == pytest.approx({"fear": expected[0, 0], "sad": expected[0, 1]})
    assert last["emotion"] == "fear" and last["probability"] == pytest.approx(expected[1, 0])
    assert silent == rows[1] and timeline.relative_to_voice(rows[1:2], ["fear", "sad"], log[0], settings) == rows[1:2]


def test_relative_to_the_recording_a_constant_lean_is_gone():
    raw = np.random.default_rng(0).dirichlet(np.ones(3), 40)
    leaning = raw * [20, 1, 1] / (raw * [20, 1, 1]).sum(1, keepdims=True)
    found, expected = (
        timeline.relative_to_recording(
            [window(True, sad=sad, fear=fear, calm=calm) for sad, fear, calm in rows.tolist()]
        )
        for rows in (leaning, raw)
    )
    for row, other in zip(found, expected, strict=True):
        assert row["probabilities"] == pytest.approx(other["probabilities"])


def test_a_recording_relative_to_itself_keeps_its_form(recording, classifier):
    rows = timeline.analyse(recording, classifier)
    relative = timeline.relative_to_recording(rows)
    assert timeline.to_csv(relative).splitlines()[0] == timeline.to_csv(rows).splitlines()[0]
    for row, other in zip(rows, relative, strict=True):
        assert list(row) == list(other)
        assert sum(other["probabilities"].values()) == pytest.approx(1)
        assert {name: row[name] for name in ("start", "end", "level_db", "speech")}.items() <= other.items()
        assert other["probability"] == (max(other["probabilities"].values()) if row["speech"] else None)
    json.loads(timeline.to_json(relative, "cnn1d"))


@pytest.mark.parametrize("seconds", [0.4, 3.0, 3.1, 4.5, 10.0])
def test_windows_cover_everything_once_started(seconds):
    waveform = voice(seconds)
    found = list(timeline.windows(iter(np.array_split(waveform, 7)), RATE))
    assert [start for start, _ in found] == pytest.approx([timeline.HOP * number for number in range(len(found))])
    for start, samples in found:
        first = round(start * RATE)
        assert np.array_equal(samples, waveform[first : first + len(samples)])
        assert len(samples) <= timeline.WINDOW * RATE
    assert found[-1][0] + len(found[-1][1]) / RATE == pytest.approx(seconds)
    assert len(found) == 1 + max(0, np.ceil((seconds - timeline.WINDOW) / timeline.HOP))  # none lies in another


def test_each_window_gets_what_the_pipeline_says_of_it_alone(recording, classifier):
    done = []
    rows = timeline.analyse(recording, classifier, done.append)
    assert done[-1] == rows[-1]["end"] == pytest.approx(20.0)
    whole = ser.load_audio(recording, sampling_rate=classifier.feature_extractor.sampling_rate)
    for row in rows[::3]:
        first, last = (round(row[name] * classifier.feature_extractor.sampling_rate) for name in ("start", "end"))
        if is_silent(whole[first:last]):
            assert set(row["probabilities"].values()) == {1 / 6}
            continue
        alone = {entry["label"]: entry["score"] for entry in classifier(whole[first:last])}
        assert row["probabilities"] == pytest.approx(alone, abs=2e-3)
        likeliest = max(row["probabilities"], key=row["probabilities"].get)
        assert row["emotion"] == (likeliest if row["speech"] else None)
        assert row["probability"] == (row["probabilities"][likeliest] if row["speech"] else None)
        assert row["level_db"] == pytest.approx(10 * np.log10(np.square(whole[first:last]).mean() + 1e-10), abs=0.06)
    silent = [row["start"] for row in rows if not row["speech"]]
    assert silent == [9.0, 10.5]  # the windows that lie in the pause altogether


def test_a_recording_in_opposite_phase_on_two_channels_is_heard(tmp_path):
    soundfile.write(tmp_path / "balanced.wav", np.stack([speech(4.0), -speech(4.0)], axis=1), RATE)
    blocks = timeline.read_blocks(tmp_path / "balanced.wav", RATE)
    np.testing.assert_allclose(np.concatenate(list(blocks)), speech(4.0), atol=1e-4)


def test_a_quiet_speaker_beside_a_loud_one_is_heard(tmp_path, classifier):
    loud, quiet = speech(6.0), 0.02 * speech(9.0)
    soundfile.write(tmp_path / "two.wav", np.concatenate([loud, quiet]), RATE, subtype="FLOAT")
    assert all(row["speech"] for row in timeline.analyse(tmp_path / "two.wav", classifier))


def test_the_whole_is_the_mean_of_what_was_spoken(recording, classifier):
    rows = timeline.analyse(recording, classifier)
    spoken = [row["probabilities"]["anger"] for row in rows if row["speech"]]
    scores = timeline.overall(rows)
    assert scores["anger"] == pytest.approx(np.mean(spoken))
    assert sum(scores.values()) == pytest.approx(1, abs=1e-5)
    assert timeline.overall([row | {"speech": False} for row in rows]) is None


def test_tables_hold_every_window(recording, classifier):
    rows = timeline.analyse(recording, classifier)
    table = list(csv.DictReader(io.StringIO(timeline.to_csv(rows))))
    assert [float(row["start"]) for row in table] == [row["start"] for row in rows]
    assert float(table[0]["fear"]) == pytest.approx(rows[0]["probabilities"]["fear"], abs=1e-4)
    content = json.loads(timeline.to_json(rows, "cnn1d"))
    assert content["windows"] == rows
    assert (content["model"], content["window"], content["hop"]) == ("cnn1d", timeline.WINDOW, timeline.HOP)


def test_a_pipeline_that_was_to_tell_less_is_asked_for_all(recording, classifier):
    terse = pipeline("audio-classification", model=str(ROOT / "checkpoints/cnn1d"), top_k=1)
    assert timeline.analyse(recording, terse) == timeline.analyse(recording, classifier)


def test_nothing_is_no_recording_and_an_empty_table(tmp_path, classifier):
    soundfile.write(tmp_path / "x.wav", np.zeros(0), RATE)
    with pytest.raises(ValueError, match="holds no samples"):
        timeline.analyse(tmp_path / "x.wav", classifier)
    assert timeline.to_csv([]).splitlines() == ["start,end,level_db,speech,emotion,probability"]


@pytest.mark.parametrize("content", [b"", b"I am a text file."])
def test_what_is_no_audio_is_told_in_a_sentence(content, tmp_path, classifier):
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(ValueError, match="could not be decoded"):
        timeline.analyse(tmp_path / "x.wav", classifier)


def test_samples_that_are_no_numbers_are_refused(tmp_path, classifier):
    soundfile.write(tmp_path / "x.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match="NaN or infinite"):
        timeline.analyse(tmp_path / "x.wav", classifier)
