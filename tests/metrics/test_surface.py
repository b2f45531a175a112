"""Surface distances: spheres, a shift, and trimesh."""

import numpy as np
import pytest
import trimesh

from cytoform.errors import ConfigError
from cytoform.mesh.shapes import ellipsoid, icosphere, torus
from cytoform.metrics import sample_surface, surface_distances

FACETS = 5e-3  # µm, by which the flat faces of these spheres lie inside of the round one


def test_concentric_spheres():
    found = surface_distances(icosphere(5.0, subdivisions=4), icosphere(5.5, subdivisions=4), n_points=3000)
    for value in (found.mean, found.rms, found.percentile_95, found.hausdorff):
        assert value == pytest.approx(0.5, abs=5 * FACETS)


def test_a_shifted_sphere():
    found = surface_distances(icosphere(5.0, subdivisions=4), icosphere(5.0, (0, 0, 0.3), 4), n_points=20_000)
    assert found.hausdorff == pytest.approx(0.3, abs=FACETS)
    assert found.mean == pytest.approx(0.15, abs=FACETS)
    assert found.mean < found.rms < found.percentile_95 < found.hausdorff


def test_a_surface_lies_on_itself_and_the_seed_decides():
    mesh = torus(4.0, 1.0)
    assert surface_distances(mesh, mesh, n_points=500).hausdorff < 1e-12
    other = ellipsoid((3, 4, 5))
    assert surface_distances(mesh, other, n_points=500) == surface_distances(mesh, other, n_points=500)
    assert surface_distances(mesh, other, n_points=500) != surface_distances(mesh, other, n_points=500, seed=9)


def test_distances_agree_with_trimesh():
    from cytoform.metrics.surface import _point_to_surface_distances

    mesh = ellipsoid((2.0, 3.0, 4.0), (1, 1, 1), edge=0.4)
    points = sample_surface(icosphere(3.0, (1.3, 0.8, 1.0)), 200)
    other = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    try:
        expected = trimesh.proximity.closest_point_naive(other, points)[1]
    except ImportError:
        pytest.skip("this trimesh needs rtree for closest points")
    np.testing.assert_allclose(_point_to_surface_distances(points, mesh), expected, atol=1e-9)


def test_samples_lie_on_the_surface_in_proportion_to_area():
    mesh = ellipsoid((1.0, 1.0, 6.0), subdivisions=3)
    points = sample_surface(mesh, 20_000, seed=3)
    centres = mesh.vertices[mesh.faces].mean(axis=1)
    share = mesh.face_areas[np.abs(centres[:, 2]) > 3].sum() / mesh.area
    assert (np.abs(points[:, 2]) > 3).mean() == pytest.approx(share, abs=0.02)
    with pytest.raises(ConfigError, match="n_points"):
        sample_surface(mesh, 0)
