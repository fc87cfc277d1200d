"""Whether anybody speaks in a recording, by Silero VAD, so that noise and most music are not classified."""

from functools import cache
from typing import Any

import numpy as np
import soxr
from silero_vad import load_silero_vad

from ser.models.audio_ser import is_silent

RATE = 16000  # Hz, of the detector
SPEECH = 0.3  # probability from which a frame counts as speech
FRAMES = 8  # of 32 ms, that must count as speech: music and hum often have one or two; 99.6 % of CREMA-D has eight


@cache
def load_detector() -> Any:
    """The network, in its ONNX form (Silero Team, github.com/snakers4/silero-vad)."""
    return load_silero_vad(sequence=True)


def speech_frames(waveform: np.ndarray, sampling_rate: int) -> np.ndarray:
    """The probability of speech in each 32 ms of a waveform of shape `(samples,)`; nothing where it is silent."""
    if is_silent(waveform):
        return np.zeros(0, np.float32)
    peak = float(np.abs(waveform).max())
    if sampling_rate != RATE:
        waveform = soxr.resample(waveform, sampling_rate, RATE)
    return load_detector().audio_forward(waveform * np.float32(0.5 / peak), RATE).ravel()


def has_speech(waveform: np.ndarray, sampling_rate: int) -> bool:
    """Whether anybody speaks in a waveform of shape `(samples,)`, at a rate in Hz.

    The loudness of the recording makes no difference, unless it is silent.
    """
    frames = speech_frames(waveform, sampling_rate)
    return bool(frames.size and np.sum(frames >= SPEECH) >= np.clip(frames.size / 2, 1, FRAMES))  # half of a short clip


__all__ = ["SPEECH", "has_speech", "speech_frames"]
