"""A kind of PSF in one file and one registration: rendered through, fitted, stored and chosen on the command line."""

import dataclasses
import json
import math
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import cytoform as cf
from cytoform.cli import app
from cytoform.errors import ConfigError
from cytoform.image.band import Band
from cytoform.mesh.shapes import ellipsoid
from cytoform.optics import NumericPSF, psf_from_description, register
from cytoform.options import option

STEP = 1e-5
TOLERANCE = 1e-7  # of central differences: their third derivative times STEP², and rounding over STEP


@register
@dataclasses.dataclass(frozen=True, eq=False)
class LorentzPSF(NumericPSF):
    """h(x) = w / (π² (w² + |x|²)²), with ĥ(ξ) = exp(-w |ξ|); its free parameter is log w.

    Parameters
    ----------
    width : float
        w, µm.
    """

    width: float = option(metavar="µm", name="--lorentz-width", help="With toy-lorentz: its width w.")
    kind = "toy-lorentz"
    centred = True

    @property
    def parameters(self):
        return np.array([math.log(self.width)])

    def with_parameters(self, parameters):
        return LorentzPSF(math.exp(float(np.asarray(parameters)[0])))

    def axial(self, gradient):
        return gradient

    def otf_on(self, band):
        return np.exp(-self.width * _radius(band))

    def otf_vjp(self, band, cotangent):
        slope = -self.width * _radius(band) * self.otf_on(band)
        return np.array([float((band.kept_weights * np.real(cotangent) * slope).sum())])

    def limits(self, extent):
        return (math.log(1e9) / self.width,) * 3

    def view(self):
        return cf.Grid((64, 64, 64), 0.25 * self.width)

    def describe(self):
        return {"kind": self.kind, "width_um": self.width, "fwhm_um": self.fwhm.tolist()}

    @classmethod
    def from_description(cls, description):
        return cls(description["width_um"])


def _radius(band):
    z, y, x = band.axes
    return np.sqrt(z * z + y * y + x * x)


def run(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with an ellipsoid and its image through the PSF."""
    monkeypatch.chdir(tmp_path)
    grid = cf.Grid((20, 30, 30), (0.3, 0.2, 0.2))
    cell = ellipsoid((1.3, 1.9, 1.6), tuple(grid.centre), subdivisions=3)
    psf = LorentzPSF(0.4)
    image = cf.render(cell, psf, grid.padded(psf.reach()))[tuple(slice(n) for n in grid.shape)]
    noise = np.random.default_rng(0).normal(0, 2.0, grid.shape)
    data = (100.0 + 400.0 * image / image.max() + noise).astype(np.float32)
    cf.write_volume("cell.tif", cf.Volume(data, grid.spacing))
    cf.write_mesh("cell.ply", cell)
    return tmp_path


def test_its_widths_are_those_of_the_formula():
    psf = LorentzPSF(0.3)
    wanted = 2.0 * 0.3 * math.sqrt(math.sqrt(2.0) - 1.0)  # (1 + r² / w²)^-2 is a half
    np.testing.assert_allclose(psf.fwhm, wanted, rtol=5e-3)
    assert isinstance(psf, cf.optics.PSF) and psf.blurred(0.1).centred and psf.brief() == psf.describe()


def test_rendering_and_its_gradient():
    psf, grid = LorentzPSF(0.3), cf.Grid((14, 17, 18), (0.25, 0.2, 0.2))
    cell = ellipsoid((0.9, 0.7, 0.8), tuple(grid.centre), subdivisions=2)
    options = {"backend": "exact", "device": "cpu", "cutoff": 0.0}
    cotangent = np.random.default_rng(1).normal(size=grid.shape)
    found = cf.render_vjp(cell, psf, grid, cotangent, **options).psf
    images = [cf.render(cell, psf.with_parameters(psf.parameters + s), grid, **options) for s in (STEP, -STEP)]
    slope = float((cotangent * (images[0] - images[1])).sum()) / (2.0 * STEP)
    assert abs(slope) > 1e-2
    np.testing.assert_allclose(found, [slope], rtol=TOLERANCE)


def test_the_rendering_of_a_speck_is_the_formula():
    width, grid = 0.4, cf.Grid((81, 81, 81), 0.1, (-4.0, -4.0, -4.0))
    speck = ellipsoid((0.002, 0.002, 0.002), (0.0, 0.0, 0.0), subdivisions=1)
    image = cf.render(speck, LorentzPSF(width), grid, cutoff=0.0) / speck.area
    r = np.linalg.norm(np.stack(np.meshgrid(*grid.coordinates(), indexing="ij")), axis=0)
    formula = width / (math.pi**2 * (width**2 + r**2) ** 2)
    near = r < 1.0  # the box is periodic: its neighbours add tails, 26 times w / (π² r⁴) from about 8.1 µm away
    np.testing.assert_allclose(image[near], formula[near], atol=1e-3 * formula.max())


def test_description():
    psf = psf_from_description(json.loads(json.dumps(LorentzPSF(0.35).describe())))
    assert isinstance(psf, LorentzPSF) and psf.width == 0.35
    blurred = psf_from_description(json.loads(json.dumps(psf.blurred(0.2).describe())))
    band = Band.full(cf.Grid((6, 8, 8), 0.3))
    np.testing.assert_allclose(blurred.otf_on(band), psf.blurred(0.2).otf_on(band), rtol=1e-12)


def test_fitted_and_stored_by_the_command_line(work):
    options = ("--psf", "toy-lorentz", "--lorentz-width", "0.6", "--iterations", "60", "--init", "cell.ply", "-q")
    result = run("fit", "cell.tif", "-o", "run", *options)
    assert result.exit_code == 0, result.output
    saved = json.loads((work / "run" / "fit.json").read_text())
    assert saved["psf"]["kind"] == "toy-lorentz" and saved["inputs"]["psf"]["name"] == "toy-lorentz"
    again = cf.load_result(work / "run")
    assert isinstance(again.psf, LorentzPSF) and again.psf.width == saved["psf"]["width_um"]
    assert abs(again.psf.width - 0.4) < 0.1  # it began at 0.6
    shown = float(re.search(r"PSF FWHM\s+([\d.]+)", result.output)[1])
    assert shown == pytest.approx(2.0 * again.psf.width * math.sqrt(math.sqrt(2.0) - 1.0), rel=5e-3)
    assert "PSF FWHM" in (work / "run" / "report.html").read_text()


def test_rendered_by_the_command_line(work):
    common = ("render", "cell.ply", "--like", "cell.tif", "--psf", "toy-lorentz")
    assert run(*common, "--lorentz-width", "0.4", "-o", "a.tif").exit_code == 0
    image, measured = cf.read_volume("a.tif").data, cf.read_volume("cell.tif").data
    assert np.corrcoef(image.ravel(), measured.ravel())[0, 1] > 0.99
    refused = run(*common, "-o", "b.tif")
    assert refused.exit_code == 2 and "--psf toy-lorentz came without --lorentz-width" in refused.output
    refused = run("render", "cell.ply", "--like", "cell.tif", "--lorentz-width", "1", "-o", "b.tif")
    assert refused.exit_code == 2 and "expected it with --psf toy-lorentz" in refused.output
    refused = run(*common, "--lorentz-width", "wide", "-o", "b.tif")
    assert refused.exit_code == 2 and "wide came; expected a number" in refused.output


@pytest.mark.parametrize("command", ["fit", "render"])
def test_its_option_is_in_the_help(command):
    output = " ".join(run(command, "--help").output.split())
    assert "pupil, toy-lorentz, or an image of the PSF" in output
    assert "--lorentz-width µm With toy-lorentz: its width w." in output


def test_two_of_one_name_are_refused():
    class Other(NumericPSF):
        kind = "toy-lorentz"

    with pytest.raises(ConfigError, match=r"LorentzPSF and .*Other are both of kind 'toy-lorentz'"):
        register(Other)

    @dataclasses.dataclass(frozen=True, eq=False)
    class Clash(NumericPSF):
        na: str = option(help="…")
        kind = "toy-clash"

    with pytest.raises(ConfigError, match="--na of another type"):
        register(Clash)
    assert isinstance(psf_from_description({"kind": "toy-lorentz", "width_um": 1.0}), LorentzPSF)


def test_an_installed_package_brings_a_kind(tmp_path):
    """A package that names its module under the entry points, and one that is broken."""
    (tmp_path / "roundpsf.py").write_text(
        "from cytoform.optics import GaussianPSF, register\n"
        "class RoundPSF(GaussianPSF):\n"
        "    kind = 'toy-round'\n"
        "register(RoundPSF)\n"
    )
    for name, module in (("round", "roundpsf"), ("broken", "no_such_module")):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[cytoform.psfs]\n{name} = {module}\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    code = "from cytoform.cli import app; app(['render', '--help'])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0 and "pupil, toy-round, or" in " ".join(done.stdout.split()), done.stderr
    assert "the PSF broken of another package cannot be loaded: No module named 'no_such_module'" in done.stderr
