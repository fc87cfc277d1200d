"""What the noise between the words tells, measured on real clips and on sound whose noise is known."""

import json

import datasets
import numpy as np
import pytest
import soundfile
from conftest import RATE
from conftest import voice

from ser import SERFeatureExtractor
from ser.__main__ import main
from ser.corpora import load_crema_d
from ser.experiments.noise_floor import classify_by_noise
from ser.experiments.noise_floor import floors
from ser.experiments.noise_floor import level
from ser.experiments.noise_floor import measure
from ser.experiments.noise_floor import noise_floor
from ser.training.acoustic_channel import Channel


def in_noise(snr: float, seed: int = 0) -> np.ndarray:
    """A voice between two pauses, with white noise so many dB below it."""
    speech = np.pad(voice(1.0), RATE // 2)
    noise = np.random.default_rng(seed).standard_normal(len(speech)) * np.sqrt(np.square(voice(1.0)).mean())
    return (speech + noise / 10 ** (snr / 20)).astype(np.float32)


def floor_at(snr: float, gain: float = 1.0) -> np.ndarray:
    """The noise floor of such a clip."""
    return noise_floor(SERFeatureExtractor(top_db=None).extract(gain * in_noise(snr)))


def test_the_noise_lies_as_far_below_the_voice_as_it_was_put():
    near, far = floor_at(10), floor_at(30)
    assert near.shape == (SERFeatureExtractor().n_mels,)
    assert level(near) - level(far) == pytest.approx(20, abs=2)
    np.testing.assert_allclose(floor_at(10, gain=0.1), near, atol=0.1)  # the level of both does not count


def test_a_noise_twenty_decibels_below_another_is_told_as_twenty():
    sound = np.random.default_rng(0).standard_normal(4 * RATE) / 10
    sound[RATE:] /= 10
    assert level(noise_floor(SERFeatureExtractor(top_db=None).extract(sound))) == pytest.approx(-20, abs=2)


def test_the_noise_put_in_place_of_the_own_is_another_and_the_same_each_time():
    extractor = SERFeatureExtractor(top_db=None)
    image = extractor.extract(np.pad(voice(1.0), RATE // 2))
    clips = datasets.Dataset.from_dict({"features": [image.ravel()], "frames": [len(image)], "label": [0]})
    change = Channel(extractor, floor_probability=1.0)
    own, other, again = (floors(clips, extractor, each) for each in (None, change, change))
    np.testing.assert_array_equal(own, [noise_floor(image)])
    assert np.abs(other - own).max() > 3
    np.testing.assert_array_equal(other, again)


def test_emotions_that_differ_by_nothing_but_noise_are_named_by_their_own_and_not_by_another(tmp_path):
    for actor in (1001, 1002, 1003, 1010, 1015):  # of all parts
        for number, sentence in enumerate(("DFA", "ITS", "TAI")):
            for snr, emotion in enumerate(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")):
                sound = in_noise(5 + 6 * snr, seed=actor + number)
                soundfile.write(tmp_path / f"{actor}_{sentence}_{emotion}_XX.wav", sound, RATE)
    figures = measure(load_crema_d(tmp_path, cache_dir=tmp_path / "cache"), SERFeatureExtractor(top_db=None))
    assert figures["own_noise"]["accuracy"] == 1
    assert figures["other_noise"]["accuracy"] < 0.8


def test_the_interval_of_what_the_noise_names_is_over_speakers():
    clips = datasets.Dataset.from_dict({"label": 6 * [0, 1], "speaker": 6 * ["s1"] + 6 * ["s2"]})
    right = np.tile([[0.0], [1.0]], (6, 1))
    wrong_of_one = np.concatenate([right[:6], 1 - right[6:]])
    figures = classify_by_noise(
        {"train": right, "test": wrong_of_one}, datasets.DatasetDict({"train": clips, "test": clips})
    )
    assert figures["accuracy"] == 0.5
    assert figures["interval_95"]["accuracy"] == [0, 1]


def test_the_command_writes_figures_and_a_picture(small_corpus, tmp_path, capsys):
    main(
        [
            "noise-floor",
            "--data_dir",
            str(small_corpus),
            "--results_dir",
            str(tmp_path),
            "--cache_dir",
            str(tmp_path / "cache"),
        ]
    )
    report = json.loads((tmp_path / "noise_floor.json").read_text())
    assert list(report["below_the_voice_db"]) == ["anger", "disgust", "fear", "happy", "neutral", "sad"]
    levels = {name: each["0.5"] for name, each in report["below_the_voice_db"].items()}
    assert levels["anger"] < levels["sad"] < 0  # real clips of two actors
    for name in ("own_noise", "other_noise"):
        assert report[name]["test_clips"] == 82
        assert 0 <= report[name]["accuracy"] <= 1
    assert report["own_noise"] != report["other_noise"]
    assert report["always_the_commonest"] == round(14 / 82, 4)
    assert f"accuracy of {report['own_noise']['accuracy']:.3f} on unseen actors" in capsys.readouterr().out
    assert (tmp_path / "noise_floor.png").read_bytes().startswith(b"\x89PNG")


def test_a_bad_folder_ends_in_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match=r"ser noise-floor: .*nowhere") as stopped:
        main(["noise-floor", "--data_dir", "nowhere", "--results_dir", str(tmp_path)])
    assert "\n" not in str(stopped.value)
