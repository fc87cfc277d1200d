"""One side of `benchmarks.features`: eGeMAPS by openSMILE, in an environment of its own.

It sums a clip up in 88 numbers, which says less of time and more of the voice than our frame features.
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

import opensmile
import soundfile

from benchmarks.turns import hand_over

SMILE = opensmile.Smile(feature_set=opensmile.FeatureSet.eGeMAPSv02, feature_level=opensmile.FeatureLevel.Functionals)


def work(paths: list[Path]) -> int:
    for path in paths:
        SMILE.process_signal(*soundfile.read(path, dtype="float32"))
    return len(paths)


def main() -> None:
    paths, processes = sorted(Path(sys.argv[1]).glob("*.wav")), int(sys.argv[2])
    shares = [paths[first::processes] for first in range(processes)]
    hand_over(version=version("opensmile"))
    with ProcessPoolExecutor(processes) as pool:
        while True:
            start = time.perf_counter()
            work(paths) if processes == 1 else list(pool.map(work, shares))
            hand_over(work_s=time.perf_counter() - start)


if __name__ == "__main__":
    main()
