"""Distances from several threads at once, and in a process forked after the parent has used all of it."""

import multiprocessing
import subprocess
import sys
import threading

import numpy as np
import pytest

from cytoform.image.volume import Grid
from cytoform.mesh.shapes import ellipsoid
from cytoform.sdf.distance import mesh_sdf

MESH = ellipsoid((2.0, 2.4, 3.0), (0.0, 0.0, 0.0), edge=0.5)
GRID = Grid((40, 44, 70), 0.2, (-4.0, -4.4, -7.0))  # more blocks than threads

FORKED = """
import multiprocessing, sys
import numpy as np
from cytoform.image.volume import Grid
from cytoform.masks import mesh_to_mask
from cytoform.mesh.shapes import ellipsoid
from cytoform.sdf import open_sequence
from cytoform.sdf.prepare import prepare

grid = Grid((20, 44, 44), (0.5, 0.2, 0.2))
masks = np.stack([mesh_to_mask(ellipsoid((2, 2.4 + 0.1 * t, 3), (4.8, 4.3, 4.1), edge=0.5), grid) for t in range(2)])

def work(name):
    [path] = prepare(masks, sys.argv[1], spacing=grid.spacing, name=name, shape=40)

work("parent")
child = multiprocessing.get_context("fork").Process(target=work, args=("child",))
child.start()
child.join(100)
frames = [np.stack(list(open_sequence(f"{sys.argv[1]}/{name}.h5"))) for name in ("parent", "child")]
assert child.exitcode == 0 and np.array_equal(*frames)
print("alike")
"""


def test_threads_at_once(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    alone = mesh_sdf(MESH, GRID)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    found = []
    threads = [threading.Thread(target=lambda: found.append(mesh_sdf(MESH, GRID))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for one in found:
        np.testing.assert_array_equal(one, alone)


@pytest.mark.slow
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
@pytest.mark.parametrize("threads", [1, 2])
def test_prepare_after_a_fork(tmp_path, threads, monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", str(threads))
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    run = subprocess.run(
        [sys.executable, "-c", FORKED, str(tmp_path)], capture_output=True, text=True, timeout=200
    )  # a process of its own: what pytest has loaded before must not matter
    assert run.stdout.strip() == "alike", run.stdout + run.stderr
