"""Several corpora as one table: labels in common, nobody in two splits, a corpus left out whole."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from conftest import write_corpus

from ser.corpora.crema_d import EMOTIONS
from ser.corpora.several_corpora import known_labels
from ser.corpora.several_corpora import load_several
from ser.corpora.several_corpora import sampling_weights
from ser.corpora.several_corpora import split_each
from ser.corpora.several_corpora import training_corpora
from ser.corpora.splits import check_leakage
from ser.evaluation.scores import listeners_votes

ACTORS = ("1001", "1002", "1010", "1015")  # two training, one test and one dev actor of the tfds split
NAMES = {
    "crema-d": [f"{actor}_DFA_{code}_XX" for actor in ACTORS for code in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")],
    "emodb": [f"{speaker}a{n:02}{letter}a" for speaker in ("03", "08", "09") for n in (1, 2) for letter in "WLEAFTN"],
    "urdu": [f"SM{speaker}_F{n}_{letter}01" for speaker in (1, 2, 3) for n in (1, 2) for letter in "AHNS"],
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    """Three small corpora, as the command line names them."""
    root = tmp_path_factory.mktemp("corpora")
    for name, clips in NAMES.items():
        write_corpus(root / name, clips)
    return {name: f"{name}={root / name}" for name in NAMES}


@pytest.fixture(scope="module")
def clips(folders, tmp_path_factory):
    """The three as one table."""
    return load_several(list(folders.values()), cache_dir=str(tmp_path_factory.mktemp("cache")))


def test_labels_and_speakers_are_those_of_one_table(folders, clips, tmp_path, caplog):
    assert clips.features["label"].names == list(EMOTIONS)
    assert len(clips) == 24 + 36 + 24
    labels = clips.features["label"].int2str(clips["label"])
    label_of = dict(zip(clips["clip"], labels, strict=True))
    assert (label_of["03a01Fa"], label_of["1001_DFA_HAP_XX"], label_of["SM1_F1_H01"]) == ("happy",) * 3
    speakers = {title: set() for title in clips["corpus"]}
    for title, speaker in zip(clips["corpus"], clips["speaker"], strict=True):
        speakers[title].add(speaker)
    assert speakers == {
        "CREMA-D": set(ACTORS),
        "EmoDB": {"EmoDB-03", "EmoDB-08", "EmoDB-09"},
        "URDU": {"URDU-SM1", "URDU-SM2", "URDU-SM3"},
    }
    with caplog.at_level(logging.WARNING):
        again = load_several(list(folders.values())[::-1], cache_dir=str(tmp_path))
    assert "left out clips of EmoDB whose labels are not trained on: 6 of boredom" in caplog.text
    assert again["clip"] == clips["clip"]


def test_nobody_is_in_two_splits(clips):
    for seed in range(3):
        splits = split_each(clips, split_seed=seed)
        assert all(shared == {"speakers": 0, "clips": 0} for shared in check_leakage(splits).values())
        assert sum(map(len, splits.values())) == len(clips)
        for name, actors in (("train", {"1001", "1002"}), ("dev", {"1015"}), ("test", {"1010"})):
            assert set(splits[name]["corpus"]) == {"CREMA-D", "EmoDB", "URDU"}
            assert {speaker for speaker in splits[name]["speaker"] if speaker.isdigit()} == actors


def test_a_corpus_left_out_is_tested_alone(clips):
    whole, splits = split_each(clips), split_each(clips, test_corpus="EmoDB")
    assert set(splits["test"]["corpus"]) == {"EmoDB"} and len(splits["test"]) == 36
    for name in ("train", "dev"):
        assert set(splits[name]["corpus"]) == {"CREMA-D", "URDU"}
        assert set(splits[name]["clip"]) < set(whole[name]["clip"])  # none of the others' test clips


def test_crema_d_can_be_the_corpus_left_out(clips):
    splits = split_each(clips, test_corpus="CREMA-D")
    assert (set(splits["train"]["corpus"]), set(splits["test"]["corpus"])) == ({"EmoDB", "URDU"}, {"CREMA-D"})


def test_labels_are_those_of_the_training_corpora(folders, tmp_path, caplog):
    nemo = tmp_path / "nemo"
    write_corpus(nemo, [f"EB{n}_{emotion}_1" for n in range(3) for emotion in ("anger", "fear", "sadness")])
    named = [folders["emodb"], folders["urdu"], f"nemo={nemo}"]
    with caplog.at_level(logging.WARNING):
        clips = load_several(named, "emodb", cache_dir=str(tmp_path / "cache"))
    assert clips.features["label"].names == ["anger", "fear", "happy", "neutral", "sad"]
    assert "6 of boredom, 6 of disgust" in caplog.text


def test_each_corpus_knows_its_labels_and_has_its_share(clips):
    known, titles = known_labels(clips), np.array(clips["corpus"][:])
    assert known.shape == (len(clips), 6)
    assert known[titles != "URDU"].all()
    assert (known[titles == "URDU"] == [True, False, False, True, True, True]).all()
    weights = sampling_weights(clips)
    shares = {title: weights[titles == title].sum() / weights.sum() for title in set(titles)}
    assert shares["CREMA-D"] == pytest.approx(shares["URDU"])
    assert shares["EmoDB"] / shares["URDU"] == pytest.approx((36 / 24) ** 0.5)


def test_only_clips_of_crema_d_bring_listeners_votes(folders, tmp_path):
    shutil.copytree(Path(folders["crema-d"].partition("=")[2]), tmp_path / "crema-d")
    rows = [",fileName,A,D,F,H,N,S", *(f"100001,{name},1,2,3,4,5,6" for name in NAMES["crema-d"])]
    table = tmp_path / "crema-d/processedResults/tabulatedVotes.csv"
    table.parent.mkdir()
    table.write_text("\n".join(rows))
    clips = load_several([f"crema-d={tmp_path / 'crema-d'}", folders["emodb"]], cache_dir=str(tmp_path / "cache"))
    votes = listeners_votes(clips)
    ours = np.asarray(clips["corpus"][:]) == "CREMA-D"
    assert (votes[ours] == [1, 2, 3, 4, 5, 6]).all() and not votes[~ours].any()


def test_the_samples_are_tested_on_whole(folders, tmp_path):
    samples = SHARED / "more/samples"
    if not samples.is_dir():
        pytest.skip("needs samples of the corpora beside the checkout, at ../shared/data/more/samples")
    for name, title, number in (("nemo", "nEMO", 22), ("ased", "ASED", 21), ("emospeech", "EmoSpeech", 23)):
        named = [folders["crema-d"], folders["emodb"], f"{name}={samples / name}"]
        splits = split_each(load_several(named, name, cache_dir=str(tmp_path)), test_corpus=title)
        assert (set(splits["test"]["corpus"]), len(splits["test"])) == ({title}, number)
        assert not any(check_leakage(splits)["train and test"].values())


def test_a_corpus_that_is_too_small_is_named(folders, tmp_path):
    write_corpus(tmp_path / "urdu", ["SM1_F1_A01", "SM2_F1_H01"])
    clips = load_several([folders["emodb"], f"urdu={tmp_path / 'urdu'}"], cache_dir=str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="URDU: expected clips of at least 3 speakers"):
        split_each(clips)


@pytest.mark.parametrize(
    "named, tested, sentence",
    [
        (["emodb=x"], None, "expected --corpora with two or more; for one corpus use --corpus and --data_dir"),
        (["emodb=x", "urdu"], None, "expected NAME=DIR with NAME out of .*; got 'urdu'"),
        (["emodb=x", "urdu="], None, "expected NAME=DIR with NAME out of .*; got 'urdu='"),
        (["emodb=x", "mine=x"], None, "expected NAME=DIR with NAME out of .*; got 'mine=x'"),
        (["emodb=x", "emodb=y"], None, "emodb is named twice"),
        (["emodb=x", "urdu=y"], "nemo", "expected --test_corpus to be one of --corpora, emodb, urdu; got 'nemo'"),
        (["emodb=x", "speechocean762=y"], None, "speechocean762 is ordinary speech only, all of it neutral"),
        (["speechocean762=y"], None, "speechocean762 is ordinary speech only, all of it neutral"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_one_sentence(named, tested, sentence):
    with pytest.raises(ValueError, match=sentence):
        training_corpora(named, tested)
