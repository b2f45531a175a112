"""Meshes of label images: noise, checkerboards, spheres, sides of the image, bad input, real labels."""

import os
from pathlib import Path

import numpy as np
import pytest
from oracles.cells import euler_of_label, label_at
from skimage.measure import euler_number

import cytoform as cf
from cytoform.errors import ConfigError, GridError, VolumeError
from cytoform.mesh import topology
from cytoform.mesh.cells import check_cells
from cytoform.mesh.labels import mesh_labels

DATA = Path(os.environ.get("CYTOFORM_TEST_DATA", "/nonexistent"))


def assert_sound(mesh):
    """No open or pinched region (the outside counts), no duplicate, empty, crossing or wrongly wound face."""
    assert check_cells(mesh).describe() == ()


def ball(radius, shape, centre=None):
    z, y, x = np.indices(shape)
    centre = (np.array(shape) - 1) / 2 if centre is None else centre
    return (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2


@pytest.mark.parametrize(
    ("shape", "n", "seed"), [((6, 6, 6), 1, 0), ((5, 6, 7), 2, 1), ((6, 5, 5), 6, 2), ((1, 6, 6), 3, 3)]
)
def test_noise_gives_manifold_regions_with_the_labels_euler_numbers(shape, n, seed):
    labels = np.random.default_rng(seed).integers(0, n + 1, shape)
    made = mesh_labels(labels, 1.0)
    validity = check_cells(made.mesh)
    assert len(validity.open_edges) == len(validity.pinched_edges) == len(validity.pinched_vertices) == 0
    assert len(validity.duplicate_faces) == len(validity.bad_windings) == 0 and len(validity.crossing_faces) == 0
    assert [row.region for row in made.report.regions] == np.unique(labels[labels > 0]).tolist()
    for row in made.report.regions:
        surface = made.mesh.region_surface(row.region)
        assert topology.is_manifold(surface) and topology.is_oriented(surface)
        assert topology.euler_characteristic(surface) == row.euler == euler_of_label(labels == row.region)


def test_checkerboard_of_two_labels():
    labels = 1 + np.indices((4, 4, 4)).sum(axis=0) % 2
    mesh = cf.mesh_from_labels(labels, 1.0, smoothing=0)
    for region in (1, 2):
        surface = mesh.region_surface(region)
        assert topology.is_manifold(surface)
        assert topology.euler_characteristic(surface) == euler_of_label(labels == region)


def test_well_composed_labels_have_scikit_images_euler_number():
    labels = np.zeros((14, 14, 14), dtype=int)
    labels[2:7, 2:12, 2:12] = 1
    labels[2:7, 5:9, 5:9] = 0  # a tunnel along z
    labels[7:12, 2:12, 2:12] = 2
    labels[9:10, 6:8, 6:8] = 0  # a hole
    labels[12, 3, 3] = 2  # one voxel that sticks out
    mesh = cf.mesh_from_labels(labels, 0.5)
    assert_sound(mesh)
    for region in (1, 2):
        assert topology.euler_characteristic(mesh.region_surface(region)) == 2 * euler_number(
            labels == region, connectivity=1
        ) == 2 * euler_number(labels == region, connectivity=3)  # fmt: skip


def test_two_halves_of_a_ball():
    whole = ball(10.2, (27, 27, 27))
    labels = np.where(whole, np.where(np.indices(whole.shape)[0] < 13, 3, 700), 0)
    made = mesh_labels(labels, 0.2, origin=(1.0, 2.0, 3.0))
    mesh = made.mesh
    assert mesh.region_ids == (3, 700) and mesh.cropped is None
    assert_sound(mesh)
    assert mesh.region_volumes() == pytest.approx({k: (labels == k).sum() * 0.008 for k in (3, 700)}, rel=1e-3)
    outer = mesh.vertices[mesh.faces[(mesh.labels == 0).any(axis=1)]].reshape(-1, 3)
    distance = np.linalg.norm(outer - np.array([1, 2, 3]) - 13 * 0.2, axis=1)
    assert distance == pytest.approx(10.2 * 0.2, abs=0.2 * 1.0) and distance.std() < 0.3 * 0.2
    assert mesh.face_areas[(mesh.labels == 0).any(axis=1)].sum() == pytest.approx(4 * np.pi * 2.04**2, rel=0.05)
    assert made.report.min_angle >= 12 and made.report.problems == ()
    assert set(mesh.density[(mesh.labels > 0).all(axis=1)]) == {2.0}


def test_labels_come_back():
    rng = np.random.default_rng(5)
    seeds = rng.uniform(0, 20, (6, 3))
    points = np.indices((20, 20, 20)).transpose(1, 2, 3, 0)
    labels = 1 + np.linalg.norm(points[..., None, :] - seeds, axis=-1).argmin(axis=-1)
    labels[~ball(9.5, labels.shape)] = 0
    mesh = cf.mesh_from_labels(labels, (0.4, 0.3, 0.3), origin=(5, 0, -2))
    assert_sound(mesh)
    np.testing.assert_array_equal(cf.labels_from_mesh(mesh, cf.Grid(labels.shape, (0.4, 0.3, 0.3), (5, 0, -2))), labels)
    finer = cf.Grid((9, 8, 7), (0.83, 0.71, 0.77), (5.1, 0.2, -1.9))
    painted = cf.labels_from_mesh(mesh, finer)
    for place in rng.integers(0, [9, 8, 7], (40, 3)):
        centre = np.array(finer.origin) + place * np.array(finer.spacing)
        assert painted[tuple(place)] == label_at(mesh, centre)


def test_a_label_on_all_sides_is_cropped():
    made = mesh_labels(np.full((3, 4, 5), 9, dtype=np.uint8), (0.5, 1.0, 2.0))
    mesh = made.mesh
    assert mesh.cropped is not None and mesh.cropped.all() and made.report.regions[0].cropped
    assert (mesh.density == 0).all() and mesh.mass == 0
    assert mesh.region_volume(9) == pytest.approx(60.0, rel=1e-9)
    assert mesh.area == pytest.approx(2 * (1.5 * 4 + 1.5 * 10 + 4 * 10), rel=1e-9)
    np.testing.assert_allclose(mesh.bounds, [(-0.25, -0.5, -1.0), (1.25, 3.5, 9.0)])
    assert "cut off by a side" in " ".join(made.report.remarks)


def test_a_cell_at_one_side_is_flat_there():
    labels = ball(6.0, (14, 15, 15), centre=(2.0, 7.0, 7.0)).astype(int)
    mesh = cf.mesh_from_labels(labels, 1.0)
    assert_sound(mesh)
    flat = mesh.vertices[mesh.faces[mesh.cropped]]
    assert (flat[..., 0] == -0.5).all() and (mesh.vertices[:, 0] >= -0.5).all()
    assert mesh.face_areas[mesh.cropped].sum() == pytest.approx((labels[0] > 0).sum(), rel=0.05)


def test_specks_stay_or_are_given_away():
    labels = np.zeros((12, 12, 12), dtype=int)
    labels[2:8, 2:8, 2:8] = 1
    labels[10, 10, 10] = 1
    labels[4, 4, 4] = 5
    kept = mesh_labels(labels, 1.0)
    assert [(r.region, r.n_voxels, r.n_parts) for r in kept.report.regions] == [(1, 216, 2), (5, 1, 1)]
    assert_sound(kept.mesh)
    given = mesh_labels(labels, 1.0, smallest_part=5)
    assert [(r.region, r.n_voxels, r.n_parts) for r in given.report.regions] == [(1, 215, 1), (5, 1, 1)]
    assert given.report.joined == {1: 1}


def test_an_edge_length_may_be_asked_for():
    labels = ball(9.0, (22, 22, 22)).astype(int)
    mesh = cf.mesh_from_labels(labels, 1.0, edge=2.5)
    assert_sound(mesh)
    assert topology.edge_lengths(mesh).mean() == pytest.approx(2.5, rel=0.2)
    assert mesh.region_volume(1) == pytest.approx(labels.sum(), rel=5e-3)


def test_flat_voxels_give_good_triangles():
    labels = ball(9.0, (22, 22, 22))[::4].astype(int)
    made = mesh_labels(labels, (4.0, 1.0, 1.0))
    assert made.report.min_angle >= 12 and abs(made.report.regions[0].volume_error) < 5e-3
    assert_sound(made.mesh)


def test_numbers_may_be_huge_and_many():
    labels = np.zeros((3, 3, 7), dtype=np.uint64)
    labels[1, 1, 1], labels[1, 1, 3], labels[1, 1, 5] = 1, 2**40, 2**62
    assert cf.mesh_from_labels(labels, 1.0).region_ids == (1, 2**40, 2**62)
    filled = cf.mesh_from_labels(labels, 1.0).with_filling({2**40: 3.0})
    assert filled.jump is not None and set(filled.jump) == {0.0, 3.0}


@pytest.mark.slow
def test_more_cells_than_16_bits_hold():
    labels = np.arange(1, 41 * 41 * 41 + 1).reshape(41, 41, 41)
    mesh = cf.mesh_from_labels(labels, 1.0, smoothing=0)
    assert len(mesh.region_ids) == 41**3 > 65_535


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.ones((4, 4)), VolumeError, "2D"),
        (np.zeros((4, 4, 4), int), VolumeError, "every voxel has label 0"),
        (np.full((2, 2, 2), -1), VolumeError, "from -1"),
        (np.full((2, 2, 2), 0.5), VolumeError, "not whole"),
        (np.full((2, 2, 2), np.nan), VolumeError, "not whole"),
        (np.full((2, 2, 2), 2**63, np.uint64), VolumeError, "2 \\*\\* 63"),
        (np.ones((2, 2, 2, 2), int), VolumeError, "three axes"),
        (np.full((2, 2, 2), "a"), VolumeError, "whole numbers"),
    ],
)
def test_bad_labels_are_refused_with_the_cause(labels, error, message):
    with pytest.raises(error, match=message):
        cf.mesh_from_labels(labels, 1.0)


def test_bad_options_are_refused():
    labels = np.ones((3, 3, 3), dtype=int)
    with pytest.raises(GridError, match="spacing is 0"):
        cf.mesh_from_labels(labels, 0.0)
    with pytest.raises(ConfigError, match="edge is -1"):
        cf.mesh_from_labels(labels, 1.0, edge=-1.0)
    with pytest.raises(ConfigError, match="smoothing is -1"):
        cf.mesh_from_labels(labels, 1.0, smoothing=-1)


def test_real_ragged_labels():
    path = DATA / "images" / "embryo_crop_t1_labels.tif"
    if not path.exists():
        pytest.skip("needs CYTOFORM_TEST_DATA with images/embryo_crop_t1_labels.tif")
    volume = cf.read_volume(path)
    labels = np.asarray(volume.data)[:30, :60, :80]
    made = mesh_labels(labels, volume.grid.spacing)
    assert made.mesh.region_ids == tuple(np.unique(labels[labels > 0]).tolist())
    assert_sound(made.mesh)
    assert made.report.min_angle >= 12
    assert all(abs(row.volume_error) < 5e-3 for row in made.report.regions if row.n_voxels > 1000)
