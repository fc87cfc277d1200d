"""Every feature against the librosa call whose definition it follows."""

import librosa
import numpy as np
import pytest
import scipy.signal
import torch
from conftest import RATE
from conftest import voice

from ser import SERFeatureExtractor
from ser.models.acoustic_features_ser import FEATURES
from ser.models.acoustic_features_ser import loud_span
from ser.models.acoustic_features_ser import wiener_filter

N_FFT, HOP = 1024, 256
FRAME = {"frame_length": N_FFT, "hop_length": HOP}
SPECTRUM = {"sr": RATE, "n_fft": N_FFT, "hop_length": HOP}


def frames(y: np.ndarray) -> np.ndarray:
    return librosa.util.frame(np.pad(y, N_FFT // 2), **FRAME)


LIBROSA = {
    "zero_crossing_rate": lambda y: librosa.feature.zero_crossing_rate(y, **FRAME)[0],
    "rms": lambda y: librosa.feature.rms(y=y, **FRAME)[0],
    "energy": lambda y: np.sum(frames(y) ** 2, axis=0),
    "mean_energy": lambda y: np.array(
        [np.mean(np.square(y[start : start + N_FFT], dtype=np.float64)) for start in range(0, len(y), HOP)]
        + [0.0] * (len(y) % HOP == 0)
    ),
    "frame_mean": lambda y: np.mean(frames(y).astype(np.float64), axis=0),
    "frame_std": lambda y: np.std(frames(y).astype(np.float64), axis=0),
    "spectral_centroid": lambda y: librosa.feature.spectral_centroid(y=y, **SPECTRUM)[0],
    "spectral_bandwidth": lambda y: librosa.feature.spectral_bandwidth(y=y, **SPECTRUM)[0],
    "spectral_rolloff": lambda y: librosa.feature.spectral_rolloff(y=y, **SPECTRUM)[0],
}


def made_clips() -> list[np.ndarray]:
    quiet_after_loud = np.concatenate([voice(0.5), 1e-4 * voice(0.5)])
    ringing = np.concatenate([voice(0.5), 1e-12 * voice(0.5)])
    return [voice(1.3), voice(0.2, pitch=300), quiet_after_loud, ringing, np.zeros(RATE, dtype=np.float32)]


@pytest.mark.parametrize("name", LIBROSA)
def test_frame_features_are_librosas_on_made_sound(name):
    for y in made_clips():
        ours = SERFeatureExtractor(features=[name]).extract(y)[:, 0]
        np.testing.assert_allclose(ours, LIBROSA[name](y), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("name", LIBROSA)
def test_frame_features_are_librosas_on_real_clips(name, real_clips):
    for y in real_clips:
        ours = SERFeatureExtractor(features=[name]).extract(y)[:, 0]
        np.testing.assert_allclose(ours, LIBROSA[name](y), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(("reference", "top_db"), [("one", 80.0), ("max", 80.0), ("one", None)])
def test_log_mel_is_librosas(reference, top_db, real_clips):
    for y in [*made_clips(), *real_clips]:
        mel = librosa.feature.melspectrogram(y=y, n_mels=80, pad_mode="constant", **SPECTRUM)
        expected = librosa.power_to_db(mel, ref=np.max if reference == "max" and mel.any() else 1.0, top_db=top_db).T
        ours = SERFeatureExtractor(db_reference=reference, top_db=top_db).extract(y)
        if reference == "max" and not mel.any():
            expected = np.zeros_like(expected)
        np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_what_only_a_quiet_room_lets_through_is_not_heard():
    extractor = SERFeatureExtractor(db_reference="max", band_top_db=25.0)
    noise = np.random.default_rng(0).standard_normal(len(voice(1.0))).astype(np.float32)
    speech = np.concatenate([voice(1.0) + 0.1 * noise, 0 * noise])  # loud in every band, then nothing
    quiet, noisy = (extractor.extract(speech + level * np.resize(noise, len(speech))) for level in (1e-5, 1e-3))
    assert (quiet.max(0) - quiet.min(0)).max() == pytest.approx(25, abs=1e-3)
    np.testing.assert_allclose(quiet, noisy, atol=0.5)
    everything = SERFeatureExtractor(db_reference="max", top_db=None)
    assert np.abs(everything.extract(speech + 1e-5 * np.resize(noise, len(speech))) - noisy).max() > 20


def test_steady_noise_is_subtracted_and_speech_is_left():
    noise = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    speech = np.concatenate([np.zeros(RATE // 2, dtype=np.float32), voice(1.0), np.zeros(RATE // 2, dtype=np.float32)])
    usual, subtracting = (SERFeatureExtractor(top_db=None, subtract_noise=switch) for switch in (False, True))
    clean, noisy = usual.extract(speech + 1e-4 * noise), speech + 0.02 * noise
    middle, pause = slice(RATE // 2 // HOP + 4, 3 * RATE // 2 // HOP - 4), slice(4, RATE // 2 // HOP - 4)
    loud = clean[middle] > usual.extract(noisy)[pause].mean(0) + 20
    assert loud.mean() > 0.05
    np.testing.assert_allclose(subtracting.extract(noisy)[middle][loud], clean[middle][loud], atol=1)
    assert subtracting.extract(noisy)[pause].std(0).mean() < 0.8 * usual.extract(noisy)[pause].std(0).mean()
    assert subtracting.extract(noisy)[pause].mean() < usual.extract(noisy)[pause].mean() - 3


def test_noise_is_not_subtracted_from_digital_silence():
    silence = np.zeros(RATE, dtype=np.float32)
    usual, subtracting = (SERFeatureExtractor(subtract_noise=switch).extract(silence) for switch in (False, True))
    np.testing.assert_array_equal(usual, subtracting)


@pytest.mark.parametrize(("rate", "n_fft", "hop", "n_mels"), [(22050, 2048, 512, 128), (16000, 400, 160, 23)])
def test_other_rates_frames_and_bands_are_librosas_too(rate, n_fft, hop, n_mels):
    y = voice(1.0, rate=rate)
    settings = {"sr": rate, "n_fft": n_fft, "hop_length": hop}
    ours = SERFeatureExtractor(rate, n_fft, hop, n_mels=n_mels, fmin=50, fmax=8000).extract(y)
    mel = librosa.feature.melspectrogram(y=y, n_mels=n_mels, fmin=50, fmax=8000, pad_mode="constant", **settings)
    np.testing.assert_allclose(ours, librosa.power_to_db(mel).T, atol=1e-3)


@pytest.mark.parametrize(("n_fft", "hop"), [(1022, 441), (30, 64), (2, 1)])
def test_frames_that_share_no_whole_hops_are_librosas_too(n_fft, hop):
    y = voice(0.2)
    spectrum, frame = {"sr": RATE, "n_fft": n_fft, "hop_length": hop}, {"frame_length": n_fft, "hop_length": hop}
    expected = [
        librosa.feature.zero_crossing_rate(y, **frame)[0],
        librosa.feature.rms(y=y, **frame)[0],
        librosa.feature.spectral_centroid(y=y, **spectrum)[0],
        librosa.feature.spectral_rolloff(y=y, **spectrum)[0],
    ]
    names = ["zero_crossing_rate", "rms", "spectral_centroid", "spectral_rolloff"]
    ours = SERFeatureExtractor(n_fft=n_fft, hop_length=hop, features=names).extract(y)
    np.testing.assert_allclose(ours, np.stack(expected, axis=1), rtol=1e-4, atol=1e-9)


def test_features_stand_side_by_side_in_the_order_asked_for():
    y = voice()
    both = SERFeatureExtractor(features=["rms", "log_mel", "zero_crossing_rate"]).extract(y)
    assert both.shape[1] == 1 + 80 + 1
    np.testing.assert_array_equal(both[:, :1], SERFeatureExtractor(features=["rms"]).extract(y))
    np.testing.assert_array_equal(both[:, -1:], SERFeatureExtractor(features=["zero_crossing_rate"]).extract(y))


@pytest.mark.parametrize("seconds", [0.01, 0.2, 1.0])
def test_any_length_gives_one_row_per_hop(seconds):
    features = SERFeatureExtractor(features=list(FEATURES)).extract(voice(seconds))
    assert len(features) == 1 + round(seconds * RATE) // HOP
    assert np.isfinite(features).all()


def test_features_are_the_same_where_torch_computes_in_bfloat16():
    extractor = SERFeatureExtractor(features=list(FEATURES))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = extractor.extract(voice())
    np.testing.assert_array_equal(within, extractor.extract(voice()))


def test_trimming_of_real_clips_is_librosas(real_clips):
    for y in real_clips:
        check_trimming(y)


def test_trimming_of_made_sound_is_librosas():
    silence = np.zeros(RATE // 2, dtype=np.float32)
    fading = voice() * np.geomspace(1, 1e-4, RATE, dtype=np.float32)
    for y in (np.concatenate([silence, voice(), silence]), silence, fading, fading[::-1]):
        check_trimming(y)


def check_trimming(y: np.ndarray) -> None:
    for top_db in (20, 40):
        expected, _ = librosa.effects.trim(y, top_db=top_db, **FRAME)
        np.testing.assert_array_equal(y[loud_span(y, top_db=top_db, **FRAME)], expected)
        np.testing.assert_array_equal(y[SERFeatureExtractor(trim_db=top_db).loud_span(y)], expected)


def test_wiener_filter_is_scipys():
    y = voice()
    np.testing.assert_allclose(wiener_filter(y), scipy.signal.wiener(y.astype(np.float64)), atol=1e-6)
