"""How fast the page is: from the end of a recording to the bars in a browser, and half an hour of speech.

    python -m benchmarks.page

Needs Chromium and the packages of the test group. Browser and server share the machine.
"""

import statistics
import tempfile
import time
from pathlib import Path

import httpx2
import numpy as np
import soundfile

from benchmarks.browser import chromium
from benchmarks.machine import machine
from benchmarks.machine import write_report
from benchmarks.server import EXAMPLES
from benchmarks.server import classify
from benchmarks.server import page
from benchmarks.server import upload
from ser import load_audio
from ser.files import BUNDLED

MODEL, RATE = BUNDLED.name, 16000
RECORDINGS = 15
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


def half_an_hour(url: str, folder: Path) -> float:
    """Seconds from the upload of 30 minutes to the answer."""
    speech, path = load_audio(EXAMPLES / "two-voices.ogg", sampling_rate=RATE), folder / "long.flac"
    soundfile.write(path, np.resize(speech, 30 * 60 * RATE), RATE)
    with httpx2.Client(timeout=600) as client:
        start = time.perf_counter()
        answer = classify(client, url, upload(client, url, path), MODEL)
        seconds = time.perf_counter() - start
    if "event: complete" not in answer:
        raise RuntimeError(f"the page did not answer: {answer[:500]}")
    return seconds


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speech = load_audio(EXAMPLES / "plain.ogg", sampling_rate=RATE)
        soundfile.write(folder / "clip.wav", speech[: 3 * RATE], RATE)
        with page() as (url, _):
            times = sorted(recording_milliseconds(url, folder / "clip.wav"))
            long = half_an_hour(url, folder)
    report = {
        "clip_3s_ms_p50": round(statistics.median(times)),
        "clip_3s_ms_max": round(times[-1]),
        "recordings": len(times),
        "file_30min_s": round(long, 1),
        "model": MODEL,
        **machine("gradio", "torch", "transformers", "numpy"),
    }
    write_report("page", report)


if __name__ == "__main__":
    main()
