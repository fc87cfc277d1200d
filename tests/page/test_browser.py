"""The page in a browser with a voice at its microphone, on a desk and on a phone; leaves screenshots in runs/page/."""

import re

import numpy as np
import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe
from conftest import EXAMPLES
from conftest import PATIENCE
from conftest import RATE
from conftest import ROOT
from playwright.sync_api import Page
from playwright.sync_api import expect

from benchmarks.browser import chromium
from ser.page import offered_models

SHOTS = ROOT / "runs/page"
CLIP = EXAMPLES / "crema-d/1068_DFA_ANG_XX.ogg"
TALK = EXAMPLES / "two-voices.ogg"
FIRST = next(iter(offered_models.find_models()))  # that the page asks unless told otherwise
DESK = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
NARROW = {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True}
TOO_SMALL = """() => [...document.querySelectorAll('main button, main summary, main label:has(input)')]
    .filter(each => each.offsetParent && Math.min(each.offsetWidth, each.offsetHeight) < 44)
    .map(each => each.outerHTML.slice(0, 120))"""
expect.set_options(timeout=1000 * PATIENCE)  # ms


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium with a microphone that speaks a clip of an actor."""
    wav = tmp_path_factory.mktemp("microphone") / "clip.wav"
    soundfile.write(wav, *soundfile.read(CLIP))
    with chromium(wav) as browser:
        yield browser


@pytest.fixture
def visit(browser, url):
    """Opens the page in a fresh window with the given options; by default the microphone may be used."""
    contexts = []

    def open_page(*, script: str = "", permissions: tuple[str, ...] = ("microphone",), **options) -> Page:
        contexts.append(browser.new_context(permissions=list(permissions), **(options or DESK)))
        contexts[-1].set_default_timeout(1000 * PATIENCE)
        page = contexts[-1].new_page()
        page.add_init_script(script)
        page.goto(url)
        expect(button(page, "#recorder")).to_have_text("Record")
        page.wait_for_timeout(500)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(visit) -> Page:
    return visit()


def button(page: Page, part: str):
    """The button that records."""
    return page.locator(f"{part} [data-part=record]")


def record(page: Page, part: str = "#recorder", seconds: float = 2.5) -> None:
    button(page, part).click()
    page.wait_for_timeout(1000 * seconds)
    button(page, part).click()


def choose(page: Page, *paths) -> None:
    page.locator("#recorder input[type=file]").set_input_files(list(paths))


def card(page: Page):
    return page.locator("#answer .card")


def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}-{page.viewport_size['width']}.png", full_page=True)


def check(page: Page) -> None:
    """No rule of accessibility is broken, nothing is too small to be pressed, and nothing is wider than the screen."""
    page.wait_for_function("!document.querySelector('.pending, .generating')")
    page.wait_for_timeout(700)  # transitions of opacity would count as low contrast
    violations = Axe().run(page).response["violations"]
    broken = [f"{each['id']}: {node['html']}" for each in violations for node in each["nodes"]]
    assert not broken, "\n".join(broken)
    assert page.evaluate(TOO_SMALL) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator(".models").evaluate("each => each.scrollWidth <= each.parentElement.clientWidth")


def test_a_visitor_with_a_phone_records_a_sentence_and_sees_the_answer(visit):
    page = visit(**PHONE)
    record(page)
    expect(card(page)).to_contain_text(re.compile("angry", re.IGNORECASE))
    expect(card(page)).to_be_in_viewport(ratio=0.9)
    assert button(page, "#recorder").evaluate("each => each === document.activeElement")
    expect(page.locator("#announcer")).to_have_text(re.compile("^Angry, .*%"))
    expect(page.locator("#history li")).to_have_count(1)
    check(page)
    shoot(page, "answer")


@pytest.mark.slow
@pytest.mark.parametrize("options", [DESK, NARROW], ids=["desk", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it_at_any_width_by_day_and_by_night(visit, options, scheme):
    page = visit(**options, color_scheme=scheme)
    check(page)
    choose(page, TALK)
    expect(page.locator("#over-time .strip > span").first).to_be_visible()
    for part in ("#why", "#advanced"):
        page.locator(f"{part} > button").click()
    expect(page.locator("#why img")).to_be_visible()
    record(page, "#challenge", 1.5)
    expect(page.locator("#task li")).to_have_count(1)
    for summary in page.locator("#examples summary").all():
        summary.click()
    check(page)
    shoot(page, f"all-{scheme}")


def test_all_parts_work_one_after_the_other(page, tmp_path):
    page.get_by_role("button", name="Ask the model about clip 4").click()
    expect(card(page)).to_contain_text("Runner-up")
    page.get_by_role("button", name="Ask the model about clip 1").click()
    attempts = page.locator("#history li")
    expect(attempts).to_have_count(2)
    for attempt in attempts.all():
        attempt.get_by_role("checkbox").check()
    compared = page.locator("#history .pair section")
    expect(compared).to_have_count(2)
    assert compared.first.locator(".bar").count() == 6
    page.reload()
    expect(attempts).to_have_count(2)
    attempts.first.get_by_role("button", name="Show again").click()
    expect(card(page)).to_be_visible()
    page.locator("#why > button").click()
    expect(page.locator("#why img")).to_be_visible()
    expect(attempts).to_have_count(2)  # shown again, not tried again
    attempts.first.get_by_role("button", name="Remove").click()
    expect(attempts).to_have_count(1)
    (tmp_path / "notes.wav").write_text("not audio")
    choose(page, CLIP, tmp_path / "notes.wav")
    expect(page.locator("#several")).to_contain_text("2 of 2 files")
    expect(page.locator("#several tbody tr")).to_have_count(2)
    with page.expect_download() as download:
        page.locator("#several-csv").click()
    assert download.value.path().read_text().count("\n") == 3


@pytest.mark.slow
@pytest.mark.parametrize("options", [DESK, NARROW], ids=["desk", "narrow"])
def test_answers_fit_the_visitors_ordinary_voice_until_it_is_forgotten(visit, options):
    page = visit(**options)
    record(page)
    expect(card(page)).to_contain_text("Angry")
    record(page, "#voice")  # the microphone says the same again, so that this anger is what is ordinary
    expect(page.locator("#voice-note")).to_contain_text("Your ordinary voice is remembered")
    expect(card(page)).to_contain_text("This is relative to your ordinary voice.")
    expect(card(page).locator(".said")).not_to_contain_text("Angry")
    check(page)
    shoot(page, "voice")
    button(page, "#live").click()
    expect(page.locator("#live .live-strip > span").nth(6)).to_be_attached()
    expect(page.locator("#live .said")).not_to_have_text("Angry")
    button(page, "#live").click()
    page.get_by_role("button", name="Ask the model about clip 4").click()
    expect(card(page)).not_to_contain_text("ordinary voice")
    page.get_by_role("button", name="Forget my voice").click()
    expect(page.locator("#voice-note")).to_contain_text("Forgotten")
    expect(page.get_by_role("button", name="Forget my voice")).to_be_hidden()
    record(page)
    expect(card(page).locator(".said")).to_contain_text("Angry")


@pytest.mark.slow
def test_the_table_of_several_files_is_made_again_for_another_model_and_for_the_visitors_voice(page):
    head = page.locator("#several h3")
    choose(page, CLIP, TALK)
    expect(head).to_have_text("2 of 2 files")
    record(page, "#voice")
    expect(head).to_have_text("2 of 2 files (for your voice)")
    page.locator("#advanced > button").click()
    page.locator("#model").get_by_role("radio", name="cnn1d").check()
    expect(head).to_have_text("2 of 2 files (cnn1d)")
    expect(page.locator("#several-csv")).to_be_visible()
    expect(page.locator("#about")).to_contain_text("cnn1d names the intended emotion")
    expect(page.locator("#voice-introduction")).to_contain_text("cnn1d does not use it")


@pytest.mark.slow
def test_history_is_gone_when_the_page_is_closed(page):
    page.get_by_role("button", name="Ask the model about clip 4").click()
    expect(page.locator("#history li")).to_have_count(1)
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.get_by_text("Nothing yet.")).to_be_visible()


@pytest.mark.slow
def test_an_attempt_keeps_its_recording_when_another_one_follows_before_its_answer(page):
    choose(page, TALK)
    page.wait_for_timeout(500)
    choose(page, CLIP)
    attempts = page.locator("#history li")
    expect(attempts).to_have_count(2)
    shown = [each.get_attribute("data-path") for each in attempts.locator("[data-do=open]").all()]
    assert [path.rpartition("/")[2] for path in shown] == [CLIP.name, TALK.name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sentence"),
    [("NotAllowedError", "does not allow the microphone"), ("NotFoundError", "No microphone was found")],
)
def test_a_microphone_that_is_denied_or_absent_gets_a_sentence(visit, name, sentence):
    refuse = f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('', '{name}') }}"
    page = visit(script=refuse)
    for part in ("#recorder", "#live"):
        button(page, part).click()
        expect(page.locator(f"{part} .hint")).to_contain_text(sentence)
    check(page)


@pytest.mark.slow
def test_a_silent_microphone_is_reported_while_one_speaks(visit):
    silence = """navigator.mediaDevices.getUserMedia = async () => {
        const context = new AudioContext(), end = context.createMediaStreamDestination();
        const source = context.createConstantSource(); source.offset.value = 0; source.connect(end); source.start();
        return end.stream; }"""
    page = visit(script=silence)
    button(page, "#recorder").click()
    expect(page.locator("#recorder .hint")).to_contain_text("The microphone is silent")
    button(page, "#recorder").click()
    expect(card(page)).to_contain_text("The recording is silent")
    check(page)


@pytest.mark.slow
def test_the_level_is_shown_while_one_records(page):
    meter = page.locator("#recorder [role=meter]")
    button(page, "#recorder").click()
    levels = set()
    for _ in range(15):
        page.wait_for_timeout(200)
        levels.add(meter.get_attribute("aria-valuenow"))
    assert len(levels) > 5
    expect(page.locator("#recorder [data-part=time]")).to_have_text(re.compile("0:0[2-5]"))


@pytest.mark.slow
def test_a_file_dropped_anywhere_is_answered_and_does_not_leave_the_page(page):
    content = list(CLIP.read_bytes())
    transfer = page.evaluate_handle(
        """bytes => { const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], 'my clip.ogg')); return transfer; }""",
        content,
    )
    page.dispatch_event("#about", "dragover", {"dataTransfer": transfer})
    page.dispatch_event("#about", "drop", {"dataTransfer": transfer})
    expect(card(page)).to_contain_text("Runner-up")


@pytest.mark.slow
def test_a_film_is_decoded_by_the_browser_where_the_server_has_no_ffmpeg(page, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/nowhere")
    film = page.evaluate(
        """async () => { const context = new AudioContext(), end = context.createMediaStreamDestination();
        const tone = context.createOscillator(); tone.connect(end); tone.start();
        const recorder = new MediaRecorder(end.stream), parts = [];
        recorder.ondataavailable = event => parts.push(event.data);
        recorder.start(); await new Promise(done => setTimeout(done, 1500));
        await new Promise(done => { recorder.onstop = done; recorder.stop(); });
        return [...new Uint8Array(await new Blob(parts).arrayBuffer())]; }"""
    )
    (tmp_path / "film.webm").write_bytes(bytes(film))
    choose(page, tmp_path / "film.webm")
    expect(card(page)).to_contain_text("No speech")  # a tone: it was decoded
    (tmp_path / "broken.webm").write_bytes(b"\x1aE\xdf\xa3" + bytes(1000))
    choose(page, tmp_path / "broken.webm")
    expect(card(page)).to_contain_text("cannot be read here: convert it to WAV or MP3")


@pytest.mark.slow
@pytest.mark.parametrize("options", [DESK, PHONE], ids=["desk", "phone"])
def test_a_long_recording_is_played_and_looked_at_place_by_place(visit, options):
    page = visit(**options)
    choose(page, TALK)
    track, now = page.locator("#over-time [data-part=track]"), page.locator("#over-time [data-part=now]")
    expect(page.locator("#over-time .strip > span").first).to_be_visible()
    box = track.bounding_box()
    track.click(position={"x": box["width"] / 2, "y": 80})
    expect(now).to_have_text(re.compile(r"^0:(09|1\d) "))
    page.locator("#why > button").click()
    expect(page.locator("#why figcaption")).to_be_visible()
    page.wait_for_timeout(1500)
    assert page.locator("#over-time [data-part=cursor]").evaluate("each => parseFloat(each.style.left)") > 50
    for view in ("raw", "relative to this recording", "smoothed"):
        page.get_by_label(view, exact=True).check()
    page.get_by_role("button", name="Zoom in").click()
    assert track.bounding_box()["width"] == pytest.approx(2 * box["width"], rel=0.02)
    slider = page.get_by_role("slider", name="Position")
    slider.focus()
    slider.press("Home")
    expect(now).to_have_text(re.compile("^0:00 "))
    with page.expect_download() as download:
        page.locator("#over-time").get_by_text("Save as CSV").click()
    assert download.value.path().read_text().startswith("start,end,")
    check(page)
    shoot(page, "long")
    choose(page, CLIP)
    expect(page.locator("#over-time")).to_be_hidden()


@pytest.mark.slow
def test_live_is_steady_and_stops_when_the_page_is_hidden(page):
    button(page, "#live").click()
    strip = page.locator("#live .live-strip > span")
    expect(strip.nth(9)).to_be_attached()
    expect(page.locator("#live .said")).to_have_text("Angry")
    check(page)
    shoot(page, "live")
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#live .hint")).to_contain_text("Listening stopped")
    count = strip.count()
    page.wait_for_timeout(2000)
    assert strip.count() <= count + 1
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the last minute").click()
    samples, rate = soundfile.read(download.value.path())
    assert len(samples) / rate > 3 and np.abs(samples).max() > 0.01
    assert {each.get_attribute("class") for each in strip.all()[4:]} == {"e-anger"}


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_said_until_it_does(page):
    hint = page.locator("#live .hint")
    page.route(re.compile("component_server"), lambda route: route.abort())
    button(page, "#live").click()
    expect(hint).to_contain_text("The server does not answer")
    for _ in range(5):  # while sound arrives
        page.wait_for_timeout(100)
        assert "The server does not answer" in hint.text_content()
    page.unroute_all()
    expect(hint).to_have_text("")
    expect(page.locator("#live .said")).to_be_visible()


@pytest.mark.slow
def test_five_rounds_of_the_challenge(page):
    for number in range(1, 6):
        record(page, "#challenge", 1.5)
        expect(page.locator("#task li")).to_have_count(number)
    expect(page.locator("#task")).to_contain_text(re.compile("[01] of 5 right"))
    page.get_by_role("button", name="Start a new game").click()
    expect(page.locator("#task")).to_contain_text("Round 1 of 5")


@pytest.mark.slow
def test_another_model_answers_and_shows_its_own_errors(page):
    page.get_by_role("button", name="Ask the model about clip 4").click()
    expect(card(page)).to_contain_text("%")
    page.locator("#advanced > button").click()
    page.locator("#model").get_by_role("radio", name="cnn1d").check()
    share = offered_models.load()["cnn1d"].classifier(str(CLIP))[0]["score"]
    expect(card(page)).to_contain_text(f"{share:.0%}")
    expect(page.locator("#about")).to_contain_text("cnn1d names the intended emotion")
    page.locator("#other").get_by_role("radio", name=FIRST).check()
    expect(page.locator("#compared section")).to_have_count(2)
    check(page)


@pytest.mark.slow
def test_the_keyboard_is_enough(page):
    def tab_to(text: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            focused = page.evaluate("document.activeElement.ariaLabel || document.activeElement.innerText || ''")
            if text == focused.strip():
                return
        raise AssertionError(f"no Tab leads to {text!r}")

    tab_to("Record")
    page.keyboard.press("Enter")
    page.wait_for_timeout(2000)
    page.keyboard.press("Enter")
    expect(card(page)).to_contain_text("%")
    tab_to("Play")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab_to("Ask the model about clip 2")
    page.keyboard.press("Enter")
    expect(page.locator("#history li")).to_have_count(2)


@pytest.mark.slow
def test_the_answer_is_saved_as_a_picture(page):
    page.get_by_role("button", name="Ask the model about clip 4").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as picture").click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_noise_is_said_to_be_no_speech(page, tmp_path):
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).standard_normal(3 * RATE) / 50, RATE)
    choose(page, tmp_path / "noise.wav")
    expect(card(page)).to_contain_text("No speech")
    check(page)
