"""Sides of a comparison as processes that take turns, so that each has its own memory and noise affects all alike.

A side calls `hand_over` with what it has to report, and goes on when it is its turn again. Standard library only: some
sides run in an environment of their own.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
MARK = "report: "


def hand_over(**report) -> None:
    """Called by a side: report results, wait for the next turn, and end if there is none."""
    print(MARK + json.dumps(report | {"peak_mib": peak_mib()}), flush=True)
    if not sys.stdin.readline():
        sys.exit()


def peak_mib() -> int:
    """Largest resident size so far of this process, or of one that it started and that has ended."""
    sizes = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(max(sizes) / 2**10)


class Side:
    """A process that takes turns.

    Args:
        module: To run with `python -m`.
        arguments: Its command line.
        python: The interpreter, if not this one.
        folder: Where it runs, if not here.
        environment: More environment variables.
    """

    def __init__(
        self, module: str, *arguments: str, python: str = sys.executable, folder: Path = ROOT, **environment: str
    ):
        self.process = subprocess.Popen(
            [python, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            env=os.environ | environment,
            text=True,
        )
        self.ready = self._read()

    def turn(self) -> dict:
        """What the side reports after its next turn, and the `seconds` that it took."""
        start = time.perf_counter()
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        report = self._read()
        return {"seconds": time.perf_counter() - start} | report

    def _read(self) -> dict:
        for line in self.process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        raise RuntimeError(f"{' '.join(map(str, self.process.args))} stopped with status {self.process.wait()}")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self) -> None:
        """Tell the side that there is no other turn, and wait for its end."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
