"""Seconds an epoch and memory of training, ours against the same networks as class projects train them.

    python -m benchmarks.training --clips DIR --peers .venv-peers/bin/python

Sides of a recipe read the same clips, train for as many epochs, and evaluate on a dev split after each. They run one
after the other, not epoch by epoch in turn: the libraries of a process that waits for a minute are swapped out, which
costs time when it continues. All cores.
"""

import argparse
import functools
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.clips import link
from benchmarks.clips import some_clips
from benchmarks.machine import machine
from benchmarks.machine import spread
from benchmarks.machine import write_report
from benchmarks.turns import Side
from ser.corpora.crema_d import EMOTIONS
from ser.corpora.crema_d import parse_name
from ser.corpora.splits import TFDS_DEV
from ser.corpora.splits import TFDS_TEST
from ser.recipes import DEFAULT_RECIPE as DEFAULT

KERAS, FP32, BF16 = "Keras", "ours, fp32", "ours, bf16"
CLIPS, MATMUL = 7442, 2048
# Clips of each split, as few as give stable results, and epochs; for the default recipe, all clips of its splits.
SIZES = {
    "mel-2d": {"train": 160, "dev": 32, "test": 32, "epochs": 4},
    "zcr-energy-1d": {"train": 480, "dev": 64, "test": 32, "epochs": 6},
    DEFAULT: {"train": 5144, "dev": 738, "test": 32, "epochs": 2},
}
SIDES = {"mel-2d": (KERAS, FP32, BF16), "zcr-energy-1d": (KERAS, FP32, BF16), DEFAULT: (BF16,)}
EVERYWHERE = ("--load_best_model_at_end", "False", "--disable_tqdm", "True", "--report_to", "none")
# Teachers are asked once, before the training; an epoch takes as long without them.
OPTIONS = {FP32: ("--bf16", "False"), BF16: ("--bf16", "True"), DEFAULT: ("--teacher_share", "0")}


def choose(corpus: Path, sizes: dict[str, int]) -> dict[str, list[Path]]:
    """Clips of the three splits; no actor is in two of them."""
    splits = {"train": [], "dev": [], "test": []}
    for path in some_clips(corpus, CLIPS):
        actor = path.name[:4]
        splits["dev" if actor in TFDS_DEV else "test" if actor in TFDS_TEST else "train"].append(path)
    return {name: paths[: sizes[name]] for name, paths in splits.items()}


def described(splits: dict[str, list[Path]]) -> dict[str, list[dict]]:
    """Path and label of each clip, by split."""

    def clip(path: Path) -> dict:
        return {"path": str(path), "label": EMOTIONS.index(parse_name(path.stem)["emotion"])}

    return {name: [clip(path) for path in paths] for name, paths in splits.items()}


def run(recipe: str, corpus: Path, peers: Path, sizes: dict[str, int]) -> dict:
    """Figures of all sides of one recipe."""
    splits, turns, sides = choose(corpus, sizes), {}, {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        task = folder / "task.json"
        task.write_text(json.dumps({"splits": described(splits), "epochs": sizes["epochs"]}))
        clips = link(sum(splits.values(), []), folder / "clips")
        common = ("--recipe", recipe, "--data_dir", str(clips), "--num_train_epochs", str(sizes["epochs"]), *EVERYWHERE)
        for side in SIDES[recipe]:
            if side == KERAS:
                start = functools.partial(Side, "benchmarks.training_keras", recipe, str(task), python=str(peers))
            else:
                more = (*OPTIONS[side], *OPTIONS.get(recipe, ()))
                for what in ("cache", "output", "results"):
                    more += (f"--{what}_dir", str(folder / side / what))
                start = functools.partial(Side, "benchmarks.training_ours", *common, *more)
            with start() as process:
                turns[side] = [process.turn() for _ in range(sizes["epochs"])]
                sides[side] = figures_of(turns[side], process.turn(), process.ready)
            print(recipe, side, [round(turn["seconds"], 1) for turn in turns[side]], flush=True)
    against = {side: ratios(turns[KERAS], turns[side]) for side in sides if side != KERAS} if KERAS in sides else {}
    return {"sizes": sizes, "sides": sides, "ratios": against}


def figures_of(turns: list[dict], end: dict, ready: dict) -> dict:
    """One side in figures."""
    later = [turn["seconds"] for turn in turns[1:]]
    figures = {
        "first_epoch_s": round(turns[0]["seconds"], 2),
        "later_epoch_s": spread(later),
        "peak_mib": turns[-1]["peak_mib"],
        "imports_mib": ready["peak_mib"],
        "parameters": end["parameters"],
        "versions": ready.get("versions"),
    }
    if "flops" in end:
        parts = {
            name: statistics.median(turn["parts"].get(name, 0.0) for turn in turns[1:]) for name in turns[1]["parts"]
        }
        total = statistics.median(later)
        figures |= {
            "workers": end["workers"],
            "worker_peak_mib": end["worker_peak_mib"] if end["workers"] else None,
            "shares": {name: round(seconds / total, 3) for name, seconds in parts.items()},
            "operations": end["operations"],
            "gflop_an_epoch": round(end["flops"] / 1e9, 1),
            "gflops_epoch": round(end["flops"] / 1e9 / total, 1),
        }
    return figures


def ratios(theirs: list[dict], ours: list[dict]) -> dict:
    """How many times longer theirs took, the first epoch and a later one, and how much more memory."""
    slow, fast = ([turn["seconds"] for turn in turns] for turns in (theirs, ours))
    later = statistics.median(slow[1:]) / statistics.median(fast[1:])
    extremes = min(slow[1:]) / max(fast[1:]), max(slow[1:]) / min(fast[1:])
    return {
        "first_epoch": round(slow[0] / fast[0], 2),
        "later_epoch": spread([extremes[0], later, extremes[1]]),
        "peak_memory": round(theirs[-1]["peak_mib"] / ours[-1]["peak_mib"], 2),
    }


def matmul_gflops(dtype: torch.dtype, size: int = MATMUL, rounds: int = 15) -> dict:
    """What the processor reaches at most: a square matrix multiplication on all cores."""
    a, b = torch.randn(2, size, size).to(dtype)
    torch.mm(a, b)
    rates = []
    for _ in range(rounds):
        start = time.perf_counter()
        torch.mm(a, b)
        rates.append(2 * size**3 / 1e9 / (time.perf_counter() - start))
    return spread(rates, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder with CREMA-D")
    parser.add_argument("--peers", type=Path, required=True, help="Python with benchmarks/requirements-peers.txt")
    parser.add_argument("--share", type=float, default=1.0, help="of the clips, to try things out")
    parser.add_argument("--epochs", type=int, help="to try things out")
    options = parser.parse_args()
    recipes = {}
    for recipe, sizes in SIZES.items():
        sizes = {name: size if name == "epochs" else round(options.share * size) for name, size in sizes.items()}
        sizes["epochs"] = options.epochs or sizes["epochs"]
        recipes[recipe] = run(recipe, options.clips, options.peers, sizes)
    report = {
        "recipes": recipes,
        "matmul_gflops": {"fp32": matmul_gflops(torch.float32), "bf16": matmul_gflops(torch.bfloat16)},
        "matmul_size": MATMUL,
        "threads": torch.get_num_threads(),
        **machine("torch", "transformers", "numpy"),
    }
    write_report("training", report)


if __name__ == "__main__":
    main()
