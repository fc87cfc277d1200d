"""The page: record, upload or just talk, and see which emotion a model names, when, how sure it is and why.

python app.py    # serves http://127.0.0.1:7860
"""

import signal
import sys
from typing import Any

import gradio as gr
import torch

from ser.files import PROJECT
from ser.inference.timeline import HOP
from ser.inference.timeline import WINDOW
from ser.page import components
from ser.page import handlers
from ser.page import offered_models

AT_ONCE, WAITING, SESSIONS = 2, 100, 300  # requests, requests, and visitors whose state is kept in memory
LIVE_AT_ONCE = 8  # visitors
NOTE = (
    "Trained on **acted** speech: it classifies how a voice *sounds*, not what a person feels. "
    "Not for hiring, policing, health or judging anyone. Recordings are deleted within an hour."
)
EXAMPLES = {
    "Synthetic voice, plain": "plain",
    "Synthetic voice, fast, high and loud": "fast-high-and-loud",
    "Synthetic voice, slow, low and soft": "slow-low-and-soft",
    "Two synthetic voices, 20 seconds": "two-voices",
}
THEME = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
    block_label_text_color="*primary_700",  # darker than Soft's, for contrast
    block_title_text_color="*primary_700",
    block_info_text_color="*neutral_600",
    checkbox_label_background_fill_selected="*primary_600",
)
LAUNCH: dict[str, Any] = {
    "theme": THEME,
    "css": components.STYLE,
    "max_file_size": "400mb",
    "state_session_capacity": SESSIONS,
    "run_history": False,  # what visitors did is not kept
    "enable_monitoring": False,
    "i18n": gr.I18n(en={"common.complete": "Complete"}),  # for screen readers; Gradio lacks the word
}
NEWEST: dict[str, Any] = {"trigger_mode": "always_last", "api_visibility": "private"}


def build() -> gr.Blocks:
    """The page, once the models are loaded.

    Raises:
        ValueError: There is no model, or one cannot be fetched.
    """
    names = list(offered_models.load())
    with gr.Blocks(title="ser: emotion in speech", delete_cache=(300, 1800)) as page:
        gr.Markdown("# What does your voice sound like?")
        gr.Markdown(NOTE, elem_id="note")
        in_order = "Best first; “How good?” shows the scores of each."
        model = gr.Radio(names, value=names[0], label="Model", info=in_order, elem_id="model")
        with gr.Tabs(overflow_behavior="wrap"):  # on a phone, Gradio's default menu hides a tab
            with gr.Tab("Recording"):
                recording_tab(model, names)
            with gr.Tab("Live", render_children=True), gr.Row():
                live_tab(model, names[0])
            with gr.Tab("How good?") as trust:
                about = gr.Markdown(elem_id="about")
                confusions = gr.HTML()
        gr.on([trust.select, model.input], handlers.describe, model, [about, confusions], **NEWEST)
        page.load(None, js=components.ANNOUNCE, api_visibility="private")
    return page.queue(max_size=WAITING)


def recording_tab(model: gr.Radio, names: list[str]) -> None:
    """A recording, the answer, and what explains it."""
    with gr.Row():
        with gr.Column():
            audio = gr.Audio(sources=["microphone", "upload"], type="filepath", label="Speech", buttons=["download"])
            film = gr.UploadButton("Upload M4A, MP4 or WebM", file_types=[".m4a", ".mp4", ".webm"], size="sm")
            paths = [[str(PROJECT / f"ser/examples/{name}.ogg")] for name in EXAMPLES.values()]
            gr.Examples(paths, audio, example_labels=list(EXAMPLES), label="Examples, spoken by a machine")
        with gr.Column():
            answer = gr.Markdown(handlers.START, elem_id="words")
            bars = gr.Label(label="Probability of each emotion", show_heading=False, elem_id="bars")
            choices = [handlers.NOTHING, *names]
            other = gr.Radio(choices, value=handlers.NOTHING, label="Compare with", elem_id="compare")
        with gr.Column(elem_classes=handlers.AWAY) as other_column:
            other_answer = gr.Markdown(elem_id="other-words")
            other_bars = gr.Label(show_heading=False, elem_id="other")
    rows = gr.JSON([], visible=False)
    parts = {"answer": answer, "bars": bars, "rows": rows, "picture": gr.HTML(elem_id="picture")} | windows_below()
    recording = [parts[name] for name in handlers.Recording._fields]
    window = [parts[name] for name in handlers.Window._fields]

    # One handler for each event: Gradio runs all of an event again when one had to wait, so two would repeat forever.
    chosen = gr.on(
        [audio.change, model.change],
        handlers.respond,
        [audio, model],
        [*recording, *window],
        concurrency_limit=AT_ONCE,
        **NEWEST,
    )
    for ready in (chosen.then, other.change):
        ready(handlers.compare, [audio, other], [other_answer, other_bars], **NEWEST)
    other.input(handlers.show_other, other, other_column, **NEWEST)
    parts["moment"].change(handlers.choose_window, [audio, model, rows, parts["moment"]], window, **NEWEST)
    film.upload(handlers.convert, film, audio, api_visibility="private")
    for_programs = gr.Button(visible=False)
    said = [parts[name] for name in handlers.Answer._fields]
    for_programs.click(handlers.classify, [audio, model], said, api_name="classify", concurrency_limit=AT_ONCE)
    audio.keep_in_cache.update(audio.temp_files)  # the examples, which must outlive the recordings


def windows_below() -> dict[str, Any]:
    """Components of the windows of a long recording, by name, hidden until there is one."""
    with gr.Column(elem_classes=handlers.AWAY) as windows:
        gr.Markdown(
            f"## Over time\nWindows of {WINDOW:g} s, a new one every {HOP:g} s. "
            "The answer above is the mean of those in which somebody speaks."
        )
        with gr.Row():
            with gr.Column():
                table = gr.HTML()
                with gr.Row():
                    csv_file, json_file = gr.DownloadButton("Save as CSV"), gr.DownloadButton("Save as JSON")
            with gr.Column():
                moment = gr.Slider(0, 1, step=HOP, label="Look at the window that begins at (s)")
                answer = gr.Markdown(elem_id="window-words")
                bars = gr.Label(label="Probability in this window", show_heading=False)
        picture = gr.HTML(elem_id="window-picture")
    shown = {"windows": windows, "moment": moment, "table": table, "csv_file": csv_file, "json_file": json_file}
    return shown | {"window_answer": answer, "window_bars": bars, "window_picture": picture}


def live_tab(model: gr.Radio, first: str) -> None:
    """An answer while one speaks."""
    with gr.Column():
        live = gr.Audio(sources=["microphone"], streaming=True, type="numpy", label="Talk")
        gr.Markdown(
            f"Classifies the last {WINDOW:g} s twice a second, for {handlers.LIVE_SECONDS / 60:g} minutes. "
            f"At most {LIVE_AT_ONCE} visitors can use it at once: if no answer comes, wait a moment, "
            "then press Stop and Record again."
        )
    with gr.Column():
        parts = {
            "kept": gr.State(None),
            "live_answer": gr.Markdown(handlers.TALK, elem_id="live-words"),
            "live_bars": gr.HTML(handlers.draw_bars(first), elem_id="live-bars"),
            "live_changes": gr.HTML(elem_id="live-changes"),
        }
    shown = [parts[name] for name in handlers.Live._fields]
    gr.on([live.start_recording, model.select], handlers.begin_live, model, shown, **NEWEST)
    live.stream(
        handlers.continue_live,
        [live, parts["kept"], model],
        shown,
        api_visibility="private",
        show_progress="hidden",
        stream_every=handlers.LIVE_EVERY,
        time_limit=handlers.LIVE_SECONDS,
        concurrency_limit=LIVE_AT_ONCE,
    )


def main() -> None:
    """Serve the page; without a model it ends in one sentence."""
    torch.set_num_threads(1)  # requests share the cores: more threads for each would only wait for one another
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that stopping a service deletes the recordings, too
    try:
        page = build()
    except ValueError as error:
        sys.exit(f"app.py: {error}")
    page.launch(**LAUNCH)


if __name__ == "__main__":
    main()
