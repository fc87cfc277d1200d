"""Training on several corpora at once: the loss, the shares, the report, and what a model was trained on."""

import json

import numpy as np
import pytest
import torch
from conftest import write_corpus

from ser.evaluation.calibrate import trained_on
from ser.reporting.model_card import render_card
from ser.reporting.provenance import check_unseen
from ser.reporting.report_file import load_report
from ser.training.arguments import parse_arguments
from ser.training.augmentation import mixup
from ser.training.run import train
from ser.training.run import training_targets
from ser.training.setup import prepare
from ser.training.trainer import restricted_cross_entropy

DEV_CHOOSES_NOTHING = ["--load_best_model_at_end", "False", "--early_stopping_patience", "0"]
NAMES = {
    "crema-d": [
        f"{actor}_DFA_{code}_XX" for actor in (1001, 1002, 1010, 1015) for code in ("ANG", "DIS", "FEA", "NEU")
    ],
    "emodb": [f"{speaker}a01{letter}a" for speaker in ("03", "08", "09") for letter in "WLEAFTN"],
    "urdu": [f"SM{speaker}_F1_{letter}01" for speaker in (1, 2, 3) for letter in "AHNS"],
}
SMALL = ["--recipe", "cnn1d", "--model", '{"channels": [4, 8]}', "--feature_extractor", '{"hop_length": 512}']
SMALL += ["--num_train_epochs", "1", "--disable_tqdm", "True", "--cache_dir", "cache", "--use_cpu", "True"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with three small corpora."""
    root = tmp_path_factory.mktemp("several")
    for name, clips in NAMES.items():
        write_corpus(root / name, clips)
    return root


def options(*names: str) -> list[str]:
    return [*SMALL, "--corpora", *(f"{name}={name}" for name in names)]


@pytest.fixture(scope="module")
def report(folder):
    """Of one epoch on all three, the corpus of talk shows left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = prepare(parse_arguments([*options("emodb", "urdu", "crema-d"), "--test_corpus", "urdu"]))
        train(run)
        return load_report(run.results_dir.absolute())


def test_the_loss_is_that_of_the_known_labels_alone():
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.5, 5.0, -1.0]], requires_grad=True)
    targets = torch.tensor([[0.0, 1.0, 0.0], [0.8, 0.0, 0.2]])
    known = torch.tensor([[True, True, True], [True, False, True]])
    loss = restricted_cross_entropy(logits, targets, known)
    first = np.log(np.exp([1, 2, 3]).sum()) - 2
    second = np.log(np.exp([0.5, -1]).sum()) - 0.8 * 0.5 + 0.2 * 1
    assert loss.item() == pytest.approx((first + second) / 2, abs=1e-6)
    loss.backward()
    assert logits.grad[1, 1] == 0 and logits.grad[0].all()


def test_of_a_blend_the_labels_of_either_clip_are_known():
    known = torch.tensor([[True, False], [False, True]])
    batch = {"input_features": torch.zeros(2, 3, 1), "attention_mask": torch.ones(2, 3, dtype=torch.long)}
    np.random.seed(0)
    found = [mixup(batch | {"labels": torch.eye(2), "known_labels": known}, 0.3)["known_labels"] for _ in range(20)]
    assert {tuple(each.flatten().tolist()) for each in found} == {(True, False, False, True), (True,) * 4}


def test_the_report_has_scores_by_corpus(report):
    assert (report["corpus"], report["protocol"]) == ("CREMA-D + EmoDB", "leave-one-corpus-out")
    assert (report["contains"], report["test_corpus"]) == (["CREMA-D", "EmoDB"], "URDU")
    assert {split: list(scores) for split, scores in report["by_corpus"].items()} == {
        "train": ["CREMA-D", "EmoDB"],
        "dev": ["CREMA-D", "EmoDB"],
        "test": ["URDU"],
    }
    assert report["by_corpus"]["test"]["URDU"] == report["parts"]["test"] | {"interval_95": report["interval_95"]}
    assert report["by_corpus"]["dev"]["CREMA-D"]["clips"] == 4
    assert report["test_clips"] == 12
    assert "--corpora emodb=DIR urdu=DIR crema-d=DIR --test_corpus urdu" in report["command"]


def test_the_card_names_the_corpora_and_their_licences(report):
    card = render_card(report)
    assert "trained from scratch on the acted English speech of CREMA-D and the acted German speech of EmoDB." in card
    assert "The test split contains all clips of URDU, a corpus that was not trained on." in card
    assert "CREMA-D: database under ODbL 1.0" in card and "EmoDB: CC0 1.0" in card and "URDU: for research" not in card
    assert "@article{cao2014crema" in card and "@inproceedings{burkhardt2005database" in card
    assert "| URDU | test | 12 | 3 |" in card and "| EmoDB | dev |" in card


def test_labels_that_a_corpus_lacks_are_no_targets(folder, monkeypatch):
    monkeypatch.chdir(folder)
    run = prepare(parse_arguments([*options("emodb", "urdu"), "--label_smoothing", "0.2", "--output_dir", "other"]))
    targets, clips = training_targets(run), run.splits["train"]
    assert targets.sum(1) == pytest.approx(np.ones(len(clips)))
    lacking = [clips.features["label"].str2int(label) for label in ("disgust", "fear")]
    for row, title in zip(targets, clips["corpus"], strict=True):
        assert (row[lacking] == 0).all() == (title == "URDU")


def test_what_it_was_trained_on_is_known(report):
    assert trained_on(report) == {"CREMA-D", "EmoDB", "CREMA-D + EmoDB"}


def test_a_model_to_go_on_from_was_trained_on_no_test_clip(report):
    def split(corpus: str, protocol: str, **fields) -> dict:
        alone = {"fold": None, "split_seed": 0, "share_of_clips": 1.0, "drawn_from": None, "refit": False}
        return alone | {"corpus": corpus, "protocol": protocol, "contains": [], "test_corpus": None} | fields

    own = {name: report[name] for name in split("", "")}
    alone = report | split("CREMA-D", "tfds")
    check_unseen("m", report, own)
    check_unseen("m", report, split("CREMA-D", "tfds"))
    check_unseen("m", alone, own)
    check_unseen("m", report, split("nEMO", "speakers", drawn_from="x"))
    for model, run, sentence in (
        (report, split("CREMA-D", "actor-5fold", fold=1), "with protocol tfds, this run has actor-5fold"),
        (report, split("EmoDB", "speakers", drawn_from="x"), "drawn from other clips"),
        (report | split("CREMA-D", "actor-5fold", fold=1), own, "with protocol actor-5fold, this run has tfds"),
        (report | split("URDU", "speakers", drawn_from="x"), own, "was trained on URDU, which this run is tested on"),
    ):
        with pytest.raises(ValueError, match=sentence):
            check_unseen("m", model, run)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ("--corpora emodb=a urdu=b --protocol tfds", "--corpora goes with --protocol per-corpus"),
        ("--corpora emodb=a urdu=b --protocol leave-one-corpus-out", "or with --test_corpus and leave-one-corpus-out"),
        ("--corpora emodb=a urdu=b --fold 2", "with no --fold"),
        ("--protocol per-corpus", "need --corpora with two or more"),
        ("--test_corpus emodb", "need --corpora with two or more"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse_arguments(arguments.split())


def test_another_folder_of_clips_is_refused(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="expected only one of --data_dir"):
        prepare(parse_arguments([*options("emodb", "urdu"), "--data_dir", "emodb"]))


@pytest.mark.slow
def test_all_together_then_refit(folder, monkeypatch):
    monkeypatch.chdir(folder)
    command = options("crema-d", "emodb", "urdu")
    results = train(prepare(parse_arguments(command)))
    assert results["protocol"] == "per-corpus" and results["test_corpus"] is None
    assert list(results["by_corpus"]["test"]) == ["CREMA-D", "EmoDB", "URDU"]
    again = train(prepare(parse_arguments([*command, "--resume_from_checkpoint", "last"])))
    assert json.dumps(again["by_corpus"]) == json.dumps(results["by_corpus"])
    refit = train(prepare(parse_arguments([*command, "--refit", "True"])))
    clips = {name: results["parts"][name]["clips"] for name in ("train", "dev")}
    assert refit["parts"]["train"]["clips"] == sum(clips.values())
    assert list(refit["by_corpus"]) == ["train", "test"]


@pytest.mark.slow
def test_where_dev_chooses_nothing_it_is_trained_on_without_a_run_before(folder, monkeypatch):
    monkeypatch.chdir(folder)
    command = [*options("crema-d", "emodb", "urdu"), "--refit", "True", "--seed", "7"]
    with pytest.raises(ValueError, match="run the command with --refit False first"):
        prepare(parse_arguments(command))
    report = train(prepare(parse_arguments([*command, *DEV_CHOOSES_NOTHING])))
    assert list(report["parts"]) == ["train", "test"]
    assert (report["temperature"], report["selected_by"], report["best_epoch"]) == (1.0, None, None)
    card = " ".join(render_card(report).split())
    assert "Nothing was chosen on the dev splits: they are among the training clips." in card
    assert "No temperature was fitted to its own corpora" in card and "after the same command" not in card
