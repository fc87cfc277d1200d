"""What the page says is what the report says."""

import pytest

from ser.page import descriptions

REPORT = {
    "heard_before": [],
    "protocol": "tfds",
    "accuracy": 0.6,
    "interval_95": {"accuracy": [0.55, 0.65]},
    "test_clips": 1556,
    "test_actors": 19,
    "human_single_vote_accuracy": 0.38,
    "labels": ["anger", "happy", "sad"],
    "confusion_matrix": [[9, 1, 0], [4, 5, 1], [2, 0, 8]],
    "human_confusion_matrix": [[50, 30, 20], [10, 90, 0], [0, 60, 40]],
    "most_confused": [{"label": "happy", "heard_as": "anger", "share": 0.4, "clips": 4}],
    "calibration": {
        "after": {
            "bins": [
                {"confidence": 0.6, "accuracy": 0.55, "clips": 200},
                {"confidence": 0.9, "accuracy": 0.61, "clips": 5},
            ]
        }
    },
}


def test_the_sentence_names_the_emotion_and_how_far_to_trust_it():
    text = descriptions.describe_scores({"anger": 0.62, "happy": 0.3, "sad": 0.08}, REPORT)
    assert "Sounds angry, 62%" in text
    assert "Of the 200 test clips with a similar probability, it was right in 55%" in text
    assert "Of all test clips that it named angry, 27% were meant as **happy**" in text  # 4 of 15


def test_where_nobody_can_tell_whom_a_model_heard_before_nothing_is_said_of_it():
    assert "19 unseen actors" in descriptions.describe_model("m", REPORT)
    assert "unseen" not in descriptions.describe_model("m", REPORT | {"heard_before": None})


def test_an_emotion_that_nobody_voted_on_is_left_out():
    text = descriptions.describe_listeners(REPORT | {"human_confusion_matrix": [[0, 0, 0], [10, 90, 0], [0, 60, 40]]})
    assert text.endswith("they name happy in 90% and sad in 40%.")


def test_a_few_clips_say_nothing_about_trust():
    assert "as sure" not in descriptions.describe_scores({"anger": 0.9, "happy": 0.1}, REPORT)
    assert "as sure" not in descriptions.describe_scores({"anger": 0.62, "happy": 0.38}, REPORT | {"calibration": {}})


def test_a_model_that_mistakes_nothing_for_it_is_not_accused():
    report = REPORT | {"confusion_matrix": [[9, 0, 0], [0, 9, 0], [0, 0, 9]]}
    assert "mistake" not in descriptions.describe_scores({"anger": 0.9, "happy": 0.1}, report)


def test_the_mean_of_windows_is_not_compared_with_single_clips():
    text = descriptions.describe_scores({"anger": 0.62, "happy": 0.38}, REPORT, windows=13)
    assert "The mean of the 13 windows in which somebody speaks. Of" in text  # no "below": programs read it, too
    assert "as sure" not in text
    text = descriptions.describe_scores({"anger": 0.62, "happy": 0.38}, REPORT, windows=1)
    assert "From the one window in which somebody speaks" in text


def test_low_confidence_and_no_speech_are_said():
    assert "Not sure: perhaps sad (41%), perhaps happy" in descriptions.describe_scores(
        {"anger": 0.2, "happy": 0.39, "sad": 0.41}, REPORT
    )
    assert "Nobody speaks here" in descriptions.describe_scores(None, REPORT)


def test_a_model_calibrated_on_the_world_is_plain_from_its_threshold_on():
    strangers = {"certain_threshold": 0.6, "curve": [{"threshold": 0.6, "plain": 0.2, "right": 0.72}]}
    for share, beginning, ending in (
        (0.62, "## Sounds angry, 62%", "72% are right."),
        (0.55, "## Not sure: perhaps angry (55%), perhaps happy", "plainly from 60% on."),
    ):
        text = descriptions.describe_scores({"anger": share, "happy": 0.3}, REPORT, strangers)
        assert text.startswith(beginning) and text.endswith(ending)
    never = strangers | {"certain_threshold": 1.0}
    assert descriptions.describe_scores({"anger": 0.99, "happy": 0.01}, REPORT, never).startswith("## Not sure")
    assert "Sounds angry" in descriptions.describe_scores({"anger": 0.62, "happy": 0.38}, REPORT, {})


def test_models_say_how_good_they_are():
    assert descriptions.describe_model("cnn9", REPORT) == (
        "**cnn9** names the intended emotion in 60% of 1,556 test clips of 19 unseen actors "
        "(95 % interval 55% to 65%); single human listeners do so in 38% of the same clips."
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"protocol": "leaky"}, "are invalid"),
        ({"test_actors": None}, "test clips (95 %"),
        ({"protocol": "random"}, "test clips (95 %"),
    ],
)
def test_models_claim_nothing_that_was_not_tested(changes, said):
    text = descriptions.describe_model("cnn9", REPORT | changes)
    assert said in text
    assert "unseen" not in text


def test_confusions_of_model_and_people_are_told():
    assert descriptions.describe_confusion(REPORT) == "The model classifies 40% of the happy clips as anger."
    assert (
        descriptions.describe_confusion(REPORT | {"most_confused": 4 * REPORT["most_confused"]}).count("clips as") == 3
    )
    assert descriptions.describe_confusion(REPORT | {"most_confused": []}) == "It classified every test clip correctly."
    text = descriptions.describe_listeners(REPORT)
    assert "300 single votes" in text
    assert "they name happy in 90% and sad in 40%" in text


def test_windows_are_counted():
    rows = [{"emotion": emotion, "speech": emotion != "fear"} for emotion in ("sad", "anger", "anger", "fear")]
    assert descriptions.describe_windows(rows) == (
        "Most likely emotion in the 4 windows: anger in 2, sad in 1, nobody speaks in 1."
    )
