import sys

import numpy as np
import pytest
from conftest import ROOT
from conftest import run_python

PAGE_FAULTS = """
import resource
import torch
from ser.training.cpu_memory import keep_freed_memory

def faults_of_allocating():
    for _ in range(11):
        [torch.zeros(4_000_000) for _ in range(8)]
        yield resource.getrusage(resource.RUSAGE_SELF).ru_minflt
returned = list(faults_of_allocating())
assert keep_freed_memory()
kept = list(faults_of_allocating())
print([returned[-1] - returned[0], kept[-1] - kept[0]])
"""

PEAK = """
from ser.training.cpu_memory import peak_memory

before = peak_memory()
filled = bytearray(b"1" * 2**28)
print([before, peak_memory()])
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc's allocator is tuned")
def test_freed_tensors_are_reused_instead_of_asked_for_again(tmp_path):
    returned, kept = run_python(PAGE_FAULTS, cwd=tmp_path, path=ROOT)[0]
    assert kept < returned / 4


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_peak_memory_counts_what_was_allocated(tmp_path):
    large = np.ones(2**27)  # 1 GiB in the process that starts another one, which is smaller
    before, after = run_python(PEAK, cwd=tmp_path, path=ROOT)[0]
    assert before < 1 and large.all()
    assert before + 0.2 < after < before + 8
