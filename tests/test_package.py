"""What importing costs and brings along."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cytoform

ROOT = Path(cytoform.__file__).parent


def _run(code: str, **environment: str) -> str:
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env).stdout


def test_import_loads_nothing_but_the_door():
    """Neither numpy nor anything else that takes time to load: names bring their rooms along when first used."""
    code = """
import sys
before = set(sys.modules)
import cytoform
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))
print(*sorted(name for name in sys.modules if name.startswith("cytoform.")))
"""
    foreign, own = _run(code).splitlines()
    assert foreign.split() == ["cytoform", "lazy_loader"]
    assert own.split() == []


def test_settings_load_no_library_for_figures():
    code = """
import sys, cytoform
cytoform.FitConfig()
print(*sorted({"matplotlib", "skimage", "h5py", "torch", "cytoform.report"} & set(sys.modules)))
"""
    assert _run(code).split() == []


LAZY = ("cytoform", "cytoform.compare", "cytoform.fitting", "cytoform.neural", "cytoform.synth")


@pytest.mark.parametrize("package", LAZY)
def test_eager_import_finds_every_public_name(package):
    """With EAGER_IMPORT, lazy_loader loads all names of a stub at once: a wrong line of a stub fails here."""
    if package == "cytoform.neural":
        pytest.importorskip("torch")
    code = f"import {package} as p; print(all(hasattr(p, n) for n in p.__all__), len(p.__all__))"
    found, number = _run(code, EAGER_IMPORT="1").split()
    assert found == "True" and int(number) >= 10


@pytest.mark.parametrize("package", LAZY)
def test_stubs_export_what_they_import(package):
    stub = ROOT.joinpath(*package.split(".")[1:], "__init__.pyi")
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    imported = {a.asname or a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
    listed = [ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign)]
    assert [sorted(names) for names in listed] == [sorted(imported)]
    assert (ROOT / "py.typed").is_file()


def test_works_where_torch_cannot_be_imported_and_touches_no_gpu():
    code = """
import sys
sys.modules["torch"] = None
import cytoform as cf
for name in cf.__all__:
    getattr(cf, name)
print(*sorted({"numba.cuda", "cupy", "napari", "dask"} & set(sys.modules)))
"""
    assert _run(code).split() == []


def test_no_private_name_of_another_module_is_imported():
    found, places = [], sorted(ROOT.rglob("*.py"))
    rooms = {p.parent.name if p.name == "__init__.py" else p.stem for p in places}
    for place in places:
        nodes = list(ast.walk(ast.parse(place.read_text(encoding="utf-8"))))
        taken = [a for n in nodes if isinstance(n, ast.ImportFrom) and (n.level or n.module == "cytoform")
                 for a in n.names]  # fmt: skip
        found += [f"{place}: {a.name}" for a in taken if _private(a.name)]
        modules = {a.asname or a.name for a in taken if a.name in rooms}
        found += [f"{place}: {n.value.id}.{n.attr}" for n in nodes if isinstance(n, ast.Attribute)
                  and isinstance(n.value, ast.Name) and n.value.id in modules and _private(n.attr)]  # fmt: skip
    assert found == []


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_no_function_hides_a_module_of_its_name():
    """``import cytoform.fitting.config as c`` works for every module: no package has a public name like one of them."""
    pytest.importorskip("torch")  # some modules of the neural room need it
    code = """
import importlib, pkgutil, sys, types, cytoform
names = [m.name for m in pkgutil.walk_packages(cytoform.__path__, "cytoform.") if not m.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
for name in names:
    package, _, last = name.rpartition(".")
    assert isinstance(getattr(sys.modules[package], last), types.ModuleType), name
for package in (cytoform, cytoform.neural):
    for name in package.__all__:
        if name != "__version__":
            assert not isinstance(getattr(package, name), types.ModuleType), name
print(len(names))
"""
    assert int(_run(code)) > 150
    assert set(cytoform.__all__) <= set(dir(cytoform))


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="colour"):
        cytoform.colour  # noqa: B018
