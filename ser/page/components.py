"""HTML for what Gradio has no component for; it works with a keyboard, a phone and a screen reader."""

import base64
import html
import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ser.page.plots import see_through

STYLE = """
h2 { font-size: var(--text-lg) !important; }
footer *, #time, #duration, .playback, .min_value, .max_value { color: var(--body-text-color) !important; }
[role=tab][aria-selected=true] { color: var(--body-text-color) !important; }
label:has([type=radio]:focus-visible), [type=range]:focus-visible {
  outline: 2px solid var(--body-text-color) !important; outline-offset: 2px;
}
#note { border-left: 4px solid var(--color-accent); padding: 0.2em 0.9em; background: var(--block-background-fill); }
.picture { margin: 0; }
.picture div, .windows { overflow: auto; }
.picture img { min-width: 640px; width: 100%; max-width: 1100px; display: block; margin: 0 auto; }
.beside { display: flex; flex-wrap: wrap; gap: 2em; justify-content: space-evenly; }
.picture.small { flex: 1 1 300px; }
.picture.small img { min-width: 0; max-width: 560px; }
.picture figcaption { color: var(--body-text-color); text-align: center; }
.windows { max-height: 300px; }
.away { display: none !important; }
.windows table { width: 100%; border: none !important; border-collapse: collapse; }
.windows th { position: sticky; top: 0; background: var(--body-background-fill); }
.windows td, .windows th { padding: 0.2em 0.6em !important; border: none !important; text-align: left; }
.windows tr { border-width: 0 0 1px; border-color: var(--border-color-primary); font-variant-numeric: tabular-nums; }
.bars > div { display: grid; grid-template-columns: 1fr auto; margin-bottom: 0.5em; }
.bars div div { grid-column: 1 / -1; height: 0.5em; border-radius: 0.25em; background: var(--color-accent); }
.changes { list-style: none !important; padding: 0 !important; font-variant-numeric: tabular-nums; }
"""


ANNOUNCE = """() => {
    const announce = () => {
        for (const id of ["words", "other-words", "window-words", "live-changes"])
            document.getElementById(id)?.setAttribute("aria-live", "polite");
    };
    announce();
    new MutationObserver(announce).observe(document.body, {childList: true, subtree: true});
}"""  # some of these elements appear later


def figure_html(figure: Figure, about: str, *, small: bool = False) -> str:
    """A figure with its caption, which is also its alternative text; it scrolls on a narrow screen unless `small`."""
    picture = io.BytesIO()
    FigureCanvasAgg(see_through(figure)).print_png(picture)  # savefig draws twice
    source = f"data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}"
    about = html.escape(about)
    return (
        f'<figure class="picture{" small" if small else ""}">'
        '<div tabindex="0" role="group" aria-label="Picture, scrolls sideways">'
        f'<img src="{source}" alt="{about}"></div><figcaption>{about}</figcaption></figure>'
    )


def windows_html(rows: list[dict]) -> str:
    """The windows of a recording, as `ser.inference.timeline.analyse` returns them, as a table that scrolls."""
    cells = "".join(
        f"<tr><td>{row['start']:.1f}</td><td>{row['end']:.1f}</td>"
        + (
            f"<td>{html.escape(row['emotion'])}</td><td>{row['probability']:.0%}</td></tr>"
            if row["speech"]
            else "<td>nobody speaks</td><td></td></tr>"
        )
        for row in rows
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("from (s)", "to (s)", "sounds like", "probability"))
    return (
        '<div class="windows" tabindex="0" role="group" aria-label="Table of windows">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table></div>"
    )


def bars_html(scores: dict[str, float] | None, labels: list[str]) -> str:
    """A bar for each label, in a fixed order; empty where nobody speaks."""
    rows = ""
    for label, share in ((html.escape(label), scores[label] if scores else 0.0) for label in labels):
        rows += f'<div><span>{label}</span><span>{share:.0%}</span><div style="width: {share:.1%}"></div></div>'
    return f'<div class="bars">{rows}</div>'


def changes_html(changes: list[tuple[float, str]]) -> str:
    """A list of times in seconds and the answer from then on, newest first."""
    lines = "".join(f"<li><b>{when:.0f} s</b> {html.escape(said)}</li>" for when, said in changes)
    return f'<ol class="changes">{lines}</ol>'


__all__ = ["ANNOUNCE", "STYLE", "bars_html", "changes_html", "figure_html", "windows_html"]
