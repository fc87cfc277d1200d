"""Clips of one's own: a folder with metadata.csv, other emotions, unknown speakers, and going on from a model."""

import csv
import json
import logging
import shutil
from types import SimpleNamespace

import datasets
import pytest
import soundfile
import torch
from conftest import ROOT
from conftest import voice
from conftest import write_corpus
from transformers import Wav2Vec2Config
from transformers import Wav2Vec2FeatureExtractor
from transformers import Wav2Vec2ForSequenceClassification

import ser
from ser.corpora import load_labelled_audio
from ser.corpora.splits import speakers_of
from ser.corpora.splits import split
from ser.corpora.unlabelled_audio import open_dataset
from ser.evaluation.cross_corpus import other_clips
from ser.reporting.provenance import SPLIT
from ser.reporting.provenance import check_unseen
from ser.reporting.provenance import training_splits
from ser.reporting.provenance import weights_fingerprint
from ser.reporting.report_file import load_report
from ser.training.arguments import Arguments
from ser.training.arguments import parse_arguments
from ser.training.model_setup import replace_head
from ser.training.run import train
from ser.training.setup import prepare

LABELS = ("calm", "cross", "merry")


def write_metadata(folder, *, speakers=10, columns=("file", "label", "speaker"), each=2) -> None:
    """Two clips of each emotion by each speaker, in subfolders that mean nothing."""
    rows = []
    for speaker in range(speakers):
        for number in range(each * len(LABELS)):
            name = f"take-{speaker}-{number}"
            rows.append((f"{speaker % 2}/{name}.wav", LABELS[number % len(LABELS)], f"s{speaker}"))
            write_corpus(folder / str(speaker % 2), [name])
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([columns, *(row[: len(columns)] for row in rows)])


def arguments_for(folder, *more: str) -> Arguments:
    return parse_arguments(
        [
            *("--recipe", "cnn1d", "--dataset_dir", str(folder / "clips"), "--cache_dir", str(folder / "cache")),
            *("--output_dir", str(folder / "run"), "--results_dir", str(folder / "results"), "--max_steps", "2"),
            *("--eval_strategy", "steps", "--eval_steps", "2", "--save_strategy", "steps", "--save_steps", "2"),
            *("--disable_tqdm", "True", *more),
        ]
    )


AGAIN = ("--resume_from_checkpoint", "last")
SMALL = ("--model", '{"channels": [4, 8]}', "--feature_extractor", '{"features": ["rms"]}')


def test_a_table_of_files_and_labels_is_enough_and_speakers_are_kept_apart(tmp_path):
    write_metadata(tmp_path / "clips")
    run = prepare(arguments_for(tmp_path, *SMALL))
    assert run.name == "cnn1d/clips-speakers/split-0-seed-0"
    assert run.splits["train"].features["label"].names == list(LABELS)
    groups = [set(speakers_of(run.splits[name])) for name in ("train", "dev", "test")]
    assert [len(group) for group in groups] == [8, 1, 1]
    assert len(set.union(*groups)) == 10
    results = train(run)
    assert results["labels"] == list(LABELS) and results["corpus"] == "clips"
    assert results["leakage"]["train and test"]["speakers"] == 0
    assert "--dataset_dir DIR" in results["command"] or "--dataset_dir" not in results["command"]
    card = (tmp_path / "run/model/README.md").read_text()
    assert "Recognizes 3 emotions (calm, cross, merry)" in card
    assert "speakers who are in neither the training nor the dev split" in card


def test_unknown_speakers_are_warned_of(tmp_path, caplog):
    write_metadata(tmp_path / "clips", speakers=6, columns=("file", "label"))
    with caplog.at_level(logging.WARNING):
        run = prepare(arguments_for(tmp_path, *SMALL))
    assert "speakers are unknown: splits are drawn by clip" in caplog.text
    counts = [len(run.splits[name]) for name in ("train", "dev", "test")]
    assert sum(counts) == 36 and min(counts) >= 3
    train(run)
    card = (tmp_path / "run/model/README.md").read_text()
    assert "some of unknown speakers: not a score for unseen speakers" in card


def test_another_set_of_emotions_gets_a_new_output_layer_and_the_same_one_keeps_its_own(tmp_path, caplog):
    write_metadata(tmp_path / "clips")
    source = str(ROOT / "checkpoints/cnn1d")
    with caplog.at_level(logging.WARNING):
        run = prepare(arguments_for(tmp_path, "--model_name_or_path", source))
    assert (
        "new output layer: the model knew anger, disgust, fear, happy, neutral, sad, the clips have calm" in caplog.text
    )
    assert run.name == "cnn1d/clips-speakers/split-0-fine-tuned-seed-0"
    assert run.model.classifier.out_features == 3
    trained = json.loads((ROOT / "checkpoints/cnn1d/preprocessor_config.json").read_text())
    assert run.extractor.mean == pytest.approx(trained["mean"])  # the front end that the weights were made for
    results = train(run)
    assert results["fine_tuned_from"] == "ser-cnn1d"
    card = (tmp_path / "run/model/README.md").read_text()
    assert "fine-tuned from `ser-cnn1d` on" in card and "trained from scratch" not in card
    assert [split["corpus"] for split in training_splits(results)] == ["CREMA-D", "clips"]
    with pytest.raises(ValueError, match="the model was trained on CREMA-D"):
        other_clips(SimpleNamespace(corpus="crema-d", data_dir="x"), results)
    report = shutil.copytree(ROOT / "checkpoints/cnn1d", tmp_path / "another") / "results.json"
    (tmp_path / "another/model.safetensors").write_bytes((tmp_path / "run/model/model.safetensors").read_bytes())
    shutil.copy(tmp_path / "run/model/config.json", tmp_path / "another")
    assert json.loads(report.read_text())["recipe"] == "cnn1d"  # by name it is the same
    for another in (ROOT / "checkpoints/cnn2d", tmp_path / "another"):
        given = ("--model_name_or_path", str(another), "--output_dir", str(tmp_path / "run3"))
        with pytest.raises(ValueError, match=r"of another run \(.*, fine-tuned from ser-cnn1d \(weights \w{16}\)\); "):
            prepare(arguments_for(tmp_path, *given))

    caplog.clear()
    names = [f"{actor}_DFA_{code}_XX" for actor in (1001, 1010, 1015) for code in ("ANG", "HAP", "SAD")]
    write_corpus(tmp_path / "clips2", names)
    arguments = ["--recipe", "cnn1d", "--data_dir", str(tmp_path / "clips2"), "--model_name_or_path", source]
    arguments += ["--cache_dir", str(tmp_path / "cache"), "--output_dir", str(tmp_path / "run2")]
    run = prepare(parse_arguments(arguments))
    assert "new output layer" not in caplog.text
    assert run.model.config.id2label[0] == "anger"
    for code, label in (("ANG", "anger"), ("SAD", "sad")):  # a copy by another name is of that corpus all the same
        write_corpus(tmp_path / "clips3" / label, [f"{actor}_DFA_{code}_XX" for actor in (1001, 1010, 1015)])
    copy = ["--recipe", "cnn1d", "--dataset_dir", str(tmp_path / "clips3"), "--model_name_or_path", source]
    copy += ["--cache_dir", str(tmp_path / "cache"), "--output_dir", str(tmp_path / "run4")]
    with pytest.raises(ValueError, match="may contain this run's test clips"):
        prepare(parse_arguments(copy))
    options = SimpleNamespace(corpus=None, dataset_dir=str(tmp_path / "clips3"), cache_dir=str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="the model was trained on CREMA-D"):
        other_clips(options, load_report(ROOT / "checkpoints/cnn1d"))
    for other in (("--protocol", "speakers"), ("--protocol", "actor-5fold", "--fold", "1")):
        with pytest.raises(ValueError, match="may contain this run's test clips"):
            prepare(parse_arguments([*arguments, *other]))


def test_clips_of_a_known_corpus_among_others_are_still_of_it(tmp_path):
    for label, code in (("anger", "ANG"), ("sad", "SAD")):
        names = [f"{actor}_DFA_{code}_XX" for actor in (1001, 1010, 1015)]
        write_corpus(tmp_path / "mixed" / label, [*names, *(f"{label}-{number}" for number in range(8))])
    trained_on_it = ROOT / "checkpoints/cnn1d"
    given = ["--recipe", "cnn1d", "--dataset_dir", str(tmp_path / "mixed"), "--cache_dir", str(tmp_path / "cache")]
    given += ["--output_dir", str(tmp_path / "run"), "--results_dir", str(tmp_path / "results")]
    with pytest.raises(ValueError, match=r"training data may contain .*clips of CREMA-D are in both: take them out"):
        prepare(parse_arguments([*given, "--model_name_or_path", str(trained_on_it)]))
    options = SimpleNamespace(corpus=None, dataset_dir=str(tmp_path / "mixed"), cache_dir=str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="trained on CREMA-D, and mixed has clips of it: take them out"):
        other_clips(options, load_report(trained_on_it))
    mixed = prepare(parse_arguments([*given, *SMALL])).identity.report_fields() | {"trained_before": []}
    assert (mixed["corpus"], mixed["contains"]) == ("mixed", ["CREMA-D"])
    with pytest.raises(ValueError, match="the model was trained on CREMA-D"):
        other_clips(SimpleNamespace(corpus="crema-d", data_dir="x"), mixed)


@pytest.mark.parametrize("text", ["[]", '{"accuracy": 1}', "5"])
def test_a_results_file_of_others_is_no_report(tmp_path, text):
    model = shutil.copytree(ROOT / "checkpoints/cnn1d", tmp_path / "model")
    (model / "results.json").write_text(text)
    for option in ("--model_name_or_path", "--teachers"):
        with pytest.raises(ValueError, match=f"{option}: results.json of .* is no report of this project"):
            write_metadata(tmp_path / "clips", speakers=5)
            prepare(arguments_for(tmp_path, option, str(model)))


def test_a_model_trained_on_dev_is_a_start_only_where_dev_is_trained_on_again():
    report = load_report(ROOT / "checkpoints/cnn1d") | {"refit": False}
    split = {name: report.get(name) for name in SPLIT}
    assert check_unseen("x", report, split | {"refit": True}) is None
    with pytest.raises(ValueError, match="with refit True, this run has False: its training data may contain"):
        check_unseen("x", report | {"refit": True}, split)


@pytest.mark.parametrize("change", [{"protocol": "random"}, {"fold": 2}, {"split_seed": 1}, {"share_of_clips": 0.2}])
def test_a_model_is_a_start_only_with_the_splits_of_all_that_it_was_trained_on(change):
    report = load_report(ROOT / "checkpoints/cnn1d")
    split = {name: report.get(name) for name in SPLIT}
    other = split | {"corpus": "clips", "protocol": "speakers"}
    for before in ([], [other], [other, other]):
        assert check_unseen("x", report | {"trained_before": before}, split) is None
        with pytest.raises(ValueError, match="its training data may contain this run's test clips"):
            check_unseen("x", report | {"trained_before": before}, split | change)
    went_on = report | other | {"trained_before": [split, other]}
    assert check_unseen("x", went_on, split) is None
    with pytest.raises(ValueError, match="its training data may contain this run's test clips"):
        check_unseen("x", went_on, split | change)


def test_weights_are_known_by_what_they_are_and_not_by_where(tmp_path):
    for name, content in (("one", b"1"), ("same", b"1"), ("other", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(content)
    one, same, other = (weights_fingerprint(str(tmp_path / name)) for name in ("one", "same", "other"))
    assert one == same != other


def test_splits_of_other_clips_of_the_same_name_are_other_splits(tmp_path):
    write_metadata(tmp_path / "clips", speakers=6)
    report = train(prepare(arguments_for(tmp_path, *SMALL)))
    model = str(tmp_path / "run/model")
    assert check_unseen(model, report, prepare(arguments_for(tmp_path, *SMALL, *AGAIN)).identity.split) is None
    write_metadata(tmp_path / "clips", speakers=7)  # of whom some are tested now that were trained on before
    with pytest.raises(ValueError, match=r"trained on a split that was drawn from other .* start again"):
        prepare(arguments_for(tmp_path, *SMALL, *AGAIN))
    (tmp_path / "run").rename(tmp_path / "before")
    with pytest.raises(ValueError, match="--refit: the run before it was trained on a split that was drawn from other"):
        prepare(arguments_for(tmp_path, *SMALL, "--refit", "True"))
    with pytest.raises(ValueError, match=r"drawn from other clips.* its training data .* must have another name"):
        prepare(arguments_for(tmp_path, "--model_name_or_path", str(tmp_path / "before/model")))


def test_the_same_command_trains_on_dev_too_and_stops_at_the_step_that_was_best(tmp_path):
    write_metadata(tmp_path / "clips")
    stops = ("--max_steps", "4", "--per_device_train_batch_size", "4", "--early_stopping_patience", "1")
    before = train(prepare(arguments_for(tmp_path, *SMALL, *stops)))
    again = prepare(arguments_for(tmp_path, *SMALL, *stops, "--refit", "True", "--output_dir", str(tmp_path / "again")))
    assert set(again.splits) == {"train", "test"} and again.before["best_epoch"] == before["best_epoch"] < 1
    results = train(again)
    last = results["history"][-1]
    assert last["epoch"] >= before["best_epoch"] > last["epoch"] * (1 - 1 / last["step"])
    assert results["temperature"] == before["temperature"]
    with pytest.raises(ValueError, match="holds the model of the run before --refit; set another --model_dir"):
        prepare(arguments_for(tmp_path, *SMALL, *stops, "--refit", "True"))
    report = tmp_path / "results/cnn1d/clips-speakers/split-0-seed-0/results.json"
    for fields, message in (
        ({"processes": 2}, "--refit expects as many processes as the run before it had: 2"),
        ({"temperature": None}, "is an older report, without a temperature; run that command again"),
        ({"command": before["command"] + " --learning_rate 0.5"}, "expects the settings of the run before it; that"),
    ):
        changed = {name: value for name, value in (before | fields).items() if (name, value) != ("temperature", None)}
        report.write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=message):
            prepare(arguments_for(tmp_path, *SMALL, *stops, "--refit", "True", "--output_dir", str(tmp_path / "new")))


def test_what_a_model_without_a_report_was_trained_on_is_not_known(tmp_path, caplog):
    write_metadata(tmp_path / "clips")
    shutil.copytree(ROOT / "checkpoints/cnn1d", tmp_path / "bare", ignore=shutil.ignore_patterns("results.json"))
    with caplog.at_level(logging.WARNING):
        run = prepare(arguments_for(tmp_path, "--model_name_or_path", str(tmp_path / "bare")))
    assert "its training data may contain this run's test clips" in caplog.text
    assert run.trained_before is None
    train(run)
    card = (tmp_path / "run/model/README.md").read_text()
    assert "the training data of the model that was fine-tuned is unknown and may include these clips" in card
    assert training_splits({"trained_before": None}) is None
    with pytest.raises(ValueError, match="the training data of this model is unknown"):
        other_clips(SimpleNamespace(corpus="emodb", data_dir="x"), {"trained_before": None})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--model_name_or_path", "nothing/there"), "expected a model folder or Hub id; 'nothing/there' is neither"),
        (("--model_name_or_path", str(ROOT / "checkpoints/cnn1d"), "--model", '{"dropout": 0}'), "leave it out"),
        (("--protocol", "tfds"), "use --protocol random"),
        (("--label_column", "mood"), "expected the comma-separated columns file, mood and, if known, speaker in"),
        (("--data_dir", "x"), "expected only one of --data_dir"),
        (("--recipe", "flagship-distilled", "--variant", "fine-tuning"), "name one with --model_name_or_path"),
        (("--gradient_checkpointing", "True"), "--gradient_checkpointing is not supported by these networks"),
        (("--optim", "adamw_bnb_8bit"), "--optim: You need to install `bitsandbytes`"),
        (("--vote_share", "0.2"), "--vote_share needs clips with listeners' votes"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(tmp_path, more, message):
    write_metadata(tmp_path / "clips", speakers=3)
    with pytest.raises(ValueError) as caught:
        prepare(arguments_for(tmp_path, *more))
    assert message in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="expected a folder with your clips at .*; check --dataset_dir"):
        prepare(arguments_for(tmp_path))


def test_missing_files_and_empty_labels_are_left_out_and_counted(tmp_path, caplog):
    write_metadata(tmp_path / "clips", speakers=2)
    with (tmp_path / "clips/metadata.csv").open("a") as file:
        file.write("gone.wav,calm,s0\n0/take-0-0.wav,,s0\n,calm,s1\n")
    with caplog.at_level(logging.WARNING):
        clips = load_labelled_audio(str(tmp_path / "clips"))
    assert len(clips) == 12
    assert "left out 2 rows without audio or label" in caplog.text and "left out 1 clip: missing (gone)" in caplog.text


def test_known_spellings_get_their_order_but_no_company(tmp_path):
    for label in ("sad", "happiness"):
        write_corpus(tmp_path / label, [f"{label}-{number}" for number in range(3)])
    clips = load_labelled_audio(str(tmp_path))
    assert clips.features["label"].names == ["happy", "sad"]
    assert clips["label"][:] == [0, 0, 0, 1, 1, 1]


def test_clips_of_one_name_in_two_folders_stay_two_clips(tmp_path):
    for label in ("calm", "cross"):
        write_corpus(tmp_path / label, ["a", f"only-{label}"])
    clips = load_labelled_audio(str(tmp_path))["clip"][:]
    assert len(set(clips)) == 4 and {"only-calm", "only-cross"} < set(clips)


def test_empty_speakers_are_unknown_speakers(tmp_path, caplog):
    write_metadata(tmp_path / "clips", speakers=3)
    table = tmp_path / "clips/metadata.csv"
    text = table.read_text()
    table.write_text(text.replace(",s0", ","))
    with caplog.at_level(logging.WARNING):
        speakers = speakers_of(load_labelled_audio(str(tmp_path / "clips")))
    assert "6 clips without a speaker: each counts as a speaker of its own" in caplog.text
    assert len(set(speakers)) == 6 + 2 and "None" not in speakers
    table.write_text(text.replace(",s0", ",").replace(",s1", ",").replace(",s2", ","))
    assert speakers_of(load_labelled_audio(str(tmp_path / "clips"))) is None


def test_where_some_speakers_are_unknown_no_score_is_for_unseen_speakers(tmp_path):
    write_metadata(tmp_path / "clips")
    table = tmp_path / "clips/metadata.csv"
    table.write_text(table.read_text().replace(",s0", ","))
    run = prepare(arguments_for(tmp_path))
    assert all(speakers_of(clips) is None for clips in run.splits.values())
    results = train(run)
    assert (results["test_actors"], results["interval_over"]) == (None, "clips")
    card = (tmp_path / "run/model/README.md").read_text()
    assert "some of unknown speakers" in card and "who are in neither" not in card
    assert "95 % interval over clips |" in card and "over speakers" not in card


def test_files_of_every_kind_count_and_those_that_do_not_decode_are_named(tmp_path, caplog):
    write_corpus(tmp_path / "calm", ["a", "b"])
    write_corpus(tmp_path / "cross", ["c"], ".aiff")
    soundfile.write(tmp_path / "cross/d.opus", voice(0.5, rate=48000), 48000, format="OGG", subtype="OPUS")
    (tmp_path / "cross/e.m4a").write_bytes(b"torn")
    with caplog.at_level(logging.WARNING):
        assert load_labelled_audio(str(tmp_path))["clip"][:] == ["a", "b", "c", "d"]
    assert "left out 1 clip: undecodable (e)" in caplog.text


def test_a_split_without_a_clip_of_a_label_is_logged(tmp_path, caplog):
    write_metadata(tmp_path / "clips")
    table = tmp_path / "clips/metadata.csv"
    table.write_text(table.read_text().replace(",calm,s1", ",glad,s1", 1))
    with caplog.at_level(logging.WARNING):
        prepare(arguments_for(tmp_path))
    absent = [record.getMessage() for record in caplog.records if "has no clip of glad" in record.getMessage()]
    assert len(absent) == 2  # it is in one of three splits


def test_a_clip_that_is_there_twice_is_in_one_split_only(tmp_path, caplog):
    write_metadata(tmp_path / "clips", speakers=3)
    folder, table = tmp_path / "clips/0", tmp_path / "clips/metadata.csv"
    shutil.copy(folder / "take-0-0.wav", folder / "again.wav")
    shutil.copy(folder / "take-0-1.wav", folder / "otherwise.wav")
    text = table.read_text()
    table.write_text(text + "0/again.wav,calm,s1\n0/otherwise.wav,calm,s1\n")
    with caplog.at_level(logging.WARNING):
        clips = load_labelled_audio(str(tmp_path / "clips"))["clip"][:]
    assert len(clips) == 17 and not {"again", "otherwise", "take-0-1"} & set(clips)
    assert "left out 1 clip: copy of another clip (again)" in caplog.text
    assert "left out 2 clips: the same file has two labels (otherwise, take-0-1)" in caplog.text
    table.write_text(text + "0/take-0-0.wav,cross,\n")
    with pytest.raises(ValueError, match="take-0-0.wav' has two labels or speakers; keep one of its rows"):
        load_labelled_audio(str(tmp_path / "clips"))


@pytest.mark.parametrize("dev", ["validation", None])
def test_splits_that_a_dataset_brings_are_kept_and_checked(tmp_path, caplog, dev):
    write_metadata(tmp_path / "all", speakers=8)
    clips = load_labelled_audio(str(tmp_path / "all"))
    clips = clips.remove_columns("label").add_column("label", [f"mood {label}" for label in clips["label"]])
    names = ["train"] * 6 + [dev or "train", "test"]
    rows = {name: [i for i, speaker in enumerate(clips["speaker"]) if names[int(speaker[1])] == name] for name in names}
    brought = datasets.DatasetDict({name: clips.select(chosen) for name, chosen in rows.items()})
    brought.save_to_disk(tmp_path / "clips")
    run = prepare(arguments_for(tmp_path))
    assert run.data.protocol == "given"
    assert set(run.splits["test"]["clip"]) == set(brought["test"]["clip"])
    assert len(run.splits["dev"]) == 6 and len(run.splits["train"]) == 36
    speakers = [set(speakers_of(part)) for part in run.splits.values()]
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 8
    drawn = prepare(arguments_for(tmp_path, "--protocol", "speakers", "--output_dir", str(tmp_path / "drawn")))
    assert drawn.data.protocol == "speakers"
    assert "the data brings splits of its own; --protocol given keeps them" in caplog.text
    known = brought["test"].map(lambda row: {"speaker": "s0"})
    datasets.DatasetDict(brought | {"test": known}).save_to_disk(tmp_path / "shared/clips")
    prepare(arguments_for(tmp_path / "shared"))
    assert "train and test, as the data brings them, share 1 speaker: scores are too high" in caplog.text


def test_folders_for_train_and_test_are_kept_and_the_one_for_validation_is_tested_if_there_is_no_test(tmp_path):
    for split_name in ("Train", "val"):
        for label in ("calm", "cross"):
            write_corpus(tmp_path / "clips" / split_name / label, [f"{split_name}-{label}-{n}" for n in range(10)])
    run = prepare(arguments_for(tmp_path))
    assert run.data.protocol == "given" and run.splits["test"].features["label"].names == ["calm", "cross"]
    assert {clip.split("-")[0] for clip in run.splits["test"]["clip"]} == {"val"}
    assert {name: len(part) for name, part in run.splits.items()} == {"train": 18, "dev": 2, "test": 20}
    results = train(run)
    assert results["protocol"] == "given" and results["leakage"]["train and test"]["clips"] == 0
    assert "of unknown speakers: not a score for unseen speakers" in (tmp_path / "run/model/README.md").read_text()


def test_splits_of_other_names_are_joined_and_said_to_be(tmp_path, caplog):
    write_metadata(tmp_path / "all")
    clips = load_labelled_audio(str(tmp_path / "all"))
    clips = clips.remove_columns("label").add_column("label", [f"mood {label}" for label in clips["label"]])
    datasets.DatasetDict({"clean": clips.select(range(30)), "other": clips.select(range(30, 60))}).save_to_disk(
        tmp_path / "clips"
    )
    assert prepare(arguments_for(tmp_path)).data.protocol == "speakers"
    assert "the splits clean, other are joined and split again" in caplog.text
    with pytest.raises(ValueError, match="the data brings no splits .* of its own; use --protocol speakers"):
        prepare(arguments_for(tmp_path, "--protocol", "given"))


def test_backslashes_in_a_table_are_answered_with_what_to_write(tmp_path):
    write_metadata(tmp_path / "clips", speakers=3)
    table = tmp_path / "clips/metadata.csv"
    table.write_text(table.read_text().replace("0/take", "0\\take"))
    with pytest.raises(ValueError, match=r"which is not there; write / between folders, not \\"):
        load_labelled_audio(str(tmp_path / "clips"))


def test_repeated_rows_count_once_and_contradictions_are_refused(tmp_path, caplog):
    write_metadata(tmp_path / "clips", speakers=3)
    table = tmp_path / "clips/metadata.csv"
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *rows, *rows[:4]]))
    with caplog.at_level(logging.WARNING):
        assert len(load_labelled_audio(str(tmp_path / "clips"))) == 18
    assert "left out 4 repeated rows" in caplog.text
    table.write_text("\n".join([head, *rows, rows[0].replace("calm", "cross")]))
    with pytest.raises(ValueError, match="has two labels or speakers; keep one of its rows"):
        load_labelled_audio(str(tmp_path / "clips"))


def test_tables_of_several_folders_are_read_together(tmp_path):
    for name in ("train", "test"):
        write_metadata(tmp_path / name, speakers=2)
    clips = load_labelled_audio(str(tmp_path))
    assert len(clips) == 24 and clips.features["label"].names == list(LABELS)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("calm/a", "cross/b", "readme"), "'readme.wav' is not: move it, or write a metadata.csv"),
        (("calm/a", "cross/anna/b"), "and no deeper; 'cross/anna/b.wav' is not"),
        (("calm/anna/a", "calm/ben/b", "cross/anna/c"), "and no deeper; 'calm/anna/a.wav' is not"),  # not by speaker
        (("calm/a", "calm/b"), r"at least two labels in .*; got \['calm'\]"),
    ],
)
def test_folders_that_do_not_tell_labels_are_refused(tmp_path, names, message):
    for name in names:
        write_corpus((tmp_path / name).parent, [name.split("/")[-1]])
    with pytest.raises(ValueError, match=message):
        load_labelled_audio(str(tmp_path))


@pytest.mark.parametrize("content", [b'file,label\n"a.wav,calm\n', "file,label\nä.wav,calm\n".encode("latin-1")])
def test_tables_that_cannot_be_read_are_named(tmp_path, content):
    write_corpus(tmp_path, ["a"])
    (tmp_path / "metadata.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"metadata.csv'; it cannot be read .*: save it as CSV in UTF-8"):
        load_labelled_audio(str(tmp_path))
    (tmp_path / "metadata.csv").rename(tmp_path / "metadata.jsonl")
    with pytest.raises(ValueError, match="metadata.jsonl in .* is not read; write metadata.csv"):
        load_labelled_audio(str(tmp_path))


def test_the_same_labels_in_another_order_keep_the_trained_layer():
    model = ser.CNN1DForAudioClassification(ser.CNN1DConfig(n_features=1, channels=[4], num_labels=3)).eval()
    model.config.id2label, clip = dict(enumerate(("b", "c", "a"))), torch.randn(1, 20, 1)
    before = model(clip).logits[0].tolist()
    replace_head(model, ["a", "b", "c"])
    assert model(clip).logits[0].tolist() == pytest.approx([before[2], before[0], before[1]])
    assert model.config.label2id == {"a": 0, "b": 1, "c": 2}


def test_no_code_that_came_with_a_model_is_run(tmp_path, monkeypatch):
    write_metadata(tmp_path / "clips", speakers=3)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text(
        '{"model_type": "foreign", "auto_map": {"AutoConfig": "code.C", "AutoModelForAudioClassification": "code.M"}}'
    )
    (tmp_path / "model/code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(ValueError, match="--model_name_or_path: expected a model folder or Hub id"):
        prepare(arguments_for(tmp_path, "--model_name_or_path", str(tmp_path / "model")))
    assert not (tmp_path / "ran").exists()


def test_a_model_of_another_project_is_not_gone_on_from(tmp_path):
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(16,),
        conv_stride=(5,), conv_kernel=(10,), num_feat_extract_layers=1, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    Wav2Vec2ForSequenceClassification(config).save_pretrained(tmp_path / "model")
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="expected a model of this project at .*; got Wav2Vec2ForSequenceClassific"):
        prepare(arguments_for(tmp_path, "--model_name_or_path", str(tmp_path / "model")))


def test_a_dataset_with_a_loading_script_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/old.py").write_text("import datasets")
    script = str(tmp_path / "old/old.py")
    with pytest.raises(ValueError, match="cannot be read: Dataset scripts are no longer supported"):
        load_labelled_audio(script)
    with pytest.raises(ValueError, match="cannot be read: Dataset scripts are no longer supported"):
        open_dataset(script, split=None, streaming=False, audio_column="audio")


def test_too_few_speakers_are_refused_and_three_are_enough(tmp_path):
    write_metadata(tmp_path / "clips", speakers=3)
    clips = load_labelled_audio(str(tmp_path / "clips"))
    splits = split(clips, "speakers", split_seed=1)
    assert [len(set(speakers_of(rows))) for rows in splits.values()] == [1, 1, 1]
    two = clips.select([index for index, speaker in enumerate(clips["speaker"]) if speaker != "s2"])
    with pytest.raises(ValueError, match="at least 3 speakers to split by; got 2"):
        split(two, "speakers")
