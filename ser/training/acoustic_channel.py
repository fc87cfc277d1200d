"""Simulates another room, microphone, line and background noise on a log-mel image.

Powers of independent sounds add up, an echo is a decaying sum over earlier frames, and a frequency response is a curve
added in dB. So features need not be extracted again in each epoch: `Channel` takes one or two milliseconds per clip,
a tenth of the time for changing and transforming the waveform. Random numbers come from numpy's global generator, which
`Trainer` seeds, stores in checkpoints and restores.
"""

import numpy as np
from scipy.signal import lfilter

from ser.models.acoustic_features_ser import QUIET_SHARE
from ser.models.acoustic_features_ser import quiet_power
from ser.models.feature_extraction_ser import SERFeatureExtractor

KNOTS = 6  # of a random curve over the mel bands
FAINTEST = 1e-12  # power, relative to full scale
SNR_DB = (0.0, 40.0)
VOICE_SNR_DB = (5.0, 30.0)
FLOOR_SNR_DB = (5.0, 50.0)
OVERSUBTRACTION, RESIDUE_DB = 4.0, -30.0  # of the noise suppressor
REVERBERATION_TIME = (0.15, 1.0)  # seconds to a fall by 60 dB
DIRECT_TO_REVERBERANT_DB = (-3.0, 15.0)
TELEPHONE_HZ = (300.0, 3400.0)
LOW_PASS_HZ = (3000.0, 8000.0)
NOISE_CURVE_DB = 8.0
NOISE_FRAMES = 16384  # a few minutes, from which a random stretch is taken
NOISE_TILT_DB = (-9.0, 3.0)  # an octave: hum and rumble to hiss
NARROW_BAND_SLOPE_DB = (12.0, 96.0)  # an octave
MARGIN_SECONDS = 0.5
LOWEST_HZ = 50.0  # below it, the tilt goes no further
HANN_BINS = 1.5  # equivalent noise bandwidth of the Hann window, in bins


class Channel:
    """Draws another recording of the same speech: `(frames, n_mels)` in dB, in and out.

    Args:
        extractor: The extractor of the images; its only feature is `log_mel`.
        probability: Of a room, of background noise, of a narrow band and of margins of silence, each.
        floor_probability: Of another noise floor in place of the recording's own.
        voice_probability: Of another voice in the background.
        equalizer_db: Largest boost or cut by the microphone, in dB; 0 for none.
    """

    def __init__(
        self,
        extractor: SERFeatureExtractor,
        *,
        probability: float = 0.0,
        floor_probability: float = 0.0,
        voice_probability: float = 0.0,
        equalizer_db: float = 0.0,
    ):
        self.probability = probability
        self.floor_probability = floor_probability
        self.voice_probability = voice_probability
        self.equalizer_db = equalizer_db
        filters = extractor.mel_filters.matrix.T.astype(np.float64)
        weights = filters / np.maximum(filters.sum(1, keepdims=True), FAINTEST)
        self.centres = weights @ np.linspace(0, extractor.sampling_rate / 2, filters.shape[1])  # Hz
        self.bandwidths = np.gradient(self.centres)
        # The number of independent noise components in each cell; the fewer there are, the more it fluctuates.
        parts = 1 / np.clip(HANN_BINS * np.square(weights).sum(1), FAINTEST, 1.0)
        # Drawn once, as this takes longer than all the rest, and the same in all processes.
        self.flicker = np.random.default_rng(0).gamma(parts, 1 / parts, (NOISE_FRAMES, len(parts)))
        self.seconds_a_frame = extractor.hop_length / extractor.sampling_rate

    def __call__(self, image: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The image of another recording, at any level; `other` is the image of a possible voice in the background."""
        power = 10 ** (image / 10)
        if self._happens(self.floor_probability):
            power = self.add_noise(self.suppress_noise(power), _decibels(FLOOR_SNR_DB))
        if self._happens(self.probability):
            power = self.add_margins(power)
        # Draws no number if it is off, so that older recipes give exactly the same results.
        if self.voice_probability and self._happens(self.voice_probability):
            power = self.add_voice(power, 10 ** (other / 10), _decibels(VOICE_SNR_DB))
        if self._happens(self.probability):
            power = self.reverberate(power, np.random.uniform(*REVERBERATION_TIME), _decibels(DIRECT_TO_REVERBERANT_DB))
        if self._happens(self.probability):
            power = self.add_noise(power, _decibels(SNR_DB))
        curve = self.random_curve(self.equalizer_db)
        if self._happens(self.probability):
            curve = curve + self.narrow_band()
        return (10 * np.log10(np.maximum(power, FAINTEST)) + curve).astype(np.float32)

    def _happens(self, probability: float) -> bool:
        return np.random.random() < probability

    def suppress_noise(self, power: np.ndarray) -> np.ndarray:
        """Subtract the noise between the words, as browsers and telephones do (Boll 1979, IEEE TASSP 27(2)).

        In a corpus recorded with one microphone, the noise level reveals how loud the voice was (`ser noise-floor`).
        That does not hold in other recordings: a model that relies on it predicts anger wherever a room is quiet.
        """
        return np.maximum(power - OVERSUBTRACTION * quiet_power(power), power * 10 ** (RESIDUE_DB / 10))

    def random_curve(self, largest_db: float) -> np.ndarray:
        """A smooth curve over the bands within +-`largest_db`, shape `(n_mels,)`."""
        knots = np.random.uniform(-largest_db, largest_db, KNOTS)
        return np.interp(np.linspace(0, KNOTS - 1, len(self.centres)), range(KNOTS), knots)

    def noise(self, frames: int) -> np.ndarray:
        """Power of a steady noise of a random colour, shape `(frames, n_mels)`."""
        tilt = np.random.uniform(*NOISE_TILT_DB) * np.log2(np.maximum(self.centres, LOWEST_HZ) / LOWEST_HZ)
        colour = 10 ** ((self.random_curve(NOISE_CURVE_DB) + tilt) / 10)
        start = np.random.randint(NOISE_FRAMES)
        return colour * self.flicker.take(range(start, start + frames), axis=0, mode="wrap")

    def add_noise(self, power: np.ndarray, snr: float) -> np.ndarray:
        """Speech and noise together, the speech's power being `snr` times that of the noise."""
        return self.add(power, self.noise(len(power)), snr)

    def add_voice(self, power: np.ndarray, other: np.ndarray, snr: float) -> np.ndarray:
        """Speech and another clip, `snr` times as faint, from a random moment on and repeated if it is shorter."""
        start = np.random.randint(len(other))
        return self.add(power, other.take(range(start, start + len(power)), axis=0, mode="wrap"), snr)

    def add(self, power: np.ndarray, sound: np.ndarray, snr: float) -> np.ndarray:
        """Two sounds together, the first one's power being `snr` times that of the second; silence adds nothing."""
        loudness = (power @ self.bandwidths).mean() / max((sound @ self.bandwidths).mean(), FAINTEST)
        return power + sound * (loudness / snr)

    def reverberate(self, power: np.ndarray, reverberation_time: float, direct_to_reverberant: float) -> np.ndarray:
        """Add an echo that falls by 60 dB in `reverberation_time` seconds."""
        decay = 10 ** (-6 * self.seconds_a_frame / reverberation_time)
        echo = lfilter([0.0, decay], [1.0, -decay], power, axis=0) * ((1 - decay) / decay)
        return power + echo / direct_to_reverberant

    def add_margins(self, power: np.ndarray) -> np.ndarray:
        """Add up to half a second before and after, as quiet as the clip's quietest frames or digitally silent."""
        longest = round(MARGIN_SECONDS / self.seconds_a_frame)
        before, after = np.random.randint(0, longest + 1, 2)
        as_quiet = np.random.random() < 0.5
        quiet = np.quantile(power, QUIET_SHARE, axis=0) if as_quiet else np.full(power.shape[1], FAINTEST)
        return np.concatenate([np.tile(quiet, (before, 1)), power, np.tile(quiet, (after, 1))])

    def narrow_band(self) -> np.ndarray:
        """A telephone line or a low-pass, in dB, shape `(n_mels,)`."""
        low, high = TELEPHONE_HZ if np.random.random() < 0.5 else (0.0, np.random.uniform(*LOW_PASS_HZ))
        centres = np.maximum(self.centres, LOWEST_HZ)
        octaves_outside = np.log2(np.maximum(centres / high, np.maximum(low, LOWEST_HZ) / centres)).clip(min=0)
        return -np.random.uniform(*NARROW_BAND_SLOPE_DB) * octaves_outside


def _decibels(span: tuple[float, float]) -> float:
    """A ratio of powers, drawn evenly in dB."""
    return 10 ** (np.random.uniform(*span) / 10)


__all__ = ["FAINTEST", "Channel"]
