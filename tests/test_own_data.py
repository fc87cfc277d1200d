"""Clips of one's own: a folder with metadata.csv, other emotions, unknown speakers, and going on from a model."""

import csv
import json
import logging

import pytest
from conftest import ROOT
from conftest import write_corpus

from ser.arguments import parse_arguments
from ser.corpora import load_labelled_audio
from ser.corpora import split
from ser.corpora.splits import speakers_of
from ser.training import prepare
from ser.training import train

LABELS = ("calm", "cross", "merry")


def write_metadata(folder, *, speakers=10, columns=("file", "label", "speaker"), each=2) -> None:
    """Two clips of each emotion by each speaker, in subfolders that tell nothing."""
    rows = []
    for speaker in range(speakers):
        for number in range(each * len(LABELS)):
            name = f"take-{speaker}-{number}"
            rows.append((f"{speaker % 2}/{name}.wav", LABELS[number % len(LABELS)], f"s{speaker}"))
            write_corpus(folder / str(speaker % 2), [name])
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([columns, *(row[: len(columns)] for row in rows)])


def arguments_for(folder, *more: str) -> tuple:
    return parse_arguments(
        [
            *("--recipe", "cnn1d", "--dataset_dir", str(folder / "clips"), "--cache_dir", str(folder / "cache")),
            *("--output_dir", str(folder / "run"), "--results_dir", str(folder / "results"), "--max_steps", "2"),
            *("--eval_strategy", "steps", "--eval_steps", "2", "--save_strategy", "steps", "--save_steps", "2"),
            *("--disable_tqdm", "True", *more),
        ]
    )


SMALL = ("--model", '{"channels": [4, 8]}', "--feature_extractor", '{"features": ["rms"]}')


def test_a_table_of_files_and_labels_is_enough_and_speakers_are_kept_apart(tmp_path):
    write_metadata(tmp_path / "clips")
    run = prepare(*arguments_for(tmp_path, *SMALL))
    assert run.name == "cnn1d/clips-speakers/split-0-seed-0"
    assert run.parts["train"].features["label"].names == list(LABELS)
    groups = [set(speakers_of(run.parts[part])) for part in ("train", "dev", "test")]
    assert [len(group) for group in groups] == [8, 1, 1]
    assert len(set.union(*groups)) == 10
    results = train(run)
    assert results["labels"] == list(LABELS) and results["corpus"] == "clips"
    assert results["leakage"]["train and test"]["speakers"] == 0
    assert "--dataset_dir DIR" in results["command"] or "--dataset_dir" not in results["command"]
    card = (tmp_path / "run/model/README.md").read_text()
    assert "Recognises 3 emotions (calm, cross, merry)" in card
    assert "speakers whom the model never heard" in card


def test_unknown_speakers_are_warned_of(tmp_path, caplog):
    write_metadata(tmp_path / "clips", speakers=6, columns=("file", "label"))
    with caplog.at_level(logging.WARNING):
        run = prepare(*arguments_for(tmp_path, *SMALL))
    assert "speakers are not known: parts are drawn by clip" in caplog.text
    counts = [len(run.parts[part]) for part in ("train", "dev", "test")]
    assert sum(counts) == 36 and min(counts) >= 3
    train(run)
    assert (
        "who speaks is not known, so this is not a figure for unseen" in (tmp_path / "run/model/README.md").read_text()
    )


def test_another_set_of_emotions_gets_a_new_output_layer_and_the_same_one_keeps_its_own(tmp_path, caplog):
    write_metadata(tmp_path / "clips")
    source = str(ROOT / "checkpoints/cnn1d")
    with caplog.at_level(logging.WARNING):
        run = prepare(*arguments_for(tmp_path, "--model_name_or_path", source))
    assert (
        "new output layer: the model knew anger, disgust, fear, happy, neutral, sad, the clips have calm" in caplog.text
    )
    assert run.name == "cnn1d/clips-speakers/split-0-fine-tuned-seed-0"
    assert run.model.classifier.out_features == 3
    trained = json.loads((ROOT / "checkpoints/cnn1d/preprocessor_config.json").read_text())
    assert run.extractor.mean == pytest.approx(trained["mean"])  # the front end that the weights were made for
    results = train(run)
    assert results["fine_tuned_from"] == "cnn1d"
    card = (tmp_path / "run/model/README.md").read_text()
    assert "fine-tuned from `cnn1d` on" in card and "trained from scratch" not in card

    caplog.clear()
    names = [f"{actor}_DFA_{code}_XX" for actor in range(1001, 1004) for code in ("ANG", "HAP", "SAD")]
    write_corpus(tmp_path / "clips2", names)
    arguments = ["--recipe", "cnn1d", "--data_dir", str(tmp_path / "clips2"), "--protocol", "speakers"]
    arguments += ["--cache_dir", str(tmp_path / "cache"), "--output_dir", str(tmp_path / "run2")]
    run = prepare(*parse_arguments([*arguments, "--model_name_or_path", source]))
    assert "new output layer" not in caplog.text
    assert run.model.config.id2label[0] == "anger"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--model_name_or_path", "nothing/there"), "no model of this project at 'nothing/there'"),
        (("--model_name_or_path", str(ROOT / "checkpoints/cnn1d"), "--model", '{"dropout": 0}'), "leave them out"),
        (("--protocol", "tfds"), "use --protocol random"),
        (("--label_column", "mood"), "expected the columns file, mood and, if known, speaker in"),
        (("--data_dir", "x"), "give one of them"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(tmp_path, more, message):
    write_metadata(tmp_path / "clips", speakers=3)
    with pytest.raises(ValueError) as caught:
        prepare(*arguments_for(tmp_path, *more))
    assert message in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="expected a folder with your clips at .*; check --dataset_dir"):
        prepare(*arguments_for(tmp_path))


def test_missing_files_and_empty_labels_are_left_out_and_counted(tmp_path, caplog):
    write_metadata(tmp_path / "clips", speakers=2)
    with (tmp_path / "clips/metadata.csv").open("a") as file:
        file.write("gone.wav,calm,s0\n0/take-0-0.wav,,s0\n")
    with caplog.at_level(logging.WARNING):
        clips = load_labelled_audio(str(tmp_path / "clips"))
    assert len(clips) == 12
    assert "left out 1 rows without audio or label" in caplog.text and "left out 1 clips: missing (gone)" in caplog.text


def test_too_few_speakers_are_refused_and_three_are_enough(tmp_path):
    write_metadata(tmp_path / "clips", speakers=3)
    clips = load_labelled_audio(str(tmp_path / "clips"))
    parts = split(clips, "speakers", split_seed=1)
    assert [len(set(speakers_of(part))) for part in parts.values()] == [1, 1, 1]
    two = clips.select([index for index, speaker in enumerate(clips["speaker"]) if speaker != "s2"])
    with pytest.raises(ValueError, match="at least 3 speakers to split by; got 2"):
        split(two, "speakers")
