"""Rows for cards and docs: scores of a model on strangers' speech, as measured by `ser calibrate`."""

COLUMNS = ("speech", "clips", "accuracy", "confidence", "UAR", "certain", "certain: right", "certain and wrong")
SCORES = ("accuracy", "confidence", "uar", "certain", "certain_right", "certain_wrong")
LEGEND = (
    "Left of the arrow: before this calibration, with answers certain from a probability of 0.5. Right of it: with "
    "this calibration. *Confidence*: mean probability of the most probable label. *Certain*: share of clips with a "
    "certain answer. *Certain: right*: share of these answers that are right. *Certain and wrong*: share of all "
    "clips. Ordinary speech counts as neutral."
)

CENTRED_COLUMNS = ("speech", "clips", "speakers", "commonest label", "accuracy", "UAR", "certain", "certain: right")
CENTRED_SCORES = ("accuracy", "uar", "certain", "certain_right")
CENTRED_LEGEND = (
    "Without centring → relative to the clip itself and at most five others of the same speaker, drawn at random → "
    "relative to all clips of the speaker. *Commonest label*: share of clips that have the commonest label of their "
    "speaker; if it is near 1, as in ordinary speech, which is all neutral, centring misleads."
)

VOICE_COLUMNS = ("speech", "clips", "speakers", "accuracy", "certain", "certain: right", "certain and wrong")
VOICE_SCORES = ("accuracy", "certain", "certain_right", "certain_wrong")
VOICE_LEGEND = (
    "Accuracy on the same clips without a recording of the speaker's ordinary voice → with one → with three; the other "
    "scores with one → with three. Other neutral clips of the speaker, drawn at random, stand for these recordings; "
    "clips of speakers without enough of them are left out."
)


def strangers_rows(strangers: dict) -> list[list[str]]:
    """Cells of one row for each kind of speech, as `COLUMNS` calls them.

    Args:
        strangers: The content of strangers.json.
    """
    return [
        [name, f"{each['clips']:,}", *(_change(what, each["before"], each) for what in SCORES)]
        for name, each in _kinds(strangers).items()
    ]


def centred_rows(strangers: dict) -> list[list[str]]:
    """Cells of one row for each kind of speech, as `CENTRED_COLUMNS` calls them.

    Args:
        strangers: The content of strangers.json.
    """
    return [
        [name, f"{each['clips']:,}", f"{each['speakers']:,}", f"{each['prevailing']:.2f}"]
        + [_change(what, each, each["centred_few"], each["centred"]) for what in CENTRED_SCORES]
        for name, each in _kinds(strangers).items()
    ]


def voice_rows(strangers: dict) -> list[list[str]]:
    """Cells of one row for each kind of speech with neutral clips, as `VOICE_COLUMNS` calls them.

    Args:
        strangers: The content of strangers.json.
    """
    rows = []
    for name, each in _kinds(strangers).items():
        if measured := list(each.get("ordinary_voice", {}).values()):
            one, (accuracy, *others) = measured[0], (_change(what, *measured) for what in VOICE_SCORES)
            changed = f"{one['without']:.2f} → {accuracy}"
            rows.append([name, f"{one['clips']:,}", f"{one['speakers']:,}", changed, *others])
    return rows


def _kinds(strangers: dict) -> dict[str, dict]:
    """Scores by the kind of speech."""
    kinds = {f"{title}, unseen speakers": each for title, each in strangers["own"].items()}
    return kinds | strangers["corpora"] | {f"{strangers['ordinary_title']}, ordinary speech": strangers["ordinary"]}


def _change(what: str, *measured: dict) -> str:
    """A score from one measurement to the next: a dash for a share of no clips, empty for the UAR of one label."""
    if what == "uar" and len(measured[0]["recall"]) == 1:
        return ""
    return " → ".join("-" if each[what] is None else f"{each[what]:.2f}" for each in measured)


def promise(calibrated: dict) -> dict[str, float] | None:
    """The point of the risk and coverage curve at the threshold; None if no threshold keeps the promises.

    Args:
        calibrated: The content of strangers.json, or its "ordinary_voice".
    """
    return next((each for each in calibrated["curve"] if each["threshold"] == calibrated["certain_threshold"]), None)


def for_card(strangers: dict) -> dict:
    """The content of strangers.json, and what a card says of it."""
    own: dict = next(iter(strangers["own"].values()), {})
    return strangers | {
        "own_accuracy": own.get("accuracy"),
        "columns": COLUMNS,
        "rows": strangers_rows(strangers),
        "legend": LEGEND,
        "promise": promise(strangers),
        "voice_columns": VOICE_COLUMNS,
        "voice_rows": voice_rows(strangers),
        "voice_legend": VOICE_LEGEND,
    }


__all__ = [
    "CENTRED_COLUMNS",
    "CENTRED_LEGEND",
    "COLUMNS",
    "LEGEND",
    "VOICE_COLUMNS",
    "VOICE_LEGEND",
    "centred_rows",
    "for_card",
    "promise",
    "strangers_rows",
    "voice_rows",
]
