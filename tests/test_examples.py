"""The gallery: each script's quick run, and the numbers that it is there to show."""

import runpy
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run an example as a script, quick and in an empty folder, and give its variables; it draws picture.png."""

    def run(name):
        monkeypatch.setenv("CYTOFORM_QUICK", "1")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", "picture.png"])
        return runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")

    return run


def drawn(folder):
    return (folder / "picture.png").stat().st_size > 20_000


def test_every_example_is_tested():
    """But two that the demo's own tests stand for; the gallery of the documentation runs them."""
    scripts = {place.stem for place in FOLDER.glob("*.py")} - {"quickstart", "readme_figure"}
    assert scripts == {name.removeprefix("test_") for name in globals() if name.removeprefix("test_") in scripts}


def test_psf_figure(run, tmp_path):
    found = run("psf_figure")
    widths = {name: psf.fwhm[0] for name, psf in found["KINDS"].items()}
    assert widths["12 µm deep, n = 1.38"] > widths["wide field"] > widths["confocal"] and drawn(tmp_path)


def test_red_cell(run, tmp_path):
    found = run("red_cell")["numbers"]
    assert found["iou"] > 0.97 and found["distance_voxels"] < 0.25 and found["r2"] > 0.8
    assert abs(found["volume_error"]) < 0.01
    assert found["true_least_mean_curvature"] < -0.2  # a dimple
    assert found["least_mean_curvature"] == pytest.approx(found["true_least_mean_curvature"], abs=0.06)
    assert found["staining_from"] < 0.8 < 1.25 < found["staining_to"]
    assert drawn(tmp_path)


def test_neighbours(run, tmp_path):
    found = run("neighbours")["numbers"]
    assert found["iou"] > 0.97 and found["self_intersections"] == 0
    assert found["r2"] > 0.9 and found["r2"] > found["r2_cell"]
    assert drawn(tmp_path)


def test_known_volume(run):
    found = run("known_volume")["numbers"]
    assert found["volume_error_with"] < 0.5 * found["volume_error_without"]


def test_points(run, tmp_path):
    found = run("points")["numbers"]
    assert found["found"] == found["points"] and drawn(tmp_path)
    assert found["median_distance_um"] < 2.0 * found["median_standard_error_um"] < 0.1


def test_filaments(run, tmp_path):
    found = run("filaments")["numbers"]
    assert found["branches"] == 3 and drawn(tmp_path)
    assert abs(found["length_um"] / found["true_length_um"] - 1.0) < 0.03 and found["density_error"] < 0.05


def test_generated_cells(run, tmp_path):
    pytest.importorskip("torch")
    found = run("generated_cells")["numbers"]
    assert found["dice"] > 0.95
    assert found["bodies_at_first"] == 1 and found["bodies_at_last"] == 2  # they divide
    assert drawn(tmp_path)
