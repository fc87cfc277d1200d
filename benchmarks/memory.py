"""Memory that each recipe needs to train on the CPU.

python -m benchmarks.memory --clips DIR
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.machine import machine
from benchmarks.machine import write_report
from benchmarks.turns import ROOT
from ser.files import read_json
from ser.recipes import load_recipe
from ser.recipes import recipe_names
from ser.reporting.report_file import REPORT

SHARE = 0.05  # of the clips
GIB = 2**30


def command(recipe: str, corpus: Path, folder: Path) -> Sequence[str]:
    """The command of one short training on the CPU."""
    options = {"recipe": recipe, "data_dir": corpus, "share_of_clips": SHARE, "num_train_epochs": 1}
    options |= {"use_cpu": True, "cache_dir": folder, "output_dir": folder / "run", "results_dir": folder}
    options |= {"teacher_share": 0} if load_recipe(recipe).has_teachers else {}  # they were trained on other splits
    return [sys.executable, str(ROOT / "train.py"), *(f"--{name}={value}" for name, value in options.items())]


def measure(recipe: str, corpus: Path) -> dict[str, float]:
    """GiB of the process, and those of the workers that load its data."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command(recipe, corpus, Path(folder)))
        workers = 0
        while process.poll() is None:
            workers = max(workers, sum(own_memory(child) for child in psutil.Process(process.pid).children()))
            time.sleep(0.5)
        if process.returncode:
            sys.exit(f"training {recipe} failed: {process.args}")
        (report,) = Path(folder).glob(f"*/*/*/{REPORT}")
        peak = read_json(report)["peak_memory_gib"]
    return {"peak_gib": peak, "workers_gib": round(workers / GIB, 2)}


def own_memory(process: psutil.Process) -> int:
    """Bytes that a process shares with no other; 0 if it is gone."""
    try:
        return process.memory_full_info().uss
    except psutil.NoSuchProcess:
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder with CREMA-D")
    options = parser.parse_args()
    recipes = {}
    for recipe in recipe_names():
        if load_recipe(recipe).corpus == "crema-d":
            recipes[recipe] = measure(recipe, options.clips)
            print(recipe, recipes[recipe], flush=True)
    write_report("memory", {"recipes": recipes, "share_of_clips": SHARE, **machine("torch", "transformers", "numpy")})


if __name__ == "__main__":
    main()
