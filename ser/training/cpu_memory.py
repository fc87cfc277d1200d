"""Memory of this process: keeps freed memory for the next batch, and reports the peak."""

import ctypes
import re
import sys
from pathlib import Path

# Of malloc.h: when to return free memory to the kernel, and from which size to request a block from it directly.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER = 2**31 - 1  # bytes


def keep_freed_memory() -> bool:
    """Ask the C library to reuse the memory of freed tensors instead of returning it to the kernel.

    A training step on a CPU allocates tensors as large as those of the step before. Left alone, glibc returns and
    requests them each time, and the kernel zeroes every page again, which costs a 2D network a tenth of its time.

    Returns:
        Whether the C library can do this; on macOS and Windows it cannot, and nothing is changed.
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
    if sys.platform.startswith("linux"):  # where the value above includes that of the program that started this one
        own = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        kibibytes = int(own[1]) if own else kibibytes
    return round(kibibytes / 2**20, 2)


__all__ = ["keep_freed_memory", "peak_memory"]
