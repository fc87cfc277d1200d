"""Uploaded recordings: what cannot be classified is refused in one sentence, before it is decoded."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import soundfile
from gradio.data_classes import ListFiles

from ser.models.audio_ser import check_duration
from ser.models.audio_ser import container_of
from ser.models.audio_ser import to_wav

LONGEST = 30 * 60.0  # seconds
HIGHEST_RATE = 768_000  # Hz
MOST_VALUES = 1_500_000_000  # samples of all channels: half an hour in stereo at 384 kHz
UNKNOWN = 2**62  # samples; libsndfile gives at least this many where it does not know
UNREADABLE = "This file cannot be read: {}. Upload WAV, FLAC, Ogg or MP3."


def paths_of(files: list[dict] | None) -> list[str]:
    """Paths of what a recorder of the page uploaded: Gradio has checked that files with its mark are uploads.

    Raises:
        ValueError: One has no such mark.
    """
    return [file.path for file in ListFiles.model_validate(files or [], context={"validate_meta": True})]


@contextmanager
def readable(path: str | Path) -> Iterator[tuple[str, float]]:
    """A file that libsndfile reads, and its length in seconds; for M4A and WebM, their sound as WAV.

    Raises:
        ValueError: It is gone, damaged, not audio, empty, too short or too long, or cannot be read within the `with`.
            The message is a sentence that does not name the file.
    """
    if not Path(path).is_file():
        raise ValueError("The recording was deleted in the meantime: record or upload it again.")
    kind = container_of(path)
    with tempfile.TemporaryDirectory() as folder:
        try:
            if kind:
                to_wav(path, f"{folder}/sound.wav", longest=LONGEST + 1)
                path = f"{folder}/sound.wav"
            with Path(path).open("rb") as file:  # by its content alone, see `open_sound`
                info = soundfile.info(file)
            check_size(info)
            yield str(path), info.duration
        except (ValueError, TypeError, soundfile.LibsndfileError) as error:  # TypeError: a name that ends in .raw
            raise ValueError(_sentence(error, kind[1] if kind else "")) from error


def check_size(info: soundfile._SoundFileInfo) -> None:
    """Refuse what is too short, too long or too large, by its header.

    Raises:
        ValueError: Says which.
    """
    if info.frames == 0:
        raise ValueError("the audio holds no samples")
    if info.frames >= UNKNOWN:
        raise ValueError("its header does not say how long it is")
    if info.samplerate > HIGHEST_RATE:
        raise ValueError(f"it claims {info.samplerate:,} samples a second, which no recording has")
    check_duration(info.duration)
    if info.duration > LONGEST:
        raise ValueError(f"the recording lasts more than {LONGEST / 60:.0f} minutes: choose a shorter one")
    if info.frames * info.channels > MOST_VALUES:
        raise ValueError(f"{info.channels} channels at {info.samplerate:,} Hz are too much: export it in stereo")


def _sentence(error: Exception, kind: str) -> str:
    """What is wrong with a file, without its name on the server."""
    reason = str(error)
    if kind and "ffmpeg" in reason:
        what = "holds no sound that can be read" if "no sound" in reason else "cannot be read here"
        return f"This {kind} file {what}: convert it to WAV or MP3, for example with Audacity, and upload that."
    if " lasts " in reason:
        return f"{reason[0].upper()}{reason[1:]}."
    if not isinstance(error, ValueError) or "could not be decoded" in reason:
        reason = "it is damaged or not audio"
    return UNREADABLE.format(reason.split(";")[0])


__all__ = ["LONGEST", "paths_of", "readable"]
