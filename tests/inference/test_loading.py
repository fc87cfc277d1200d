"""Damaged files of a saved model through every way to load it: one sentence that names the field or the file."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from conftest import voice
from safetensors.torch import load_file
from safetensors.torch import save_file
from transformers import AutoFeatureExtractor
from transformers import AutoModelForAudioClassification
from transformers import pipeline

import ser
import ser.__main__

CONFIG, PREPROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
LABELS = ["anger", "fear", "sad"]
ABSENT = object()
NAN, INFINITE = float("nan"), float("inf")
HUGE = 10**9

# field: values that it must not have; the sentence names the field
WRONG_IN_CONFIG = {
    "n_features": ["20", 0, -1, None, 2.5, True, HUGE, ABSENT],
    "channels": [[], "4", [4, "8"], [4, 0], [4, -8], [4, 8.5], [4, HUGE], 4, None, [4, 9], ABSENT],
    "block": ["dense", 3, None, ABSENT],
    "kernel_sizes": [0, -1, "3", 2.5, None, [3], [], [3, 0], [3, "a"], [3, True], [3, None], [[3, 3], [3]], HUGE, 5],
    "pool_sizes": [0, -1, "2", None, [2], [[2, 2, 2], 2], [[0, 1], 2], HUGE, ABSENT],
    "pool_strides": [0, -1, "2", [2], 2.5, HUGE, ABSENT],
    "squeeze_excitation": [-1, "a", None, 0.5, ABSENT],
    "batch_norm": ["yes", None, 1, ABSENT],
    "block_dropout": [-0.1, 1.5, "a", None, NAN, ABSENT],
    "pooling": ["median", "lstm", None, ABSENT],
    "input_length": [0, -5, "a", 2.5, HUGE, ABSENT],
    "hidden_sizes": [[0], [-1], ["a"], 6, None, [7], [], ABSENT],
    "hidden_batch_norm": ["no", 1, None, ABSENT],
    "dropout": [-1, 2, "a", NAN, INFINITE, ABSENT],
    "calibration_temperature": [0, -1, "a", None, NAN, INFINITE, 1e-300, True, ABSENT],
    "image_size": [[0, 0], [32], "a", [32, -1], [32, 2.5], 32, [1, 2, 3], [10**5, 10**5], ABSENT],
    "id2label": [{}, [], "abc", {"0": "a", "2": "b", "3": "c"}, {"1": "a", "2": "b", "3": "c"}, {"a": "b"}, ABSENT],
    "label2id": [{}, [], {"anger": 0}, {"anger": 1, "fear": 0, "sad": 2}, {"anger": 0, "fear": 0, "sad": 0}],
    "num_labels": [2, 4, 0, -1, "a", None],
    "dtype": ["nothing", "int8", 3],
    "dropuot": [0.2],
    "pool_size": [2],
}
WRONG_IN_PREPROCESSOR = {
    "sampling_rate": [0, -1, "16000", None, 16000.5, True, 10**12, ABSENT],
    "n_fft": [0, 3, -2, "a", None, 1024.0, 10**10, ABSENT],
    "hop_length": [0, -1, "a", None, 2.5, 10**10, ABSENT],
    "n_mels": [0, -1, "a", None, 2.5, 10**8, ABSENT],
    "fmin": [-1, "a", None, NAN, 9000, 8000, ABSENT],
    "fmax": [0, -1, "a", NAN, 1e9, True, ABSENT],
    "features": ["log_mel", "", [], ["mfcc"], [3], [["log_mel"]], {"log_mel": 1}, 3, None, ABSENT],
    "top_db": [-1, "a", NAN, ABSENT],
    "band_top_db": [-1, "a", NAN],
    "db_reference": ["min", 3, [], None, ABSENT],
    "trim_db": [0, -1, "a", NAN, ABSENT],
    "trim_margin": [-1, "a", NAN],
    "wiener": ["yes", 1, None, ABSENT],
    "max_duration": [0, -1, "a", NAN, 1e12, 10**400, ABSENT],
    "pad_to_max_duration": ["yes", True, None, ABSENT],
    "statistics": [[], ["median"], "mean", 3, ABSENT],
    "join": ["yes", 1, None, ABSENT],
    "normalization": ["batch", 3, [], None, ABSENT],
    "mean": [[], [10**400] * 20, [0.0] * 19, ["a"] * 20, "a", 3, [NAN] * 20, [None] * 20, [[0.0] * 20], ABSENT],
    "std": [[1.0] * 21, [-1.0] * 20, [INFINITE] * 20, "a", ABSENT],
    "feature_size": [3, "a"],
    "padding_value": [3, "a"],
    "hop_lenght": [256],
}
# What only shows when both files are there.
AT_ODDS = {
    "n_features": (PREPROCESSOR, {"n_mels": 21, "feature_size": 21, "mean": [0.0] * 21, "std": [1.0] * 21}),
    "mean": (PREPROCESSOR, {"mean": None}),
    "std": (PREPROCESSOR, {"std": None}),
    "feature_extractor_type": (PREPROCESSOR, {"feature_extractor_type": "Wav2Vec2FeatureExtractor"}),
}


def cases(wrong: dict) -> list:
    return [
        pytest.param(field, value, id=f"{field}-{'absent' if value is ABSENT else number}")
        for field, values in wrong.items()
        for number, value in enumerate(values)
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small model as it is saved."""
    folder = tmp_path_factory.mktemp("whole")
    torch.manual_seed(0)
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: index for index, label in enumerate(LABELS)}}
    config = ser.CNN2DConfig(n_features=20, channels=[4, 8], hidden_sizes=[6], **names)
    AutoModelForAudioClassification.from_config(config).save_pretrained(folder)
    settings = {"n_mels": 20, "normalization": "corpus", "mean": [-30.0] * 20, "std": [10.0] * 20}
    ser.SERFeatureExtractor(**settings).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """A copy to damage."""
    return shutil.copytree(whole, tmp_path / "model", ignore=shutil.ignore_patterns("*.py"))


def change(path, **fields) -> None:
    settings = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({name: value for name, value in settings.items() if value is not ABSENT}))


def is_one_sentence(text: str) -> bool:
    return 10 < len(text) < 500 and "\n" not in text and "Traceback" not in text


def assert_refused(words: str, load, *arguments, **options) -> None:
    with pytest.raises(ValueError) as caught:
        load(*arguments, **options)
    assert words in str(caught.value) and is_one_sentence(str(caught.value)), str(caught.value)


def assert_commands_refuse(words: str, folder, monkeypatch, capsys) -> None:
    """`python -m ser predict` and `train.py` end in a sentence with these words."""
    monkeypatch.syspath_prepend(ROOT)
    import train

    monkeypatch.chdir(folder.parent)
    for program, command in (
        (ser.__main__, ["ser", "predict", str(ROOT / "ser/examples"), "--model", str(folder), "--output", "table.csv"]),
        (train, ["train.py", "--recipe", "cnn2d", "--data_dir", "clips", "--model_name_or_path", str(folder)]),
    ):
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as caught:
            program.main()
        assert words in str(caught.value) and is_one_sentence(str(caught.value)), str(caught.value)
    assert "Traceback" not in capsys.readouterr().err
    assert {path.name for path in folder.parent.iterdir()} <= {folder.name}


def test_the_whole_files_are_taken(folder):
    answer = pipeline("audio-classification", model=str(folder))(voice())
    assert sum(entry["score"] for entry in answer) == pytest.approx(1)
    change(folder / CONFIG, label2id=ABSENT, a_field_of_a_later_transformers=1)
    change(folder / PREPROCESSOR, a_field_of_a_later_transformers=1)
    assert pipeline("audio-classification", model=str(folder))(voice()) == answer


@pytest.mark.parametrize(("field", "value"), cases(WRONG_IN_CONFIG))
def test_a_wrong_field_of_the_network_is_named(field, value, folder):
    change(folder / CONFIG, **{field: value})
    assert_refused(field, AutoModelForAudioClassification.from_pretrained, folder)
    with pytest.raises(ValueError, match=field):
        pipeline("audio-classification", model=str(folder))


@pytest.mark.parametrize(("field", "value"), cases(WRONG_IN_PREPROCESSOR))
def test_a_wrong_field_of_the_front_end_is_named(field, value, folder):
    change(folder / PREPROCESSOR, **{field: value})
    assert_refused(field, AutoFeatureExtractor.from_pretrained, folder)
    assert_refused(field, pipeline, "audio-classification", model=str(folder))


@pytest.mark.parametrize(("name", "wrong"), [(CONFIG, WRONG_IN_CONFIG), (PREPROCESSOR, WRONG_IN_PREPROCESSOR)])
def test_the_commands_name_a_wrong_field(name, wrong, folder, monkeypatch, capsys):
    whole = (folder / name).read_text()
    for field, values in wrong.items():
        change(folder / name, **{field: values[0]})
        assert_commands_refuse(field, folder, monkeypatch, capsys)
        (folder / name).write_text(whole)


@pytest.mark.parametrize("field", AT_ODDS)
def test_files_that_do_not_belong_together_are_told_apart(field, folder, monkeypatch, capsys):
    name, fields = AT_ODDS[field]
    change(folder / name, **fields)
    assert_refused(field, pipeline, "audio-classification", model=str(folder))
    assert_commands_refuse(field, folder, monkeypatch, capsys)


def weights(name: str, value) -> dict[str, torch.Tensor]:
    """A weight to put in place of another; None to leave it out."""
    return {name: None if value is None else torch.as_tensor(value)}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (weights("classifier.weight", torch.full((3, 6), NAN)), "classifier.weight holds no usable numbers"),
        (weights("classifier.bias", [0.0, INFINITE, 0.0]), "classifier.bias holds no usable numbers"),
        (weights("blocks.0.norm.running_var", [1.0, -1.0, 1.0, 1.0]), "blocks.0.norm.running_var holds no usable"),
        (weights("classifier.bias", None), "1 weights are missing, classifier.bias first"),
        (weights("other", [0.0]), "1 weights are unexpected, other first"),
        (weights("classifier.weight", np.zeros((4, 6))), "num_labels"),
    ],
)
def test_weights_that_cannot_be_right_are_refused(changed, words, folder, monkeypatch, capsys):
    tensors = load_file(folder / WEIGHTS) | changed
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    assert_refused(words, AutoModelForAudioClassification.from_pretrained, folder)
    with pytest.raises(ValueError, match=words):
        pipeline("audio-classification", model=str(folder))
    assert_commands_refuse(words, folder, monkeypatch, capsys)


DAMAGE = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "longer": lambda content: content + b"}" * 9,
    "garbage": lambda content: bytes(range(256)) * 9,
    "zeros": lambda content: bytes(len(content)),
    "list": lambda content: b"[]",
    "null": lambda content: b"null",
    "number": lambda content: b"3",
    "nested": lambda content: b"[" * 100_000,
    "utf-16": lambda content: "{}".encode("utf-16"),
    "nothing": lambda content: b"{}",
}


@pytest.mark.parametrize("name", [CONFIG, PREPROCESSOR, WEIGHTS])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named(damage, name, folder, monkeypatch, capsys):
    (folder / name).write_bytes(DAMAGE[damage]((folder / name).read_bytes()))
    assert_commands_refuse(name, folder, monkeypatch, capsys)


@pytest.mark.parametrize("name", [CONFIG, PREPROCESSOR, WEIGHTS])
def test_a_missing_file_is_named(name, folder, monkeypatch, capsys):
    (folder / name).unlink()
    assert_commands_refuse(name, folder, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (CONFIG, {"model_type": "unheard"}),
        (CONFIG, {"model_type": ABSENT}),
        (CONFIG, {"auto_map": None}),
        (PREPROCESSOR, {"feature_extractor_type": "Unheard"}),
        (PREPROCESSOR, {"feature_extractor_type": 3}),
        (PREPROCESSOR, {"auto_map": 3}),
    ],
)
def test_fields_that_transformers_reads_first_end_no_command_in_a_traceback(name, fields, folder, monkeypatch, capsys):
    change(folder / name, **fields)
    assert_commands_refuse("expected a model folder or Hub id", folder, monkeypatch, capsys)
