"""Where figures come from: the commit of the code, and which clips the weights of a model have heard."""

import hashlib
import logging
import subprocess
from pathlib import Path
from typing import cast

from transformers.utils import SAFE_WEIGHTS_NAME
from transformers.utils.hub import cached_file

from ser.files import PROJECT
from ser.reporting.report_file import REPORT
from ser.reporting.report_file import Report

logger = logging.getLogger(__name__)

# The fields of a report that tell which clips were in which part.
SPLIT = ("corpus", "protocol", "fold", "split_seed", "share_of_clips", "drawn_from", "refit", "contains")


def git_commit() -> str | None:
    """Commit of the code, with "-dirty" if the code was changed since; None outside a clone."""
    try:
        head = _git(PROJECT, "rev-parse", "HEAD")
        changed = _git(PROJECT, "status", "--porcelain", "--", "ser", "train.py", "requirements.txt")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head}-dirty" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def weights_of(source: str) -> str:
    """A digest of the weights of a model, in its folder or on the Hub."""
    path = cast(str, cached_file(source, SAFE_WEIGHTS_NAME))  # raises where there is none
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def heard_splits(report: Report | None) -> list[dict] | None:
    """The splits whose training and dev parts a model has heard, its own last, by the fields `SPLIT`; None: not known.

    A model that went on from another one has heard what that one heard, which its report keeps as `heard_before`.
    """
    if report is None or (before := report.get("heard_before", [])) is None:
        return None
    return [*map(dict, before), {name: report.get(name) for name in SPLIT}]


def corpora_of(split: dict) -> set[str]:
    """The corpora whose clips are in a split: the one that it is called by, and known ones within that."""
    return {split["corpus"], *(split.get("contains") or ())}  # older reports do not tell


def check_unheard(source: str, report: Report | None, split: dict) -> None:
    """Refuse a model to go on from that may have heard the dev or test part of a run; warn where nobody can tell.

    Args:
        source: Of the model.
        report: Its `results.json`.
        split: Of the run, by the fields `SPLIT`.

    Raises:
        ValueError: It was trained on a corpus that is here, too, but on other parts, or on speakers left out here.
    """
    heard = heard_splits(report)
    if heard is None:
        logger.warning("%s has no %s: nobody can tell whether it heard clips of this run's test part", source, REPORT)
    for other in heard or ():
        if split["refit"]:  # trained on dev, too: it may have been without dev before
            other = other | {"refit": True}
        shared = corpora_of(other) & corpora_of(split)
        if shared and (difference := different(other, split)):
            same = other["corpus"] == split["corpus"]
            hint = "a folder of clips is known by its name: rename it if these are others"
            raise ValueError(
                f"{source!r} was trained {difference}: it may have heard what this run is not to hear; "
                "take a model that was trained on the same parts, or on another corpus "
                f"({hint if same else f'clips of {min(shared)} are in both: take them out'})"
            )


def different(heard: dict, split: dict) -> str:
    """In which field two splits differ first, in words; empty if in none."""
    names = [name for name in SPLIT if (heard.get(name) or None) != (split[name] or None)]  # older reports lack some
    if names == ["drawn_from"]:
        return "on parts that were drawn from other clips than these, though under the same name"
    return f"with {names[0]} {heard.get(names[0])}, this run has {split[names[0]]}" if names else ""


__all__ = ["SPLIT", "check_unheard", "corpora_of", "different", "git_commit", "heard_splits", "weights_of"]
