"""The pitch of a voice over time, for the picture of a clip."""

from typing import NamedTuple

import librosa
import numpy as np

LOWEST, HIGHEST = 65.0, 600.0  # Hz
FRAME, HOP = 0.064, 0.016  # seconds
QUIET = 0.1  # of the loudest frame's amplitude; what is below counts as a pause
HISS = 0.2  # zero crossings for each sample, above which a frame is a consonant without pitch


class Pitch(NamedTuple):
    """Fundamental frequency of a voice.

    Attributes:
        times: Centre of each frame in seconds, shape `(frames,)`.
        hertz: Shape `(frames,)`; NaN in pauses and voiceless sounds.
    """

    times: np.ndarray
    hertz: np.ndarray

    def median(self) -> float | None:
        """Of the voiced frames, in Hz; None if there are none."""
        return None if np.isnan(self.hertz).all() else float(np.nanmedian(self.hertz))


def find_pitch(waveform: np.ndarray, sampling_rate: int, start: float = 0.0) -> Pitch:
    """The pitch of a clip by YIN; level and zero crossings decide which frames are voiced.

    Args:
        waveform: Shape `(samples,)`.
        sampling_rate: In Hz.
        start: Time of the first sample in seconds.
    """
    frame, hop = round(FRAME * sampling_rate), round(HOP * sampling_rate)
    hertz = librosa.yin(
        waveform, fmin=LOWEST, fmax=HIGHEST, sr=sampling_rate, frame_length=frame, hop_length=hop
    )  # the first call takes seconds: librosa loads numba then, and not when it is imported
    level = librosa.feature.rms(y=waveform, frame_length=frame, hop_length=hop)[0]
    crossings = librosa.feature.zero_crossing_rate(waveform, frame_length=frame, hop_length=hop)[0]
    inside = (hertz > 1.05 * LOWEST) & (hertz < HIGHEST / 1.05)  # values at the bounds mean that none was found
    voiced = inside & (level > QUIET * level.max()) & (crossings < HISS)
    times = start + np.arange(len(hertz)) * hop / sampling_rate
    return Pitch(times, np.where(voiced, hertz, np.nan))


__all__ = ["Pitch", "find_pitch"]
