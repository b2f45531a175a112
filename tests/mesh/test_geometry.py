"""Closed forms, finite differences, and the sign of orientation."""

import numpy as np
import pytest
import trimesh

from cytoform.mesh import geometry
from cytoform.mesh.shapes import ellipsoid, icosphere, torus
from cytoform.mesh.surface import SurfaceMesh

EXACT = 1e-12  # rounding of float64 sums over a few thousand faces


def box(extents_zyx=(1.0, 2.0, 3.0)):
    made = trimesh.creation.box(extents=extents_zyx[::-1])  # trimesh counts x, y, z and winds counter-clockwise
    return SurfaceMesh(np.array(made.vertices)[:, ::-1], made.faces)


def test_box_has_its_exact_area_volume_and_outward_normals():
    mesh = box()
    assert mesh.area == pytest.approx(22.0, rel=EXACT)
    assert mesh.volume == pytest.approx(6.0, rel=EXACT)
    centres = geometry.corner_points(mesh.vertices, mesh.faces).mean(axis=1)
    assert (np.einsum("ij,ij->i", mesh.normals, centres) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, rtol=EXACT)


def test_turned_faces_give_a_negative_volume():
    mesh = box()
    assert SurfaceMesh(mesh.vertices, mesh.faces[:, ::-1]).volume == pytest.approx(-6.0, rel=EXACT)


@pytest.mark.parametrize("subdivisions", [2, 3, 4])
def test_sphere_converges_at_second_order(subdivisions):
    mesh = icosphere(2.0, (5.0, -3.0, 1.0), subdivisions)
    bound = 2.0 * 4.0**-subdivisions
    assert abs(mesh.area / (16 * np.pi) - 1) < bound
    assert abs(mesh.volume / (32 * np.pi / 3) - 1) < bound


def test_torus_area_and_volume():
    mesh = torus(5.0, 2.0, n_major=200, n_minor=100)
    assert mesh.area == pytest.approx(4 * np.pi**2 * 10, rel=2e-3)
    assert mesh.volume == pytest.approx(2 * np.pi**2 * 20, rel=2e-3)


def test_agrees_with_trimesh():
    mesh = ellipsoid((2.0, 4.0, 6.0), (1.0, 2.0, 3.0))
    other = trimesh.Trimesh(mesh.vertices[:, ::-1], mesh.faces, process=False)
    np.testing.assert_allclose(mesh.face_areas, other.area_faces, rtol=1e-10)
    np.testing.assert_allclose(mesh.normals[:, ::-1], other.face_normals, atol=1e-10)
    assert mesh.volume == pytest.approx(other.volume, rel=1e-10)
    np.testing.assert_allclose(geometry.surface_centroid(mesh.vertices, mesh.faces)[::-1], other.centroid, atol=1e-10)


def test_volume_does_not_depend_on_the_place():
    mesh = icosphere(1.0)
    assert mesh.with_vertices(mesh.vertices + 1e4).volume == pytest.approx(mesh.volume, rel=1e-10)


def test_float32_is_measured_in_float64():
    mesh = icosphere(1.0)
    assert mesh.astype(np.float32).face_areas.dtype == np.float64
    assert mesh.astype(np.float32).area == pytest.approx(mesh.area, rel=1e-6)


def total_area(vertices, faces, weights):
    return float((weights * geometry.face_areas(vertices, faces)).sum())


def scattered_gradient(vertices, faces, weights):
    gradient = np.zeros_like(vertices)
    np.add.at(gradient, faces, weights[:, None, None] * geometry.area_gradient(vertices, faces))
    return gradient


def test_area_gradient_against_finite_differences():
    mesh, rng = ellipsoid((1.0, 2.0, 3.0), subdivisions=1), np.random.default_rng(1)
    weights = rng.normal(size=mesh.n_faces)
    gradient, step = scattered_gradient(mesh.vertices, mesh.faces, weights), 1e-6
    for _ in range(20):
        v, axis = rng.integers(mesh.n_vertices), rng.integers(3)
        up, down = mesh.vertices.copy(), mesh.vertices.copy()
        up[v, axis] += step
        down[v, axis] -= step
        slope = (total_area(up, mesh.faces, weights) - total_area(down, mesh.faces, weights)) / (2 * step)
        assert gradient[v, axis] == pytest.approx(slope, abs=1e-8)


def test_area_gradient_is_the_adjoint_of_its_forward_derivative():
    mesh, rng = ellipsoid((1.0, 2.0, 3.0), subdivisions=1), np.random.default_rng(2)
    weights, move = rng.normal(size=mesh.n_faces), rng.normal(size=mesh.vertices.shape)
    corners, moved = mesh.vertices[mesh.faces], move[mesh.faces]
    # The derivative of ½ |(v1 − v0) × (v2 − v0)| along `move`, written out by hand.
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    d1, d2 = moved[:, 1] - moved[:, 0], moved[:, 2] - moved[:, 0]
    cross = np.cross(e1, e2)
    unit = cross / np.linalg.norm(cross, axis=1, keepdims=True)
    forward = 0.5 * np.einsum("ij,ij->i", unit, np.cross(d1, e2) + np.cross(e1, d2))
    backward = (scattered_gradient(mesh.vertices, mesh.faces, weights) * move).sum()
    assert backward == pytest.approx((weights * forward).sum(), rel=1e-12)


def test_a_face_without_area_has_no_normal_and_no_gradient():
    vertices, faces = np.array([[0.0, 0, 0], [1, 1, 1], [2, 2, 2]]), np.array([[0, 1, 2]])
    assert geometry.face_areas(vertices, faces)[0] == 0
    assert (geometry.face_normals(vertices, faces) == 0).all()
    assert (geometry.area_gradient(vertices, faces) == 0).all()


def test_edges_and_box_and_vertex_normals():
    vertices, faces = np.array([[0.0, 0, 0], [0, 3, 0], [0, 0, 4]]), np.array([[0, 1, 2]])
    np.testing.assert_allclose(geometry.edge_lengths(vertices, faces), [[5, 4, 3]])
    low, high = geometry.bounding_box(vertices)
    assert low.tolist() == [0, 0, 0] and high.tolist() == [0, 3, 4]
    sphere = icosphere(3.0)
    normals = geometry.vertex_normals(sphere.vertices, sphere.faces)
    np.testing.assert_allclose(normals, sphere.vertices / 3.0, atol=0.01)


def test_volume_gradient_against_finite_differences():
    rng = np.random.default_rng(3)
    mesh = torus(2.0, 0.7)
    vertices, faces = mesh.vertices, mesh.faces
    slope = geometry.sum_at_vertices(geometry.volume_gradient(vertices, faces), faces, len(vertices))
    move = rng.normal(size=vertices.shape)
    up, down = (geometry.enclosed_volume(vertices + s * 1e-5 * move, faces) for s in (1, -1))
    assert float((slope * move).sum()) == pytest.approx((up - down) / 2e-5, rel=1e-7)


def test_means_at_vertices_are_those_of_the_faces_around():
    faces = np.array([[0, 1, 2], [2, 1, 3]])
    np.testing.assert_allclose(geometry.mean_at_vertices(np.array([1.0, 3.0]), faces, 5), [1.0, 2.0, 2.0, 3.0, 0.0])
