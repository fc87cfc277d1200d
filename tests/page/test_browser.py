"""The page in a real browser that hears a real voice; its screenshots are left in runs/page/."""

import json
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe
from conftest import EXAMPLES
from conftest import PATIENCE
from conftest import RATE
from conftest import ROOT
from gradio.route_utils import delete_files_created_by_app
from playwright.sync_api import Page
from playwright.sync_api import expect

from benchmarks.browser import chromium
from ser.inference import timeline
from ser.page import handlers
from ser.page import offered_models

SHOTS = ROOT / "runs/page"
FIRST = next(iter(offered_models.find_models()))  # that the page asks unless told otherwise
PLAIN, TALK = "Synthetic voice, plain", "Two synthetic voices, 20 seconds"
INSIDE_GRADIO = {  # rules that Gradio's own components break, and where
    "aria-prohibited-attr": ".empty",  # gr.Label before there is an answer
    "scrollable-region-focusable": "#waveform",  # the player's waveform
    "image-redundant-alt": "Settings",  # in the footer
}
expect.set_options(timeout=1000 * PATIENCE)  # ms


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium with a microphone that speaks an example."""
    wav = tmp_path_factory.mktemp("microphone") / "clip.wav"
    soundfile.write(wav, *soundfile.read(EXAMPLES / "fast-high-and-loud.ogg"))
    with chromium(wav) as browser:
        yield browser


@pytest.fixture
def visit(browser, url):
    """Opens the page in a fresh window with the given options."""
    contexts = []

    def open_page(**options) -> Page:
        contexts.append(browser.new_context(permissions=["microphone"], **options))
        contexts[-1].set_default_timeout(1000 * PATIENCE)
        page = contexts[-1].new_page()
        page.goto(url)
        expect(page.locator("#words")).to_contain_text("Record, upload")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(visit) -> Page:
    return visit(viewport={"width": 1280, "height": 900})


def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def upload(page: Page, path) -> None:
    page.get_by_role("button", name="Upload file").click()
    page.locator("input[type=file]").first.set_input_files(path)


def choose_example(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()
    expect(page.locator("#words")).to_contain_text("%")
    expect(page.locator("#picture img")).to_be_visible()


def top_share(path, model: str) -> str:
    return f"{offered_models.load()[model].classifier(str(path))[0]['score']:.0%}"


def check_with_axe(page: Page) -> None:
    """No rule of accessibility is broken, but those that Gradio breaks inside its own components."""
    page.wait_for_function("!document.querySelector('.pending, .generating')")
    page.wait_for_timeout(1000)  # transitions of opacity would count as low contrast
    broken = [
        f"{violation['id']}: {node['html']}"
        for violation in Axe().run(page).response["violations"]
        for node in violation["nodes"]
        if INSIDE_GRADIO.get(violation["id"], "nowhere") not in str(node["target"])
    ]
    assert not broken, "\n".join(broken)


def test_speaking_into_the_microphone_fills_the_page(page):
    page.get_by_role("button", name="Record", exact=True).first.click()
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="Stop", exact=True).first.click()
    expect(page.locator(".sr-only[role=status]")).to_have_text("Complete")
    expect(page.locator("#words")).to_contain_text("%")
    for label in offered_models.load()[FIRST].report["labels"]:
        expect(page.locator("#bars").get_by_text(label, exact=True).first).to_be_visible()
    picture = page.locator("#picture img")
    expect(picture).to_be_visible()
    assert "Tinted: what made it" in picture.get_attribute("alt")
    assert page.locator("#words").get_attribute("aria-live") == "polite"
    shoot(page, "recorded")


def record_live(page: Page) -> None:
    """Press Record in the live tab; again, as the page says, if Gradio had not loaded its recorder: it stays silent."""
    page.get_by_role("tab", name="Live").click()
    for _ in range(3):
        page.get_by_role("button", name="Record", exact=True).last.click()
        try:
            return expect(page.locator("#live-words")).not_to_contain_text("Press Record and talk", timeout=20_000)
        except AssertionError:
            page.get_by_role("button", name="Stop", exact=True).last.click()
    pytest.fail("Three times Record was pressed, and nothing was heard")


@pytest.mark.slow
def test_live_mode_answers_while_one_speaks(page):
    record_live(page)
    expect(page.locator("#live-words")).to_contain_text("%")  # and nobody has pressed Stop
    seen = {page.locator("#live-bars").inner_text()}
    for _ in range(20):
        page.wait_for_timeout(300)
        seen.add(page.locator("#live-bars").inner_text())
    assert len(seen) > 3
    shoot(page, "live")
    page.get_by_role("button", name="Stop", exact=True).last.click()
    page.wait_for_timeout(1500)
    last = page.locator("#live-bars").inner_text()
    page.wait_for_timeout(1500)
    assert page.locator("#live-bars").inner_text() == last


@pytest.mark.slow
def test_live_mode_goes_on_as_it_says_when_time_is_over(page, monkeypatch):
    monkeypatch.setattr(handlers, "LIVE_SECONDS", 5)
    record_live(page)
    expect(page.locator("#live-words")).to_contain_text("Press Stop, then Record to go on")
    page.get_by_role("button", name="Stop", exact=True).last.click()
    monkeypatch.undo()
    page.get_by_role("button", name="Record", exact=True).last.click()
    expect(page.locator("#live-words")).to_contain_text("%")


@pytest.mark.slow
def test_two_models_answer_side_by_side(page):
    choose_example(page, PLAIN)
    page.locator("#compare").get_by_role("radio", name="cnn1d").check()
    expect(page.get_by_text("According to cnn1d")).to_be_visible()
    expect(page.locator("#other")).to_contain_text(top_share(EXAMPLES / "plain.ogg", "cnn1d"))
    expect(page.locator("#bars")).to_contain_text(top_share(EXAMPLES / "plain.ogg", FIRST))
    shoot(page, "compared")
    page.locator("#compare").get_by_role("radio", name="nothing").check()
    expect(page.locator("#other")).to_be_hidden()


@pytest.mark.slow
def test_another_model_answers_for_the_same_clip_and_shows_its_own_errors(page):
    choose_example(page, PLAIN)
    page.locator("#model").get_by_role("radio", name="cnn1d").check()
    expect(page.locator("#bars")).to_contain_text(top_share(EXAMPLES / "plain.ogg", "cnn1d"))
    page.get_by_role("tab", name="How good?").click()
    expect(page.locator("#about")).to_contain_text("cnn1d names the intended emotion")
    expect(page.get_by_role("img", name="The model classifies")).to_be_visible()
    expect(page.get_by_role("img", name="single votes of people")).to_be_visible()
    check_with_axe(page)
    shoot(page, "trusted")


def test_a_long_recording_is_looked_at_moment_by_moment_and_saved(page):
    expect(page.get_by_text("Windows of 3 s")).to_be_hidden()
    choose_example(page, TALK)
    rows = timeline.analyse(EXAMPLES / "two-voices.ogg", offered_models.load()[FIRST].classifier)
    expect(page.get_by_text("Windows of 3 s, a new one every 1.5 s")).to_be_visible()
    expect(page.locator(".windows tbody tr")).to_have_count(len(rows))
    assert page.locator(".windows tr").first.evaluate("row => getComputedStyle(row).borderWidth") == "0px 0px 1px"
    expect(page.locator("#window-words")).to_contain_text("from 0.0 to 3.0 s")
    slider = page.get_by_role("slider")
    slider.focus()
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    slider.blur()
    expect(page.locator("#window-words")).to_contain_text("from 3.0 to 6.0 s")
    expect(page.locator("#window-picture img")).to_be_visible()
    check_with_axe(page)
    shoot(page, "long")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").or_(page.get_by_text("Save as CSV")).first.click()
    text = download.value.path().read_text()
    assert text == timeline.to_csv(rows)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON").or_(page.get_by_text("Save as JSON")).first.click()
    assert json.loads(download.value.path().read_text())["windows"] == rows
    choose_example(page, PLAIN)
    expect(page.get_by_text("Windows of 3 s")).to_be_hidden()


def test_a_bad_file_gets_a_sentence_clears_the_page_and_the_page_lives_on(page, tmp_path):
    choose_example(page, PLAIN)
    page.get_by_role("button", name="Clear").first.click()
    expect(page.locator("#words")).to_contain_text("Record, upload")
    (tmp_path / "notes.wav").write_text("not audio")
    upload(page, tmp_path / "notes.wav")
    expect(page.locator("#words")).to_contain_text("it is damaged or not audio. Upload WAV")
    expect(page.locator("#bars")).not_to_contain_text("%")
    expect(page.locator("#picture img")).to_be_hidden()
    shoot(page, "refused")
    page.get_by_role("button", name="Clear").first.click()
    choose_example(page, PLAIN)


@pytest.mark.slow
def test_a_film_without_ffmpeg_gets_a_sentence(page, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    (tmp_path / "film.webm").write_bytes(b"\x1aE\xdf\xa3" + bytes(1000))
    page.locator("input[type=file][accept*=webm]").set_input_files(tmp_path / "film.webm")
    expect(page.get_by_text("M4A and WebM need the program ffmpeg")).to_be_visible()


@pytest.mark.slow
def test_a_film_is_classified_with_ffmpeg(page, demo, tmp_path, monkeypatch):
    (tmp_path / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    (tmp_path / "ffprobe").symlink_to("/bin/false")  # Gradio asks it whether a WAV file can be played
    command = [tmp_path / "ffmpeg", "-v", "error", "-i", EXAMPLES / "plain.ogg", "-c:a", "aac", tmp_path / "film.m4a"]
    subprocess.run(command, check=True)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    page.locator("input[type=file][accept*=webm]").set_input_files(tmp_path / "film.m4a")
    expect(page.locator("#words")).to_contain_text("%")
    expect(page.locator("#picture img")).to_be_visible()
    (converted,) = (path for block in demo.blocks.values() for path in block.temp_files if path.endswith(".m4a.wav"))
    delete_files_created_by_app(demo, 0)
    assert not Path(converted).exists()


@pytest.mark.slow
def test_noise_is_said_to_be_no_speech(page, tmp_path):
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).standard_normal(3 * RATE) / 50, RATE)
    upload(page, tmp_path / "noise.wav")
    expect(page.locator("#words")).to_contain_text("Nobody speaks here")
    expect(page.locator("#picture img")).to_be_visible()
    shoot(page, "noise")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(visit, scheme):
    page = visit(color_scheme=scheme)
    check_with_axe(page)
    choose_example(page, PLAIN)
    check_with_axe(page)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    bright = sum(map(int, background.removeprefix("rgb(").removesuffix(")").split(","))) > 384
    assert bright == (scheme == "light")
    shoot(page, scheme)
    page.get_by_role("tab", name="Live").click()
    check_with_axe(page)


@pytest.mark.slow
def test_it_fits_a_phone(visit):
    page = visit(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, device_scale_factor=2)
    choose_example(page, TALK)
    expect(page.locator("#window-picture img")).to_be_visible()
    for tab in ("Recording", "Live", "How good?"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    check_with_axe(page)
    page.get_by_role("tab", name="Recording").click()
    shoot(page, "phone")
    page.set_viewport_size({"width": 320, "height": 640})
    page.wait_for_timeout(300)
    page.get_by_role("tab", name="How good?").click()
    for shown in (
        page.get_by_role("figure", name="The model classifies"),
        page.get_by_role("img", name="The model classifies"),
    ):
        expect(shown).to_be_visible()
        assert shown.bounding_box()["x"] + shown.bounding_box()["width"] <= 320  # what is beyond is cut off


@pytest.mark.slow
def test_the_keyboard_is_enough(page):
    def tab_to(text: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if text == page.evaluate("(document.activeElement.innerText || document.activeElement.value).trim()"):
                return
        raise AssertionError(f"no Tab leads to {text!r}")

    tab_to(PLAIN)
    page.keyboard.press("Enter")
    expect(page.locator("#bars")).to_contain_text(top_share(EXAMPLES / "plain.ogg", FIRST))
    page.reload()
    expect(page.locator("#words")).to_contain_text("Record, upload")
    tab_to("cnn1d")
    focused = page.locator("label:has(:focus)")
    assert focused.evaluate("label => getComputedStyle(label).outlineStyle") == "solid"
    page.keyboard.press("Space")
    tab_to("How good?")
    page.keyboard.press("Enter")
    expect(page.locator("#about")).to_contain_text("cnn1d names the intended emotion")
