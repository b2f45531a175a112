"""Surfaces of masks, against bodies with a formula."""

import numpy as np
import pytest
from oracles.distance import capsule, ellipsoid, positions, sphere
from scipy import ndimage

from cytoform.errors import VolumeError
from cytoform.image.volume import Grid
from cytoform.masks import mesh_to_mask
from cytoform.mesh import topology
from cytoform.mesh.shapes import lobed_cell
from cytoform.sdf.distance import mesh_sdf
from cytoform.sdf.surface import mask_surface

EDGE = 0.1  # µm, the smaller voxel edge
BAND = 3.0  # smaller edges around the surface, where the error counts
BAR = 0.2  # smaller edges of mean absolute error that are allowed
CUBIC, SLICES = 0.06, 0.12  # what is reached, in smaller edges, with cubic voxels and with slices 5 edges apart

TURN = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
BODIES = {
    "small sphere": (8, lambda p: sphere(p, 0.8, [0.11, 0.03, -0.04])),
    "sphere": (14, lambda p: sphere(p, 1.4, [-0.17, 0.02, 0.01])),
    "ellipsoid": (14, lambda p: ellipsoid(p, (1.4, 1.0, 0.8), [0.2, 0.01, -0.03], TURN)),
    "capsule": (16, lambda p: capsule(p, 0.8, 1.6, [0.05, 0.02, 0.03], TURN[0])),
}


def box(edges, spacing):
    shape = [2 * int(np.ceil((edges + 8) * EDGE / s)) + 1 for s in spacing]
    return Grid(shape, spacing, [-0.5 * (n - 1) * s for n, s in zip(shape, spacing)])


def mean_error(found, true):
    return abs(found - true)[abs(true) < BAND * EDGE].mean() / EDGE


@pytest.mark.slow
@pytest.mark.parametrize("spacing, reached", [((0.1, 0.1, 0.1), CUBIC), ((0.5, 0.1, 0.1), SLICES)])
@pytest.mark.parametrize("body", BODIES)
def test_distance_of_smooth_bodies(body, spacing, reached):
    edges, distance = BODIES[body]
    coarse, fine = box(edges, spacing), box(edges, (EDGE, EDGE, EDGE))
    mask = distance(positions(coarse)) < 0
    surface = mask_surface(mask, coarse)
    assert topology.is_closed(surface) and topology.euler_characteristic(surface) == 2
    for grid in (coarse, fine):
        assert mean_error(mesh_sdf(surface, grid), distance(positions(grid))) < reached
    np.testing.assert_array_equal(mesh_to_mask(surface, coarse), mask)


def test_slices_along_another_axis():
    _, distance = BODIES["ellipsoid"]
    grid = box(14, (0.1, 0.5, 0.1))
    surface = mask_surface(distance(positions(grid)) < 0, grid)
    fine = box(14, (EDGE, EDGE, EDGE))
    assert mean_error(mesh_sdf(surface, fine), distance(positions(fine))) < BAR  # three slices show it


def test_a_cell_with_bumps():
    cell = lobed_cell(seed=1)
    cell = cell.with_vertices(cell.vertices * 0.16)
    grid, fine = box(19, (0.5, 0.1, 0.1)), box(19, (EDGE, EDGE, EDGE))
    surface = mask_surface(mesh_to_mask(cell, grid), grid)
    assert mean_error(mesh_sdf(surface, fine), mesh_sdf(cell, fine)) < BAR


def filopodium(oblique):
    z, y, x = np.indices((40, 40, 56))
    body = (z - 20) ** 2 + (y - 20) ** 2 + (x - 16) ** 2 < 100
    dz, dy = z - 19.5 - oblique * 0.4 * (x - 20), y - 19.5 - oblique * 0.3 * (x - 20)
    return body | ((abs(dz) < 1) & (abs(dy) < 1) & (x > 15) & (x < 48))


def two_bodies():
    z, y, x = np.indices((36, 36, 56))
    return ((z - 12) ** 2 + (y - 18) ** 2 + (x - 16) ** 2 < 80) | ((z - 22) ** 2 + (y - 18) ** 2 + (x - 40) ** 2 < 110)


@pytest.mark.slow
@pytest.mark.parametrize("slices", [1, 5])
@pytest.mark.parametrize("mask", [filopodium(0), filopodium(1), two_bodies()], ids=["thin", "oblique", "two"])
def test_thin_and_several_bodies_survive(mask, slices):
    mask = mask[::slices]
    if slices > 1:
        mask = mask & (ndimage.label(mask)[0] > 0)
    grid = Grid(mask.shape, (0.1 * slices, 0.1, 0.1))
    surface = mask_surface(mask, grid)
    assert topology.is_closed(surface)
    np.testing.assert_array_equal(mesh_to_mask(surface, grid), mask)
    if slices == 1:
        assert len(np.unique(topology.components(surface))) == ndimage.label(mask, np.ones((3, 3, 3)))[1]


def test_closed_at_the_border():
    mask = filopodium(0)[18:]
    grid = Grid(mask.shape, 0.1)
    surface = mask_surface(mask, grid)
    assert topology.is_closed(surface) and surface.bounds[0][0] > -0.1
    np.testing.assert_array_equal(mesh_to_mask(surface, grid), mask)


@pytest.mark.slow
@pytest.mark.parametrize("mask", [np.ones((1, 1, 1)), np.ones((4, 5, 6)), np.eye(5)[None], np.ones((1, 9, 9))])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (5, 1, 1), (0.2, 1, 1), (1.3, 1, 1.1)])
def test_odd_masks_keep_their_voxels(mask, spacing):
    surface = mask_surface(mask, spacing)
    assert topology.is_closed(surface) and surface.volume > 0
    np.testing.assert_array_equal(mesh_to_mask(surface, Grid(mask.shape, spacing)), mask > 0)


@pytest.mark.parametrize("mask, message", [(np.zeros((4, 4, 4)), "empty"), (np.ones((4, 4)), "axes")])
def test_masks_without_a_body(mask, message):
    with pytest.raises(VolumeError, match=message):
        mask_surface(mask, 1.0)


def test_mask_that_does_not_fit_the_grid():
    with pytest.raises(VolumeError, match="expected"):
        mask_surface(np.ones((3, 3, 3)), Grid((3, 3, 4), 1.0))
