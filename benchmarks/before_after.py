"""What the costs that a profiler found were, and are: this code against that of an earlier commit, in turns.

    python -m benchmarks.before_after

Needs a clone with its history. One thread.
"""

import argparse
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.machine import spread
from benchmarks.machine import write_report
from benchmarks.turns import ROOT
from benchmarks.turns import Side

BEFORE = "60fc820"


def unpack(commit: str, folder: Path) -> Path:
    """The code of a commit."""
    archive = subprocess.run(["git", "-C", ROOT, "archive", commit, "ser"], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folders = {"before": unpack(BEFORE, Path(name)), "after": ROOT}
        sides = {
            when: stack.enter_context(
                Side("benchmarks.before_after_side", folder=folder, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
            )
            for when, folder in folders.items()
        }
        turns = {when: [] for when in sides}
        for _ in range(options.rounds):
            for when, side in sides.items():
                turns[when].append(side.turn()["milliseconds"])
    costs = {}
    for cost in turns["after"][0]:
        before, after = ([turn[cost] for turn in turns[when]] for when in ("before", "after"))
        ratios = [slow / fast for slow, fast in zip(before, after, strict=True)]
        costs[cost] = {"before": spread(before, 1), "after": spread(after, 1), "ratio": spread(ratios)}
    report = {"before": BEFORE, "costs": costs, "rounds": options.rounds, **machine("torch", "matplotlib")}
    write_report("before_after", report)


if __name__ == "__main__":
    main()
