"""An answer while one speaks: smoothed, so that it changes when the voice does and not with every word."""

import base64
from typing import Any

import numpy as np

from ser.models.audio_ser import load_audio
from ser.page import answers
from ser.page import handlers
from ser.page import own_voice
from ser.page import trust
from ser.page.emotions import adjective
from ser.page.emotions import face
from ser.page.emotions import tone
from ser.page.offered_models import chosen
from ser.page.offered_models import load
from ser.page.offered_models import rate_of

RATE = 16000  # Hz, of what page.js sends
LONGEST = 4 * RATE  # samples; page.js sends three seconds
KEPT = 0.7  # weight of the previous probabilities in the smoothed ones
LEAD = 0.1  # probability by which another emotion must lead before the answer changes


def classify_live(request: Any) -> dict[str, Any]:
    """Classify the last seconds, smoothed with those before.

    Args:
        request: "audio" as base64 of 16-bit samples at `RATE`, "model", "voices" as `own_voice.remember` returns them,
            and "before": what "memory" was last time.

    Returns:
        What page.js shows, and "memory" to be sent back.

    Raises:
        ValueError: The request is malformed.
    """
    if not isinstance(request, dict):
        raise ValueError(f"expected an object with audio and model; got {request!r:.50}")
    name = request.get("model") or next(iter(load()))
    if name not in list(load()):
        raise ValueError(f"expected a model of the page; got {name!r:.50}")
    model = chosen(name, own_voice.checked(request.get("voices"), name))
    before = checked(request.get("before"), model.report["labels"])
    waveform = load_audio(decode(request.get("audio", "")), sampling_rate=rate_of(model), source_rate=RATE)
    scores = handlers.classify_clip(waveform, model)
    if scores is None:
        look, words = answers.NONE, "nobody speaks"
    else:
        if old := before["scores"]:
            scores = {label: KEPT * old[label] + (1 - KEPT) * share for label, share in scores.items()}
        look = stable(scores, before["look"], trust.threshold(model))
        words = "unclear" if look == answers.UNCLEAR else adjective(look)
    return {
        "answer": f'<p class="said {tone(look)}">{face(look)}<span>{words.capitalize()}</span></p>',
        "bars": answers.bars_html(scores),
        "tone": tone(look),
        "word": words,
        "memory": {"scores": scores, "look": look},
    }


def stable(scores: dict[str, float], before: str | None, threshold: float) -> str:
    """The most probable emotion or "unclear"; the one before is kept unless another leads it clearly."""
    first = max(scores, key=scores.__getitem__)
    if before in scores and scores[first] - scores[before] < LEAD:
        first = before
    return first if scores[first] >= threshold - (LEAD / 2 if first == before else 0) else answers.UNCLEAR


def checked(before: Any, labels: list[str]) -> dict[str, Any]:
    """The memory that a browser sent back; empty if it does not fit this model."""
    memory = before if isinstance(before, dict) else {}
    scores, look = memory.get("scores"), memory.get("look")
    if not isinstance(scores, dict) or set(scores) != set(labels):
        return {"scores": None, "look": None}
    if not all(isinstance(share, (int, float)) for share in scores.values()):
        return {"scores": None, "look": None}
    kept = {label: min(max(0.0, share), 1.0) for label, share in scores.items()}
    return {"scores": kept, "look": look if look in labels else None}


def decode(text: Any) -> np.ndarray:
    """Samples of shape `(samples,)` within -1..1.

    Raises:
        ValueError: It is not 16-bit samples in base64, or too long.
    """
    try:
        samples = np.frombuffer(base64.b64decode(text, validate=True), "<i2")
    except (TypeError, ValueError) as error:
        raise ValueError("expected base64 of 16-bit samples") from error
    if len(samples) > LONGEST:
        raise ValueError(f"expected at most {LONGEST / RATE:g} seconds of sound")
    return samples.astype(np.float32) / 32768


__all__ = ["checked", "classify_live", "decode", "stable"]
