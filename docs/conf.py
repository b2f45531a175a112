"""The documentation site.

    python -m sphinx -W --keep-going -b html docs docs/_build/html

needs ``pip install -c constraints.txt -e ".[docs]"`` and no network. What is made on the way (the pages of the API
reference, copies of the examples and what they write, the gallery) lies in folders that git ignores.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]
os.environ["MPLBACKEND"] = "Agg"
os.environ["CYTOFORM_QUICK"] = "1"  # the examples' small sizes

import gallery_tools  # noqa: E402
import reference  # noqa: E402
from numpydoc.xref import DEFAULT_LINKS  # noqa: E402

import cytoform  # noqa: E402

# ---------------------------------------------------------------------------------------------------------------------
# The project

project = "cytoform"
author = "cytoform developers"
copyright = "cytoform developers"
version = release = cytoform.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_examples", "api/names/_*"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
default_role = "code"  # `name` is a parameter in the docstrings
nitpicky = True
highlight_language = "none"  # of blocks that do not say
toc_object_entries = False
language = "en_GB"
suppress_warnings = ["config.cache"]  # the gallery's settings hold functions

# ---------------------------------------------------------------------------------------------------------------------
# Looks: nothing is fetched from elsewhere when a page is opened

html_theme = "pydata_sphinx_theme"
html_title = f"cytoform {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "cytoform"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
html_sidebars: dict[str, list[str]] = {"index": [], "getting_started": [], "glossary": []}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True

# ---------------------------------------------------------------------------------------------------------------------
# The API reference: a page for each room and each public name (reference.py)

autodoc_typehints = "none"  # types and shapes stand in the docstrings
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # but for the classes that have a page
DEFAULT_LINKS.clear()  # to Python's and NumPy's pages, which are elsewhere

NAMES = {entry.home: entry for entry in reference.entries() if entry.path == entry.home or entry.kind == "module"}
COMMON = Counter(entry.name for entry in NAMES.values())
numpydoc_xref_aliases = {
    entry.name: home
    for home, entry in NAMES.items()
    if entry.kind in ("class", "exception") and COMMON[entry.name] == 1
}
PLURAL = {"class": "Classes", "function": "Functions", "exception": "Errors", "data": "Values", "module": "Modules"}


def heading(text: str, under: str) -> str:
    """A heading of reStructuredText."""
    return f"{text}\n{under * len(text)}\n\n"


def write(path: Path, text: str) -> None:
    """Write a page, but only where it has changed: Sphinx then reads less."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def name_page(entry: reference.Entry) -> str:
    """The page of one public name."""
    text = heading(entry.home, "=")
    text += f".. currentmodule:: {entry.room}\n\n"
    kind = {"class": "autoclass", "exception": "autoexception", "function": "autofunction", "data": "autodata"}
    text += f".. {kind[entry.kind]}:: {entry.path}\n"
    if entry.kind == "class":
        text += "   :no-members:\n\n"
        for name, member in reference.members(entry.thing).items():
            method = isinstance(member, (classmethod, staticmethod)) or callable(member)
            text += f"   .. auto{'method' if method else 'property'}:: {entry.path}.{name}\n\n"
    if entry.kind == "data":
        text += "   :no-value:\n"
    return text


def room_page(room: str, title: str, found: list[reference.Entry]) -> str:
    """The page of a room: what it is for, and its names by kind."""
    text = heading(room, "=") + (f"**{title}**\n\n" if title else "")
    text += f".. automodule:: {room}\n   :no-members:\n\n.. currentmodule:: {room}\n\n"
    for kind, name in PLURAL.items():
        several = [entry for entry in found if entry.kind == kind]
        if several and kind == "module":
            text += heading(name, "-") + "\n".join(f"* :doc:`{e.home} </{e.page}>`" for e in several) + "\n\n"
        elif several:
            text += heading(name, "-") + ".. list-table::\n   :widths: 35 65\n   :class: names\n\n"
            for entry in several:
                role = {"function": "func", "data": "data", "exception": "exc"}.get(kind, "class")
                text += f"   * - :py:{role}:`{entry.name} <{entry.home}>`\n     - {first_sentence(entry)}\n"
            text += "\n"
    own = sorted({(e.name, e.page) for e in found if e.home == e.path or e.kind == "module"})
    pages = "\n".join(f"   {name} </{page}>" for name, page in own)
    return text + (f".. toctree::\n   :hidden:\n\n{pages}\n" if own else "")


def first_sentence(entry: reference.Entry) -> str:
    """The first line of a docstring; for a value what it holds."""
    if entry.kind == "data":
        return f"``{type(entry.thing).__name__}``"
    words = ((entry.thing.__doc__ or "").strip() or "–").split("\n\n")[0].replace("\n", " ").strip()
    return SIZES.sub(r"\\\g<0>", re.sub(r":[a-z]+:`~?\.?([^`<]+)`", r"``\1``", words))


def write_reference() -> None:
    """Write all pages of the API reference, and take away those of names that are gone."""
    folder = HERE / "api"
    by_room: dict[str, list[reference.Entry]] = {}
    for entry in reference.entries():
        by_room.setdefault(entry.room, []).append(entry)
        if entry.kind == "module":
            by_room.setdefault(entry.home, [])
    wanted = {}
    for room, found in by_room.items():
        wanted[f"api/{room}"] = room_page(room, reference.ROOMS.get(room, ""), found)
        wanted.update({e.page: name_page(e) for e in found if e.home == e.path and e.kind != "module"})
    text = heading("API reference", "=") + (
        "Public are the names on these pages; :doc:`/policy` tells what that means. Arrays and coordinates are "
        "(z, y, x), lengths are micrometres. ``import cytoform as cf`` is how the examples begin.\n\n"
        ".. list-table::\n   :widths: 35 65\n   :class: names\n\n"
    )
    for room, title in reference.ROOMS.items():
        text += f"   * - :doc:`{room} <{room}>`\n     - {title}\n"
    text += "\nThe :doc:`command line <command_line>` has a page of its own.\n\n.. toctree::\n   :hidden:\n\n"
    wanted["api/index"] = text + "\n".join(f"   {room}" for room in reference.ROOMS) + "\n   command_line\n"
    wanted["api/command_line"] = command_line_page()
    for page, content in wanted.items():
        write(HERE / f"{page}.rst", content)
    for path in folder.rglob("*.rst"):
        if path.relative_to(HERE).with_suffix("").as_posix() not in wanted:
            path.unlink()


def command_line_page() -> str:
    """What ``--help`` says of each command."""
    import typer
    from typer.testing import CliRunner

    from cytoform.cli import app

    runner = CliRunner()

    def told(words: list[str], command: Any) -> str:
        name = " ".join(["cytoform", *words])
        shown = runner.invoke(
            app, [*words, "--help"], prog_name="cytoform", env={"COLUMNS": "96", "TERMINAL_WIDTH": "96"}
        )
        text = heading(name, "-" if len(words) < 2 else "~")
        text += ".. code-block:: text\n\n" + "".join(f"   {line}".rstrip() + "\n" for line in shown.output.splitlines())
        text += "\n"
        for inner, one in getattr(command, "commands", {}).items():
            text += told([*words, inner], one)
        return text

    intro = "What ``cytoform COMMAND --help`` prints, command by command.\n\n"
    return heading("Command line", "=") + intro + told([], typer.main.get_command(app))


def resolved(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Find what a reference in a docstring means: a public name under any of its names, or something inside.

    What has no page but exists stays as plain code; what does not exist is left to Sphinx, which warns.
    """
    from sphinx.util.nodes import make_refnode

    if node.get("refdomain") != "py":
        return None
    thing = looked_up(node["reftarget"], node.get("py:module"), node.get("py:class"), node.get("refdoc", ""))
    if thing is MISSING:
        return None
    for home, entry in NAMES.items():
        if entry.thing is thing and entry.kind != "data":
            anchor = f"module-{home}" if entry.kind == "module" else home
            return make_refnode(app.builder, node["refdoc"], entry.page, anchor, contnode, home)
    return contnode


MISSING = object()


def looked_up(target: str, module: str | None, cls: str | None, page: str) -> Any:
    """What a dotted name stands for, seen from the page of a public name."""
    entry = next((e for e in NAMES.values() if e.page == page), None)
    home = getattr(entry.thing, "__module__", None) if entry is not None and entry.kind != "module" else page[4:]
    near = [home, module, *(m for m in sys.modules if target.startswith(".") and m.startswith("cytoform."))]
    if home:
        near += [home.rsplit(".", count)[0] for count in range(1, home.count(".") + 1)]
    name = target.lstrip(".")
    places = [p for p in near if p] + [f"{home}.{cls.rpartition('.')[2]}" if cls else ""]
    thing = getattr(entry, "thing", None)
    for base in (thing if isinstance(thing, type) else type(thing)).__mro__:
        places += [f"{base.__module__}.{base.__qualname__}", base.__module__]
    for path in [name, *(f"{place}.{name}" for place in places if place), f"cytoform.{name}"]:
        found = imported(path)
        if found is not MISSING:
            return found
    alike = {id(e.thing): e.thing for e in NAMES.values() if e.name == name}  # a public name, if only one has it
    return alike.popitem()[1] if len(alike) == 1 else MISSING


SIZES = re.compile(r"(?<!\\)(?:\||(?<=\()\*(?=\w))(?=(?:[^`]*`[^`]*`)*[^`]*$)")


LITERAL = re.compile(r"(``[^`]+``)(?=[\w²³⁻])")


def escape_sizes(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Let |x| be the size of x, (*shape) a shape and ``n``³ a power, in docstrings.

    reStructuredText has other uses for the first two, and wants a space after the third.
    """
    literal = -1  # how far the line is indented that a literal block follows
    for k, line in enumerate(lines):
        depth = len(line) - len(line.lstrip())
        if literal >= 0 and line.strip() and depth <= literal:
            literal = -1
        if literal < 0:
            lines[k] = LITERAL.sub(r"\1\\ ", SIZES.sub(lambda match: "\\" + match[0], line))
            literal = depth if line.rstrip().endswith("::") else -1


def imported(path: str) -> Any:
    """What a full dotted name stands for; fields of dataclasses count."""
    words = path.split(".")
    for count in range(len(words), 0, -1):
        try:
            thing: Any = importlib.import_module(".".join(words[:count]))
        except (ImportError, ValueError):
            continue
        for word in words[count:]:
            known = getattr(thing, "__annotations__", {}) if isinstance(thing, type) else {}
            thing = getattr(thing, word, None if word in known else MISSING)
            if thing is MISSING:
                return MISSING
        return thing
    return MISSING


# ---------------------------------------------------------------------------------------------------------------------
# The gallery: every example is run, on copies, in a folder that git ignores

sphinx_gallery_conf = {
    "examples_dirs": "_examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "image_scrapers": ["gallery_tools.figures"],
    "within_subsection_order": "gallery_tools.in_order",
    "capture_repr": (),
    "abort_on_example_error": True,
    "min_reported_time": 0,
    "show_signature": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "thumbnail_size": (400, 280),
}

# ---------------------------------------------------------------------------------------------------------------------
# Pages that are other files of the repository, or parts of the README

# Where files of the repository are in the site. A page docs/X.md whose last line is <!-- FILE --> is that file.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/RESULTS.md": "benchmarks.md",
}
PARTS = {"#living-shapes": "/guide/living_shapes.md", "#which-program-opens-what": "/guide/files.md"}
WHOLE = re.compile(r"<!-- page: (?P<file>\S+) -->\s*$")
PART = re.compile(r"<!-- README: (?P<start>.+?) \.\.\. (?P<end>.+?) -->")
LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^()\s]+)\)")


def with_links(text: str, folder: Path) -> str:
    """A file's text with links to files as they are in the site; what the site has not stays as text."""

    def changed(match: re.Match[str]) -> str:
        target = match["target"]
        if re.match(r"[a-z]+:|/", target):
            return match[0]
        path, sharp, anchor = target.partition("#")
        front = f"{match['picture']}[{match['text']}]"
        if not path:
            return f"{front}({PARTS[target]})" if target in PARTS and folder == ROOT else match[0]
        full = (folder / path).resolve()
        inside = full.relative_to(ROOT).as_posix()
        if inside in PAGES:
            return f"{front}(/{PAGES[inside]}{sharp}{anchor})"
        if full.is_relative_to(HERE):
            return f"{front}(/{full.relative_to(HERE).as_posix()}{sharp}{anchor})"
        return match["text"]

    return LINK.sub(changed, text)


def take_text(app: Any, docname: str, content: list[str]) -> None:
    """Put files of the repository, and parts of the README, in place of the comments that ask for them."""
    path = Path(app.env.doc2path(docname))
    if path.suffix != ".md":
        return
    text, folder = content[0], path.parent
    whole = WHOLE.search(text)
    if whole:
        source = ROOT / whole["file"]
        text, folder = source.read_text(encoding="utf-8"), source.parent
        app.env.note_dependency(str(source))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    def part(match: re.Match[str]) -> str:
        app.env.note_dependency(str(ROOT / "README.md"))
        start = readme.index(match["start"])
        return with_links(readme[start : readme.index(match["end"], start + len(match["start"]))].strip(), ROOT)

    content[0] = PART.sub(part, with_links(text, folder))


def setup(app: Any) -> None:
    """Write what is generated, and listen."""
    (HERE / "_build").mkdir(exist_ok=True)
    write_reference()
    gallery_tools.copy_examples(ROOT / "examples", HERE / "_examples")
    app.connect("source-read", take_text)
    app.connect("missing-reference", resolved)
    app.connect("autodoc-process-docstring", escape_sizes, priority=900)
