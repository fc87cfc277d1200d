"""The page as programs ask it: over HTTP, with Gradio's client, and as an MCP server."""

import asyncio
import base64
import concurrent.futures
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import gradio as gr
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
from gradio.data_classes import FileData
from gradio.route_utils import delete_files_created_by_app
from gradio.utils import get_upload_folder
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

import app
from benchmarks.server import page
from ser.files import MODEL
from ser.inference import timeline
from ser.page import accuracy
from ser.page import challenge
from ser.page import handlers
from ser.page import offered_models
from ser.page import own_voice
from ser.page import trust
from ser.reporting.report_file import on_crema_d

HTTP = httpx2.Client(timeout=PATIENCE)
CLIP = EXAMPLES / "crema-d/1068_DFA_ANG_XX.ogg"
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
    assert ("Unclear" in said) == (max(scores.values()) < trust.threshold(offered_models.load()[model]))


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
    states = {block._id for block in demo.blocks.values() if isinstance(block, gr.State)}  # theirs wait separately
    events = [tuple(target) for each in waiting for target in each["targets"] if target[1] != "then"]
    events = [target for target in events if target[0] not in states]
    assert (component(demo, "Model")._id, "input") in events
    assert len(events) == len(set(events))  # else the browser asks on and on once both had to wait


def test_an_answer_is_never_replaced_by_one_that_was_asked_for_earlier(demo):
    for name in ("answer", "several"):
        (shown,) = (block._id for block in demo.blocks.values() if block.elem_id == name)
        (answered,) = (each for each in demo.config["dependencies"] if shown in each["outputs"])
        assert answered["trigger_mode"] == "always_last"
        assert len(answered["targets"]) == 3  # recordings, models and ordinary voices


def test_the_default_model_comes_first_and_then_those_that_are_best_on_changed_recordings():
    def over_conditions(name):
        report = json.loads((ROOT / "checkpoints" / name / "robustness.json").read_text())
        return np.mean([figure["accuracy"] for what, figure in report["conditions"].items() if what != "clean"])

    first, *others = offered_models.load()
    assert MODEL.endswith(first)
    assert others == sorted(set(BUNDLED) - {first}, key=over_conditions, reverse=True)


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
    monkeypatch.setenv("GRADIO_TEMP_DIR", get_upload_folder())
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


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("model.safetensors", b"torn", "model.safetensors is damaged"),
        ("config.json", b"[1", "config.json is not a JSON object"),
        ("results.json", b"{", "results.json' is damaged or not a JSON file"),
        ("robustness.json", b"{}", "robustness.json' has no conditions; take the whole file, or remove it"),
    ],
)
def test_a_damaged_model_is_named_when_the_page_starts(name, content, sentence, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", get_upload_folder())
    monkeypatch.setenv("SER_MODELS", str(shutil.copytree(ROOT / "checkpoints/cnn1d", tmp_path / "model")))
    (tmp_path / "model" / name).write_bytes(content)
    offered_models.load.cache_clear()
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert sentence in str(ended.value) and "\n" not in str(ended.value)


def test_a_page_without_an_address_says_what_to_check(monkeypatch):
    def launch(page, **options):
        raise OSError("Cannot find empty port in range: 8000-8000.")

    monkeypatch.setenv("GRADIO_TEMP_DIR", get_upload_folder())
    monkeypatch.setattr(app.gr.Blocks, "launch", launch)
    with pytest.raises(SystemExit, match=r"app.py: the page cannot be served \(Cannot .*check GRADIO_SERVER"):
        app.main()


def test_a_port_that_is_no_number_is_answered_in_one_sentence():
    command = [sys.executable, "app.py"]
    environment = os.environ | {"GRADIO_SERVER_PORT": "abc"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("app.py: expected a number in GRADIO_SERVER_PORT (") and done.stderr.count("\n") == 1


def test_options_are_not_ignored(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["app.py", "--port", "8000"])
    with pytest.raises(SystemExit, match="app.py: takes no options; docs/page.md lists its environment variables"):
        runpy.run_path(str(ROOT / "app.py"), run_name="__main__")


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
        assert "No speech" in said
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
    assert "The mean over 5 stretches of 3 seconds in which somebody speaks" in said
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
    soundfile.write(tmp_path / "my own speech.wav", speech(2.0), RATE)
    script = commands.replace("speech.wav", "my own speech.wav").replace("http://127.0.0.1:7860/", url)
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "event: complete" in done.stdout
    said, bars, rows = json.loads(done.stdout.split("data: ")[-1])
    assert {entry["label"] for entry in bars["confidences"]} == LABELS


def test_quiet_recordings_are_heard_whatever_their_length(client, tmp_path):
    for seconds in (4.0, 9.0):
        waveform = speech(seconds)
        soundfile.write(tmp_path / "quiet.wav", 0.003 * waveform / np.abs(waveform).max(), RATE, subtype="FLOAT")
        said, *_ = client.predict(handle_file(tmp_path / "quiet.wav"), "cnn1d", api_name="/classify")
        assert "No speech" not in said


def files(*paths) -> list[dict]:
    """As the page's recorder sends them."""
    return [FileData(path=str(path)).model_dump() for path in paths]


def test_a_clip_gets_a_card_an_entry_of_the_history_and_a_reason():
    shown = handlers.respond(files(CLIP), "cnn2d", None)
    scores = {entry["label"]: entry["score"] for entry in offered_models.load()["cnn2d"].classifier(str(CLIP))}
    assert f"{max(scores.values()):.0%}" in shown.card
    assert [shown.card.count(f'class="bar e-{label}"') for label in sorted(LABELS)] == [1] * 6
    assert shown.attempt["bars"] in shown.card
    assert shown.over_time is None and shown.place is None
    reason = handlers.explain(files(CLIP), "cnn2d", None, None)
    begin, end = map(float, re.search(r"marked stretch of speech, ([\d.]+) to ([\d.]+) s, supports", reason).groups())
    assert 0 <= begin < end <= 2.2
    assert reason.count("<img") == 1 and reason.count('<th scope="row">') == 3


def test_a_long_recording_is_shown_over_time_and_any_place_of_it_explained():
    path = EXAMPLES / "two-voices.ogg"
    shown = handlers.respond(files(path), "cnn2d", None)
    rows = timeline.analyse(path, offered_models.load()["cnn2d"].classifier)
    assert [row["start"] for row in shown.over_time["rows"]] == [row["start"] for row in rows]
    assert Path(shown.csv_file).read_bytes() == timeline.to_csv(rows).encode()
    assert json.loads(Path(shown.json_file).read_text())["windows"] == rows
    for place in (shown.place, 6.0):
        stretch = re.search(
            r"stretch of speech, ([\d.]+) to ([\d.]+) s", handlers.explain(files(path), "cnn2d", None, place)
        )
        assert not stretch or place <= float(stretch[1]) < float(stretch[2]) <= place + 3


def test_a_bad_file_gets_a_card_that_says_why(tmp_path):
    (tmp_path / "notes.wav").write_text("not audio")
    shown = handlers.respond(files(tmp_path / "notes.wav"), "cnn1d", None)
    assert "it is damaged or not audio" in shown.card and shown.over_time is None
    assert "was deleted in the meantime" in handlers.respond(files(tmp_path / "gone.wav"), "cnn1d", None).card
    assert handlers.explain(files(tmp_path / "gone.wav"), "cnn1d", None, None) == ""
    assert "damaged" in handlers.compare(files(tmp_path / "notes.wav"), "cnn1d", None, "cnn2d", True)


def test_what_bears_no_mark_of_an_upload_is_refused():
    with pytest.raises(ValueError, match="meta"):
        handlers.respond([{"path": "/etc/passwd"}], "cnn1d", None)


def test_several_files_get_no_card_when_the_model_or_the_voice_changes():
    several = files(CLIP, CLIP)
    assert handlers.respond(several, "cnn2d", None) == handlers.respond([], "cnn2d", None)
    assert handlers.explain(several, "cnn2d", None, None) == ""
    assert "Record or choose" in handlers.compare(several, "cnn2d", None, "cnn1d", True)


def test_several_files_get_a_row_each_errors_too(tmp_path):
    (tmp_path / "<b>notes.txt").write_text("not audio")
    *_, (table, button) = handlers.classify_several(files(CLIP, tmp_path / "<b>notes.txt"), "cnn2d", None)
    assert "2 of 2 files" in table and "&lt;b&gt;notes" in table and "damaged or not audio" in table
    lines = Path(button.value["path"] if isinstance(button.value, dict) else button.value).read_text().splitlines()
    assert lines[0] == "file,answer,probability,error"
    assert lines[1].startswith(f"{CLIP.name},angry,0.") and "not audio" in lines[2]
    assert list(handlers.classify_several(files(CLIP), "cnn2d", None)) == []  # the table of earlier files stays


def test_the_table_of_several_files_says_whose_answers_it_has():
    def head(name, voices):
        *_, (table, _) = handlers.classify_several(files(CLIP, CLIP), name, voices)
        return re.search("<h3>(.*)</h3>", table)[1]

    first = next(iter(offered_models.load()))
    assert head(first, None) == "2 of 2 files"
    assert head(first, own_voice.remember(files(EXAMPLES / "plain.ogg"))[0]) == "2 of 2 files (for your voice)"
    assert head("cnn2d", None) == "2 of 2 files (cnn2d)"


def test_two_models_answer_in_bars_of_one_order():
    html = handlers.compare(files(CLIP), "cnn1d", None, "cnn2d", True)
    order = re.findall(r'class="bar (e-\w+)"', html)
    assert order == [f"e-{label}" for label in sorted(LABELS)] * 2
    assert "cnn1d: " in html and "cnn2d: " in html
    assert handlers.compare(files(CLIP), "cnn1d", None, "cnn1d", True).count("<h3>") == 1  # not with itself
    assert handlers.compare(files(CLIP), "cnn1d", None, "cnn2d", False) == ""


def test_a_game_has_five_rounds_and_a_score(monkeypatch):
    html, game = challenge.restart("cnn2d")
    assert "Round 1 of 5" in html
    game["tasks"][0] = (game["tasks"][0][0], "anger")
    html, game = challenge.play(files("/nowhere/gone.wav"), "cnn2d", None, game)
    assert 'data-say="The recording was deleted in the meantime: record or upload it again. Round 1: say' in html
    assert html != challenge.play(files("/nowhere/gone.wav"), "cnn2d", None, game)[0]  # so that it is said again
    assert "was deleted in the meantime" in html and not game["guesses"]
    for _ in range(6):
        html, game = challenge.play(files(CLIP), "cnn2d", None, game)
    assert game["guesses"] == ["anger"] * 5
    assert f"{sum(emotion == 'anger' for _, emotion in game['tasks'])} of 5 right" in html


def test_recordings_are_kept_for_less_than_an_hour_and_nothing_else_is_kept(demo):
    assert sum(demo.delete_cache) < 3600  # seconds between two looks, and age
    assert app.LAUNCH["run_history"] is app.LAUNCH["enable_monitoring"] is False


def test_the_examples_outlive_the_recordings(demo, url, tmp_path):
    soundfile.write(tmp_path / "own.wav", speech(1.0), RATE)
    recording = upload(url, tmp_path / "own.wav")
    assert "confidence" in call(url, recording)
    delete_files_created_by_app(demo, 0)
    assert not Path(recording).exists()
    (clips,) = (block for block in demo.blocks.values() if block.elem_id == "examples")
    assert all(Path(clip["path"]).is_file() for clip in clips.value)


def test_every_model_shows_its_scores_its_errors_and_those_of_people():
    table = accuracy.models_html()
    for name in BUNDLED:
        report = offered_models.load()[name].report
        assert f'<th scope="row">{name}</th><td>{on_crema_d(report)["accuracy"]:.0%}</td>' in table
        html = accuracy.describe(name)
        assert f"{name} names the intended emotion in" in html
        tables = 2 if report["human_confusion_matrix"] else 1
        assert html.count("<table") == tables and html.count("<td class=right") == 6 * tables


def test_the_card_of_a_model_is_where_the_model_is(tmp_path):
    report = offered_models.load()["cnn1d"].report
    assert "model card: checkpoints/cnn1d/README.md in the project" in accuracy.data("cnn1d", report)
    assert '<a href="https://huggingface.co/user/small">model card</a>' in accuracy.data("user/small", report)
    assert f"model card: {tmp_path}/README.md." in accuracy.data(str(tmp_path), report)


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
