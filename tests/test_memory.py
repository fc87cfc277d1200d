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

RESIDENT = """
import psutil, torch
from ser.memory import hand_back_freed_memory, keep_freed_memory

keep_freed_memory()
tensors = [torch.ones(4_000_000) for _ in range(16)]
last = torch.ones(10)  # above the gap
del tensors
kept = psutil.Process().memory_info().rss
assert hand_back_freed_memory()
print([kept, psutil.Process().memory_info().rss])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc's allocator is tuned")
def test_freed_tensors_are_reused_instead_of_asked_for_again(tmp_path):
    faults = {how: run_python(PAGE_FAULTS, how, cwd=tmp_path, path=ROOT)[0][0] for how in ("returned", "kept")}
    assert faults["kept"] < faults["returned"] / 4


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc's allocator is tuned")
def test_what_is_kept_can_be_handed_back(tmp_path):
    kept, handed_back = run_python(RESIDENT, cwd=tmp_path, path=ROOT)[0]
    assert handed_back < kept - 200 * 2**20


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_peak_memory_counts_what_was_allocated():
    before = peak_memory()
    filled = bytearray(b"1" * 2**28)
    assert before + 0.2 < peak_memory() < before + 8 and len(filled) == 2**28
