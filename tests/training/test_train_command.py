"""`python train.py` as it stands, its help, and what it says about mistyped options."""

import functools
import http.server
import logging
import sys
import threading

import pytest
from conftest import write_corpus
from hub_server import serve
from hub_server import take_for_the_hub

import train as script
from ser.corpora import crema_d
from ser.corpora.crema_d import CremaD
from ser.corpora.crema_d_download import UNFINISHED
from ser.corpora.crema_d_download import download_crema_d
from ser.recipes import DEFAULT_RECIPE
from ser.recipes import load_recipe
from ser.training.arguments import parse_arguments
from ser.training.setup import load_clips

ACTORS = ("1001", "1002", "1010", "1015")  # two training, one test and one dev actor of the tfds split
NAMES = [f"{actor}_DFA_{code}_XX" for actor in ACTORS for code in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")]


def test_the_default_run_is_trained_and_pushed_as_it_stands(tmp_path, monkeypatch, capsys):
    write_corpus(tmp_path / "data/crema-d/AudioWAV", NAMES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(load_recipe(DEFAULT_RECIPE).training, "num_train_epochs", 2)  # instead of 100
    monkeypatch.setattr(sys, "argv", "python train.py --push_to_hub".split()[1:])
    with serve() as hub:
        take_for_the_hub(monkeypatch, hub.url)
        script.main()
    assert f"pushed: {hub.url}/user/ser-{DEFAULT_RECIPE}/commit/" in capsys.readouterr().out
    files = hub.model(f"user/ser-{DEFAULT_RECIPE}").files
    assert {"model.safetensors", "README.md", "modeling_ser.py", "results.json"} <= set(files)
    assert f"python train.py --recipe {DEFAULT_RECIPE}\n" in files["README.md"].decode()


class Mirror(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, without a word."""

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A local server with a corpus of 24 clips, which the downloader takes for the official one."""
    write_corpus(tmp_path / "mirror/AudioWAV", NAMES)
    (tmp_path / "mirror/processedResults").mkdir()
    (tmp_path / "mirror/VideoDemographics.csv").write_text("ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,a,b\n")
    (tmp_path / "mirror/processedResults/tabulatedVotes.csv").write_text('"",A,D,F,H,N,S,fileName\n')
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Mirror, directory=tmp_path / "mirror"))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    download = functools.partial(download_crema_d, audio_url=url, table_url=url)
    monkeypatch.setattr(crema_d, "download_crema_d", lambda folder, names: download(folder, NAMES))
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "mirror"
    server.shutdown()


def test_the_corpus_is_downloaded_where_it_is_missing_and_the_rest_after_an_interruption(mirror, tmp_path, caplog):
    data = parse_arguments(["--cache_dir", "cache"]).data
    held_back = (mirror / f"AudioWAV/{NAMES[-1]}.wav").rename(tmp_path / "held-back.wav")
    with caplog.at_level(logging.INFO), pytest.raises(ConnectionError, match="1 of 26 files could not be downloaded"):
        load_clips(data)
    assert "downloading CREMA-D (600 MB) into data/crema-d; if stopped, the same command goes on" in caplog.text
    held_back.rename(mirror / f"AudioWAV/{NAMES[-1]}.wav")
    clips = load_clips(data)
    assert clips["clip"][:] == NAMES and clips["age"][0] == 51
    assert not (tmp_path / "data/crema-d" / UNFINISHED).exists()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        load_clips(data)
    assert "downloading" not in caplog.text


def test_a_corpus_in_the_default_folder_is_taken_as_it_is(tmp_path, monkeypatch):
    write_corpus(tmp_path / "data/crema-d", NAMES[:3])
    monkeypatch.setattr(crema_d, "download_crema_d", lambda *_: pytest.fail("downloaded"))
    CremaD.fetch(tmp_path / "data/crema-d")


def test_a_folder_that_was_named_is_never_downloaded_into(tmp_path, monkeypatch):
    monkeypatch.setattr(crema_d, "download_crema_d", lambda *_: pytest.fail("downloaded"))
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError, match="`python train.py` without --data_dir downloads CREMA-D into data/crema"):
            load_clips(parse_arguments(["--data_dir", str(folder)]).data)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--learning-rat 0.1", "there is no option --learning-rat; did you mean --learning_rate?"),
        ("--hub_tokem=hf_secret", "there is no option --hub_tokem; did you mean --hub_token?"),
        ("--zzz", "there is no option --zzz; `python train.py --help` lists the options"),
        ("cnn2d", "'cnn2d' belongs to no option; `python train.py --help` lists the options"),
        ("--recipe cnn3d", "; got 'cnn3d'; did you mean cnn2d?"),
        ("--protocol tdfs", "; got 'tdfs'; did you mean tfds?"),
        ("--corpus cremad", "; got 'cremad'; did you mean crema-d?"),
        ("--corpus speechocean762", "this one is for --ordinary_speech of `python -m ser calibrate`"),
        ("--seed one", "argument --seed: invalid int value: 'one'"),
        ("--recipe", "argument --recipe: expected one argument"),
    ],
)
def test_a_wrong_option_ends_in_one_line(words, sentence, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", *words.split()])
    with pytest.raises(SystemExit) as ended:
        script.main()
    message = str(ended.value)
    assert message.startswith("train.py: ") and message.endswith(sentence) and "\n" not in message
    printed = capsys.readouterr()
    assert not printed.out + printed.err and "hf_secret" not in message


def test_help_shows_a_default_as_one_would_type_it(monkeypatch, capsys):
    words = " ".join(printed("--help", monkeypatch, capsys, recipe="flagship-distilled").split())
    assert "(default: checkpoints/cnn1d checkpoints/cnn2d checkpoints/teachers/flagship)" in words


def printed(option: str, monkeypatch, capsys, recipe: str = "cnn2d") -> str:
    monkeypatch.setattr(sys, "argv", ["train.py", "--recipe", recipe, option])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert not ended.value.code
    return capsys.readouterr().out


def test_help_shows_examples_and_our_options_in_groups_and_all_others_on_request(monkeypatch, capsys):
    help_text, everything = (printed(option, monkeypatch, capsys) for option in ("--help", "--help_all"))
    for title in ("what to train on:", "network:", "augmentation:", "training:", "publishing:"):
        assert f"\n{title}\n" in help_text
    assert 4 <= help_text.count("train.py --") <= 6
    assert "(default: 0.3)" in help_text  # the recipe's mixup
    assert "--adam_beta1" not in help_text and "--adam_beta1" in everything
    assert help_text.partition("--help_all also")[0].rstrip() in everything
