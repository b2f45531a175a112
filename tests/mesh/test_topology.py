"""Counts known by hand, and trimesh and networkx as independent witnesses."""

import networkx
import numpy as np
import pytest
import trimesh

from cytoform.errors import MeshError
from cytoform.mesh import topology
from cytoform.mesh.shapes import dividing_cell, icosphere, torus
from cytoform.mesh.surface import SurfaceMesh


def joined(*meshes):
    offsets = np.cumsum([0] + [m.n_vertices for m in meshes])
    return SurfaceMesh(
        np.concatenate([m.vertices for m in meshes]), np.concatenate([m.faces + o for m, o in zip(meshes, offsets)])
    )


def test_edges_agree_with_trimesh():
    mesh = torus(5, 2)
    other = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    mine = topology.edges(mesh)
    theirs = np.unique(other.edges_unique, axis=0)
    assert (mine == theirs).all()


def test_sphere_and_torus():
    for mesh, genus in ((icosphere(), 0), (torus(5, 2), 1)):
        assert topology.is_closed(mesh) and topology.is_manifold(mesh) and topology.is_oriented(mesh)
        assert topology.euler_characteristic(mesh) == 2 - 2 * genus
        assert topology.genus(mesh) == genus
        assert len(topology.boundary_edges(mesh)) == 0


def test_genus_adds_over_components():
    mesh = joined(torus(5, 2), icosphere(centre=(20, 0, 0)), torus(5, 2, (40, 0, 0)))
    assert topology.genus(mesh) == 2


def test_components_agree_with_networkx():
    mesh = joined(icosphere(subdivisions=1), icosphere(centre=(5, 0, 0), subdivisions=1), torus(5, 2, (20, 0, 0)))
    labels = topology.components(mesh)
    graph = networkx.Graph(topology.edges(mesh).tolist())
    assert labels.max() + 1 == networkx.number_connected_components(graph) == 3
    for part in networkx.connected_components(graph):
        inside = np.isin(mesh.faces[:, 0], list(part))
        assert len(np.unique(labels[inside])) == 1


def test_a_hole_is_found():
    mesh = icosphere(subdivisions=1)
    opened = SurfaceMesh(mesh.vertices, mesh.faces[1:])
    assert not topology.is_closed(opened)
    assert not topology.is_manifold(opened) and topology.is_manifold(opened, boundary=True)
    boundary = {tuple(e) for e in topology.boundary_edges(opened)}
    assert boundary == {tuple(sorted((mesh.faces[0, c], mesh.faces[0, (c + 1) % 3]))) for c in range(3)}
    with pytest.raises(MeshError, match="closed"):
        topology.genus(opened)


def test_two_pieces_that_touch_in_a_vertex_are_closed_but_not_manifold():
    one, two = icosphere(subdivisions=1), icosphere(centre=(5, 0, 0), subdivisions=1)
    faces = np.concatenate([one.faces, two.faces + one.n_vertices])
    faces[faces == one.n_vertices] = 0
    mesh = SurfaceMesh(np.concatenate([one.vertices, two.vertices]), faces)
    assert topology.is_closed(mesh) and not topology.is_manifold(mesh)


def test_three_faces_at_an_edge_are_not_manifold():
    faces = np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]])
    assert not topology.is_manifold(faces, boundary=True)


def test_orientation_is_mended_piece_by_piece():
    rng = np.random.default_rng(0)
    mesh = joined(icosphere(), torus(5, 2, (20, 0, 0)))
    mixed = SurfaceMesh(mesh.vertices, topology.reverse_faces(mesh.faces, rng.random(mesh.n_faces) < 0.4))
    assert not topology.is_oriented(mixed)
    mended = topology.orient_outward(mixed)
    assert topology.is_oriented(mended)
    assert mended.volume == pytest.approx(mesh.volume, rel=1e-12)
    inside_out = SurfaceMesh(mesh.vertices, mesh.faces[:, ::-1])
    assert topology.orient_outward(inside_out).volume == pytest.approx(mesh.volume, rel=1e-12)


def test_a_moebius_band_is_refused():
    n = 10
    i = np.arange(n)
    top, bottom = 2 * i, 2 * i + 1
    next_top, next_bottom = np.roll(top, -1), np.roll(bottom, -1)
    next_top[-1], next_bottom[-1] = next_bottom[-1], next_top[-1]
    faces = np.concatenate([np.stack([top, bottom, next_top], 1), np.stack([bottom, next_bottom, next_top], 1)])
    with pytest.raises(MeshError, match="one side"):
        topology.orient_outward(SurfaceMesh(np.random.default_rng(0).normal(size=(2 * n, 3)), faces))


def test_quality_of_an_equilateral_and_of_broken_faces():
    tetrahedron = SurfaceMesh(
        np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]),
        np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]]),
    )
    found = topology.quality(tetrahedron)
    assert found.min_angle == pytest.approx(60) and found.max_aspect == pytest.approx(1.0)
    assert found.edge_mean == pytest.approx(np.sqrt(8)) and found.edge_std == pytest.approx(0, abs=1e-12)
    assert found.sound
    line = SurfaceMesh(np.array([[0.0, 0, 0], [0, 0, 1], [0, 0, 2]]), np.array([[0, 1, 2]]))
    assert topology.quality(line).n_zero_area == 1 and topology.quality(line).max_aspect == np.inf


def test_a_fold_is_found_whatever_the_winding():
    vertices = np.array([[0.0, 0, 0], [0, 0, 1], [0, 1, 0.4], [0.01, 0.9, 0.5]])
    for faces in ([[0, 1, 2], [1, 0, 3]], [[0, 1, 2], [0, 1, 3]]):
        assert topology.quality(SurfaceMesh(vertices, np.array(faces))).n_folded == 2
    flat = vertices * [[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, -1, 1]]
    assert topology.quality(SurfaceMesh(flat, np.array([[0, 1, 2], [1, 0, 3]]))).n_folded == 0


def test_no_intersections_in_sound_shapes():
    for mesh in (icosphere(), torus(5, 2), dividing_cell()):
        assert topology.self_intersections(mesh) == 0


def test_intersections_agree_with_a_sampled_witness():
    # Two spheres that overlap: a pair of faces meets when an edge of one passes through the other.
    one, two = icosphere(subdivisions=2), icosphere(centre=(0.3, 0.9, 0.5), subdivisions=2)
    assert topology.self_intersections(joined(one, two)) == crossing_pairs(one, two) > 0


def crossing_pairs(one, two):
    pairs = set()
    for a, b, turn in ((one, two, False), (two, one, True)):
        corners = b.vertices[b.faces]
        for f, face in enumerate(a.faces):
            for c in range(3):
                p, q = a.vertices[face[c]], a.vertices[face[(c + 1) % 3]]
                for g in np.flatnonzero(segment_hits(p, q, corners)):
                    pairs.add((g, f) if turn else (f, g))
    return len(pairs)


def segment_hits(p, q, corners):
    def side(a, b, c, d):
        return np.sign(np.einsum("ni,ni->n", np.cross(b - a, c - a), d - a))

    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    p, q = np.broadcast_to(p, a.shape), np.broadcast_to(q, a.shape)
    across = side(a, b, c, p) != side(a, b, c, q)
    one, two, three = side(p, q, a, b), side(p, q, b, c), side(p, q, c, a)
    return across & (one == two) & (two == three)


def test_coplanar_overlap_counts_and_a_gap_does_not():
    flat = np.array([[0.0, 0, 0], [0, 0, 2], [0, 2, 0]])
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    assert topology.self_intersections(SurfaceMesh(np.concatenate([flat, flat + [0, 0.3, 0.3]]), faces)) == 1
    assert topology.self_intersections(SurfaceMesh(np.concatenate([flat, flat + [0, 1.2, 1.2]]), faces)) == 0
    assert topology.self_intersections(SurfaceMesh(np.concatenate([flat, flat + [1e-6, 0, 0]]), faces)) == 0


def test_faces_of_very_different_size_are_paired():
    big = SurfaceMesh(100 * np.array([[0.0, 0, 0], [0, 0, 1], [0, 1, 0]]), np.array([[0, 1, 2]]))
    ball = icosphere(0.5, (0.0, 20.0, 20.0), 1)
    assert topology.self_intersections(joined(big, ball)) == crossing_pairs(big, ball) > 0


def test_why_a_surface_is_not_closed_is_told_with_numbers():
    ball = icosphere(1.0)
    assert topology.describe_gaps(ball) == ""
    assert topology.describe_gaps(ball.faces[1:]) == "is open: 3 edges have only one face"
    branched = np.vstack([ball.faces, [[*ball.faces[0, :2], ball.n_vertices]]])  # a fin
    assert (
        topology.describe_gaps(branched)
        == "is open: 2 edges have only one face and branches: 1 edge has more than two faces"
    )
