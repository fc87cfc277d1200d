"""Clips per second of our features against librosa and against decoding and FFTs alone, and where our time goes.

    python -m benchmarks.features --clips DIR

All sides read the same WAV files, written beforehand at the corpus rate, so that decoding costs them the same. They
take turns on one thread.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch

from benchmarks.clips import some_clips
from benchmarks.machine import Stopwatch
from benchmarks.machine import machine
from benchmarks.machine import spread
from benchmarks.machine import write_report
from ser import SERFeatureExtractor
from ser import load_audio
from ser.models.acoustic_features_ser import FEATURES
from ser.models.acoustic_features_ser import Frames
from ser.models.acoustic_features_ser import MelFilters
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


def fourier_alone(name: str, path: Path) -> np.ndarray:
    """The floor: decoding and the short-time Fourier transform that all of ours share."""
    waveform = torch.from_numpy(load_audio(path, sampling_rate=RATE))
    window = torch.hann_window(N_FFT)
    return torch.stft(waveform, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True).numpy()


SIDES = {"ours": ours, "librosa": by_librosa, "floor": fourier_alone}


def check(name: str, paths: list[Path]) -> None:
    """What is timed against librosa must be the same features."""
    pairs = [(ours(name, path), by_librosa(name, path)) for path in paths[:20]]
    close = np.concatenate([np.isclose(*pair, rtol=1e-4, atol=1e-3).ravel() for pair in pairs])
    if close.mean() < 0.999:  # a rolloff on the edge between two bins may fall to either side
        raise ValueError(f"the two sides disagree on {name}: what is timed must be the same features")


def seconds(side: str, name: str, paths: list[Path]) -> float:
    """What one side takes for all clips."""
    start = time.perf_counter()
    for path in paths:
        SIDES[side](name, path)
    return time.perf_counter() - start


def compare(name: str, paths: list[Path], rounds: int) -> dict:
    """Clips per second of each side, and ratios to ours, over rounds in which the sides take turns."""
    taken = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side, times in taken.items():
            times.append(seconds(side, name, paths))
    return {
        "clips_per_second": {side: round(len(paths) / statistics.median(times)) for side, times in taken.items()},
        "ratios": {
            side: spread([other / mine for other, mine in zip(times, taken["ours"], strict=True)])
            for side, times in taken.items()
            if side != "ours"
        },
    }


def profile(paths: list[Path]) -> dict[str, dict[str, float]]:
    """Microseconds of each step, medians over the clips, by the set of features; the steps stay watched."""
    stopwatch, medians = Stopwatch(), {}
    decode = stopwatch.timed("decoding", load_audio)
    stopwatch.watch(torch, "stft", "Fourier transform")
    stopwatch.watch(Frames.magnitude, "func", "magnitudes")
    stopwatch.watch(MelFilters, "__call__", "mel bands")
    stopwatch.watch(Frames.block_moments, "func", "sums over bins")
    stopwatch.watch(SERFeatureExtractor, "extract", "checks and joining")
    for name, function in FEATURES.items():
        FEATURES[name] = stopwatch.timed("decibels" if name == "log_mel" else name.replace("_", " "), function)
    for name, extractor in OURS.items():
        clips = []
        for path in paths:
            extractor.extract(decode(path, sampling_rate=RATE))
            clips.append(stopwatch.read())
        medians[name] = {step: round(1e6 * statistics.median(clip[step] for clip in clips)) for step in clips[0]}
    return medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder with CREMA-D")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = some_clips(options.clips, options.count)
        paths = [folder / f"{clip.stem}.wav" for clip in clips]
        for source, path in zip(clips, paths, strict=True):
            soundfile.write(path, load_audio(source, sampling_rate=RATE), RATE)
        figures = {}
        for features in OURS:
            check(features, paths)  # which pays for what is paid once
            figures[features] = compare(features, paths, options.rounds)
            print(features, figures[features], flush=True)
        steps = profile(paths)
    report = {
        "sets": figures,
        "microseconds": steps,
        "clips": options.count,
        "rounds": options.rounds,
        **machine("numpy", "torch", "librosa", "soundfile"),
    }
    write_report("features", report)


if __name__ == "__main__":
    main()
