"""What the noise between the words tells, measured on real clips and on sound whose noise is known."""

import json

import numpy as np
import pytest
from conftest import RATE
from conftest import voice

from ser import SERFeatureExtractor
from ser.noise_floor import level
from ser.noise_floor import main
from ser.noise_floor import noise_floor


def floor_at(snr: float, gain: float = 1.0) -> np.ndarray:
    """Of a voice between two pauses, with white noise so many dB below it."""
    speech = np.pad(voice(1.0), RATE // 2)
    noise = np.random.default_rng(0).standard_normal(len(speech)) * np.sqrt(np.square(voice(1.0)).mean())
    sound = gain * (speech + noise / 10 ** (snr / 20))
    return noise_floor(SERFeatureExtractor(top_db=None).extract(sound.astype(np.float32)))


def test_the_noise_lies_as_far_below_the_voice_as_it_was_put():
    near, far = floor_at(10), floor_at(30)
    assert near.shape == (SERFeatureExtractor().n_mels,)
    assert level(near) - level(far) == pytest.approx(20, abs=2)
    np.testing.assert_allclose(floor_at(10, gain=0.1), near, atol=0.1)  # the level of both does not count


def test_the_command_writes_figures_and_a_picture(small_corpus, tmp_path, capsys):
    main(["--data_dir", str(small_corpus), "--results_dir", str(tmp_path), "--cache_dir", str(tmp_path / "cache")])
    report = json.loads((tmp_path / "noise_floor.json").read_text())
    assert list(report["below_the_voice_db"]) == ["anger", "disgust", "fear", "happy", "neutral", "sad"]
    levels = {name: each["0.5"] for name, each in report["below_the_voice_db"].items()}
    assert levels["anger"] < levels["sad"] < 0  # real clips of two actors
    for name in ("own_noise", "other_noise"):
        assert report[name]["test_clips"] == 82
        assert 0 <= report[name]["accuracy"] <= 1
    assert f"of {report['own_noise']['accuracy']:.1%} of the test clips" in capsys.readouterr().out
    assert (tmp_path / "noise_floor.png").read_bytes().startswith(b"\x89PNG")


def test_a_bad_folder_ends_in_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match=r"ser\.noise_floor: .*nowhere") as stopped:
        main(["--data_dir", "nowhere", "--results_dir", str(tmp_path)])
    assert "\n" not in str(stopped.value)
