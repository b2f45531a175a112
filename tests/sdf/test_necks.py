"""Two bodies under one label against one body of any other shape."""

import numpy as np
import pytest

from cytoform.image.volume import Grid
from cytoform.masks import mesh_to_mask
from cytoform.mesh.shapes import ellipsoid, lobed_cell
from cytoform.mesh.surface import SurfaceMesh
from cytoform.sdf.necks import looks_like_two
from cytoform.sdf.surface import mask_surface
from cytoform.synth import family


def two_spheres(overlap, ratio=1.0, spacing=(0.4, 0.2, 0.2)):
    """Surface of a mask of two overlapping spheres; the overlap in radii of the smaller one."""
    small = 2.0 * ratio
    apart = 2.0 + small - overlap * small
    place = Grid(tuple(int(n / d) for n, d in zip((7, 7, 11), spacing)), spacing, (-3.3, -3.4, -5.3))
    mask = mesh_to_mask(ellipsoid((2, 2, 2), (0, 0, -apart / 2), edge=0.3), place)
    mask |= mesh_to_mask(ellipsoid((small,) * 3, (0, 0, apart / 2), edge=0.3), place)
    return mask_surface(mask, place)


@pytest.mark.slow
@pytest.mark.parametrize("spacing", [(0.2, 0.2, 0.2), (0.4, 0.2, 0.2), (0.6, 0.3, 0.3)])
@pytest.mark.parametrize("overlap", [0.05, 0.15, 0.25])  # necks of 0.2, 0.4 and 0.5 radii
def test_spheres_that_touch(overlap, spacing):
    assert looks_like_two(two_spheres(overlap, spacing=spacing))


def test_unequal_spheres_that_touch():
    assert looks_like_two(two_spheres(0.1, ratio=0.7))
    assert not looks_like_two(two_spheres(0.1, ratio=0.4))  # a bleb


@pytest.mark.parametrize("spacing", [(0.2, 0.2, 0.2), (0.6, 0.3, 0.3)])
def test_spheres_that_are_one_body(spacing):
    assert not looks_like_two(two_spheres(1.0, spacing=spacing))  # a neck of 0.9 radii


def test_two_bodies_in_one_mesh():
    one = ellipsoid((1, 1, 1), edge=0.3)
    other = one.with_vertices(one.vertices + 3)
    faces = np.concatenate([one.faces, other.faces + one.n_vertices])
    assert looks_like_two(SurfaceMesh(np.concatenate([one.vertices, other.vertices]), faces))


BODIES = {
    "ball": ellipsoid((3, 3, 3), edge=0.5),
    "long": ellipsoid((1, 1, 4), edge=0.4),
    "flat": ellipsoid((0.4, 3, 4), edge=0.3),
    "lobes": lobed_cell(seed=1),
    "more lobes": lobed_cell(seed=2),
}


@pytest.mark.parametrize("body", BODIES)
def test_one_body_of_another_shape(body):
    mesh = BODIES[body]
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    for matrix in (np.eye(3), turn):
        assert not looks_like_two(mesh.with_vertices(mesh.vertices @ matrix.T))


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (1.5, 0.5, 0.5), (2.0, 0.4, 0.4)])
@pytest.mark.parametrize("body", ["long", "flat", "lobes"])
def test_one_body_seen_in_few_voxels(body, spacing):
    low, high = BODIES[body].bounds
    shape = 2 * np.ceil((high - low) / np.multiply(2, spacing)).astype(int) + 3
    grid = Grid(tuple(shape), spacing, tuple(0.5 * (low + high) - 0.5 * (shape - 1) * spacing))
    mask = mesh_to_mask(BODIES[body], grid)
    assert not looks_like_two(mask_surface(mask, grid))


@pytest.mark.parametrize("name, late", [("deforming", False), ("filopodial", False), ("dividing", True)])
def test_families(name, late):
    living = family(name).sample(1)
    assert [looks_like_two(living.surface(t)) for t in (0.0, 0.2, 1.0)] == [False, False, late]
