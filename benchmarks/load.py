"""One visitor of the page, ten and fifty at once: every answer checked, memory watched.

    python -m benchmarks.load

Server and visitors share the machine. Each visitor uploads an example clip, asks, waits for the answer, asks again.
"""

import argparse
import itertools
import json
import statistics
import threading
import time

import httpx2
import psutil
from transformers import pipeline

from benchmarks.machine import machine
from benchmarks.machine import write_report
from benchmarks.server import EXAMPLES
from benchmarks.server import classify
from benchmarks.server import megabytes
from benchmarks.server import page
from benchmarks.server import upload
from benchmarks.turns import ROOT
from ser.files import BUNDLED

MODEL = BUNDLED.name
CLIPS = sorted(EXAMPLES.glob("[!t]*.ogg"))
TOLERANCE = 2e-3  # of a probability
VISITORS = (1, 10, 50)


class Client(threading.Thread):
    """Asks until the time is over, and counts."""

    def __init__(self, url: str, number: int, expected: list[dict], end: float):
        super().__init__()
        self.url, self.number, self.expected, self.end = url, number, expected, end
        self.milliseconds, self.wrong, self.lost = [], 0, 0

    def run(self):
        """Until the time is over."""
        with httpx2.Client(timeout=120) as client:
            for turn in itertools.count(self.number):
                if time.perf_counter() > self.end:
                    return
                which, start = turn % len(CLIPS), time.perf_counter()
                try:
                    answer = classify(client, self.url, upload(client, self.url, CLIPS[which]), MODEL)
                    self.wrong += not self.right(answer, self.expected[which])
                except (httpx2.HTTPError, ValueError):
                    self.lost += 1
                self.milliseconds.append(1000 * (time.perf_counter() - start))

    @staticmethod
    def right(answer: str, expected: dict) -> bool:
        """Whether an answer has the right probability of each emotion."""
        if "event: complete" not in answer:
            raise ValueError(answer)
        _, bars, _ = json.loads(answer.split("data: ")[-1])
        scores = {entry["label"]: entry["confidence"] for entry in bars["confidences"]}
        return all(abs(scores[label] - share) < TOLERANCE for label, share in expected.items())


def visit(url: str, server: psutil.Process, expected: list[dict], visitors: int, seconds: float) -> dict:
    """Figures of so many visitors at once."""
    start, peak = time.perf_counter(), megabytes(server)
    clients = [Client(url, number, expected, start + seconds) for number in range(visitors)]
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        time.sleep(0.5)
        peak = max(peak, megabytes(server))
    lasted = time.perf_counter() - start
    milliseconds = sorted(itertools.chain.from_iterable(client.milliseconds for client in clients))
    return {
        "requests": len(milliseconds),
        "requests_per_second": round(len(milliseconds) / lasted, 1),
        "wrong": sum(client.wrong for client in clients),
        "lost": sum(client.lost for client in clients),
        "p50_ms": round(statistics.median(milliseconds)),
        "p95_ms": round(milliseconds[int(0.95 * len(milliseconds))]),
        "memory_mib": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="of each number of visitors")
    options = parser.parse_args()
    classifier = pipeline("audio-classification", model=str(ROOT / "checkpoints" / MODEL), device="cpu")
    expected = [{entry["label"]: entry["score"] for entry in classifier(str(path))} for path in CLIPS]
    with page() as (url, process):
        with httpx2.Client(timeout=120) as client:
            for _ in range(20):  # what is allocated once
                classify(client, url, upload(client, url, CLIPS[0]), MODEL)
        visitors = {str(number): visit(url, process, expected, number, options.seconds) for number in VISITORS}
    report = {
        "visitors": visitors,
        "seconds": options.seconds,
        "model": MODEL,
        **machine("gradio", "torch", "transformers", "numpy"),
    }
    write_report("load", report)


if __name__ == "__main__":
    main()
