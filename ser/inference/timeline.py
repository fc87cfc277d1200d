"""Emotions over time: a long recording in overlapping windows, about as long as training clips."""

import csv
import io
import json
from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from ser.inference.centering import centred
from ser.inference.centering import log_probabilities
from ser.inference.loading import labels_of
from ser.inference.voice_activity import has_speech
from ser.models.audio_ser import as_sound
from ser.models.audio_ser import check_duration
from ser.models.audio_ser import check_samples
from ser.models.audio_ser import is_silent
from ser.models.audio_ser import mix_down
from ser.models.audio_ser import open_sound
from ser.models.ordinary_voice_ser import relative_to
from ser.models.pipeline_ser import SERPipeline

WINDOW, HOP = 3.0, 1.5  # seconds
BLOCK = 30.0  # seconds read at a time, at most
BATCH, WORKERS = 16, 2  # windows in a batch, and batches at a time
MOST_VALUES = 2_000_000  # samples of all channels decoded at a time
FORMATS = {"start": ".3f", "end": ".3f", "level_db": ".1f", "speech": "", "emotion": "", "probability": ".4f"}


def read_blocks(
    path: str | Path, sampling_rate: int, start: float = 0.0, end: float | None = None
) -> Iterator[np.ndarray]:
    """A file, or the part between two times in seconds, in mono float32 blocks of shape `(samples,)`.

    It is resampled to `sampling_rate` Hz and never whole in memory.

    Raises:
        ValueError: It does not decode, or `check_samples` refuses its samples.
    """
    try:
        with as_sound(path) as sound, open_sound(sound) as file:
            stream = soxr.ResampleStream(file.samplerate, sampling_rate, 1, dtype="float32")
            size = max(1, min(round(BLOCK * file.samplerate), MOST_VALUES // file.channels))
            file.seek(round(start * file.samplerate))
            remaining = file.frames if end is None else round((end - start) * file.samplerate)
            # Not file.blocks(): for a truncated file, it yields uninitialized memory.
            while len(block := file.read(min(size, remaining), dtype="float32", always_2d=True)):
                remaining -= len(block)
                mono = mix_down(block)
                check_samples(mono, file.samplerate)
                yield stream.resample_chunk(mono)
            yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{str(path)!r} could not be decoded ({error}); expected WAV, FLAC, Ogg or MP3") from error


def windows(blocks: Iterator[np.ndarray], sampling_rate: int) -> Iterator[tuple[float, np.ndarray]]:
    """Start in seconds and samples of each window; the last one ends with the recording and may be shorter."""
    size, hop = round(WINDOW * sampling_rate), round(HOP * sampling_rate)
    buffer, start = np.zeros(0, np.float32), 0
    for block in blocks:
        buffer = np.concatenate([buffer, block])
        while len(buffer) > size:  # at equality it may be the last one
            yield start / sampling_rate, buffer[:size]
            buffer, start = buffer[hop:], start + hop
    if len(buffer):
        yield start / sampling_rate, buffer


def analyse(path: str | Path, classifier: SERPipeline, progress: Callable[[float], None] | None = None) -> list[dict]:
    """Classify each window of a recording.

    Args:
        path: WAV, FLAC, Ogg or MP3, of any length; with ffmpeg also M4A, WebM and the like, up to three hours.
        classifier: A pipeline of one of our models.
        progress: Called with the seconds done so far.

    Returns:
        For each window "start" and "end" in seconds, "level_db" relative to full scale, "speech" (whether anybody
        speaks), "emotion" and its "probability", both None where nobody does, and the "probabilities" of all, which are
        equal where it is silent.

    Raises:
        ValueError: As `read_blocks`, or the file holds too few samples.
    """
    sampling_rate, rows = classifier.feature_extractor.sampling_rate, []
    remaining = windows(read_blocks(path, sampling_rate), sampling_rate)
    with ThreadPoolExecutor(WORKERS) as pool:
        while several := list(islice(remaining, BATCH * WORKERS)):
            batches = [several[first : first + BATCH] for first in range(0, len(several), BATCH)]
            for batch in pool.map(lambda batch: classify_batch(batch, classifier), batches):
                rows += batch
            if progress:
                progress(rows[-1]["end"])
    if not rows:
        raise ValueError("the audio holds no samples, or too few to classify; record or choose a longer clip")
    check_duration(rows[-1]["end"])
    return rows


def classify_batch(batch: list[tuple[float, np.ndarray]], classifier: SERPipeline) -> list[dict]:
    """A row, as `analyse` returns them, for each window: its start in seconds and its samples."""
    rate, rows = classifier.feature_extractor.sampling_rate, []
    audible: Any = [waveform for _, waveform in batch if not is_silent(waveform)]  # typed for one clip only
    labels = labels_of(classifier.model)
    answers: Any = iter(classifier(audible, batch_size=BATCH, top_k=len(labels)) if audible else ())
    undecided = [{"label": label, "score": 1 / len(labels)} for label in labels]
    for start, waveform in batch:
        answer = undecided if is_silent(waveform) else next(answers)
        level, speech = 10 * np.log10(np.mean(np.square(waveform)) + 1e-10), has_speech(waveform, rate)
        rows.append(
            {
                "start": round(start, 3),
                "end": round(start + len(waveform) / rate, 3),
                "level_db": round(float(level), 1),
                "speech": speech,
                "emotion": answer[0]["label"] if speech else None,
                "probability": answer[0]["score"] if speech else None,
                "probabilities": {entry["label"]: entry["score"] for entry in answer},
            }
        )
    return rows


def relative_to_recording(rows: list[dict]) -> list[dict]:
    """The windows relative to the mean log-probabilities of the recording, so that unusual ones stand out.

    This assumes that the recording contains several emotions: if one dominates, it is subtracted, and they mislead.
    Windows without speech do not change, nor does a single one with speech.

    Args:
        rows: Returned by `analyse`; not modified.
    """
    if sum(row["speech"] for row in rows) < 2:
        return rows
    labels = list(rows[0]["probabilities"])
    log = log_of_speech(rows, labels)
    return _with_speech(rows, labels, centred(log, ["recording"] * len(log)))


def relative_to_voice(rows: list[dict], labels: list[str], voice: np.ndarray, settings: dict[str, Any]) -> list[dict]:
    """The windows relative to the ordinary voice of the speaker; those without speech do not change.

    Args:
        rows: Returned by `analyse`; not modified.
        labels: Of the model, in the order of its logits.
        voice: Mean of `log_of_speech` over windows of ordinary speech, shape `(num_labels,)`.
        settings: `ordinary_voice` in the configuration of the model.
    """
    return _with_speech(rows, labels, relative_to(voice, log_of_speech(rows, labels), settings))


def log_of_speech(rows: list[dict], labels: list[str]) -> np.ndarray:
    """Log-probabilities of the windows with speech, shape `(windows, num_labels)`."""
    values = [[row["probabilities"][label] for label in labels] for row in rows if row["speech"]]
    return log_probabilities(np.reshape(values, (-1, len(labels))))


def _with_speech(rows: list[dict], labels: list[str], log: np.ndarray) -> list[dict]:
    """The windows with other log-probabilities for those with speech."""
    values = iter(np.exp(log).tolist())
    return [row | _answer(dict(zip(labels, next(values), strict=True))) if row["speech"] else row for row in rows]


def _answer(probabilities: dict[str, float]) -> dict:
    """The cells of a window with speech; most probable emotion first, as in `analyse`."""
    ordered = dict(sorted(probabilities.items(), key=lambda item: -item[1]))
    emotion = next(iter(ordered))
    return {"emotion": emotion, "probability": ordered[emotion], "probabilities": ordered}


def overall(rows: list[dict]) -> dict[str, float] | None:
    """The mean probability of each emotion over the windows in which somebody speaks; None if nobody does."""
    speech = [row["probabilities"] for row in rows if row["speech"]]
    if not speech:
        return None
    return {label: float(np.mean([each[label] for each in speech])) for label in speech[0]}


def to_csv(rows: list[dict]) -> str:
    """The windows as a table: one column for each of `FORMATS`, then the probability of each emotion."""
    labels = sorted(rows[0]["probabilities"]) if rows else []
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*FORMATS, *labels])
    for row in rows:
        values = ["" if row[name] is None else format(row[name], spec) for name, spec in FORMATS.items()]
        writer.writerow([*values, *(f"{row['probabilities'][label]:.4f}" for label in labels)])
    return text.getvalue()


def to_json(rows: list[dict], model: str) -> str:
    """The windows with the name of the model and the lengths of window and step in seconds."""
    return json.dumps({"model": model, "window": WINDOW, "hop": HOP, "windows": rows}, indent=1)


__all__ = [
    "HOP",
    "WINDOW",
    "analyse",
    "log_of_speech",
    "overall",
    "read_blocks",
    "relative_to_recording",
    "relative_to_voice",
    "to_csv",
    "to_json",
    "windows",
]
