"""Where scores come from: the commit of the code, the weights, and the splits that a model was trained on."""

import hashlib
import itertools
import logging
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import cast

from transformers.utils import SAFE_WEIGHTS_NAME
from transformers.utils.hub import cached_file

from ser.corpora.several_corpora import own_protocol
from ser.corpora.splits import ACROSS_CORPORA
from ser.files import PROJECT
from ser.reporting.report_file import REPORT
from ser.reporting.report_file import Report
from ser.reporting.report_file import Split

logger = logging.getLogger(__name__)

SPLIT = tuple(Split.__annotations__)


def git_commit() -> str | None:
    """Commit of the code, with "-dirty" for uncommitted changes; None outside a clone."""
    if not (PROJECT / ".git").exists():  # it may be installed inside the clone of another project
        return None
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


def weights_fingerprint(source: str) -> str:
    """A digest of the weights of a model, in its folder or on the Hub."""
    path = cast(str, cached_file(source, SAFE_WEIGHTS_NAME))  # raises where there is none
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def bundled_with(weights: str) -> str | None:
    """The folder in checkpoints/ whose weights have this digest, as a path in the project; None if there is none."""
    folders = [path.parent for path in sorted((PROJECT / "checkpoints").rglob(SAFE_WEIGHTS_NAME))]
    found = (folder for folder in folders if weights_fingerprint(str(folder)) == weights)
    return next((folder.relative_to(PROJECT).as_posix() for folder in found), None)


def training_splits(report: Report | None) -> list[Split] | None:
    """The splits that a model was trained on: those of the models it was fine-tuned from, then its own.

    Returns:
        None if they are unknown, for example if it was fine-tuned from a model without a report.
    """
    if report is None or report["trained_before"] is None:
        return None
    own = {name: value for name, value in report.items() if name in SPLIT}
    return [*report["trained_before"], cast(Split, own)]


def corpora_of(split: Split) -> set[str]:
    """The corpora whose clips are in a split: its own, and known corpora contained in it."""
    return {split["corpus"], *(split.get("contains") or ())}  # older reports lack it


def by_corpus(split: Split) -> list[Split]:
    """The split of each corpus that a run is trained on."""
    if split["protocol"] not in ACROSS_CORPORA:
        return [split]
    found = []
    for title in split["contains"] or ():
        own: dict[str, Any] = {"corpus": title, "protocol": own_protocol(title), "contains": [], "test_corpus": None}
        if own["protocol"] == "tfds":  # a fixed list of actors
            own |= {"split_seed": 0, "drawn_from": None}
        found.append(cast(Split, {**split, **own}))
    return found


def check_unseen(source: str, report: Report | None, split: Split) -> None:
    """Check that a model to fine-tune was not trained on dev or test clips of a run; warn if that is unknown.

    Args:
        source: Folder or Hub id of the model.
        report: Its report.
        split: The split of the run.

    Raises:
        ValueError: It was trained on another split of the same corpus.
    """
    known = training_splits(report)
    if known is None:
        logger.warning("%s has no %s: its training data may contain this run's test clips", source, REPORT)
    for other in known or ():
        if split["refit"]:  # the run trains on the dev split as well
            other = cast(Split, {**other, "refit": True})
        if (tested := split.get("test_corpus")) in corpora_of(other):
            raise ValueError(f"{source!r} was trained on {tested}, which this run is tested on; take another model")
        for one, two in itertools.product(by_corpus(other), by_corpus(split)):
            _check_unseen(source, one, two)


def _check_unseen(source: str, other: Split, split: Split) -> None:
    shared = corpora_of(other) & corpora_of(split)
    if shared and (difference := split_difference(other, split)):
        same = other["corpus"] == split["corpus"]
        hint = "a folder of other clips must have another name"
        raise ValueError(
            f"{source!r} was trained {difference}: its training data may contain this run's test clips; "
            "take a model that was trained on the same split, or on another corpus "
            f"({hint if same else f'clips of {min(shared)} are in both: take them out'})"
        )


def split_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The first difference between two splits, in words; empty if they are the same."""
    values = [(name, one.get(name), other.get(name)) for name in SPLIT]  # older reports lack some
    differing = [(name, first, second) for name, first, second in values if (first or None) != (second or None)]
    if [name for name, *_ in differing] == ["drawn_from"]:
        return "on a split that was drawn from other clips, though under the same name"
    return "with {} {}, this run has {}".format(*differing[0]) if differing else ""


__all__ = [
    "SPLIT",
    "bundled_with",
    "by_corpus",
    "check_unseen",
    "corpora_of",
    "git_commit",
    "split_difference",
    "training_splits",
    "weights_fingerprint",
]
