"""The page of the benchmarks, and what prediction does not import."""

import time

import pytest
from conftest import ROOT
from conftest import run_python

from benchmarks import training
from benchmarks.machine import Stopwatch
from benchmarks.report import render
from ser.training.arguments import parse_arguments
from ser.training.checks import check_arguments


def test_the_page_of_the_benchmarks_is_up_to_date():
    assert (ROOT / "docs/benchmarks.md").read_text() == render(ROOT / "results/benchmarks")


def test_prediction_and_pictures_start_without_what_only_training_needs(tmp_path):
    code = "import json, sys, ser.reporting.plots, ser.inference.torch_predict\n"
    code += "print(json.dumps(sorted({'sklearn', 'numba'} & set(sys.modules))))"
    assert run_python(code, cwd=tmp_path, path=ROOT) == [[]]


def test_a_stopwatch_counts_work_within_other_work_once():
    stopwatch = Stopwatch()
    inner = stopwatch.timed("inner", lambda: time.sleep(0.05))
    outer = stopwatch.timed("outer", lambda: (inner(), inner(), time.sleep(0.02)))
    start = time.perf_counter()
    outer()
    taken, seconds = time.perf_counter() - start, stopwatch.read()
    assert list(seconds) == ["inner", "outer"]
    assert sum(seconds.values()) == pytest.approx(taken, abs=0.01)
    assert seconds["inner"] >= 0.1
    assert stopwatch.read() == {}


@pytest.mark.parametrize("recipe", training.SIZES)
def test_the_training_benchmark_names_recipes_that_train_from_scratch(recipe, tmp_path):
    folders = [f"--{name}_dir={tmp_path / name}" for name in ("data", "output", "results")]
    check_arguments(
        parse_arguments(["--recipe", recipe, *folders, *training.EVERYWHERE, *training.OPTIONS.get(recipe, ())])
    )
