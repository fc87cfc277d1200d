"""The page, through its API and in a real browser that hears a real clip."""

import shutil

import httpx
import numpy as np
import pytest
import soundfile
from conftest import RATE
from conftest import ROOT
from conftest import voice
from gradio_client import Client
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import Page
from playwright.sync_api import expect
from playwright.sync_api import sync_playwright

import app

LABELS = {"anger", "disgust", "fear", "happy", "neutral", "sad"}


@pytest.fixture(scope="module")
def url():
    app.demo.launch(theme=app.THEME, prevent_thread_lock=True, quiet=True)
    yield app.demo.local_url
    app.demo.close()


@pytest.fixture(scope="module")
def client(url):
    return Client(url, verbose=False)


def confidences(bars: dict) -> dict[str, float]:
    return {entry["label"]: entry["confidence"] for entry in bars["confidences"]}


@pytest.mark.parametrize("model", app.MODELS)
def test_a_clip_gets_a_sentence_all_emotions_and_a_picture(client, model, tmp_path):
    soundfile.write(tmp_path / "clip.flac", np.stack([voice(2.0, rate=44100)] * 2, axis=1), 44100)
    words, bars, picture, rows = client.predict(handle_file(tmp_path / "clip.flac"), model, api_name="/classify")
    assert rows == []
    scores = confidences(bars)
    assert set(scores) == LABELS
    assert sum(scores.values()) == pytest.approx(1, abs=1e-3)
    assert ("Sounds" in words) == (max(scores.values()) >= app.UNSURE)
    assert picture["plot"].startswith("data:image/")


def test_the_page_and_the_pipeline_agree(client, clip_path):
    for name, classifier in app.MODELS.items():
        _, bars, _, _ = client.predict(handle_file(clip_path), name, api_name="/classify")
        expected = {entry["label"]: entry["score"] for entry in classifier(str(clip_path))}
        assert confidences(bars) == pytest.approx(expected, abs=1e-4)


def test_models_claim_nothing_that_was_not_tested(monkeypatch):
    report = app.read_results(app.FOLDERS["cnn1d"])
    for changes, said in (
        ({"protocol": "leaky"}, "are invalid"),
        ({"test_actors": None}, "test clips (95 %"),
        ({"protocol": "random"}, "test clips (95 %"),
    ):
        monkeypatch.setattr(app, "read_results", lambda folder, changes=changes: report | changes)
        assert said in app.describe_model("cnn1d")
        assert "never heard" not in app.describe_model("cnn1d")


def test_models_say_how_good_they_are():
    for name in app.MODELS:
        assert "of 19 actors it never heard (95 % interval" in app.describe_model(name)


BAD = {
    "silent.wav": (np.zeros(RATE), "The recording is silent: check the microphone"),
    "short.wav": (voice(0.1), "lasts 0.10 s, which is too short: speak for at least 0.2 s"),
    "long.wav": (np.zeros(31 * 60 * 1000, np.float32), "lasts 1860 s: choose one of at most 30 minutes"),
    "longsilence.wav": (np.zeros(20 * RATE), "The recording is silent: check the microphone"),
    "text.wav": (b"I am a text file.", "it is damaged or not audio. Upload WAV"),
    "empty.wav": (b"", "damaged or not audio"),
    "headeronly.wav": (np.zeros(0), "the audio holds no samples"),
    "nan.wav": (np.full(RATE, np.nan), "the audio holds NaN or infinite samples"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_answered_with_a_sentence(client, name, tmp_path):
    content, message = BAD[name]
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        soundfile.write(tmp_path / name, content, 1000 if name == "long.wav" else RATE, subtype="FLOAT")
    with pytest.raises(AppError) as caught:
        client.predict(handle_file(tmp_path / name), next(iter(app.MODELS)), api_name="/classify")
    assert message in str(caught.value)
    assert str(ROOT) not in str(caught.value)


def test_a_long_recording_is_heard_in_windows(client, tmp_path):
    waveform = voice(12.0)
    waveform[5 * RATE : 9 * RATE] *= 1e-3
    soundfile.write(tmp_path / "long.ogg", waveform, RATE)
    words, bars, picture, rows = client.predict(handle_file(tmp_path / "long.ogg"), "cnn1d", api_name="/classify")
    assert picture["plot"].startswith("data:image/")
    assert [row["start"] for row in rows] == [0, 1.5, 3, 4.5, 6, 7.5, 9]
    assert [row["quiet"] for row in rows] == [False, False, False, False, True, False, False]
    spoken = [row["probabilities"]["anger"] for row in rows if not row["quiet"]]
    assert confidences(bars)["anger"] == pytest.approx(np.mean(spoken), abs=1e-4)


def test_what_is_mistaken_for_an_emotion_is_read_off_the_report():
    report = {"labels": ["anger", "happy", "sad"], "confusion_matrix": [[9, 1, 0], [4, 5, 1], [2, 0, 8]]}
    assert app.most_mistaken(report, "anger") == "happy"
    assert app.most_mistaken(report, "sad") == "happy"
    assert app.most_mistaken({"labels": ["a", "b"], "confusion_matrix": [[1, 0], [0, 1]]}, "a") is None


def call(url: str, path: str) -> str:
    """The events that a bare HTTP call for a file on the server is answered with."""
    data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, next(iter(app.MODELS))]
    event = httpx.post(f"{url}gradio_api/call/classify", json={"data": data}).json()["event_id"]
    return httpx.get(f"{url}gradio_api/call/classify/{event}", timeout=60).text


def test_only_uploaded_files_are_read(url, tmp_path):
    soundfile.write(tmp_path / "private.wav", voice(), RATE)
    answer = call(url, str(tmp_path / "private.wav"))
    assert "event: error" in answer
    assert "confidence" not in answer
    with (tmp_path / "private.wav").open("rb") as file:
        (uploaded,) = httpx.post(f"{url}gradio_api/upload", files={"files": file}).json()
    assert "confidence" in call(url, uploaded)


@pytest.fixture(scope="module")
def browser(clip_path, tmp_path_factory):
    """Chromium with a microphone that speaks a real clip."""
    wav = tmp_path_factory.mktemp("microphone") / "clip.wav"
    soundfile.write(wav, *soundfile.read(clip_path))
    installed = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    arguments = ["--no-sandbox", "--disable-gpu", "--use-fake-ui-for-media-stream"]
    arguments += ["--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={wav}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, url):
    context = browser.new_context(permissions=["microphone"])
    page = context.new_page()
    page.goto(url)
    yield page
    context.close()


def record(page: Page, seconds: float) -> None:
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(1000 * seconds)
    page.get_by_role("button", name="Stop", exact=True).first.click()


def test_speaking_into_the_microphone_fills_the_page(page):
    expect(page.locator("#words")).to_contain_text("Record or upload a clip first")
    record(page, seconds=2.5)
    expect(page.locator("#words")).to_contain_text("angry", timeout=30_000)  # the clip is acted as high anger
    for label in LABELS:
        expect(page.get_by_text(label, exact=True).first).to_be_visible()
    expect(page.get_by_test_id("matplotlib").locator("img")).to_be_visible()
    (ROOT / "runs").mkdir(exist_ok=True)
    page.screenshot(path=ROOT / "runs/page.png", full_page=True)


def upload(page: Page, path) -> None:
    page.get_by_role("button", name="Upload file").click()
    page.locator("input[type=file]").first.set_input_files(path)


def test_another_model_answers_for_the_same_clip(page, clip_path):
    upload(page, clip_path)
    expect(page.locator("#words")).to_contain_text("%", timeout=30_000)
    names = list(app.MODELS)
    page.get_by_role("radio", name=names[-1]).first.check()
    expect(page.get_by_text(f"{names[-1]} names the intended emotion")).to_be_visible()
    scores = {entry["label"]: entry["score"] for entry in app.MODELS[names[-1]](str(clip_path))}
    expect(page.get_by_text(f"{max(scores.values()):.0%}").first).to_be_visible(timeout=30_000)


def test_two_models_answer_side_by_side(page, clip_path):
    upload(page, clip_path)
    expect(page.locator("#words")).to_contain_text("%", timeout=30_000)
    name = list(app.MODELS)[-1]
    page.locator("#compare").get_by_role("radio", name=name).check()
    scores = {entry["label"]: entry["score"] for entry in app.MODELS[name](str(clip_path))}
    expect(page.locator("#other").get_by_text(f"{max(scores.values()):.0%}").first).to_be_visible(timeout=30_000)


def test_a_long_recording_has_a_table_whose_rows_can_be_chosen_and_saved(page, clip_path, tmp_path):
    clip, rate = soundfile.read(clip_path)
    soundfile.write(tmp_path / "long.wav", np.tile(clip, 6), rate)
    upload(page, tmp_path / "long.wav")
    expect(page.get_by_text("Over time")).to_be_visible(timeout=30_000)
    page.get_by_role("gridcell", name="1.5", exact=True).or_(page.get_by_text("1.5", exact=True)).first.click()
    expect(page.get_by_text("From 1.5 to 4.5 s")).to_be_visible(timeout=30_000)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").or_(page.get_by_text("Save as CSV")).first.click()
    text = download.value.path().read_text()
    assert text.startswith("start,end,level_db,quiet,emotion,probability,anger,disgust")
    assert len(text.splitlines()) == 1 + len(app.timeline.analyse(tmp_path / "long.wav", app.MODELS["cnn2d"]))
    page.screenshot(path=ROOT / "runs/page-long.png", full_page=True)


def test_a_text_file_in_the_browser_gets_a_message_and_the_page_lives_on(page, clip_path, tmp_path):
    (tmp_path / "notes.wav").write_text("not audio")
    upload(page, tmp_path / "notes.wav")
    expect(page.get_by_text("This file cannot be read")).to_be_visible(timeout=30_000)
    page.reload()
    upload(page, clip_path)
    expect(page.locator("#words")).to_contain_text("%", timeout=30_000)
