"""What a type checker sees of the package: mypy --strict over a user's file, against the stubs of the public names."""

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
from cytoform.fitting import FitJob, Region
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
"""

NEURAL = """
from cytoform.neural import AutoDecoder, encode, generate, prepare, reconstruct, train

files = prepare("masks.tif", "cells")
model: AutoDecoder = train(files, "model", minutes=1.0)
new = generate(model, 5, seed=1)
cell = reconstruct(model, 0, frames=59, shape=128)[0]
frame = cell.frame(3)
found = encode(model, files[0])
"""

WRONG = """
import cytoform as cf

cf.fit("cell.tif")
cf.fitt
n: int = cf.fit(cf.read_volume("cell.tif")).mesh.volume
"""


def check(tmp_path, text):
    (tmp_path / "user.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache")]
    env = {**os.environ, "MYPYPATH": str(Path(cytoform.__path__[0]).parent)}  # an editable installation may be a hook
    done = subprocess.run([*command, "user.py"], cwd=tmp_path, capture_output=True, text=True, env=env)
    return [line for line in done.stdout.splitlines() if line.startswith("user.py") and "error" in line]


@pytest.mark.slow
def test_a_users_file_has_no_error(tmp_path):
    assert check(tmp_path, USER) == []


@pytest.mark.slow
def test_the_neural_half_is_typed(tmp_path):
    pytest.importorskip("torch")
    assert check(tmp_path, NEURAL) == []


@pytest.mark.slow
def test_wrong_use_is_found(tmp_path):
    found = check(tmp_path, WRONG)
    assert [line.partition("[")[2] for line in found] == ["arg-type]", "attr-defined]", "assignment]"]
