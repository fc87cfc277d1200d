"""The page as programs ask it: over HTTP, with Gradio's client, and as an MCP server."""

import asyncio
import base64
import concurrent.futures
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx2
import huggingface_hub
import numpy as np
import pytest
import soundfile
from conftest import EXAMPLES
from conftest import PATIENCE
from conftest import RATE
from conftest import ROOT
from conftest import speech
from gradio.route_utils import delete_files_created_by_app
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

import app
from benchmarks.server import page
from ser.inference import timeline
from ser.page import descriptions
from ser.page import handlers
from ser.page import offered_models

HTTP = httpx2.Client(timeout=PATIENCE)
BUNDLED = sorted(path.parent.name for path in (ROOT / "checkpoints").glob("*/results.json"))
LABELS = {"anger", "disgust", "fear", "happy", "neutral", "sad"}


def confidences(bars: dict) -> dict[str, float]:
    return {entry["label"]: entry["confidence"] for entry in bars["confidences"]}


@pytest.mark.parametrize("model", BUNDLED)
def test_a_clip_gets_a_sentence_and_all_emotions(client, model, tmp_path):
    soundfile.write(tmp_path / "clip.flac", np.stack([speech(2.0, rate=44100)] * 2, axis=1), 44100)
    said, bars, rows = client.predict(handle_file(tmp_path / "clip.flac"), model, api_name="/classify")
    assert rows == []
    scores = confidences(bars)
    assert set(scores) == LABELS
    assert sum(scores.values()) == pytest.approx(1, abs=1e-3)
    assert ("Sounds" in said) == (max(scores.values()) >= descriptions.UNSURE)


def test_the_page_and_the_pipeline_agree(client):
    for name, (classifier, *_) in offered_models.load().items():
        for path in EXAMPLES.glob("[!t]*.ogg"):  # clips, not the talk
            _, bars, _ = client.predict(handle_file(path), name, api_name="/classify")
            expected = {entry["label"]: entry["score"] for entry in classifier(str(path))}
            assert confidences(bars) == pytest.approx(expected, abs=2e-3)


def component(demo, label):
    return next(block for block in demo.blocks.values() if getattr(block, "label", None) == label)


def test_no_two_functions_of_an_event_keep_one_another_busy(demo):
    waiting = [each for each in demo.config["dependencies"] if each["trigger_mode"] == "always_last"]
    events = [tuple(target) for each in waiting for target in each["targets"] if target[1] != "then"]
    assert (component(demo, "Model")._id, "change") in events
    assert len(events) == len(set(events))  # else the browser asks on and on once both had to wait


def test_the_model_that_hears_other_recordings_best_comes_first():
    def over_conditions(name):
        report = json.loads((ROOT / "checkpoints" / name / "robustness.json").read_text())
        return np.mean([figure["accuracy"] for what, figure in report["conditions"].items() if what != "clean"])

    assert list(offered_models.load()) == sorted(BUNDLED, key=over_conditions, reverse=True)


def test_a_model_that_was_never_heard_elsewhere_comes_last_however_good_it_is(tmp_path, monkeypatch):
    for name in ("cnn1d", "cnn2d"):
        shutil.copytree(ROOT / "checkpoints" / name, tmp_path / name)
    measured = json.loads((tmp_path / "cnn2d/robustness.json").read_text())["conditions"]
    monkeypatch.setenv("SER_MODELS", "cnn2d, cnn1d,")
    monkeypatch.setattr(offered_models, "snapshot_download", lambda name: str(tmp_path / name))
    assert list(offered_models.find_models()) == ["cnn2d", "cnn1d"]
    some = {"conditions": dict(list(measured.items())[:3])}  # as an interrupted measurement leaves it
    (tmp_path / "cnn2d/robustness.json").write_text(json.dumps(some))
    assert list(offered_models.find_models()) == ["cnn1d", "cnn2d"]
    (tmp_path / "cnn2d/robustness.json").unlink()
    assert list(offered_models.find_models()) == ["cnn1d", "cnn2d"]
    (tmp_path / "cnn2d/results.json").unlink()
    with pytest.raises(ValueError, match="SER_MODELS names 'cnn2d', which has no results.json: name models that"):
        offered_models.find_models()


def test_a_page_without_a_model_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(offered_models, "PROJECT", tmp_path)
    offered_models.load.cache_clear()
    with pytest.raises(SystemExit, match="app.py: there is no model in checkpoints: clone the whole project, or name"):
        app.main()
    monkeypatch.setenv("SER_MODELS", "user/none")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="SER_MODELS names 'user/none', which cannot be fetched: ") as refused:
        offered_models.find_models()
    assert "\n" not in str(refused.value)


SILENT = "The recording is silent: check the microphone"
BAD = {
    "silent.wav": (np.zeros(RATE), SILENT),
    "long-silence.wav": (np.zeros(20 * RATE), SILENT),
    "short.wav": (speech(0.1), "lasts 0.10 s, which is too short: speak for at least 0.2 s"),
    "nan.wav": (np.full(RATE, np.nan), "the audio holds NaN or infinite samples"),
    "text.wav": (b"I am a text file.", "it is damaged or not audio. Upload WAV"),
    "../../etc/passwd": (b"root:x:0:0", "it is damaged or not audio. Upload WAV"),
    "$(touch hacked).wav": (b"; touch hacked", "it is damaged or not audio. Upload WAV"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_answered_with_a_sentence_and_the_page_lives_on(client, url, name):
    content, message = BAD[name]
    if not isinstance(content, bytes):
        file = io.BytesIO()
        soundfile.write(file, content, RATE, format="WAV", subtype="FLOAT")
        content = file.getvalue()
    (uploaded,) = HTTP.post(f"{url}gradio_api/upload", files={"files": (name, content)}).json()
    with pytest.raises(AppError) as caught:
        client.predict({"path": uploaded, "meta": {"_type": "gradio.FileData"}}, "cnn1d", api_name="/classify")
    assert message in str(caught.value)
    assert "/" not in str(caught.value)
    said, *_ = client.predict(handle_file(EXAMPLES / "plain.ogg"), "cnn1d", api_name="/classify")
    assert said


def test_noise_is_given_no_emotion(client, tmp_path):
    noise = np.random.default_rng(0).standard_normal(8 * RATE) / 50
    soundfile.write(tmp_path / "noise.wav", noise[: 2 * RATE], RATE)
    soundfile.write(tmp_path / "long.wav", noise, RATE)
    for name, windows in (("noise.wav", 0), ("long.wav", 5)):
        said, bars, rows = client.predict(handle_file(tmp_path / name), "cnn1d", api_name="/classify")
        assert "Nobody speaks here" in said
        assert bars == {}
        assert [(row["speech"], row["emotion"]) for row in rows] == [(False, None)] * windows


def test_a_long_recording_is_heard_in_windows(client, tmp_path):
    waveform = speech(12.0)
    waveform[4 * RATE : 9 * RATE] *= 1e-3
    soundfile.write(tmp_path / "long.flac", waveform, RATE)
    said, bars, rows = client.predict(handle_file(tmp_path / "long.flac"), "cnn1d", api_name="/classify")
    assert [row["start"] for row in rows] == [0, 1.5, 3, 4.5, 6, 7.5, 9]
    assert [row["speech"] for row in rows] == [True, True, True, False, False, True, True]
    spoken = [row["probabilities"]["anger"] for row in rows if row["speech"]]
    assert "The mean of the 5 windows in which somebody speaks" in said
    assert confidences(bars)["anger"] == pytest.approx(np.mean(spoken), abs=1e-4)


def call(url: str, path: str, model: str = "cnn1d") -> str:
    """The events that a bare HTTP call for a file on the server is answered with."""
    data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, model]
    event = HTTP.post(f"{url}gradio_api/call/classify", json={"data": data}).json()["event_id"]
    return HTTP.get(f"{url}gradio_api/call/classify/{event}").text


def upload(url: str, path) -> str:
    with path.open("rb") as file:
        return HTTP.post(f"{url}gradio_api/upload", files={"files": file}).json()[0]


def test_only_uploaded_files_are_read(url, tmp_path):
    soundfile.write(tmp_path / "private.wav", speech(1.0), RATE)
    answer = call(url, str(tmp_path / "private.wav"))
    assert "event: error" in answer
    assert "confidence" not in answer
    assert "confidence" in call(url, upload(url, tmp_path / "private.wav"))
    for path in (tmp_path / "private.wav", ROOT / "app.py", "/etc/passwd"):
        assert HTTP.get(f"{url}gradio_api/file={path}").status_code == 403


def test_no_other_model_is_loaded(url):
    for model in ("somebody/wav2vec2-evil", "../checkpoints/cnn1d", ""):
        answer = call(url, upload(url, EXAMPLES / "plain.ogg"), model)
        assert "event: error" in answer
        assert "confidence" not in answer


@pytest.mark.slow
def test_many_clients_at_once_all_get_their_own_answer(url):
    paths = sorted(EXAMPLES.glob("[!t]*.ogg"))
    uploaded = [upload(url, path) for path in paths]
    expected = [offered_models.load()["cnn1d"].classifier(str(path))[0]["label"] for path in paths]
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda number: call(url, uploaded[number % len(paths)]), range(60)))
    for number, answer in enumerate(answers):
        _, bars, _ = json.loads(answer.split("data: ")[-1])
        assert bars["label"] == expected[number % len(paths)]


@pytest.mark.skipif(not shutil.which("curl"), reason="needs the program curl")
def test_the_curl_commands_of_the_docs_answer(url, tmp_path):
    blocks = (ROOT / "docs/page.md").read_text().split("```")
    (commands,) = [block for block in blocks if "curl -sN" in block]
    soundfile.write(tmp_path / "speech.wav", speech(2.0), RATE)
    script = commands.replace("http://127.0.0.1:7860/", url)
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "event: complete" in done.stdout
    said, bars, rows = json.loads(done.stdout.split("data: ")[-1])
    assert {entry["label"] for entry in bars["confidences"]} == LABELS


def test_quiet_recordings_are_heard_whatever_their_length(client, tmp_path):
    for seconds in (4.0, 9.0):
        waveform = speech(seconds)
        soundfile.write(tmp_path / "quiet.wav", 0.003 * waveform / np.abs(waveform).max(), RATE, subtype="FLOAT")
        said, *_ = client.predict(handle_file(tmp_path / "quiet.wav"), "cnn1d", api_name="/classify")
        assert "Nobody speaks" not in said


def test_it_listens_live(monkeypatch):
    clock = iter(np.arange(0, 1000, 0.1))
    monkeypatch.setattr(handlers, "monotonic", lambda: next(clock))
    waveform = np.int16(20000 * speech(4.0, rate=48000))
    kept, _, bars, _ = handlers.begin_live("cnn1d")
    said = []
    for chunk in np.split(waveform, 40):
        kept, heading, *_ = handlers.continue_live((48000, np.stack([chunk, chunk], axis=1)), kept, "cnn1d")
        said += [heading] if isinstance(heading, str) else []
    assert 8 <= len(said) <= 16  # twice a second, or as often as chunks come
    assert len(kept["samples"]) == 3 * 48000
    for _ in range(45):
        kept, heading, bars, changes = handlers.continue_live((48000, np.zeros(4800, np.int16)), kept, "cnn1d")
        said += [heading] if isinstance(heading, str) else []
    assert "Nobody speaks" in said[-1]
    assert kept["changes"][0][1] == "nobody speaks"
    kept["began"] -= handlers.LIVE_SECONDS
    assert "Time is over" in handlers.continue_live((48000, np.zeros(4800, np.int16)), kept, "cnn1d")[1]
    assert handlers.continue_live(None, None, "cnn1d")[0] is None


def test_every_moment_of_a_long_recording_can_be_looked_at():
    path = str(EXAMPLES / "two-voices.ogg")
    rows = timeline.analyse(path, offered_models.load()["cnn1d"].classifier)
    for moment in (0.0, 7.4, 1e9):
        said, scores, picture = handlers.choose_window(path, "cnn1d", rows, moment)
        row = min(rows, key=lambda row: abs(row["start"] - moment))
        assert f"from {row['start']:.1f} to {row['end']:.1f} s" in said
        assert scores == (row["probabilities"] if row["speech"] else None)
        assert "<img" in picture
        tinted = re.search(r"Tinted: what made it .* from (.*) to (.*) s\.", picture)
        assert bool(tinted) == ("the pitch of the voice" in picture) == row["speech"]
        if tinted:
            begin, end = map(float, tinted.groups())
            assert row["start"] <= begin < end <= row["end"]
    assert handlers.choose_window(None, "cnn1d", [], 0.0) == ("", None, "")
    said, scores, picture = handlers.choose_window("/nowhere/gone.wav", "cnn1d", rows, 0.0)
    assert "was deleted in the meantime" in said
    assert (scores, picture) == (None, "")


def test_recordings_are_kept_for_less_than_an_hour_and_nothing_else_is_kept(demo):
    assert sum(demo.delete_cache) < 3600  # seconds between two looks, and age
    assert app.LAUNCH["run_history"] is app.LAUNCH["enable_monitoring"] is False


def test_the_examples_outlive_the_recordings(demo, url, tmp_path):
    soundfile.write(tmp_path / "own.wav", speech(1.0), RATE)
    recording = upload(url, tmp_path / "own.wav")
    assert "confidence" in call(url, recording)
    delete_files_created_by_app(demo, 0)
    assert not Path(recording).exists()
    kept = component(demo, "Speech").keep_in_cache
    assert len(kept) == len(app.EXAMPLES)
    assert all(Path(path).is_file() for path in kept)


@pytest.mark.parametrize("model", BUNDLED)
def test_every_model_shows_its_errors_and_those_of_people(model):
    said, pictures = handlers.describe(model)
    assert model in said
    assert pictures.count("<img") == 2


@pytest.fixture
def mcp_address():
    """The page as the README starts it for MCP clients."""
    with page(GRADIO_MCP_SERVER="True") as (address, _):
        yield f"{address}/gradio_api/mcp/"


@pytest.mark.slow
def test_an_mcp_client_finds_one_tool_and_uses_it(mcp_address):
    content = base64.b64encode((EXAMPLES / "plain.ogg").read_bytes()).decode()

    async def ask():
        async with streamablehttp_client(mcp_address) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            calls = [f"data:audio/ogg;base64,{content}", "/etc/passwd"]
            answers = [await session.call_tool(tools[0].name, {"path": path, "model": "cnn1d"}) for path in calls]
            return tools, answers

    tools, (heard, refused) = asyncio.run(ask())
    assert [tool.name for tool in tools] == ["classify"]
    assert tools[0].description.startswith("Name the emotion in a recording of speech.")
    expected = offered_models.load()["cnn1d"].classifier(str(EXAMPLES / "plain.ogg"))[0]["label"]
    assert expected in "".join(part.text for part in heard.content)
    assert refused.isError
