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

# field: values that it must not have, each damaged in another way; the sentence names the field
WRONG_IN_CONFIG = {
    "n_features": [0, True, HUGE, ABSENT],
    "channels": [[], "4", [4, 8.5], [4, -8]],
    "block": ["dense"],
    "kernel_sizes": [2.5, [3], [3, None], [[3, 3], [3]], 5],
    "pool_sizes": [[[0, 1], 2]],
    "pool_strides": [HUGE],
    "squeeze_excitation": [0.5],
    "batch_norm": ["yes"],
    "batch_norm_after": ["dropout"],
    "batch_norm_momentum": [1.5],
    "batch_norm_epsilon": [-1],
    "initialization": [None],
    "block_dropout": [1.5],
    "pooling": [None],
    "input_length": [-5],
    "hidden_sizes": [[7]],
    "hidden_batch_norm": [1],
    "dropout": [NAN],
    "calibration_temperature": [0, INFINITE],
    "image_size": [[32], [10**5, 10**5]],
    "id2label": [[], {"0": "a", "2": "b", "3": "c"}, {"a": "b"}, ABSENT],
    "label2id": [{"anger": 1, "fear": 0, "sad": 2}],
    "num_labels": [4],
    "dtype": ["int8"],
    "dropuot": [0.2],
}
WRONG_IN_PREPROCESSOR = {
    "sampling_rate": ["16000", 10**12],
    "n_fft": [3],
    "hop_length": [0, ABSENT],
    "n_mels": [10**8],
    "fmin": [9000],
    "fmax": [True],
    "features": ["log_mel", [], ["mfcc"], [3], {"log_mel": 1}],
    "top_db": [NAN],
    "db_reference": ["min"],
    "trim_db": [-1],
    "wiener": [None],
    "max_duration": [10**400],
    "pad_to_max_duration": [True],
    "statistics": [["median"]],
    "join": ["yes"],
    "normalization": [[]],
    "mean": [[0.0] * 19, [NAN] * 20, [10**400] * 20, [[0.0] * 20], ABSENT],
    "std": [[-1.0] * 20],
    "feature_size": [3],
    "padding_value": ["a"],
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


@pytest.mark.parametrize(("name", "field"), [(CONFIG, "kernel_sizes"), (PREPROCESSOR, "mean")])
def test_the_commands_name_a_wrong_field(name, field, folder, monkeypatch, capsys):
    change(folder / name, **{field: "a"})
    assert_commands_refuse(field, folder, monkeypatch, capsys)


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
        (weights("classifier.bias", None), "weights are missing, such as classifier.bias"),
        (weights("other", [0.0]), "weights are unexpected, such as other"),
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
    "list": lambda content: b"[]",
    "nested": lambda content: b"[" * 100_000,
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
