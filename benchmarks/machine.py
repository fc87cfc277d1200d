"""The machine of a benchmark, stopwatches, and the report file."""

import functools
import json
import os
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Sequence
from importlib.metadata import version

import torch

from benchmarks.turns import ROOT
from ser.files import write_text
from ser.reporting.provenance import git_commit

RESULTS = ROOT / "results/benchmarks"


def machine(*packages: str) -> dict:
    """The code's commit, the processor, its cores, and versions of packages."""
    return {
        "git_commit": git_commit(),
        "machine": platform.machine(),
        "cpu": torch.cpu.get_capabilities().get("cpu_name"),
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in packages},
    }


def milliseconds(work: Callable[[], object], count: int) -> list[float]:
    """Durations of some work, `count` times after a warm-up."""
    work()
    times = []
    for _ in range(count):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return times


class Stopwatch:
    """Seconds spent in pieces of work, by name; time in a nested piece counts only for that piece."""

    def __init__(self):
        self.seconds = defaultdict(float)
        self.within = 0.0  # seconds in pieces within the one that runs

    def timed(self, name: str, work: Callable) -> Callable:
        """The same work, watched."""

        @functools.wraps(work)
        def watched(*args, **kwargs):
            before, self.within = self.within, 0.0
            start = time.perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                taken = time.perf_counter() - start
                self.seconds[name] += taken - self.within
                self.within = before + taken

        return watched

    def watch(self, owner: object, method: str, name: str) -> None:
        """Watch a method from now on."""
        setattr(owner, method, self.timed(name, getattr(owner, method)))

    def read(self) -> dict[str, float]:
        """Seconds of each kind since the last reading."""
        seconds, self.seconds = dict(self.seconds), defaultdict(float)
        return seconds


def spread(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Median, smallest and largest value of the rounds."""
    figures = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) for name, value in figures.items()}


def write_report(name: str, report: dict) -> None:
    """Show a report and keep it as `results/benchmarks/NAME.json`."""
    text = json.dumps(report, indent=1)
    print(text)
    write_text(RESULTS / f"{name}.json", text + "\n")
