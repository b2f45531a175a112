"""The frame of all HTML pages: head, style, notes, numbers, pictures, tables. One file, nothing from outside of it.

Functions take text and escape it, but for those that say that they take HTML.
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
]

DPI = 150  # of figures
_SHOWN = 108  # pixels an inch of a figure takes on the page


def document(title: str, kind: str, lead: str, body: Iterable[str], *, footer: str, after: str = "") -> str:
    """A page.

    Parameters
    ----------
    title : str
        Its heading.
    kind : str
        What kind of page it is, for the window's title.
    lead : str
        A line below the heading.
    body : iterable of str
        Parts, HTML; empty ones are left out.
    footer : str
    after : str
        Behind all of it, such as scripts: HTML.

    Returns
    -------
    str
        HTML that opens offline.
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
    """A style or script of this package."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def png(figure: Figure) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def base64_text(data: bytes) -> str:
    """Bytes in base64, as a page holds them."""
    return base64.b64encode(data).decode("ascii")


def picture(figure: Figure | bytes, alt: str, name: str = "") -> str:
    """An image element with the picture inside.

    Parameters
    ----------
    figure : Figure, or bytes of :func:`png`
    alt : str
        What it shows, in words.
    name : str
        Its class.
    """
    data = figure if isinstance(figure, bytes) else png(figure)
    width, _ = struct.unpack(">II", data[16:24])  # of the PNG's header
    label = f' class="{name}"' if name else ""
    wide = f' style="width: {width / DPI * _SHOWN:.0f}px"'
    return f'<img{label}{wide} alt="{html.escape(alt)}" src="data:image/png;base64,{base64_text(data)}">'


def section(title: str, *parts: str, name: str = "") -> str:
    """A box with a heading; `parts` are HTML, `name` its class."""
    label = f' class="{name}"' if name else ""
    inner = "\n".join(part for part in parts if part)
    return f"<section{label}>\n<h2>{html.escape(title)}</h2>\n{inner}\n</section>"


def caption(text: str) -> str:
    """A line of explanation."""
    return f'<p class="caption">{html.escape(text)}</p>'


def details(title: str, *parts: str) -> str:
    """Something that opens on a click; `parts` are HTML."""
    return f"<details>\n<summary>{html.escape(title)}</summary>\n" + "\n".join(parts) + "\n</details>"


def notes_box(notes: Sequence[str]) -> str:
    """Warnings, or nothing where there are none."""
    lines = "\n".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return f'<div class="notes" role="note">\n{lines}\n</div>' if notes else ""


def headline(cells: Iterable[tuple[str, str, str]]) -> str:
    """The most important numbers, large: (value, unit, name) each."""
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
    """A table; where it has a head it may be scrolled.

    Parameters
    ----------
    rows : rows of cells
        Without a head: a name and its value each.
    head : names of the columns, optional
    text : columns that are words, the others are numbers
    low : cells (row, column) to stress
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
