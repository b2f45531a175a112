"""A given start and the cell that it means."""

import numpy as np
import pytest
from fitting.simulated import ball

import cytoform as cf
from cytoform.fitting.scene import Scene
from cytoform.fitting.start import alignment
from cytoform.masks import mesh_to_mask
from cytoform.mesh import shapes, topology
from cytoform.metrics import mesh_iou

SHAPE = (36, 44, 44)


def object_overlapping(start, volume):
    return alignment.object_overlapping(mesh_to_mask(start, volume.grid), Scene(volume))


def aligned_to(start, mask, volume):
    return alignment.aligned_to(start, mesh_to_mask(start, volume.grid), mask, volume.grid)


def cell(radius=2.6, **more):
    return ball(radius=radius, shape=SHAPE, spacing=(0.2, 0.2, 0.2), **more)


@pytest.mark.parametrize(("scale", "shift"), [(0.4, 0.0), (1.0, 0.0), (1.6, 0.0), (1.0, 1.5)])
def test_a_start_means_the_cell_that_it_overlaps(scale, shift):
    truth, volume, _ = cell()
    start = shapes.icosphere(scale * 2.6, volume.grid.centre + np.array([0.0, shift, 0.0]), 3)
    own = object_overlapping(start, volume)
    inside = mesh_to_mask(truth, volume.grid)
    assert own[inside].all() and own.sum() < 2.0 * inside.sum()


def test_the_cell_is_told_from_another_one():
    wide = (36, 44, 90)
    place = np.array([3.5, 4.3, 4.3])
    truth, volume, _ = ball(radius=2.6, shape=wide, spacing=(0.2,) * 3, centre=place)
    other, second, _ = ball(radius=2.0, shape=wide, spacing=(0.2,) * 3, centre=place + np.array([0.0, 0.0, 5.5]))
    both = cf.Volume(np.maximum(volume.data, second.data), 0.2)
    for mine, yours in ((truth, other), (other, truth)):
        own = object_overlapping(shapes.icosphere(1.0, mine.vertices.mean(axis=0), 3), both)
        first, last = mesh_to_mask(mine, both.grid), mesh_to_mask(yours, both.grid)
        assert own[first].mean() > 0.95 and own[last].mean() < 0.1


def test_darkness_and_nets_of_membranes_mean_nothing():
    _, volume, _ = cell()
    corner = shapes.icosphere(0.5, (0.6, 0.6, 0.6), 2)
    assert object_overlapping(corner, volume) is None
    walls = np.zeros((40, 40, 40))
    walls[::10], walls[:, ::10], walls[:, :, ::10] = 1.0, 1.0, 1.0  # a block of cells, nothing dark in its depth
    block = cf.Volume(np.pad(walls, 6), 0.2)
    assert object_overlapping(shapes.icosphere(1.5, block.grid.centre, 2), block) is None


def test_moved_onto_has_the_objects_moments():
    truth, volume, _ = cell()
    mask = mesh_to_mask(truth, volume.grid)
    start = shapes.icosphere(1.5, volume.grid.centre + 0.7, 4)
    moved = aligned_to(start, mask, volume)
    points, wanted = (volume.grid.to_um(np.argwhere(m)) for m in (mesh_to_mask(moved, volume.grid), mask))
    np.testing.assert_allclose(points.mean(axis=0), wanted.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(np.cov(points.T), np.cov(wanted.T), rtol=0.04, atol=0.01)  # of voxels: some 7 a radius
    assert mesh_iou(moved, truth, 0.1) > 0.97  # an ellipsoid's moments are all there is to it


def test_moving_turns_nothing_and_keeps_the_topology():
    _, volume, _ = cell()
    mask = mesh_to_mask(shapes.torus(2.4, 0.8, tuple(volume.grid.centre)), volume.grid)
    ring = shapes.torus(1.5, 0.6, tuple(volume.grid.centre + 0.4))
    moved = aligned_to(ring, mask, volume)
    assert topology.genus(moved) == 1
    before, after = (m.vertices - m.vertices.mean(axis=0) for m in (ring, moved))
    stretch = np.linalg.lstsq(before, after, rcond=None)[0]
    np.testing.assert_allclose(stretch, stretch.T, atol=1e-8)
    assert np.linalg.eigvalsh(0.5 * (stretch + stretch.T)).min() > 0


@pytest.mark.slow
def test_a_good_start_is_left_where_it_is():
    truth, volume, psf = cell()
    config = cf.FitConfig(iterations=3, infer_psf=False, edge=0.45, device="cpu")
    result = cf.fit(volume, truth, psf, config)
    assert mesh_iou(result.mesh, truth, 0.1) > 0.97


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "shift"), [(0.4, 0.0), (1.6, 0.0), (1.0, 2.0)])
def test_poor_starts_end_where_good_ones_do(scale, shift):
    truth, volume, psf = cell()
    start = shapes.icosphere(scale * 2.6, volume.grid.centre + np.array([0.0, shift, 0.0]), 3)
    config = cf.FitConfig(iterations=90, infer_psf=False, edge=0.45, device="cpu")
    result = cf.fit(volume, start, psf, config)
    assert mesh_iou(result.mesh, truth, 0.1) > 0.97
