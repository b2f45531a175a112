"""Docstrings: those of public names pass numpydoc's checks, and every function has one whose first line is a sentence.

The checks are those of ``[tool.numpydoc_validation]`` in pyproject.toml, the public names those of the API reference.
Both tests are made room by room, so that a failure tells where to look.
"""

import ast
import inspect
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cytoform"
CHECKS = tuple(
    tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["numpydoc_validation"]["checks"]
)
LENGTH = 120  # of a line

sys.path.insert(0, str(ROOT / "docs"))
try:
    import reference
finally:
    sys.path.pop(0)

# ---------------------------------------------------------------------------------------------------------------------
# Public names, by numpydoc


def complaints(path, ignored=()):
    """What numpydoc's checks say about one name, as "path: code text"."""
    from numpydoc.validate import validate

    found = [(c, text) for c, text in validate(path)["errors"] if c in CHECKS and c not in ignored]
    return [f"{path}: {code} {text}" for code, text in found if code != "PR01" or _undocumented(path, text)]


def _undocumented(path, text):
    """The parameters that a complaint names, but for those that a class documents as its attributes."""
    from numpydoc.docscrape import get_doc_object
    from numpydoc.validate import Validator

    doc = get_doc_object(Validator._load_obj(path))
    known = {name.strip() for entry in doc["Attributes"] for name in entry.name.split(",")}
    return {name for name in re.findall(r"'([^']+)'", text) if not name.startswith("*")} - known


def public_names(room):
    """Full names of what has a docstring of its own in a room, each with checks that do not hold for it."""
    for entry in reference.entries():
        if entry.room != room or entry.home != entry.path or entry.kind in ("data", "module"):
            continue
        # A class and a value are named, not done: its first line is no command. An attribute is described as one.
        yield entry.path, ("SS05",) if entry.kind in ("class", "exception") else ()
        if entry.kind == "class":
            for name, member in reference.members(entry.thing).items():
                valued = not (inspect.isfunction(member) or isinstance(member, (classmethod, staticmethod)))
                yield f"{entry.path}.{name}", ("SS05", "RT01", "RT03", "YD01") if valued else ()


@pytest.mark.parametrize("room", reference.ROOMS)
def test_public_docstrings_pass_numpydocs_checks(room):
    pytest.importorskip("numpydoc")
    pytest.importorskip("torch")  # the neural room is a part of the reference
    found = [text for path, ignored in public_names(room) for text in complaints(path, ignored)]
    assert found == [], f"{len(found)} in {room}"


# ---------------------------------------------------------------------------------------------------------------------
# Every function, by its source


def faults(source):
    """What docstrings of functions and methods lack, as "line name: words"; dunder and nested ones are left aside."""
    tree = ast.parse(source)
    scopes = [tree.body] + [node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found = []
    for node in [node for body in scopes for node in body]:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or _is_aside(node):
            continue
        text = ast.get_docstring(node)
        if not text:
            found.append(f"{node.lineno} {node.name}: no docstring")
            continue
        lines = text.split("\n")
        if len(lines) > 1 and lines[1].strip():
            found.append(f"{node.lineno} {node.name}: the summary has more than one line")
        elif not lines[0].endswith("."):
            found.append(f"{node.lineno} {node.name}: the summary does not end with a full stop")
        elif not lines[0].strip():
            found.append(f"{node.lineno} {node.name}: the summary does not begin in the first line")
    return found


def _is_aside(node):
    """Dunder methods, setters, and the signatures of overloads."""
    marks = {m.attr if isinstance(m, ast.Attribute) else getattr(m, "id", "") for m in node.decorator_list}
    return (node.name.startswith("__") and node.name.endswith("__")) or bool(marks & {"overload", "setter", "deleter"})


ROOMS = sorted({p.relative_to(PACKAGE).parts[0].removesuffix(".py") for p in PACKAGE.rglob("*.py")})


@pytest.mark.parametrize("room", ROOMS)
def test_every_function_has_a_docstring_whose_summary_is_a_line(room):
    places = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").exists() else sorted((PACKAGE / room).rglob("*.py"))
    found = [f"{place.relative_to(ROOT)}:{fault}" for place in places for fault in faults(place.read_text("utf-8"))]
    assert found == [], f"{len(found)} in {room}"


# ---------------------------------------------------------------------------------------------------------------------
# The tests themselves, on a sample

GOOD = '''
def area(mesh):
    """Sum up the areas of a mesh's faces.

    Parameters
    ----------
    mesh : SurfaceMesh
        Closed or open, µm.

    Returns
    -------
    float
        Area in µm².
    """

    def inner(x):
        return x


class Mesh:
    def __len__(self):
        return 0

    def _checked(self):
        """Return itself."""
'''
BAD = '''
def area(mesh):
    """The area of a mesh, summed up over
    all faces"""


def _volume(mesh):
    return 0


class Mesh:
    def edge(self):
        """Length of an edge"""
'''


def test_a_sample_without_faults_passes_and_one_with_faults_does_not(tmp_path, monkeypatch):
    pytest.importorskip("numpydoc")
    assert faults(GOOD) == []
    assert [fault.partition(": ")[2] for fault in faults(BAD)] == [
        "the summary has more than one line", "no docstring", "the summary does not end with a full stop"
    ]  # fmt: skip
    for name, text in (("good_sample", GOOD), ("bad_sample", BAD)):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert complaints("good_sample.area") == []
    codes = {text.split(": ")[1][:4] for text in complaints("bad_sample.area")}
    assert {"PR01", "SS06"} <= codes
