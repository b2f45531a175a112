"""Signed distances of meshes against every sample measured to every triangle."""

import numpy as np
import pytest
from oracles.distance import mesh_sdf as oracle

from cytoform.errors import MeshError, SequenceError
from cytoform.image.volume import Grid
from cytoform.mesh.shapes import ellipsoid, icosphere, lobed_cell
from cytoform.mesh.surface import SurfaceMesh
from cytoform.sdf.distance import mesh_sdf

ROUNDING = 3e-7  # float32's, relative


def joined(*meshes):
    starts = np.cumsum([0, *(m.n_vertices for m in meshes[:-1])])
    faces = np.concatenate([m.faces + s for m, s in zip(meshes, starts)])
    return SurfaceMesh(np.concatenate([m.vertices for m in meshes]), faces)


def crumpled(seed):
    sphere, rng = icosphere(3.0, subdivisions=1), np.random.default_rng(seed)
    return sphere.with_vertices(sphere.vertices * rng.uniform(0.4, 1.6, (sphere.n_vertices, 1)))


def inverted(mesh):
    return SurfaceMesh(mesh.vertices, mesh.faces[:, ::-1])


BODIES = {
    "sphere": icosphere(3.0, (0.1, 0.2, -0.3), subdivisions=2),
    "crumpled": crumpled(1),
    "spikes": crumpled(2),
    "two": joined(icosphere(1.5, (-2, 0, 0), subdivisions=1), ellipsoid((1, 1.5, 2), (2.2, 0.3, 0), edge=0.8)),
    "hollow": joined(icosphere(4.0, subdivisions=1), inverted(icosphere(2.0, subdivisions=1))),
    "inwards": inverted(icosphere(2.5, subdivisions=1)),
}
GRIDS = {
    "isotropic": Grid((13, 14, 15), 0.77, (-4.6, -5.1, -5.3)),
    "anisotropic": Grid((7, 35, 20), (1.5, 0.3, 0.5), (-4.4, -5.05, -4.9)),
    "part": Grid((9, 8, 7), 0.4, (0.55, 0.2, 0.1)),
    "away": Grid((6, 5, 7), (2.0, 1.0, 1.5), (20.0, -30.0, 9.0)),
    "one": Grid((1, 1, 1), 1.0, (0.3, 0.2, 0.1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("body", BODIES)
def test_equals_the_oracle(body, grid):
    mesh, where = BODIES[body], GRIDS[grid]
    found = mesh_sdf(mesh, where)
    assert found.dtype == np.float32 and found.shape == where.shape
    np.testing.assert_allclose(found, oracle(mesh.vertices, mesh.faces, where), rtol=ROUNDING, atol=1e-7)


def test_sphere_of_many_faces():
    mesh, grid = icosphere(3.0, subdivisions=5), Grid((40, 44, 48), 0.2, (-4, -4, -4))
    radius = np.sqrt(sum(c**2 for c in np.meshgrid(*grid.coordinates(), indexing="ij")))
    facets = 3.0 * (1 - np.cos(0.5 * 0.08))  # the sagitta of an edge of 0.08 rad
    assert abs(mesh_sdf(mesh, grid) - (radius - 3.0)).max() < facets


def test_clamp_is_for_the_outside():
    mesh, grid = lobed_cell(seed=1), Grid((40, 40, 40), 0.6, (-12, -12, -12))
    free, clamped = mesh_sdf(mesh, grid), mesh_sdf(mesh, grid, clamp=1.5)
    assert free.max() > 5 and free.min() < -3
    np.testing.assert_array_equal(clamped, np.minimum(free, np.float32(1.5)))


def test_far_away_of_everything():
    away = mesh_sdf(icosphere(1.0, subdivisions=1), Grid((4, 4, 4), 1.0, (1000.0, 0.0, 0.0)), clamp=3.0)
    assert (away == 3.0).all()


def test_open_surface():
    mesh = icosphere(1.0, subdivisions=1)
    with pytest.raises(MeshError, match="open"):
        mesh_sdf(SurfaceMesh(mesh.vertices, mesh.faces[1:]), GRIDS["part"])


@pytest.mark.parametrize("clamp", [0.0, -1.0, np.nan, np.inf])
def test_clamp_out_of_range(clamp):
    with pytest.raises(SequenceError, match="clamp"):
        mesh_sdf(BODIES["sphere"], GRIDS["part"], clamp=clamp)
