"""Speech is told from noise, whoever speaks and however loud."""

import numpy as np
import pytest
import soundfile
from conftest import EXAMPLES
from conftest import RATE
from conftest import speech

import ser
from ser.inference.voice_activity import has_speech


def noises() -> dict[str, np.ndarray]:
    """Three seconds each, within -1..1."""
    time, generator = np.arange(3 * RATE) / RATE, np.random.default_rng(0)
    white = generator.standard_normal(len(time))
    spectrum = np.fft.rfft(white)
    sounds = {
        "white": white,
        "pink": np.fft.irfft(spectrum / np.sqrt(1 + np.arange(len(spectrum)))),
        "brown": np.fft.irfft(spectrum / (1 + np.arange(len(spectrum)))),
        "hum": sum(np.sin(2 * np.pi * 50 * k * time) / k for k in (1, 2, 3, 5)),
        "tone": np.sin(2 * np.pi * 440 * time),
        "melody": np.concatenate([plucked(110 * 2 ** (step / 12)) for step in generator.integers(0, 30, 10)]),
        "clicks": (generator.random(len(time)) < 5e-4).astype(float),
    }
    return {name: (sound / np.abs(sound).max()).astype(np.float32) for name, sound in sounds.items()}


def plucked(frequency: float, seconds: float = 0.3) -> np.ndarray:
    """A note with its overtones."""
    time = np.arange(round(seconds * RATE)) / RATE
    tones = [np.sin(2 * np.pi * frequency * k * time) / k**1.2 for k in range(1, 15)]
    return np.minimum(1, time / 0.01) * np.exp(-3 * time) * sum(tones)


@pytest.mark.parametrize("peak", [0.5, 0.05, 0.005])
def test_noise_is_no_speech(peak):
    assert [name for name, noise in noises().items() if has_speech(peak * noise, RATE)] == []


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ogg")), ids=lambda path: path.stem)
def test_speech_is_speech_at_any_rate_and_level(path):
    for rate, gain in ((16000, 1.0), (16000, 0.02), (22050, 0.02), (44100, 1.0)):
        assert has_speech(gain * ser.load_audio(path, sampling_rate=rate), rate)


def test_a_fifth_of_a_second_of_speech_is_speech():
    assert all(has_speech(piece, RATE) for piece in np.split(speech(1.6), 8))


def test_a_word_in_a_silent_recording_is_speech():
    assert has_speech(np.pad(speech(0.4), 2 * RATE), RATE)


def test_what_is_hardly_louder_than_nothing_is_silence():
    clip = speech(2.0) / np.abs(speech(2.0)).max()
    assert has_speech(0.0011 * clip, RATE) and not has_speech(0.0009 * clip, RATE)


def test_silence_is_no_speech():
    assert not any(has_speech(np.zeros(samples, np.float32), RATE) for samples in (0, 100, RATE))


def test_what_is_too_short_for_a_sample_at_the_detectors_rate_is_no_speech():
    assert not has_speech(np.full(1, 0.5, np.float32), 44100)


def test_hardly_any_real_clip_is_refused(crema_d):
    paths = sorted((crema_d / "AudioOGG").glob("*.ogg"))[::25]
    refused = [path.name for path in paths if not has_speech(soundfile.read(path, dtype="float32")[0], RATE)]
    assert len(refused) <= len(paths) // 100, refused
