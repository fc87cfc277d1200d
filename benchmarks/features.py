"""Clips per second of our features against the same features made with plain librosa calls: one run, one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.features --clips DIR

Both sides read the same WAV files, written beforehand at the corpus rate, so that decoding costs both the same.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch

from ser import SERFeatureExtractor
from ser import load_audio
from ser.corpora.crema_d import CremaD
from ser.files import write_text
from ser.recipes import load_recipe

OUTPUT = Path(__file__).parent.parent / "results/benchmarks/features.json"
ROUNDS = 5
RATE, N_FFT, HOP = 16000, 1024, 256
FRAME = {"frame_length": N_FFT, "hop_length": HOP}
SPECTRUM = {"sr": RATE, "n_fft": N_FFT, "hop_length": HOP}


def librosa_log_mel(y: np.ndarray) -> np.ndarray:
    return librosa.power_to_db(librosa.feature.melspectrogram(y=y, n_mels=80, **SPECTRUM)).T


def librosa_frame_features(y: np.ndarray) -> np.ndarray:
    frames = librosa.util.frame(np.pad(y, N_FFT // 2), **FRAME)
    rows = [
        librosa.feature.zero_crossing_rate(y, **FRAME)[0],
        librosa.feature.rms(y=y, **FRAME)[0],
        frames.mean(axis=0),
        frames.std(axis=0),
        librosa.feature.spectral_centroid(y=y, **SPECTRUM)[0],
        librosa.feature.spectral_bandwidth(y=y, **SPECTRUM)[0],
        librosa.feature.spectral_rolloff(y=y, **SPECTRUM)[0],
    ]
    return np.stack(rows, axis=1)


def seconds(work: Callable[[Path], np.ndarray], paths: list[Path]) -> float:
    start = time.perf_counter()
    for path in paths:
        work(path)
    return time.perf_counter() - start


def compare(ours: Callable, theirs: Callable, paths: list[Path]) -> dict:
    """Median over rounds in which the two take turns, after a warm-up that also compares the results."""
    for path in paths[:20]:
        close = np.isclose(ours(path), theirs(path), rtol=1e-4, atol=1e-3)
        if close.mean() < 0.999:  # a rolloff on the edge between two bins may fall to either side
            raise ValueError(f"the two sides disagree on {path.name}: what is timed must be the same features")
    rounds = [(seconds(ours, paths), seconds(theirs, paths)) for _ in range(ROUNDS)]
    ratios = [slow / fast for fast, slow in rounds]
    return {
        "clips_per_second": round(len(paths) / statistics.median(fast for fast, _ in rounds)),
        "clips_per_second_librosa": round(len(paths) / statistics.median(slow for _, slow in rounds)),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_min": round(min(ratios), 2),
        "ratio_max": round(max(ratios), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder with CREMA-D")
    parser.add_argument("--count", type=int, default=300)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips = list(CremaD.find_clips(arguments.clips)[0].values())
    chosen = clips[:: max(1, len(clips) // arguments.count)][: arguments.count]
    log_mel, seven = ["log_mel"], load_recipe("cnn1d").feature_extractor["features"]
    sets = {
        "log-mel (cnn2d)": (log_mel, librosa_log_mel),
        "seven frame features (cnn1d)": (seven, librosa_frame_features),
        "both": (log_mel + seven, lambda y: np.hstack([librosa_log_mel(y), librosa_frame_features(y)])),
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{path.stem}.wav" for path in chosen]
        for source, path in zip(chosen, paths, strict=True):
            soundfile.write(path, load_audio(source, sampling_rate=RATE), RATE)
        figures = {}
        for name, (features, theirs) in sets.items():
            extractor = SERFeatureExtractor(RATE, N_FFT, HOP, features=features)
            figures[name] = compare(
                lambda path, extractor=extractor: extractor.extract(load_audio(path, sampling_rate=RATE)),
                lambda path, theirs=theirs: theirs(librosa.load(path, sr=None)[0]),
                paths,
            )
            print(name, figures[name])
    report = {
        "ratios": {name: figure["ratio"] for name, figure in figures.items()},
        "features": figures,
        "clips": len(chosen),
        "rounds": ROUNDS,
        "threads": 1,
        "machine": platform.processor() or platform.machine(),
        "cpu": torch.cpu.get_capabilities().get("cpu_name"),
        "versions": {name: version(name) for name in ("numpy", "torch", "librosa", "soundfile")},
    }
    write_text(OUTPUT, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
