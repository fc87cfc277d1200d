"""Commands that are stopped before they began: importing torch and others takes seconds."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def may_be_stopped(program: str) -> Iterator[None]:
    """Exit with one sentence if the block is interrupted with Ctrl-C.

    Args:
        program: The start of that sentence.
    """
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(f"{program}: stopped before it began")


__all__ = ["may_be_stopped"]
