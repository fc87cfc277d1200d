"""Counts with nouns, and lists, for messages and cards."""

from collections.abc import Iterable


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the singular or the plural.

    Example:
        >>> counted(1, "clip"), counted(1200, "clip")
        ('1 clip', '1,200 clips')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Iterable[str]) -> str:
    """Names in a row, as in a sentence.

    Example:
        >>> listed(["EmoDB"]), listed(["EmoDB", "nEMO", "URDU"])
        ('EmoDB', 'EmoDB, nEMO and URDU')
    """
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


__all__ = ["counted", "listed"]
