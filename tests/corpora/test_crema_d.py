"""CREMA-D from a folder and from a server, whole, partial and broken."""

import functools
import http.server
import logging
import shutil
import threading

import numpy as np
import pytest
import soundfile
from conftest import RATE
from conftest import write_corpus

from ser.corpora.crema_d import EMOTIONS
from ser.corpora.crema_d import VOTES
from ser.corpora.crema_d import CremaD
from ser.corpora.crema_d import load_crema_d
from ser.corpora.crema_d import official_names
from ser.corpora.crema_d import parse_name
from ser.corpora.crema_d_download import download_crema_d
from ser.corpora.splits import split

NAMES = ["1001_DFA_ANG_XX", "1001_IEO_SAD_LO", "1002_DFA_HAP_XX", "1010_DFA_NEU_XX"]


@pytest.fixture(scope="module")
def corpus(crema_d, tmp_path_factory):
    return load_crema_d(crema_d, cache_dir=tmp_path_factory.mktemp("cache"))


@pytest.mark.slow
def test_the_whole_corpus_has_its_official_numbers(corpus):
    assert len(corpus) == 7442 - 1 - 3
    assert corpus.features["label"].names == ["anger", "disgust", "fear", "happy", "neutral", "sad"]
    assert len(set(corpus["actor"])) == 91
    assert len(set(corpus["sentence"])) == 12
    counts = np.bincount(corpus["label"])
    assert dict(zip(EMOTIONS, counts.tolist(), strict=True)) == {
        "anger": 1271,
        "disgust": 1270,
        "fear": 1270,
        "happy": 1271,
        "neutral": 1086,
        "sad": 1270,
    }
    assert sum(corpus["duration"]) / 3600 == pytest.approx(5.26, abs=0.01)


@pytest.mark.slow
def test_tfds_of_it_lacks_only_the_silent_clip(corpus):
    assert split(corpus, "tfds").num_rows == {"train": 5143, "dev": 738, "test": 1556}


@pytest.mark.slow
def test_the_tables_are_joined_to_the_clips(corpus):
    row = next(row for row in corpus if row["clip"] == "1001_IEO_NEU_XX")
    assert (row["age"], row["sex"], row["race"], row["ethnicity"]) == (51, "male", "Caucasian", "Not Hispanic")
    assert [row[name] for name in VOTES] == [0, 0, 0, 1, 10, 0]
    votes = np.array([corpus[name] for name in VOTES]).T
    named = votes[np.arange(len(corpus)), corpus["label"]].sum() / votes.sum()
    assert named == pytest.approx(0.400, abs=0.002)  # what the published votes say of listeners


def test_official_names_are_those_of_the_official_table(crema_d):
    table = (crema_d / "SentenceFilenames.csv").read_text().replace('"', "").split()[1:]
    assert official_names() == {line.split(",")[1] for line in table}


@pytest.mark.parametrize("name", ["1001_DFA_ANG", "1001_XYZ_ANG_XX", "1001_DFA_JOY_XX", "2001_DFA_ANG_XX", "song"])
def test_other_names_are_not_taken_for_clips(name):
    assert parse_name(name) is None


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_any_container_at_any_depth(suffix, tmp_path):
    write_corpus(tmp_path / "clips/a/b", NAMES, suffix)
    clips = load_crema_d(tmp_path / "clips", cache_dir=tmp_path / "cache")
    assert clips["clip"][:] == NAMES
    assert clips["label"][:] == [0, 5, 3, 4]
    assert clips[0]["audio"] == {"bytes": None, "path": str(tmp_path / f"clips/a/b/{NAMES[0]}{suffix}")}
    assert clips[1]["level"] == "LO"
    assert clips[0]["age"] is None


def test_of_two_containers_the_one_without_loss_is_taken(tmp_path):
    write_corpus(tmp_path / "a", NAMES, ".mp3")
    write_corpus(tmp_path / "b", NAMES[1:], ".WAV")
    clips, unknown = CremaD.find_clips(tmp_path)
    assert (list(clips), unknown) == (NAMES, [])
    assert [path.suffix for path in clips.values()] == [".mp3", ".WAV", ".WAV", ".WAV"]


def test_what_is_missing_unknown_misspelt_or_broken_is_said(tmp_path, caplog):
    folder = tmp_path / "clips"
    write_corpus(folder, [*NAMES, "1040_ITH_SAD_X", "1006_TIE_NEU_XX", "1006_TIE_HAP_XX", "holiday"])
    soundfile.write(folder / "1076_MTI_SAD_XX.wav", np.zeros(RATE), RATE)
    (folder / "1003_DFA_ANG_XX.wav").write_bytes(b"RIFF but torn")
    with caplog.at_level(logging.WARNING):
        clips = load_crema_d(folder, cache_dir=tmp_path / "cache")
    assert set(clips["clip"]) == {*NAMES, "1040_ITH_SAD_XX", "1006_TIE_HAP_XX"}
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "skipped 1 audio file without an official name (holiday.wav)" in said
    assert "partial corpus: 9 of 7442 official clips found, missing are 1001_DFA_DIS_XX, 1001_DFA_FEA_XX," in said
    assert "left out 1 clip: undecodable (1003_DFA_ANG_XX)" in said
    assert "left out 1 clip: silent (1076_MTI_SAD_XX)" in said
    assert "left out 1 clip: contradictory twin (1006_TIE_NEU_XX)" in said
    assert len(set(said.splitlines())) == len(said.splitlines())


def test_a_changed_folder_is_read_again(tmp_path):
    write_corpus(tmp_path / "clips", NAMES[:2])
    assert len(load_crema_d(tmp_path / "clips", cache_dir=tmp_path / "cache")) == 2
    write_corpus(tmp_path / "clips", NAMES)
    assert load_crema_d(tmp_path / "clips", cache_dir=tmp_path / "cache")["age"] == [None] * 4
    table = '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","a","b"\n'
    (tmp_path / "VideoDemographics.csv").write_text(table)  # beside the folder
    assert load_crema_d(tmp_path / "clips", cache_dir=tmp_path / "cache")["age"] == [51, 51, None, None]
    (tmp_path / f"clips/{NAMES[0]}.wav").write_bytes(b"torn")
    assert load_crema_d(tmp_path / "clips", cache_dir=tmp_path / "cache")["clip"] == NAMES[1:]


def test_an_unusable_folder_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="there is none; check --data_dir"):
        load_crema_d(tmp_path / "nowhere", cache_dir=tmp_path / "cache")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="found 0 audio files; name the folder"):
        load_crema_d(tmp_path / "empty", cache_dir=tmp_path / "cache")
    write_corpus(tmp_path / "songs", ["one", "two"])
    with pytest.raises(ValueError, match=r"found 2 audio files, none with such a name \(one.wav, two.wav\)"):
        load_crema_d(tmp_path / "songs", cache_dir=tmp_path / "cache")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/1001_DFA_ANG_XX.wav").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"no usable clip among 1 clip \(the first, [^:]+: .+\)"):
        load_crema_d(tmp_path / "torn", cache_dir=tmp_path / "cache")


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and remembers what was asked for."""

    asked: list[str] = []

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(tmp_path):
    """A local copy of the official repository: its folder and its address."""
    folder = tmp_path / "mirror"
    write_corpus(folder / "AudioWAV", NAMES)
    (folder / "VideoDemographics.csv").write_text('"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","a","b"\n')
    (folder / "processedResults").mkdir()
    row = '"100001",7,0,0,1,2,0,"1001_DFA_ANG_XX"\n"200001",0,0,0,9,0,0,"1001_DFA_ANG_XX"\n'
    (folder / "processedResults/tabulatedVotes.csv").write_text('"","A","D","F","H","N","S","fileName"\n' + row)
    Server.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, directory=folder))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_clips_and_tables_are_downloaded_once(mirror, tmp_path):
    _, url = mirror
    data = tmp_path / "data"
    download_crema_d(data, NAMES, audio_url=url, table_url=url)
    assert len(Server.asked) == len(NAMES) + 2
    download_crema_d(data, NAMES, audio_url=url, table_url=url)
    assert len(Server.asked) == len(NAMES) + 2
    clips = load_crema_d(data, cache_dir=tmp_path / "cache")
    assert clips["clip"][:] == NAMES
    assert (clips[0]["age"], clips[0]["votes_anger"], clips[0]["votes_happy"]) == (51, 7, 1)


def test_without_a_connection_nothing_is_tried_for_long(tmp_path):
    nowhere = "http://127.0.0.1:9"
    with pytest.raises(ConnectionError, match=rf"{nowhere}/.* cannot be reached .* with --data_dir$"):
        download_crema_d(tmp_path, NAMES, audio_url=nowhere, table_url=nowhere)


def test_what_git_leaves_in_place_of_a_clip_is_replaced(mirror, tmp_path):
    _, url = mirror
    data = tmp_path / "data"
    (data / "AudioWAV").mkdir(parents=True)
    (data / f"AudioWAV/{NAMES[0]}.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    download_crema_d(data, NAMES, audio_url=url, table_url=url)
    assert load_crema_d(data, cache_dir=tmp_path / "cache")["clip"][:] == NAMES


def test_a_broken_download_is_named_and_resumed(mirror, tmp_path):
    folder, url = mirror
    good = folder / "AudioWAV" / f"{NAMES[1]}.wav"
    shutil.copy(good, tmp_path / "good.wav")
    good.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    data = tmp_path / "data"
    with pytest.raises(ConnectionError, match=rf"1 of 6 files could not be downloaded .*{NAMES[1]}.*run the same"):
        download_crema_d(data, NAMES, audio_url=url, table_url=url)
    assert sorted(path.stem for path in data.rglob("*.wav*")) == sorted(set(NAMES) - {NAMES[1]})
    shutil.copy(tmp_path / "good.wav", good)
    Server.asked.clear()
    download_crema_d(data, NAMES, audio_url=url, table_url=url)
    assert Server.asked == [f"/AudioWAV/{NAMES[1]}.wav"]
