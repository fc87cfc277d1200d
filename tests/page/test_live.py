"""The answer while one speaks: steady, and nothing that a browser sends breaks it."""

import base64

import numpy as np
import pytest
from conftest import RATE
from conftest import speech

from ser.page import live


def request(waveform: np.ndarray, before=None, model: str | None = "cnn2d") -> dict:
    audio = base64.b64encode(np.int16(20000 * waveform).tobytes()).decode()
    return {"audio": audio, "model": model, "before": before}


def test_it_is_smoothed_and_says_when_nobody_speaks():
    first = live.classify_live(request(speech(3.0)))
    assert first["bars"].count('class="bar ') == 6
    second = live.classify_live(request(speech(3.0), first["memory"]))
    assert second["memory"]["scores"] == pytest.approx(first["memory"]["scores"])
    silent = live.classify_live(request(np.zeros(3 * RATE), second["memory"]))
    assert (silent["word"], silent["tone"], silent["bars"]) == ("nobody speaks", "e-none", "")
    assert silent["memory"]["scores"] is None


def test_the_answer_changes_only_when_another_leads_clearly():
    assert live.stable({"a": 0.52, "b": 0.48}, "b", 0.4) == "b"
    assert live.stable({"a": 0.62, "b": 0.38}, "b", 0.4) == "a"
    assert live.stable({"a": 0.52, "b": 0.48}, None, 0.4) == "a"
    assert live.stable({"a": 0.38, "b": 0.3}, "a", 0.4) == "a"
    assert live.stable({"a": 0.38, "b": 0.3}, None, 0.4) == "unclear"


LABELS = ("anger", "disgust", "fear", "happy", "neutral", "sad")


@pytest.mark.parametrize(
    "before",
    [
        None,
        3,
        [[]],
        {},
        {"scores": 1},
        {"scores": {"anger": 1}},
        {"scores": None, "look": 1},
        {"scores": dict.fromkeys(LABELS, [])},
        {"scores": dict.fromkeys(LABELS, "1")},
    ],
)
def test_a_memory_of_another_model_is_forgotten(before):
    fresh = live.classify_live(request(speech(1.0)))["memory"]
    assert live.classify_live(request(speech(1.0), before))["memory"] == fresh


def test_a_look_that_names_no_emotion_is_forgotten():
    first = live.classify_live(request(speech(3.0)))["memory"]
    assert live.classify_live(request(speech(3.0), first | {"look": [["fear"]]}))["memory"]["scores"]


def test_what_is_no_request_is_refused():
    for bad, reason in (
        ({"audio": "!"}, "expected base64"),
        ({"audio": "A" * 300_000}, "at most 4 seconds"),
        ({"audio": "", "model": "../x"}, "expected a model of the page"),
        ({"audio": ""}, "holds no samples"),
        ({"audio": "AAAA"}, "expected base64 of 16-bit samples"),  # three bytes
        ({"audio": ["AAAA"]}, "expected base64 of 16-bit samples"),
        ({"audio": None}, "expected base64 of 16-bit samples"),
        ({"audio": "", "model": ["cnn2d"]}, r"expected a model of the page; got \['cnn2d'\]"),
    ):
        with pytest.raises(ValueError, match=reason):
            live.classify_live({"model": "cnn2d"} | bad)
    with pytest.raises(ValueError, match="expected an object with audio and model; got "):
        live.classify_live(["audio"])
