"""The gallery: each script's quick run, and the numbers that it is there to show."""

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "examples"


def run(name, out=None):
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(out, quick=True)


def test_red_cell(tmp_path):
    found = run("red_cell", tmp_path / "red_cell.png")
    assert found["iou"] > 0.97 and found["distance_voxels"] < 0.25 and found["r2"] > 0.8
    assert abs(found["volume_error"]) < 0.01
    assert found["true_least_mean_curvature"] < -0.2  # a dimple
    assert found["least_mean_curvature"] == pytest.approx(found["true_least_mean_curvature"], abs=0.06)
    assert found["staining_from"] < 0.8 < 1.25 < found["staining_to"]
    assert (tmp_path / "red_cell.png").stat().st_size > 20_000


def test_neighbours(tmp_path):
    found = run("neighbours", tmp_path / "neighbours.png")
    assert found["iou"] > 0.97 and found["self_intersections"] == 0
    assert found["r2"] > 0.9 and found["r2"] > found["r2_cell"]
    assert (tmp_path / "neighbours.png").stat().st_size > 20_000


def test_known_volume():
    found = run("known_volume")
    assert found["volume_error_with"] < 0.5 * found["volume_error_without"]


def test_generated_cells(tmp_path):
    pytest.importorskip("torch")
    found = run("generated_cells", tmp_path / "generated.png")
    assert found["dice"] > 0.95
    assert found["bodies_at_first"] == 1 and found["bodies_at_last"] == 2  # they divide
    assert (tmp_path / "generated.png").stat().st_size > 20_000
