"""Compiled kernels find a folder also where the package's and the user's cannot be written."""

import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import numba
import pytest

from cytoform.kernels import cache

RUN = """
import numpy as np, cytoform as cf, numba
from cytoform.mesh.shapes import icosphere
grid = cf.Grid((8, 8, 8), 0.5)
total = cf.mesh_ft(icosphere(1.0, tuple(grid.centre), 2), grid, backend="exact").ravel()[0].real
print(round(float(total), 3), numba.config.CACHE_DIR)
"""


def as_nobody(code, **options):
    """Run code as a user who owns nothing."""
    return subprocess.run([sys.executable, "-c", code], user=65534, group=65534, extra_groups=[], cwd="/", text=True,
                          capture_output=True, **options)  # fmt: skip


def test_a_user_who_may_write_nowhere_still_renders(tmp_path):
    """As in a container: another user owns the installation, and there is no home."""
    if not hasattr(os, "getuid") or os.getuid() != 0:
        pytest.skip("needs root, to work as another user")
    root = Path(cache.__file__).parents[2]
    try:
        able = as_nobody("import numba", env={"PYTHONPATH": str(root)}).returncode == 0
    except PermissionError:
        able = False
    if not able:
        pytest.skip("another user cannot read this installation")
    place = Path(tempfile.mkdtemp())
    place.chmod(0o777)
    try:
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TMPDIR": str(place),
                       "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
        done = as_nobody(RUN, env=environment)
        assert done.returncode == 0, done.stderr
        total, folder = done.stdout.split()
        assert float(total) == pytest.approx(12.4, abs=0.3)  # the area of a sphere, 4 π, but for its facets
        assert Path(folder).parent == place and any(Path(folder).rglob("*.nbi"))  # kept for the next run
    finally:
        shutil.rmtree(place)


def test_kernels_are_kept_in_a_private_temporary_folder_where_no_other_can_be_written(tmp_path, monkeypatch):
    if not hasattr(os, "getuid"):
        pytest.skip("Windows")
    writable = cache._is_writable
    monkeypatch.setattr(cache, "_is_writable", lambda folder: tmp_path in folder.parents and writable(folder))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    cache.ensure_writable()
    folder = Path(numba.config.CACHE_DIR)
    assert folder.parent == tmp_path and stat.S_IMODE(folder.stat().st_mode) == cache.PRIVATE_MODE
    module = tmp_path / "kernel.py"
    module.write_text("def double(x):\n    return 2 * x\n")
    spec = importlib.util.spec_from_file_location("kernel", module)
    kernel = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "kernel", kernel)  # else numba searches all modules that other tests have loaded
    spec.loader.exec_module(kernel)
    assert numba.njit(cache=True)(kernel.double)(3) == 6
    assert any(folder.rglob("*.nbi"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "/proc/nowhere")  # NUMBA_CACHE_DIR as the user set it
    cache.ensure_writable()
    assert str(folder) == numba.config.CACHE_DIR


def test_a_folder_of_somebody_else_is_not_used(tmp_path, monkeypatch):
    """What lies in such a folder would be loaded as code."""
    if not hasattr(os, "getuid"):
        pytest.skip("Windows")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    usual = cache._temporary_folder()
    assert usual == tmp_path / f"cytoform-kernels-{os.getuid()}"
    usual.chmod(0o777)
    assert cache._temporary_folder() != usual
    usual.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    usual.symlink_to(tmp_path / "elsewhere")
    assert cache._temporary_folder() != usual


def test_numbas_own_choice_comes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    cache.ensure_writable()
    assert str(tmp_path) == numba.config.CACHE_DIR
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    cache.ensure_writable()
    assert numba.config.CACHE_DIR == ""  # the package's own folder can be written
