"""Several hundred damaged audio files, made by mutating whole ones of every container that is accepted."""

import io
import struct
from collections.abc import Iterator

import numpy as np
import soundfile
from conftest import RATE
from conftest import speech

CONTAINERS = {
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "float.wav": {"format": "WAV", "subtype": "FLOAT"},
    "extensible.wav": {"format": "WAVEX", "subtype": "PCM_24"},
    "rf64.wav": {"format": "RF64", "subtype": "PCM_16"},
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
    "vorbis.ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus.ogg": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3"},
}
CUTS = (0, 1, 4, 11, 12, 30, 44, 60, 100, 300, 1000, 0.5, 0.9, 0.99)  # bytes, or a share of the file
EXTREMES = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
SAMPLES = {
    "nan": np.full(RATE, np.nan),
    "infinite": np.full(RATE, np.inf),
    "one-nan": np.where(np.arange(RATE) == 77, np.nan, 0.1),
    "enormous": np.full(RATE, 1e30),
    "denormal": np.full(RATE, 1e-42),
    "constant": np.full(RATE, 1.0),
    "impulse": (np.arange(RATE) == 77).astype(float),
    "none": np.zeros(0),
    "one": np.full(1, 0.5),
}


def encode(samples: np.ndarray, rate: int = RATE, **options: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **options)
    return file.getvalue()


def files(seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Names and contents, the same ones for the same seed."""
    generator = np.random.default_rng(seed)
    for name, options in CONTAINERS.items():
        whole = encode(speech(1.0), **options)
        for cut in CUTS:
            yield f"cut-{cut}.{name}", whole[: int(cut * len(whole)) if isinstance(cut, float) else cut]
        for offset in range(4, 48, 4):
            for value in generator.choice(EXTREMES, 2, replace=False):
                damaged = bytearray(whole)
                struct.pack_into("<I", damaged, offset, int(value))
                yield f"header-{offset}-{value:x}.{name}", bytes(damaged)
        for share in (0.001, 0.01, 0.1):
            noisy = np.frombuffer(whole, np.uint8).copy()
            hit = generator.random(len(noisy)) < share
            noisy[hit] = generator.integers(0, 256, hit.sum())
            yield f"noise-{share}.{name}", noisy.tobytes()
        yield f"twice.{name}", whole + whole
        yield f"late.{name}", bytes(100) + whole
        yield f"body-gone.{name}", whole[:200] + bytes(len(whole) - 200)
        yield f"reversed.{name}", whole[::-1]
    for name, samples in SAMPLES.items():
        yield f"{name}.wav", encode(samples, format="WAV", subtype="FLOAT")
    for rate in (1, 10, 100, 767_999, 2**31 - 1):
        yield f"rate-{rate}.wav", encode(speech(1.0), rate, format="WAV", subtype="PCM_16")
    for channels in (2, 3, 24, 255, 1024):
        content = encode(np.zeros((1000, channels)), format="WAV", subtype="PCM_16")
        yield f"channels-{channels}.wav", content
