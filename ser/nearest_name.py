"""Suggestions for mistyped names."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """The end of a message about an unknown name: the most similar known one, if any.

    Example:
        >>> nearest("cnn3d", ["cnn1d", "flagship"])
        '; did you mean cnn1d?'
    """
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"; did you mean {prefix}{matches[0]}?" if matches else ""


__all__ = ["nearest"]
