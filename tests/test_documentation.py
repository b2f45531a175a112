"""What the Markdown files show works: Python blocks run, commands have the options that they are given, links lead on.

Blocks of one file run in their order, one after the other in one space of names, in a folder with small inputs; fits
take few steps. A block that does not run has a comment above it that says why: ``<!-- not run: REASON -->``.
"""

import ast
import dataclasses
import inspect
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "guide").glob("*.md"),
    ]
)
NAMES = [path.relative_to(ROOT).as_posix() for path in FILES]
FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>[^\n]*)\n(?P<code>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
NOT_RUN = re.compile(r"<!-- not run: (?P<why>[^>]+) -->\s*$")
PROMPT = re.compile(r"^(?:\$ )?(?P<line>(?:torchrun .*-m )?cytoform .+)$")


def python_blocks(text):
    """Line, code and reason of not being run, of each Python block."""
    for match in FENCE.finditer(text):
        if match["kind"].strip() == "python":
            why = NOT_RUN.search(text[: match.start()])
            yield text.count("\n", 0, match.start()) + 1, match["code"], why["why"] if why else ""


def commands(text):
    """Each line of a block, fenced or indented, that calls cytoform."""
    blocks = [m["code"] for m in FENCE.finditer(text) if m["kind"].strip() in ("", "bash", "sh", "shell", "console")]
    blocks += [line[4:] for line in FENCE.sub("", text).splitlines() if line.startswith("    ")]
    for line in "\n".join(blocks).splitlines():
        if (found := PROMPT.match(line.strip())) is not None:
            yield found["line"]


@pytest.fixture(scope="module")
def inputs():
    """A small image of two cells, their labels and a mesh."""
    import cytoform as cf
    from cytoform.imaging import GaussianNoise, make_sample
    from cytoform.masks import mesh_to_mask
    from cytoform.mesh.shapes import ellipsoid

    grid, psf = cf.Grid((16, 24, 40), (0.4, 0.3, 0.3)), cf.GaussianPSF.from_sigma((0.6, 0.35, 0.35))
    cells = [
        ellipsoid((1.6, 1.9, 2.1), (3.2, 3.6, 3.4), edge=0.5),
        ellipsoid((1.5, 1.8, 1.9), (3.2, 3.6, 8.4), edge=0.5),
    ]
    samples = [
        make_sample(cell, psf, grid, peak=100.0, noise=GaussianNoise(2.0), seed=k) for k, cell in enumerate(cells)
    ]
    labels = sum((k + 1) * mesh_to_mask(cell, grid).astype(np.uint16) for k, cell in enumerate(cells))
    return {"grid": grid, "one": samples[0].image.data, "both": sum(s.image.data for s in samples), "labels": labels,
            "mesh": cells[0]}  # fmt: skip


@pytest.fixture
def place(inputs, tmp_path, monkeypatch):
    """A folder with the files that the blocks name."""
    from oracles.bubbles import double_bubble

    import cytoform as cf

    (tmp_path / "demo").mkdir()
    spacing = inputs["grid"].spacing
    for name, what in (("demo/image", "one"), ("cell", "one"), ("embryo", "both"), ("labels", "labels")):
        cf.write_volume(tmp_path / f"{name}.tif", inputs[what], spacing=spacing)
    cf.write_mesh(tmp_path / "cell.ply", inputs["mesh"])
    cf.write_mesh(tmp_path / "cells.rec", double_bubble((1, 0.8, 0.6), rings=6).mesh)
    make = inspect.unwrap(cf.FitConfig.__init__)
    defaults = list(make.__defaults__)
    defaults[[field.name for field in dataclasses.fields(cf.FitConfig)].index("iterations")] = 12
    monkeypatch.setattr(make, "__defaults__", tuple(defaults))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n for n, p in zip(NAMES, FILES) if any(not b[2] for b in python_blocks(p.read_text("utf-8")))]
)
def test_python_blocks_run(name, place, monkeypatch):
    import cytoform as cf

    if "load_result" in (text := (ROOT / name).read_text(encoding="utf-8")) and "result.save" not in text:
        cf.fit(cf.read_volume("cell.tif")).save("run")
    space = {"__name__": "documentation"}
    for line, code, why in python_blocks(text):
        if why:
            compile(code, name, "exec")
        else:
            exec(compile("\n" * line + code, str(ROOT / name), "exec"), space)


def test_a_block_that_is_not_run_says_why():
    text = "text\n\n<!-- not run: it takes an hour -->\n```python\nx = 1\n```\n\n```python\ny = 2\n```\n"
    assert [(line, why) for line, _, why in python_blocks(text)] == [(4, "it takes an hour"), (8, "")]


@pytest.mark.parametrize("name", NAMES)
def test_no_python_hides_in_an_indented_block(name):
    """Python stands in fenced blocks, where the test above finds it."""
    text = FENCE.sub("", (ROOT / name).read_text(encoding="utf-8"))
    assert [line for line in text.splitlines() if re.match(r" {4}(import \w+|from [\w.]+ import )", line)] == []


def checked(line):
    """Have click take a command's words apart without running it; raises where there is no such option."""
    import typer

    from cytoform.cli import app

    words = shlex.split(line, comments=True)
    words = words[words.index("cytoform") + 1 :]
    command, context = typer.main.get_command(app), None
    name = "cytoform"
    while hasattr(command, "commands"):
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
        if not words or words[0] in ("--help", "--version"):
            return
        while words[0].startswith("--"):  # --debug
            words.pop(0)
        assert words[0] in command.commands, f"{line}: there is no command {words[0]!r}"
        name = words.pop(0)
        command = command.commands[name]
    context = command.make_context(name, [], parent=context, resilient_parsing=True)  # some get their options here
    # Words in capitals stand for a value, and "…" and "..." for more of them.
    words = [word for word in words if word not in ("…", "...")]
    known = {flag: option for option in command.get_params(context) for flag in (*option.opts, *option.secondary_opts)}
    for word in words:
        if re.match(r"--?[a-z]", word):
            assert word.partition("=")[0] in {*known, "--help"}, f"{line}: there is no option {word}"
    return words, known


@pytest.mark.parametrize("name", [n for n, p in zip(NAMES, FILES) if any(commands(p.read_text("utf-8")))])
def test_commands_have_the_options_they_are_given(name):
    for line in commands((ROOT / name).read_text(encoding="utf-8")):
        checked(line)


def test_words_that_no_command_has_are_found():
    with pytest.raises(AssertionError, match="no option --colour"):
        checked("cytoform fit cell.tif --colour red")
    with pytest.raises(AssertionError, match="no command 'draw'"):
        checked("cytoform draw cell.tif")
    checked("torchrun --nproc-per-node 2 -m cytoform neural train cells --out model")
    assert list(commands("a\n\n    $ cytoform fit x.tif  # so\n\n```\ncytoform info x.tif\n```\n")) == [
        "cytoform info x.tif", "cytoform fit x.tif  # so"
    ]  # fmt: skip


# What the site makes; there is no such file in the repository.
MADE = ("gallery/", "api/")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^()\s]+)\)")


def anchors(text):
    """The anchors of a file's headings, as code hosts and MyST make them."""
    found = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in found}


@pytest.mark.parametrize("name", [*NAMES, "CHANGELOG.md", "benchmarks/RESULTS.md"])
def test_links_lead_to_files_and_headings(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        inside = place.relative_to(ROOT / "docs").as_posix() + "/" if place.is_relative_to(ROOT / "docs") else ""
        if inside.startswith(MADE):
            continue
        assert place.exists(), f"{name}: {target}"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place.read_text(encoding="utf-8")), f"{name}: {target}"


def messages():
    """All texts in the source, with "…" where a value is put in."""
    for place in (ROOT / "cytoform").rglob("*.py"):
        tree = ast.parse(place.read_text(encoding="utf-8"))
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
                 if part is not node}  # fmt: skip
        for node in ast.walk(tree):
            if id(node) in inner:
                continue
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"%[.\d]*[dsgrf]", "…", node.value)


def test_every_warning_that_is_explained_is_one_of_the_program():
    text = (ROOT / "docs" / "guide" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = text[text.index("## Warnings") : text.index("## Errors")]
    cells = [line.split(" | ")[0].lstrip("| ") for line in rows.splitlines() if line.startswith("| ")]
    phrases = [part.strip() for cell in cells for part in cell.split("·")]
    phrases = [part for part in phrases if part not in ("the warning says", "---")]
    known = "\n".join(text.replace("\n", " ") for text in messages()).lower()
    missing = []
    for phrase in phrases:
        pieces = [
            re.escape(piece.strip(" .:…"))
            for piece in phrase.replace("\\|", "|").lower().split("…")
            if piece.strip(" .:…")
        ]
        if not re.search("[^\n]*".join(pieces), known):
            missing.append(phrase)
    assert missing == []
    assert len(phrases) > 30
