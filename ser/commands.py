"""How a command ends that cannot go on: in one sentence."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_sentence(command: str, *, stopped: str) -> Iterator[None]:
    """End the process in a sentence where a block raises what its user can mend, or is interrupted.

    Args:
        command: What it is called, as in `ser.predict`.
        stopped: What an interruption leaves, and what to do.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        sys.exit(f"{command}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{command}: stopped; {stopped}")


__all__ = ["one_sentence"]
