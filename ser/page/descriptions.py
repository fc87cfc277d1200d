"""What the page says in words: of a clip, of a recording, and of how far a model can be trusted."""

from collections import Counter

import numpy as np

from ser.reporting.provenance import training_splits
from ser.reporting.report_file import Report
from ser.reporting.strangers_table import promise

ADJECTIVES = {"anger": "angry", "disgust": "disgusted", "fear": "fearful", "happiness": "happy", "sadness": "sad"}
ADJECTIVES |= {"boredom": "bored"}
UNSURE = 0.5  # probability below which the page says so
ENOUGH = 30  # clips of the test part, to say how often the model was right when it was this sure
NO_SPEECH = (
    "## Nobody speaks here\n"
    "Noise and silence are given no emotion, nor is most music. If somebody did speak, record it closer."
)


def describe_model(name: str, results: Report) -> str:
    """What the figures of a model say, in a sentence."""
    low, high = results["interval_95"]["accuracy"]
    if results["protocol"] == "leaky":
        return f"The figures of **{name}** are invalid: its training part and its test part overlap."
    told = training_splits(results) is not None  # but for a model that went on from one of which nobody can tell
    unseen = told and results["test_actors"] and not results["protocol"].startswith("random")
    who = f" of {results['test_actors']} actors it never heard" if unseen else ""
    text = (
        f"**{name}** names the intended emotion in {results['accuracy']:.0%} of {results['test_clips']:,} test clips"
        f"{who} (95 % interval {low:.0%} to {high:.0%})"
    )
    people = results["human_single_vote_accuracy"]
    return f"{text}; single human listeners, hearing the same clips, in {people:.0%}." if people else f"{text}."


def describe_scores(
    scores: dict[str, float] | None, results: Report, strangers: dict | None = None, *, windows: int = 0
) -> str:
    """What the bars say, and how far to trust it: from the model's errors on strangers, or on its test part.

    Args:
        scores: Probability of each label, or None where nobody speaks.
        results: The model's report.
        strangers: What `ser calibrate` measured, if it did.
        windows: In how many of a recording, of which these are the mean, somebody speaks; 0 for a clip.
    """
    if scores is None:
        return NO_SPEECH
    (first, share), (second, _) = sorted(scores.items(), key=lambda item: -item[1])[:2]
    heard, other = (ADJECTIVES.get(label, label) for label in (first, second))
    spoken = f"The mean of the {windows} windows" if windows > 1 else "Heard in the one window"
    trust = f"{spoken} in which somebody speaks." if windows else _reliability(share, results)
    if strangers:
        return _to_a_stranger(heard, share, other, strangers, trust if windows else "")
    if share < UNSURE:
        return f"## Not sure: perhaps {heard} ({share:.0%}), perhaps {other}\n{trust}"
    return f"## Sounds {heard}, {share:.0%}\n{trust} {_mistaken(first, heard, results)}"


def _to_a_stranger(heard: str, share: float, other: str, strangers: dict, spoken: str) -> str:
    """What a model says that is calibrated on the world: plain only where it keeps its promise."""
    kept = promise(strangers)
    if kept is None or share < kept["threshold"]:
        plain = f"It says so plainly from {kept['threshold']:.0%} on." if kept else ""
        return f"## Not sure: perhaps {heard} ({share:.0%}), perhaps {other}\n{spoken} {plain}"
    right = f"Of so plain answers about speech of other corpora than its own, {kept['right']:.0%} are right."
    return f"## Sounds {heard}, {share:.0%}\n{spoken} {right}"


def _reliability(share: float, results: Report) -> str:
    calibration = results.get("calibration")
    bins = calibration["after"]["bins"] if calibration else []
    nearest = min(bins, key=lambda each: abs(each["confidence"] - share), default=None)
    if nearest is None or nearest["clips"] < ENOUGH:
        return ""
    right = f"it was right in {nearest['accuracy']:.0%}"
    return f"Of the {nearest['clips']} test clips about which it was about as sure, {right}."


def _mistaken(label: str, heard: str, results: Report) -> str:
    """Which other emotion the test clips that sounded like `label` were most often meant to be."""
    labels, column = results["labels"], np.array(results["confusion_matrix"])[:, results["labels"].index(label)]
    others = column.copy()
    others[labels.index(label)] = 0
    if not others.any():
        return ""
    meant = labels[others.argmax()]
    share = others.max() / column.sum()
    return f"Of all test clips that sound {heard} to it, {share:.0%} were meant as **{meant}**, the commonest mistake."


def describe_confusion(results: Report) -> str:
    """What a model mistakes for what."""
    pairs = results["most_confused"][:3]
    if not pairs:
        return "It mistakes none of its test clips."
    words = "; ".join(
        f"{pair['share']:.0%} of the {pair['label']} clips sound like {pair['heard_as']}" for pair in pairs
    )
    return f"To the model, {words}."


def describe_listeners(results: Report) -> str:
    """What people mistake for what on the same clips, of a report that holds their votes."""
    votes = np.array(results["human_confusion_matrix"])
    rows = zip(results["labels"], votes, strict=True)
    named = {label: row[index] / row.sum() for index, (label, row) in enumerate(rows) if row.any()}
    best, worst = max(named, key=named.__getitem__), min(named, key=named.__getitem__)
    return (
        f"{votes.sum():,} single votes of people who heard the same clips: "
        f"they name {best} in {named[best]:.0%} and {worst} in {named[worst]:.0%}."
    )


def describe_windows(rows: list[dict]) -> str:
    """How many windows of a recording sound like what."""
    counts = Counter(row["emotion"] for row in rows if row["speech"])
    parts = [f"{label} in {count}" for label, count in counts.most_common()]
    silent = sum(not row["speech"] for row in rows)
    parts += [f"nobody speaks in {silent}"] if silent else []
    return f"Likeliest in each of the {len(rows)} windows: {', '.join(parts)}."


__all__ = [
    "UNSURE",
    "describe_confusion",
    "describe_listeners",
    "describe_model",
    "describe_scores",
    "describe_windows",
]
