"""The channel worked out on log-mel images does what the same channel does to the waveform."""

import numpy as np
import pytest
from conftest import RATE
from conftest import voice

from ser import SERFeatureExtractor
from ser.training.acoustic_channel import Channel


@pytest.fixture(autouse=True)
def seeded():
    np.random.seed(0)


@pytest.fixture
def extractor() -> SERFeatureExtractor:
    return SERFeatureExtractor(top_db=None)


def power_of(waveform: np.ndarray, extractor: SERFeatureExtractor) -> np.ndarray:
    return 10 ** (extractor.extract(waveform.astype(np.float32)) / 10)


def in_db(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(power)


def test_noise_is_as_loud_and_flickers_as_much_as_in_the_waveform(extractor, monkeypatch):
    channel = Channel(extractor, probability=1.0)
    channel.random_curve = lambda largest_db: np.zeros(extractor.n_mels)
    monkeypatch.setattr("ser.training.acoustic_channel.NOISE_TILT_DB", (0.0, 0.0))  # white
    noise = np.random.standard_normal(2 * RATE)
    speech = 0.1 * voice(2.0)
    noise *= np.sqrt(np.square(speech).mean() / np.square(noise).mean() / 10)
    recorded = power_of(speech + noise, extractor)
    made = channel.add_noise(power_of(speech, extractor), snr=10.0)
    assert abs(in_db(made).mean() - in_db(recorded).mean()) < 1.0
    quiet = recorded.mean(0) < 2 * np.median(recorded.mean(0))  # bands with little but noise
    assert np.std(in_db(made)[:, quiet], axis=0).mean() == pytest.approx(
        np.std(in_db(recorded)[:, quiet], axis=0).mean(), rel=0.2
    )


def test_another_voice_is_as_faint_as_in_the_waveform_and_goes_on_to_the_end(extractor):
    speech, other = 0.1 * voice(2.0), 0.3 * voice(0.7, pitch=180.0)
    channel = Channel(extractor, voice_probability=1.0)
    clean, behind = power_of(speech, extractor), power_of(other, extractor)
    made = channel.add_voice(clean, behind, snr=10.0)
    loops = np.tile(other, 4)[: len(speech)]
    recorded = power_of(speech + loops * np.sqrt(np.square(speech).mean() / np.square(loops).mean() / 10), extractor)
    assert abs(in_db(made).mean() - in_db(recorded).mean()) < 1.0
    added = made - clean
    np.testing.assert_allclose(added[len(behind) :], added[: len(added) - len(behind)], rtol=1e-3, atol=1e-9)


def test_who_speaks_behind_fills_the_pauses_of_the_voice(extractor):
    speech, other = (0.1 * voice(1.0, pitch=pitch) for pitch in (110.0, 300.0))
    image, another = extractor.extract(np.pad(speech, (0, RATE))), extractor.extract(other)
    assert np.abs(Channel(extractor)(image, another) - image).max() < 0.01
    louder = Channel(extractor, voice_probability=1.0)(image, another) - image
    voiced = image[: RATE // extractor.hop_length].max() - 10 < image
    assert louder[voiced].mean() < 1
    assert louder[-RATE // extractor.hop_length // 2 :].mean() > 20


def test_who_speaks_behind_is_5_to_30_db_fainter(extractor):
    image, other = (extractor.extract(0.1 * voice(1.0, pitch=pitch)) for pitch in (110.0, 300.0))
    channel, snrs = Channel(extractor, voice_probability=1.0), []
    for _ in range(50):
        own, both = (10 ** (each / 10) @ channel.bandwidths for each in (image, channel(image, other)))
        snrs.append(in_db(own.mean() / (both - own).mean()))
    assert 4.9 < min(snrs) < 8 and 27 < max(snrs) < 30.1


def test_the_same_seed_makes_the_same_recording(extractor):
    image, made = extractor.extract(0.1 * voice(1.0)), []
    for _ in range(2):
        np.random.seed(1)
        made.append(Channel(extractor, probability=1.0, floor_probability=1.0, equalizer_db=6.0)(image, image))
    np.testing.assert_array_equal(*made)


def test_an_echo_falls_by_60_db_in_the_reverberation_time(extractor):
    click = np.zeros(2 * RATE)
    click[RATE // 2] = 1.0
    channel = Channel(extractor, probability=1.0)
    tail = channel.reverberate(power_of(click, extractor), reverberation_time=0.5, direct_to_reverberant=4.0).mean(1)
    loudest = int(tail.argmax())
    first, later = loudest + 5, loudest + 5 + round(0.25 * RATE / extractor.hop_length)
    assert in_db(tail[first]) - in_db(tail[later]) == pytest.approx(30, abs=1)
    direct = power_of(click, extractor).sum()
    assert tail.sum() * extractor.n_mels == pytest.approx(1.25 * direct, rel=0.02)  # a quarter of it is echo


def test_a_noise_suppressor_takes_the_noise_and_leaves_the_voice(extractor):
    noise = np.random.standard_normal(2 * RATE)
    speech = np.concatenate([np.zeros(RATE), voice(1.0)])
    before = power_of(speech + 0.003 * noise, extractor)
    after = Channel(extractor, floor_probability=1.0).suppress_noise(before)
    spoken = in_db(before) > in_db(before[:50]).max() + 10
    assert (in_db(before[5:50]) - in_db(after[5:50])).mean() > 20
    assert np.abs(in_db(before) - in_db(after))[spoken].max() < 1


def test_another_floor_hides_most_of_how_loud_a_voice_was(extractor):
    """What a quiet and a loud voice before one microphone leave between the words, relative to the voice."""
    noise, levels = 0.003 * np.random.standard_normal(2 * RATE), {}
    for name, gain in (("quiet", 0.1), ("loud", 1.0)):
        image = extractor.extract((np.pad(gain * voice(1.0), RATE // 2) + noise).astype(np.float32))
        for floor_probability in (0.0, 1.0):
            np.random.seed(0)
            images = [Channel(extractor, floor_probability=floor_probability)(image, image) for _ in range(40)]
            levels[name, floor_probability] = np.mean([each[:20].mean() - each.max() for each in images])
    left = {floor: abs(levels["quiet", floor] - levels["loud", floor]) for floor in (0.0, 1.0)}
    assert left[0.0] > 15
    assert left[1.0] < left[0.0] / 2


def test_a_telephone_line_leaves_its_band_alone(extractor):
    channel = Channel(extractor, probability=1.0)
    curves = np.array([channel.narrow_band() for _ in range(100)])
    inside = (channel.centres > 320) & (channel.centres < 2990)
    assert not curves[:, inside].any()
    telephone = curves[curves[:, 0] < 0]
    assert 20 < len(telephone) < 80
    above = channel.centres[channel.centres > 3400]
    slopes = telephone[:, channel.centres > 3400] / np.log2(above / 3400)  # dB an octave
    assert (slopes >= -96.01).all() and (slopes <= -11.99).all()


def test_margins_are_no_louder_than_the_quietest_frames(extractor):
    power = power_of(0.1 * voice(1.0), extractor)
    channel = Channel(extractor, probability=1.0)
    for _ in range(10):
        longer = channel.add_margins(power)
        assert 0 <= len(longer) - len(power) <= 2 * round(0.5 * RATE / extractor.hop_length)
        before = next(
            start for start in range(len(longer)) if np.array_equal(longer[start : start + len(power)], power)
        )
        margins = np.delete(longer, np.s_[before : before + len(power)], axis=0)
        assert not len(margins) or (margins <= np.quantile(power, 0.06, axis=0)).all()


def test_the_microphone_colours_all_frames_alike(extractor):
    image = extractor.extract(0.1 * voice(1.0))
    change = Channel(extractor, equalizer_db=6.0)(image, image) - image
    assert np.abs(change).max() <= 6.001
    assert np.ptp(change, axis=0).max() < 0.001
    assert np.ptp(change[0]) > 1


def test_an_image_may_be_of_any_length_and_of_silence(extractor):
    channel = Channel(extractor, probability=1.0, floor_probability=1.0, voice_probability=1.0, equalizer_db=6.0)
    for samples, others in ((1, RATE), (RATE, 1)):
        silent, other = (extractor.extract(np.zeros(size, dtype=np.float32)) for size in (samples, others))
        image = channel(silent, other)
        assert image.dtype == np.float32
        assert np.isfinite(image).all()
