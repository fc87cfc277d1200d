"""What is stated of a recording, and how far it is to be trusted."""

import json
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from ser.page import answers
from ser.page import trust
from ser.page.offered_models import OfferedModel

SURE = {"anger": 0.62, "happy": 0.3, "sad": 0.08}
STRANGERS = {
    "corpora": {"one": {"accuracy": 0.4}, "two": {"accuracy": 0.6}},
    "ordinary": {"certain_wrong": 0.05},
    "curve": [{"threshold": 0.4, "certain": 0.6, "right": 0.55}, {"threshold": 0.6, "certain": 0.3, "right": 0.72}],
}


@pytest.fixture
def model(tmp_path):
    """Makes a model with a threshold of plain statements, and with what was measured of it."""

    def make(threshold: float | None = None, **files: dict) -> OfferedModel:
        for name, content in files.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        config = SimpleNamespace(certain_threshold=threshold)
        return OfferedModel(SimpleNamespace(model=SimpleNamespace(config=config)), {}, tmp_path)

    return make


def test_a_plain_answer_says_how_often_such_answers_were_right(model):
    said = answers.decide(SURE, model(0.6, strangers={"strangers": STRANGERS}))
    assert said[:3] == ("anger", "angry", 0.62)
    assert said.details == [
        "Runner-up: happy, 30%.",
        "In our tests on other people's recordings, such answers were right in 72% of cases.",
    ]


def test_an_unsure_answer_is_unclear_and_names_two(model):
    said = answers.decide(SURE, model(0.65))
    assert (said.look, said.words) == ("unclear", "unclear: angry or happy")
    assert answers.decide(SURE, model()).look == "anger"  # models that do not say are plain from a half on


def test_where_nobody_speaks_there_is_no_emotion(model):
    said = answers.decide(None, model())
    assert (said.look, said.words) == ("none", "no speech")
    assert '<div class="bar' not in answers.card_html(said, None)


def test_without_a_calibration_the_scores_on_other_corpora_are_stated(model):
    assert "not tested" in answers.decide(SURE, model()).details[-1]
    assert (
        "right in 58%"
        in answers.decide(SURE, model(cross_corpus={"corpora": {"EmoDB": {"accuracy": 0.58}}})).details[-1]
    )


def test_what_is_known_of_strangers_is_read_from_one_place(model):
    known = model(strangers={"strangers": STRANGERS})
    assert trust.right_on_strangers(known) == pytest.approx(0.5)
    assert trust.ordinary_speech(known) == 0.05
    assert trust.right_when(known, 0.3) is None and trust.right_when(known, 0.5) == 0.55
    rare = {"threshold": 0.9, "certain": 0.001, "right": 1.0}
    surest = model(strangers={"strangers": STRANGERS | {"curve": [*STRANGERS["curve"], rare]}})
    assert trust.right_when(surest, 0.95) == 0.72  # of too few clips to say more
    assert trust.on_strangers(model()._replace(folder=known.folder / "none")) == {}


def test_bars_have_one_order_whatever_their_lengths(model):
    for scores in (SURE, dict(reversed(SURE.items()))):
        html = answers.bars_html(scores)
        assert html.index("e-anger") < html.index("e-happy") < html.index("e-sad")


def test_labels_of_any_model_are_shown_as_text_and_have_a_look(model):
    scores = {"<script>": 0.7, "boredom": 0.2, "happiness": 0.1}
    said = answers.decide(scores, model())
    html = answers.card_html(said, scores)
    assert "<script>" not in html and "e-other" in html and "e-happy" in html
    ElementTree.fromstring(answers.picture_svg(said, scores))  # noqa: S314 - ours
