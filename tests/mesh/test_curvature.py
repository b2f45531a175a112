"""Curvature at vertices against closed forms."""

import numpy as np
import pytest

import cytoform as cf
from cytoform.errors import MeshError
from cytoform.mesh import shapes, topology
from cytoform.mesh.curvature import _vertex_areas, curvatures


def test_a_sphere_has_the_same_everywhere():
    mesh = shapes.icosphere(2.5, subdivisions=4)
    mean, gaussian = curvatures(mesh)
    np.testing.assert_allclose(mean, 1 / 2.5, rtol=0.02)
    np.testing.assert_allclose(gaussian, 1 / 2.5**2, rtol=0.03)


def test_a_torus_has_both_signs():
    major, minor = 3.0, 1.0
    mesh = shapes.torus(major, minor, n_major=160, n_minor=60)
    mean, gaussian = curvatures(mesh)
    z, y, x = mesh.vertices.T
    rings = [np.hypot(*pair) for pair in ((y, x), (z, x), (z, y))]
    out = next(r for r in rings if np.allclose(r.max(), major + minor, rtol=1e-3)) - major  # minor · cos of the angle
    cosine = out / minor
    np.testing.assert_allclose(gaussian, cosine / (minor * (major + minor * cosine)), atol=0.02)
    wanted = (major + 2 * minor * cosine) / (2 * minor * (major + minor * cosine))
    np.testing.assert_allclose(mean, wanted, atol=0.02)


@pytest.mark.parametrize("smoothing", [0.0, 0.7])
def test_the_gaussian_curvature_adds_up_to_what_the_genus_says(smoothing):
    for mesh in (shapes.lobed_cell(2, 3.0, edge=0.5), shapes.torus(2.0, 0.7)):
        _, gaussian = curvatures(mesh, smoothing=smoothing)
        total = float(_vertex_areas(mesh.vertices, mesh.faces) @ gaussian)
        assert total == pytest.approx(4 * np.pi * (1 - topology.genus(mesh)), abs=1e-9)


def test_smoothing_calms_a_rough_surface():
    rng = np.random.default_rng(0)
    ball = shapes.icosphere(2.0, subdivisions=4)
    rough = ball.with_vertices(ball.vertices * (1 + 0.003 * rng.normal(size=(ball.n_vertices, 1))))
    plain, calm = (np.std(curvatures(rough, smoothing=s)[0]) for s in (0.0, 0.6))
    assert calm < 0.2 * plain and np.mean(curvatures(rough, smoothing=0.6)[0]) == pytest.approx(0.5, rel=0.05)


def test_what_cannot_be():
    ball = shapes.icosphere(1.0, subdivisions=1)
    with pytest.raises(MeshError, match="open"):
        curvatures(cf.SurfaceMesh(ball.vertices, ball.faces[1:]))
    with pytest.raises(MeshError, match="smoothing"):
        curvatures(ball, smoothing=-1.0)
