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
    words, bars, picture = client.predict(handle_file(tmp_path / "clip.flac"), model, api_name="/classify")
    scores = confidences(bars)
    assert set(scores) == LABELS
    assert sum(scores.values()) == pytest.approx(1, abs=1e-3)
    assert ("Sounds" in words) == (max(scores.values()) >= app.UNSURE)
    assert picture["plot"].startswith("data:image/")


def test_the_page_and_the_pipeline_agree(client, clip_path):
    for name, classifier in app.MODELS.items():
        _, bars, _ = client.predict(handle_file(clip_path), name, api_name="/classify")
        expected = {entry["label"]: entry["score"] for entry in classifier(str(clip_path))}
        assert confidences(bars) == pytest.approx(expected, abs=1e-4)


def test_models_say_how_good_they_are():
    for name in app.MODELS:
        assert "of 19 actors it never heard (95 % interval" in app.describe_model(name)


BAD = {
    "silent.wav": (np.zeros(RATE), "The clip is silent: check the microphone"),
    "short.wav": (voice(0.1), "lasts 0.10 s, which is too short: speak for at least 0.2 s"),
    "long.wav": (np.tile(voice(1.0), 61), "lasts 61 s, which is too long"),
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
        soundfile.write(tmp_path / name, content, RATE, subtype="FLOAT")
    with pytest.raises(AppError) as caught:
        client.predict(handle_file(tmp_path / name), next(iter(app.MODELS)), api_name="/classify")
    assert message in str(caught.value)
    assert str(ROOT) not in str(caught.value)


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
    page.get_by_role("radio", name=names[-1]).check()
    expect(page.get_by_text(f"{names[-1]} names the intended emotion")).to_be_visible()
    scores = {entry["label"]: entry["score"] for entry in app.MODELS[names[-1]](str(clip_path))}
    expect(page.get_by_text(f"{max(scores.values()):.0%}").first).to_be_visible(timeout=30_000)


def test_a_text_file_in_the_browser_gets_a_message_and_the_page_lives_on(page, clip_path, tmp_path):
    (tmp_path / "notes.wav").write_text("not audio")
    upload(page, tmp_path / "notes.wav")
    expect(page.get_by_text("This file cannot be read")).to_be_visible(timeout=30_000)
    page.reload()
    upload(page, clip_path)
    expect(page.locator("#words")).to_contain_text("%", timeout=30_000)
