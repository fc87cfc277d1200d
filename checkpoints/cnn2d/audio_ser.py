"""Turns any form of audio into a mono float32 waveform at one rate, without ffmpeg or torchaudio.

Only files that libsndfile cannot read (M4A, MP4, WebM, AMR, AAC, WMA and the like) are passed to ffmpeg, if installed.
"""

import io
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

if TYPE_CHECKING:  # not needed to read audio
    import torch

try:
    import soundfile
except ImportError:
    soundfile = None

try:
    import soxr
except ImportError:
    soxr = None

LOUDEST = 100  # times full scale
QUIETEST = 1e-3  # peak amplitude; below it, a recording is silent
LOWEST_RATE = 1000  # Hz
SHORTEST = 0.2  # seconds; too short to recognize an emotion below
LONGEST = 3 * 3600.0  # seconds that ffmpeg writes
CANCELLED = 0.01  # share of the channels' energy; with less in their mean, they are in opposite phase
MOST_VALUES = 2**29  # samples of all channels: three hours in mono at 48 kHz, 2 GiB
# Signatures of files that libsndfile cannot read: offset, bytes, ffmpeg's name of the format, and its usual name.
KINDS = (
    (4, b"ftyp", "mov", "M4A, MP4 or 3GP"),
    (0, b"\x1aE\xdf\xa3", "matroska", "WebM or Matroska"),
    (0, b"#!AMR", "amr", "AMR"),
    (0, b"\xff\xf1", "aac", "AAC"),
    (0, b"\xff\xf9", "aac", "AAC"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "asf", "WMA or WMV"),
    (8, b"AVI ", "avi", "AVI"),
    (0, b"FLV\x01", "flv", "FLV"),
    (0, b"\x00\x00\x01\xba", "mpeg", "MPEG"),
    (0, b"\x0bw", "ac3", "AC-3"),
    (0, b"MAC ", "ape", "Monkey's Audio"),
    (0, b"wvpk", "wv", "WavPack"),
    (0, b"TTA", "tta", "True Audio"),
    (0, b".RMF", "rm", "RealMedia"),
)
ACCEPTED = (
    "a path, the bytes of an audio file, an open binary file, a 1-D or 2-D array with its sampling_rate, "
    "a dict with 'array' (or 'raw') and 'sampling_rate', or with 'path' or 'bytes', or a torchcodec AudioDecoder"
)


def load_audio(source: Any, *, sampling_rate: int, source_rate: int | None = None) -> np.ndarray:
    """Decode, mix down and resample.

    Args:
        source: A path, the bytes of an audio file, an open binary file, an array of shape `(samples,)`,
            `(samples, channels)` or `(channels, samples)`, a torch tensor of those shapes, or a dict as `datasets` and
            `transformers` use them (`{"array" | "raw", "sampling_rate"}` or `{"path", "bytes"}`), or what `datasets`
            decodes to where torchcodec is installed.
            WAV, FLAC, Ogg Vorbis, Ogg Opus, MP3, AIFF, AU, CAF and W64 files are read, and those of `KINDS` with the
            ffmpeg program.
        sampling_rate: Wanted rate in Hz.
        source_rate: Rate in Hz of an array, `sampling_rate` if not given; refused with a file, which has its own.

    Returns:
        Float32 waveform of shape `(samples,)`, the channels as `mix_down` joins them, at `sampling_rate`.

    Raises:
        ValueError: The source is empty, not decodable, none of the accepted kinds, or too short, or `check_samples`
            refuses it.
        FileNotFoundError: The path does not exist.
        ImportError: A file was given and soundfile is missing, or the rates differ and soxr is missing.
    """
    if source_rate is not None and not (isinstance(source, np.ndarray) or is_tensor(source)):
        raise ValueError(f"source_rate={source_rate} is for arrays; a file or dict has its own: leave it out")
    if isinstance(source, dict):
        return _load_dict(source, sampling_rate)
    if hasattr(source, "get_all_samples"):
        decoded = source.get_all_samples()
        source, source_rate = decoded.data, decoded.sample_rate
    if is_tensor(source):
        source = to_numpy(source)
    if isinstance(source, np.ndarray):
        waveform, rate = source, sampling_rate if source_rate is None else source_rate
    elif isinstance(source, (str, os.PathLike, bytes, bytearray)) or hasattr(source, "read"):
        waveform, rate = _decode(source)
    else:
        raise ValueError(f"expected {ACCEPTED}; got {type(source).__name__}")
    waveform = _to_mono(waveform)
    check_samples(waveform, rate)
    check_duration(len(waveform) / rate)
    return _resample(waveform, rate, sampling_rate)


def is_tensor(source: Any) -> bool:
    """Whether it is a tensor of torch, which is imported already if it is."""
    return "torch" in sys.modules and isinstance(source, sys.modules["torch"].Tensor)


def to_numpy(tensor: "torch.Tensor") -> np.ndarray:
    """The values of a tensor; numpy has no bfloat16."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def _load_dict(source: dict, sampling_rate: int) -> np.ndarray:
    array = source.get("array") if source.get("array") is not None else source.get("raw")
    if array is not None:
        try:
            rate = int(source["sampling_rate"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            got = f"{source.get('sampling_rate')!r:.50}"
            raise ValueError(f"expected a 'sampling_rate' in Hz beside the array; got {got}; add it") from error
        array = array if is_tensor(array) else np.asarray(array)
        return load_audio(array, sampling_rate=sampling_rate, source_rate=rate)
    encoded = source.get("bytes") or source.get("path")
    if not encoded:
        raise ValueError(f"expected {ACCEPTED}; got a dict with the keys {list(source)}")
    return load_audio(encoded, sampling_rate=sampling_rate)


def _decode(source: Any) -> tuple[np.ndarray, int]:
    """Read a file, its bytes or an open file into float32, shape `(samples,)`, and its rate in Hz."""
    if soundfile is None:
        raise ImportError("reading audio files needs the package soundfile: pip install soundfile; or pass an array")
    if isinstance(source, (bytes, bytearray)):
        name, source = "the given bytes", _Bytes(source)
    elif hasattr(source, "read"):  # also of tempfile, whose files are no io.IOBase
        name, source = "the given file", _Bytes(_content(source))
    else:
        name, source = f"{os.fspath(source)!r}", Path(source)
        if not os.path.isfile(source):  # unlike Path.is_file, also of names that no file can have
            raise FileNotFoundError(f"expected an audio file at {name}, but there is none; check the path")
    try:
        return _read(source)
    except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError) as error:  # ValueError: no known length
        if container_of(source):
            return _decode_with_ffmpeg(source)
        reason = getattr(error, "error_string", str(error)).rstrip(".")
        raise ValueError(
            f"{name} could not be decoded ({reason}); expected WAV, FLAC, Ogg Vorbis, Ogg Opus or MP3: convert it first"
        ) from error


def _content(file: Any) -> bytes:
    content = file.read()
    if content == b"" and file.seekable():  # just written
        file.seek(0)
        content = file.read()
    if not isinstance(content, bytes):
        raise ValueError(
            f"expected a file open with mode 'rb'; reading it gave {type(content).__name__}; pass its bytes"
        )
    return content


@contextmanager
def open_sound(source: str | Path | io.IOBase) -> Iterator["soundfile.SoundFile"]:
    """A file for soundfile, opened by content: with a name like x.au or x.vox, any file would be read as sound."""
    if isinstance(source, io.IOBase):
        with soundfile.SoundFile(source) as sound:
            yield sound
    else:
        with Path(source).open("rb") as file:
            handle = file.fileno() if os.name == "posix" else file
            with soundfile.SoundFile(handle, closefd=False) as sound:
                yield sound


class _Bytes(io.BytesIO):
    """Reads as empty before its beginning, where damaged files make libsndfile seek; avoids printed errors."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return super().seek(0, io.SEEK_END)


def _read(source: Path | io.IOBase) -> tuple[np.ndarray, int]:
    with open_sound(source) as sound:
        if sound.frames * sound.channels > MOST_VALUES:
            raise ValueError(f"it claims {sound.frames:,} samples in {sound.channels} channels, too many for one clip")
        return mix_down(sound.read(dtype="float32", always_2d=True)), sound.samplerate


def container_of(source: str | Path | io.IOBase) -> tuple[str, str] | None:
    """Names of the format, for ffmpeg and for people, if libsndfile cannot read it (by its first bytes); else None."""
    if isinstance(source, io.IOBase):
        source.seek(0)
        head = source.read(12)
    else:
        with Path(source).open("rb") as file:
            head = file.read(12)
    return next(((kind, title) for start, magic, kind, title in KINDS if head.startswith(magic, start)), None)


def to_wav(path: str | Path, wav: str | Path, *, longest: float | None = None) -> None:
    """Write the first sound track of a file of one of `KINDS` as 16-bit WAV at its own rate, with ffmpeg.

    Args:
        path: The file.
        wav: Where to write.
        longest: Seconds after which to stop.

    Raises:
        ValueError: It is another kind of file, ffmpeg is not installed, or ffmpeg finds no sound that it can decode.
    """
    if (found := container_of(path)) is None:
        raise ValueError("expected a file that only ffmpeg reads; got another kind; pass it to load_audio as it is")
    kind, title = found
    if shutil.which("ffmpeg") is None:
        raise ValueError(f"{title} files need the program ffmpeg, which is not installed here; convert them to WAV")
    # The format is fixed and only this file may be opened: no playlist can lead ffmpeg to another file or URL.
    command = ["ffmpeg", "-nostdin", "-v", "error", "-protocol_whitelist", "file", "-f", kind]
    command += ["-i", f"file:{os.fspath(path)}", "-map", "0:a:0", "-c:a", "pcm_s16le"]
    command += [] if longest is None else ["-t", str(longest)]
    try:
        subprocess.run([*command, "-f", "wav", "-y", f"file:{os.fspath(wav)}"], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        raise ValueError(f"ffmpeg finds no sound in this {title} file; convert it to WAV") from error


@contextmanager
def as_sound(path: str | Path) -> Iterator[str | Path]:
    """A file that libsndfile can read: the given one, or for one of `KINDS` a temporary WAV file of its sound.

    Raises:
        ValueError: As `to_wav`.
    """
    if container_of(path) is None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        to_wav(path, wav := Path(folder, "sound.wav"), longest=LONGEST)
        yield wav


def _decode_with_ffmpeg(source: Path | io.IOBase) -> tuple[np.ndarray, int]:
    with tempfile.TemporaryDirectory() as folder:
        path, wav = Path(folder, "source"), Path(folder, "sound.wav")
        if isinstance(source, io.IOBase):
            source.seek(0)
            path.write_bytes(source.read())
        to_wav(source if isinstance(source, Path) else path, wav, longest=LONGEST + 1)
        waveform, rate = _read(wav)
    if len(waveform) > LONGEST * rate:
        raise ValueError(f"the audio lasts more than {LONGEST / 3600:.0f} hours, too long for one clip; cut it")
    return waveform, rate


def _to_mono(waveform: np.ndarray) -> np.ndarray:
    if waveform.ndim not in (1, 2):
        raise ValueError(f"expected a waveform of one or two dimensions; got shape {waveform.shape}")
    if waveform.size == 0:
        raise ValueError("the audio holds no samples; record or choose a clip that has sound in it")
    if waveform.dtype.kind not in "fi" or waveform.dtype == np.int64:
        raise ValueError(f"expected samples as floats within -1..1, int16 or int32; got {waveform.dtype}; convert them")
    if waveform.dtype.kind == "i":
        waveform = waveform / -float(np.iinfo(waveform.dtype).min)
    if 1 in waveform.shape:
        waveform = waveform.reshape(-1)
    if waveform.ndim == 2:
        # Channels are the shorter side: no clip has more channels than samples.
        waveform = mix_down(waveform if waveform.shape[1] < waveform.shape[0] else waveform.T)
    return np.ascontiguousarray(waveform, dtype=np.float32)


def mix_down(channels: np.ndarray) -> np.ndarray:
    """The mean of the channels, or one of them where they cancel out, as from a balanced microphone at a stereo input.

    Args:
        channels: Shape `(samples, channels)`.

    Returns:
        Float32, shape `(samples,)`.
    """
    if channels.shape[1] == 1:
        return np.ascontiguousarray(channels[:, 0], dtype=np.float32)
    mean = channels.mean(axis=1, dtype=np.float32)
    energy = np.einsum("sc,sc->c", channels, channels, dtype=np.float64)
    cancelled = np.einsum("s,s->", mean, mean, dtype=np.float64) < CANCELLED * energy.mean()
    if not cancelled:
        return mean
    first = int(np.argmax(energy > energy.mean() / 2))  # of several blocks the same one, where they are about as loud
    return np.ascontiguousarray(channels[:, first], dtype=np.float32)


def peak_of(waveform: np.ndarray) -> float:
    """The largest magnitude of its samples; NaN or infinite if one is."""
    return float(max(waveform.max(initial=0), -waveform.min(initial=0)))


def check_samples(waveform: np.ndarray, sampling_rate: int) -> None:
    """Refuse samples that cannot be audio.

    Raises:
        ValueError: They are NaN, infinite or far beyond full scale, or sampled too slowly for speech.
    """
    peak = peak_of(waveform)
    if not math.isfinite(peak):
        raise ValueError("the audio holds NaN or infinite samples; export the recording again")
    if peak > LOUDEST:
        raise ValueError(f"the audio holds samples beyond {LOUDEST}, where full scale is 1; divide by its full scale")
    if sampling_rate < LOWEST_RATE:
        raise ValueError(f"the audio is sampled at {sampling_rate} Hz, too slowly for speech; record it at 16000 Hz")


def check_duration(seconds: float) -> None:
    """Raise `ValueError` for less than `SHORTEST`."""
    if seconds < SHORTEST:
        shown = math.floor(100 * seconds) / 100
        raise ValueError(f"the clip lasts {shown:.2f} s, which is too short: speak for at least {SHORTEST} s")


def is_silent(waveform: np.ndarray) -> bool:
    """Whether a waveform of shape `(samples,)` peaks below `QUIETEST`."""
    return bool(np.abs(waveform).max(initial=0) < QUIETEST)


def check_audible(waveform: np.ndarray) -> None:
    """Raise `ValueError` for a waveform that is silent."""
    if is_silent(waveform):
        raise ValueError("the clip is silent: check the microphone, or choose another clip")


def _resample(waveform: np.ndarray, source_rate: int, sampling_rate: int) -> np.ndarray:
    if source_rate == sampling_rate:
        return waveform
    if soxr is None:
        raise ImportError(f"resampling {source_rate} Hz to {sampling_rate} Hz needs soxr: pip install soxr")
    return soxr.resample(waveform, source_rate, sampling_rate)


__all__ = [
    "LOUDEST",
    "QUIETEST",
    "SHORTEST",
    "as_sound",
    "check_audible",
    "check_duration",
    "check_samples",
    "container_of",
    "is_silent",
    "load_audio",
    "mix_down",
    "open_sound",
    "peak_of",
    "to_numpy",
    "to_wav",
]
