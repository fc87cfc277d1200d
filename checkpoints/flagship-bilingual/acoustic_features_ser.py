"""Log-mel spectrogram and hand-made frame features, by librosa's definitions, from one shared spectrogram.

Frames are centred, except those of `mean_energy`: frame `t` covers the samples around `t * hop_length`, and the clip is
padded on both sides.

    samples      |----------------------------|
    frame 0   [---+---]
    frame 1       [---+---]          hop_length apart, n_fft long
    frame 2           [---+---]
"""

import math
from functools import cached_property
from functools import lru_cache

import numpy as np
import torch

ROLLOFF_SHARE = 0.85
SILENCE = 1e-10  # librosa's floor for powers (amin) and for the amplitudes that count as a zero crossing
TO_DB = np.float32(10 / math.log(10))
QUIET_SHARE = 0.05  # share of the frames, which hold nothing but noise
OVERSUBTRACTION, RESIDUE = 2.0, 0.3  # times the noise: what is subtracted, and the constant that stays
# Rows, bands and bins of one matrix product: for larger ones, BLAS starts threads beside those of torch.
ROWS, BANDS, BINS = 32, 16, 16


@lru_cache
def hann_window(size: int) -> torch.Tensor:
    """Periodic, shape `(size,)`."""
    return torch.hann_window(size)


@lru_cache
def moment_weights(blocks: int) -> np.ndarray:
    """Weights that turn `Frames.block_moments` into moments of order 0, 1 and 2 of a frame, shape `(3, blocks, 3)`."""
    start = np.arange(0.0, blocks * BINS, BINS)
    one, none = np.ones_like(start), np.zeros_like(start)
    # (start + i)^k in powers of i
    return np.array([[one, none, none], [start, one, none], [start**2, 2 * start, one]]).swapaxes(1, 2).copy()


class MelFilters:
    """A mel filter bank as a few dense blocks, since each filter covers only neighbouring bins.

    Args:
        matrix: Shape `(n_fft // 2 + 1, n_mels)`.
    """

    def __init__(self, matrix: np.ndarray):
        self.matrix = matrix.astype(np.float32)
        self.blocks = []
        for first in range(0, matrix.shape[1], BANDS):
            bands = slice(first, first + BANDS)
            used = np.flatnonzero(self.matrix[:, bands].any(axis=1))
            bins = slice(used.min(initial=len(matrix)), used.max(initial=-1) + 1)
            self.blocks.append((bands, bins, np.ascontiguousarray(self.matrix[bins, bands])))

    def __call__(self, magnitude: np.ndarray) -> np.ndarray:
        """Mel powers, shape `(frames, n_mels)`, of magnitudes, shape `(frames, n_fft // 2 + 1)`."""
        (frames, bins), n_mels = magnitude.shape, self.matrix.shape[1]
        rows = -(-frames // ROWS) * ROWS
        power, mel = np.empty((rows, bins), dtype=np.float32), np.empty((rows, n_mels), dtype=np.float32)
        np.square(magnitude, out=power[:frames])
        power[frames:] = 0.0
        for bands, used, weights in self.blocks:
            np.matmul(power.reshape(-1, ROWS, bins)[..., used], weights, out=mel.reshape(-1, ROWS, n_mels)[..., bands])
        return mel[:frames]


def frame_sums(values: np.ndarray, n_fft: int, hop_length: int, *, before: int) -> np.ndarray:
    """Sum of `values`, shape `(samples,)`, within each frame, shape `(frames,)`; overlaps are summed once.

    The first frame begins `before` values before the first.
    """
    step = math.gcd(n_fft // 2, hop_length)
    blocks = np.add.reduceat(values, np.arange(0, len(values), step))
    below = np.concatenate([[0.0], blocks]).cumsum()
    first = (np.arange(0, len(values) + 1, hop_length) - before) // step
    return below.take(first + n_fft // step, mode="clip") - below.take(first, mode="clip")


class Frames:
    """One waveform cut into frames; intermediate results are computed on first use and shared by the features.

    Args:
        waveform: Float32, shape `(samples,)`.
        sampling_rate: In Hz.
        n_fft: Frame length and FFT size, in samples.
        hop_length: Step between frames, in samples.
        mel_filters: Of `log_mel`.
        top_db: Dynamic range in dB kept below the loudest mel cell, or None for all of it.
        band_top_db: Dynamic range in dB kept in each mel band below its own loudest frame, or None for all of it.
        db_reference: "one" for absolute dB, "max" for dB relative to the clip's loudest mel cell.
        subtract_noise: Whether `log_mel` is without the power of the clip's quietest frames.
    """

    def __init__(
        self,
        waveform: np.ndarray,
        *,
        sampling_rate: int,
        n_fft: int,
        hop_length: int,
        mel_filters: MelFilters,
        top_db: float | None,
        band_top_db: float | None,
        db_reference: str,
        subtract_noise: bool,
    ):
        self.waveform = np.ascontiguousarray(waveform)  # torch accepts no negative strides
        self.sampling_rate = sampling_rate
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.mel_filters = mel_filters
        self.top_db = top_db
        self.band_top_db = band_top_db
        self.db_reference = db_reference
        self.subtract_noise = subtract_noise

    def __len__(self) -> int:
        return 1 + len(self.waveform) // self.hop_length

    @cached_property
    def magnitude(self) -> np.ndarray:
        """Magnitude spectrogram, shape `(frames, n_fft // 2 + 1)`."""
        spectrum = torch.stft(
            torch.from_numpy(self.waveform),
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            window=hann_window(self.n_fft),
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        return np.abs(spectrum.numpy().T)  # twice as fast as torch's

    @cached_property
    def block_moments(self) -> np.ndarray:
        """Sums of magnitudes times `i**0`, `i**1` and `i**2` over blocks of bins `i`, shape `(frames, blocks, 3)`."""
        frames, bins = self.magnitude.shape
        blocks, rest = divmod(bins, BINS)
        powers = (np.arange(BINS)[:, None] ** np.arange(3)).astype(np.float32)
        whole = self.magnitude[:, : blocks * BINS].reshape(frames, blocks, BINS) @ powers
        last = self.magnitude[:, None, blocks * BINS :] @ powers[:rest]
        return np.concatenate([whole, last], axis=1, dtype=np.float64)

    @cached_property
    def spectral_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and mean square frequency of each frame, weighted by magnitude, each of shape `(frames,)`."""
        total, first, second = np.einsum("fbi,kbi->kf", self.block_moments, moment_weights(self.block_moments.shape[1]))
        total = np.where(total < np.finfo(np.float32).tiny, 1.0, total)  # digital silence stays zero
        return first / total * self.bin_width, second / total * self.bin_width**2

    @property
    def bin_width(self) -> float:
        """In Hz."""
        return self.sampling_rate / self.n_fft

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum of some values of the clip's samples, shape `(samples,)`, within each frame, shape `(frames,)`."""
        return frame_sums(values, self.n_fft, self.hop_length, before=self.n_fft // 2)

    @cached_property
    def frame_sum(self) -> np.ndarray:
        """Sum of the samples of each frame, shape `(frames,)`."""
        return self.sums(self.waveform.astype(np.float64))  # which nearly cancel out

    @cached_property
    def frame_energy(self) -> np.ndarray:
        """Sum of the squared samples of each frame, shape `(frames,)`."""
        return self.sums(np.square(self.waveform))


def log_mel(frames: Frames) -> np.ndarray:
    """Mel spectrogram in dB, shape `(frames, n_mels)` (librosa.power_to_db of librosa.feature.melspectrogram)."""
    power = frames.mel_filters(frames.magnitude)
    if frames.subtract_noise:
        power = subtract_noise(power)
    decibels = to_decibels(power)
    return limit_range(decibels, top_db=frames.top_db, band_top_db=frames.band_top_db, db_reference=frames.db_reference)


def to_decibels(power: np.ndarray) -> np.ndarray:
    """Power in dB, any shape; `power` is overwritten."""
    np.maximum(power, SILENCE, out=power)
    np.log(power, out=power)
    power *= TO_DB
    return power


def quiet_power(power: np.ndarray) -> np.ndarray:
    """Mean power of the quietest frames, in which nobody speaks: `(frames, n_mels)` to `(n_mels,)`."""
    loudness = power.sum(1)
    last = int(QUIET_SHARE * (len(loudness) - 1))
    return power[loudness <= np.partition(loudness, last)[last]].mean(0)


def subtract_noise(power: np.ndarray) -> np.ndarray:
    """Spectral subtraction (Boll 1979, IEEE TASSP 27(2)) of a steady noise, `(frames, n_mels)` in and out.

    The pauses keep a constant rest of the noise: what flickers there would look like speech.
    """
    noise = quiet_power(power)
    return np.maximum(power - OVERSUBTRACTION * noise, 0.0) + RESIDUE * noise


def limit_range(
    decibels: np.ndarray, *, top_db: float | None, band_top_db: float | None, db_reference: str
) -> np.ndarray:
    """Normalise a mel spectrogram in dB, shape `(frames, n_mels)`, to its loudest cell, and limit its dynamic range."""
    loudest = decibels.max()
    if db_reference == "max":
        decibels, loudest = decibels - loudest, np.float32(0.0)
    if top_db is not None:
        decibels = np.maximum(decibels, loudest - np.float32(top_db))
    return decibels if band_top_db is None else np.maximum(decibels, decibels.max(0) - np.float32(band_top_db))


def zero_crossing_rate(frames: Frames) -> np.ndarray:
    """Share of neighbouring samples with opposite signs in each frame, shape `(frames,)`."""
    negative = frames.waveform < -SILENCE
    crossings = np.append(negative[1:] != negative[:-1], False)  # from each sample to the next
    ends = np.arange(len(frames)) * frames.hop_length + frames.n_fft // 2 - 1
    within = frames.sums(crossings.view(np.uint8)) - crossings.take(ends, mode="clip")
    return within / frames.n_fft


def energy(frames: Frames) -> np.ndarray:
    """Sum of squared samples of each frame, shape `(frames,)`."""
    return frames.frame_energy


def mean_energy(frames: Frames) -> np.ndarray:
    """Mean squared sample of each frame, shape `(frames,)`; these frames begin, not centre, at `t * hop_length`.

    The last ones are shorter, and are averaged over the samples that they have.
    """
    total = frame_sums(np.square(frames.waveform), frames.n_fft, frames.hop_length, before=0)
    left = len(frames.waveform) - np.arange(len(frames)) * frames.hop_length
    return total / np.clip(left, 1, frames.n_fft)


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
    sums = np.ascontiguousarray(frames.block_moments[..., 0])
    below = sums.cumsum(axis=1)
    wanted = ROLLOFF_SHARE * below[:, -1]
    block = (below >= wanted[:, None]).argmax(axis=1)  # first the block that reaches it, then the bin in the block
    rows = np.arange(len(frames))
    missing = wanted - (below - sums)[rows, block]
    first = rows * frames.magnitude.shape[1] + block * BINS
    within = frames.magnitude.take(first[:, None] + np.arange(BINS), mode="clip").cumsum(axis=1, dtype=np.float64)
    return (block * BINS + (within < missing[:, None]).sum(axis=1)) * frames.bin_width


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

    Digital silence is not trimmed.
    """
    energy = frame_sums(np.square(waveform), frame_length, hop_length, before=frame_length // 2)
    mean_square = np.maximum(energy / frame_length, SILENCE)
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


__all__ = ["FEATURES", "Frames", "loud_span", "quiet_power", "subtract_noise", "to_decibels", "wiener_filter"]
