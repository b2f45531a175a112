"""The room stays readable: short files and functions, and a mesh class named only where a body is of that kind."""

import ast
from pathlib import Path

import cytoform

FILES = sorted(Path(cytoform.__file__).parent.joinpath("fitting").rglob("*.py"))
MOST_LINES, MOST_LINES_OF_A_FUNCTION, MOST_NAMING = 350, 45, 4


def test_files_and_functions_are_short():
    assert len(FILES) > 30
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) < MOST_LINES, file
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                docstring = ast.get_docstring(node, clean=False)
                lines = node.end_lineno - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)
                assert lines < MOST_LINES_OF_A_FUNCTION, f"{file}: {node.name}"


def test_few_files_name_a_class_of_mesh():
    for name in ("SurfaceMesh", "MultiMaterialMesh"):
        assert len([file for file in FILES if name in file.read_text(encoding="utf-8")]) <= MOST_NAMING


def test_packages_hold_no_code():
    """Their ``__init__`` imports names, or says where each is; nothing is defined there."""
    for file in FILES:
        if file.name == "__init__.py":
            tree = ast.parse(file.read_text(encoding="utf-8"))
            assert not [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef, ast.For))], file
