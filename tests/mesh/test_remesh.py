"""Remeshing keeps closed, manifold, unfolded surfaces so; on round, necked, stretched and noisy input."""

import functools
import logging
import subprocess
import sys

import numpy as np
import pytest
import trimesh

from cytoform.errors import ConfigError, MeshError
from cytoform.mesh import topology
from cytoform.mesh.closest import closest_points, interpolation_matrix, with_face_values_of
from cytoform.mesh.remesh import (
    faces_around,
    needs_remesh,
    poor_faces,
    remesh,
    untangle,
)
from cytoform.mesh.shapes import dividing_cell, ellipsoid, icosphere, sphere_of_edge, torus
from cytoform.mesh.surface import SurfaceMesh


def noisy(mesh, size, seed=0):
    return mesh.with_vertices(mesh.vertices + size * np.random.default_rng(seed).normal(size=mesh.vertices.shape))


INPUTS = {
    "sphere": lambda: sphere_of_edge(5, (0, 0, 0), 0.6),
    "dumbbell": lambda: dividing_cell(20, 5, 1.2, edge=0.5),
    "bumpy": lambda: dividing_cell(16, 4, 2, edge=0.6, bumps=0.15, seed=2),
    "stretched": lambda: ellipsoid((0.8, 4, 16), subdivisions=3),
    "noisy": lambda: noisy(sphere_of_edge(5, (0, 0, 0), 0.6), 0.12),
    "torus": lambda: torus(5, 2, n_major=30, n_minor=40),
    "two": lambda: SurfaceMesh(
        np.concatenate([icosphere(3.0).vertices, icosphere(3.0, (10, 0, 0)).vertices]),
        np.concatenate([icosphere().faces, icosphere().faces + icosphere().n_vertices]),
    ),
}


@functools.cache
def given(name):
    """One of them, made once."""
    return INPUTS[name]()


def assert_whole(mesh):
    assert topology.is_closed(mesh) and topology.is_manifold(mesh) and topology.is_oriented(mesh)
    found = topology.quality(mesh)
    assert found.n_zero_area == 0 and found.n_folded == 0


@pytest.mark.parametrize(
    "target", [pytest.param(0.5, marks=pytest.mark.slow), 0.8, pytest.param(1.2, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", INPUTS)
def test_the_result_is_whole_even_and_the_same_body(name, target):
    mesh = given(name)
    made = remesh(mesh, target)
    assert_whole(made)
    assert topology.genus(made) == topology.genus(mesh)
    assert topology.components(made).max() == topology.components(mesh).max()
    assert topology.self_intersections(made) == 0
    lengths = topology.edge_lengths(made)
    assert lengths.mean() == pytest.approx(target, rel=0.25)  # edges of 0.8 to 4/3 of the target are left alone
    assert ((lengths > 0.5 * target) & (lengths < 1.7 * target)).mean() > 0.98
    assert topology.quality(made).min_angle > 10
    other = trimesh.Trimesh(made.vertices[:, ::-1], made.faces, process=False)
    assert other.is_watertight and other.is_winding_consistent
    size = 3 * mesh.volume / mesh.area  # the radius, of a sphere; chords lie inside by about (edge / radius)²
    assert made.volume == pytest.approx(mesh.volume, rel=0.005 + 0.5 * (target / size) ** 2)


def test_the_surface_stays_where_it_was():
    made = remesh(sphere_of_edge(5, (0, 0, 0), 0.3), 0.6)
    radii = np.linalg.norm(made.vertices, axis=1)
    assert 4.98 < radii.min() and radii.max() < 5.001


@pytest.mark.slow
def test_the_same_input_gives_the_same_bits():
    mesh = given("bumpy")
    one, two = remesh(mesh, 0.7), remesh(mesh, 0.7)
    assert (one.vertices == two.vertices).all() and (one.faces == two.faces).all()


@pytest.mark.slow
def test_float32_stays_float32():
    made = remesh(given("dumbbell").astype(np.float32), 0.7)
    assert made.dtype == np.float32 and made.density.dtype == np.float32
    assert_whole(made)


def test_a_good_mesh_changes_little():
    mesh = sphere_of_edge(5, (0, 0, 0), 0.6)
    made = remesh(mesh, 0.6)
    assert made.n_faces == pytest.approx(mesh.n_faces, rel=0.1)


def test_a_boundary_stays():
    mesh = sphere_of_edge(5, (0, 0, 0), 0.5)
    keep = mesh.vertices[mesh.faces].mean(axis=1)[:, 0] > 0
    half = SurfaceMesh(mesh.vertices, mesh.faces[keep])
    rim = {tuple(half.vertices[v]) for v in topology.boundary_edges(half).reshape(-1)}
    made = remesh(half, 0.7)
    assert topology.is_manifold(made, boundary=True)
    assert rim <= {tuple(made.vertices[v]) for v in topology.boundary_edges(made).reshape(-1)}


def test_what_is_not_manifold_comes_back_untouched(caplog):
    mesh = SurfaceMesh(np.random.default_rng(0).normal(size=(5, 3)), np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]]))
    with caplog.at_level(logging.WARNING):
        assert remesh(mesh, 0.1) is mesh
    assert "not manifold" in caplog.text


def test_a_tetrahedron_survives():
    corners = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    mesh = topology.orient_outward(SurfaceMesh(corners, np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])))
    assert_whole(remesh(mesh, 50.0))
    assert topology.is_manifold(remesh(mesh, 0.4))


def test_a_zero_area_face_in_the_input_goes():
    mesh = icosphere(3.0)
    points = mesh.vertices.copy()
    points[mesh.faces[7, 0]] = points[mesh.faces[7, 1]]
    broken = mesh.with_vertices(points)
    assert topology.quality(broken).n_zero_area > 0
    assert_whole(remesh(broken, 0.5))


@pytest.mark.parametrize("target", [0.0, -1.0, np.nan])
def test_bad_targets_are_refused(target):
    with pytest.raises(ConfigError, match="target_edge"):
        remesh(icosphere(), target)
    with pytest.raises(ConfigError, match="target_edge"):
        needs_remesh(icosphere(), target)


def test_millions_of_faces_are_refused():
    with pytest.raises(MeshError, match="Raise target_edge"):
        remesh(icosphere(), 1e-4)


def test_density_follows_the_place():
    mesh = sphere_of_edge(5, (0, 0, 0), 0.4)
    upper = mesh.vertices[mesh.faces].mean(axis=1)[:, 0] > 0
    made = remesh(mesh.with_density(np.where(upper, 3.0, 1.0)), 0.6)
    height = made.vertices[made.faces].mean(axis=1)[:, 0]
    assert (made.density[height > 0.5] == 3).all() and (made.density[height < -0.5] == 1).all()
    assert set(np.unique(made.density)) == {1.0, 3.0}
    carried = with_face_values_of(mesh.with_density(2.5).with_jump(-1.5), made)
    assert (carried.density == 2.5).all() and carried.jump is not None and (carried.jump == -1.5).all()


def test_closest_points_agree_with_trimesh():
    mesh = given("bumpy")
    queries = noisy(mesh, 0.3, seed=3).vertices[::5]
    faces, closest, weights = closest_points(mesh, queries)
    other = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    expected = trimesh.proximity.closest_point_naive(other, queries)[1]
    np.testing.assert_allclose(np.linalg.norm(closest - queries, axis=1), expected, atol=1e-9)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)
    assert weights.min() > -1e-12
    np.testing.assert_allclose(np.einsum("nc,nci->ni", weights, mesh.vertices[mesh.faces[faces]]), closest, atol=1e-12)


def test_needs_remesh():
    good = sphere_of_edge(5, (0, 0, 0), 0.6)
    assert not needs_remesh(good, 0.6)
    assert needs_remesh(good, 1.5) and needs_remesh(good, 0.3)
    assert needs_remesh(noisy(good, 0.3), 0.6)
    assert needs_remesh(good.with_vertices(good.vertices * [0.1, 1, 1]), 0.6)


BOUNDS = {"shortest": 0.33, "longest": 2.0, "min_angle": 14.0}


def pinched(mesh, vertex=10):
    """With one vertex drawn nearly onto a neighbour of its."""
    other = next(int(v) for face in mesh.faces if vertex in face for v in face if v != vertex)
    points = mesh.vertices.copy()
    points[vertex] += 0.85 * (points[other] - points[vertex])
    return mesh.with_vertices(points)


def test_worn_faces_are_those_that_break_a_bound():
    good = sphere_of_edge(5, (0, 0, 0), 0.6)
    assert not poor_faces(good, 0.6, **BOUNDS).any()
    bad = pinched(good)
    worn = poor_faces(bad, 0.6, **BOUNDS)
    assert 0 < worn.sum() < 10 and (bad.faces[worn] == 10).any(axis=1).all()
    reference = np.zeros(bad.n_faces, dtype=bool)
    for f, (a, b, c) in enumerate(bad.vertices[bad.faces]):
        sides = np.array([np.linalg.norm(b - c), np.linalg.norm(c - a), np.linalg.norm(a - b)])
        x, y, z = np.sort(sides)
        least = np.degrees(np.arccos((y**2 + z**2 - x**2) / (2 * y * z)))
        reference[f] = x < 0.33 * 0.6 or z > 2 * 0.6 or least < 14.0
    np.testing.assert_array_equal(worn, reference)
    assert poor_faces(good, 0.3, **BOUNDS).any() and poor_faces(good, 1.9, **BOUNDS).any()


def test_rings_of_faces():
    mesh = icosphere(1.0, subdivisions=2)
    some = np.zeros(mesh.n_faces, dtype=bool)
    some[7] = True
    corners = {int(v) for v in mesh.faces[7]}
    one = {f for f, face in enumerate(mesh.faces) if corners & set(face.tolist())}
    corners = {int(v) for f in one for v in mesh.faces[f]}
    two = {f for f, face in enumerate(mesh.faces) if corners & set(face.tolist())}
    assert set(np.flatnonzero(faces_around(mesh, some, 1))) == one
    assert set(np.flatnonzero(faces_around(mesh, some, 2))) == two
    assert (faces_around(mesh, some, 0) == some).all()


@pytest.mark.parametrize("name", ["sphere", "dumbbell", "torus"])
def test_a_part_is_mended_and_the_rest_stays(name):
    mesh = given(name)
    edge = float(topology.edge_lengths(mesh).mean())
    bad = pinched(remesh(mesh, edge))
    worn = poor_faces(bad, edge, **BOUNDS)
    patch = faces_around(bad, worn, 3)
    assert 0 < worn.sum() and patch.sum() < 0.3 * bad.n_faces
    made = remesh(bad, edge, within=patch)
    assert_whole(made)
    assert not poor_faces(made, edge, **BOUNDS).any()
    assert topology.euler_characteristic(made) == topology.euler_characteristic(bad)

    def triangles(mesh, faces):
        return {frozenset(map(tuple, corners)) for corners in mesh.vertices[faces]}

    assert triangles(bad, bad.faces[~patch]) <= triangles(made, made.faces)
    assert triangles(bad, bad.faces[patch]) - triangles(made, made.faces)
    assert made.volume == pytest.approx(bad.volume, rel=2e-3)


def test_nothing_to_mend_is_left():
    mesh = given("sphere")
    assert remesh(mesh, 0.6, within=np.zeros(mesh.n_faces, dtype=bool)) is mesh


def test_the_whole_as_a_part_is_the_whole():
    mesh = given("bumpy")
    one, two = remesh(mesh, 0.8), remesh(mesh, 0.8, within=np.ones(mesh.n_faces, dtype=bool))
    np.testing.assert_array_equal(one.vertices, two.vertices)
    np.testing.assert_array_equal(one.faces, two.faces)


@pytest.mark.slow
def test_interpolation_is_a_mean_of_three_and_exact_at_the_vertices():
    mesh = given("dumbbell")
    matrix = interpolation_matrix(mesh, mesh.vertices)
    np.testing.assert_allclose(matrix.toarray(), np.eye(mesh.n_vertices), atol=1e-9)
    inside = mesh.vertices[mesh.faces].mean(axis=1)
    matrix = interpolation_matrix(mesh, inside)
    assert matrix.shape == (mesh.n_faces, mesh.n_vertices)
    np.testing.assert_allclose(matrix @ mesh.vertices, inside, atol=1e-9)
    np.testing.assert_allclose(np.asarray(matrix.sum(axis=1)), 1.0)


def test_untangle_irons_out_folds_and_leaves_the_rest():
    mesh = sphere_of_edge(5, (0, 0, 0), 0.5)
    points = mesh.vertices.copy()
    spot = np.argsort(np.linalg.norm(points - [5, 0, 0], axis=1))[:6]
    points[spot] += np.random.default_rng(0).normal(size=(6, 3)) * 0.8
    folded = mesh.with_vertices(points)
    assert topology.quality(folded).n_folded > 0
    made = untangle(folded)
    assert_whole(made)
    far = mesh.vertices[:, 0] < 0
    assert (made.vertices[far] == mesh.vertices[far]).all()
    assert untangle(mesh) is mesh


def test_import_is_light():
    code = "import sys, cytoform.mesh.remesh as r; print(sorted({'numba', 'torch', 'gpytoolbox'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
