"""Bright neighbours: which voxels are theirs, and their light."""

import numpy as np
import pytest
from fitting.simulated import PAIR_PLACES, PAIR_SHAPE, PAIR_SPACING, ball, pair
from scipy import ndimage

import cytoform as cf
from cytoform.fitting.bodies.surface import SurfaceBody
from cytoform.fitting.neighbours import estimate_neighbour_light, neighbour_mask
from cytoform.fitting.scene import Scene
from cytoform.masks import mesh_to_mask
from cytoform.mesh import shapes, topology
from cytoform.metrics import surface_distances
from cytoform.rendering import Renderer


def neighbours_beyond(inside, candidates, volume, reach, cell=None):
    scene = Scene(volume)
    return neighbour_mask(inside, scene.distance_from(inside), candidates, scene, reach, cell)


def test_neighbours_are_what_lies_beyond_the_membrane_between():
    (mine, yours), _, volume, _ = pair()
    near = shapes.ellipsoid((0.9, 2.0, 2.2), tuple(PAIR_PLACES[0]), edge=0.3)  # inside the cell
    others = np.zeros(PAIR_SHAPE, dtype=bool)
    others[:, :, 30:] = True  # the neighbour, and some of the cell's own membrane
    found = neighbours_beyond(mesh_to_mask(near, volume.grid), others, volume, 1.0)
    own, theirs = (mesh_to_mask(m, volume.grid) for m in (mine, yours))
    assert not found[own].any() and found[theirs].mean() > 0.9


def test_a_membrane_far_from_the_start_is_not_a_neighbours_where_the_object_is_known():
    (mine, yours), _, volume, _ = pair()
    small = mesh_to_mask(shapes.icosphere(0.6, tuple(PAIR_PLACES[0] - [0.0, 0.0, 1.2])), volume.grid)
    whole = shapes.ellipsoid((1.5, 2.65, 2.9), tuple(PAIR_PLACES[0]), edge=0.3)  # its membrane with it
    own, theirs, within = (mesh_to_mask(m, volume.grid) for m in (whole, yours, mine))
    others = np.zeros(PAIR_SHAPE, dtype=bool)
    others[:, :, 26:] = True  # the neighbour, and the cell's own membrane, which the start has not reached
    blind = neighbours_beyond(small, others, volume, 1.0)
    told = neighbours_beyond(small, others, volume, 1.0, own)
    assert blind[within].mean() > 0.2  # without it the membrane is given away, its inner half too
    assert told[within].mean() < 0.02 and told[theirs].mean() > 0.9


def test_the_blur_of_a_membrane_that_the_surface_has_not_reached_is_no_neighbours():
    """The watershed may run from a neighbour around a cell: what is far from all that is known of it stays free."""
    (mine, yours), _, volume, _ = pair()
    low = shapes.ellipsoid((0.5, 1.9, 2.1), tuple(PAIR_PLACES[0] - [0.4, 0.0, 0.0]), edge=0.3)  # lies low in the cell
    own, theirs = (mesh_to_mask(m, volume.grid) for m in (mine, yours))
    known = theirs & (np.arange(PAIR_SHAPE[2]) > 46)
    found = neighbours_beyond(mesh_to_mask(low, volume.grid), known, volume, 1.0)
    near = ndimage.distance_transform_edt(~known, sampling=PAIR_SPACING) <= 1.0
    assert found.any() and not found[~near].any()
    assert not neighbours_beyond(own, known, volume, 9.0).any()  # nothing of them lies so far away


def test_light_of_a_neighbour_is_what_it_sends():
    (mine, _), (own, other), volume, psf = pair()
    grid = volume.grid.padded(psf.reach())
    renderer = Renderer(psf, psf.band(grid, 1e-3), device="cpu")
    body = SurfaceBody(Scene(volume), 0.3)
    emission_mask = body.emission_mask(mine, other > 0.2 * other.max())
    ones = np.ones(PAIR_SHAPE, dtype=np.float32)
    light = estimate_neighbour_light(renderer, own.astype(np.float32), volume.data, ones, emission_mask)
    inside = mesh_to_mask(mine, volume.grid)
    assert np.abs(light - other)[inside].max() < 0.05 * own.max()
    assert np.abs(light - other).mean() < 0.02 * other.max()


def test_sources_of_neighbours_do_not_make_way_for_a_surface():
    """Were they to, a surface that creeps into a neighbour would have its light for its own, and go on."""
    (mine, yours), _, volume, _ = pair()
    body, theirs = SurfaceBody(Scene(volume), 0.3), mesh_to_mask(yours, volume.grid)
    z, y, x = mine.vertices.T
    crept = mine.with_vertices(np.stack([z, y, x + 1.2 * np.clip(x - x.mean(), 0, None)], axis=1))
    inside = mesh_to_mask(crept, volume.grid)
    assert (inside & theirs).any()
    before, after = body.emission_mask(mine, theirs), body.emission_mask(crept, theirs)
    assert after[theirs].all() and before[theirs].all()
    assert (after <= before).all() and (before & ~after).any()  # what lies around them gives way


def test_blur_is_the_optics_and_its_adjoint():
    rng = np.random.default_rng(0)
    psf = cf.GaussianPSF.from_sigma((0.45, 0.3, 0.35))
    grid = cf.Grid((20, 24, 28), (0.25, 0.2, 0.2))
    renderer = Renderer(psf, psf.band(grid, 0.0), device="cpu")
    point = np.zeros(grid.shape)
    point[10, 12, 14] = 1.0
    z, y, x = (d * np.arange(n) - d * c for d, n, c in zip(grid.spacing, grid.shape, (10, 12, 14)))
    sz, sy, sx = psf.sigma
    wanted = np.exp(-0.5 * ((z / sz) ** 2)[:, None, None] - 0.5 * ((y / sy) ** 2)[:, None] - 0.5 * (x / sx) ** 2)
    wanted *= grid.voxel_volume / ((2 * np.pi) ** 1.5 * sz * sy * sx)
    np.testing.assert_allclose(renderer.blur(point), wanted, atol=2e-3 * wanted.max())
    one, two = rng.normal(size=(2, *grid.shape))
    assert (renderer.blur(one) * two).sum() == pytest.approx((one * renderer.blur(two, adjoint=True)).sum(), rel=1e-9)


@pytest.mark.slow
def test_a_fit_beside_a_neighbour():
    (mine, _), (own, other), volume, psf = pair(noise=1.0)
    result = cf.fit(volume, psf=psf, config=cf.FitConfig(iterations=150, infer_psf=False, edge=0.35, device="cpu"))
    apart = surface_distances(result.mesh, mine, n_points=4000)
    assert apart.mean < 0.05 and topology.self_intersections(result.mesh) == 0
    assert result.r2 > 0.98 and result.r2 > result.r2_cell
    assert np.abs(result.surroundings.data - other)[result.mask].mean() < 0.03 * own.max()


@pytest.mark.slow
def test_without_neighbours_there_is_no_light():
    _, volume, psf = ball()
    result = cf.fit(volume, psf=psf, config=cf.FitConfig(iterations=4, infer_psf=False, device="cpu"))
    assert result.surroundings is None and result.r2 == result.r2_cell
