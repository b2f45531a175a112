"""A new simulated family: one file and one registration, and all that takes families takes it."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from cytoform.errors import ConfigError
from cytoform.mesh import shapes
from cytoform.sdf import open_sequence
from cytoform.synth import FAMILIES, Family, LivingShape, family, register, write_family

FILE = '''
"""Balls that grow: the whole of a new family."""

import dataclasses
from typing import ClassVar

import numpy as np

from cytoform.mesh.shapes import icosphere
from cytoform.synth import Family, LivingShape


@dataclasses.dataclass(frozen=True)
class Balls(Family):
    name: ClassVar[str] = "balls"
    time_step_s: ClassVar[float] = 30.0

    box_um: float = 16.0
    radius_um: float = 3.0

    def _draw(self, rng, identity):
        return Ball(self, {**identity, "radius_um": self.radius_um * float(rng.uniform(0.9, 1.1))})


class Ball(LivingShape):
    def _radius(self, t):
        return self.parameters["radius_um"] * (1.0 + t)

    def _mesh(self, t):
        return icosphere(self._radius(t), subdivisions=4)

    def _level(self, at, t):
        return np.sqrt(at.z**2 + at.y**2 + at.x**2) - self._radius(t)
'''


@dataclasses.dataclass(frozen=True)
class Rods(Family):
    """Rods too thin for coarse grids."""

    name: ClassVar[str] = "rods"
    time_step_s: ClassVar[float] = 10.0
    thin_parts: ClassVar[str] = "rods"

    box_um: float = 12.0
    thickness_um: float = 0.2

    def resolved_at(self, shape):
        return dataclasses.replace(self, thickness_um=max(self.thickness_um, 2.0 * self.box_um / shape))

    def _draw(self, rng, identity):
        return Rod(self, {**identity, "thickness_um": self.thickness_um})


class Rod(LivingShape):
    """An ellipsoid."""

    def _axes(self):
        return np.array([0.5 * self.parameters["thickness_um"], 2.0, 4.0])

    def _mesh(self, t):
        return shapes.ellipsoid(tuple(self._axes()), subdivisions=4)

    def _level(self, at, t):
        z, y, x = (c / a for c, a in zip((at.z, at.y, at.x), self._axes()))
        return (np.sqrt(z * z + y * y + x * x) - 1.0) * self._axes()[0]


@pytest.fixture
def rods():
    yield register(Rods)
    FAMILIES.remove("rods")


def test_it_is_found_by_its_name_and_written(rods, tmp_path):
    assert "rods" in FAMILIES and isinstance(family("rods", box_um=14.0), Rods)
    [path] = write_family(family("rods").resolved_at(24), 1, tmp_path, n_frames=2, shape=24)
    with open_sequence(path) as sequence:
        voxel = 12.0 / 24
        inside = [float(np.clip(0.5 - frame / voxel, 0, 1).sum()) * voxel**3 for frame in sequence]
    assert inside == pytest.approx([4 / 3 * np.pi * 0.5 * 2 * 4] * 2, rel=0.05)
    with pytest.raises(ConfigError, match="rods has no option length"):
        family("rods", length=3)
    with pytest.raises(ConfigError, match="called 'dividing' already"):
        register(type("Other", (Rods,), {"name": "dividing"}))


def test_families_without_thin_parts_are_resolved_everywhere():
    kind = family("dividing")
    assert kind.resolved_at(8) is kind and kind.thin_parts == ""
    with pytest.raises(ConfigError, match="at least 8"):
        kind.resolved_at(4)


def test_the_command_line_thickens_its_thin_parts(rods, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from cytoform.cli.program import app

    monkeypatch.chdir(tmp_path)
    words = ["neural", "simulate", "rods", "-n", "1", "--frames", "2", "--shape", "16", "-q"]
    told = CliRunner().invoke(app, [*words, "--out", "thin"])
    assert told.exit_code == 0, told.output
    assert "rods with thickness_um 0.2 fall apart at 16 samples in 12 µm" in told.output
    assert "--coarse makes it thickness_um 1.5" in told.output
    assert CliRunner().invoke(app, [*words, "--coarse"]).exit_code == 0
    with open_sequence("rods/rods-s0-00.h5") as sequence:
        assert '"thickness_um": 1.5' in sequence.info.source
    refused = CliRunner().invoke(app, ["neural", "simulate", "dividing", "--coarse", "-q"])
    assert refused.exit_code == 2 and "as filopodial and rods has" in refused.output


@pytest.mark.slow
def test_a_file_and_a_line_of_another_package_are_enough(tmp_path):
    """As an entry point: help, names, options and files of the command line, in a process of its own."""
    (tmp_path / "balls.py").write_text(FILE, encoding="utf-8")
    info = tmp_path / "balls-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: balls\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cytoform.families]\nballs = balls:Balls\n")
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(tmp_path), str(root), os.environ.get("PYTHONPATH", "")])

    def run(*words):
        call = [sys.executable, "-m", "cytoform", "neural", "simulate", *words]
        done = subprocess.run(call, env=os.environ | {"PYTHONPATH": paths}, cwd=tmp_path, capture_output=True,
                              text=True, encoding="utf-8", timeout=300, check=False)  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    assert "filopodial, balls" in run("--help")[1]
    code, output = run("balls", "-n", "2", "--frames", "2", "--shape", "24", "--set", "radius_um=2", "-q")
    assert code == 0, output
    with open_sequence(tmp_path / "balls" / "balls-s0-01.h5") as sequence:
        first, last = (float((frame < 0).sum()) for frame in sequence)
    assert last / first == pytest.approx(8.0, rel=0.1)
    code, output = run("stars", "-q")
    assert code == 2 and "expected one of balls, deforming, dividing, filopodial" in output
