"""The feature extractor as transformers' users meet it."""

import json

import numpy as np
import pytest
import torch
from conftest import RATE
from conftest import voice

from ser import SERFeatureExtractor
from ser.models.acoustic_features_ser import wiener_filter


def test_a_batch_equals_its_clips_one_by_one():
    clips = [voice(seconds, seed=number) for number, seconds in enumerate((0.2, 1.0, 0.63))]
    extractor = SERFeatureExtractor(features=["log_mel", "rms"])
    batch = extractor(clips, sampling_rate=RATE, return_tensors="pt")
    assert batch["input_features"].dtype == torch.float32
    for row, clip in enumerate(clips):
        single = extractor(clip, sampling_rate=RATE, return_tensors="pt")["input_features"][0]
        assert batch["attention_mask"][row].sum() == len(single)
        torch.testing.assert_close(batch["input_features"][row, : len(single)], single, rtol=0, atol=0)
        assert not batch["input_features"][row, len(single) :].any()


@pytest.mark.parametrize("return_tensors", ["np", "pt"])
def test_what_was_padded_in_one_batch_is_collated_to_another(return_tensors):
    """As after `dataset.map(extractor, batched=True)`."""
    clips, extractor = [voice(1.0), voice(0.2), voice(0.6)], SERFeatureExtractor()
    mapped = extractor(clips, sampling_rate=RATE, return_tensors=return_tensors)
    items = [{name: values[row] for name, values in mapped.items()} for row in range(3)]
    for collated, expected in (
        (extractor.pad(items[1:]), extractor(clips[1:], sampling_rate=RATE)),
        (extractor.pad(mapped), extractor(clips, sampling_rate=RATE)),
        (extractor.pad({name: values[1:] for name, values in mapped.items()}), extractor(clips[1:], RATE)),
    ):
        assert collated.keys() == expected.keys()
        for name in expected:
            np.testing.assert_array_equal(collated[name], expected[name])


@pytest.mark.parametrize("features", [["rms"], ["log_mel"]])
def test_lists_tensors_and_doubles_give_the_same(features):
    clip = voice(0.3)
    extractor = SERFeatureExtractor(features=features)
    expected = extractor(clip, sampling_rate=RATE)["input_features"]
    for other in (clip.tolist(), torch.from_numpy(clip), clip.astype(np.float64), [clip]):
        np.testing.assert_array_equal(extractor(other, sampling_rate=RATE)["input_features"], expected)


@pytest.mark.parametrize(
    ("waveform", "sampling_rate", "message"),
    [
        (voice(), None, "expected audio sampled at 16000 Hz; got sampling_rate=None"),
        (voice(), 44100, "got sampling_rate=44100; resample it"),
        (np.empty(0, dtype=np.float32), RATE, "got an empty one"),
        ([], RATE, "got an empty list"),
        (np.array([0.1, np.nan], dtype=np.float32), RATE, "got NaN or infinity"),
        (np.array([0.1, np.inf], dtype=np.float32), RATE, "got NaN or infinity"),
        (np.ones(800, dtype=np.int16), RATE, "got int16; divide by its full scale"),
        (np.ones((2, 800), dtype=np.float32), RATE, r"got shape \(2, 800\); mix it down"),
    ],
)
def test_bad_waveforms_are_refused_in_one_sentence(waveform, sampling_rate, message):
    with pytest.raises(ValueError, match=message):
        SERFeatureExtractor()(waveform, sampling_rate=sampling_rate)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": ["mfcc"]}, "expected features out of log_mel, .* got .'mfcc'"),
        ({"features": []}, "expected features out of"),
        ({"normalization": "batch"}, "got 'batch'"),
        ({"db_reference": "min"}, "got 'min'"),
        ({"n_fft": 1023}, "even n_fft"),
        ({"hop_length": 0}, "expected hop_length as a whole number between 1 and"),
        ({"pad_to_max_duration": True}, "expected max_duration"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(settings, message):
    with pytest.raises(ValueError, match=message):
        SERFeatureExtractor(**settings)


def test_all_numbers_survive_saving(tmp_path):
    extractor = SERFeatureExtractor(
        sampling_rate=22050,
        n_fft=2048,
        hop_length=512,
        n_mels=40,
        fmin=20.0,
        fmax=9000.0,
        features=["energy", "log_mel"],
        top_db=None,
        band_top_db=25.0,
        db_reference="max",
        trim_db=30.0,
        trim_margin=0.1,
        subtract_noise=True,
        wiener=True,
        max_duration=2.5,
        pad_to_max_duration=True,
        normalization="corpus",
        mean=[0.5] * 41,
        std=[2.0] * 41,
    )
    extractor.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert "mel_filters" not in saved
    again = SERFeatureExtractor.from_pretrained(tmp_path)
    assert again.to_dict() == extractor.to_dict()
    clip = voice(1.0, rate=22050)
    np.testing.assert_array_equal(again(clip, 22050)["input_features"], extractor(clip, 22050)["input_features"])


def test_a_model_saved_before_some_settings_were_there_hears_what_it_heard(tmp_path):
    older = {"band_top_db": None, "trim_margin": 0.0, "subtract_noise": False}
    extractor = SERFeatureExtractor(db_reference="max", trim_db=30.0, **older)
    extractor.save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    saved = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in saved.items() if name not in older}))
    again = SERFeatureExtractor.from_pretrained(tmp_path)
    clip = np.pad(voice(), RATE)
    np.testing.assert_array_equal(again.extract(clip), extractor.extract(clip))


@pytest.mark.parametrize("subtract_noise", [False, True])
def test_a_changed_image_gets_the_range_of_the_front_end(subtract_noise):
    extractor = SERFeatureExtractor(db_reference="max", top_db=40.0, band_top_db=25.0, subtract_noise=subtract_noise)
    image = SERFeatureExtractor(top_db=None).extract(voice())
    np.testing.assert_allclose(extractor.limit_range(image), extractor.extract(voice()), atol=1e-4)


def test_trimming_leaves_a_margin_where_there_is_one():
    clip = np.pad(voice(1.0), (RATE, 800)).astype(np.float32)  # a second before, a twentieth of one after
    span = SERFeatureExtractor(trim_db=30.0, trim_margin=0.2).loud_span(clip)
    assert abs(span.start - 0.8 * RATE) < 1024
    assert span.stop == len(clip)
    whole = SERFeatureExtractor(trim_db=30.0).loud_span(clip)
    assert whole.start == span.start + round(0.2 * RATE)


@pytest.mark.parametrize("settings", [{}, {"trim_db": 30.0}, {"trim_db": 30.0, "wiener": True}])
def test_sound_played_backwards_needs_no_copy(settings):
    extractor, clip = SERFeatureExtractor(**settings), voice()[::-1]
    np.testing.assert_array_equal(extractor.extract(clip), extractor.extract(clip.copy()))


def test_durations_are_cropped_and_padded():
    padded = SERFeatureExtractor(max_duration=1.0, pad_to_max_duration=True)
    assert padded.extract(voice(0.4)).shape == padded.extract(voice(1.7)).shape
    np.testing.assert_array_equal(padded.extract(voice(0.4)), padded.extract(np.pad(voice(0.4), (0, 9600))))
    cropped = SERFeatureExtractor(max_duration=1.0)
    np.testing.assert_array_equal(cropped.extract(voice(1.7)), cropped.extract(voice(1.7)[:RATE]))
    assert len(cropped.extract(voice(0.4))) < len(cropped.extract(voice(1.7)))


def test_seconds_are_seconds_at_any_rate():
    clip = np.pad(voice(2.0, rate=8000), 8000)
    cropped = SERFeatureExtractor(8000, max_duration=1.5).extract(clip)
    np.testing.assert_array_equal(cropped, SERFeatureExtractor(8000).extract(clip[:12000]))
    span, narrow = (SERFeatureExtractor(8000, trim_db=30.0, trim_margin=m).loud_span(clip) for m in (0.2, 0.0))
    assert (narrow.start - span.start, span.stop - narrow.stop) == (1600, 1600)


def test_silence_is_trimmed_first_then_noise_filtered_then_the_rest_cropped():
    clip = np.pad(voice(1.0), RATE)
    extractor = SERFeatureExtractor(trim_db=30.0, wiener=True, max_duration=0.5)
    expected = wiener_filter(clip[extractor.loud_span(clip)])[: RATE // 2]
    np.testing.assert_array_equal(extractor.extract(clip), SERFeatureExtractor().extract(expected))


def test_joined_columns_stand_end_to_end():
    names = ["rms", "zero_crossing_rate"]
    columns = SERFeatureExtractor(features=names)(voice(), sampling_rate=RATE)["input_features"][0]
    joined = SERFeatureExtractor(features=names, join=True)(voice(), sampling_rate=RATE)["input_features"][0]
    np.testing.assert_array_equal(joined, np.concatenate([columns[:, 0], columns[:, 1]])[:, None])


def test_statistics_sum_up_a_clip_to_one_frame():
    names = ["rms", "spectral_centroid"]
    columns = SERFeatureExtractor(features=names).extract(voice())
    summed = SERFeatureExtractor(features=names, statistics=["mean", "max", "std", "min"])
    expected = [*columns.mean(0), *columns.max(0), *columns.std(0), *columns.min(0)]
    np.testing.assert_allclose(summed.extract(voice())[0], expected, rtol=1e-6)
    assert summed.feature_size == 8
    with pytest.raises(ValueError, match="expected statistics out of mean, std, min, max, as a list; got .'median'"):
        SERFeatureExtractor(statistics=["median"])


def test_corpus_normalisation_is_learned():
    extractor = SERFeatureExtractor(features=["rms", "spectral_centroid"], normalization="corpus")
    with pytest.raises(ValueError, match="call fit_normalization first"):
        extractor(voice(), sampling_rate=RATE)
    clips = [voice(seconds, pitch=100 * seconds, seed=1) for seconds in (0.5, 1.0, 2.0)]
    raw = [extractor.extract(clip) for clip in clips]
    extractor.fit_normalization(iter(raw))
    together = np.concatenate([extractor.normalize(features) for features in raw])
    np.testing.assert_allclose(together.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(together.std(0), 1, atol=1e-4)


def test_clip_normalisation_forgets_the_level_of_each_column():
    extractor = SERFeatureExtractor(normalization="clip", top_db=None)
    loud, quiet = (extractor(gain * voice(), sampling_rate=RATE)["input_features"] for gain in (1.0, 0.25))
    np.testing.assert_allclose(loud, quiet, atol=1e-2)
    np.testing.assert_allclose(loud[0].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(loud[0].std(0), 1, atol=1e-4)
