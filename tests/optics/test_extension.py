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
from cytoform.fitting import FitJob
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


@pytest.mark.slow
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
    assert refused.exit_code == 2 and "the value is wide; expected a number" in refused.output


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


@pytest.mark.parametrize("name", ["--edge", "--init", "--IMAGE", "--seed", "--out", "--psf", "--photons", "--help",
                                  "--lambda"])  # fmt: skip
def test_an_option_of_the_command_line_is_refused(name):
    """Those of the job, its settings, its files and a command, and what Python cannot take."""
    FitJob("cell.tif")  # its options are known from here on

    @dataclasses.dataclass(frozen=True, eq=False)
    class Stray(NumericPSF):
        width: float = option(name=name, help="…")
        kind = "toy-stray"

    with pytest.raises(ConfigError, match=f"Stray has an option {name}, which the command line cannot take"):
        register(Stray)
    with pytest.raises(ConfigError, match="kind 'toy-stray'"):
        psf_from_description({"kind": "toy-stray"})


def test_letters_of_options_count_too():
    @dataclasses.dataclass(frozen=True, eq=False)
    class Short(NumericPSF):
        width: float = option(name="--toy-breadth", short="-o", help="…")
        kind = "toy-short"

    with pytest.raises(ConfigError, match="option --toy-breadth, which the command line cannot take"):
        register(Short)


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--edge", "--spacing"])
def test_an_installed_kind_with_an_option_of_the_commands(work, flag):
    """It is left out of the command line with a warning, and is there in Python."""
    (work / "edgepsf.py").write_text(
        "import dataclasses\n"
        "from cytoform.optics import GaussianPSF, register\n"
        "from cytoform.options import Option, Setting\n"
        "class EdgePSF(GaussianPSF):\n"
        "    kind = 'toy-edge'\n"
        "    settings = classmethod(lambda cls: "
        f"(Setting('edge', float, 0.1, Option('Its edge.', name='{flag}')),))\n"
        "register(EdgePSF)\n"
    )
    folder = work / "edgepsf-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: edgepsf\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[cytoform.psfs]\nedge = edgepsf\n")
    path = os.pathsep.join([str(work), *filter(None, [os.environ.get("PYTHONPATH")])])

    def command(*args):
        run = {"capture_output": True, "text": True, "env": {**os.environ, "PYTHONPATH": path}}
        return subprocess.run([sys.executable, *args], **run)

    warning = f"the PSF toy-edge is left out of the command line: its option {flag} cannot be one here."
    render = ("-m", "cytoform", "render", "cell.ply", "--like", "cell.tif")
    done = command(*render, "--psf-sigma", "0.3,0.3,0.3", "-o", "a.tif")
    assert done.returncode == 0 and warning in done.stderr, done.stderr
    done = command("-m", "cytoform", "fit", "--help")
    assert done.returncode == 0 and warning in done.stderr and "toy-edge" not in done.stdout, done.stderr
    done = command("-m", "cytoform", "fit", "cell.tif", "-q", "--psf-sigma", "0.3,0.3,0.3", "--iterations", "1")
    assert done.returncode == 0 and (work / "cell_cytoform" / "fit.json").is_file(), done.stderr
    done = command(*render, "--psf", "toy-edge", "-o", "b.tif")
    assert done.returncode == 2 and "--psf is toy-edge, which cannot be chosen here" in done.stderr, done.stderr
    code = (
        "import cytoform; from cytoform.optics import psf_from_description, GaussianPSF; cytoform.FitJob('a.tif');"
        "told = {**GaussianPSF.from_sigma(0.3).describe(), 'kind': 'toy-edge'}; print(psf_from_description(told))"
    )
    done = command("-c", code)
    assert done.returncode == 0 and "EdgePSF" in done.stdout, done.stderr


@pytest.mark.slow
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
