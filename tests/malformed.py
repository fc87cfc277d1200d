"""Several hundred damaged audio files, made by mutating whole ones of every container that is accepted."""

import io
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
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
RARE = {  # of these fewer are made
    "eight-bit.wav": {"format": "WAV", "subtype": "PCM_U8"},
    "mu-law.wav": {"format": "WAV", "subtype": "ULAW"},
    "ima-adpcm.wav": {"format": "WAV", "subtype": "IMA_ADPCM"},
    "ms-adpcm.wav": {"format": "WAV", "subtype": "MS_ADPCM"},
    "gsm.wav": {"format": "WAV", "subtype": "GSM610"},
    "aiff": {"format": "AIFF", "subtype": "PCM_16"},
    "au": {"format": "AU", "subtype": "PCM_16"},
    "w64": {"format": "W64", "subtype": "PCM_16"},
    "caf": {"format": "CAF", "subtype": "ALAC_16"},
}
WITH_FFMPEG = {"m4a": "aac", "webm": "libopus", "aac": "aac"}
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


def encode_with_ffmpeg(samples: np.ndarray, suffix: str, codec: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source.wav"), Path(folder, f"clip.{suffix}")
        soundfile.write(source, samples, RATE)
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", source, "-c:a", codec, target]
        subprocess.run(command, check=True)
        return target.read_bytes()


def damaged(name: str, whole: bytes, generator: np.random.Generator, step: int) -> Iterator[tuple[str, bytes]]:
    """A file cut, overwritten, doubled and turned round; with a larger step in fewer ways."""
    for cut in CUTS[::step]:
        yield f"cut-{cut}.{name}", whole[: int(cut * len(whole)) if isinstance(cut, float) else cut]
    for offset in range(4, 48, 4 * step):
        for value in generator.choice(EXTREMES, 2, replace=False):
            content = bytearray(whole)
            struct.pack_into("<I", content, offset, int(value))
            yield f"header-{offset}-{value:x}.{name}", bytes(content)
    for share in (0.001, 0.01, 0.1)[::step]:
        noisy = np.frombuffer(whole, np.uint8).copy()
        hit = generator.random(len(noisy)) < share
        noisy[hit] = generator.integers(0, 256, hit.sum())
        yield f"noise-{share}.{name}", noisy.tobytes()
    yield f"twice.{name}", whole + whole
    yield f"late.{name}", bytes(100) + whole
    yield f"body-gone.{name}", whole[:200] + bytes(len(whole) - 200)
    yield f"reversed.{name}", whole[::-1]


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    """A chunk of a RIFF file that may lie about its size."""
    return name + struct.pack("<I", len(content) if size is None else size) + content + b"\0" * (len(content) % 2)


def strange_wavs() -> Iterator[tuple[str, bytes]]:
    """WAV files whose chunks are too many, too large, out of order or nested, or whose format is none."""
    data = chunk(b"data", (speech(1.0) * 32767).astype("<i2").tobytes())
    plain = 1, 1, RATE, 2 * RATE, 2, 16  # tag, channels, rate, bytes a second, bytes a frame, bits

    def wav(*chunks: bytes, size: int | None = None) -> bytes:
        return chunk(b"RIFF", b"WAVE" + b"".join(chunks), size)

    def fmt(*values: int) -> bytes:
        return chunk(b"fmt ", struct.pack("<HHIIHH", *values))

    nested = b""
    for _ in range(2000):
        nested = chunk(b"LIST", b"INFO" + nested)
    for name in (b"LIST", b"fact", b"bext", b"cue ", b"smpl", b"id3 ", b"\xff\0\n;"):
        label = name.strip().decode("latin-1").replace("\n", "n").replace("\0", "0")
        yield f"large-{label}.wav", wav(fmt(*plain), chunk(name, bytes(1_000_001)), data)
        yield f"boundless-{label}.wav", wav(fmt(*plain), chunk(name, bytes(100), size=0xFFFFFFFF), data)
        yield f"empty-{label}.wav", wav(fmt(*plain), chunk(name, b""), data)
    yield "nested.wav", wav(fmt(*plain), nested, data)
    yield "many-chunks.wav", wav(fmt(*plain), chunk(b"junk", b"") * 20_000, data)
    yield "boundless.wav", wav(fmt(*plain), data[:4] + b"\xff" * 4 + data[8:], size=0xFFFFFFFF)
    yield "data-first.wav", wav(data, fmt(*plain))
    yield "no-data.wav", wav(fmt(*plain))
    yield "no-format.wav", wav(data)
    yield "two-formats.wav", wav(fmt(*plain), fmt(1, 2, 8000, 32000, 4, 16), data)
    yield "two-data.wav", wav(fmt(*plain), data, data)
    for tag in (0, 2, 0x55, 0x1234, 0xFFFE, 0xFFFF):
        yield f"tag-{tag:x}.wav", wav(fmt(tag, *plain[1:]), data)
    for bits in (0, 1, 7, 12, 64, 0xFFFF):
        yield f"bits-{bits}.wav", wav(fmt(*plain[:5], bits), data)
    for align in (0, 1, 3, 0xFFFF):
        yield f"align-{align}.wav", wav(fmt(*plain[:4], align, 16), data)


def strange_streams() -> Iterator[tuple[str, bytes]]:
    """MP3 with tags of all sizes, and Ogg files of several streams one after the other."""
    mp3 = encode(speech(1.0), format="MP3")
    tag = b"ID3\4\0\0"
    yield "tagged.mp3", tag + b"\0\0\x08\0" + bytes(1024) + mp3 + b"TAG" + bytes(125)
    yield "picture.mp3", tag + b"\0\x3d\x09\0" + np.random.default_rng(0).bytes((0x3D << 14) + (9 << 7)) + mp3
    yield "boundless-tag.mp3", tag + b"\x7f\x7f\x7f\x7f" + mp3
    yield "tag-alone.mp3", tag + b"\0\0\x08\0" + bytes(1024)
    vorbis, opus = (encode(speech(1.0), **CONTAINERS[name]) for name in ("vorbis.ogg", "opus.ogg"))
    yield "chained-vorbis-opus.ogg", vorbis + opus
    yield "chained-opus-vorbis.ogg", opus + vorbis
    yield "chained-rates.ogg", vorbis + encode(speech(1.0), 44100, **CONTAINERS["vorbis.ogg"])


def files(seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Names and contents, the same ones for the same seed."""
    generator = np.random.default_rng(seed)
    for name, options in CONTAINERS.items():
        yield from damaged(name, encode(speech(1.0), **options), generator, step=1)
    for name, options in RARE.items():
        yield from damaged(name, encode(speech(1.0), **options), generator, step=4)
    for name, codec in WITH_FFMPEG.items():
        yield from damaged(name, encode_with_ffmpeg(speech(1.0), name, codec), generator, step=4)
    yield from strange_wavs()
    yield from strange_streams()
    for suffix in ("au", "snd", "vox", "gsm", "raw", "mp3"):  # names by which libsndfile would take anything for sound
        yield f"nothing.{suffix}", generator.bytes(5000)
        yield f"text.{suffix}", b"I am a text file. " * 300
    for name, samples in SAMPLES.items():
        yield f"{name}.wav", encode(samples, format="WAV", subtype="FLOAT")
    for rate in (1, 10, 100, 767_999, 2**31 - 1):
        yield f"rate-{rate}.wav", encode(speech(1.0), rate, format="WAV", subtype="PCM_16")
    for channels in (2, 3, 24, 255, 1024):
        content = encode(np.zeros((1000, channels)), format="WAV", subtype="PCM_16")
        yield f"channels-{channels}.wav", content
