"""The sentences of the page: about a clip, a long recording, and how far a model can be trusted."""

from collections import Counter

import numpy as np

from ser.reporting.provenance import training_splits
from ser.reporting.report_file import Report
from ser.reporting.strangers_table import promise

ADJECTIVES = {"anger": "angry", "disgust": "disgusted", "fear": "fearful", "happiness": "happy", "sadness": "sad"}
ADJECTIVES |= {"boredom": "bored"}
UNSURE = 0.5  # probability below which the page says so
ENOUGH = 30  # test clips, fewest from which the page says how often the model was right at this confidence
NO_SPEECH = (
    "## Nobody speaks here\n"
    "Noise, silence and most music are not classified. If somebody did speak, record closer to the mouth."
)


def describe_model(name: str, results: Report) -> str:
    """The test scores of a model in a sentence."""
    low, high = results["interval_95"]["accuracy"]
    if results["protocol"] == "leaky":
        return f"The scores of **{name}** are invalid: its training and test sets overlap."
    known = heard_splits(results) is not None  # not for fine-tuned models whose base model has no report
    unseen = known and results["test_actors"] and not results["protocol"].startswith("random")
    who = f" of {results['test_actors']} unseen actors" if unseen else ""
    text = (
        f"**{name}** names the intended emotion in {results['accuracy']:.0%} of {results['test_clips']:,} test clips"
        f"{who} (95 % interval {low:.0%} to {high:.0%})"
    )
    people = results["human_single_vote_accuracy"]
    return f"{text}; single human listeners do so in {people:.0%} of the same clips." if people else f"{text}."


def describe_scores(
    scores: dict[str, float] | None, results: Report, strangers: dict | None = None, *, windows: int = 0
) -> str:
    """The answer in words, and how far to trust it, from the model's errors on other corpora, or on its test set.

    Args:
        scores: Probability of each label, or None where nobody speaks.
        results: The model's report.
        strangers: What `ser calibrate` measured, if it did.
        windows: Number of windows whose mean the scores are; 0 for a clip.
    """
    if scores is None:
        return NO_SPEECH
    (first, share), (second, _) = sorted(scores.items(), key=lambda item: -item[1])[:2]
    named, other = (ADJECTIVES.get(label, label) for label in (first, second))
    spoken = f"The mean of the {windows} windows" if windows > 1 else "From the one window"
    trust = f"{spoken} in which somebody speaks." if windows else _reliability(share, results)
    if strangers:
        return _calibrated(named, share, other, strangers, trust if windows else "")
    if share < UNSURE:
        return f"## Not sure: perhaps {named} ({share:.0%}), perhaps {other}\n{trust}"
    return f"## Sounds {named}, {share:.0%}\n{trust} {_mistaken(first, named, results)}"


def _calibrated(named: str, share: float, other: str, strangers: dict, spoken: str) -> str:
    """The answer of a model with a threshold: certain only above it."""
    kept = promise(strangers)
    if kept is None or share < kept["threshold"]:
        plain = f"It is sure from {kept['threshold']:.0%} on." if kept else ""
        return f"## Not sure: perhaps {named} ({share:.0%}), perhaps {other}\n{spoken} {plain}"
    right = f"Of its sure answers on speech of other corpora, {kept['right']:.0%} are right."
    return f"## Sounds {named}, {share:.0%}\n{spoken} {right}"


def _reliability(share: float, results: Report) -> str:
    calibration = results.get("calibration")
    bins = calibration["after"]["bins"] if calibration else []
    nearest = min(bins, key=lambda each: abs(each["confidence"] - share), default=None)
    if nearest is None or nearest["clips"] < ENOUGH:
        return ""
    right = f"it was right in {nearest['accuracy']:.0%}"
    return f"Of the {nearest['clips']} test clips with a similar probability, {right}."


def _mistaken(label: str, named: str, results: Report) -> str:
    """The intended emotion of most test clips that the model wrongly named `label`."""
    labels, column = results["labels"], np.array(results["confusion_matrix"])[:, results["labels"].index(label)]
    others = column.copy()
    others[labels.index(label)] = 0
    if not others.any():
        return ""
    meant = labels[others.argmax()]
    share = others.max() / column.sum()
    return f"Of all test clips that it named {named}, {share:.0%} were meant as **{meant}**, its most common mistake."


def describe_confusion(results: Report) -> str:
    """The most common confusions of a model."""
    pairs = results["most_confused"][:3]
    if not pairs:
        return "It classified every test clip correctly."
    words = "; ".join(f"{pair['share']:.0%} of the {pair['label']} clips as {pair['heard_as']}" for pair in pairs)
    return f"The model classifies {words}."


def describe_listeners(results: Report) -> str:
    """What listeners confuse in the same clips; the report must hold their votes."""
    votes = np.array(results["human_confusion_matrix"])
    rows = zip(results["labels"], votes, strict=True)
    named = {label: row[index] / row.sum() for index, (label, row) in enumerate(rows) if row.any()}
    best, worst = max(named, key=named.__getitem__), min(named, key=named.__getitem__)
    return (
        f"{votes.sum():,} single votes of listeners on the same clips: "
        f"they name {best} in {named[best]:.0%} and {worst} in {named[worst]:.0%}."
    )


def describe_windows(rows: list[dict]) -> str:
    """How many windows of a recording have which emotion."""
    counts = Counter(row["emotion"] for row in rows if row["speech"])
    counted = [f"{label} in {count}" for label, count in counts.most_common()]
    silent = sum(not row["speech"] for row in rows)
    counted += [f"nobody speaks in {silent}"] if silent else []
    return f"Most likely emotion in the {len(rows)} windows: {', '.join(counted)}."


__all__ = [
    "UNSURE",
    "describe_confusion",
    "describe_listeners",
    "describe_model",
    "describe_scores",
    "describe_windows",
]
