"""Every recipe in miniature, and what a variant or the command line changes of it."""

import dataclasses

import pytest
from conftest import voice
from conftest import write_corpus

from ser.corpora.crema_d import EMOTIONS
from ser.recipes import load_recipe
from ser.recipes import recipe_names
from ser.training.arguments import parse_arguments
from ser.training.model_setup import build_extractor
from ser.training.model_setup import build_model
from ser.training.setup import prepare


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_builds_and_classifies_a_clip(name, tmp_path):
    write_corpus(tmp_path / "clips", ["1001_DFA_ANG_XX", "1010_DFA_HAP_XX", "1015_DFA_SAD_XX"])
    arguments = ["--recipe", name, "--data_dir", str(tmp_path / "clips"), "--cache_dir", str(tmp_path)]
    run = prepare(parse_arguments([*arguments, "--corpus", "crema-d", "--protocol", "tfds", "--start_share", "0"]))
    assert run.model.config.num_labels == 6
    clip = run.extractor(voice(2.0, rate=run.extractor.sampling_rate), run.extractor.sampling_rate, "pt")
    assert run.model.eval()(**clip).logits.shape == (1, 6)


@pytest.mark.parametrize(
    ("name", "parameters"), [("zcr-energy-1d", 587_526 - 2 * 960), ("mel-2d", 1_620_102 - 2 * 960)]
)
def test_the_published_networks_have_their_published_size(name, parameters):
    """Without the running mean and variance of 960 channels, which Keras counts too."""
    recipe = load_recipe(name)
    model = build_model(recipe, {}, build_extractor(recipe, {}), EMOTIONS)
    assert model.num_parameters() == parameters


def test_a_variant_is_one_change_of_its_recipe_and_named():
    plain, votes = (parse_arguments(["--recipe", "flagship", *more]) for more in ([], ["--variant", "votes"]))
    assert (plain.augmentation.vote_share, votes.augmentation.vote_share) == (0.0, 0.2)
    assert votes.augmentation == dataclasses.replace(plain.augmentation, vote_share=0.2)
    assert votes.name == "flagship/tfds/votes-seed-0"
    assert votes.data.command == "python train.py --recipe flagship --variant votes"
    with pytest.raises(ValueError, match="expected --variant out of none of cnn1d; got 'votes'"):
        parse_arguments(["--recipe", "cnn1d", "--variant", "votes"])


@pytest.mark.parametrize("name", load_recipe("flagship").variants)
def test_every_variant_builds(name):
    recipe = load_recipe("flagship", name)
    assert build_model(recipe, {}, build_extractor(recipe, {}), EMOTIONS).num_parameters() < 2_000_000


def test_another_schedule_leaves_the_settings_of_the_one_in_the_recipe():
    assert "factor" in parse_arguments(["--recipe", "class-1d"]).training.lr_scheduler_kwargs
    training = parse_arguments(["--recipe", "class-1d", "--lr_scheduler_type", "cosine"]).training
    assert not training.lr_scheduler_kwargs
    given = ["--lr_scheduler_type", "cosine_with_restarts", "--lr_scheduler_kwargs", '{"num_cycles": 2}']
    assert parse_arguments(["--recipe", "class-1d", *given]).training.lr_scheduler_kwargs == {"num_cycles": 2}


def test_the_command_line_overrides_the_recipe():
    base = ["--recipe", "cnn2d", "--data_dir", "x"]
    plain = parse_arguments(base)
    assert (plain.augmentation.mixup_beta, plain.training.num_train_epochs) == (0.3, 50)
    changed = parse_arguments([*base, "--mixup_beta", "0", "--num_train_epochs", "7", "--bf16", "False", "--use_cpu"])
    training = changed.training
    assert (changed.augmentation.mixup_beta, training.num_train_epochs, training.bf16) == (0, 7, False)
    assert training.output_dir == "runs/cnn2d/tfds/seed-0"


def test_half_precision_that_is_asked_for_takes_the_place_of_the_default_one(monkeypatch):
    monkeypatch.setattr("ser.training.arguments.has_bf16", lambda use_cpu: True)
    plain = parse_arguments(["--recipe", "cnn2d"]).training
    assert (plain.bf16, plain.fp16) == (True, False)
    for words in (["--fp16", "True"], ["--fp16"], ["--fp16=true"]):
        training = parse_arguments(["--recipe", "cnn2d", *words]).training
        assert (training.bf16, training.fp16) == (False, True)
