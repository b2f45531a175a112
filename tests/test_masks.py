"""Voxelising, meshing of masks, signed distances: against formulas and against the solid angle."""

import numpy as np
import pytest
import trimesh

from cytoform.errors import MeshError, VolumeError
from cytoform.image.io import read_volume
from cytoform.image.volume import Grid
from cytoform.masks import mask_sdf, mask_to_mesh, mesh_to_mask
from cytoform.mesh.io import read_mesh
from cytoform.mesh.surface import SurfaceMesh


def _ball(radius=1.0, centre=(0.0, 0.0, 0.0), subdivisions=3):
    ball = trimesh.creation.icosphere(subdivisions=subdivisions)
    return SurfaceMesh(ball.vertices[:, ::-1] * np.asarray(radius) + np.asarray(centre), ball.faces)


def _box(low, high):
    box = trimesh.creation.box()
    unit = np.asarray(box.vertices)[:, ::-1] + 0.5
    return SurfaceMesh(np.asarray(low) + unit * (np.asarray(high) - np.asarray(low)), box.faces)


def _grid(shape, extent):
    spacing = np.asarray(extent) / np.asarray(shape)
    return Grid(shape, tuple(spacing), tuple(-0.5 * (np.asarray(shape) - 1) * spacing))


def _winding(mesh, points):
    """Oracle: solid angle of all faces over 4π (van Oosterom and Strackee 1983), ±1 inside and 0 outside."""
    total = np.zeros(len(points))
    for i, point in enumerate(points):
        a, b, c = np.moveaxis(mesh.vertices[mesh.faces] - point, 1, 0)
        la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
        dot = lambda u, v: np.einsum("ij,ij->i", u, v)  # noqa: E731
        below = la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb
        total[i] = 2 * np.arctan2(dot(a, np.cross(b, c)), below).sum() / (4 * np.pi)
    return total


# -- mesh to mask ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [1.0, (0.5, 0.8, 1.1)])
def test_ellipsoids_have_their_volume_and_place(radius):
    mesh, grid = _ball(radius, (0.05, -0.1, 0.02), 5), _grid((40, 70, 60), (2.6, 2.6, 2.6))
    mask = mesh_to_mask(mesh, grid)
    z, y, x = np.meshgrid(*grid.coordinates(), indexing="ij")
    r = np.broadcast_to(radius, 3)
    level = ((z - 0.05) / r[0]) ** 2 + ((y + 0.1) / r[1]) ** 2 + ((x - 0.02) / r[2]) ** 2
    assert mask[level < 0.995].all() and not mask[level > 1].any()
    assert mask.sum() * grid.voxel_volume == pytest.approx(mesh.volume, rel=0.01)


def _bumpy():
    rng = np.random.default_rng(3)
    mesh = _ball(subdivisions=3)
    return mesh.with_vertices(mesh.vertices * (0.7 + 0.3 * rng.random((mesh.n_vertices, 1))))


def test_agrees_with_the_solid_angle_everywhere():
    mesh, grid = _bumpy(), _grid((9, 11, 10), (2.0, 2.1, 2.2))
    points = np.stack(np.meshgrid(*grid.coordinates(), indexing="ij"), axis=-1).reshape(-1, 3)
    expected = np.abs(_winding(mesh, points)) > 0.5
    assert np.array_equal(mesh_to_mask(mesh, grid).ravel(), expected) and expected.sum() > 50


def test_winding_inwards_and_float32_give_the_same():
    mesh, grid = _bumpy(), _grid((21, 22, 23), (2.0, 2.0, 2.0))
    inwards = SurfaceMesh(mesh.vertices, mesh.faces[:, ::-1])
    assert np.array_equal(mesh_to_mask(mesh, grid), mesh_to_mask(inwards, grid))
    assert (mesh_to_mask(mesh.astype(np.float32), grid) != mesh_to_mask(mesh, grid)).mean() < 1e-3


def test_walls_on_voxel_centres_are_shared_out_exactly():
    # Corners, edges and faces of the boxes go through voxel centres; half-open, so that no voxel counts twice.
    grid = Grid((10, 10, 10), (0.5, 0.25, 0.125), (-1.0, 0.0, 2.0))
    low, mid, high = grid.to_um((2, 3, 1)), grid.to_um((2, 3, 5)), grid.to_um((6, 8, 9))
    left = mesh_to_mask(_box(low, (high[0], high[1], mid[2])), grid)
    right = mesh_to_mask(_box((low[0], low[1], mid[2]), high), grid)
    expected = np.zeros(grid.shape, dtype=bool)
    expected[2:6, 3:8, 1:5] = True
    assert np.array_equal(left, expected)
    assert not (left & right).any()
    assert np.array_equal(left | right, mesh_to_mask(_box(low, high), grid))


def test_parts_outside_are_cropped_and_rows_do_not_leak():
    mesh, whole = _bumpy(), _grid((30, 30, 30), (2.4, 2.4, 2.4))
    mask = mesh_to_mask(mesh, whole)
    assert np.array_equal(mesh_to_mask(mesh, whole.crop((12, 0, 9), (30, 20, 30))), mask[12:30, :20, 9:30])
    assert not mesh_to_mask(mesh, Grid((4, 4, 4), 0.1, (5.0, 5.0, 5.0))).any()


def test_holes_and_several_bodies():
    outer, inner = _ball(), _ball(0.5)
    faces = np.concatenate([outer.faces, inner.faces[:, ::-1] + outer.n_vertices])
    shell = SurfaceMesh(np.concatenate([outer.vertices, inner.vertices]), faces)
    grid = _grid((24, 24, 24), (2.4, 2.4, 2.4))
    assert np.array_equal(mesh_to_mask(shell, grid), mesh_to_mask(outer, grid) & ~mesh_to_mask(inner, grid))


def test_open_or_badly_wound_surfaces_are_refused():
    mesh = _ball()
    with pytest.raises(MeshError, match=r"open: 3 edges"):
        mesh_to_mask(SurfaceMesh(mesh.vertices, mesh.faces[1:]), Grid((4, 4, 4), 1.0))
    faces = mesh.faces.copy()
    faces[0] = faces[0, ::-1]
    with pytest.raises(MeshError, match="wound inconsistently at 3 edges"):
        mesh_to_mask(SurfaceMesh(mesh.vertices, faces), Grid((4, 4, 4), 1.0))


# -- mask to mesh ------------------------------------------------------------------------------------------------------


def _ball_mask(grid, radius):
    z, y, x = np.meshgrid(*grid.coordinates(), indexing="ij")
    return z**2 + y**2 + x**2 < radius**2


@pytest.mark.parametrize("smooth", [0.0, 0.7, 1.0, 2.0])
def test_mesh_of_a_ball(smooth):
    grid = _grid((20, 40, 40), (3.0, 3.0, 3.0))
    mesh = mask_to_mesh(_ball_mask(grid, 1.2), grid, smooth=smooth)
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.03)
    np.testing.assert_allclose(0.5 * np.add(*mesh.bounds), 0.0, atol=0.02)
    if smooth:
        assert np.linalg.norm(mesh.vertices, axis=1).std() < 0.04
    assert (mesh_to_mask(mesh, grid) != _ball_mask(grid, 1.2)).mean() < (2e-3 if smooth <= 1 else 1e-2)


def test_round_trip_without_blur_is_exact():
    mask = np.random.default_rng(0).random((9, 8, 7)) > 0.6
    mesh = mask_to_mesh(mask, (0.3, 0.2, 0.1), smooth=0)
    assert np.array_equal(mesh_to_mask(mesh, Grid(mask.shape, (0.3, 0.2, 0.1))), mask)


def test_bodies_at_the_border_and_of_one_voxel_are_closed():
    full = mask_to_mesh(np.ones((4, 5, 6)), 0.5)
    assert full.volume == pytest.approx(4 * 5 * 6 * 0.125, rel=0.1)
    single = np.zeros((5, 5, 5), dtype=bool)
    single[0, 4, 2] = True
    mesh = mask_to_mesh(single, 1.0)
    assert mesh.volume > 0
    np.testing.assert_allclose(mesh.vertices.mean(axis=0), (0, 4, 2), atol=1e-6)


def test_labels_and_the_largest_part():
    labels = np.zeros((12, 12, 24), dtype=np.int32)
    labels[3:9, 3:9, 3:9] = 5
    labels[4:8, 4:8, 15:19] = 7
    assert mask_to_mesh(labels, 1.0, label=7).volume == pytest.approx(64, rel=0.1)
    assert mask_to_mesh(labels, 1.0, largest=True).volume == pytest.approx(216, rel=0.1)
    assert mask_to_mesh(labels, 1.0).volume == pytest.approx(280, rel=0.1)
    with pytest.raises(VolumeError, match="no voxel has label 3"):
        mask_to_mesh(labels, 1.0, label=3)


def test_bad_masks_are_refused():
    with pytest.raises(VolumeError, match="2 axes"):
        mask_to_mesh(np.ones((3, 3)), 1.0)
    with pytest.raises(VolumeError, match="is empty"):
        mask_to_mesh(np.zeros((3, 3, 3)), 1.0)
    with pytest.raises(VolumeError, match="that of the grid"):
        mask_to_mesh(np.ones((3, 3, 3)), Grid((3, 3, 4), 1.0))
    with pytest.raises(VolumeError, match="is full"):
        mask_sdf(np.ones((3, 3, 3)), 1.0)


# -- signed distance ---------------------------------------------------------------------------------------------------


def test_distance_to_a_flat_wall_is_exact():
    spacing = (0.3, 0.2, 0.1)
    for axis, step in enumerate(spacing):
        mask = np.zeros((8, 8, 8), dtype=bool)
        mask[tuple(slice(0, 3) if a == axis else slice(None) for a in range(3))] = True
        expected = (np.arange(8) - 2.5) * step
        np.testing.assert_allclose(np.moveaxis(mask_sdf(mask, spacing), axis, 0)[:, 4, 4], expected, atol=1e-12)


def test_distance_to_a_ball():
    grid = _grid((30, 60, 60), (3.0, 3.0, 3.0))
    z, y, x = np.meshgrid(*grid.coordinates(), indexing="ij")
    exact = np.sqrt(z**2 + y**2 + x**2) - 1.0
    found = mask_sdf(exact < 0, grid.spacing)
    assert np.array_equal(found < 0, exact < 0)
    assert np.abs(found - exact).max() < max(grid.spacing)
    assert abs((found - exact).mean()) < 0.3 * max(grid.spacing)


# -- real shapes -------------------------------------------------------------------------------------------------------


def test_cow(data_dir):
    cow = read_mesh(data_dir / "meshes" / "cow.obj")
    low, high = cow.bounds
    spacing = (high - low) / 56
    grid = Grid((64, 64, 64), tuple(spacing), tuple(low - 4 * spacing))
    mask = mesh_to_mask(cow, grid)
    assert mask.sum() * grid.voxel_volume == pytest.approx(cow.volume, rel=0.005)
    index = np.random.default_rng(0).integers(0, 64, (300, 3))
    inside = np.abs(_winding(cow, grid.to_um(index))) > 0.5
    assert np.array_equal(mask[tuple(index.T)], inside) and inside.sum() > 20


def test_embryo_labels(data_dir):
    volume = read_volume(data_dir / "images" / "embryo_crop_t1_labels.tif")
    values, counts = np.unique(volume.data[volume.data > 0], return_counts=True)
    label = int(values[np.argmax(counts)])
    mesh = mask_to_mesh(volume.data, volume.grid, label=label, largest=True)
    assert mesh.volume == pytest.approx(counts.max() * volume.grid.voxel_volume, rel=0.05)
