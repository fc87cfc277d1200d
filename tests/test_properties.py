"""What holds for any sound, any table and any name: examples drawn by hypothesis, the same ones in every run."""

import csv
import io
import json
import os
import shlex
import tempfile
from pathlib import Path

import datasets
import numpy as np
import pytest
import soundfile
import soxr
import torch
from conftest import RATE
from conftest import ROOT
from conftest import speech
from conftest import voice
from huggingface_hub import ModelCard
from hypothesis import HealthCheck
from hypothesis import assume
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from hypothesis.extra.numpy import arrays
from hypothesis.extra.numpy import scalar_dtypes
from transformers import pipeline

import ser
from ser.__main__ import main
from ser.corpora.crema_d import SENTENCES
from ser.corpora.splits import PROTOCOLS
from ser.corpora.splits import split
from ser.evaluation.intervals import bootstrap_interval
from ser.evaluation.metrics import SpeechEmotionMetric
from ser.hub.dataset_card import render_dataset_card
from ser.inference import timeline
from ser.inference.voice_activity import has_speech
from ser.models.acoustic_features_ser import FEATURES
from ser.models.audio_ser import LOUDEST
from ser.models.audio_ser import SHORTEST
from ser.models.audio_ser import is_silent
from ser.reporting.model_card import render_card
from ser.reporting.report_file import load_report
from ser.training.arguments import parse_arguments

settings.register_profile(
    "ser", derandomize=True, deadline=None, database=None, max_examples=60, suppress_health_check=list(HealthCheck)
)
settings.load_profile("ser")
FEW = settings(max_examples=15)  # where a network runs, or a file is written

RATES = st.sampled_from([8000, 11025, 16000, 22050, 24000, 44100, 48000, 96000])
SAMPLES = st.floats(-1, 1, width=32)
LENGTHS = st.one_of(st.integers(1, 40), st.integers(41, 3 * RATE))
LEAST = int(SHORTEST * RATE)  # samples of the shortest clip


@st.composite
def waveforms(draw, least: int = 1) -> np.ndarray:
    """Noise, tones, steps, clicks or silence at any level within full scale, float32 of shape `(samples,)`."""
    length, level = max(least, draw(LENGTHS)), 10.0 ** draw(st.integers(-12, 0))
    generator, time = np.random.default_rng(draw(st.integers(0, 2**32))), np.arange(length)
    kind = draw(st.sampled_from(["noise", "tone", "constant", "click", "steps", "silence"]))
    samples = {
        "noise": generator.uniform(-1, 1, length),
        "tone": np.sin(2 * np.pi * draw(st.floats(0.0001, 0.5)) * time),
        "constant": np.ones(length),
        "click": (time == draw(st.integers(0, length - 1))).astype(float),
        "steps": np.sign(np.sin(time / 50)),
        "silence": np.zeros(length),
    }
    return (level * samples[kind]).astype(np.float32)


def wav(waveform: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, waveform, RATE, format="WAV")
    return file.getvalue()


def sentence(error: Exception) -> str:
    text = str(error)
    assert 10 < len(text) < 500 and "\n" not in text, text
    return text


def heard(source, **options) -> np.ndarray | None:
    """What `load_audio` gives, checked; None where it refuses in a sentence."""
    try:
        waveform = ser.load_audio(source, sampling_rate=RATE, **options)
    except ValueError as error:
        sentence(error)
        return None
    assert waveform.ndim == 1 and waveform.dtype == np.float32 and waveform.size
    assert np.isfinite(waveform).all() and np.abs(waveform).max() <= 2 * LOUDEST  # resampling may overshoot
    return waveform


@pytest.fixture(scope="module")
def classifiers() -> dict:
    return {
        name: pipeline("audio-classification", model=str(ROOT / "checkpoints" / name), batch_size=4)
        for name in ("cnn1d", "cnn2d")
    }


def scores(answer: list[dict]) -> np.ndarray:
    """Probabilities in the order of the labels' names."""
    return np.array([entry["score"] for entry in sorted(answer, key=lambda entry: entry["label"])])


# Any array, any bytes


@given(scalar_dtypes().flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=3, max_side=50))), RATES)
def test_any_array_is_sound_or_refused_in_a_sentence(array, rate):
    heard(array, source_rate=rate)
    heard({"array": array.tolist(), "sampling_rate": rate})


@given(st.sampled_from([torch.bfloat16, torch.float16, torch.float64, torch.int16, torch.uint8, torch.bool]), LENGTHS)
def test_any_tensor_is_sound_or_refused_in_a_sentence(dtype, length):
    waveform = heard(torch.zeros(length).to(dtype))
    assert (waveform is not None) == (dtype not in (torch.uint8, torch.bool) and length >= LEAST)


@given(st.sampled_from([b"", b"RIFF\xff\xff\xff\xffWAVEfmt ", b"fLaC", b"OggS", b"ID3"]), st.binary(max_size=300))
def test_any_bytes_are_sound_or_refused_in_a_sentence(head, body):
    heard(head + body)
    heard(io.BytesIO(head + body))


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["array", "raw", "bytes", "sampling_rate", 1]), JSON_LIKE) | JSON_LIKE)
@example({"array": [0.1, 0.2], "sampling_rate": float("inf")})
@example({"array": [0.1, 0.2], "sampling_rate": "often"})
@example({"array": [0.1] * 100, "sampling_rate": 10**12})
@example({1: 2, "a": 3})
def test_anything_else_is_refused_in_a_sentence(source):
    if not isinstance(source, str):  # a path
        heard(source)


@given(waveforms(), RATES, st.sampled_from(["WAV", "FLAC", "OGG", "MP3"]))
@FEW
def test_a_file_lasts_as_long_as_what_was_written(waveform, rate, container):
    rate = min(rate, 48000)
    file = io.BytesIO()
    soundfile.write(file, waveform, rate, format=container)
    loaded = heard(file.getvalue())
    if container != "MP3":  # it pads
        assert (loaded is None) == (len(waveform) / rate < SHORTEST)
        assert loaded is None or len(loaded) == pytest.approx(len(waveform) * RATE / rate, abs=1)


# Invariances


@given(arrays(np.float32, st.tuples(st.integers(200, 300), st.integers(2, 6)), elements=SAMPLES), st.randoms())
def test_the_order_of_channels_makes_no_difference(array, random):
    order = random.sample(range(array.shape[1]), array.shape[1])
    for other in (array[:, order], array.T, array[:, order].T, torch.from_numpy(array)):
        np.testing.assert_allclose(heard(other, source_rate=1000), heard(array, source_rate=1000), atol=1e-6)


@given(waveforms(LEAST), st.integers(1, 4))
def test_copies_in_several_channels_sound_like_one(waveform, channels):
    stacked = np.stack([waveform] * channels, axis=1)
    np.testing.assert_allclose(heard(stacked), waveform, atol=1e-6)


@given(st.sampled_from(["cnn1d", "cnn2d"]), st.sampled_from([22050, 32000, 44100, 48000, 96000]), st.integers(0, 3))
@FEW
def test_resampling_there_and_back_keeps_the_probabilities(classifiers, name, rate, second):
    clip = speech(6.0)[second * RATE // 2 :][: 2 * RATE] + 0.1 * voice(2.0)
    there = soxr.resample(clip, RATE, rate)
    expected, got = (
        scores(classifiers[name]({"array": a, "sampling_rate": r})) for a, r in ((clip, RATE), (there, rate))
    )
    assert np.abs(expected - got).max() < 0.15


@given(st.sampled_from(["cnn1d", "cnn2d"]), st.lists(waveforms(LEAST), min_size=1, max_size=5))
@FEW
def test_probabilities_sum_to_one_and_batches_equal_singles(classifiers, name, clips):
    assume(not any(map(is_silent, clips)))
    together = [scores(answer) for answer in classifiers[name](clips)]
    for clip, answer in zip(clips, together, strict=True):
        assert (answer >= 0).all() and answer.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(scores(classifiers[name](clip)), answer, atol=1e-4)


@given(st.sampled_from(["cnn1d", "cnn2d"]), waveforms(), st.integers(1, 200), st.floats(-1e3, 1e3))
@FEW
def test_padding_never_changes_a_result(classifiers, name, clip, frames, filling):
    classifier = classifiers[name]
    inputs = classifier.feature_extractor(clip, sampling_rate=RATE, return_tensors="pt")
    padded = torch.nn.functional.pad(inputs["input_features"], (0, 0, 0, frames), value=filling)
    mask = torch.nn.functional.pad(inputs["attention_mask"], (0, frames))
    with torch.inference_mode():
        alone, with_padding = classifier.model(**inputs).logits, classifier.model(padded, mask).logits
    torch.testing.assert_close(with_padding, alone, atol=1e-3, rtol=1e-3)


EXTRACTORS = st.builds(
    ser.SERFeatureExtractor,
    sampling_rate=st.sampled_from([8000, 16000, 22050]),
    n_fft=st.sampled_from([2, 256, 512, 1024, 2048]),
    hop_length=st.sampled_from([1000, 160, 256, 512, 3000]),
    n_mels=st.sampled_from([1, 20, 80]),
    features=st.lists(st.sampled_from(sorted(FEATURES)), min_size=1, max_size=4),
    top_db=st.sampled_from([None, 0, 80]),
    band_top_db=st.sampled_from([None, 0, 25]),
    db_reference=st.sampled_from(["one", "max"]),
    trim_db=st.sampled_from([None, 0.001, 30, 60]),
    trim_margin=st.sampled_from([0, 0.1, 10]),
    wiener=st.booleans(),
    subtract_noise=st.booleans(),
    max_duration=st.sampled_from([None, 0.001, 0.5]),
    statistics=st.sampled_from([None, ["mean"], ["std", "min", "max"]]),
    join=st.booleans(),
    normalization=st.sampled_from(["none", "clip"]),
)


@given(EXTRACTORS, st.lists(waveforms(), min_size=1, max_size=3))
@settings(max_examples=100)
def test_any_front_end_makes_finite_features_of_any_sound(extractor, clips):
    rate = extractor.sampling_rate
    batch = extractor(clips, sampling_rate=rate)
    features, mask = batch["input_features"], batch["attention_mask"]
    assert features.dtype == np.float32 and np.isfinite(features).all()
    assert features.shape == (*mask.shape, extractor.feature_size)
    for row, clip in enumerate(clips):
        single = extractor(clip, sampling_rate=rate)["input_features"][0]
        assert mask[row].sum() == len(single) > 0
        np.testing.assert_array_equal(features[row, : len(single)], single)
        assert not features[row, len(single) :].any()


@given(st.one_of(st.floats(100.1, 1e38), st.just(float("nan")), st.just(float("inf"))), st.booleans())
def test_the_front_end_refuses_samples_beyond_any_scale(value, negative):
    clip = voice(0.2)
    clip[77] = -value if negative else value
    with pytest.raises(ValueError) as caught:
        ser.SERFeatureExtractor()(clip, sampling_rate=RATE)
    sentence(caught.value)


@given(st.floats(0.01, 4.0), st.sampled_from([{"normalization": "clip", "top_db": None}, {"db_reference": "max"}]))
def test_how_loud_a_clip_is_makes_no_difference_where_the_front_end_forgets_it(gain, options):
    extractor = ser.SERFeatureExtractor(**options)
    clip = speech(1.0) + 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)  # nothing at the floor
    loud, quiet = (extractor(gain * each, sampling_rate=RATE)["input_features"] for each in (clip, clip / 4))
    np.testing.assert_allclose(loud, quiet, atol=0.05)


@given(st.floats(0.02, 10.0), st.sampled_from(["speech", "noise"]))
@FEW
def test_how_loud_a_recording_is_makes_no_difference_to_whether_anybody_speaks(gain, kind):
    clip = speech(2.0) if kind == "speech" else np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    assert has_speech(np.float32(gain) * clip, RATE) == has_speech(clip, RATE) == (kind == "speech")


# A recording over time


@given(st.lists(st.integers(0, 70_000), max_size=8), st.sampled_from([8000, RATE]))
def test_windows_cover_a_recording_without_gaps(sizes, rate):
    recording = np.arange(sum(sizes), dtype=np.float32)
    blocks = np.split(recording, np.cumsum(sizes)[:-1]) if sizes else []
    rows = list(timeline.windows(iter(blocks), rate))
    covered = 0
    for start, samples in rows:
        assert round(start * rate) <= covered < samples[-1] + 1
        np.testing.assert_array_equal(samples, recording[round(start * rate) :][: len(samples)])
        covered = int(samples[-1]) + 1
    assert covered == len(recording)


@given(st.integers(1, 9 * 48_000), st.sampled_from([8000, 16000, 44100, 48000]), st.integers(1, 2))
@FEW
def test_the_timeline_of_a_file_begins_and_ends_with_it(classifiers, length, rate, channels):
    with tempfile.TemporaryDirectory() as folder:
        clip = np.stack([speech(length / rate + 1, rate=rate)[:length]] * channels, axis=1)
        soundfile.write(Path(folder, "clip.flac"), clip, rate)
        try:
            rows = timeline.analyse(Path(folder, "clip.flac"), classifiers["cnn1d"])
        except ValueError:
            assert length / rate < SHORTEST
            return
    assert length / rate >= SHORTEST
    assert rows[0]["start"] == 0
    assert rows[-1]["end"] == pytest.approx(length / rate, abs=0.001)
    for row, following in zip(rows, rows[1:], strict=False):
        assert row["start"] < following["start"] <= row["end"] < following["end"]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5) for row in rows)
    table = list(csv.DictReader(io.StringIO(timeline.to_csv(rows))))
    assert [float(row["start"]) for row in table] == [row["start"] for row in rows]


# Tables and figures


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1001, 1030)), min_size=1, max_size=60),
    st.sampled_from([protocol for protocol in PROTOCOLS if protocol != "leaky"]),
    st.integers(1, 5),
    st.integers(0, 3),
)
@settings(max_examples=120)
def test_splits_are_disjoint_and_complete(rows, protocol, fold, seed):
    labels, actors = zip(*rows, strict=True)
    names = [f"{actor}_{index}" for index, actor in enumerate(actors)]
    text = datasets.Value("string")
    features = {"clip": text, "sentence": text, "actor": datasets.Value("int64"), "label": datasets.ClassLabel(3)}
    spoken = [SENTENCES[index % len(SENTENCES)] for index in range(len(names))]
    rows = {"clip": names, "sentence": spoken, "actor": actors, "label": labels}
    clips = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    try:
        splits = split(clips, protocol, fold=fold, split_seed=seed)
    except ValueError as error:
        sentence(error)
        return
    used = sum((rows["clip"][:] for rows in splits.values()), [])
    assert len(used) == len(set(used)) and set(used) <= set(names)
    assert protocol == "new-sentences" or len(used) == len(names)
    if not protocol.startswith("random"):
        actors = [set(rows["actor"][:]) for rows in splits.values()]
        assert sum(map(len, actors)) == len(set().union(*actors))


@given(
    st.integers(1, 40).flatmap(
        lambda clips: st.tuples(*(arrays(np.int64, clips, elements=st.integers(0, most)) for most in (3, 3, 9)))
    )
)
def test_the_interval_contains_the_figure(columns):
    labels, predicted, groups = columns
    figures = SpeechEmotionMetric().compute(predictions=predicted, references=labels)
    intervals = bootstrap_interval(labels, predicted, groups, num_labels=4)
    for name, (low, high) in intervals.items():
        assert 0 <= low <= high <= 1
        assert low - 1e-4 <= figures[name] <= high + 1e-4, name


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
WORDS = TEXTS.filter(lambda text: text[0] not in "-/~@")  # a folder of this machine is left out, an option refused
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 10**6),
        "fold": st.integers(1, 5),
        "learning_rate": st.floats(1e-9, 1.0),
        "weight_decay": st.floats(-1.0, 1.0),
        "warmup_steps": st.integers(0, 100),
        "num_train_epochs": st.floats(0.5, 100.0),
        "lr_scheduler_type": st.sampled_from(["linear", "cosine", "constant"]),
        "label_smoothing": st.floats(0.0, 0.5),
        "time_masks": st.integers(0, 5),
        "audio_column": WORDS,
        "label_column": WORDS,
        "license": WORDS,
        "model": st.dictionaries(WORDS, WORDS | st.integers() | st.floats(0, 1)),
        "save_total_limit": st.integers(1, 5),
        "eval_strategy": st.sampled_from(["epoch", "steps"]),
        "include_for_metrics": st.lists(WORDS, min_size=1, max_size=3),
    },
)


def words_of(options: dict) -> list[str]:
    words = []
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        words += [f"--{name}", *(each if isinstance(each, str) else json.dumps(each) for each in values)]
    return words


@given(OPTIONS)
@FEW
def test_the_command_of_a_report_repeats_the_run(options):
    given_words = ["--recipe", "cnn1d", "--dataset_name", "user/clips", *words_of(options)]
    try:
        parsed = parse_arguments(given_words)
    except (SystemExit, ValueError):
        return
    command = shlex.split(parsed.data.command)
    assert command[:2] == ["python", "train.py"]
    again = parse_arguments(command[2:])
    for name, one in vars(parsed).items():
        other = getattr(again, name)
        assert {**vars(one), "distributed_state": None} == {**vars(other), "distributed_state": None}


# Names


RESULTS = load_report(ROOT / "checkpoints/cnn1d")
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
AWKWARD = [
    "|",
    "a|b",
    "*",
    "`",
    "<b>",
    "{{ x }}",
    "{% if %}",
    "---",
    "# x",
    ": -",
    "'",
    '"',
    "\n",
    "a\nb",
    "\t",
    "\\",
    "é",
    "😀",
]


def renamed(results: dict, labels: list[str], corpus: str) -> dict:
    """The report of a run whose labels and corpus are called otherwise."""
    new = dict(zip(results["labels"], labels, strict=True))
    pairs = [pair | {key: new[pair[key]] for key in ("label", "predicted")} for pair in results["most_confused"]]
    per_class = {new.get(name, name): figures for name, figures in results["per_class"].items()}
    return results | {"labels": labels, "corpus": corpus, "most_confused": pairs, "per_class": per_class}


def tables(markdown: str) -> list[list[int]]:
    """For each table of a Markdown text, the number of cells of each row."""
    found, inside = [], False
    for line in markdown.splitlines():
        if line.startswith("|") and not inside:
            found.append([])
        if inside := line.startswith("|"):
            found[-1].append(line.replace("\\|", "").count("|") - 1)
    return found


@given(st.lists(NAMES, min_size=6, max_size=6, unique=True), NAMES)
@example(AWKWARD[:6], "a|b")
@example(AWKWARD[6:12], "corpus: 'x'\n---")
@example(AWKWARD[12:], "{{ y }}")
@FEW
def test_a_model_card_stands_whatever_labels_and_corpora_are_called(labels, corpus):
    card = render_card(renamed(RESULTS, labels, corpus))
    plain = render_card(RESULTS)
    assert tables(card) == tables(plain)
    assert [line for line in card.splitlines() if line.startswith("#")] == [
        line for line in plain.splitlines() if line.startswith("#")
    ]
    (result,) = ModelCard(card).data.eval_results[:1]
    assert result.dataset_name == f"{corpus}, {RESULTS['protocol']} protocol"
    assert result.metric_value == round(RESULTS["accuracy"], 4)


@given(st.lists(NAMES, min_size=2, max_size=5, unique=True))
@example(AWKWARD[:6])
@FEW
def test_a_dataset_card_stands_whatever_labels_are_called(labels):
    features = datasets.Features({"clip": datasets.Value("string"), "label": datasets.ClassLabel(names=labels)})
    clips = datasets.Dataset.from_dict({"clip": ["a"], "label": [0]}, features=features)
    assert tables(render_dataset_card(clips, None, "user/name")) == [[2] * (2 + len(labels)), [2] * 4]


@given(st.lists(NAMES, min_size=2, max_size=4, unique=True))
def test_a_table_of_windows_holds_any_label(labels):
    probabilities = dict.fromkeys(labels, 1 / len(labels))
    row = {"start": 0.0, "end": 1.0, "level_db": -20.0, "speech": True, "emotion": labels[0], "probability": 1.0}
    row["probabilities"] = probabilities
    text = timeline.to_csv([row])
    head, cells = csv.reader(io.StringIO(text, newline=""))
    assert head[len(timeline.FORMATS) :] == sorted(labels) and len(cells) == len(head)
    assert cells[list(timeline.FORMATS).index("emotion")] == labels[0]
    assert (
        json.loads(timeline.to_json([row | {"probabilities": probabilities}], "x"))["windows"][0]["emotion"]
        == labels[0]
    )
    assert json.loads(timeline.to_json([row], "x"))["windows"] == [row]


FILE_NAMES = ["a,b.wav", 'quo"te.wav', "new\nline.wav", "-dash.wav", "[x].wav", "*.wav", "😀 é.wav", "~.wav", "%20.wav"]
FILE_NAMES += [" .wav", "$(touch x).wav", "a|b;c&d.wav"]
NOT_UTF_8 = os.fsdecode(b"\xff.wav")


def test_files_with_any_name_get_a_row_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("clips").mkdir()
    for number, name in enumerate(FILE_NAMES):
        Path("clips", name).write_bytes(wav(voice(0.3, seed=number)))
    command = ["clips", "--output", "table.csv", "--model", str(ROOT / "checkpoints/cnn1d")]
    main(["predict", *command])
    with Path("table.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["file"] for row in rows} == {f"clips/{name}" for name in FILE_NAMES}
    assert not any(row["error"] for row in rows)
    assert {path.name for path in tmp_path.iterdir()} == {"clips", "table.csv"}
    Path("table.csv").unlink()
    Path("clips", NOT_UTF_8).write_bytes(wav(voice()))
    with pytest.raises(SystemExit, match="expected file names in UTF-8"):
        main(["predict", *command])


@pytest.mark.parametrize("name", [*FILE_NAMES, NOT_UTF_8], ids=ascii)
def test_a_file_with_any_name_is_read(name, tmp_path):
    (tmp_path / name).write_bytes(wav(voice(0.3)))
    np.testing.assert_allclose(ser.load_audio(tmp_path / name, sampling_rate=RATE), voice(0.3), atol=1e-4)
