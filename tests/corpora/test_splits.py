"""No actor is on two sides, and the published sizes come out."""

import csv
import json
from collections import Counter

import datasets
import pytest
from conftest import ROOT

from ser.corpora.crema_d import CONTRADICTORY
from ser.corpora.crema_d import official_names
from ser.corpora.crema_d import parse_name
from ser.corpora.splits import check_leakage
from ser.corpora.splits import drawn_from
from ser.corpora.splits import join_dev
from ser.corpora.splits import split
from ser.corpora.splits import with_copies


@pytest.fixture(scope="module")
def clips() -> datasets.Dataset:
    """All official names, without sound."""
    names = sorted(official_names())
    parsed = [parse_name(name) for name in names]
    columns = {"actor": "actor", "sentence": "sentence", "label": "emotion"}
    rows = {"clip": names} | {column: [p[key] for p in parsed] for column, key in columns.items()}
    return datasets.Dataset.from_dict(rows).class_encode_column("label")


def sizes(splits: datasets.DatasetDict) -> tuple[int, ...]:
    return tuple(len(splits[name]) for name in ("train", "dev", "test"))


def test_tfds_has_the_published_sizes(clips):
    assert sizes(split(clips, "tfds")) == (5144, 738, 1556)


@pytest.mark.parametrize(
    "run",
    [
        *(f"flagship-distilled/actor-5fold/fold-{fold}-labels-alone-seed-0" for fold in (1, 3, 5)),
        "flagship-distilled/new-sentences/fold-1-labels-alone-seed-0",
        "mel-2d/random-70-30/split-0-seed-0",
    ],
)
def test_test_splits_are_those_of_the_published_scores(clips, run):
    with (ROOT / "results" / run / "predictions.csv").open() as file:
        tested = [row["clip"] for row in csv.DictReader(file)]
    report = json.loads((ROOT / "results" / run / "results.json").read_text())
    left_out = {"1076_MTI_SAD_XX", *CONTRADICTORY}
    usable = clips.select([index for index, clip in enumerate(clips["clip"][:]) if clip not in left_out])
    splits = split(usable, report["protocol"], fold=report["fold"], split_seed=report["split_seed"])
    assert splits["test"]["clip"][:] == tested
    assert {name: len(rows) for name, rows in splits.items()} == {
        name: scores["clips"] for name, scores in report["parts"].items()
    }


@pytest.mark.parametrize(("protocol", "fold"), [("tfds", None), *(("actor-5fold", fold) for fold in range(1, 6))])
def test_no_actor_is_in_two_splits(clips, protocol, fold):
    splits = split(clips, protocol, fold=fold)
    actors = {name: set(rows["actor"]) for name, rows in splits.items()}
    assert not actors["train"] & actors["dev"]
    assert not actors["train"] & actors["test"]
    assert not actors["dev"] & actors["test"]
    assert len(set.union(*actors.values())) == 91


def test_folds_test_each_actor_once(clips):
    tested = [actor for fold in range(1, 6) for actor in set(split(clips, "actor-5fold", fold=fold)["test"]["actor"])]
    assert len(tested) == len(set(tested)) == 91


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_new_sentences_are_of_unseen_actors_and_in_no_other_split(clips, fold):
    splits = split(clips, "new-sentences", fold=fold)
    shared = check_leakage(splits)
    assert shared["train and test"] == shared["dev and test"] == {"speakers": 0, "clips": 0, "sentences": 0}
    assert shared["train and dev"] == {"speakers": 0, "clips": 0, "sentences": 8}
    assert len(set(splits["test"]["sentence"])) == 4
    assert set(splits["test"]["clip"]) < set(split(clips, "tfds")["test"]["clip"])


def test_every_sentence_is_new_once(clips):
    tested = [set(split(clips, "new-sentences", fold=fold)["test"]["sentence"]) for fold in (1, 2, 3)]
    assert sorted(sum(map(list, tested), [])) == sorted(set(clips["sentence"]))
    with pytest.raises(ValueError, match="expected --fold between 1 and 3 with new-sentences; got None"):
        split(clips, "new-sentences")


def test_leaving_one_speaker_out_needs_speakers(clips):
    with pytest.raises(ValueError, match=r"expected a column out of \('actor', 'speaker'\) to split by"):
        split(clips.remove_columns("actor"), "loso", fold=1)


@pytest.mark.parametrize("protocol", ["tfds", "speakers", "random", "leaky"])
def test_a_fold_of_a_protocol_without_folds_is_refused(clips, protocol):
    with pytest.raises(ValueError, match=f"the {protocol} protocol has no folds; leave out --fold, or use actor-5fold"):
        split(clips, protocol, fold=2)


def test_leaving_one_speaker_out_selects_on_another(clips):
    splits = split(clips, "loso", fold=91)
    assert {name: sorted(set(rows["actor"]))[:1] for name, rows in splits.items()} == {
        "train": ["1002"],
        "dev": ["1001"],
        "test": ["1091"],
    }


def test_leaky_shares_most_test_clips_with_the_training_split(clips):
    splits = split(with_copies(clips), "leaky")
    assert splits["dev"]["clip"][:] == splits["test"]["clip"][:]
    assert sum(map(len, (splits["train"], splits["test"]))) == 2 * len(clips)
    tested = set(splits["test"]["clip"])
    copied = tested & set(splits["train"]["clip"])
    assert len(copied) / len(tested) > 0.8
    assert check_leakage(splits)["train and test"]["clips"] == len(copied)


def test_dev_joins_train_and_test_stays(clips):
    splits = split(clips, "tfds")
    joined = join_dev(splits)
    assert set(joined) == {"train", "test"} and joined["test"]["clip"] == splits["test"]["clip"]
    assert sorted(joined["train"]["clip"]) == sorted([*splits["train"]["clip"], *splits["dev"]["clip"]])
    assert list(check_leakage(joined)) == ["train and test"]
    assert check_leakage(joined)["train and test"]["speakers"] == 0


@pytest.mark.parametrize("protocol", ["speakers", "random", "random-70-30", "leaky"])
def test_splits_are_drawn_from_these_clips_in_this_order(clips, protocol):
    count = len(clips)
    assert drawn_from(clips, protocol) == drawn_from(clips.select(range(count)), protocol)
    for others in (range(1, count), reversed(range(count))):
        assert drawn_from(clips, protocol) != drawn_from(clips.select(others), protocol)
    for column in ("actor", "label"):  # and what is said of them
        other = clips.remove_columns(column).add_column(column, clips[column][::-1])
        assert drawn_from(clips, protocol) != drawn_from(other, protocol)


def test_a_clip_less_changes_no_split_that_a_list_of_actors_defines(clips):
    fewer = clips.select(range(1, len(clips)))
    assert drawn_from(fewer, "tfds") is None and drawn_from(fewer, "actor-5fold") is None
    assert drawn_from(fewer, "loso") == drawn_from(clips, "loso")  # the same speakers
    another = clips.filter(lambda actor: actor != "1001", input_columns="actor")
    assert drawn_from(another, "loso") != drawn_from(clips, "loso")


def test_leakage_is_counted(clips):
    clean = check_leakage(split(clips, "tfds"))
    assert clean["train and test"] == {"speakers": 0, "clips": 0, "sentences": 12}
    random = check_leakage(split(clips, "random"))
    assert random["train and test"]["speakers"] == 91
    assert random["train and test"]["clips"] == 0
    doubled = datasets.concatenate_datasets([clips, clips])
    leaky = check_leakage(split(doubled, "random-70-30"))
    assert leaky["train and test"]["clips"] > 2000


def test_70_30_has_a_twentieth_of_training_for_dev(clips):
    train, dev, test = sizes(split(clips, "random-70-30"))
    assert test / 7442 == pytest.approx(0.3, abs=0.001)
    assert dev / (train + dev) == pytest.approx(0.05, abs=0.001)


def test_random_is_stratified_repeatable_and_seeded(clips):
    splits = split(clips, "random", split_seed=3)
    assert sizes(splits) == (5952, 745, 745)
    assert not set(splits["train"]["clip"]) & set(splits["test"]["clip"])
    for rows in splits.values():
        share = rows["label"][:].count(0) / len(rows)
        assert share == pytest.approx(1271 / 7442, abs=0.002)
    assert split(clips, "random", split_seed=3)["test"]["clip"][:] == splits["test"]["clip"][:]
    assert split(clips, "random", split_seed=4)["test"]["clip"][:] != splits["test"]["clip"][:]


def test_speakers_are_drawn_by_the_seed_however_unlike_they_are(clips):
    seen: Counter[str] = Counter()
    kept = []
    for index, actor in enumerate(clips["actor"]):
        seen[actor] += 1
        if int(actor) <= 1020 and seen[actor] <= 80 - 3 * (int(actor) - 1001):
            kept.append(index)
    unlike = clips.select(kept)  # 80 clips of the first, 23 of the last
    drawn = [split(unlike, "speakers", split_seed=seed)["test"] for seed in (0, 0, 1, 2, 3)]
    tested = [tuple(sorted(set(rows["actor"]))) for rows in drawn]
    assert tested[0] == tested[1] and len(set(tested)) == 4


@pytest.mark.parametrize(
    ("protocol", "fold", "message"),
    [
        (
            "leave-one-out",
            None,
            "expected a protocol out of tfds, actor-5fold, .* given, speakers, .*; got 'leave-one-out'",
        ),
        ("actor-5fold", None, "expected --fold between 1 and 5 with actor-5fold; got None"),
        ("actor-5fold", 6, "got 6"),
        ("loso", 92, "expected --fold between 1 and 91 with loso; got 92"),
    ],
)
def test_wrong_choices_are_refused(clips, protocol, fold, message):
    with pytest.raises(ValueError, match=message):
        split(clips, protocol, fold=fold)


def test_splits_without_clips_are_refused(clips):
    few = clips.filter(lambda row: row["actor"] in ("1001", "1002"))
    with pytest.raises(ValueError, match="leaves no clips for dev and test; add clips of more speakers"):
        split(few, "tfds")
    with pytest.raises(ValueError, match="too few clips for a stratified"):
        split(clips.select(range(6)), "random")
    with pytest.raises(ValueError, match="expected a column out of"):
        split(clips.remove_columns("actor"), "actor-5fold", fold=1)
    with pytest.raises(ValueError, match="expected a column 'clip' to split by; got .*; use --protocol random"):
        split(clips.remove_columns("clip"), "tfds")
    three = clips.select([clips["label"][:].index(label) for label in range(3)])
    three = three.remove_columns("actor").add_column("speaker", ["a", "b", "c"])
    with pytest.raises(ValueError, match="too few clips to split by speaker: add clips until some label has"):
        split(three, "speakers")
