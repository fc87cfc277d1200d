"""One side of `benchmarks.before_after`: it measures whichever version of `ser` stands in its folder."""

import statistics
import subprocess
import sys
import time

import torch

from benchmarks.turns import hand_over
from ser import load_audio
from ser.page.components import figure_html
from ser.page.plots import plot_clip

CLIP, RATE, PICTURES = "ser/examples/plain.ogg", 16000, 15
FIRST_PICTURE = """
import time, torch, ser
from ser.page.plots import plot_clip
torch.set_num_threads(1)
sound = ser.load_audio("ser/examples/plain.ogg", sampling_rate=16000)
start = time.perf_counter()
plot_clip(sound, 16000)
print("seconds:", time.perf_counter() - start)
"""


def picture() -> float:
    """Milliseconds of a clip's picture, as the page shows it."""
    waveform, times = load_audio(CLIP, sampling_rate=RATE)[: 3 * RATE], []
    for _ in range(PICTURES):
        start = time.perf_counter()
        figure_html(plot_clip(waveform, RATE), "")
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def first_picture() -> float:
    """Milliseconds of the first picture of a process."""
    done = subprocess.run([sys.executable, "-c", FIRST_PICTURE], capture_output=True, text=True, check=True)
    return 1000 * float(done.stdout.split("seconds:")[1])


def predict_starts() -> float:
    """Milliseconds until `python -m ser predict` has read its command line."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "ser", "predict", "--help"], capture_output=True, check=True)
    return 1000 * (time.perf_counter() - start)


COSTS = {
    "picture of a clip of 3 s": picture,
    "first picture of a process": first_picture,
    "start of `ser predict`": predict_starts,
}


def main() -> None:
    torch.set_num_threads(1)
    picture()
    hand_over()
    while True:
        hand_over(milliseconds={name: cost() for name, cost in COSTS.items()})


if __name__ == "__main__":
    main()
