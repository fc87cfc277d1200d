"""Six clips of CREMA-D, one per emotion, of actors that no model of the page was trained on."""

import html
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData

from ser.files import PROJECT
from ser.files import read_json
from ser.page.emotions import adjective
from ser.page.emotions import face

FOLDER = PROJECT / "ser/examples/crema-d"
EXAMPLES = read_json(FOLDER / "examples.json")
CLIP = (
    '<li><div class="row"><b>Clip {number}</b><button type="button" class="plain-button" data-do="play" '
    'data-play="${{value[{index}].url}}" '
    'aria-label="Play clip {number}"><span data-part="word">Play</span></button>'
    '<button type="button" class="plain-button" data-do="open" data-path="${{value[{index}].path}}" '
    'data-url="${{value[{index}].url}}" aria-label="Ask the model about clip {number}">Ask model</button></div>'
    "<details><summary>What the actor meant</summary><p>{face}{emotion}: “{sentence}”<br>"
    "<small>{votes} listeners agree; {sex}, {age}</small></p></details></li>"
)
SOURCE = (
    '<p><small>From <a href="{source}">CREMA-D</a> (Cao and others, 2014), '
    '<a href="http://opendatacommons.org/licenses/dbcl/1.0/">DbCL 1.0</a>, database '
    '<a href="http://opendatacommons.org/licenses/odbl/1.0/">ODbL 1.0</a>. Chosen by how many listeners agreed, not by '
    "what the models say; no model was trained on these actors.</small></p>"
)


def examples(**settings: Any) -> gr.HTML:
    """The clips, with the intended emotion hidden; page.js plays them and has them classified."""
    clips = EXAMPLES["clips"]
    items = "".join(
        CLIP.format(
            number=index + 1,
            index=index,
            face=face(clip["emotion"]),
            emotion=adjective(clip["emotion"]).capitalize(),
            sentence=html.escape(clip["sentence"]),
            votes=clip["votes"],
            sex=clip["sex"],
            age=clip["age"],
        )
        for index, clip in enumerate(clips)
    )
    template = f'<ul class="clips">{items}</ul>{SOURCE.format(source=EXAMPLES["source"])}'
    files = [FileData(path=str(FOLDER / clip["file"])).model_dump() for clip in clips]
    return gr.HTML(files, html_template=template, js_on_load=None, **settings)


def is_example(path: str) -> bool:
    """Whether a recording is one of these clips, which Gradio keeps under their names."""
    return Path(path).name in {clip["file"] for clip in EXAMPLES["clips"]}


__all__ = ["EXAMPLES", "FOLDER", "examples", "is_example"]
