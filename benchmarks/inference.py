"""What one clip of 3 s costs: latency, memory, throughput and start-up, ours against large models of transformers.

    python -m benchmarks.inference

The sides are processes of their own that take turns; all cores. Needs onnx and onnxscript.
"""

import argparse
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

from benchmarks.inference_side import BATCH
from benchmarks.inference_side import COUNTS
from benchmarks.inference_side import RATE
from benchmarks.inference_side import SECONDS
from benchmarks.inference_side import clips
from benchmarks.machine import machine
from benchmarks.machine import spread
from benchmarks.machine import write_report
from benchmarks.turns import ROOT
from benchmarks.turns import Side

OURS, THEIRS = ("cnn1d", "cnn2d"), ("wav2vec2-base", "hubert-large", "ast")
FIRST_ANSWER = """
import sys
{imports}
import soundfile
from transformers import pipeline
samples, rate = soundfile.read(sys.argv[2], dtype="float32")
pipeline("audio-classification", model=sys.argv[1])({{"array": samples, "sampling_rate": rate}})
"""


def time_classifiers(how: str, rounds: int) -> dict[str, dict]:
    """Figures of all classifiers, through `pipeline` or as networks in onnxruntime."""
    with ExitStack() as stack:
        sides, turns = {}, {}
        for name in OURS + THEIRS:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            sides[name] = stack.enter_context(Side("benchmarks.inference_side", name, how, folder))
        for _ in range(rounds):
            for name, side in sides.items():
                turns.setdefault(name, []).append(side.turn())
                print(how, name, f"{np.median(turns[name][-1]['milliseconds']):.1f} ms", flush=True)
        return {name: figures(turns[name], side.ready) | against(turns, name) for name, side in sides.items()}


def figures(turns: list[dict], ready: dict) -> dict:
    """One classifier."""
    times = np.concatenate([turn["milliseconds"] for turn in turns])
    report = {
        "p50_ms": round(float(np.quantile(times, 0.5)), 2),
        "p95_ms": round(float(np.quantile(times, 0.95)), 2),
        "clips": len(times),
        "parameters": ready["parameters"],
    }
    if "clips_per_second" in turns[0]:
        report["clips_per_second"] = spread([turn["clips_per_second"] for turn in turns])
        report["peak_mib"] = turns[-1]["peak_mib"]
    return report


def against(turns: dict[str, list[dict]], name: str) -> dict:
    """How many times longer one of them takes than each of ours, round by round."""
    if name in OURS:
        return {}
    medians = {other: [np.median(turn["milliseconds"]) for turn in turns[other]] for other in (*OURS, name)}
    return {
        "latency_ratios": {
            ours: spread([float(slow / fast) for slow, fast in zip(medians[name], medians[ours], strict=True)])
            for ours in OURS
        }
    }


def start_up(rounds: int) -> dict:
    """Seconds from the start of a process to its first answer."""
    with tempfile.TemporaryDirectory() as folder:
        AutoModelForAudioClassification.from_config(Wav2Vec2Config(num_labels=6)).save_pretrained(folder)
        Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
        sides = {"cnn2d": ("import ser", ROOT / "checkpoints/cnn2d"), "wav2vec2-base": ("", Path(folder))}
        seconds, clip = {name: [] for name in sides}, Path(folder, "clip.wav")
        soundfile.write(clip, clips(1)[0], RATE)
        for _ in range(rounds):
            for name, (imports, model) in sides.items():
                command, start = [sys.executable, "-c", FIRST_ANSWER.format(imports=imports)], time.perf_counter()
                subprocess.run([*command, model, clip], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
                seconds[name].append(time.perf_counter() - start)
    return {name: spread(values) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    report = {
        "pipeline": time_classifiers("pipeline", options.rounds),
        "onnx": time_classifiers("onnx", options.rounds),
        "start_up_s": start_up(options.rounds),
        "clip_seconds": SECONDS,
        "batch": BATCH,
        "clips_a_round": {name: many for name, (_, many) in COUNTS.items()},
        "rounds": options.rounds,
        **machine("torch", "transformers", "onnxruntime", "onnx", "numpy"),
    }
    write_report("inference", report)


if __name__ == "__main__":
    main()
