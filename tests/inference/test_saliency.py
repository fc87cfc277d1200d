"""What is said to have driven a decision did drive it."""

import numpy as np
import pytest
import torch
from conftest import RATE
from conftest import ROOT
from conftest import build
from conftest import speech
from transformers import pipeline

from ser import CNN1DConfig
from ser import CNN2DConfig
from ser import CRNNConfig
from ser import SERFeatureExtractor
from ser import SERPipeline
from ser.inference.saliency import class_activation
from ser.page.plots import plot_clip

SMALL = {
    "channels": [8, 12],
    "hidden_sizes": [],
    "id2label": {0: "calm", 1: "angry"},
    "label2id": {"calm": 0, "angry": 1},
}
MEL = {"n_fft": 512, "hop_length": 160, "n_mels": 20, "normalization": "clip"}
NETWORKS = {
    "1d": (CNN1DConfig(n_features=2, **SMALL), {**MEL, "features": ["rms", "zero_crossing_rate"]}),
    "2d": (CNN2DConfig(n_features=20, **SMALL), {**MEL, "features": ["log_mel"]}),
    "2d-resized": (CNN2DConfig(n_features=20, image_size=[64, 32], **SMALL), {**MEL, "features": ["log_mel"]}),
    "crnn": (CRNNConfig(n_features=20, lstm_size=6, **SMALL), {**MEL, "features": ["log_mel"]}),
    "1d-joined": (CNN1DConfig(n_features=1, **SMALL), {**MEL, "features": ["rms", "log_mel"], "join": True}),
}


def classifier_of(name: str, **extractor) -> SERPipeline:
    config, features = NETWORKS[name]
    return SERPipeline(build(config), feature_extractor=SERFeatureExtractor(**features, **extractor))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_shows_it_on_the_time_axis_of_the_clip(name):
    classifier = classifier_of(name)
    found = [class_activation(speech(1.5), classifier, label) for label in ("angry", "calm")]
    image, begin, end = next(filter(None, found))  # something speaks for one of them
    assert image.shape == (151, 20 if name.startswith(("2d", "crnn")) else 1)
    assert begin == 0
    assert end == pytest.approx(1.5, abs=0.02)
    assert image.min() >= 0
    assert image.max() == pytest.approx(1)
    assert all(parameter.grad is None for parameter in classifier.model.parameters())


def test_trimmed_silence_moves_it():
    clip = np.concatenate([np.zeros(RATE // 2, np.float32), speech(1.0), np.zeros(RATE, np.float32)])
    image, begin, end = class_activation(clip, classifier_of("2d", trim_db=30.0), "angry")
    assert begin == pytest.approx(0.5, abs=0.05)
    assert end == pytest.approx(1.5, abs=0.1)
    assert len(image)


def test_a_part_of_a_recording_is_shown_at_its_own_times():
    clip, classifier = speech(1.5), classifier_of("2d")
    found = [class_activation(clip, classifier, label, 4.5) for label in ("angry", "calm")]
    activation = next(filter(None, found))
    assert (activation.begin, activation.end) == pytest.approx((4.5, 6.0), abs=0.02)
    top, bottom = plot_clip(clip, RATE, start=4.5).axes
    assert top.get_xlim() == bottom.get_xlim() == (4.5, 6.0)
    assert top.lines[0].get_xdata()[0] == 4.5
    assert [image.get_extent()[0] for image in bottom.images] == [4.5]


def test_padding_is_no_part_of_a_clip():
    classifier = classifier_of("crnn", max_duration=3.0, pad_to_max_duration=True)
    image, _, end = class_activation(speech(1.0), classifier, "calm")
    assert len(image) == 101 and end == pytest.approx(1.0, abs=0.02)


def test_what_a_network_does_not_hear_of_a_clip_does_not_count():
    extractor = SERFeatureExtractor(**MEL)
    classifier = SERPipeline(build(CNN2DConfig(n_features=20, input_length=60, **SMALL)), feature_extractor=extractor)
    found = [class_activation(speech(1.5), classifier, label) for label in ("angry", "calm")]
    image = next(filter(None, found)).image
    assert len(image) == 151 and image[:60].any() and not image[60:].any()


def test_joined_columns_are_laid_over_each_other_again():
    classifier = classifier_of("1d-joined")
    for weight in classifier.model.parameters():
        torch.nn.init.ones_(weight)  # the louder, the more it counts
    clip = np.concatenate([0.01 * speech(1.0), speech(0.5), 0.01 * speech(0.5)])
    image, begin, end = class_activation(clip, classifier, "angry")
    strongest = begin + (end - begin) * image.mean(1).argmax() / len(image)
    assert 0.9 < strongest < 1.6


def test_a_network_without_a_time_axis_has_none():
    statistics = CNN1DConfig(n_features=1, **SMALL)
    extractor = SERFeatureExtractor(features=["rms"], statistics=["mean"], n_fft=512, normalization="none")
    classifier = SERPipeline(build(statistics), feature_extractor=extractor)
    assert class_activation(speech(1.0), classifier, "angry") is None


@pytest.mark.parametrize("name", ["cnn1d", "cnn2d"])
def test_hiding_what_drove_a_decision_changes_it_and_hiding_the_rest_does_not(name, real_clips):
    classifier = pipeline("audio-classification", model=str(ROOT / "checkpoints" / name))
    whole, without_most, without_least = [], [], []
    for clip in real_clips:
        label = classifier(clip)[0]["label"]
        order = np.argsort(class_activation(clip, classifier, label).image.mean(1))
        inputs = classifier.feature_extractor(clip, sampling_rate=RATE, return_tensors="pt")
        fifth = len(order) // 5
        for hidden, scores in ((order[:0], whole), (order[-fifth:], without_most), (order[:fifth], without_least)):
            features = inputs["input_features"].clone()
            features[0, hidden.copy()] = 0  # the mean of the corpus
            with torch.inference_mode():
                logits = classifier.model(features, inputs["attention_mask"]).logits
            scores.append(logits.softmax(1)[0, classifier.model.config.label2id[label]].item())
    lost = np.mean(whole) - np.mean(without_most)
    assert lost > 0.1
    assert np.mean(whole) - np.mean(without_least) < lost / 3
