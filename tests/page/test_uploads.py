"""Whatever strangers upload is heard or refused in one sentence, without decoding what is too large."""

import io
import struct
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
from conftest import RATE
from conftest import speech
from conftest import voice

import ser
from ser.inference import timeline
from ser.models.audio_ser import to_wav
from ser.page.uploads import readable

DAMAGED = "This file cannot be read: it is damaged or not audio. Upload WAV, FLAC, Ogg or MP3."


def encode(waveform: np.ndarray, suffix: str, *, rate: int = RATE, **options) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, waveform, rate, format=suffix.upper(), **options)
    return file.getvalue()


def wav_that_claims(offset: int, format: str, value: int) -> bytes:
    content = bytearray(encode(voice(1.0), "wav"))
    struct.pack_into(format, content, offset, value)
    return bytes(content)


def flac_that_claims(samples: int) -> bytes:
    content = bytearray(encode(voice(1.0), "flac"))
    content[21] = content[21] & 0xF0 | samples >> 32
    struct.pack_into(">I", content, 22, samples & 0xFFFFFFFF)
    return bytes(content)


REFUSED = {
    "empty.wav": (b"", DAMAGED),
    "text.wav": (b"I am a text file.", DAMAGED),
    "zip.mp3": (b"PK\x03\x04" + bytes(range(256)) * 20, DAMAGED),
    "picture.wav": (b"\x89PNG\r\n\x1a\n" + bytes(500), DAMAGED),
    "no-samples.wav": (encode(np.zeros(0), "wav"), "cannot be read: the audio holds no samples."),
    "nan.wav": (encode(np.full(RATE, np.nan), "wav", subtype="FLOAT"), "holds NaN or infinite samples. Upload"),
    "infinite.wav": (encode(np.full(RATE, np.inf), "wav", subtype="FLOAT"), "holds NaN or infinite samples. Upload"),
    "enormous.wav": (encode(np.full(RATE, 1e25), "wav", subtype="FLOAT"), "holds samples beyond 100, where full scale"),
    "slow.wav": (encode(voice(1.0), "wav", rate=100), "is sampled at 100 Hz, too slowly for speech. Upload"),
    "name.raw": (encode(voice(1.0), "wav"), DAMAGED),
    "cut.flac": (encode(voice(), "flac")[:5000], DAMAGED),
    "cut.wav": (encode(voice(), "wav")[:1000], "which is too short: speak for at least 0.2 s."),
    "short.ogg": (encode(voice(0.1), "ogg"), "The clip lasts 0.10 s, which is too short"),
    "just-too-short.wav": (encode(voice(0.1994), "wav"), "The clip lasts 0.19 s, which is too short"),
    "long.flac": (
        encode(np.zeros(31 * 60 * 1000), "flac", rate=1000),
        "lasts more than 30 minutes: choose a shorter one.",
    ),
    "claims-no-rate.wav": (wav_that_claims(24, "<I", 0), DAMAGED),
    "claims-rate-of-1.wav": (wav_that_claims(24, "<I", 1), "lasts more than 30 minutes"),
    "claims-huge-rate.wav": (wav_that_claims(24, "<I", 2**31 - 1), "it claims 2,147,483,647 samples a second"),
    "claims-no-channel.wav": (wav_that_claims(22, "<H", 0), DAMAGED),
    "claims-65535-channels.wav": (wav_that_claims(22, "<H", 65535), DAMAGED),
    "claims-1000-channels.wav": (wav_that_claims(22, "<H", 1000), "which is too short"),
    "claims-ages.flac": (flac_that_claims(2**36 - 1), "lasts more than 30 minutes"),
    "claims-no-length.flac": (flac_that_claims(0), "its header does not say how long it is."),
    "claims-too-much.flac": (flac_that_claims(5 * RATE), DAMAGED),
    "bomb.flac": (encode(np.zeros((16_000_000, 8), np.int16), "flac", rate=655350), "8 channels at 655,350 Hz"),
}


@pytest.fixture(autouse=True)
def small_limit(monkeypatch):
    """So that a decompression bomb need not be half an hour long."""
    monkeypatch.setattr("ser.page.uploads.MOST_VALUES", 100_000_000)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_heard_is_refused_in_a_sentence(name, tmp_path):
    content, sentence = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as caught, readable(tmp_path / name) as (path, _):
        list(timeline.read_blocks(path, RATE))
    assert sentence in str(caught.value)
    assert str(caught.value).endswith(".")
    assert str(tmp_path) not in str(caught.value)


HEARD = {
    "mono.wav": encode(speech(2.0), "wav"),
    "24-channels.wav": encode(np.stack([speech(2.0)] * 24, axis=1), "wav"),
    "eight-bit.wav": encode(speech(2.0), "wav", subtype="PCM_U8"),
    "double.wav": encode(speech(2.0), "wav", subtype="DOUBLE"),
    "claims-more.wav": wav_that_claims(40, "<I", 2**32 - 1),
    "low-rate.flac": encode(speech(2.0, rate=4000), "flac", rate=4000),
    "high-rate.flac": encode(speech(2.0, rate=192000), "flac", rate=192000),
    "vorbis.ogg": encode(speech(2.0), "ogg"),
    "opus.ogg": encode(speech(2.0), "ogg", subtype="OPUS"),
    "cut.ogg": encode(speech(3.0), "ogg")[:-4000],
    "mpeg.mp3": encode(speech(2.0), "mp3"),
    "cut.mp3": encode(speech(3.0), "mp3")[:-4000],
    "wrong-name.mp3": encode(speech(2.0), "flac"),
}


@pytest.mark.parametrize("name", HEARD)
def test_what_can_be_heard_is_heard(name, tmp_path):
    (tmp_path / name).write_bytes(HEARD[name])
    with readable(tmp_path / name) as (path, seconds):
        samples = sum(map(len, timeline.read_blocks(path, RATE)))
    if name != "cut.mp3":  # it claims its whole length
        assert samples / RATE == pytest.approx(seconds, abs=0.05)
    assert 0.5 <= seconds <= 3.1


def test_what_claims_to_be_longer_than_the_memory_is_refused_as_one_clip():
    with pytest.raises(ValueError, match="samples in 1 channels, too many for one clip"):
        ser.load_audio(flac_that_claims(2**36 - 1), sampling_rate=RATE)


def test_a_recording_that_is_cut_short_ends_where_it_ends(tmp_path):
    (tmp_path / "cut.mp3").write_bytes(HEARD["cut.mp3"])
    whole = ser.load_audio(tmp_path / "cut.mp3", sampling_rate=RATE)
    in_blocks = np.concatenate(list(timeline.read_blocks(tmp_path / "cut.mp3", RATE)))
    assert 0.5 * RATE < len(in_blocks) < 2.5 * RATE
    assert len(in_blocks) == len(whole)
    assert np.abs(in_blocks - whole).max() < 1e-4


def test_a_file_that_is_gone_is_said_to_be_gone(tmp_path):
    with pytest.raises(ValueError, match="was deleted in the meantime"), readable(tmp_path / "gone.wav"):
        pass


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """The ffmpeg program of a PyPI package, found as one that is installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    monkeypatch.setenv("PATH", str(folder))
    return folder / "ffmpeg"


def convert(ffmpeg, waveform: np.ndarray, path, *options: str) -> None:
    soundfile.write(path.with_suffix(".source.wav"), waveform, RATE)
    command = [ffmpeg, "-v", "error", "-i", path.with_suffix(".source.wav"), *options, path]
    subprocess.run(command, check=True)


def test_a_film_in_opposite_phase_on_two_channels_is_heard(ffmpeg, tmp_path):
    convert(ffmpeg, np.stack([speech(2.0), -speech(2.0)], axis=1), tmp_path / "camera.mp4", "-c:a", "aac")
    heard = ser.load_audio(tmp_path / "camera.mp4", sampling_rate=RATE)
    assert heard.std() > 0.5 * speech(2.0).std()


RECORDED = {"phone.m4a": ["-c:a", "aac"], "film.mp4": ["-c:a", "aac"], "browser.webm": ["-c:a", "libopus"]}
RECORDED |= {"radio.aac": ["-c:a", "aac"], "dictation.wma": ["-c:a", "wmav2"]}


@pytest.mark.parametrize("name", RECORDED)
def test_what_phones_and_browsers_record_is_heard_with_ffmpeg(name, ffmpeg, tmp_path):
    waveform = speech(2.0)
    convert(ffmpeg, waveform, tmp_path / name, *RECORDED[name])
    with readable(tmp_path / name) as (path, seconds):
        heard = np.concatenate(list(timeline.read_blocks(path, RATE)))
    assert seconds == pytest.approx(2.0, abs=0.15)
    loaded = ser.load_audio(tmp_path / name, sampling_rate=RATE)
    of_bytes = ser.load_audio((tmp_path / name).read_bytes(), sampling_rate=RATE)
    assert np.array_equal(loaded, of_bytes)
    for samples in (heard, loaded):
        size = min(len(samples), len(waveform))
        lags = [
            np.corrcoef(waveform[2000 : size - 2000], np.roll(samples, lag)[2000 : size - 2000])[0, 1]
            for lag in range(-1600, 1600, 4)
        ]
        assert max(lags) > 0.9


@pytest.mark.parametrize("name", RECORDED)
def test_a_film_of_days_is_refused_before_it_fills_the_disk(name, ffmpeg, tmp_path, monkeypatch):
    convert(ffmpeg, speech(3.0), tmp_path / name, *RECORDED[name])
    monkeypatch.setattr("ser.models.audio_ser.LONGEST", 1.0)
    with pytest.raises(ValueError, match="too long for one clip; cut it"):
        ser.load_audio(tmp_path / name, sampling_rate=RATE)


def test_no_more_of_a_film_is_written_than_asked_for_and_at_its_own_rate(ffmpeg, tmp_path):
    convert(ffmpeg, speech(3.0), tmp_path / "phone.m4a", "-ac", "2", "-c:a", "aac")
    to_wav(tmp_path / "phone.m4a", tmp_path / "sound.wav", longest=1.0)
    written = soundfile.info(tmp_path / "sound.wav")
    assert (written.frames, written.samplerate, written.channels) == (RATE, RATE, 2)


@pytest.mark.parametrize("name", RECORDED)
def test_without_ffmpeg_a_sentence_says_what_is_missing(name, ffmpeg, tmp_path, monkeypatch):
    convert(ffmpeg, speech(1.0), tmp_path / name, *RECORDED[name])
    monkeypatch.setenv("PATH", "/nowhere")
    sentence = "[A-Z][A-Za-z0-9, ]+ files need the program ffmpeg, which is not installed here"
    converted = "file cannot be read here: convert it to WAV or MP3, for example with Audacity, and upload that.$"
    with pytest.raises(ValueError, match=f"^This [A-Z].* {converted}"), readable(tmp_path / name):
        pass
    with pytest.raises(ValueError, match=f"{sentence}; convert"):
        ser.load_audio(tmp_path / name, sampling_rate=RATE)


def test_a_broken_or_silent_film_is_refused(ffmpeg, tmp_path):
    (tmp_path / "broken.m4a").write_bytes(b"\0\0\0 ftypM4A " + bytes(range(256)) * 8)
    subprocess.run(
        [ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=64x64", "-c:v", "libvpx", tmp_path / "film.webm"],
        check=True,
    )
    for name in ("broken.m4a", "film.webm"):
        with (
            pytest.raises(ValueError, match="file holds no sound that can be read: convert"),
            readable(tmp_path / name),
        ):
            pass


def test_a_file_that_needs_no_conversion_is_refused_by_it(ffmpeg, tmp_path):
    soundfile.write(tmp_path / "voice.wav", voice(), RATE)
    with pytest.raises(ValueError, match="expected a file that only ffmpeg reads; got another kind"):
        to_wav(tmp_path / "voice.wav", tmp_path / "sound.wav")


def test_a_playlist_leads_ffmpeg_nowhere(ffmpeg, tmp_path):
    soundfile.write(tmp_path / "secret.wav", voice(1.0), RATE)
    (tmp_path / "list.m4a").write_text(f"ffconcat version 1.0\nfile {tmp_path / 'secret.wav'}\n")
    (tmp_path / "list.webm").write_text(f"#EXTM3U\n#EXTINF:1,\n{tmp_path / 'secret.wav'}\n")
    for name in ("list.m4a", "list.webm"):
        with pytest.raises(ValueError, match="it is damaged or not audio"), readable(tmp_path / name):
            pass
