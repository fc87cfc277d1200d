"""Many clients at once: every answer checked, memory watched, for two minutes.

    python -m benchmarks.load

Server and clients share the machine. Each client uploads an example clip, asks, waits for the answer, asks again.
"""

import argparse
import itertools
import json
import statistics
import threading
import time

import httpx2
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    classifier = pipeline("audio-classification", model=str(ROOT / "checkpoints" / MODEL), device="cpu")
    expected = [{entry["label"]: entry["score"] for entry in classifier(str(path))} for path in CLIPS]
    with page() as (url, process):
        with httpx2.Client(timeout=120) as client:
            for _ in range(20):  # what is allocated once
                classify(client, url, upload(client, url, CLIPS[0]), MODEL)
        start, memory = time.perf_counter(), [megabytes(process)]
        clients = [Client(url, number, expected, start + options.seconds) for number in range(options.clients)]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            time.sleep(5)
            memory.append(megabytes(process))
        lasted = time.perf_counter() - start
    milliseconds = sorted(itertools.chain.from_iterable(client.milliseconds for client in clients))
    report = {
        "clients": options.clients,
        "seconds": round(lasted),
        "requests": len(milliseconds),
        "requests_per_second": round(len(milliseconds) / lasted, 1),
        "wrong": sum(client.wrong for client in clients),
        "lost": sum(client.lost for client in clients),
        "p50_ms": round(statistics.median(milliseconds)),
        "p95_ms": round(milliseconds[int(0.95 * len(milliseconds))]),
        "memory_start_mib": memory[0],
        "memory_after_30_s_mib": memory[min(6, len(memory) - 1)],
        "memory_end_mib": memory[-1],
        "memory_peak_mib": max(memory),
        "model": MODEL,
        **machine("gradio", "torch", "transformers", "numpy"),
    }
    write_report("load", report)


if __name__ == "__main__":
    main()
