"""What augmentation changes, and what it must leave alone."""

import datasets
import numpy as np
import pytest
import torch
from conftest import RATE
from conftest import voice

from ser import SERFeatureExtractor
from ser.corpora.clip_dataset import ClipDataset
from ser.training.augmentation import AugmentationArguments
from ser.training.augmentation import FeatureAugmentation
from ser.training.augmentation import FeatureMasking
from ser.training.augmentation import OneChange
from ser.training.augmentation import WaveformAugmentation
from ser.training.augmentation import mixup
from ser.training.augmentation import random_span
from ser.training.augmentation import soft_targets
from ser.training.augmentation import stretch


@pytest.fixture(autouse=True)
def seeded():
    np.random.seed(0)


def ramp(frames: int = 100, bands: int = 20) -> np.ndarray:
    """Each cell holds its frame and its band."""
    return (np.arange(frames)[:, None] + 1000 * np.arange(bands)).astype(np.float32)


def changed(image: np.ndarray, **arguments: float) -> np.ndarray:
    """What `FeatureAugmentation` with these arguments makes of an image."""
    return FeatureAugmentation(AugmentationArguments(**arguments), SERFeatureExtractor())(image, image)


def test_nothing_switched_on_changes_nothing():
    arguments = AugmentationArguments()
    np.testing.assert_array_equal(changed(ramp()), ramp())
    np.testing.assert_array_equal(FeatureMasking(arguments, crop_frames=0)(ramp()), ramp())
    np.testing.assert_array_equal(WaveformAugmentation(0.0, RATE)(voice()), voice())


def test_the_waveform_changes_in_sound_and_in_length():
    augment = WaveformAugmentation(1.0, RATE)
    changed = [augment(voice()) for _ in range(5)]
    assert all(waveform.dtype == np.float32 and np.isfinite(waveform).all() for waveform in changed)
    assert len({len(waveform) for waveform in changed}) > 1
    assert all(0.85 * RATE < len(waveform) < 1.15 * RATE for waveform in changed)


def test_one_change_of_four_is_made():
    clip = voice()
    change = OneChange(RATE)
    changes = [change(clip) for _ in range(40)]
    assert all(each.dtype == np.float32 and np.isfinite(each).all() for each in changes)
    longer_or_shorter = [each for each in changes if len(each) != len(clip)]
    assert longer_or_shorter and all(len(clip) / 1.25 < len(each) < len(clip) * 1.3 for each in longer_or_shorter)
    rolled = [each for each in changes if len(each) == len(clip) and (np.sort(each) == np.sort(clip)).all()]
    assert rolled
    noise = change.noise(clip) - clip
    assert 0 < noise.std() < 0.08 * clip.max()


def test_each_clip_of_a_batch_gets_another_one_behind_it():
    clips = datasets.Dataset.from_dict({"features": [[0.0], [1.0], [2.0]], "frames": [1, 1, 1], "label": [0, 0, 0]})
    pairs = []
    dataset = ClipDataset(
        clips,
        SERFeatureExtractor(),
        augment_features=lambda own, other: pairs.append((own.item(), other.item())) or own,
    )
    dataset.__getitems__([2, 0, 1])
    assert pairs == [(2, 1), (0, 2), (1, 0)]
    dataset[1]
    assert pairs[3:] == [(1, 1)]  # alone


def test_what_is_masked_is_the_mean_to_the_network():
    clips = datasets.Dataset.from_dict({"features": [ramp().ravel()], "frames": [100], "label": [0]})
    extractor = SERFeatureExtractor(n_mels=20, normalization="clip")
    whole, masked = (
        ClipDataset(clips, extractor, mask_features=mask)[0]["input_features"]
        for mask in (None, lambda image: np.where(np.arange(100)[:, None] < 10, 0, image))
    )
    np.testing.assert_array_equal(masked[:10], 0)
    np.testing.assert_array_equal(masked[10:], whole[10:])


def test_many_clips_are_read_in_the_order_asked_for():
    columns = {"features": [[float(number)] for number in range(150)], "frames": 150 * [1], "label": 150 * [0]}
    dataset = ClipDataset(datasets.Dataset.from_dict(columns), SERFeatureExtractor())
    order = np.random.permutation(150).tolist()
    assert [features.item() for features in dataset.raw_features(order)] == order


def test_gain_moves_the_whole_image_by_one_step():
    changes = [changed(ramp(), gain_db=6.0) - ramp() for _ in range(50)]
    assert all(np.ptp(change) < 0.01 for change in changes)
    assert -6 <= min(map(np.min, changes)) < -3
    assert 3 < max(map(np.max, changes)) <= 6


def test_frequency_shift_repeats_the_edge():
    shifted = [changed(ramp(), frequency_shift=2)[0] for _ in range(50)]
    assert {int(row[10]) for row in shifted} == {8000, 9000, 10000, 11000, 12000}
    assert {int(row[0]) for row in shifted} == {0, 1000, 2000}


def test_the_tempo_changes_both_ways():
    lengths = [len(changed(ramp(), time_stretch=0.1)) for _ in range(50)]
    assert 91 <= min(lengths) < 95 and 105 < max(lengths) <= 111


def test_the_other_clip_is_mixed_in_behind():
    extractor = SERFeatureExtractor()
    image, other = (extractor.extract(voice(pitch=pitch)) for pitch in (110.0, 300.0))
    mixed = []
    for behind in (image, other):
        np.random.seed(0)
        augment = FeatureAugmentation(AugmentationArguments(voice_probability=1.0), extractor)
        mixed.append(augment(image, behind))
    assert np.abs(mixed[0] - mixed[1]).max() > 1


def test_another_microphone_leaves_the_range_limited():
    extractor = SERFeatureExtractor()
    image = extractor.extract(np.pad(voice(), RATE))
    assert np.ptp(image) == pytest.approx(extractor.top_db)
    assert np.ptp(changed(image, equalizer_db=30.0)) == pytest.approx(extractor.top_db)


@pytest.mark.parametrize("rate", [0.9, 1.0, 1.1])
def test_stretching_keeps_the_ends_and_changes_the_length(rate):
    stretched = stretch(ramp(), rate)
    assert len(stretched) == round(100 / rate)
    np.testing.assert_allclose(stretched[[0, -1]], ramp()[[0, -1]])
    assert (np.diff(stretched[:, 0]) > 0).all()


def test_masks_zero_whole_rows_and_columns_only():
    arguments = AugmentationArguments(time_masks=2, time_mask_frames=10, frequency_masks=1, frequency_mask_bands=4)
    image = ramp() + 1
    for _ in range(20):
        masked = FeatureMasking(arguments, crop_frames=0)(image)
        rows, columns = (masked == 0).all(1), (masked == 0).all(0)
        assert rows.sum() <= 20
        assert columns.sum() <= 4
        np.testing.assert_array_equal(masked[~rows][:, ~columns], image[~rows][:, ~columns])
    spans = [random_span(5, 3) for _ in range(100)]
    assert {span.stop - span.start for span in spans} == {0, 1, 2, 3}
    assert {span.start for span in spans if span.stop - span.start == 3} == {0, 1, 2}


def test_crops_are_pieces_of_the_clip():
    starts = set()
    for _ in range(20):
        crop = FeatureMasking(AugmentationArguments(), crop_frames=98)(ramp())
        starts.add(first := int(crop[0, 0]))
        np.testing.assert_array_equal(crop, ramp()[first : first + 98])
    assert starts == {0, 1, 2}
    assert len(FeatureMasking(AugmentationArguments(), crop_frames=300)(ramp())) == 100


def test_soft_targets_are_probabilities():
    targets = soft_targets(np.array([0, 2]), 3, smoothing=0.3)
    np.testing.assert_allclose(targets, [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]], rtol=1e-6)


def test_votes_pull_the_targets_of_clips_that_listeners_rated():
    targets = soft_targets(np.array([0, 2]), 3, opinions=[(np.array([[1, 3, 0], [0, 0, 0]]), 0.4)])
    np.testing.assert_allclose(targets, [[0.7, 0.3, 0.0], [0.0, 0.0, 1.0]], rtol=1e-6)
    twice = soft_targets(np.array([0]), 3, opinions=[(np.array([[0, 1, 0]]), 0.5), (np.array([[0, 0, 1]]), 0.6)])
    np.testing.assert_allclose(twice, [[0.2, 0.2, 0.6]], rtol=1e-6)


def test_mixup_blends_features_and_labels_alike():
    batch = {
        "input_features": torch.eye(4)[:, :, None].repeat(1, 1, 2),  # clip i is 1 in frame i
        "attention_mask": torch.tril(torch.ones(4, 4, dtype=torch.long)),
        "labels": torch.eye(4),
    }
    for _ in range(10):
        mixed = mixup(batch, beta=0.5)
        torch.testing.assert_close(mixed["input_features"][:, :, 0], mixed["labels"])
        torch.testing.assert_close(mixed["labels"].sum(1), torch.ones(4))
        assert (mixed["labels"].argmax(1) == torch.arange(4)).all()
        assert (mixed["attention_mask"] >= batch["attention_mask"]).all()
        assert mixed["attention_mask"][mixed["input_features"][:, :, 0] > 0].all()  # what was mixed in is attended to
