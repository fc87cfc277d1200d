"""Clips per second of our features against librosa, transformers and openSMILE, and against the FFTs alone.

    python -m benchmarks.features --clips DIR --peers .venv-peers/bin/python

All sides read the same WAV files, written beforehand at the corpus rate, so that decoding costs them the same. Once on
one thread, and once on as many processes of one thread as there are cores.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from transformers import ASTFeatureExtractor

from benchmarks.clips import some_clips
from benchmarks.machine import machine
from benchmarks.machine import spread
from benchmarks.machine import write_report
from benchmarks.turns import Side
from ser import SERFeatureExtractor
from ser import load_audio
from ser.recipes import load_recipe

RATE, N_FFT, HOP = 16000, 1024, 256
FRAME = {"frame_length": N_FFT, "hop_length": HOP}
SPECTRUM = {"sr": RATE, "n_fft": N_FFT, "hop_length": HOP}
LOG_MEL, SEVEN = ["log_mel"], load_recipe("cnn1d").feature_extractor["features"]
OURS = {
    "log-mel (cnn2d)": SERFeatureExtractor(RATE, N_FFT, HOP, features=LOG_MEL),
    "seven frame features (cnn1d)": SERFeatureExtractor(RATE, N_FFT, HOP, features=SEVEN),
    "both": SERFeatureExtractor(RATE, N_FFT, HOP, features=LOG_MEL + SEVEN),
}
AST = ASTFeatureExtractor()


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


LIBROSA = {
    "log-mel (cnn2d)": librosa_log_mel,
    "seven frame features (cnn1d)": librosa_frame_features,
    "both": lambda y: np.hstack([librosa_log_mel(y), librosa_frame_features(y)]),
}


def ours(name: str, path: Path) -> np.ndarray:
    return OURS[name].extract(load_audio(path, sampling_rate=RATE))


def by_librosa(name: str, path: Path) -> np.ndarray:
    return LIBROSA[name](librosa.load(path, sr=None)[0])


def by_transformers(name: str, path: Path) -> np.ndarray:
    """The log-mel of the Audio Spectrogram Transformer: 128 bands, padded to 10 s."""
    return AST(load_audio(path, sampling_rate=RATE), sampling_rate=RATE)["input_values"]


def fourier_alone(name: str, path: Path) -> np.ndarray:
    """The floor: decoding and the short-time Fourier transform that all of ours share."""
    waveform = torch.from_numpy(load_audio(path, sampling_rate=RATE))
    window = torch.hann_window(N_FFT)
    return torch.stft(waveform, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True).numpy()


SIDES = {"ours": ours, "librosa": by_librosa, "transformers": by_transformers, "floor": fourier_alone}


def work(side: str, name: str, paths: list[Path]) -> int:
    for path in paths:
        SIDES[side](name, path)
    return len(paths)


def check(name: str, paths: list[Path]) -> None:
    """What is timed against librosa must be the same features."""
    pairs = [(ours(name, path), by_librosa(name, path)) for path in paths[:20]]
    close = np.concatenate([np.isclose(*pair, rtol=1e-4, atol=1e-3).ravel() for pair in pairs])
    if close.mean() < 0.999:  # a rolloff on the edge between two bins may fall to either side
        raise ValueError(f"the two sides disagree on {name}: what is timed must be the same features")


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(runs: dict[str, Callable[[], float]], clips: int, rounds: int) -> dict:
    """Clips per second of each side, and ratios to ours, over rounds in which the sides take turns."""
    for run in runs.values():
        run()  # what is paid once
    taken = {side: [] for side in runs}
    for _ in range(rounds):
        for side, run in runs.items():
            taken[side].append(run())
    return {
        "clips_per_second": {side: round(clips / statistics.median(times)) for side, times in taken.items()},
        "ratios": {
            side: spread([other / mine for other, mine in zip(times, taken["ours"], strict=True)])
            for side, times in taken.items()
            if side != "ours"
        },
    }


def opensmile_side(peers: Path, folder: Path, processes: int) -> Side | None:
    """OpenSMILE in its own environment; None where it is not installed."""
    if subprocess.run([peers, "-c", "import opensmile"], capture_output=True).returncode:
        return None
    return Side("benchmarks.features_opensmile", str(folder), str(processes), python=str(peers))


def single_thread() -> None:
    torch.set_num_threads(1)


def runs_on(processes: int, name: str, paths: list[Path], pool: ProcessPoolExecutor, smile: Side | None) -> dict:
    """How to run each side once, by its name, for one set of features."""
    shares = [paths[first::processes] for first in range(processes)]

    def run(side: str) -> float:
        if processes == 1:
            return seconds(lambda: work(side, name, paths))
        return seconds(lambda: list(pool.map(work, [side] * processes, [name] * processes, shares)))

    sides = {side: (lambda side=side: run(side)) for side in SIDES if side != "transformers" or "log-mel" in name}
    if smile is not None and name == "both":
        sides["openSMILE eGeMAPS"] = lambda: smile.turn()["work_s"]
    return sides


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder with CREMA-D")
    parser.add_argument("--peers", type=Path, required=True, help="Python with benchmarks/requirements-peers.txt")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    single_thread()
    figures, smile = {}, None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = some_clips(options.clips, options.count)
        paths = [folder / f"{clip.stem}.wav" for clip in clips]
        for source, path in zip(clips, paths, strict=True):
            soundfile.write(path, load_audio(source, sampling_rate=RATE), RATE)
        for processes in sorted({1, cpu_count()}):
            smile = opensmile_side(options.peers, folder, processes)
            with ProcessPoolExecutor(processes, get_context("spawn"), initializer=single_thread) as pool:
                for features in OURS:
                    check(features, paths)
                    runs = runs_on(processes, features, paths, pool, smile)
                    figures.setdefault(str(processes), {})[features] = compare(runs, len(paths), options.rounds)
                    print(processes, features, figures[str(processes)][features], flush=True)
            if smile is not None:
                smile.close()
    report = {
        "threads": figures,
        "opensmile": smile.ready["version"] if smile else "not installed here",
        "clips": options.count,
        "rounds": options.rounds,
        **machine("numpy", "torch", "librosa", "soundfile", "transformers"),
    }
    write_report("features", report)


if __name__ == "__main__":
    main()
