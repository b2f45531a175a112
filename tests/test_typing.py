"""What a type checker sees of the package: mypy --strict over a user's file, against the stubs of the public names."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cytoform

pytest.importorskip("mypy")

USER = """
from pathlib import Path

import numpy as np

import cytoform as cf
from cytoform.compare import describe
from cytoform.fitting import Film, FitJob, Progress, Region
from cytoform.masks import mesh_to_mask
from cytoform.metrics import mesh_iou
from cytoform.synth import family

v = cf.read_volume("cell.tif")
volume: float = cf.fit(v).mesh.volume
result = cf.fit(v, psf=cf.GaussianPSF.from_sigma((0.6, 0.25, 0.25)), config=cf.FitConfig(init="ellipsoid"))
folder: Path = result.save("run")
low, high = result.interval("volume_um3", 0.9)
image = cf.render(result.mesh, result.psf, v.grid)
brightest: float = float(image.max())
gradient = cf.render_vjp(result.mesh, result.psf, v.grid, np.ones(v.shape))
moved = result.mesh.with_vertices(result.mesh.vertices - 1e-3 * gradient.vertices)
job = FitJob("embryo.tif", region=Region("labels.tif", label=3), out="cells/3")
again: cf.FitResult = job.run()
surfaces = cf.load_result("run").mesh.regions()
shape = family("dividing")
grid = cf.Grid([32, 48, 48], 0.3)
mesh = cf.SurfaceMesh([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [[0, 1, 2]], density=2.0)
inside = mesh_to_mask(result.mesh, v.grid)
overlap: float = mesh_iou(result.mesh, mesh, 0.2)
cf.write_mesh("cell.ply", result.mesh)
print(describe(result.mesh))


def follow(p: Progress) -> None:
    print(p.iteration, p.loss)


def near_sphere(mesh: cf.SurfaceMesh) -> tuple[float, np.ndarray]:
    return 0.0, np.zeros(mesh.vertices.shape)


cf.fit(v, prior=near_sphere, callbacks=[follow, lambda p: print(p.iteration), Film()])
"""

NEURAL = """
from cytoform.neural import AutoDecoder, encode, generate, prepare, reconstruct, train

files = prepare("masks.tif", "cells")
model: AutoDecoder = train(files, "model", minutes=1.0)
new = generate(model, 5, seed=1)
cell = reconstruct(model, 0, frames=59, shape=128)[0]
frame = cell.frame(3)
first = reconstruct(model, out="folder")[0].name
again = generate(model, 2, "new")[0].suffix
found = encode(model, files[0])
"""

WRONG = """
import cytoform as cf

cf.fit("cell.tif")
cf.fitt
n: int = cf.fit(cf.read_volume("cell.tif")).mesh.volume
cf.FitConfig().itertions
"""


def found_by_mypy(folder):
    """The errors that mypy finds in each of the three files, by name; one run, as loading numpy's types takes long."""
    for name, text in (("user", USER), ("neural", NEURAL), ("wrong", WRONG)):
        (folder / f"{name}_file.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(folder / "cache")]
    env = {**os.environ, "MYPYPATH": str(Path(cytoform.__path__[0]).parent)}  # an editable installation may be a hook
    files = ["user_file.py", "neural_file.py", "wrong_file.py"]
    done = subprocess.run([*command, *files], cwd=folder, capture_output=True, text=True, env=env)
    assert "wrong_file.py" in done.stdout, done.stdout + done.stderr
    return {name: [line for line in done.stdout.splitlines() if line.startswith(name) and "error" in line]
            for name in ("user", "neural", "wrong")}  # fmt: skip


@pytest.mark.slow
def test_right_use_has_no_error_and_wrong_use_is_found(tmp_path):
    """One test, so that workers of pytest-xdist do not each run mypy."""
    errors = found_by_mypy(tmp_path)
    assert errors["user"] == []
    if importlib.util.find_spec("torch") is not None:
        assert errors["neural"] == []
    wrong = [line.partition("  [")[2] for line in errors["wrong"]]
    assert wrong == ["arg-type]", "attr-defined]", "assignment]", "attr-defined]"]
