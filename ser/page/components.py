"""Components that Gradio does not have; their behaviour in the browser is in page.js."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

HERE = Path(__file__).parent
AWAY = "away"  # CSS class that hides, as components with `visible=False` may not come back (gradio-app/gradio#13494)
STYLE = (HERE / "page.css").read_text(encoding="utf-8")
SCRIPT = f"<script>{(HERE / 'page.js').read_text(encoding='utf-8')}</script>"
BUTTON = """
<button type="button" class="record" data-part="record" disabled>
  <span class="dot" aria-hidden="true"></span><span data-part="word">{word}</span>
</button>
<div class="level">
  <div class="meter" data-part="meter" role="meter" aria-label="Microphone level"
    aria-valuemin="0" aria-valuemax="100" aria-valuenow="0"><div></div></div>
  <small class="time" data-part="time">0:00</small>
</div>
"""
RECORDER = """
<div class="recorder" data-part="zone">
  <div class="top">{button}</div><p class="hint" data-part="hint" role="status"></p>{files}
</div>
"""
FILES = """
<label class="drop">
  <input class="unseen" type="file" data-part="files" multiple accept="audio/*,video/*">
  <span>or <u>choose</u> audio or video files, or drop them here</span>
</label>
"""
HISTORY = """
<p data-part="empty">Nothing yet. Your attempts stay in this tab until you close it.</p>
<ol class="attempts" data-part="list"></ol>
<div class="pair" data-part="compared" hidden></div>
"""
TIMELINE = """
<div class="timeline">
  <fieldset>
    <legend class="unseen">View</legend>
    <label><input type="radio" name="timeline-view" value="smoothed" checked> smoothed</label>
    <label><input type="radio" name="timeline-view" value="raw"> raw</label>
    <label><input type="radio" name="timeline-view" value="relative"> relative to this recording</label>
  </fieldset>
  <div class="row">
    <button type="button" class="plain-button" data-do="play">Play</button><span data-part="now"></span>
    <span class="zoom">
      <button type="button" data-part="out" aria-label="Zoom out">−</button><span data-part="zoomed">1×</span>
      <button type="button" data-part="in" aria-label="Zoom in">+</button>
    </span>
  </div>
  <div class="scroller" data-part="scroller" tabindex="0" role="group" aria-label="Waveform and emotions">
    <div class="time-track" data-part="track">
      <canvas height="64" data-part="wave"></canvas>
      <div class="strip" data-part="strip"></div><div class="ticks" data-part="ticks"></div>
      <div class="cursor" data-part="cursor"></div>
    </div>
  </div>
  <label>
    <span class="unseen">Position</span>
    <input type="range" min="0" max="1" step="0.1" value="0" data-part="slider">
  </label>
</div>
"""
LIVE = """
<div class="recorder"><div class="top">{button}</div><p class="hint" data-part="hint" role="status"></p></div>
<div class="live-answer" data-part="answer"></div>
<div data-part="bars"></div>
<div class="live-strip" data-part="strip" tabindex="0" role="img"
  aria-label="Answers of the last minute, newest on the right"></div>
<div class="row" data-part="keep" hidden>
  <button type="button" class="plain-button" data-do="play" data-part="replay">Play</button>
  <button type="button" class="plain-button" data-part="save">Save the last minute</button>
</div>
"""


def scripted(function: str, *events: str, **settings: Any) -> gr.HTML:
    """HTML with a function of page.js behind it, which triggers these events."""
    names = ", ".join(f'"{event}"' for event in events)  # Gradio looks for them here
    script = f"ser.{function}({{element, props, trigger, watch, server, upload, events: [{names}]}});"
    return gr.HTML(js_on_load=script, head=SCRIPT, **settings)


def recorder(*, files: bool = True, **settings: Any) -> gr.HTML:
    """A button that records, with or without a place for files; its value is for `ser.page.uploads.paths_of`.

    Its event is "submit" for one recording and "upload" for several files: `gr.on` takes only Gradio's own names.
    """
    template = RECORDER.format(button=BUTTON.format(word="Record"), files=FILES if files else "")
    return scripted("recorder", "submit", "upload", html_template=template, **settings)


def answer_card(**settings: Any) -> gr.HTML:
    """Shows an answer; each new value is announced to screen readers and scrolled to."""
    return scripted("answer", **settings)


def history(**settings: Any) -> gr.HTML:
    """The attempts of this tab; each new value adds one."""
    return scripted("history", html_template=HISTORY, **settings)


def timeline(**settings: Any) -> gr.HTML:
    """A long recording, as `ser.page.over_time` describes it; its event "place" says where a visitor looks."""
    return scripted("timeline", "place", html_template=TIMELINE, **settings)


def live(classify_live: Callable, **settings: Any) -> gr.HTML:
    """Records, and calls `classify_live` repeatedly."""
    template = LIVE.format(button=BUTTON.format(word="Start listening"))
    return scripted("live", html_template=template, server_functions=[classify_live], **settings)


__all__ = ["AWAY", "STYLE", "answer_card", "history", "live", "recorder", "timeline"]
