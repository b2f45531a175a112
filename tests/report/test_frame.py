"""The frame of the pages, taken apart by the standard library's parser."""

import base64
import io
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure
from PIL import Image

from cytoform.report import frame

NASTY = "<b>\"&' > 5"


class Read(HTMLParser):
    """Text and attributes of a page."""

    def __init__(self, page):
        super().__init__()
        self.text, self.tags = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    def named(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def test_text_is_text_wherever_it_stands():
    parts = [
        frame.notes_box([NASTY]), frame.headline([(NASTY, NASTY, NASTY)]),
        frame.section(NASTY, frame.caption(NASTY), frame.details(NASTY, frame.table([[NASTY, NASTY]], [NASTY, NASTY]))),
        frame.table([(NASTY, NASTY)]), "",
    ]  # fmt: skip
    page = frame.document(NASTY, NASTY, NASTY, parts, footer=NASTY)
    read = Read(page)
    whole = [text for text in read.text if NASTY in text]
    assert (
        len(whole) == 1 + 1 + 1 + 1 + 3 + 3 + 4 + 2 + 1
    )  # title, heading, lead, note, headline, section, tables, footer
    assert len(read.named("b")) == 1  # that of the headline
    assert "http" not in page and page.startswith("<!DOCTYPE html>")


def test_pictures_are_inside_and_as_wide_as_they_are_drawn():
    figure = Figure(figsize=(4.0, 2.0))
    [image] = Read(frame.picture(figure, NASTY, "drawn")).named("img")
    assert image["alt"] == NASTY and image["class"] == "drawn" and image["style"] == "width: 432px"
    kind, _, code = image["src"].partition(",")
    assert kind == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(code))).size == (4 * frame.DPI, 2 * frame.DPI)
    assert frame.picture(frame.png(figure), NASTY, "drawn") == frame.picture(figure, NASTY, "drawn")


def test_cells_of_a_table():
    read = Read(frame.table([["a", 1], ["b", 2]], ["name", "n"], low=[(1, 1)]))
    assert [cell.get("class") for cell in read.named("td")] == ["text", None, "text", "low"]
    assert [cell.get("class") for cell in read.named("th")] == ["text", None]


@pytest.mark.parametrize("part", [frame.notes_box([]), frame.section("a", "", "")])
def test_what_is_empty_is_left_out(part):
    assert "\n\n\n" not in part and "<p>" not in part
