"""Building blocks of all HTML pages: head, style, notes, numbers, pictures, tables.

A page refers to nothing outside of it. Functions take plain text and escape it, except where they say that they take
HTML.
"""

from __future__ import annotations

import base64
import html
import io
import struct
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

from matplotlib.figure import Figure

__all__ = [
    "base64_text",
    "caption",
    "details",
    "document",
    "headline",
    "notes_box",
    "picture",
    "png",
    "resource",
    "section",
    "table",
    "verdict_box",
]

DPI = 150  # resolution of figures
_SHOWN = 108  # CSS pixels on the page for an inch of a figure


def document(title: str, kind: str, lead: str, body: Iterable[str], *, footer: str, after: str = "") -> str:
    """Return a whole HTML page that opens offline.

    Parameters
    ----------
    title : str
        Its heading.
    kind : str
        What kind of page it is, such as "report", for the window's title.
    lead : str
        A line below the heading.
    body : iterable of str
        Parts, HTML; empty ones are left out.
    footer : str
        Sentence at the end of the page.
    after : str
        HTML behind all of it, such as scripts; "" for none.

    Returns
    -------
    str
        The page with its style sheet inside.
    """
    name, parts = html.escape(title), "\n".join(part for part in body if part)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name} · cytoform {html.escape(kind)}</title>
<style>
{resource("style.css")}</style>
</head>
<body>
<main>
<h1>{name}</h1>
<p class="lead">{html.escape(lead)}</p>
{parts}
<footer>Made by cytoform. {html.escape(footer)}</footer>
</main>
{after}
</body>
</html>
"""


def resource(name: str) -> str:
    """Read a style sheet or script that lies beside this module, by file name, and return its text."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def png(figure: Figure) -> bytes:
    """Render a figure as PNG at 150 dots per inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def base64_text(data: bytes) -> str:
    """Encode bytes as base64 text, to be put into a page."""
    return base64.b64encode(data).decode("ascii")


def picture(figure: Figure | bytes, alt: str, name: str = "") -> str:
    """Return an HTML image element with the picture itself inside, as a data URL.

    Parameters
    ----------
    figure : Figure or bytes
        A figure, or its PNG as :func:`png` returns it.
    alt : str
        Description for readers who cannot see the picture.
    name : str
        CSS class; "" for none.

    Returns
    -------
    str
        It is shown at 108 CSS pixels an inch of the figure.
    """
    data = figure if isinstance(figure, bytes) else png(figure)
    width, _ = struct.unpack(">II", data[16:24])  # of the PNG's header
    label = f' class="{name}"' if name else ""
    wide = f' style="width: {width / DPI * _SHOWN:.0f}px"'
    return f'<img{label}{wide} alt="{html.escape(alt)}" src="data:image/png;base64,{base64_text(data)}">'


def section(title: str, *parts: str, name: str = "") -> str:
    """Return an HTML section with a heading.

    `parts` are HTML, empty ones left out; `name` is its CSS class, "" for none.
    """
    label = f' class="{name}"' if name else ""
    inner = "\n".join(part for part in parts if part)
    return f"<section{label}>\n<h2>{html.escape(title)}</h2>\n{inner}\n</section>"


def caption(text: str) -> str:
    """Return a paragraph of HTML in the style of captions; the text is escaped."""
    return f'<p class="caption">{html.escape(text)}</p>'


def details(title: str, *parts: str) -> str:
    """Return an HTML details element, folded until the reader clicks on its title (escaped); `parts` are HTML."""
    return f"<details>\n<summary>{html.escape(title)}</summary>\n" + "\n".join(parts) + "\n</details>"


def notes_box(notes: Sequence[str]) -> str:
    """Return an HTML box with a paragraph for each warning (escaped); "" where there are none."""
    lines = "\n".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return f'<div class="notes" role="note">\n{lines}\n</div>' if notes else ""


_VERDICTS = {
    "good": "Nothing speaks against the surface.",
    "check": "Look at the surface before you rely on it.",
    "failed": "The surface cannot be relied on.",
}


def verdict_box(quality: str, reasons: Sequence[str]) -> str:
    """Return an HTML box with a coloured badge for the verdict and a line for each reason (escaped); "" without one."""
    if not quality:
        return ""
    lines = "\n".join(f"<li>{html.escape(reason)}</li>" for reason in reasons)
    listed = f'\n<ul class="lines">\n{lines}\n</ul>' if reasons else ""
    kind, sentence = html.escape(quality), html.escape(_VERDICTS.get(quality, ""))
    return f'<div class="verdict {kind}" role="note">\n<p><b>{kind}</b> {sentence}</p>{listed}\n</div>'


def headline(cells: Iterable[tuple[str, str, str]]) -> str:
    """Return the HTML of the most important numbers, in large print: (value, unit, name) each; unit "" for none."""
    made = [
        f"<div><b>{html.escape(value)}{f' <small>{html.escape(unit)}</small>' if unit else ''}</b>"
        f"<span>{html.escape(name)}</span></div>"
        for value, unit, name in cells
    ]
    return '<div class="headline">\n' + "\n".join(made) + "\n</div>"


def table(
    rows: Sequence[Sequence[Any]],
    head: Sequence[str] = (),
    *,
    text: Sequence[int] = (0,),
    low: Sequence[tuple[int, int]] = (),
) -> str:
    """Return an HTML table.

    Parameters
    ----------
    rows : sequence of rows of cells
        Cells are converted to text. Without a head each row is a name and a value.
    head : sequence of str
        Names of the columns; with a head the table can be scrolled sideways.
    text : sequence of int
        Columns that hold words, aligned left; the others hold numbers.
    low : sequence of (int, int)
        Cells to stress, as (row, column).

    Returns
    -------
    str
        HTML.
    """
    if not head:
        lines = "\n".join(f"<tr><th>{html.escape(str(n))}</th><td>{html.escape(str(v))}</td></tr>" for n, v in rows)
        return f"<table>\n{lines}\n</table>"

    def kind(row: int, column: int) -> str:
        names = ["text"] * (column in text) + ["low"] * ((row, column) in low)
        return f' class="{" ".join(names)}"' if names else ""

    top = "".join(f"<th{kind(-1, k)}>{html.escape(name)}</th>" for k, name in enumerate(head))
    lines = "\n".join(
        "<tr>" + "".join(f"<td{kind(r, k)}>{html.escape(str(cell))}</td>" for k, cell in enumerate(row)) + "</tr>"
        for r, row in enumerate(rows)
    )
    inner = f"<thead><tr>{top}</tr></thead>\n<tbody>\n{lines}\n</tbody>"
    return f'<div class="scroll"><table class="figures">{inner}</table></div>'
