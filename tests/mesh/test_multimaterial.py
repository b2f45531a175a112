"""Clusters of cells: volumes by region, defaults, and repair of broken ones, made up and real."""

import numpy as np
import pytest
import trimesh

from cytoform.errors import MeshError
from cytoform.mesh import topology
from cytoform.mesh.multimaterial import MultiMaterialMesh
from cytoform.mesh.surface import SurfaceMesh


def two_boxes():
    """Two boxes, 1 × 1 × 1 (region 1) and 1 × 1 × 2 (region 2), side by side along x with a shared wall."""
    grid = np.array([[z, y, x] for x in (0.0, 1.0, 3.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])

    def quad(a, b, c, d, inside, outside):
        centre = grid[[a, b, c, d]].mean(axis=0)
        middle = grid[:8].mean(axis=0) if inside == 1 else grid[4:].mean(axis=0)
        normal = -np.cross(grid[b] - grid[a], grid[c] - grid[a])
        corners = (a, b, c, d) if normal @ (centre - middle) > 0 else (a, d, c, b)
        return [(corners[0], corners[1], corners[2]), (corners[0], corners[2], corners[3])], [(inside, outside)] * 2

    quads = [quad(0, 1, 3, 2, 1, 0), quad(4, 5, 7, 6, 1, 2), quad(8, 9, 11, 10, 2, 0)]
    for o, region in ((0, 1), (4, 2)):
        quads += [quad(o + a, o + b, o + b + 4, o + a + 4, region, 0) for a, b in ((0, 1), (1, 3), (3, 2), (2, 0))]
    faces, labels = (np.array([item for q in quads for item in q[k]]) for k in (0, 1))
    turn = np.arange(len(faces)) % 3 == 0  # labels may come in either order
    return MultiMaterialMesh(
        grid, topology.reverse_faces(faces, turn), np.where(turn[:, None], labels[:, ::-1], labels)
    )


def test_volumes_areas_and_default_density():
    mesh = two_boxes()
    assert mesh.region_ids == (1, 2)
    assert mesh.region_volumes() == pytest.approx({1: 1.0, 2: 2.0}, rel=1e-12)
    assert mesh.area == pytest.approx(6 + 9, rel=1e-12)
    assert mesh.mass == pytest.approx(14 + 2, rel=1e-12)
    assert set(mesh.density[(mesh.labels > 0).all(axis=1)]) == {2.0}


def test_region_surfaces_are_closed_and_outward():
    mesh = two_boxes()
    for region, size in ((1, 6), (2, 10)):
        surface = mesh.region_surface(region)
        assert isinstance(surface, SurfaceMesh) and topology.is_manifold(surface) and topology.is_oriented(surface)
        other = trimesh.Trimesh(surface.vertices[:, ::-1], surface.faces, process=False)
        assert other.is_watertight and other.volume == pytest.approx(mesh.region_volume(region), rel=1e-12)
        assert surface.area == pytest.approx(size)
        assert surface.n_vertices == 8
    with pytest.raises(MeshError, match="no region 7"):
        mesh.region_surface(7)
    with pytest.raises(MeshError, match="no region 0"):
        mesh.region_volume(0)


def test_normals_point_from_the_first_region_into_the_second():
    mesh = two_boxes()
    wall = np.flatnonzero((mesh.labels > 0).all(axis=1))
    for f in wall:
        assert mesh.normals[f, 2] == pytest.approx(1.0 if tuple(mesh.labels[f]) == (1, 2) else -1.0)


def test_attributes_like_a_surface():
    mesh = two_boxes()
    moved = mesh.with_vertices(mesh.vertices + 1)
    assert moved.region_volumes() == pytest.approx(mesh.region_volumes())
    assert (moved.labels == mesh.labels).all() and (moved.density == mesh.density).all()
    assert mesh.astype(np.float32).dtype == np.float32 and mesh.astype(np.float32).density.dtype == np.float32
    assert mesh.with_density(3.0).mass == pytest.approx(45.0)
    assert mesh.with_density(3.0).with_density(None).mass == pytest.approx(16.0)
    assert (mesh.n_vertices, mesh.n_faces) == (12, 22)
    assert mesh.bounds[1].tolist() == [1, 1, 3]
    with pytest.raises(MeshError, match="as before"):
        mesh.with_vertices(mesh.vertices[:3])


@pytest.mark.parametrize(
    "labels, message",
    [
        (np.zeros((22, 3), int), "shape"),
        (np.zeros((22, 2)), "whole numbers"),
        (np.full((22, 2), [-1, 0]), "-1"),
        (np.zeros((22, 2), int), "both sides"),
    ],
)
def test_bad_labels_are_refused(labels, message):
    mesh = two_boxes()
    with pytest.raises(MeshError, match=message):
        MultiMaterialMesh(mesh.vertices, mesh.faces, labels)


@pytest.mark.parametrize("seed", range(5))
def test_repair_turns_wrong_faces(seed):
    mesh = two_boxes()
    wrong = np.random.default_rng(seed).random(mesh.n_faces) < 0.4
    made = MultiMaterialMesh(mesh.vertices, topology.reverse_faces(mesh.faces, wrong), mesh.labels).repaired()
    assert made.region_volumes() == pytest.approx({1: 1.0, 2: 2.0}, rel=1e-12)
    np.testing.assert_allclose(made.normals, mesh.normals, atol=1e-12)


def test_repair_keeps_density_and_drops_what_is_empty():
    mesh = two_boxes()
    vertices = np.concatenate([mesh.vertices, mesh.vertices[:1], [[9.0, 9, 9]]])  # a copy of vertex 0, and a stray one
    a, b, c = mesh.faces[0]
    split = np.array([[12, b, c], [a, b, 12]]) if a == 0 else np.array([[0, 12, 8]])
    faces = np.concatenate([mesh.faces[1:], split])
    labels = np.concatenate([mesh.labels[1:], np.repeat(mesh.labels[:1], len(split), axis=0)])
    made = MultiMaterialMesh(vertices, faces, labels, np.arange(1.0, len(faces) + 1)).repaired()
    assert (made.n_vertices, made.n_faces) == (12, 22)
    assert topology.quality(made).n_zero_area == 0
    assert made.density.min() >= 1 and len(np.unique(made.density)) == 22
    assert all(topology.is_manifold(made.region_surface(r)) for r in (1, 2))


def test_repair_cancels_a_sheet_without_thickness():
    mesh = two_boxes()
    extra = np.array([[0, 1, 6], [0, 6, 1]])
    made = MultiMaterialMesh(
        mesh.vertices, np.concatenate([mesh.faces, extra]), np.concatenate([mesh.labels, [[1, 0], [1, 0]]])
    ).repaired()
    assert made.n_faces == mesh.n_faces


def test_repair_of_nothing_but_empty_faces_is_refused():
    line = np.array([[0.0, 0, 0], [0, 0, 1], [0, 0, 2]])
    with pytest.raises(MeshError, match="no face is left"):
        MultiMaterialMesh(line, np.array([[0, 1, 2]]), np.array([[0, 1]])).repaired()


def read_rec(path):
    lines = path.read_text().split("\n")
    n_vertices = int(lines[0])
    vertices = np.array([line.split() for line in lines[1 : 1 + n_vertices]], dtype=float)
    n_faces = int(lines[1 + n_vertices])
    rows = np.array([line.split() for line in lines[2 + n_vertices : 2 + n_vertices + n_faces]], dtype=int)
    return MultiMaterialMesh(vertices[:, ::-1], rows[:, :3], rows[:, 3:])


def test_a_real_cluster_is_repaired(data_dir):
    mesh = read_rec(data_dir / "meshes" / "cell4.rec")
    assert int(topology.zero_area_faces(mesh).sum()) == 2
    made = mesh.repaired()
    assert made.region_ids == (1, 2, 3, 4)
    assert not topology.zero_area_faces(made).any()
    assert mesh.n_faces - 20 < made.n_faces < mesh.n_faces
    for region in made.region_ids:
        surface = made.region_surface(region)
        assert not topology.interior_edges(surface)[1].any()  # neighbours agree wherever two faces meet
        assert len(topology.boundary_edges(surface)) == 0
        assert surface.volume > 1e5
    assert all(topology.is_manifold(made.region_surface(r)) for r in (2, 3, 4))  # cell 1 has an edge with four faces
    again = made.repaired()
    assert again.n_faces == made.n_faces and (again.faces == made.faces).all()
