"""Log-mel spectrogram and hand-made frame features, by librosa's definitions, from one shared spectrogram.

Frames are centred, but for those of `mean_energy`: frame `t` covers the samples around `t * hop_length`, the clip being
padded on both sides.

    samples      |----------------------------|
    frame 0   [---+---]
    frame 1       [---+---]          hop_length apart, n_fft long
    frame 2           [---+---]
"""

from functools import cached_property

import numpy as np
import torch
from torch.nn import functional as F

ROLLOFF_SHARE = 0.85
SILENCE = 1e-10  # librosa's floor for powers (amin) and for the amplitudes that count as a zero crossing


class Frames:
    """One waveform cut into frames; what several features need is computed once, on first use.

    Args:
        waveform: Float32, shape `(samples,)`.
        sampling_rate: In Hz.
        n_fft: Frame length and FFT size, in samples.
        hop_length: Step between frames, in samples.
        mel_filters: Shape `(n_mels, n_fft // 2 + 1)`, sparse, since each filter covers a few bins only.
        top_db: Dynamic range in dB kept below the loudest mel cell, or None for all of it.
        band_top_db: Dynamic range in dB kept in each mel band below its own loudest frame, or None for all of it.
        db_reference: "one" for absolute dB, "max" for dB relative to the clip's loudest mel cell.
    """

    def __init__(
        self,
        waveform: np.ndarray,
        *,
        sampling_rate: int,
        n_fft: int,
        hop_length: int,
        mel_filters: torch.Tensor | None,
        top_db: float | None,
        band_top_db: float | None,
        db_reference: str,
    ):
        self.waveform = np.ascontiguousarray(waveform)  # torch takes none that runs backwards
        self.sampling_rate = sampling_rate
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.mel_filters = mel_filters
        self.top_db = top_db
        self.band_top_db = band_top_db
        self.db_reference = db_reference

    @cached_property
    def starts(self) -> np.ndarray:
        """First sample of each frame in the padded waveform, shape `(frames,)`."""
        return np.arange(1 + len(self.waveform) // self.hop_length) * self.hop_length

    @cached_property
    def magnitude(self) -> torch.Tensor:
        """Magnitude spectrogram, shape `(n_fft // 2 + 1, frames)`."""
        spectrum = torch.stft(
            torch.from_numpy(self.waveform),
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            window=torch.hann_window(self.n_fft),
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        return torch.from_numpy(np.abs(spectrum.numpy()))  # twice as fast as torch's

    @cached_property
    def double_magnitude(self) -> torch.Tensor:
        """The same in double, for sums over it, shape `(n_fft // 2 + 1, frames)`."""
        return self.magnitude.double()

    @cached_property
    def frequencies(self) -> torch.Tensor:
        """Centre of each FFT bin in Hz, shape `(n_fft // 2 + 1,)`."""
        return torch.from_numpy(np.fft.rfftfreq(self.n_fft, 1 / self.sampling_rate))

    @cached_property
    def spectral_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and mean square frequency of each frame, weighted by magnitude, each of shape `(frames,)`."""
        powers = torch.stack([torch.ones_like(self.frequencies), self.frequencies, self.frequencies.square()])
        total, first, second = (powers @ self.double_magnitude).numpy()
        total = np.where(total < np.finfo(np.float32).tiny, 1.0, total)  # digital silence stays zero
        return first / total, second / total

    def sum_over_frames(self, samples: torch.Tensor) -> np.ndarray:
        """Sum of `samples` (double, zeros outside the clip) within each frame, shape `(frames,)`."""
        half = self.n_fft // 2
        cumulative = F.pad(samples, (half + 1, half)).cumsum(0).numpy()
        return cumulative[self.starts + self.n_fft] - cumulative[self.starts]

    @cached_property
    def samples(self) -> torch.Tensor:
        """The waveform in double, since differences of long sums need it, shape `(samples,)`."""
        return torch.from_numpy(self.waveform).double()

    @cached_property
    def frame_sum(self) -> np.ndarray:
        """Sum of the samples of each frame, shape `(frames,)`."""
        return self.sum_over_frames(self.samples)

    @cached_property
    def frame_energy(self) -> np.ndarray:
        """Sum of the squared samples of each frame, shape `(frames,)`."""
        return np.maximum(self.sum_over_frames(self.samples.square()), 0.0)


def log_mel(frames: Frames) -> np.ndarray:
    """Mel spectrogram in dB, shape `(frames, n_mels)` (librosa.power_to_db of librosa.feature.melspectrogram)."""
    with torch.autocast("cpu", enabled=False):  # bfloat16 has no sparse product
        mel = torch.sparse.mm(frames.mel_filters, frames.magnitude.square())
    decibels = 10.0 * torch.log10(torch.clamp(mel, min=SILENCE))
    return limit_range(
        decibels.T.numpy(), top_db=frames.top_db, band_top_db=frames.band_top_db, db_reference=frames.db_reference
    )


def limit_range(
    decibels: np.ndarray, *, top_db: float | None, band_top_db: float | None, db_reference: str
) -> np.ndarray:
    """Refer a mel spectrogram in dB, shape `(frames, n_mels)`, to its loudest cell, and cut what is too far below."""
    loudest = decibels.max()
    if db_reference == "max":
        decibels, loudest = decibels - loudest, np.float32(0.0)
    if top_db is not None:
        decibels = np.maximum(decibels, loudest - np.float32(top_db))
    return decibels if band_top_db is None else np.maximum(decibels, decibels.max(0) - np.float32(band_top_db))


def zero_crossing_rate(frames: Frames) -> np.ndarray:
    """Share of neighbouring samples with opposite signs in each frame, shape `(frames,)`."""
    half = frames.n_fft // 2
    padded = np.pad(frames.waveform, half, mode="edge")
    negative = padded < -SILENCE
    crossings = np.zeros(len(padded), dtype=np.int64)
    np.cumsum(negative[1:] != negative[:-1], out=crossings[1:])
    return (crossings[frames.starts + frames.n_fft - 1] - crossings[frames.starts]) / frames.n_fft


def energy(frames: Frames) -> np.ndarray:
    """Sum of squared samples of each frame, shape `(frames,)`."""
    return frames.frame_energy


def mean_energy(frames: Frames) -> np.ndarray:
    """Mean squared sample of each frame, shape `(frames,)`; these frames begin, not centre, at `t * hop_length`.

    The last ones are shorter, and are averaged over the samples that they have.
    """
    ends = np.minimum(frames.starts + frames.n_fft, len(frames.waveform))
    cumulative = F.pad(frames.samples.square(), (1, 0)).cumsum(0).numpy()
    total = np.maximum(cumulative[ends] - cumulative[frames.starts], 0.0)
    return total / np.maximum(ends - frames.starts, 1)


def rms(frames: Frames) -> np.ndarray:
    """Root of the mean squared sample of each frame, shape `(frames,)`."""
    return np.sqrt(frames.frame_energy / frames.n_fft)


def frame_mean(frames: Frames) -> np.ndarray:
    """Mean sample of each frame, shape `(frames,)`."""
    return frames.frame_sum / frames.n_fft


def frame_std(frames: Frames) -> np.ndarray:
    """Standard deviation of the samples of each frame, shape `(frames,)`."""
    return np.sqrt(np.maximum(frames.frame_energy / frames.n_fft - frame_mean(frames) ** 2, 0.0))


def spectral_centroid(frames: Frames) -> np.ndarray:
    """Mean frequency of each frame in Hz, shape `(frames,)`."""
    return frames.spectral_moments[0]


def spectral_bandwidth(frames: Frames) -> np.ndarray:
    """Spread around the centroid of each frame in Hz, shape `(frames,)`."""
    mean, mean_square = frames.spectral_moments
    return np.sqrt(np.maximum(mean_square - mean**2, 0.0))


def spectral_rolloff(frames: Frames) -> np.ndarray:
    """Frequency in Hz below which 85 % of the magnitude lies, shape `(frames,)`."""
    cumulative = frames.double_magnitude.cumsum(dim=0)
    below = cumulative < ROLLOFF_SHARE * cumulative[-1]
    return frames.frequencies[below.sum(dim=0)].numpy()


FEATURES = {
    function.__name__: function
    for function in (
        log_mel,
        zero_crossing_rate,
        rms,
        energy,
        mean_energy,
        frame_mean,
        frame_std,
        spectral_centroid,
        spectral_bandwidth,
        spectral_rolloff,
    )
}


def loud_span(waveform: np.ndarray, *, top_db: float, frame_length: int, hop_length: int) -> slice:
    """Samples without leading and trailing frames more than `top_db` dB below the loudest (librosa.effects.trim).

    Of a clip of digital silence these are all.
    """
    frames = Frames(
        waveform,
        sampling_rate=1,
        n_fft=frame_length,
        hop_length=hop_length,
        mel_filters=None,
        top_db=None,
        band_top_db=None,
        db_reference="one",
    )
    mean_square = np.maximum(frames.frame_energy / frame_length, SILENCE)
    loud = np.flatnonzero(10.0 * np.log10(mean_square / mean_square.max()) > -top_db)
    return slice(int(loud[0]) * hop_length, min(len(waveform), (int(loud[-1]) + 1) * hop_length))


def wiener_filter(waveform: np.ndarray, *, size: int = 3) -> np.ndarray:
    """Adaptive Wiener filter over `size` samples, its noise power the mean local variance (scipy.signal.wiener)."""
    window = np.full(size, 1 / size)
    samples = waveform.astype(np.float64)
    within = slice(size // 2, size // 2 + len(samples))  # mode="same" makes clips shorter than the window longer
    mean = np.convolve(samples, window)[within]
    variance = np.convolve(samples**2, window)[within] - mean**2
    noise = variance.mean()
    gain = np.divide(variance - noise, variance, out=np.zeros_like(variance), where=variance > noise)
    return (mean + gain * (samples - mean)).astype(np.float32)


__all__ = ["FEATURES", "Frames", "loud_span", "wiener_filter"]
