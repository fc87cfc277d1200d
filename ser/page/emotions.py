"""How the page shows an emotion: one word, one colour (in page.css) and one face, wherever it appears."""

import html

FEATURES = {  # of a face in a box of 24 by 24
    "anger": "M6 7.5l4.2 2.2M18 7.5l-4.2 2.2M8.8 11.6v.1M15.2 11.6v.1M8 17.3q4-4 8 0",
    "disgust": "M6.8 9.6l3.4 1M17.2 9.6l-3.4 1M7.2 16q1.6-2.4 3.2 0t3.2 0t3.2 0",
    "fear": "M6.6 7.6q1.4-1.8 3.4-1.6M17.4 7.6q-1.4-1.8-3.4-1.6M8.6 10.6v.1M15.4 10.6v.1"
    "M9.8 16.6a2.2 2.6 0 1 0 4.4 0a2.2 2.6 0 1 0-4.4 0",
    "happy": "M8.5 9v.6M15.5 9v.6M6.8 13.2q5.2 6.6 10.4 0z",
    "neutral": "M8.6 9.6v.1M15.4 9.6v.1M8 15.6h8",
    "sad": "M6.4 9.4l3.4-1.8M17.6 9.4l-3.4-1.8M8.8 11.4v.1M15.2 11.4v.1M8.4 17.4q3.6-3.4 7.2 0M17.6 13.6v2.4",
    "other": "M7 10h3M14 10h3M9 16q3-1.6 6 0",
    "unclear": "M9.2 9.4a2.9 2.9 0 1 1 4.3 2.5q-1.5.8-1.5 2.2M12 17.6v.1",
    "none": "M6.5 12h.1M12 12h.1M17.4 12h.1",
}
SAME_AS = {"happiness": "happy", "sadness": "sad", "angry": "anger", "fearful": "fear", "disgusted": "disgust"}
ADJECTIVES = {"anger": "angry", "disgust": "disgusted", "fear": "fearful", "boredom": "bored"}
ON_WHITE = {
    "anger": "#b3261e",
    "disgust": "#47700f",
    "fear": "#7a3bd1",
    "happy": "#9a5b00",
    "neutral": "#4d5b6b",
    "sad": "#1c5fb8",
    "other": "#0b6e75",
}  # as in page.css, for pictures that are saved
GREY = "#5d6570"


def kind(label: str) -> str:
    """The emotion whose colour and face a label gets; "other" for labels without their own."""
    name = SAME_AS.get(label, label)
    return name if name in FEATURES else "other"


def tone(label: str) -> str:
    """Name of the style that colours an emotion."""
    return f"e-{kind(label)}"


def adjective(label: str) -> str:
    """The adjective for a voice with this emotion, escaped for HTML."""
    name = SAME_AS.get(label, label)
    return html.escape(ADJECTIVES.get(name, name))


def face(label: str) -> str:
    """The symbol of an emotion, or of "unclear" or "none"."""
    return (
        f'<svg class="face {tone(label)}" viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="11"/>'
        f'<path d="{FEATURES[kind(label)]}"/></svg>'
    )


__all__ = ["FEATURES", "GREY", "ON_WHITE", "adjective", "face", "kind", "tone"]
