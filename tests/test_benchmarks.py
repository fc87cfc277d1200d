"""The page of the benchmarks, and pictures that are drawn faster than matplotlib and librosa would."""

import base64
import io

import librosa
import numpy as np
from conftest import RATE
from conftest import ROOT
from conftest import run_python
from conftest import voice
from PIL import Image

from benchmarks.report import render
from ser.page.components import figure_html
from ser.page.plots import plot_clip
from ser.page.plots import see_through


def test_the_page_of_the_benchmarks_is_up_to_date():
    assert (ROOT / "docs/benchmarks.md").read_text() == render(ROOT / "results/benchmarks")


def test_a_picture_on_the_page_is_the_one_that_matplotlib_saves():
    waveform, saved = voice(1.0), io.BytesIO()
    see_through(plot_clip(waveform, RATE)).savefig(saved, format="png", dpi=100)
    html = figure_html(plot_clip(waveform, RATE), "a clip")
    shown = io.BytesIO(base64.b64decode(html.split("base64,")[1].split('"')[0]))
    assert np.array_equal(np.asarray(Image.open(shown)), np.asarray(Image.open(saved)))


def test_the_frequency_axis_of_a_picture_is_that_of_librosa():
    figure = plot_clip(voice(1.0), RATE)
    centres = librosa.mel_frequencies(82, fmax=RATE / 2)[1:-1]
    assert figure.axes[1].get_yticks().tolist() == np.searchsorted(centres, (250, 500, 1000, 2000, 4000)).tolist()


def test_prediction_and_pictures_start_without_what_only_training_needs(tmp_path):
    code = "import json, sys, ser.reporting.plots, ser.inference.predict\n"
    code += "print(json.dumps(sorted({'sklearn', 'numba'} & set(sys.modules))))"
    assert run_python(code, cwd=tmp_path, path=ROOT) == [[]]
