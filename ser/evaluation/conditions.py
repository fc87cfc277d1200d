"""The conditions under which robustness is measured: noise, rooms, codecs, levels."""

import functools
import io
from collections.abc import Callable

import audiomentations
import numpy as np
import soundfile
import soxr
from scipy.signal import butter
from scipy.signal import fftconvolve
from scipy.signal import istft
from scipy.signal import sosfilt
from scipy.signal import stft

from ser.files import PROJECT
from ser.reporting.report_file import CLEAN

CODEC_RATE = 16000  # Hz
VOICES = sorted((PROJECT / "ser/examples").glob("*.ogg"))  # synthetic speech, in no corpus
MP3 = {"format": "MP3", "subtype": "MPEG_LAYER_III", "compression_level": 0.95, "bitrate_mode": "CONSTANT"}
OPUS = {"format": "OGG", "subtype": "OPUS", "compression_level": 0.96}
PINK_DB = 3.01  # per octave, by which the spectrum of pink noise falls


def noise(snr_db: float, decay_db: float) -> Callable:
    """Noise at this signal-to-noise ratio, with a spectrum that falls by `decay_db` per octave (0: white, 3: pink)."""
    return audiomentations.AddColorNoise(
        min_snr_db=snr_db, max_snr_db=snr_db, min_f_decay=-decay_db, max_f_decay=-decay_db, p=1.0
    )


def room(waveform: np.ndarray, sample_rate: int, reverberation_time: float) -> np.ndarray:
    """Reverberation: add an echo that decays by 60 dB in `reverberation_time` seconds, as loud as the direct sound."""
    seconds = np.arange(round(reverberation_time * sample_rate)) / sample_rate
    echo = np.random.standard_normal(len(seconds)) * 10 ** (-3 * seconds / reverberation_time)
    echo /= np.sqrt(np.square(echo).sum())
    echo[0] = 1.0
    return fftconvolve(waveform, echo)[: len(waveform)]


def telephone(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Keep 300 to 3,400 Hz."""
    return sosfilt(butter(6, [300, 3400], "bandpass", fs=sample_rate, output="sos"), waveform)


def codec(waveform: np.ndarray, sample_rate: int, how: dict) -> np.ndarray:
    """Encode at about 16 kbit/s and decode, at the sampling rate of the codec."""
    with io.BytesIO() as file:
        soundfile.write(file, np.clip(soxr.resample(waveform, sample_rate, CODEC_RATE), -1, 1), CODEC_RATE, **how)
        file.seek(0)
        return soxr.resample(soundfile.read(file)[0], CODEC_RATE, sample_rate)


def gain(waveform: np.ndarray, sample_rate: int, decibels: float) -> np.ndarray:
    """Change the level, without clipping."""
    return waveform * 10 ** (decibels / 20)


def noise_suppressed(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Spectral subtraction of the noise in the pauses, as browsers and telephones do (Boll 1979)."""
    spectrum = stft(waveform, sample_rate, nperseg=512)[2]  # (bins, frames)
    power = np.square(np.abs(spectrum))
    loudness = power.sum(0)
    background = power[:, loudness <= np.quantile(loudness, 0.1)].mean(1, keepdims=True)
    gain = np.maximum(1 - 3 * background / np.maximum(power, 1e-20), 0.01)  # of the power: reduced by at most 20 dB
    return istft(spectrum * np.sqrt(gain), sample_rate, nperseg=512)[1][: len(waveform)]


def margins(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """A second of digital silence before and after."""
    return np.pad(waveform, sample_rate)


def room_margins(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """A second before and after, with pink noise 35 dB below the clip throughout, as in a quiet room."""
    return noise(35.0, PINK_DB)(margins(waveform, sample_rate), sample_rate)


def clipped(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Cut off the loudest tenth of the samples."""
    limit = np.quantile(np.abs(waveform), 0.9)
    return np.clip(waveform, -limit, limit)


CONDITIONS: dict[str, Callable | None] = {
    CLEAN: None,
    **{f"white noise, {snr} dB": noise(snr, 0.0) for snr in (20, 10, 5)},
    **{f"pink noise, {snr} dB": noise(snr, PINK_DB) for snr in (20, 10, 5)},
    "another voice, 10 dB": audiomentations.AddBackgroundNoise(VOICES, min_snr_db=10.0, max_snr_db=10.0, p=1.0),
    **{f"room, {time} s": functools.partial(room, reverberation_time=time) for time in (0.3, 0.6, 0.9)},
    "telephone band": telephone,
    "MP3, 16 kbit/s": functools.partial(codec, how=MP3),
    "Opus, 16 kbit/s": functools.partial(codec, how=OPUS),
    "20 dB louder": functools.partial(gain, decibels=20.0),
    "20 dB softer": functools.partial(gain, decibels=-20.0),
    "clipped": clipped,
    "noise suppressed": noise_suppressed,
    "silent margins": margins,
    "margins of room noise": room_margins,
    "other microphones": audiomentations.SevenBandParametricEQ(min_gain_db=-10.0, max_gain_db=10.0, p=1.0),
}


__all__ = [
    "CODEC_RATE",
    "CONDITIONS",
    "MP3",
    "OPUS",
    "PINK_DB",
    "VOICES",
    "clipped",
    "codec",
    "gain",
    "margins",
    "noise",
    "noise_suppressed",
    "room",
    "room_margins",
    "telephone",
]
