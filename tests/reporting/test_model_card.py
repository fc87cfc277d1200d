"""Cards say what the results say, for every corpus and protocol."""

import copy

import pytest
from conftest import ROOT
from huggingface_hub import ModelCard

from ser.corpora.splits import PROTOCOLS
from ser.reporting.model_card import render_card
from ser.reporting.provenance import weights_fingerprint
from ser.reporting.report_file import load_report

RESULTS = load_report(ROOT / "results/cnn2d/tfds/seed-0")


def changed(**fields) -> dict:
    return copy.deepcopy(RESULTS) | fields


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_is_named_for_what_it_is(protocol):
    card = render_card(changed(protocol=protocol))
    assert ("not a score for unseen speakers" in card) == protocol.startswith("random")
    assert ("in neither the training nor the dev split" in card) == (
        protocol in ("tfds", "actor-5fold", "new-sentences", "loso", "given", "speakers")
    )
    assert ("The scores of this model are invalid" in card) == (protocol == "leaky")


def test_the_comparison_with_listeners_says_what_the_model_was_trained_on():
    def shared(**counts) -> dict:
        return changed(leakage={"train and test": {"speakers": 0, "clips": 0, "sentences": 12} | counts})

    assert "trained on other actors with the same sentences in the same room" in render_card(shared())
    assert "trained on other actors in the same room" in render_card(shared(sentences=0))
    assert "trained on the same actors with the same sentences" in render_card(shared(speakers=91))


def test_a_given_test_split_is_called_what_its_speakers_make_it():
    for shared, words in (({"speakers": 2}, "2 of whose speakers are in another split"), ({}, "of unknown speakers")):
        leakage = dict.fromkeys(("train and dev", "train and test", "dev and test"), shared | {"sentences": 1})
        card = render_card(changed(protocol="given", leakage=leakage))
        assert f"the test split that the data brings, {words}: not a score for unseen speakers" in card


def test_unknown_speakers_are_not_called_unseen():
    for protocol in ("speakers", "loso"):
        card = render_card(changed(protocol=protocol, test_actors=None))
        assert "some of unknown speakers" in card and "in neither" not in card


def test_the_start_of_a_model_is_named_if_the_project_has_it():
    teacher = "checkpoints/teachers/flagship-distilled"
    sentence = f"The start (`--model_name_or_path`) is `{teacher}` of the project."
    assert sentence in render_card(changed(weights_before=weights_fingerprint(str(ROOT / teacher))))
    for weights in (None, "0" * 16):
        assert "--model_name_or_path" not in render_card(changed(weights_before=weights))


def test_the_metadata_has_the_scores():
    data = ModelCard(render_card(changed(accuracy=0.123456))).data
    assert data["library_name"] == "transformers"
    assert data.pipeline_tag == "audio-classification"
    assert data.language == "en"
    figures = {result.metric_type: result.metric_value for result in data.eval_results}
    assert figures["accuracy"] == 0.1235
    assert figures["uar"] == round(RESULTS["uar"], 4)
    intervals = {result.metric_type: result.metric_args for result in data.eval_results}
    assert intervals["accuracy"] == {"interval_95": RESULTS["interval_95"]["accuracy"]}


def test_the_text_has_the_scores():
    card = render_card(changed(accuracy=0.4321, git_commit="abc123", command="python train.py --recipe x"))
    assert "**43.2 % accuracy on 1,556 test clips**" in card
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
    assert "listener" not in card
    assert "None" not in card


def test_a_card_says_where_its_interval_is_too_narrow():
    for narrow in (True, False):
        assert ("The interval is too narrow" in render_card(changed(interval_too_narrow=narrow))) == narrow


def test_a_card_says_that_the_dev_split_was_trained_on():
    parts = {name: part for name, part in RESULTS["parts"].items() if name != "dev"}
    card = render_card(changed(refit=True, parts=parts, best_epoch=None))
    assert "trained on the training and dev splits together" in card
    assert "fitted on the dev split of the run before this one" in card
    assert "dev clips" not in card and "on the dev split 0." not in card and "with the best" not in card
    assert "dev splits together" not in render_card(changed(refit=False))


def test_a_card_says_what_refit_means_where_it_is_in_a_name():
    sentence = '"(refit)": trained on the training and dev splits together.'
    assert sentence in render_card(changed(fine_tuned_from="ser-flagship-compact (refit)"))
    assert sentence in render_card(changed(teachers=["ser-cnn1d", "ser-flagship (refit)"]))
    assert sentence not in render_card(changed(fine_tuned_from="user/model", teachers=["ser-cnn1d"]))


def test_a_condition_that_the_recipe_was_chosen_with_is_no_independent_test():
    figure = {"accuracy": 0.5, "change": -0.1, "change_interval_95": [-0.2, 0.0]}
    sentence = "known when the recipe was chosen: telephone band."
    for recipe, condition, told in (
        ("flagship-distilled", "telephone band", True),
        ("flagship-distilled", "clean", False),
        ("cnn2d", "telephone band", False),
    ):
        card = render_card(changed(recipe=recipe), {condition: figure})
        assert f"| {condition} | 0.500 | -0.100 | -0.200 to +0.000 |" in card
        assert (sentence in card) == told


def test_a_corpus_that_the_recipe_was_chosen_with_is_no_independent_test():
    figures = {"labels": ["anger"], "clips": 9, "accuracy": 0.5, "uar": 0.4, "confidence": 0.6}
    figures["interval_95"] = {"accuracy": [0.4, 0.6]}
    sentence = "The scores on EmoDB were known when the recipe was chosen"
    for recipe, corpus, told in (
        ("flagship-distilled", "EmoDB", True),
        ("cnn2d", "EmoDB", False),
        ("flagship-distilled", "my-clips", False),
    ):
        card = render_card(changed(recipe=recipe), None, {corpus: figures})
        assert f"| {corpus} (anger) | 9 | 0.500 | 0.400 to 0.600 | 0.400 | 0.600 |" in card
        assert (sentence in card) == told


def test_a_card_says_what_strangers_get():
    figure = {"clips": 1200, "accuracy": 0.5, "uar": 0.4, "confidence": 0.45, "certain": 0.2, "certain_right": 0.75}
    figure |= {"certain_wrong": 0.05, "recall": {"happy": 0.4, "sad": 0.6}}
    figure |= {"before": figure | {"accuracy": 0.4, "certain_right": None}}
    strangers = {"own": {"CREMA-D": figure | {"accuracy": 0.62}}, "corpora": {"URDU": figure}, "fit_only": ["ASED"]}
    neutral = {"recall": {"neutral": 0.5}}
    ordinary = figure | neutral | {"before": figure["before"] | neutral}
    strangers |= {"ordinary": ordinary, "ordinary_title": "talk", "certain_threshold": 0.6}
    strangers |= {"curve": [{"threshold": 0.6, "certain": 0.2, "right": 0.75}]}
    card = render_card(RESULTS, strangers=strangers)
    assert "| URDU | 1,200 | 0.40 → 0.50 | 0.45 → 0.45 | 0.40 → 0.40 | 0.20 → 0.20 | - → 0.75 | 0.05 → 0.05 |" in card
    assert "| talk, ordinary speech | 1,200 | 0.40 → 0.50 | 0.45 → 0.45 |  |" in card
    assert "fitted on URDU, ASED and ordinary speech (talk)" in card
    assert (
        "An answer is certain if its probability is at least 0.60" in card
        and "75 % of certain answers are right" in card
    )
    assert "accuracy on the test clips of CREMA-D is 62.0 %" in card
    never = render_card(RESULTS, strangers=strangers | {"certain_threshold": 1.0, "own": {}})
    assert "treat none of them as certain" in never and "accuracy on the same clips" not in never
    assert "Strangers" not in render_card(RESULTS) and "ordinary_voice=" not in card
    voice = {"ordinary_voice": {"1": figure | {"speakers": 9, "without": 0.4}}}
    strangers |= {"corpora": {"URDU": figure | voice}, "ordinary_voice": {"certain_threshold": 0.45}}
    card = render_card(RESULTS, strangers=strangers)
    assert 'classifier("speech.wav", ordinary_voice="ordinary.wav")' in card and "from a probability of 0.45" in card
    assert "| URDU | 1,200 | 9 | 0.40 → 0.50 | 0.20 | 0.75 | 0.05 |" in card
    chosen = "Scores on URDU were known when the recipe was chosen, so these are not independent tests."
    assert chosen in render_card(changed(recipe="flagship-bilingual"), strangers=strangers) and chosen not in card
