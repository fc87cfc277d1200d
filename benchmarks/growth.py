"""Time and memory of preparing training data, of prediction and of a long recording at 1, 4 and 16 times the size.

    python -m benchmarks.growth --clips DIR

Each size of each task is a process of its own; time counts from the end of its imports. All cores.
"""

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from matplotlib.figure import Figure

from benchmarks.clips import link
from benchmarks.clips import some_clips
from benchmarks.machine import RESULTS
from benchmarks.machine import machine
from benchmarks.machine import spread
from benchmarks.machine import write_report
from benchmarks.turns import ROOT
from benchmarks.turns import Side
from ser import load_audio
from ser.reporting.plots import DEV
from ser.reporting.plots import TRAINING

FACTORS = (1, 4, 16)
CLIPS, MINUTES, RATE = 200, 2, 16000  # at factor 1
UNITS = {"training data": "clips", "prediction": "clips", "long file": "minutes"}


def sources(corpus: Path, folder: Path, scale: float) -> dict[str, dict[int, Path]]:
    """What each task reads, by its size."""
    clips, recordings = {}, {}
    speech = load_audio(ROOT / "ser/examples/two-voices.ogg", sampling_rate=RATE)
    for factor in FACTORS:
        count, minutes = round(scale * CLIPS * factor), scale * MINUTES * factor
        clips[count] = link(some_clips(corpus, count), folder / f"{count}-clips")
        recordings[minutes] = folder / f"{factor}.flac"
        with soundfile.SoundFile(recordings[minutes], "w", RATE, 1) as file:
            for _ in range(round(minutes * 60 * RATE / len(speech))):
                file.write(speech)
    return {"training data": clips, "prediction": clips, "long file": recordings}


def measure(task: str, source: Path) -> dict:
    """Seconds, and memory beyond that of the imports."""
    with tempfile.TemporaryDirectory() as folder, Side("benchmarks.growth_side", task, str(source), folder) as side:
        return side.turn() | {"imports_mib": side.ready["peak_mib"]}


def grow(task: str, sizes: dict[int, Path], rounds: int) -> dict:
    """Figures of one task by size, and how time grows with it."""
    turns = {size: [] for size in sizes}
    for _ in range(rounds):
        for size, source in sizes.items():
            turns[size].append(measure(task, source))
            print(task, size, UNITS[task], f"{turns[size][-1]['seconds']:.1f} s", flush=True)
    figures = [
        {
            "size": size,
            "seconds": spread([turn["seconds"] for turn in measured]),
            "peak_mib": spread([turn["peak_mib"] for turn in measured], 0),
            "imports_mib": measured[0]["imports_mib"],
        }
        for size, measured in turns.items()
    ]
    first, *_, last = figures
    seconds = [figure["seconds"]["median"] for figure in figures]
    return {
        "unit": UNITS[task],
        "sizes": figures,
        # Seconds grow with this power of the size: 1 is linear, less where something is paid once.
        "exponent": round(float(np.polyfit([math.log(size) for size in sizes], np.log(seconds), 1)[0]), 2),
        "memory_ratio": round(last["peak_mib"]["median"] / first["peak_mib"]["median"], 2),
    }


def plot(tasks: dict[str, dict]) -> Figure:
    """Time beside memory, relative to those of the smallest size, against the size."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = ((TRAINING, "-"), (DEV, "--"), ("black", ":"))
    for (task, grown), (color, line) in zip(tasks.items(), styles, strict=True):
        seconds, memory = ([entry[name]["median"] for entry in grown["sizes"]] for name in ("seconds", "peak_mib"))
        left.loglog(FACTORS, seconds, color=color, ls=line, marker="o", label=f"{task}: exponent {grown['exponent']}")
        right.semilogx(FACTORS, memory, color=color, ls=line, marker="o", label=task)
    left.set(ylabel="seconds after the imports")
    right.set(ylabel="peak memory (MiB)", ylim=(0, None))
    for axes in (left, right):
        axes.set_xticks(FACTORS, [f"{factor}x" for factor in FACTORS])
        axes.minorticks_off()
        axes.set_xlabel("clips or minutes")
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder with CREMA-D")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes, to try things out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = sources(options.clips, Path(folder), options.scale)
        tasks = {task: grow(task, sizes, options.rounds) for task, sizes in made.items()}
    write_report("growth", {"tasks": tasks, "rounds": options.rounds, **machine("torch", "datasets", "numpy")})
    plot(tasks).savefig(RESULTS / "growth.png", dpi=110)


if __name__ == "__main__":
    main()
