"""Counts with nouns, for messages."""


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the singular or the plural.

    Example:
        >>> counted(1, "clip"), counted(1200, "clip")
        ('1 clip', '1,200 clips')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


__all__ = ["counted"]
