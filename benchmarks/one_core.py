"""What a clip of 3 s costs on one core, features included: by `pipeline`, and by one ONNX file in 32 bits or in 8.

    python -m benchmarks.one_core --clips DIR

The ways take turns within one process. In 8 bits a network is a little less exact, so its accuracy on the test split
of CREMA-D is measured too; the ranges are read off clips of the training split. Needs onnx and onnxscript.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import onnx
import onnxruntime
import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm
from transformers import PreTrainedModel
from transformers import pipeline

from benchmarks.inference_side import RATE
from benchmarks.inference_side import SECONDS
from benchmarks.inference_side import clips
from benchmarks.machine import machine
from benchmarks.machine import milliseconds
from benchmarks.machine import spread
from benchmarks.machine import write_report
from benchmarks.turns import ROOT
from ser.corpora import CORPORA
from ser.corpora.splits import speakers_of
from ser.corpora.splits import split
from ser.evaluation.intervals import mean_interval
from ser.inference.export_onnx import INPUT
from ser.inference.export_onnx import MOST_CLIPS
from ser.inference.export_onnx import export
from ser.inference.export_onnx import quantize
from ser.inference.loading import load_reported
from ser.models.audio_ser import load_audio
from ser.models.feature_extraction_ser import SERFeatureExtractor

MODELS = ("cnn2d", "flagship-distilled")
CLIPS_A_ROUND = 40


def macs(model: PreTrainedModel, extractor: SERFeatureExtractor) -> int:
    """Multiplications and additions, in pairs, of the network for one clip."""
    inputs = extractor(clips(1)[0], sampling_rate=RATE, return_tensors="pt")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(**inputs)
    return counter.get_total_flops() // 2


def onnx_classifier(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """An ONNX file on one core: `(samples,)` to probabilities `(num_labels,)`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda waveform: session.run(None, {INPUT: waveform})[0]


def accuracies(ways: dict[str, Callable], test: datasets.Dataset) -> dict:
    """Accuracy of the ONNX files on the same clips, and the change by 8 bits with its interval over actors."""
    labels, predicted = np.asarray(test["label"][:]), {name: [] for name in ways}
    for clip in tqdm(test["audio"], desc="Test split"):
        waveform = load_audio(clip, sampling_rate=RATE)
        for name, classify in ways.items():
            predicted[name].append(classify(waveform).argmax())
    hits = {name: (np.array(indices) == labels).astype(float) for name, indices in predicted.items()}
    change = hits["onnx, 8 bits"] - hits["onnx"]
    return {name: round(float(right.mean()), 4) for name, right in hits.items()} | {
        "change": round(float(change.mean()), 4),
        "change_interval_95": mean_interval(change, speakers_of(test)),
    }


def measure(name: str, corpus: str, folder: Path, rounds: int) -> dict:
    """One model."""
    model, extractor, report = load_reported(str(ROOT / "checkpoints" / name))
    splits = split(CORPORA["crema-d"].load(corpus), report["protocol"])
    some = np.random.default_rng(0).permutation(len(splits["train"]))[:MOST_CLIPS]
    graph, files = export(model, extractor), {"onnx": folder / "32.onnx", "onnx, 8 bits": folder / "8.onnx"}
    onnx.save(graph, files["onnx"])
    calibration = (load_audio(clip, sampling_rate=RATE) for clip in splits["train"].select(some)["audio"])
    quantize(graph, calibration, files["onnx, 8 bits"])
    exported = {way: onnx_classifier(path) for way, path in files.items()}
    classify = pipeline("audio-classification", model=model, feature_extractor=extractor, device="cpu")
    ways, window = {"pipeline": classify, **exported}, clips(1)[0]
    times = {way: [] for way in ways}
    for _ in range(rounds):
        for way, classifier in ways.items():
            took = milliseconds(lambda classifier=classifier: classifier(window.copy()), CLIPS_A_ROUND)
            times[way].append(float(np.median(took)))
    return {
        "parameters": model.num_parameters(),
        "macs": macs(model, extractor),
        "milliseconds": {way: spread(rounds) for way, rounds in times.items()},
        "megabytes": {way: round(path.stat().st_size / 1e6, 1) for way, path in files.items()},
        "accuracy": accuracies(exported, splits["test"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", required=True, metavar="DIR", help="folder with CREMA-D")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        models = {name: measure(name, options.clips, Path(folder), options.rounds) for name in MODELS}
    report = {"models": models, "clip_seconds": SECONDS, "clips_a_round": CLIPS_A_ROUND, "rounds": options.rounds}
    write_report("one_core", report | machine("torch", "transformers", "onnxruntime", "onnx", "numpy"))


if __name__ == "__main__":
    main()
