"""The visitor's ordinary voice: remembered, used for their recordings but not for others', and forgotten."""

import json
import re

import gradio as gr
import numpy as np
import pytest
import soundfile
from conftest import EXAMPLES
from conftest import RATE
from conftest import speech
from test_handlers import files
from test_live import request

import app
from ser.inference.loading import labels_of
from ser.models.ordinary_voice_ser import relative_to
from ser.page import handlers
from ser.page import live
from ser.page import offered_models
from ser.page import own_voice
from ser.page import trust
from ser.page.components import AWAY
from ser.page.examples import FOLDER
from ser.page.offered_models import chosen
from ser.page.offered_models import load

MODEL = "flagship-bilingual"
TALK = EXAMPLES / "plain.ogg"
OTHER = EXAMPLES / "fast-high-and-loud.ogg"


@pytest.fixture(scope="module")
def voices() -> dict[str, list[float]]:
    return own_voice.remember(files(TALK))[0]


def test_it_is_remembered_for_each_model_that_can_use_it(voices):
    assert voices.keys() == {"flagship-bilingual", "flagship-multilingual"}
    _, note, button = own_voice.remember(files(TALK))
    assert "Your ordinary voice is remembered" in note and button.elem_classes == []
    (kept,) = re.findall(r'data-voices="([^"]*)"', note)
    assert json.loads(kept.replace("&quot;", '"')) == voices
    nothing, note, _ = own_voice.forget()
    assert nothing is None and 'data-voices="null"' in note


def test_answers_to_the_visitors_recordings_are_relative_to_it(voices):
    model = load()[MODEL]
    labels, settings = labels_of(model.classifier.model), model.classifier.model.config.ordinary_voice
    scores = {each["label"]: each["score"] for each in model.classifier(str(OTHER))}
    log = np.log([[scores[label] for label in labels]])
    share = np.exp(relative_to(np.array(voices[MODEL]), log, settings)).max()
    shown = handlers.respond(files(OTHER), MODEL, voices)
    assert f"{share:.0%}" in shown.card and "This is relative to your ordinary voice." in shown.card
    assert "(for your voice)" in shown.attempt["word"]
    before = handlers.respond(files(OTHER), MODEL, None)
    assert "relative" not in before.card
    again = handlers.respond(files(OTHER), MODEL, voices)
    other = handlers.respond(files(OTHER), MODEL, own_voice.remember(files(OTHER))[0])  # another voice
    assert shown.attempt["key"] == again.attempt["key"]
    assert len({each.attempt["key"] for each in (before, shown, other)}) == 3  # each has its entry of the history
    long = handlers.respond(files(EXAMPLES / "two-voices.ogg"), MODEL, voices)
    assert long.over_time["rows"] != handlers.respond(files(EXAMPLES / "two-voices.ogg"), MODEL, None).over_time["rows"]


def test_examples_and_models_without_a_calibration_for_it_are_not_relative(voices):
    example = next(FOLDER.glob("*.ogg"))
    assert "relative" not in handlers.respond(files(example), MODEL, voices).card
    assert "relative" not in handlers.respond(files(OTHER), "cnn2d", voices).card


def test_below_an_unclear_answer_the_page_says_what_helps(voices):
    cards = {clip: handlers.respond(files(clip), MODEL, None).card for clip in EXAMPLES.glob("*.ogg")}
    unclear = {clip for clip, card in cards.items() if "Unclear" in card}
    assert (
        unclear == {clip for clip, card in cards.items() if "More answers are clear if you first read" in card} != set()
    )
    assert "first read" not in handlers.respond(files(unclear.pop()), MODEL, voices).card
    assert all("first read" not in handlers.respond(files(clip), MODEL, None).card for clip in FOLDER.glob("*.ogg"))
    assert "first read" not in handlers.classify(str(TALK), MODEL)[0]


def test_live_answers_are_relative_to_what_the_browser_kept(voices):
    sound = speech(3.0)
    before = live.classify_live(request(sound, model=MODEL))["memory"]["scores"]
    after = live.classify_live(request(sound, model=MODEL) | {"voices": voices})["memory"]["scores"]
    assert sum(after.values()) == pytest.approx(1) and abs(after["neutral"] - before["neutral"]) > 0.01
    for bad in (
        3,
        {},
        {MODEL: None},
        {MODEL: [1.0]},
        {MODEL: ["a"] * 6},
        {MODEL: [float("nan")] * 6},
        {MODEL: [-1e308] * 6},
        {MODEL: [10**400] * 6},
    ):
        assert live.classify_live(request(sound, model=MODEL) | {"voices": bad})["memory"]["scores"] == before


def test_a_recording_without_speech_changes_nothing_and_says_so(tmp_path):
    soundfile.write(tmp_path / "hum.wav", 0.3 * np.sin(np.arange(2 * RATE)), RATE)
    kept, note, button = own_voice.remember(files(tmp_path / "hum.wav"))
    assert "Nobody seems to speak" in note and "data-voices" not in note
    assert kept == button == own_voice.remember([])[0]  # what leaves a component as it is
    assert "was deleted in the meantime" in own_voice.remember(files(tmp_path / "gone.wav"))[1]


def test_the_page_says_what_it_is_worth(voices):
    (without, relative), (before, neutral) = trust.gain_of_voice(load()[MODEL])
    assert relative > without + 0.03 and neutral > before + 0.2
    said = own_voice.introduction(MODEL)
    assert f"{relative:.0%} of answers were then right instead of {without:.0%}" in said
    assert "does not use it" not in said
    assert trust.right_on_strangers(chosen(MODEL, voices)) == pytest.approx(relative)
    assert trust.threshold(chosen(MODEL, voices)) < trust.threshold(chosen(MODEL))
    assert trust.right_when(chosen(MODEL, voices), 0.6) >= 0.7


def test_the_page_says_which_models_do_not_use_it():
    said = own_voice.introduction("cnn2d")
    assert "cnn2d does not use it" in said and MODEL in said and "In our tests" not in said


def test_without_a_model_that_can_use_it_the_page_does_not_offer_to_record_it(monkeypatch):
    assert own_voice.is_of_use()
    alone = {"cnn2d": load()["cnn2d"]}
    monkeypatch.setattr(offered_models, "load", lambda: alone)
    monkeypatch.setattr(own_voice, "load", lambda: alone)
    with gr.Blocks():
        introduction, *_ = app.voice_part("cnn2d")
    assert AWAY in introduction.parent.elem_classes
