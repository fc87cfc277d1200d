"""Commands whose output is not read to its end, as in `python train.py --help | head -1`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Write the output before Python exits, which would report a closed pipe as an error of its own."""
    try:
        yield
    finally:
        try:
            print(end="", flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


__all__ = ["reader_may_leave"]
