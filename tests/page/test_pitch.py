"""The pitch that the page draws is that of the voice."""

import numpy as np
import pytest
from conftest import RATE
from conftest import speech
from conftest import voice

from ser.page.pitch import find_pitch
from ser.page.plots import plot_clip


@pytest.mark.parametrize("hertz", [90.0, 150.0, 300.0, 450.0])
@pytest.mark.parametrize("rate", [8000, RATE, 44100])
def test_a_tone_has_its_pitch_at_any_rate(hertz, rate):
    time = np.arange(rate) / rate
    tone = sum(np.sin(2 * np.pi * k * hertz * time) / k for k in range(1, 6)).astype(np.float32)
    assert find_pitch(tone, rate).median() == pytest.approx(hertz, rel=0.02)


def test_pauses_and_hiss_have_none():
    hiss = np.random.default_rng(0).standard_normal(RATE // 2).astype(np.float32) / 10
    clip = np.concatenate([voice(0.5), np.zeros(RATE // 2, np.float32), hiss])
    pitch = find_pitch(clip, RATE, start=3.0)
    assert pitch.times[0] == 3 and pitch.times[-1] == pytest.approx(4.5, abs=0.02)
    assert np.isnan(pitch.hertz[pitch.times > 3.6]).mean() > 0.95
    assert pitch.median() == pytest.approx(150, rel=0.1)
    assert find_pitch(hiss, RATE).median() is None
    assert find_pitch(np.zeros(RATE, np.float32), RATE).median() is None


def test_it_is_drawn_on_the_axis_of_frequencies():
    clip = speech(1.0)
    pitch = find_pitch(clip, RATE)
    assert 80 < pitch.median() < 110
    _, bottom = plot_clip(clip, RATE, pitch=pitch).axes
    (line,) = bottom.lines
    ticks = dict(zip([int(text.get_text()) for text in bottom.get_yticklabels()], bottom.get_yticks(), strict=True))
    assert 0 < np.nanmedian(line.get_ydata()) < ticks[250]
    assert not plot_clip(clip, RATE).axes[1].lines
