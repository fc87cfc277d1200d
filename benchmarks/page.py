"""How fast the page is: from the end of a recording to the bars in a browser, its start, half an hour of speech.

    python -m benchmarks.page

Needs Chromium and the packages of the test group. Browser and server share the machine.
"""

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx2
import numpy as np
import soundfile
import torch

from benchmarks.browser import chromium
from benchmarks.machine import machine
from benchmarks.machine import milliseconds
from benchmarks.machine import write_report
from benchmarks.server import EXAMPLES
from benchmarks.server import classify
from benchmarks.server import megabytes
from benchmarks.server import page
from benchmarks.server import upload
from benchmarks.turns import ROOT
from ser import load_audio
from ser.files import BUNDLED
from ser.inference.saliency import class_activation
from ser.inference.timeline import read_blocks
from ser.inference.voice_activity import has_speech
from ser.page import offered_models
from ser.page.uploads import readable
from ser.page.why import explain

MODEL, RATE = BUNDLED.name, 16000
RECORDINGS, ROUNDS = 15, 30
# Presses Stop; the milliseconds until the answer and its bars are there.
STOPWATCH = """
() => new Promise(resolve => {
    const key = () => document.querySelector('#answer .card:has(.bar)')?.dataset.key;
    const before = key(), start = performance.now();
    new MutationObserver(() => { if (key() && key() !== before) resolve(performance.now() - start); })
        .observe(document.querySelector('#answer'), {childList: true, subtree: true, attributes: true});
    document.querySelector('#recorder [data-part=record]').click();
})
"""
START = """
import time, torch, gradio, matplotlib.figure, librosa, silero_vad, onnxruntime, soundfile, soxr
from transformers import pipeline, AudioClassificationPipeline, PreTrainedModel, SequenceFeatureExtractor
imported = time.perf_counter()
import app
page = app.build()
page.launch(prevent_thread_lock=True, quiet=True, **app.LAUNCH)
print("seconds:", time.perf_counter() - imported)
page.close()
"""


def ready_seconds() -> float:
    """From the end of the libraries' imports to a page that answers, median of five processes."""
    command = [sys.executable, "-c", START]
    runs = [subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True) for _ in range(5)]
    return statistics.median(float(run.stdout.split("seconds:")[1].split()[0]) for run in runs)


def recording_milliseconds(url: str, wav: Path) -> list[float]:
    """From the end of each recording of about three seconds to the bars, on one page, after a first one."""
    times = []
    with chromium(wav) as window:
        tab = window.new_context(permissions=["microphone"]).new_page()
        tab.goto(url)
        for _ in range(1 + RECORDINGS):
            tab.click("#recorder [data-part=record]")
            tab.wait_for_timeout(3000)
            times.append(tab.evaluate(STOPWATCH))
            tab.wait_for_timeout(2000)  # for what explains the answer
    return times[1:]


def shares(clip: Path) -> dict[str, float]:
    """Milliseconds of each step for a clip, medians."""
    torch.set_num_threads(1)
    classifier = offered_models.load()[MODEL].classifier
    network = classifier.model
    waveform = load_audio(clip, sampling_rate=RATE)
    scores = {entry["label"]: entry["score"] for entry in classifier(waveform)}
    label = max(scores, key=scores.__getitem__)
    inputs = classifier.feature_extractor(waveform, sampling_rate=RATE, return_tensors="pt")

    def decode():
        with readable(clip) as (sound, _):
            np.concatenate(list(read_blocks(sound, RATE)))

    def answer():
        with torch.inference_mode():
            network(**inputs)

    steps = {
        "decode": decode,
        "speech": lambda: has_speech(waveform, RATE),
        "features": lambda: classifier.feature_extractor(waveform, sampling_rate=RATE, return_tensors="pt"),
        "network": answer,
        "activation": lambda: class_activation(waveform, classifier, label),
        "drawing": lambda: explain(waveform, scores, offered_models.load()[MODEL]),
    }
    return {name: round(statistics.median(milliseconds(step, ROUNDS)), 2) for name, step in steps.items()}


def half_an_hour(url: str, process, folder: Path) -> dict:
    """Seconds from the upload of 30 minutes to the answer, and the memory of the server meanwhile."""
    speech = load_audio(EXAMPLES / "two-voices.ogg", sampling_rate=RATE)
    seconds, peaks = {}, {}
    for minutes in (5, 30):
        path = folder / f"{minutes}.flac"
        soundfile.write(path, np.resize(speech, minutes * 60 * RATE), RATE)
        peak, done = [megabytes(process)], threading.Event()

        def watch(peak=peak, done=done):
            while not done.wait(0.1):
                peak.append(megabytes(process))

        watcher = threading.Thread(target=watch)
        watcher.start()
        with httpx2.Client(timeout=600) as client:
            start = time.perf_counter()
            answer = classify(client, url, upload(client, url, path), MODEL)
            seconds[minutes] = time.perf_counter() - start
        done.set()
        watcher.join()
        if "event: complete" not in answer:
            raise RuntimeError(f"the page did not answer: {answer[:500]}")
        peaks[minutes] = max(peak)
    return {
        "file_30min_s": round(seconds[30], 1),
        "file_5min_s": round(seconds[5], 1),
        "file_30min_memory_peak_mib": peaks[30],
        "file_5min_memory_peak_mib": peaks[5],
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speech = load_audio(EXAMPLES / "plain.ogg", sampling_rate=RATE)
        soundfile.write(folder / "clip.wav", speech[: 3 * RATE], RATE)
        with page() as (url, process):
            times = sorted(recording_milliseconds(url, folder / "clip.wav"))
            long = half_an_hour(url, process, folder)
        steps = shares(folder / "clip.wav")
    total = sum(steps[name] for name in ("decode", "speech", "features", "network", "drawing"))
    report = {
        "clip_3s_ms_p50": round(statistics.median(times)),
        "clip_3s_ms_max": round(times[-1]),
        "recordings": len(times),
        "ready_s": round(ready_seconds(), 2),
        **long,
        "clip_3s_steps_ms": steps,
        "clip_3s_shares": {name: round(steps[name] / total, 3) for name in steps if name != "activation"},
        "model": MODEL,
        **machine("gradio", "torch", "transformers", "numpy"),
    }
    write_report("page", report)


if __name__ == "__main__":
    main()
