"""The command line: help, errors as messages with exit code 2, nothing half written, results where they belong."""

import dataclasses
import errno
import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

import cytoform
from cytoform import errors
from cytoform.cli import app
from cytoform.cli.console import FitProgressBar
from cytoform.errors import CytoformError
from cytoform.image.io import read_volume, write_volume
from cytoform.image.volume import Volume
from cytoform.mesh.io import write_mesh
from cytoform.mesh.shapes import icosphere
from cytoform.mesh.surface import SurfaceMesh
from cytoform.options import option

SPACING = (0.4, 0.2, 0.2)
CENTRE = (2.0, 2.0, 2.0)
OBJ_BAD_INDEX = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n"
OBJ_NO_FACES = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
OBJ_NAN = "v 0 0 nan\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 2 3 4\nf 1 3 4\n"


def run(*args, **options):
    return CliRunner().invoke(app, [str(a) for a in args], **options)


def refused(result, *words):
    """Exit code 2, a message with these words, and no traceback."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit) and "Traceback" not in result.output
    for word in words:
        assert word in result.output, result.output


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A working folder with a good image and a good mesh."""
    monkeypatch.chdir(tmp_path)
    data = np.random.default_rng(0).integers(90, 200, (10, 20, 20)).astype(np.uint16)
    write_volume("cell.tif", Volume(data, SPACING))
    write_mesh("cell.ply", icosphere(1.0, CENTRE, 2))
    return tmp_path


@dataclasses.dataclass
class FakeResult:
    """What the commands need of a fit's result."""

    mesh: object = None
    psf: object = None
    volume_um3: float = 4.19
    area_um2: float = 12.57
    sphericity: float = 0.999
    r2: float = 0.87
    seconds: float = 1.0
    iterations: int = 3
    stop_reason: str = "the loss no longer changes"
    image: object = None
    told: tuple = ()
    quality: str = "good"
    reasons: tuple = ()

    def table(self, *, brief):
        assert brief
        rows = [("volume", f"{self.volume_um3:.4g} µm³"), ("area", "12.57 µm²"), ("R²", f"{self.r2:.3f}")]
        return [*rows, ("time", f"1 s; {self.stop_reason}")]

    def warnings(self):
        return self.told

    def save(self, folder, truth=None):
        (Path(folder) / "report.html").write_text("<html></html>")
        self.truth = truth


@dataclasses.dataclass
class FakeProgress:
    iteration: int
    total: int = 3
    stage: int = 0
    loss: float = 0.5
    r2: float | None = None
    message: str = ""
    phase: str = "fit"
    seconds_left: float = 20.0
    mesh: object = dataclasses.field(default_factory=lambda: icosphere(1.0, CENTRE, 1))


@pytest.fixture
def fake(monkeypatch):
    """A fit that only notes what it was asked for; ``fake["result"]`` is what it gives (raised, if an exception)."""
    from cytoform.optics import GaussianPSF

    calls = {"result": FakeResult(psf=GaussianPSF.from_sigma((0.5, 0.25, 0.25)))}

    def fit(volume, mesh=None, psf=None, config=None, *, callbacks=(), out=None, **given):
        calls.update({"volume": volume, "out": Path(out), "roi": None, "labels": None, "label": None, **given})
        calls.update(mesh=mesh, psf=psf, config=config)
        for callback in callbacks:
            for k in range(3):
                callback(FakeProgress(k + 1, r2=None if k == 0 else 0.5))
            callback(FakeProgress(3, message="it had ended.", phase="standard errors", seconds_left=5.0))
        if isinstance(calls["result"], BaseException):
            raise calls["result"]
        return calls["result"]

    monkeypatch.setattr("cytoform.fitting.fit", fit)
    return calls


# -- help --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["demo", "fit", "render", "info"])
def test_every_command_has_an_example_on_lines_of_its_own(command):
    output = run(command, "--help").output
    assert "Examples:\n" in output and f"\n    cytoform {command} " in output


def test_version_and_overview():
    assert run("--version").output == f"cytoform {cytoform.__version__}\n"
    output = run("--help").output
    assert all(name in output for name in ("demo", "fit", "render", "info", "--debug"))


def test_help_is_quick_and_loads_no_numerics():
    heavy = "('numba', 'scipy', 'matplotlib', 'skimage')"
    code = f"import sys, cytoform.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "cytoform", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cytoform ")


def test_a_new_setting_is_an_option_at_once(work, fake, monkeypatch):
    """Declared where it belongs, it is in the help, takes a value and refuses others."""

    @dataclasses.dataclass(frozen=True)
    class FitConfig(cytoform.FitConfig):
        wobble: float = option(0.5, metavar="µm", least=0, help="How far it wobbles.")
        rigid: bool = option(True, name="--soft", off=True, help="Let it bend.")

    monkeypatch.setattr("cytoform.fitting.FitConfig", FitConfig)
    words = " ".join(run("fit", "--help").output.split())
    assert "--wobble µm How far it wobbles. [default: 0.5; at least 0]" in words and "--soft Let it bend." in words
    assert run("fit", "cell.tif", "-q", "-o", "a", "--wobble", "0.75", "--soft").exit_code == 0
    assert fake["config"].wobble == 0.75 and not fake["config"].rigid
    assert run("fit", "cell.tif", "-q", "-o", "b").exit_code == 0
    assert fake["config"].wobble == 0.5 and fake["config"].rigid
    refused(run("fit", "cell.tif", "--wobble", "-1"), "'--wobble'", "value is -1;", "greater than or equal to 0")


def test_unknown_options_and_commands():
    assert run("fti").exit_code == 2
    assert run("fit", "x.tif", "--nonsense").exit_code == 2
    assert run("fit").exit_code == 2


# -- bad input ---------------------------------------------------------------------------------------------------------


def _bad_image(name, path):
    data = np.random.default_rng(0).random((6, 12, 12)).astype(np.float32)
    if name == "empty":
        path.write_bytes(b"")
    elif name == "truncated":
        write_volume(path, Volume(data, SPACING))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif name == "2D":
        tifffile.imwrite(path, data[0])
    elif name == "5D":
        tifffile.imwrite(path, np.zeros((2, 3, 2, 8, 8), np.uint16), imagej=True, metadata={"axes": "TZCYX"})
    elif name == "NaN":
        data[2, 3, 4] = np.nan
        meta = {"axes": "ZYX", "spacing": 0.4, "unit": "um"}
        tifffile.imwrite(path, data, imagej=True, resolution=(5, 5), metadata=meta)
    elif name == "constant":
        write_volume(path, Volume(np.full((6, 12, 12), 7, np.uint16), SPACING))
    elif name == "no voxel size":
        tifffile.imwrite(path, data)
    elif name == "text":
        path.write_text("not an image")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", ["there is no file", "Check the path"]),
        ("empty", ["0 bytes", "export it again"]),
        ("truncated", ["cut short", "Copy it again"]),
        ("text", ["not a readable TIFF"]),
        ("2D", ["2D image", "several slices"]),
        ("5D", ["expected one", "--channel"]),
        ("NaN", ["NaN or infinite", "finite"]),
        ("constant", ["constant", "7", "--channel"]),
        ("no voxel size", ["voxel size", "--spacing"]),
    ],
)
def test_bad_images(work, name, words):
    _bad_image(name, work / "bad.tif")
    before = sorted(os.listdir(work))
    refused(run("fit", "bad.tif", "--out", "run"), *words)
    assert sorted(os.listdir(work)) == before


def _bad_mesh(name, path):
    text = {"no faces": OBJ_NO_FACES, "index out of range": OBJ_BAD_INDEX, "NaN": OBJ_NAN}.get(name)
    ball = icosphere(1.0, CENTRE, 2)
    if text is not None:
        path.write_text(text)
    elif name == "open":
        write_mesh(path, SurfaceMesh(ball.vertices, ball.faces[3:]))
    elif name == "outside":
        write_mesh(path, icosphere(1.0, (50, 50, 50), 2))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", ["no such file", "Check the path"]),
        ("no faces", ["no faces"]),
        ("index out of range", ["expected"]),
        ("NaN", ["NaN"]),
        ("open", ["open", "Close its holes"]),
        ("outside", ["outside of the image", "49 to 51", "--spacing"]),
    ],
)
def test_bad_meshes(work, name, words):
    _bad_mesh(name, work / "bad.obj")
    before = sorted(os.listdir(work))
    refused(run("fit", "cell.tif", "--init", "bad.obj", "--out", "run"), *words)
    if name != "open":
        render = ("render", "bad.obj", "--like", "cell.tif", "--psf-sigma", "0.3,0.3,0.3", "-o", "i.tif")
        refused(run(*render), words[0])
    assert sorted(os.listdir(work)) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--init", "blob"], ["sphere", "mesh file"]),
        (["--device", "tpu"], ["'cuda'"]),
        (["--edge", "-1"], ["edge is -1", "positive"]),
        (["--iterations", "0"], ["iterations", "at least 1"]),
        (["--spacing", "0", "1", "1"], ["positive numbers"]),
        (["--psf-sigma", "-1", "1", "1"], ["positive widths"]),
        (["--fixed-psf"], ["--psf-sigma"]),
        (["--roi-label", "3"], ["--roi FILE"]),
        (["--overwrite", "--resume"], ["one of them"]),
        (["--resume"], ["checkpoint.h5"]),
        (["--channel", "4"], ["channel is 4"]),
        (["--roi", "gone.tif"], ["there is no file"]),
    ],
)
def test_bad_options(work, options, words):
    before = sorted(os.listdir(work))
    refused(run("fit", "cell.tif", "--out", "run", *options), *words)
    assert sorted(os.listdir(work)) == before


def test_regions_that_do_not_fit(work, fake):
    shape = (10, 20, 20)
    labels = np.zeros(shape, np.uint8)
    labels[2:4], labels[5:7] = 1, 2
    write_volume("labels.tif", labels, SPACING)
    write_volume("none.tif", np.zeros(shape, np.uint8), SPACING)
    write_volume("small.tif", labels[:5], SPACING)
    fit = ("fit", "cell.tif", "-q", "--roi")
    refused(run(*fit, "labels.tif"), "2 labels", "--roi-label N")
    refused(run(*fit, "labels.tif", "--roi-label", "9"), "label 9", "1, 2")
    refused(run(*fit, "none.tif"), "empty")
    refused(run(*fit, "small.tif"), "(5, 20, 20)", "(10, 20, 20)")
    assert run(*fit, "labels.tif", "--roi-label", "2").exit_code == 0
    np.testing.assert_array_equal(fake["labels"].data, labels)
    assert fake["label"] == 2 and fake["roi"] is None
    write_volume("mask.tif", (labels == 2).astype(np.uint8), SPACING)
    assert run(*fit, "mask.tif", "--overwrite").exit_code == 0
    np.testing.assert_array_equal(fake["roi"].data, labels == 2)
    assert fake["labels"] is None


def test_a_region_follows_the_image_through_a_movie(work, fake):
    """--time is that of the region, too, where it is a movie; --roi-time and --roi-channel choose otherwise."""
    shape = (3, 10, 20, 20)
    movie = np.random.default_rng(0).integers(90, 200, shape).astype(np.uint16)
    labels = np.zeros(shape, np.uint16)
    for k in range(3):
        labels[k, 2:5] = 7 + k
    meta = {"axes": "TZYX", "spacing": 0.4, "unit": "um"}
    tifffile.imwrite("movie.tif", movie, imagej=True, resolution=(5, 5), metadata=meta)
    tifffile.imwrite("labels.tif", labels, imagej=True, metadata=meta)
    two = np.stack([0 * labels[0], labels[0]])
    tifffile.imwrite("channels.tif", two.swapaxes(0, 1), imagej=True, metadata={"axes": "ZCYX"})
    fit = ("fit", "movie.tif", "-q", "--overwrite")
    assert run(*fit, "--time", "1", "--roi", "labels.tif", "--roi-label", "8").exit_code == 0
    np.testing.assert_array_equal(fake["labels"].data, labels[1])
    np.testing.assert_array_equal(fake["volume"].data, movie[1])
    assert run(*fit, "--time", "1", "--roi", "labels.tif", "--roi-label", "9", "--roi-time", "2").exit_code == 0
    np.testing.assert_array_equal(fake["labels"].data, labels[2])
    refused(run("fit", "cell.tif", "--roi", "labels.tif", "--roi-label", "8"), "3 time points", "--roi-time N, 0 to 2")
    refused(run(*fit, "--time", "1", "--roi", "channels.tif"), "2 channels", "--roi-channel N, 0 to 1")
    assert run(*fit, "--time", "0", "--roi", "channels.tif", "--roi-channel", "1", "--roi-label", "7").exit_code == 0
    np.testing.assert_array_equal(fake["labels"].data, labels[0])


def test_warnings_and_where_things_came_from(work, fake):
    fake["result"].told = ("The cell may be cut by the border.",)
    result = run("fit", "cell.tif", "-q", "--init", "cell.ply")
    assert result.exit_code == 0 and "Warning: The cell may be cut by the border." in result.stderr
    assert fake["inputs"]["start"]["path"] == str(work / "cell.ply")
    assert fake["volume"].source["path"] == str(work / "cell.tif")


def test_an_option_given_twice_is_refused(work, fake):
    refused(run("fit", "cell.tif", "--time", "0", "--time", "1"), "'--time'", "2 times", "expected once")
    refused(run("fit", "cell.tif", "--edge=0.5", "--edge", "0.6"), "'--edge'", "2 times")
    assert "volume" not in fake


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--spacing", "a", "b", "c"], ["value is a b c;", "expected three numbers"]),
        (["--spacing=0.5,0.2,x"], ["value is 0.5 0.2 x;", "three numbers"]),
        (["--iterations", "1.5"], ["value is 1.5;", "a whole number"]),
        (["--edge", "wide"], ["value is wide;", "a number, such as 0.3"]),
        (["--seed", "-3"], ["value is -3;", "greater than or equal to 0"]),
    ],
)
def test_numbers_that_are_none(work, fake, options, words):
    result = run("fit", "cell.tif", *options)
    refused(result, *words)
    assert "parse" not in result.output and "volume" not in fake


NEURAL = ("prepare", "train", "reconstruct", "generate", "interpolate", "encode", "evaluate", "convert", "simulate")
COMMANDS = ("demo", "fit", "render", "info", *(f"neural {name}" for name in NEURAL))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_no_names_of_types(command):
    output = run(*command.split(), "--help").output
    assert not re.search(r"<[a-z]|\{[A-Z]|(?<![|])TEXT|INTEGER|x>=|list\[|range>", output), output


@pytest.mark.slow
def test_without_docstrings_and_asserts(work):
    """python -OO leaves both out."""
    code = "from cytoform.cli import app; app(['info', 'cell.tif'])"
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "10 × 20 × 20" in done.stdout, done.stderr


@pytest.mark.slow
def test_a_backend_of_a_notebook_does_not_matter(work):
    """Jupyter leaves MPLBACKEND=module://… in the environment of its shell commands."""
    environment = {**os.environ, "MPLBACKEND": "module://no_such_backend"}
    for code in ("import cytoform.report", "from cytoform.cli import app; app(['info', 'cell.tif'])"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(work, fake):
    (work / "locked").mkdir()
    (work / "locked").chmod(0o500)
    refused(run("fit", "cell.tif", "--out", "locked/run"), "permission denied", "Choose a folder")
    assert "volume" not in fake


def test_a_folder_that_cannot_be_made_is_found_before_the_fit(work, fake):
    refused(run("fit", "cell.tif", "--out", "cell.tif/run"), "cannot write")
    assert "volume" not in fake


def test_a_full_disk_leaves_nothing(work, monkeypatch):
    def full(path, *args, **kwargs):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(tifffile, "imwrite", full)
    before = sorted(os.listdir(work))
    refused(run("render", "cell.ply", "--spacing", "0.4,0.3,0.3", "--psf-sigma", "0.4,0.3,0.3", "--out", "i.tif"),
            "disk is full", "Free some space")  # fmt: skip
    assert sorted(os.listdir(work)) == before


def test_a_failing_fit_leaves_no_empty_folder(work, fake):
    fake["result"] = CytoformError("the fit went wrong.", remedy="Do something else.")
    refused(run("fit", "cell.tif", "--out", "deep/run"), "Error: the fit went wrong. Do something else.")
    assert not (work / "deep").exists()


def test_errors_of_the_system_become_messages_too(work, fake):
    fake["result"] = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "checkpoint.h5")
    refused(run("fit", "cell.tif"), "checkpoint.h5: No space left")
    fake["result"] = MemoryError()
    refused(run("fit", "cell.tif"), "not enough memory")


def test_debug_shows_the_traceback(work, fake):
    fake["result"] = CytoformError("the fit went wrong.")
    for result in (run("--debug", "fit", "cell.tif"), run("fit", "cell.tif", env={"CYTOFORM_DEBUG": "1"})):
        assert isinstance(result.exception, CytoformError)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("fit", "IMAGE is missing; expected a TIFF or OME-TIFF file, or an OME-Zarr folder."),
        ("info", "IMAGE is missing; expected a TIFF"),
        ("render", "MESH is missing; expected a mesh file (.ply"),
        ("render cell.ply", "--out is missing; expected the TIFF file to write."),
        ("neural generate", "MODEL is missing; expected the folder of a trained network"),
        ("neural train", "SEQUENCES is missing; expected folders of sequences"),
    ],
)
def test_what_is_missing_is_named(work, command, words):
    result = run(*command.split())
    refused(result)
    assert f"Error: {words}" in " ".join(result.output.replace("│", " ").split()), result.output


def test_help_of_the_gaussian_serves_both_commands():
    texts = [" ".join(run(command, "--help").output.split()) for command in ("fit", "render")]
    told = (
        "--psf-sigma Z Y X σ of a Gaussian PSF in µm along z, y and x; a fit guesses it from the voxel size by default"
    )
    assert all(told in text for text in texts)


# -- fit ---------------------------------------------------------------------------------------------------------------


def test_fit_passes_everything_on_and_tells_the_numbers(work, fake):
    result = run("fit", "cell.tif", "--init", "cell.ply", "--psf-sigma", "0.5", "0.2", "0.2", "--fixed-psf",
                 "--seed", "4", "--edge", "0.5", "--iterations", "7", "--deterministic", "--spacing",
                 "0.5,0.25,0.25")  # fmt: skip
    assert result.exit_code == 0, result.output
    config = fake["config"]
    assert (config.edge, config.iterations, config.seed) == (0.5, 7, 4)
    assert config.deterministic and not config.infer_psf
    assert fake["volume"].spacing == (0.5, 0.25, 0.25) and fake["mesh"].n_faces == icosphere(subdivisions=2).n_faces
    np.testing.assert_allclose(fake["psf"].sigma, (0.5, 0.2, 0.2))
    assert fake["out"] == Path("cell_cytoform") and (work / "cell_cytoform" / "report.html").is_file()
    for word in ("4.19 µm³", "12.57 µm²", "0.870", "no longer changes", "report.html", "loss 0.5"):
        assert word in result.output


def test_each_phase_has_a_bar_of_the_whole_time(work, fake):
    output = run("fit", "cell.tif").output
    assert [output.count(name) > 0 for name in ("stage 1", "standard errors", "writing")] == [True] * 3
    assert "loss 0.5, R² 0.500" in output and "It had ended." in output
    assert "100%" in output and "done" in output and "00:00 left" not in output
    assert 20 <= max(int(text[:2]) for text in output.split("about 00:")[1:]) <= 30  # writing takes some time, too


def test_the_bar_moves_between_steps_on_a_terminal(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(shown, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", shown)
    with FitProgressBar() as bar:
        bar(FakeProgress(1, seconds_left=3.0))
        time.sleep(2.2)
        bar(FakeProgress(3, phase="writing", seconds_left=1.0))
    text = shown.getvalue()
    assert "00:03 left" in text and "00:01 left" in text and "00:00 left" not in text
    shares = [int(part.split("%")[0].split()[-1]) for part in text.split("\r") if "%" in part]
    assert shares == sorted(shares) and shares[-1] == 100 and len(set(shares)) > 3


def test_quiet_has_no_bar(work, fake):
    assert "loss" not in run("fit", "cell.tif", "-q").output.replace("the loss no longer changes", "")


@pytest.mark.parametrize(("name", "folder"), [("a.b.ome.tif", "a.b_cytoform"), ("x.tiff", "x_cytoform")])
def test_the_default_folder_is_named_after_the_image(work, fake, name, folder):
    write_volume(name, read_volume("cell.tif"))
    assert run("fit", name, "-q").exit_code == 0
    assert fake["out"] == Path(folder)


def test_results_are_not_overwritten_unasked(work, fake):
    assert run("fit", "cell.tif", "-o", "run").exit_code == 0
    refused(run("fit", "cell.tif", "-o", "run"), "not empty", "--overwrite", "--resume")
    assert run("fit", "cell.tif", "-o", "run", "--overwrite").exit_code == 0
    (work / "run" / "checkpoint.h5").write_bytes(b"x")
    assert run("fit", "cell.tif", "-o", "run", "--resume").exit_code == 0
    assert fake["resume"] is True


def test_interrupted(work, fake):
    class Interrupted(CytoformError):
        exit_code = 130

    fake["result"] = Interrupted("Interrupted after 12 steps.", remedy="Go on with --resume.")
    result = run("fit", "cell.tif", "-q")
    assert result.exit_code == 130
    assert "Error" not in result.output and "Go on with --resume." in result.output
    fake["result"] = KeyboardInterrupt()
    assert run("fit", "cell.tif", "-q").exit_code == 130


def test_an_interrupted_demo_begins_anew(work, fake):
    fake["result"] = errors.Interrupted("The same command with --resume …")
    result = run("demo", "-q", "--out", "demo")
    assert result.exit_code == 130 and "begins anew" in result.output and "--resume" not in result.output


# -- render ------------------------------------------------------------------------------------------------------------


def test_render_round_trip(work):
    from cytoform.image.volume import Grid
    from cytoform.optics import GaussianPSF
    from cytoform.rendering import render

    sigma = ("0.4", "0.3", "0.3")
    assert run("render", "cell.ply", "--spacing", *SPACING, "--psf-sigma", *sigma, "--out", "image.tif").exit_code == 0
    image = read_volume("image.tif")
    np.testing.assert_allclose(image.spacing, SPACING, rtol=1e-6)
    mesh = icosphere(1.0, CENTRE, 2)
    wide = Grid((60, 120, 120), SPACING, tuple(image.grid.to_um((-20, -40, -40))))
    expected = render(mesh, GaussianPSF.from_sigma((0.4, 0.3, 0.3)), wide)
    inner = expected[tuple(slice(a, a + n) for a, n in zip((20, 40, 40), image.shape))]
    assert np.abs(image.data - inner).max() < 2e-3 * inner.max()
    peak = np.unravel_index(image.data.argmax(), image.shape)
    assert np.linalg.norm(image.grid.to_um(peak) - CENTRE) == pytest.approx(1.0, abs=0.5)
    assert image.data.sum() * image.grid.voxel_volume == pytest.approx(mesh.area, rel=5e-3)


def test_render_like_an_image_and_with_noise(work):
    args = ("render", "cell.ply", "--like", "cell.tif", "--psf-sigma", "0.4,0.3,0.3", "--noise", "--out", "image.tif")
    assert run(*args).exit_code == 0
    image, like = read_volume("image.tif"), read_volume("cell.tif")
    assert image.shape == like.shape and image.spacing == like.spacing and image.data.dtype == np.uint16
    assert abs(float(np.median(image.data)) - 100) < 30
    refused(run(*args), "exists", "--overwrite")
    assert run(*args, "--overwrite").exit_code == 0
    again = read_volume("image.tif")
    np.testing.assert_array_equal(image.data, again.data)


def test_render_on_a_given_shape(work):
    args = ("render", "cell.ply", "--psf-sigma", "0.4,0.3,0.3", "--out", "image.tif", "--shape", "10", "20", "22")
    refused(run(*args), "voxel size", "--spacing")
    refused(run(*args, "--spacing", "0.1,0.1,0.1"), "outside of the image", "--origin")
    refused(run(*args, "--like", "cell.tif"), "--like was given with --shape")
    assert run(*args, "--spacing", "0.4,0.2,0.2").exit_code == 0
    assert read_volume("image.tif").shape == (10, 20, 22)


# -- optics ------------------------------------------------------------------------------------------------------------

OBJECTIVE = ("--na", "1.1", "--wavelength", "0.52", "--immersion-index", "1.33")


def test_fit_with_computed_optics(work, fake):
    options = ("--modality", "light-sheet", "--sheet-fwhm", "2", "--zernike", "12:0.4", "--zernike", "3")
    result = run("fit", "cell.tif", "-q", "--psf", "pupil", *OBJECTIVE, *options, "--fixed-psf")
    assert result.exit_code == 0, result.output
    psf = fake["psf"]
    assert psf.kind == "pupil" and psf.phase == {3: 0.0, 12: 0.4} and psf.sheet_fwhm == 2.0
    assert (psf.numerical_aperture, psf.wavelength, psf.immersion_index) == (1.1, 0.52, 1.33)
    voxels = np.array([SPACING[0], SPACING[1]]) / np.sqrt(12.0)
    np.testing.assert_allclose([psf.blur.axial, psf.blur.lateral], voxels, rtol=1e-6)
    assert not fake["config"].infer_psf
    more = ("--sample-index", "1.36", "--depth", "4", "--modality", "confocal", "--excitation", "0.488")
    args = ("fit", "cell.tif", "-q", "-o", "b", "--psf", "gibson-lanni", *OBJECTIVE, *more, "--psf-blur", "0.2,0.1")
    assert run(*args).exit_code == 0
    psf = fake["psf"]
    assert (psf.kind, psf.depth, psf.sample_index, psf.excitation_wavelength) == ("gibson-lanni", 4.0, 1.36, 0.488)
    assert (psf.blur.axial, psf.blur.lateral) == (0.2, 0.1)


def test_fit_with_a_measured_psf(work, fake):
    from scipy import ndimage

    spot = np.zeros((15, 15, 15), np.float32)
    spot[7, 7, 7] = 1000.0
    write_volume("bead.tif", Volume(ndimage.gaussian_filter(spot, 1.5), (0.3, 0.1, 0.1)))
    assert run("fit", "cell.tif", "-q", "--psf", "bead.tif").exit_code == 0
    assert fake["psf"].kind == "measured"
    np.testing.assert_allclose(fake["psf"].fwhm, 2.355 * 1.5 * np.array([0.3, 0.1, 0.1]), rtol=0.02)
    assert run("fit", "cell.tif", "-q", "-o", "c", "--psf", "gaussian").exit_code == 0 and fake["psf"] is None


def test_a_measured_psf_without_voxel_size_takes_the_images(work, fake):
    from scipy import ndimage

    spot = np.zeros((15, 15, 15), np.float32)
    spot[7, 7, 7] = 1000.0
    bead = ndimage.gaussian_filter(spot, 1.5)
    tifffile.imwrite("bead.tif", bead, metadata={"axes": "ZYX"})
    result = run("fit", "cell.tif", "-q", "--psf", "bead.tif")
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(fake["psf"].fwhm, 2.355 * 1.5 * np.array(SPACING), rtol=0.02)
    own = ("--psf-spacing", "0.3", "0.1", "0.1")
    assert run("fit", "cell.tif", "-q", "-o", "b", "--psf", "bead.tif", *own).exit_code == 0
    np.testing.assert_allclose(fake["psf"].fwhm, 2.355 * 1.5 * np.array([0.3, 0.1, 0.1]), rtol=0.02)
    tifffile.imwrite("two.tif", np.stack([0 * bead, bead], axis=1), imagej=True, metadata={"axes": "ZCYX"})
    refused(run("fit", "cell.tif", "-o", "d", "--psf", "two.tif"), "2 channels", "--psf-channel N, 0 to 1")
    assert run("fit", "cell.tif", "-q", "-o", "d", "--psf", "two.tif", "--psf-channel", "1", *own).exit_code == 0
    refused(run("render", "cell.ply", "--like", "cell.tif", "-o", "x.tif", "--psf", "bead.tif"), "--psf-spacing Z Y X")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--psf", "gauss"], ["'gauss'", "gibson-lanni", "no file"]),
        (["--psf", "gone.tif"], ["no file", "Check the name"]),
        (["--psf", "cell.ply"], ["cell.ply"]),
        (["--na", "1.4"], ["--na was given with the gaussian PSF", "--psf pupil", "--psf gibson-lanni"]),
        (["--psf", "pupil", "--na", "1.1"], ["without --wavelength, --immersion-index", "--psf gaussian"]),
        (["--psf", "gibson-lanni", *OBJECTIVE], ["without --sample-index, --depth"]),
        (
            ["--psf", "pupil", *OBJECTIVE, "--depth", "3"],
            ["--depth was given with the pupil PSF", "--psf gibson-lanni"],
        ),
        (["--psf", "pupil", *OBJECTIVE, "--psf-sigma", "1,1,1"], ["--psf-sigma was given with", "--psf gaussian"]),
        (["--psf", "cell.tif", "--na", "1.1"], ["--na was given with a PSF from a file"]),
        (["--psf", "pupil", *OBJECTIVE, "--modality", "light-sheet"], ["sheet_fwhm", "thickness"]),
        (["--psf", "pupil", *OBJECTIVE, "--modality", "sted"], ["'sted'", "confocal"]),
        (["--psf", "pupil", *OBJECTIVE, "--zernike", "coma"], ["'coma'", "12:0.5"]),
        (["--psf", "pupil", *OBJECTIVE[2:], "--na", "1.4"], ["1.4", "immersion_index 1.33", "oil 1.515"]),
        (["--psf", "pupil", *OBJECTIVE[:2], *OBJECTIVE[4:], "--wavelength", "520"], ["0.52 µm"]),
        (["--psf", "gaussian", "--fixed-psf"], ["--psf-sigma"]),
    ],
)
def test_optics_that_do_not_add_up(work, fake, options, words):
    refused(run("fit", "cell.tif", "-o", "run", *options), *words)
    assert "volume" not in fake and not (work / "run").exists()


@pytest.mark.slow
def test_render_with_computed_optics(work):
    args = ("render", "cell.ply", "--like", "cell.tif", "--out", "image.tif")
    refused(run(*args), "no PSF was given", "--psf-sigma", "--psf")
    result = run(*args, "--psf", "pupil", *OBJECTIVE, "--modality", "light-sheet", "--sheet-fwhm", "2")
    assert result.exit_code == 0, result.output
    image = read_volume("image.tif")
    assert image.shape == (10, 20, 20) and image.data.max() > 10 * abs(image.data.min())


# -- info --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_info_on_all_real_images(data_dir):
    images = sorted((data_dir / "images").glob("*.tif"))
    assert images
    for path in images:
        result = run("info", path)
        assert result.exit_code == 0 and "voxel size" in result.output, result.output


def test_info_says_which_flags_are_needed(work):
    _bad_image("no voxel size", work / "a.tif")
    assert "--spacing Z Y X" in run("info", "a.tif").output
    _bad_image("5D", work / "b.tif")
    output = run("info", "b.tif").output
    assert "--channel N, 0 to 1" in output and "--time N, 0 to 1" in output and "same value" in output
    _bad_image("2D", work / "c.tif")
    assert "2D image" in run("info", "c.tif").output
    output = run("info", "cell.tif").output
    assert "For a fit" not in output and "0.4 × 0.2 × 0.2 µm" in output and "uint16, 90 to 199" in output


def test_info_of_what_is_no_image(work):
    refused(run("info", "gone.tif"), "there is no file")


# -- demo --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_demos_sample_is_seeded_and_its_truth_lies_in_it():
    from cytoform.cli.demo import compare, demo_sample, initial_psf

    sample, again, other = demo_sample(0), demo_sample(0), demo_sample(1)
    np.testing.assert_array_equal(sample.image.data, again.image.data)
    assert not np.array_equal(sample.image.data, other.image.data)
    low, high = sample.truth.bounds
    assert (low > 1.0).all() and (high < np.asarray(sample.image.grid.extent) - 1.0).all()
    assert sample.image.data.max() > 130 and abs(np.median(sample.image.data) - 100) < 10
    right = compare(sample.truth, sample.psf, sample)
    assert right.good and right.iou == 1.0 and right.distance < 1e-9
    wrong = compare(sample.truth, initial_psf(sample), sample)
    assert not wrong.good and wrong.width_errors == pytest.approx((0.4, 0.4, 0.4))
    moved = sample.truth.with_vertices(sample.truth.vertices + [0, 0, 1.0])
    assert not compare(moved, sample.psf, sample).good


@pytest.mark.slow
def test_demo_tells_whether_it_worked(work, fake):
    from cytoform.cli.demo import demo_sample, initial_psf

    sample = demo_sample(0)
    fake["result"] = FakeResult(mesh=sample.truth, psf=sample.psf)
    result = run("demo", "-q")
    assert result.exit_code == 0 and "1.0000" in result.output and "+0.0 %" in result.output, result.output
    assert sorted(os.listdir(work / "demo")) == ["image.tif", "report.html", "truth.ply"]
    assert fake["mesh"] is None and fake["config"].init == "sphere" and fake["result"].truth is not None
    np.testing.assert_allclose(fake["psf"].sigma, 1.4 * sample.psf.sigma)
    fake["result"] = FakeResult(mesh=sample.truth, psf=initial_psf(sample))
    result = run("demo", "-q")  # an earlier demo is replaced
    assert result.exit_code == 1 and "worse than expected" in result.output
    (work / "mine").mkdir()
    (work / "mine" / "thesis.txt").write_text("x")
    refused(run("demo", "--out", "mine"), "something else", "--out")


def test_regions_of_other_kinds(work, fake):
    """A probability map, numbers that people can type again, and slices stored as channels."""
    shape = (10, 20, 20)
    write_volume("probability.tif", np.random.default_rng(0).uniform(0.1, 0.9, shape).astype(np.float32), SPACING)
    refused(run("fit", "cell.tif", "--roi", "probability.tif"), "not whole numbers", "Threshold a probability map")
    labels = np.zeros(shape, np.float64)
    labels[2:8] = 10_000_123
    tifffile.imwrite("labels.ome.tif", labels, metadata={"axes": "CYX"})
    refused(run("fit", "cell.tif", "--roi", "labels.ome.tif", "--roi-label", "5"), "but 10000123")
    result = run("fit", "cell.tif", "-q", "--roi", "labels.ome.tif", "--roi-label", "10000123")
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(fake["labels"].data, labels)


def test_slices_of_a_psf_stored_as_channels(work, fake):
    from scipy import ndimage

    spot = np.zeros((15, 15, 15), np.float32)
    spot[7, 7, 7] = 1000.0
    tifffile.imwrite("psf.ome.tif", ndimage.gaussian_filter(spot, 1.5), metadata={"axes": "CYX"})
    result = run("fit", "cell.tif", "-q", "--psf", "psf.ome.tif", "--psf-spacing", "0.3", "0.1", "0.1")
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(fake["psf"].fwhm, 2.355 * 1.5 * np.array([0.3, 0.1, 0.1]), rtol=0.02)


def test_render_doubts_other_units(work, caplog):
    """A mesh in nm would need an image that no memory holds, one in mm would be a dark image."""
    ball = icosphere(1.0, CENTRE, 2)
    args = ("--spacing", "0.4,0.2,0.2", "--psf-sigma", "0.5,0.3,0.3", "--out")
    write_mesh("nm.ply", ball.with_vertices(1000 * ball.vertices))
    refused(run("render", "nm.ply", *args, "a.tif"), "2000 × 2000 × 2000 µm", "in nm")
    write_mesh("mm.ply", ball.with_vertices(0.001 * ball.vertices))
    assert run("render", "mm.ply", *args, "b.tif").exit_code == 0 and "Is it in mm?" in caplog.text
    refused(run("render", "cell.ply", *args, "a.png"), "a TIFF is written")
    write_mesh("voxels.ply", ball.with_vertices(20 * ball.vertices))
    refusal = run("render", "voxels.ply", "--like", "cell.tif", "--psf-sigma", "0.5,0.3,0.3", "--out", "c.tif")
    refused(refusal, "outside of the image", "(x, y, z)")


def test_names_of_files_that_are_not_utf8(work):
    """From old disks and archives: the report writes what UTF-8 has no place for another way."""
    from cytoform.atomic import write_text

    write_text("page.html", "zell\udcb5.tif µ")
    assert (work / "page.html").read_bytes() == "zell\\udcb5.tif µ".encode()


# ---------------------------------------------------------------------------------------------------------------------
# Points and filaments


@pytest.fixture(scope="module")
def spots(tmp_path_factory):
    """Images of three points and of a line, by kind."""
    from cytoform.imaging import render_on

    grid, psf = cytoform.Grid((12, 28, 28), (0.2, 0.1, 0.1)), cytoform.GaussianPSF.from_sigma((0.3, 0.2, 0.2))
    places = [[1.0, 0.8, 0.8], [1.2, 2.0, 1.9], [0.9, 1.9, 0.7]]
    light = render_on(cytoform.PointSet(places, np.full(3, 4.0)), psf, grid) + 20.0
    line = cytoform.Filaments.from_polylines([[[1.1, 1.3, 0.5], [1.1, 1.5, 2.2]]], 4.0)
    noise, folder = np.random.default_rng(1).normal(size=grid.shape), tmp_path_factory.mktemp("spots")
    paths = {"points": folder / "points.tif", "filaments": folder / "filaments.tif"}
    for path, image in zip(paths.values(), (light, render_on(line, psf, grid))):
        cytoform.write_volume(path, cytoform.Volume((image + noise).astype(np.float32), grid.spacing))
    return paths


@pytest.mark.parametrize("kind, files", [("points", ["points.csv", "points.vtp"]), ("filaments", ["branches.csv"])])
def test_fit_of_other_kinds(spots, tmp_path, kind, files):
    words = ["fit", spots[kind], "--kind", kind, "--psf-sigma", 0.3, 0.2, 0.2, "--fixed-psf", "-o", tmp_path / "run"]
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert {*files, "rendered.tif", "fit.json", "report.html"} <= {p.name for p in (tmp_path / "run").iterdir()}
    if kind == "points":
        assert len(cytoform.read_points(tmp_path / "run" / "points.csv").positions) == 3 and "points" in done.output
    again = run(*words)
    assert again.exit_code == 2 and "not empty" in again.output


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--kind", "spots"], "surface, points or filaments"),
        (["--kind", "points", "--iterations", "7"], "it is for surfaces"),
        (["--kind", "points", "--strict"], "only surfaces have a verdict"),
        (["--kind", "filaments", "--fixed-psf"], "without a PSF"),
    ],
)
def test_fit_of_other_kinds_refuses(spots, tmp_path, words, expected):
    done = run("fit", spots["points"], "-o", tmp_path / "run", *words)
    assert done.exit_code == 2 and expected in done.output and "Traceback" not in done.output
