"""Rows for cards and docs: what a model makes of strangers' speech, as `ser calibrate` measured it."""

COLUMNS = ("speech", "clips", "accuracy", "claimed", "UAR", "plain statements", "of them right", "plain and wrong")
LEGEND = (
    "Left of the arrow with the temperature of the model's own corpus and plain statements from a probability of 0.5, "
    "right of it as the model is. Claimed: mean probability of the likeliest label. Ordinary speech counts as neutral."
)


def strangers_rows(strangers: dict) -> list[list[str]]:
    """Cells of one row for each kind of speech, as `COLUMNS` calls them.

    Args:
        strangers: The content of strangers.json.
    """
    kinds = {f"{title}, unseen speakers": each for title, each in strangers["own"].items()}
    kinds |= strangers["corpora"] | {f"{strangers['ordinary_title']}, ordinary speech": strangers["ordinary"]}
    return [
        [name, f"{each['clips']:,}", *(_change(each, what) for what in ("accuracy", "confidence"))]
        + [_change(each, "uar") if len(each["recall"]) > 1 else ""]
        + [_change(each, what) for what in ("plain", "plain_right", "plain_wrong")]
        for name, each in kinds.items()
    ]


def _change(scores: dict, what: str) -> str:
    """A score before and after; a dash for a share of nothing."""
    before, after = ("-" if each[what] is None else f"{each[what]:.2f}" for each in (scores["before"], scores))
    return f"{before} → {after}"


def promise(strangers: dict) -> dict[str, float] | None:
    """The point of the risk and coverage curve at the model's threshold; None if it has no use for one."""
    return next((each for each in strangers["curve"] if each["threshold"] == strangers["certain_threshold"]), None)


def for_card(strangers: dict) -> dict:
    """The content of strangers.json, and what a card says of it."""
    own: dict = next(iter(strangers["own"].values()), {})
    return strangers | {
        "own_accuracy": own.get("accuracy"),
        "columns": COLUMNS,
        "rows": strangers_rows(strangers),
        "legend": LEGEND,
        "promise": promise(strangers),
    }


__all__ = ["COLUMNS", "LEGEND", "for_card", "promise", "strangers_rows"]
