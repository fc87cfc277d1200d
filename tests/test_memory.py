import sys

import pytest
from conftest import ROOT
from conftest import run_python

from ser.memory import peak_memory

PAGE_FAULTS = """
import resource, sys
import torch
from ser.memory import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
def allocate():
    return [torch.zeros(4_000_000) for _ in range(8)]
allocate()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    allocate()
print([resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc's allocator is tuned")
def test_freed_tensors_are_reused_instead_of_asked_for_again(tmp_path):
    faults = {how: run_python(PAGE_FAULTS, how, cwd=tmp_path, path=ROOT)[0][0] for how in ("returned", "kept")}
    assert faults["kept"] < faults["returned"] / 4


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_peak_memory_counts_what_was_allocated():
    before = peak_memory()
    filled = bytearray(b"1" * 2**28)
    assert before + 0.2 < peak_memory() < before + 8 and len(filled) == 2**28
