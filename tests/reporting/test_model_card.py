"""Cards say what the results say, for every corpus and protocol."""

import copy
import json

import pytest
from conftest import ROOT
from huggingface_hub import ModelCard

from ser.corpora.splits import PROTOCOLS
from ser.reporting.model_card import render_card

RESULTS = json.loads(next((ROOT / "results").glob("cnn2d/tfds/*/results.json")).read_text())


def changed(**fields) -> dict:
    return copy.deepcopy(RESULTS) | fields


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_is_named_for_what_it_is(protocol):
    card = render_card(changed(protocol=protocol))
    assert ("not a figure for unseen speakers" in card) == protocol.startswith("random")
    assert ("whom the model never heard" in card) == (
        protocol in ("tfds", "actor-5fold", "new-sentences", "loso", "speakers")
    )
    assert ("The figures of this model are invalid" in card) == (protocol == "leaky")


def test_what_listeners_are_compared_with_is_told_as_it_is():
    def shared(**counts) -> dict:
        return changed(leakage={"train and test": {"speakers": 0, "clips": 0, "sentences": 12} | counts})

    assert "what other actors intended, in the same sentences and the same room" in render_card(shared())
    assert "what other actors intended, in the same room" in render_card(shared(sentences=0))
    assert "what the same actors intended, in the same sentences" in render_card(shared(speakers=91))


def test_whoever_is_not_known_is_not_called_unheard():
    for protocol in ("speakers", "loso"):
        card = render_card(changed(protocol=protocol, test_actors=None))
        assert "it is not known of all who speaks" in card and "never heard" not in card


def test_the_metadata_carries_the_figures():
    data = ModelCard(render_card(changed(accuracy=0.123456))).data
    assert data["library_name"] == "transformers"
    assert data.pipeline_tag == "audio-classification"
    assert data.language == "en"
    figures = {result.metric_type: result.metric_value for result in data.eval_results}
    assert figures["accuracy"] == 0.1235
    assert figures["uar"] == round(RESULTS["uar"], 4)
    intervals = {result.metric_type: result.metric_args for result in data.eval_results}
    assert intervals["accuracy"] == {"interval_95": RESULTS["interval_95"]["accuracy"]}


def test_the_text_carries_the_figures():
    card = render_card(changed(accuracy=0.4321, git_commit="abc123", command="python train.py --recipe x"))
    assert "**43.2 % of the 1,556 test clips**" in card
    assert "abc123" in card
    assert "python train.py --recipe x" in card
    assert "{{" not in card.replace("title={{CREMA-D}", "")


def test_a_corpus_without_speakers_groups_or_votes_still_gets_a_card():
    parts = {name: part | {"actors": None} for name, part in RESULTS["parts"].items()}
    unknown = {"groups": {}, "human_single_vote_accuracy": None, "agreement_with_a_listener": None}
    results = changed(corpus="my-corpus", parts=parts, protocol="random", **unknown)
    card = render_card(results)
    assert "the speech of my-corpus" in card
    assert "CREMA-D" not in card
    assert "listeners" not in card
    assert "None" not in card


def test_a_card_says_where_its_interval_is_too_narrow():
    for narrow in (True, False):
        assert ("The interval is narrower than" in render_card(changed(interval_too_narrow=narrow))) == narrow


def test_a_card_says_whom_training_left_out():
    assert "A fifth of the training speakers (number 3 of five) was left out" in render_card(changed(held_out=3))
    assert "was left out" not in render_card(changed(held_out=None))


def test_a_card_says_that_the_dev_part_was_trained_on():
    parts = {name: part for name, part in RESULTS["parts"].items() if name != "dev"}
    card = render_card(changed(refit=True, parts=parts, best_epoch=None))
    assert "trained on the training and the dev part of that run together" in card
    assert "fitted on the dev part of the run before this one" in card
    assert "dev clips" not in card and "on the dev part 0." not in card and "best dev" not in card
    assert "of that run together" not in render_card(changed(refit=False))


def test_a_condition_that_the_recipe_was_chosen_with_is_no_untouched_test():
    figure = {"accuracy": 0.5, "change": -0.1, "change_interval_95": [-0.2, 0.0]}
    sentence = 'The recipe was chosen with "telephone band" in view'
    for recipe, condition, told in (
        ("flagship-distilled", "telephone band", True),
        ("flagship-distilled", "clean", False),
        ("cnn2d", "telephone band", False),
    ):
        card = render_card(changed(recipe=recipe), {condition: figure})
        assert f"| {condition} | 0.500 | -0.100 | -0.200 to +0.000 |" in card
        assert (sentence in card) == told


def test_a_corpus_that_the_recipe_was_chosen_with_is_no_untouched_test():
    figures = {"labels": ["anger"], "clips": 9, "accuracy": 0.5, "uar": 0.4, "confidence": 0.6}
    figures["interval_95"] = {"accuracy": [0.4, 0.6]}
    sentence = "The recipe was chosen with EmoDB in view"
    for recipe, corpus, told in (
        ("flagship-distilled", "EmoDB", True),
        ("cnn2d", "EmoDB", False),
        ("flagship-distilled", "my-clips", False),
    ):
        card = render_card(changed(recipe=recipe), None, {corpus: figures})
        assert f"| {corpus} (anger) | 9 | 0.500 | 0.400 to 0.600 | 0.400 | 0.600 |" in card
        assert (sentence in card) == told


def test_a_card_says_what_strangers_get():
    figure = {"clips": 1200, "accuracy": 0.5, "uar": 0.4, "confidence": 0.45, "plain": 0.2, "plain_right": 0.75}
    figure |= {"plain_wrong": 0.05, "recall": {"happy": 0.4, "sad": 0.6}}
    figure |= {"before": figure | {"accuracy": 0.4, "plain_right": None}}
    strangers = {"own": {"CREMA-D": figure | {"accuracy": 0.62}}, "corpora": {"URDU": figure}, "fit_only": ["ASED"]}
    strangers |= {"ordinary": figure | {"recall": {"neutral": 0.5}}, "ordinary_title": "talk", "certain_threshold": 0.6}
    strangers |= {"curve": [{"threshold": 0.6, "plain": 0.2, "right": 0.75}]}
    card = render_card(RESULTS, strangers=strangers)
    assert "| URDU | 1,200 | 0.40 → 0.50 | 0.45 → 0.45 | 0.40 → 0.40 | 0.20 → 0.20 | - → 0.75 | 0.05 → 0.05 |" in card
    assert "| talk, ordinary speech | 1,200 | 0.40 → 0.50 | 0.45 → 0.45 |  |" in card
    assert "fitted on URDU, ASED and ordinary speech (talk)" in card
    assert "From a probability of 0.60 on" in card and "75 % of them are right" in card
    assert "it names 62.0 % of the same clips" in card
    never = render_card(RESULTS, strangers=strangers | {"certain_threshold": 1.0, "own": {}})
    assert "take none of them for certain" in never and "of the same clips as intended" not in never
    assert "Strangers" not in render_card(RESULTS)
