"""The answer for a recording: an emotion, how far to trust it, and bars in a fixed order."""

import html
from typing import NamedTuple
from uuid import uuid4

from ser.page import trust
from ser.page.emotions import FEATURES
from ser.page.emotions import GREY
from ser.page.emotions import ON_WHITE
from ser.page.emotions import adjective
from ser.page.emotions import face
from ser.page.emotions import kind
from ser.page.emotions import tone
from ser.page.offered_models import OfferedModel

UNCLEAR, NONE = "unclear", "none"
NOBODY = "Noise, silence and most music get no emotion. If somebody did speak, record closer to the voice."


class Verdict(NamedTuple):
    """The answer for a recording.

    Attributes:
        look: An emotion, "unclear", or "none" where nobody speaks.
        words: The answer, escaped for HTML.
        share: Probability of the likeliest emotion.
        details: What else to say, in sentences.
    """

    look: str
    words: str
    share: float
    details: list[str]


def decide(scores: dict[str, float] | None, model: OfferedModel, *, windows: int = 0) -> Verdict:
    """The verdict for some probabilities.

    Args:
        scores: Probability of each label; None if nobody speaks.
        model: The model that they are from.
        windows: Number of windows of a long recording that they are averaged over; 0 for a clip.
    """
    if scores is None:
        return Verdict(NONE, "no speech", 0.0, [NOBODY])
    (first, share), (second, next_share) = sorted(scores.items(), key=lambda item: -item[1])[:2]
    if share < trust.threshold(model):
        words = f"unclear: {adjective(first)} or {adjective(second)}"
        details = ["No emotion stands out: answers as uncertain as this one are often wrong."]
        return Verdict(UNCLEAR, words, share, _over(windows) + details + _relative(model))
    details = [f"Runner-up: {adjective(second)}, {next_share:.0%}."]
    details += (_over(windows) or _trust(model, share)) + _relative(model)
    return Verdict(first, adjective(first), share, details)


def _relative(model: OfferedModel) -> list[str]:
    return [] if model.voice is None else ["This is relative to your ordinary voice."]


def _over(windows: int) -> list[str]:
    where = "one stretch" if windows == 1 else f"{windows} stretches"
    return [f"The mean over {where} of 3 seconds in which somebody speaks."] if windows else []


def _trust(model: OfferedModel, share: float) -> list[str]:
    if (right := trust.right_when(model, share)) is not None:
        return [f"In our tests on other people's recordings, such answers were right in {right:.0%} of cases."]
    if (right := trust.right_on_strangers(model)) is not None:
        return [f"In our tests on other people's recordings, its answers were right in {right:.0%} of cases."]
    return ["It was not tested on recordings of other corpora."]


def bars_html(scores: dict[str, float] | None) -> str:
    """A bar for each emotion, in alphabetical order; empty ones where nobody speaks."""
    if not scores:
        return ""
    rows = "".join(
        f'<div class="bar {tone(label)}"><span class="name">{face(label)}{adjective(label)}</span>'
        f'<span class="track"><span style="width: {share:.1%}"></span></span>'
        f'<span class="value">{share:.0%}</span></div>'
        for label, share in sorted(scores.items())
    )
    return f'<div class="bars">{rows}</div>'


def card_html(verdict: Verdict, scores: dict[str, float] | None) -> str:
    """The answer with its buttons, under a new key, so that page.js announces it even if it is the same as before."""
    share = f'<span class="share">{verdict.share:.0%}</span>' if verdict.look not in (UNCLEAR, NONE) else ""
    said = f"{verdict.words[0].upper()}{verdict.words[1:]}"
    spoken = html.escape(
        html.unescape(" ".join([f"{said}{f', {verdict.share:.0%}' if share else ''}.", *verdict.details]))
    )
    picture = html.escape(picture_svg(verdict, scores))
    buttons = (
        '<div class="row"><button type="button" class="plain-button" data-do="play">Play</button>'
        '<button type="button" class="plain-button" data-do="again">Record again</button>'
        '<button type="button" class="plain-button" data-do="save">Save as picture</button></div>'
    )
    details = "".join(f"<p>{sentence}</p>" for sentence in verdict.details)
    return (
        f'<section class="card {tone(verdict.look)}" aria-label="Answer" data-key="{uuid4()}" '
        f'data-say="{spoken}" data-picture="{picture}">'
        f'<p class="said">{face(verdict.look)}<span>{said}</span>{share}</p>'
        f"{details}{bars_html(scores)}{buttons}</section>"
    )


def refusal_html(reason: str) -> str:
    """Why there is no answer."""
    reason = html.escape(reason)
    return (
        f'<section class="card e-none" aria-label="Answer" data-key="{uuid4()}" data-say="{reason}">'
        f'<p class="said">{face(NONE)}<span>No answer</span></p><p>{reason}</p></section>'
    )


def picture_svg(verdict: Verdict, scores: dict[str, float] | None) -> str:
    """The answer as a picture to save, 600 pixels wide."""
    colour = ON_WHITE.get(kind(verdict.look), GREY)
    rows = "".join(
        f'<text x="40" y="{168 + 36 * row}" font-size="20" fill="#1f2937">{adjective(label)}</text>'
        f'<rect x="160" y="{154 + 36 * row}" width="340" height="16" rx="8" fill="#e5e7eb"/>'
        f'<rect x="160" y="{154 + 36 * row}" width="{max(1.0, 340 * share):.0f}" height="16" rx="8" '
        f'fill="{ON_WHITE[kind(label)]}"/><text x="560" y="{168 + 36 * row}" font-size="20" text-anchor="end" '
        f'fill="#1f2937">{share:.0%}</text>'
        for row, (label, share) in enumerate(sorted((scores or {}).items()))
    )
    height = 190 + 36 * len(scores or {})
    drawing = (
        f'<g transform="translate(40 34) scale(2.6)"><circle cx="12" cy="12" r="11" fill="{colour}"/>'
        f'<path d="{FEATURES[kind(verdict.look)]}" fill="none" stroke="#fff" stroke-width="1.9" stroke-linecap="round" '
        'stroke-linejoin="round"/></g>'
    )
    size = 40 if len(verdict.words) < 14 else 26
    note = "A small neural network's guess at how a voice sounds. It is often wrong."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="600" height="{height}" font-family="system-ui, sans-serif">'
        f'<rect width="600" height="{height}" fill="#fff"/>{drawing}<text x="120" y="80" font-size="{size}" '
        f'font-weight="700" fill="{colour}">{verdict.words}</text>{rows}'
        f'<text x="40" y="{height - 22}" font-size="15" fill="#4b5563">{note}</text></svg>'
    )


__all__ = ["NONE", "UNCLEAR", "Verdict", "bars_html", "card_html", "decide", "picture_svg", "refusal_html"]
