"""Answers relative to a speaker's ordinary voice: their calibration, and how good they are.

Neutral clips of a speaker stand for recordings of the ordinary voice.
"""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import numpy as np

from ser.evaluation.certain_answers import choose_threshold
from ser.evaluation.certain_answers import curve
from ser.evaluation.certain_answers import measure
from ser.evaluation.cross_corpus_calibration import Calibration
from ser.evaluation.cross_corpus_calibration import Speech
from ser.evaluation.cross_corpus_calibration import fit
from ser.models.ordinary_voice_ser import SHARE

RECORDINGS = (1, 3)  # of the ordinary voice, with which answers are evaluated; the calibration is for the first


def relative(speech: Speech, log: np.ndarray, neutral: int, count: int) -> tuple[Speech, np.ndarray]:
    """Clips relative to `count` other neutral clips of the same speaker, drawn at random, the same in every run.

    Args:
        speech: The clips.
        log: Their log-probabilities, shape `(clips, num_labels)`.
        neutral: The label that ordinary speech has.
        count: Number of recordings of the ordinary voice.

    Returns:
        The clips of speakers with enough neutral clips, and their indices; logits are log-probabilities less the share
        of the ordinary voice.
    """
    generator, clips, voices = np.random.default_rng(0), [], []
    for clip, speaker in enumerate(speech.speakers):
        others = np.flatnonzero((speech.speakers == speaker) & (speech.labels == neutral))
        others = generator.permutation(others[others != clip])
        if len(others) >= count:
            clips.append(clip)
            voices.append(log[others[:count]].mean(0))
    index = np.array(clips, dtype=int)
    shifted = log[index] - SHARE * np.reshape(voices, (-1, log.shape[1]))
    return Speech(shifted, speech.labels[index], speech.speakers[index]), index


def fit_voice(corpora: Iterable[Speech], ordinary: Speech, calibration: Calibration) -> Calibration:
    """The calibration of answers relative to one recording of the ordinary voice.

    Args:
        corpora: Logits on speech of several emotions.
        ordinary: Logits on ordinary speech.
        calibration: Of answers that are not relative.
    """
    neutral, several = ordinary.labels[0], [*corpora, ordinary]
    logs = [calibration.log_probabilities(speech.logits) for speech in several]
    found = [log[speech.labels == neutral] for speech, log in zip(several, logs, strict=True)]
    typical = SHARE * np.mean([each.mean(0) for each in found if len(each)], axis=0)  # of an ordinary voice
    centred = [relative(speech, log, neutral, RECORDINGS[0])[0] for speech, log in zip(several, logs, strict=True)]
    *centred, own = [each._replace(logits=each.logits + typical) for each in centred]
    fitted = fit(centred, own)
    return Calibration(fitted.temperature, fitted.bias + typical / fitted.temperature)


def judge_voice(
    corpora: dict[str, Speech],
    fit_only: Sequence[Speech],
    ordinary: Speech,
    calibrations: dict[str, Calibration],
    after: Calibration,
    names: Sequence[str],
) -> tuple[dict[str, Any] | None, dict[str, dict], dict]:
    """The calibration fitted on all corpora, with its threshold and curve; scores on each corpus; on ordinary speech.

    Each corpus is evaluated with a fit that leaves it out. Without two clips of a speaker of ordinary speech, or a clip
    in the corpora whose speaker has another, neutral one, the calibration is None, and there are no scores.

    Args:
        corpora: By their titles.
        fit_only: Further corpora, in every fit.
        ordinary: Fitted on half of its speakers, evaluated on the others.
        calibrations: Of answers that are not relative: for each corpus the one that leaves it out.
        after: The same, fitted on all corpora.
        names: Of the labels.
    """
    (fitted, unseen), neutral = ordinary.halves(), int(ordinary.labels[0])
    half, other, *found = (
        len(relative(each, each.logits, neutral, RECORDINGS[0])[1]) for each in (fitted, unseen, *corpora.values())
    )
    if not (half and other and any(found)):
        return None, dict.fromkeys(corpora, {}), {}
    voices, judged = dict[str, Calibration](), []
    for title, speech in corpora.items():
        others = [other for name, other in corpora.items() if name != title]
        voice = voices[title] = fit_voice([*others, *fit_only], fitted, calibrations[title])
        log = calibrations[title].log_probabilities(speech.logits)
        shifted, _ = relative(speech, log, neutral, RECORDINGS[0])
        judged.append((voice.log_probabilities(shifted.logits), shifted.labels))
    whole = fit_voice([*corpora.values(), *fit_only], fitted, after)
    points = curve([each for each in judged if len(each[1])])
    shifted, _ = relative(unseen, after.log_probabilities(unseen.logits), neutral, RECORDINGS[0])
    threshold = choose_threshold(points, shifted, whole.log_probabilities(shifted.logits))
    settings = {"temperature": whole.temperature, "bias": whole.bias.tolist(), "certain_threshold": threshold}
    rest = threshold, neutral, names
    scores = {name: measure_voice(corpora[name], calibrations[name], voices[name], *rest) for name in corpora}
    return settings | {"curve": points}, scores, measure_voice(unseen, after, whole, *rest)


def measure_voice(
    speech: Speech, calibration: Calibration, voice: Calibration, threshold: float, neutral: int, names: Sequence[str]
) -> dict[str, dict]:
    """Scores by the number of recordings of the ordinary voice, for the clips of speakers with so many neutral ones.

    Beside the scores of `measure`, "without" is the accuracy on the same clips without such a recording.
    """
    log, scores = calibration.log_probabilities(speech.logits), {}
    for count in RECORDINGS:
        shifted, index = relative(speech, log, neutral, count)
        if len(index):
            without = float((log[index].argmax(1) == shifted.labels).mean())
            found = measure(shifted, voice.log_probabilities(shifted.logits), threshold, names)
            scores[str(count)] = found | {"without": without}
    return scores


__all__ = ["RECORDINGS", "fit_voice", "judge_voice", "measure_voice", "relative"]
