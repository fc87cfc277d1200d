"""The page of the benchmarks, and what prediction does not import."""

from conftest import ROOT
from conftest import run_python

from benchmarks.report import render


def test_the_page_of_the_benchmarks_is_up_to_date():
    assert (ROOT / "docs/benchmarks.md").read_text() == render(ROOT / "results/benchmarks")


def test_prediction_and_pictures_start_without_what_only_training_needs(tmp_path):
    code = "import json, sys, ser.reporting.plots, ser.inference.torch_predict\n"
    code += "print(json.dumps(sorted({'sklearn', 'numba'} & set(sys.modules))))"
    assert run_python(code, cwd=tmp_path, path=ROOT) == [[]]
