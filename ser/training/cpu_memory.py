"""Memory of this process: freed for the next batch rather than the kernel, and how much was needed at most."""

import ctypes
import re
import sys
from pathlib import Path

# Of malloc.h: how much free memory to hand back, and from which size on to ask the kernel for each block by itself.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER = 2**31 - 1  # bytes


def keep_freed_memory() -> bool:
    """Ask the C library to reuse the memory of freed tensors instead of handing it back to the kernel.

    A training step on a CPU allocates tensors as large as those of the step before. Left alone, glibc returns and
    requests them each time, and the kernel zeroes every page again, which costs a 2D network a tenth of its time.

    Returns:
        Whether the C library knows how; it does not on macOS and Windows, where nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent from musl
    return mallopt is not None and all(mallopt(name, NEVER) for name in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD))


def peak_memory() -> float | None:
    """Largest resident size of this program so far in GiB, where the system reports it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10 if sys.platform == "darwin" else 1)
    if sys.platform.startswith("linux"):  # there, the above is at least the size of the program that started this one
        own = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        kibibytes = int(own[1]) if own else kibibytes
    return round(kibibytes / 2**20, 2)


__all__ = ["keep_freed_memory", "peak_memory"]
