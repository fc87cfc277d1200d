"""What answers cost: one clip on one core, many clips on 1, 2, 4, ... cores, and the start, beside wav2vec2-base.

    python -m benchmarks.inference --clips DIR

The sides of one clip are processes of their own that take turns. Needs onnx and onnxscript.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import soundfile
from transformers import AutoModelForAudioClassification
from transformers import Wav2Vec2Config
from transformers import Wav2Vec2FeatureExtractor

from benchmarks.clips import link
from benchmarks.clips import some_clips
from benchmarks.inference_side import PEER
from benchmarks.inference_side import RATE
from benchmarks.inference_side import SECONDS
from benchmarks.inference_side import clips
from benchmarks.machine import machine
from benchmarks.machine import spread
from benchmarks.machine import write_report
from benchmarks.turns import ROOT
from benchmarks.turns import Side
from ser.files import BUNDLED

DEFAULT = BUNDLED.name
SIDES = ((DEFAULT, "pipeline"), (DEFAULT, "onnx"), ("cnn2d", "pipeline"), ("cnn1d", "pipeline"), (PEER, "pipeline"))
ONE_CORE = {"OMP_NUM_THREADS": "1"}
MANY = 1488  # clips
FIRST_ANSWER = """
import sys, soundfile
from transformers import pipeline
samples, rate = soundfile.read(sys.argv[2], dtype="float32")
pipeline("audio-classification", model=sys.argv[1])({"array": samples, "sampling_rate": rate})
"""


def one_clip(rounds: int) -> dict[str, dict]:
    """Figures of each side on one core."""
    with ExitStack() as stack:
        sides = {side: stack.enter_context(Side("benchmarks.inference_side", *side, **ONE_CORE)) for side in SIDES}
        turns: dict[tuple[str, str], list[dict]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side, process in sides.items():
                turns[side].append(process.turn())
                print(*side, f"{np.median(turns[side][-1]['milliseconds']):.1f} ms", flush=True)
        slow = [np.median(turn["milliseconds"]) for turn in turns[PEER, "pipeline"]]
        return {" ".join(side): figures(turns[side], process.ready, slow) for side, process in sides.items()}


def figures(turns: list[dict], ready: dict, slow: list[float]) -> dict:
    """One side, and how many times longer the large model takes, round by round."""
    times = np.concatenate([turn["milliseconds"] for turn in turns])
    report = {"p50_ms": round(float(np.median(times)), 2), "p95_ms": round(float(np.quantile(times, 0.95)), 2)}
    report |= {"clips": len(times), "peak_mib": turns[-1]["peak_mib"]}
    report["ratio"] = spread([one / np.median(turn["milliseconds"]) for one, turn in zip(slow, turns, strict=True)], 1)
    if "macs" in ready:
        limits = [2 * ready["macs"] / turn["gflops"] / 1e6 for turn in turns]  # if all were one product of matrices
        report |= {"parameters": ready["parameters"], "macs": ready["macs"], "limit_ms": spread(limits)}
        report["clips_per_second"] = spread([turn["clips_per_second"] for turn in turns], 1)
    return report


def timed(command: list[str], cores: int | None = None) -> float:
    """Seconds of a command that writes the table `OUTPUT`, on the first so many cores."""
    with tempfile.TemporaryDirectory() as folder:
        words = [word.replace("OUTPUT", f"{folder}/table.parquet") for word in command]
        pin = (lambda: os.sched_setaffinity(0, range(cores))) if cores else None  # noqa: PLW1509
        start = time.perf_counter()
        subprocess.run(
            words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, preexec_fn=pin
        )
        return time.perf_counter() - start


def predict(source: Path, *more: str) -> list[str]:
    """The command."""
    return [sys.executable, "-m", "ser", "predict", str(source), *more, "--output", "OUTPUT"]


def start_up(rounds: int) -> dict:
    """Seconds from the start of a process to its first answer."""
    with tempfile.TemporaryDirectory() as folder:
        AutoModelForAudioClassification.from_config(Wav2Vec2Config(num_labels=6)).save_pretrained(folder)
        Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
        clip = Path(folder, "clip.wav")
        soundfile.write(clip, clips(1)[0], RATE)
        sides = {
            "ser predict": predict(clip),
            "ser predict --backend onnx": predict(clip, "--backend", "onnx"),
            PEER: [sys.executable, "-c", FIRST_ANSWER, folder, str(clip)],
        }
        timed(sides["ser predict --backend onnx"])  # makes the graph
        seconds = {name: [] for name in sides}
        for _ in range(rounds):
            for name, command in sides.items():
                seconds[name].append(timed(command))
    return {name: spread(values) for name, values in seconds.items()}


def many_clips(corpus: Path, rounds: int, count: int) -> dict:
    """Clips a second of `ser predict` by cores, its start left out."""
    with tempfile.TemporaryDirectory() as folder:
        source = link(some_clips(corpus, count), Path(folder, "clips"))
        one = next(source.iterdir())
        cores = [number for number in (1, 2, 4, 8, 16, 32) if number <= (os.cpu_count() or 1)]
        rates = {number: [] for number in cores}
        for _ in range(rounds):
            for number in cores:
                seconds = timed(predict(source), number) - timed(predict(one), number)
                rates[number].append((count - 1) / seconds)
                print(number, "cores", f"{rates[number][-1]:.0f} clips/s", flush=True)
    return {str(number): spread(values, 0) for number, values in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder with CREMA-D")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--many", type=int, default=MANY, help="clips of the table, to try things out with fewer")
    options = parser.parse_args()
    report = {
        "one_core": one_clip(options.rounds),
        "many_clips_per_second": many_clips(options.clips, min(options.rounds, 3), options.many),
        "many": options.many,
        "start_up_s": start_up(options.rounds),
        "clip_seconds": SECONDS,
        "rounds": options.rounds,
        **machine("torch", "transformers", "onnxruntime", "numpy"),
    }
    write_report("inference", report)


if __name__ == "__main__":
    main()
