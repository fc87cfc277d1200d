"""A game: act an emotion, and the model guesses it; the score of five rounds."""

import html
import random
from typing import Any
from uuid import uuid4

from ser.page import handlers
from ser.page.emotions import adjective
from ser.page.emotions import face
from ser.page.emotions import tone
from ser.page.offered_models import Voices
from ser.page.offered_models import chosen
from ser.page.offered_models import load
from ser.page.uploads import paths_of
from ser.page.uploads import readable

ROUNDS = 5
SENTENCES = (  # that the actors of CREMA-D spoke
    "It's eleven o'clock.",
    "That is exactly what happened.",
    "I'm on my way to the meeting.",
    "I wonder what this is about.",
    "The airplane is almost full.",
    "Maybe tomorrow it will be cold.",
    "I would like a new alarm clock.",
    "I think I have a doctor's appointment.",
    "Don't forget a jacket.",
    "I think I've seen this before.",
    "The surface is slick.",
    "We'll stop in a couple of minutes.",
)


def new_game(model: str) -> dict[str, Any]:
    """The tasks of a new game, and its guesses, of which there are none yet."""
    labels = sorted(load()[model].report["labels"])
    emotions = random.sample(labels, min(ROUNDS, len(labels)))  # noqa: S311 - a game
    sentences = random.sample(SENTENCES, len(emotions))  # noqa: S311
    return {"tasks": list(zip(sentences, emotions, strict=True)), "guesses": [], "note": ""}


def play(files: list[dict], model: str, voices: Voices | None, game: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The next round, played with a recording; one that cannot be classified is played again."""
    if not (paths := paths_of(files)) or len(game["guesses"]) == len(game["tasks"]):
        return game_html(game), game
    game = game | {"note": ""}
    try:
        with readable(paths[0]) as (sound, seconds):
            scores = handlers.answer_of(sound, seconds, chosen(model, voices), None).scores
        if scores is None:
            raise ValueError("Nobody seems to speak: try again, closer to the microphone.")
        game["guesses"] = [*game["guesses"], max(scores, key=scores.__getitem__)]
    except ValueError as error:
        game["note"] = str(error)
    return game_html(game), game


def restart(model: str) -> tuple[str, dict[str, Any]]:
    """A new game."""
    game = new_game(model)
    return game_html(game), game


def game_html(game: dict[str, Any]) -> str:
    """The task, and the rounds so far."""
    tasks, guesses = game["tasks"], game["guesses"]
    points = sum(guess == emotion for guess, (_, emotion) in zip(guesses, tasks, strict=False))
    lines = "".join(
        f"<li>Round {number}: you acted {face(emotion)}{adjective(emotion)}, the model guessed {face(guess)}"
        f"{adjective(guess)}. <b>{'Right.' if guess == emotion else 'Wrong.'}</b></li>"
        for number, (guess, (_, emotion)) in enumerate(zip(guesses, tasks, strict=False), start=1)
    )
    note, last = html.escape(game["note"]), ""
    if note:
        last = f"{note} "
    elif guesses:
        right = guesses[-1] == tasks[len(guesses) - 1][1]
        last = f"The model guessed {adjective(guesses[-1])}: {'right' if right else 'wrong'}. "
    if len(guesses) == len(tasks):
        task = f"<p class='said'>{points} of {len(tasks)} right</p><p>Random guesses would be right about once.</p>"
        spoken = f"{last}{points} of {len(tasks)} right."
    else:
        sentence, emotion = tasks[len(guesses)]
        task = (
            f"<p>Round {len(guesses) + 1} of {len(tasks)}. Say this as if you were</p><p class='said {tone(emotion)}'>"
            f"{face(emotion)}<span>{adjective(emotion).capitalize()}</span></p><p>“{sentence}”</p>"
        )
        spoken = f"{last}Round {len(guesses) + 1}: say this as if you were {adjective(emotion)}: {sentence}"
    score = f"<p>So far: {points} right.</p>" if 0 < len(guesses) < len(tasks) else ""
    score += f"<ol class='attempts'>{lines}</ol>"
    said = note and f"<p><b>{note}</b></p>"
    return (
        f'<section class="card" aria-label="Challenge" data-key="{uuid4()}" data-say="{spoken}">{task}{said}{score}'
        "</section>"
    )


__all__ = ["game_html", "new_game", "play", "restart"]
