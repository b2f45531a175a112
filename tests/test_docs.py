"""The documentation site: every public name has a page, and the pages find what they take from the README."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

pytest.importorskip("torch")  # the neural room is a part of the reference


@pytest.fixture(scope="module")
def reference():
    """``docs/reference.py``, which lists what the API reference shows."""
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module("reference")
    finally:
        sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The sources of the API reference as conf.py writes them, by path."""
    pytest.importorskip("sphinx_gallery")
    folder = tmp_path_factory.mktemp("docs")
    code = (
        f"import sys, runpy, pathlib; sys.path.insert(0, {str(DOCS)!r})\n"
        f"space = runpy.run_path({str(DOCS / 'conf.py')!r})\n"
        f"space['write_reference'].__globals__['HERE'] = pathlib.Path({str(folder)!r})\n"
        "space['write_reference']()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return {p.relative_to(folder).with_suffix("").as_posix(): p.read_text("utf-8") for p in folder.rglob("*.rst")}


def test_every_public_name_has_a_page(reference, pages):
    for room in reference.ROOMS:
        listed = pages[f"api/{room}"]
        for name in importlib.import_module(room).__all__:
            found = [e for e in reference.entries() if e.path == f"{room}.{name}"]
            assert len(found) == 1 and found[0].page in pages, f"{room}.{name}"
            assert found[0].home in listed, f"{room}.{name}"


def test_no_two_pages_are_one_file_where_capitals_do_not_count(pages):
    assert len({page.lower() for page in pages}) == len(pages)


def test_pages_show_public_members_of_classes(reference, pages):
    page = pages["api/names/cytoform.FitResult-class"]
    assert "automethod:: cytoform.FitResult.interval" in page and "autoproperty:: cytoform.FitResult.r2" in page
    mesh = pages["api/names/cytoform.SurfaceMesh-class"]
    assert "cytoform.SurfaceMesh.bounds" in mesh  # of a base class
    model = pages["api/names/cytoform.neural.AutoDecoder-class"]
    assert "AutoDecoder.decode" in model and "register_buffer" not in model  # of torch's


def test_every_module_with_public_names_is_listed_or_a_part_of_one_that_is(reference):
    """A new room at the top level is either in the reference or on this list of what is not public."""
    inner = {"atomic", "cli", "devices", "file_registry", "interruption", "kernels", "linking", "options", "registry"}
    inner.add("tables")
    rooms = {p.stem for p in (ROOT / "cytoform").iterdir() if (p.suffix == ".py" or (p / "__init__.py").exists())}
    top = {room.split(".")[1] for room in reference.ROOMS if "." in room}
    assert {room for room in rooms if not room.startswith("_")} - inner == top


def test_parts_of_the_readme_are_found():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    taken = 0
    for page in DOCS.rglob("*.md"):
        for start, end in re.findall(r"<!-- README: (.+?) \.\.\. (.+?) -->", page.read_text(encoding="utf-8")):
            assert text.count(start) >= 1, f"{page.name}: {start}"
            assert end in text[text.index(start) + len(start) :], f"{page.name}: {end}"
            taken += 1
    assert taken >= 10


def test_every_page_is_reached(reference):
    """Each Markdown page of the docs is named by some table of contents."""
    pages = {p.relative_to(DOCS).with_suffix("").as_posix(): p for p in DOCS.rglob("*.md")
             if not p.relative_to(DOCS).parts[0].startswith("_") and p.relative_to(DOCS).parts[0] not in ("api", "gallery")}  # fmt: skip # noqa: E501
    named = {"index"}
    for page, path in pages.items():
        for block in re.findall(r"```\{toctree\}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            entries = [line for line in block.split("\n") if line and not line.startswith(":")]
            named |= {os.path.normpath(Path(page).parent / entry) for entry in entries}
    assert set(pages) <= named


def test_files_that_the_glossary_names_exist():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+(?:\.py|/))`", text)
    assert len(named) >= 15
    assert [name for name in named if not (ROOT / "cytoform" / name).exists()] == []
