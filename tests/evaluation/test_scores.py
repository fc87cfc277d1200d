"""Figures against sums done by hand."""

import datasets
import evaluate
import numpy as np
import pytest
from conftest import ROOT

from ser.evaluation.intervals import bootstrap_interval
from ser.evaluation.intervals import mean_interval
from ser.evaluation.scores import accuracy_by_group
from ser.evaluation.scores import agreement
from ser.evaluation.scores import human_confusion
from ser.evaluation.scores import listeners_votes
from ser.evaluation.scores import most_confused
from ser.evaluation.scores import report_on_test
from ser.evaluation.scores import score

NAMES = ["anger", "happy", "sad"]


def made_up_clips(actors: int = 12, each: int = 9) -> tuple[datasets.Dataset, np.ndarray]:
    """Clips of actors who are all named right or all named as the next emotion, half and half."""
    labels = np.tile(np.arange(3), actors * each // 3)
    actor = np.repeat(np.arange(actors), each)
    predicted = np.where(actor % 2 == 0, labels, (labels + 1) % 3)
    rows = {
        "label": labels.tolist(),
        "actor": [str(a) for a in actor],
        "sex": ["female" if a % 2 == 0 else "male" for a in actor],
        "age": [20 + 5 * int(a) for a in actor],
        "duration": [1.0 + 0.2 * int(a) for a in actor],
        **{f"votes_{name}": [3 if i == label else 1 for label in labels] for i, name in enumerate(NAMES)},
    }
    clips = datasets.Dataset.from_dict(rows)
    return clips.cast_column("label", datasets.ClassLabel(names=NAMES)), np.eye(3)[predicted] * 5


@pytest.mark.parametrize(("actors", "right", "narrow"), [(8, False, False), (7, False, True), (12, True, True)])
def test_an_interval_of_few_speakers_or_without_a_mistake_is_said_to_be_too_narrow(actors, right, narrow):
    clips, logits = made_up_clips(actors)
    report = report_on_test(clips, np.eye(3)[clips["label"][:]] if right else logits)
    assert report["interval_too_narrow"] is narrow


def test_one_speaker_drawn_again_and_again_is_no_interval():
    values = np.array([0.0, 1, -1, 0, 1] * 4)
    assert mean_interval(values, ["03"] * 20) == mean_interval(values, None) != [0.2, 0.2]


def test_unweighted_average_recall_weighs_classes_alike():
    figures = score(np.array([0] * 8 + [1] * 2), np.array([0] * 8 + [0, 1]))
    assert figures["accuracy"] == pytest.approx(0.9)
    assert figures["uar"] == pytest.approx((1 + 0.5) / 2)
    assert figures["macro_f1"] == pytest.approx((16 / 17 + 2 / 3) / 2)
    assert figures["weighted_f1"] == pytest.approx(0.8 * 16 / 17 + 0.2 * 2 / 3)


def test_a_label_that_no_clip_has_is_no_recall_and_no_warning(recwarn):
    figures = score(np.array([0, 0, 1]), np.array([0, 2, 1]))
    assert figures["uar"] == pytest.approx(0.75)
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)  # but a mistake in another's name
    assert not recwarn.list


def test_no_file_is_left_that_trainings_beside_each_other_would_lock(monkeypatch, tmp_path):
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path)
    assert score(np.array([0, 1]), np.array([0, 1]))["uar"] == 1.0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_metric_loads_as_a_local_evaluate_module():
    module = evaluate.load(str(ROOT / "ser/evaluation/metrics.py"))
    assert module.compute(predictions=[0, 1, 1], references=[0, 0, 1])["uar"] == 0.75


def test_intervals_are_over_actors_not_clips():
    clips, logits = made_up_clips()
    labels, predicted = np.asarray(clips["label"]), logits.argmax(1)
    over_actors = bootstrap_interval(labels, predicted, clips["actor"], num_labels=3)["accuracy"]
    over_clips = bootstrap_interval(labels, predicted, [str(i) for i in range(108)], num_labels=3)["accuracy"]
    assert over_actors[0] < 0.5 < over_actors[1]
    # Half of 12 actors, each all right or all wrong: a standard error of sqrt(0.25 / 12), a third of it over 108 clips.
    assert over_actors[1] - over_actors[0] == pytest.approx(4 * np.sqrt(0.25 / 12), rel=0.2)
    assert over_clips[1] - over_clips[0] == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 108), rel=0.05)


def test_most_confused_pairs_come_first():
    pairs = most_confused(np.array([[8, 2, 0], [5, 5, 0], [1, 0, 9]]), NAMES, count=2)
    assert [(pair["label"], pair["predicted"], pair["clips"], pair["share"]) for pair in pairs] == [
        ("happy", "anger", 5, 0.5),
        ("anger", "happy", 2, 0.2),
    ]


def test_groups_and_listeners():
    clips, logits = made_up_clips()
    hits = logits.argmax(1) == np.asarray(clips["label"])
    groups = accuracy_by_group(clips, hits)
    assert groups["sex"] == {
        "female": {"clips": 54, "accuracy": 1.0, "interval_95": [1.0, 1.0]},
        "male": {"clips": 54, "accuracy": 0.0, "interval_95": [0.0, 0.0]},
    }
    low, high = groups["age"]["under 30"]["interval_95"]  # of two actors, one always named right
    assert (low, high) == (0, 1)
    assert sum(figure["clips"] for figure in groups["age"].values()) == 108
    assert groups["age"]["under 30"]["clips"] == 18
    assert sum(figure["clips"] for figure in groups["duration"].values()) == 108
    matrix = human_confusion(listeners_votes(clips), np.asarray(clips["label"]))
    assert matrix.sum() == 108 * 5
    assert np.trace(matrix) / matrix.sum() == pytest.approx(3 / 5)
    fewer = clips.remove_columns("votes_sad")
    assert listeners_votes(fewer) is None
    partly = fewer.add_column("votes_sad", [None, *clips["votes_sad"][1:]])
    assert not listeners_votes(partly)[0].any()  # of a clip whose votes are not all known, none counts
    assert (listeners_votes(partly)[1:] == listeners_votes(clips)[1:]).all()
    assert report_on_test(partly, logits)["human_single_vote_accuracy"] is None  # of other clips than the model's score
    assert listeners_votes(fewer.add_column("votes_sad", [None] * len(clips))) is None


def test_bands_end_where_the_next_begins_and_a_coded_age_is_none():
    clips, logits = made_up_clips()
    hits = logits.argmax(1) == np.asarray(clips["label"])
    clips = clips.remove_columns([name for name in ("age", "duration") if name in clips.column_names])
    durations = [(1.9, 2.0, 3.0)[number % 3] for number in range(len(clips))]
    ages = [(29, 30, 999)[number % 3] for number in range(len(clips))]
    groups = accuracy_by_group(clips.add_column("duration", durations).add_column("age", ages), hits)
    assert [groups["duration"][name]["clips"] for name in ("under 2 s", "2 to 3 s", "3 s and over")] == [36] * 3
    assert [groups["age"][name]["clips"] for name in ("under 30", "30 to 44", "60 and over")] == [36] * 3
    assert "age" not in accuracy_by_group(clips.add_column("age", [-1] * len(clips)), hits)


def test_a_mean_varies_as_much_as_its_speakers_do():
    change = np.repeat([-1.0, 0.0], 50)
    assert mean_interval(change, ["a"] * 50 + ["b"] * 50) == [-1.0, 0.0]
    low, high = mean_interval(change, None)  # each clip by itself: much narrower
    assert (low, high) == pytest.approx((-0.5 - 1.96 * 0.05, -0.5 + 1.96 * 0.05), abs=0.01)


def test_agreement_counts_pairs_of_listeners():
    votes = np.array([[1, 0, 0], [2, 1, 0], [0, 0, 4]])  # the first clip has one vote only
    figures = agreement(votes, labels=np.array([2, 0, 1]), predicted=np.array([2, 1, 2]))
    assert figures["listener"] == pytest.approx((1 / 3 + 1) / 2)
    assert figures["model"] == pytest.approx((1 / 3 + 1) / 2)
    assert figures["intended"] == pytest.approx((2 / 3 + 0) / 2)


def test_the_report_adds_up():
    clips, logits = made_up_clips()
    report = report_on_test(clips, logits)
    assert report["accuracy"] == report["uar"] == pytest.approx(0.5)
    assert np.sum(report["confusion_matrix"]) == report["test_clips"] == 108
    assert report["test_actors"] == 12
    low, high = report["interval_95"]["accuracy"]
    assert report["interval_over"] == "actors" and high - low > 0.4  # over clips, it would be 0.2
    assert report["per_class"]["happy"]["recall"] == pytest.approx(0.5)
    assert np.trace(report["human_confusion_matrix"]) == 3 * 108
    without = report_on_test(clips.remove_columns("actor"), logits)
    assert (without["interval_over"], without["test_actors"]) == ("clips", None)
    assert without == report_on_test(clips.remove_columns("actor"), logits)


def test_rows_are_what_was_meant_and_columns_what_was_answered():
    labels, predicted = [0, 0, 0, 1, 2, 2], [0, 1, 1, 1, 2, 0]
    votes = np.array([[2, 1, 0]] * 3 + [[0, 4, 0]] + [[1, 0, 1]] * 2)
    rows = {"label": labels} | {f"votes_{name}": votes[:, i].tolist() for i, name in enumerate(NAMES)}
    clips = datasets.Dataset.from_dict(rows).cast_column("label", datasets.ClassLabel(names=NAMES))
    report = report_on_test(clips, np.eye(3)[predicted])
    assert report["confusion_matrix"] == [[1, 2, 0], [0, 1, 0], [1, 0, 1]]
    assert report["per_class"]["anger"]["precision"] == 1 / 2 and report["per_class"]["anger"]["recall"] == 1 / 3
    assert report["human_confusion_matrix"] == [[6, 3, 0], [0, 4, 0], [2, 0, 2]]
    assert report["human_single_vote_accuracy"] == 12 / 17  # of all votes, not the mean over emotions
