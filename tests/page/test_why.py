"""The marked stretch is where the activation is, and where somebody speaks."""

import numpy as np
import pytest
from conftest import RATE
from conftest import voice

from ser.inference.saliency import Activation
from ser.page import why
from ser.page.pitch import find_pitch

FRAMES = 100  # of 32 ms: 3.2 s


def activation(*peaks: tuple[float, float]) -> Activation:
    """Of 3.2 s, with heights at times in seconds."""
    image = np.full((320, 4), 0.01, np.float32)
    for time, height in peaks:
        image[round(100 * time) - 20 : round(100 * time) + 20] = height
    return Activation(image, 5.0, 8.2)


def test_it_is_the_strongest_stretch_of_speech_and_never_silence():
    frames = np.zeros(FRAMES)
    frames[40:80] = 0.9  # 1.28 to 2.56 s
    begin, end = why.marked(activation((0.5, 1.0), (2.0, 0.5)), frames, 5.0)
    assert 6.2 < begin < 7.0 < end < 7.6  # the stronger peak at 0.5 s lies in silence
    assert end - begin == pytest.approx(0.64)


def test_where_nobody_speaks_nothing_is_marked():
    assert why.marked(activation((0.5, 1.0)), np.zeros(FRAMES), 5.0) is None
    assert why.marked(activation((0.5, 1.0)), np.zeros(0), 5.0) is None


def test_facts_are_those_of_the_voice():
    clip = voice(2.0, pitch=150.0)
    html = why.facts_html(clip, RATE, find_pitch(clip, RATE))
    assert "Hz" in html and "semitones" in html and html.count("<tr>") == 4
    hiss = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) / 10
    assert "too little voiced" in why.facts_html(hiss, RATE, find_pitch(hiss, RATE))
