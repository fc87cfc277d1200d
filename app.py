"""The page: record, drop or choose speech, and see which emotion a model names, how sure it is, when, and why.

python app.py    # serves http://127.0.0.1:7860
"""

import signal
import sys
from typing import Any

from ser.interrupted import may_be_stopped

with may_be_stopped("app.py"):
    import torch

    try:
        import gradio as gr
    except ValueError as mistake:
        sys.exit(f"app.py: expected a number in GRADIO_SERVER_PORT ({mistake})")

    from ser.page import accuracy
    from ser.page import challenge
    from ser.page import components
    from ser.page import handlers
    from ser.page import live
    from ser.page import offered_models
    from ser.page import own_voice
    from ser.page import recordings
    from ser.page import trust
    from ser.page.examples import examples

AT_ONCE, WAITING, SESSIONS = 2, 100, 300  # requests handled and queued, sessions kept in memory
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
    "footer_links": ["api", "gradio"],
}
NEWEST: dict[str, Any] = {"trigger_mode": "always_last", "api_visibility": "private"}
QUIET: dict[str, Any] = NEWEST | {"show_progress": "hidden"}


def build() -> gr.Blocks:
    """Load the models and build the page.

    Raises:
        ValueError: There is no model, or one cannot be fetched.
    """
    names = list(offered_models.load())
    with gr.Blocks(title="What does your voice sound like?", delete_cache=(300, 1800)) as page:
        gr.HTML(header_html(names[0]))
        recorder = components.recorder(elem_id="recorder")
        card = components.answer_card(elem_id="answer")
        over_time = over_time_part()
        with gr.Accordion("Why this answer?", open=False, elem_id="why"):
            reasons = gr.HTML("<p>The reasons for the last answer appear here. The first time takes a few seconds.</p>")
        introduction, voice_recorder, voices, voice_note, forget = voice_part(names[0])
        gr.HTML(
            "<h2>Or guess what an actor meant</h2><p>Play a clip and guess the emotion. Then see what the model "
            "answers, and what was meant. If no emotion stands out, it answers “unclear” and names the two likeliest: "
            "a single one would often be wrong.</p>"
        )
        examples(elem_id="examples")
        gr.HTML("<h2>Your attempts</h2>")
        attempts = components.history(elem_id="history")
        several, several_csv = several_part()
        challenge_recorder, task, game, again = challenge_part(names[0])
        gr.HTML(
            "<h2>Live</h2><p>The answer for the last few seconds, while you speak. Listening stops when you leave this "
            "page. You can save the last minute.</p>"
        )
        components.live(live.classify_live, elem_id="live")
        gr.HTML(f"<h2>How accurate is it?</h2>{accuracy.models_html()}")
        about = gr.HTML(accuracy.describe(names[0]), elem_id="about")
        model, comparison, compared = advanced_part(names)

        place = gr.State(None)
        parts = {"card": card, "attempt": attempts, "place": place} | over_time
        shown = [parts[name] for name in handlers.Shown._fields]
        voice_recorder.submit(own_voice.remember, voice_recorder, [voices, voice_note, forget], **QUIET)
        forget.click(own_voice.forget, None, [voices, voice_note, forget], **QUIET)
        # All answers come from one function, so that the one asked for last is shown last. No event has two functions:
        # when both have to wait, Gradio runs them again and again (but those of a State wait separately).
        answered = gr.on(
            [recorder.submit, model.input, voices.change],
            handlers.respond,
            [recorder, model, voices],
            shown,
            concurrency_limit=AT_ONCE,
            show_progress_on=card,
            **NEWEST,
        )
        answered.then(handlers.explain, [recorder, model, voices, place], reasons, **QUIET)
        answered.then(handlers.compare, [recorder, model, voices, *comparison], compared, **QUIET)
        described = model.select(accuracy.describe, model, about, **QUIET)
        described.then(own_voice.introduction, model, introduction, **QUIET)
        for chosen in comparison:
            chosen.change(handlers.compare, [recorder, model, voices, *comparison], compared, **QUIET)
        over_time["over_time"].place(handlers.explain_place, [recorder, model, voices], [reasons, place], **QUIET)
        gr.on(
            [recorder.upload, model.change, voices.change],
            handlers.classify_several,
            [recorder, model, voices],
            [several, several_csv],
            **QUIET,
        )
        challenge_recorder.submit(challenge.play, [challenge_recorder, model, voices, game], [task, game], **QUIET)
        again.click(challenge.restart, model, [task, game], **QUIET)
    return page.queue(max_size=WAITING)


def header_html(first: str) -> str:
    """What the page does, how often it is wrong, and what happens to recordings."""
    right = trust.right_on_strangers(offered_models.load()[first])
    wrong = "" if right is None else f", for strangers in about {10 * (1 - right):.0f} of 10 recordings"
    return (
        "<h1>What does your voice sound like?</h1>"
        "<p>Say a sentence, and a small neural network names the emotion that it sounds like. "
        f"<b>It is often wrong{wrong}.</b> Recordings are deleted within an hour; nothing else outlasts your visit.</p>"
    )


def over_time_part() -> dict[str, Any]:
    """Components of the timeline of a long recording by name, hidden until there is one."""
    with gr.Column(elem_classes=components.AWAY, elem_id="over-time") as column:
        gr.HTML("<h2>Over time</h2><p>Click anywhere to play that moment and see the reasons for its answer.</p>")
        drawn = components.timeline()
        gr.HTML(
            "<p><small>“Relative to this recording” removes what all its parts have in common. It helps if one person "
            "speaks with several emotions, and misleads if one emotion dominates.</small></p>"
        )
        with gr.Row():
            files = gr.DownloadButton("Save as CSV"), gr.DownloadButton("Save as JSON")
    return {"over_time": drawn, "long": column, "csv_file": files[0], "json_file": files[1]}


def voice_part(first: str) -> tuple[gr.HTML, gr.HTML, gr.State, gr.HTML, gr.Button]:
    """Records the visitor's ordinary voice, to which answers are then relative; hidden if no model can use it."""
    with gr.Column(elem_classes=[] if own_voice.is_of_use() else components.AWAY):
        introduction = gr.HTML(own_voice.introduction(first), elem_id="voice-introduction")
        recorder = components.recorder(files=False, elem_id="voice")
        note = components.answer_card(elem_id="voice-note")
        forget = gr.Button("Forget my voice", elem_classes=components.AWAY, elem_id="forget")
    return introduction, recorder, gr.State(None), note, forget


def several_part() -> tuple[gr.HTML, gr.DownloadButton]:
    """A table of several files, empty until there are some."""
    gr.HTML("<h2>Several files</h2><p>Drop or choose several at the top: each gets a row here.</p>")
    table = components.answer_card(elem_id="several")
    return table, gr.DownloadButton("Save as CSV", elem_classes=components.AWAY, elem_id="several-csv")


def challenge_part(first: str) -> tuple[gr.HTML, gr.HTML, gr.State, gr.Button]:
    """A game of five rounds."""
    gr.HTML("<h2>Challenge</h2><p>Act an emotion. Does the model get it? Five rounds.</p>")
    start = challenge.new_game(first)
    game = gr.State(start)
    task = components.answer_card(value=challenge.game_html(start), elem_id="task")
    recorder = components.recorder(files=False, elem_id="challenge")
    return recorder, task, game, gr.Button("Start a new game", elem_id="again")


def advanced_part(names: list[str]) -> tuple[gr.Radio, tuple[gr.Radio, gr.State], gr.HTML]:
    """Choice and comparison of models, which runs only while this is open, and the API endpoint."""
    opened = gr.State(False)
    with gr.Accordion("Advanced: models and API", open=False, elem_id="advanced") as advanced:
        model = gr.Radio(names, value=names[0], label="Model", elem_id="model")
        other = gr.Radio(names, value=names[-1], label="Compared with", elem_id="other")
        compared = gr.HTML(elem_id="compared")
        gr.HTML(
            "<h3>API</h3><p>Programs call <code>/classify</code> with <code>path</code> and <code>model</code>, "
            "and get <code>words</code>, <code>bars</code> and <code>windows</code>. "
            "<a href='?view=api'>All about it</a></p>"
        )
    with gr.Column(visible=False):
        path = gr.Audio(type="filepath", label="path")
        said = gr.Markdown(label="words"), gr.Label(label="bars"), gr.JSON(label="windows")
        gr.Button().click(handlers.classify, [path, model], said, api_name="classify", concurrency_limit=AT_ONCE)
    advanced.expand(lambda: True, None, opened, **QUIET)
    advanced.collapse(lambda: False, None, opened, **QUIET)
    return model, (other, opened), compared


def main() -> None:
    """Serve the page; if it cannot be served, exit with one sentence."""
    torch.set_num_threads(1)  # requests share the cores: with more threads each, they would only compete
    for name in ("SIGTERM", "SIGHUP"):  # recordings are deleted when a service or its terminal ends, too
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)
    try:
        with may_be_stopped("app.py"):
            recordings.choose_folder()
            recordings.sweep()
            page = build()
    except ValueError as error:
        sys.exit(f"app.py: {error}")
    try:
        page.launch(**LAUNCH)
    except KeyboardInterrupt:  # while it started: once it serves, Gradio catches it
        pass
    except (OSError, OverflowError) as error:
        sys.exit(f"app.py: the page cannot be served ({error}): check GRADIO_SERVER_NAME and GRADIO_SERVER_PORT")
    finally:
        page.close()
        recordings.delete_of(page)


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit("app.py: takes no options; docs/page.md lists its environment variables, such as GRADIO_SERVER_PORT")
    main()
