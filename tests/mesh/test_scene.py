"""Scenes: several bodies, rendered together, their gradients, and their file."""

import numpy as np
import pytest

import cytoform as cf
from cytoform.errors import ConfigError, FileFormatError, MeshError
from cytoform.mesh.shapes import icosphere

GRID = cf.Grid((18, 20, 22), 0.4)
PSF = cf.GaussianPSF.from_sigma((0.6, 0.4, 0.4))


def scene(dtype="float64"):
    """A membrane with a filled inside, a nucleus, points and a filament."""
    cell = icosphere(2.0, (3.5, 4.0, 4.2), 2).with_density(2.0).with_jump(0.5)
    nucleus = icosphere(0.8, (3.4, 4.3, 4.0), 1).with_density(0.0).with_jump(3.0)
    spots = cf.PointSet(np.array([[2.5, 3.0, 4.0], [4.5, 5.0, 3.0]]), np.array([1.0, 2.0]))
    line = cf.Filaments.from_polylines([np.array([[3.0, 2.5, 3.0], [3.5, 4.0, 4.0], [3.0, 5.0, 5.5]])])
    return cf.Scene({"cell": cell, "nucleus": nucleus, "spots": spots, "line": line}).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_image_is_the_sum_of_the_bodies_images(dtype):
    whole = scene(dtype)
    found = cf.render(whole, PSF, GRID)
    parts = sum(cf.render(body, PSF, GRID).astype(np.float64) for body in whole.bodies.values())
    assert found.dtype == dtype
    np.testing.assert_allclose(found, parts, atol=3e-4 * parts.max() if dtype == "float32" else 1e-8 * parts.max())
    assert whole.mass == pytest.approx(sum(body.mass for body in whole.bodies.values()))


def test_gradients_are_those_of_finite_differences_for_every_body():
    whole, rng = scene(), np.random.default_rng(0)
    cotangent = rng.normal(size=GRID.shape)
    found = cf.render_vjp(whole, PSF, GRID, cotangent, tolerance=1e-10)
    assert set(found.bodies) == set(whole.bodies) and len(found.vertices) == len(whole.vertices)
    for name, body in whole.bodies.items():
        move, step = rng.normal(size=body.vertices.shape), 1e-5
        values = [
            float((cotangent * cf.render(
                whole.with_bodies({name: body.with_vertices(body.vertices + s * step * move)}), PSF, GRID,
                tolerance=1e-10,
            )).sum())
            for s in (1, -1)
        ]  # fmt: skip
        along = float((found.bodies[name].vertices * move).sum())
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(along, rel=1e-5), name


def test_scaled_changes_the_brightness_of_the_named_bodies_only():
    whole = scene()
    twice = whole.scaled({"cell": 2.0, "spots": 3.0})
    np.testing.assert_allclose(twice["cell"].jump, 2.0 * whole["cell"].jump)
    np.testing.assert_allclose(twice["spots"].brightness, 3.0 * whole["spots"].brightness)
    assert twice["nucleus"] is whole["nucleus"]
    low, high = whole.bounds
    assert (low <= whole.vertices.min(axis=0) + 1e-12).all() and (high >= whole.vertices.max(axis=0) - 1e-12).all()


def test_a_scene_is_written_and_read_bit_by_bit(tmp_path):
    whole = scene("float32")
    cf.write_scene(tmp_path / "a.h5", whole)
    back = cf.read_scene(tmp_path / "a.h5")
    assert list(back.bodies) == list(whole.bodies)
    for name, body in whole.bodies.items():
        assert type(back[name]) is type(body)
        for field, values in body.arrays().items():
            np.testing.assert_array_equal(back[name].arrays()[field], values)


def test_what_is_no_scene_is_refused(tmp_path):
    with pytest.raises(MeshError, match="without a body"):
        cf.Scene({})
    with pytest.raises(MeshError, match="body 'a' is a str"):
        cf.Scene({"a": "mesh"})
    with pytest.raises(MeshError, match="float32 and float64"):
        cf.Scene([icosphere(1.0, (0, 0, 0), 1), icosphere(1.0, (0, 0, 0), 1).astype(np.float32)])
    with pytest.raises(MeshError, match="no body 'b'; there are 'cell'"):
        scene()["b"]
    with pytest.raises(ConfigError, match="not made for scenes"):
        cf.mesh_ft(scene(), GRID, normalize=True)
    (tmp_path / "b.h5").write_bytes(b"no HDF5")
    with pytest.raises(FileFormatError, match="cannot be read as a scene"):
        cf.read_scene(tmp_path / "b.h5")
