"""What importing costs and brings along."""

import subprocess
import sys

import pytest

import cytoform

HEAVY = ("torch", "numba", "cupy", "matplotlib", "napari", "dask", "finufft")


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_import_is_quick_and_light():
    code = (
        "import sys, time; begin = time.perf_counter(); import cytoform; "
        f"print(time.perf_counter() - begin, sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    outputs = [_run(code).split(" ", 1) for _ in range(3)]
    assert min(float(seconds) for seconds, _ in outputs) < 1.0
    assert all(loaded.strip() == "[]" for _, loaded in outputs)


def test_works_where_torch_cannot_be_imported():
    code = (
        "import sys; sys.modules['torch'] = None; import cytoform as cf; "
        "names = [getattr(cf, name) for name in cf.__all__]; print(len(names), 'numba.cuda' in sys.modules)"
    )
    assert _run(code).split()[0] == str(len(cytoform.__all__))


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
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        cytoform.colour  # noqa: B018
