"""Whatever users call audio."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from conftest import RATE
from conftest import voice

from ser import load_audio
from ser.models import audio_ser

FORMATS = {"wav": None, "flac": None, "ogg": "VORBIS", "opus": "OPUS", "mp3": None}


def encode(waveform: np.ndarray, rate: int, suffix: str) -> bytes:
    file = io.BytesIO()
    format_ = {"opus": "OGG"}.get(suffix, suffix.upper())
    soundfile.write(file, waveform, rate, format=format_, subtype=FORMATS[suffix])
    return file.getvalue()


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation at the best shift, since MP3 delays the sound a little."""
    return np.correlate(a, b, mode="full").max() / np.sqrt(np.sum(a**2) * np.sum(b**2))


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_container_is_read_from_path_bytes_and_file(suffix, tmp_path):
    encoded = encode(voice(1.0, rate=48000), 48000, suffix)
    path = tmp_path / f"clip.{suffix}"
    path.write_bytes(encoded)
    from_path = load_audio(path, sampling_rate=RATE)
    assert from_path.dtype == np.float32
    assert len(from_path) == pytest.approx(RATE, rel=0.05)
    assert likeness(from_path, voice(1.0)) > 0.95
    for source in (str(path), encoded, io.BytesIO(encoded), {"path": str(path)}, {"bytes": encoded, "path": "x.wav"}):
        np.testing.assert_array_equal(load_audio(source, sampling_rate=RATE), from_path)


def test_stereo_is_mixed_down_whichever_axis_the_channels_are_on():
    left, right = voice(seed=1), voice(pitch=220, seed=2)
    for array in (np.stack([left, right]), np.stack([left, right], axis=1), torch.from_numpy(np.stack([left, right]))):
        np.testing.assert_allclose(load_audio(array, sampling_rate=RATE), (left + right) / 2, atol=1e-6)
    file = encode(np.stack([left, right], axis=1), RATE, "wav")
    np.testing.assert_allclose(load_audio(file, sampling_rate=RATE), (left + right) / 2, atol=1e-4)


@pytest.mark.parametrize("gain", [0.9, 1.0])
def test_a_voice_in_opposite_phase_on_two_channels_is_heard(gain):
    """As of a balanced microphone at a stereo input."""
    stereo = np.stack([gain * voice(), -voice()], axis=1)
    for source in (stereo, stereo.T, encode(stereo, RATE, "wav")):
        np.testing.assert_allclose(load_audio(source, sampling_rate=RATE), gain * voice(), atol=1e-4)


def test_a_file_of_more_channels_than_samples_is_mixed_over_its_channels():
    file = io.BytesIO()
    waveform = voice(0.2, rate=1000)
    soundfile.write(file, np.tile(waveform[:, None], (1, 500)), 1000, format="WAV")
    np.testing.assert_allclose(load_audio(file.getvalue(), sampling_rate=1000), waveform, atol=1e-4)


@pytest.mark.parametrize(("dtype", "full_scale"), [(np.int16, 32768), (np.int32, 2**31)])
def test_integers_are_scaled(dtype, full_scale):
    integers = (voice() * full_scale).astype(dtype)
    np.testing.assert_allclose(load_audio(integers, sampling_rate=RATE), voice(), atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 192000])
def test_any_rate_becomes_the_wanted_one(rate):
    for key in ("array", "raw"):
        waveform = load_audio({key: voice(0.5, rate=rate), "sampling_rate": rate}, sampling_rate=RATE)
        assert len(waveform) == pytest.approx(RATE / 2, abs=2)


def test_what_datasets_decodes_to_is_heard():
    class Decoder:  # as torchcodec's AudioDecoder
        def get_all_samples(self):
            return SimpleNamespace(data=torch.from_numpy(np.stack(2 * [voice(rate=48000)])), sample_rate=48000)

    np.testing.assert_allclose(
        load_audio(Decoder(), sampling_rate=RATE),
        load_audio(voice(rate=48000), source_rate=48000, sampling_rate=RATE),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "could not be decoded"),
        (b"this is a text file, not audio", "could not be decoded .*convert it first"),
        (encode(voice(), RATE, "flac")[:20], "could not be decoded"),
        (np.empty(0, dtype=np.float32), "holds no samples"),
        (np.array([0.0, np.nan]), "NaN or infinite"),
        (np.array([0.5, -101.0]), "beyond 100, where full scale is 1"),
        (voice(0.05), r"the clip lasts 0.05 s, which is too short: speak for at least 0.2 s"),
        (encode(voice(0.1999, rate=8000), 8000, "wav"), "the clip lasts 0.19 s, which is too short"),
        (np.full(1, 0.5), "the clip lasts 0.00 s, which is too short"),
        (np.zeros((2, 2, 2)), "one or two dimensions"),
        (np.zeros(800, dtype=np.uint8), "got uint8"),
        ({"array": [1000, -20000, 3000], "sampling_rate": RATE}, "got int64; convert them"),
        ({"array": voice()}, "expected a 'sampling_rate'"),
        ({"array": voice(), "sampling_rate": -1}, "too slowly for speech"),
        ({"array": voice(), "sampling_rate": 0}, "sampled at 0 Hz, too slowly for speech"),
        ({"array": voice(), "sampling_rate": 0.5}, "sampled at 0 Hz, too slowly for speech"),
        ({"sound": 1}, r"got a dict with the keys \['sound'\]"),
        (42, "got int"),
        (None, "got NoneType"),
    ],
)
def test_what_is_not_audio_is_refused_in_one_sentence(source, message):
    with pytest.raises(ValueError, match=message):
        load_audio(source, sampling_rate=RATE)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"expected an audio file at .*no\.wav"):
        load_audio(tmp_path / "no.wav", sampling_rate=RATE)


def test_without_the_packages_for_files_and_rates_a_sentence_names_them(monkeypatch):
    monkeypatch.setattr(audio_ser, "soundfile", None)
    monkeypatch.setattr(audio_ser, "soxr", None)
    with pytest.raises(ImportError, match="needs the package soundfile: pip install soundfile; or pass an array"):
        load_audio(b"RIFF", sampling_rate=RATE)
    with pytest.raises(ImportError, match="resampling 8000 Hz to 16000 Hz needs soxr: pip install soxr"):
        load_audio(voice(), sampling_rate=RATE, source_rate=8000)
    assert len(load_audio(voice(), sampling_rate=RATE)) == RATE
