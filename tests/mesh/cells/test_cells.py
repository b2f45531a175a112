"""Contacts, junction lines, angles, defects and repair of touching cells, against closed forms."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

import cytoform as cf
from cytoform.errors import MeshError
from cytoform.mesh import topology
from cytoform.mesh.cells import check_cells, contacts, corners, dihedral_angles, junction_lines, repair_cells

DATA = Path(os.environ.get("CYTOFORM_TEST_DATA", "/nonexistent"))


def four_blocks():
    """Four blocks of 4 × 4 × 4 voxels, numbered 1 to 4, that share an edge of length 4 along z."""
    labels = np.zeros((8, 12, 12), dtype=int)
    for k, (y, x) in enumerate(((2, 2), (2, 6), (6, 2), (6, 6)), 1):
        labels[2:6, y : y + 4, x : x + 4] = k
    return cf.mesh_from_labels(labels, 1.0, smoothing=0)


def test_blocks_have_their_contacts():
    found = contacts(four_blocks())
    assert {k: c.area for k, c in found.items()} == pytest.approx(
        {**{(0, k): 64.0 for k in (1, 2, 3, 4)}, (1, 2): 16.0, (1, 3): 16.0, (2, 4): 16.0, (3, 4): 16.0}, rel=1e-12
    )
    assert all(c.n_pieces == 1 for c in found.values())


def test_blocks_have_their_lines_and_corners():
    mesh = four_blocks()
    lines = {line.regions: line for line in junction_lines(mesh)}
    assert sorted(lines) == [(0, 1, 2), (0, 1, 3), (0, 2, 4), (0, 3, 4), (1, 2, 3, 4)]
    assert len(junction_lines(mesh)) == 5
    assert lines[(1, 2, 3, 4)].length == pytest.approx(4.0) and not lines[(1, 2, 3, 4)].closed
    assert lines[(0, 1, 2)].length == pytest.approx(12.0)
    np.testing.assert_allclose(np.unique(mesh.vertices[corners(mesh)], axis=0), [[1.5, 5.5, 5.5], [5.5, 5.5, 5.5]])


def test_blocks_have_right_angles():
    angles = dihedral_angles(four_blocks())
    ends, regions, table = angles[(1, 2, 3, 4)]
    assert regions.tolist() == [1, 2, 3, 4] and len(ends) == 4
    np.testing.assert_allclose(table, 90.0)
    np.testing.assert_allclose(angles[(0, 1, 2)][2], np.tile([180.0, 90.0, 90.0], (12, 1)))


def test_two_boxes_share_one_closed_line():
    labels = np.zeros((8, 8, 12), dtype=int)
    labels[2:6, 2:6, 2:6], labels[2:6, 2:6, 6:10] = 1, 2
    (line,) = junction_lines(cf.mesh_from_labels(labels, 0.5, smoothing=0))
    assert line.closed and line.length == pytest.approx(8.0) and line.regions == (0, 1, 2) and not line.cropped


def test_defects_are_found():
    mesh = four_blocks()
    assert check_cells(mesh).sound
    missing = dataclasses.replace(mesh, faces=mesh.faces[1:], labels=mesh.labels[1:], density=None)
    assert check_cells(missing).open_regions == tuple(sorted(mesh.labels[0].tolist()))
    turned = dataclasses.replace(mesh, faces=topology.reverse_faces(mesh.faces, np.arange(mesh.n_faces) == 5))
    assert len(check_cells(turned).bad_windings) == 6  # three edges, two regions each
    inside_out = dataclasses.replace(mesh, labels=mesh.labels[:, ::-1])
    assert check_cells(inside_out).negative_regions.tolist() == [1, 2, 3, 4]
    twice = dataclasses.replace(
        mesh, faces=np.concatenate([mesh.faces, mesh.faces[:1]]), labels=np.concatenate([mesh.labels, mesh.labels[:1]]),
        density=None,
    )  # fmt: skip
    assert check_cells(twice).duplicate_faces.tolist() == [mesh.n_faces]
    points = mesh.vertices.copy()
    points[mesh.faces[0, 0]] = points[mesh.faces[0, 1]]
    assert 0 in check_cells(mesh.with_vertices(points)).empty_faces


def two_tetrahedra_at_an_edge():
    """Two tetrahedra of one region that share an edge only."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0.5, 1, 0.3], [0.5, 1, -0.3], [0.5, -1, 0.3], [0.5, -1, -0.3]], float)
    faces = []
    for c, d in ((2, 3), (4, 5)):
        for face in ((0, 1, c), (0, 1, d), (0, c, d), (1, c, d)):
            rest = points[({0, 1, c, d} - set(face)).pop()]
            normal = -np.cross(points[face[1]] - points[face[0]], points[face[2]] - points[face[0]])
            faces.append(face if normal @ (rest - points[face[0]]) < 0 else face[::-1])
    return cf.MultiMaterialMesh(points, faces, [(1, 0)] * 8)


def test_touching_sheets_are_parted():
    mesh = two_tetrahedra_at_an_edge()
    assert check_cells(mesh).pinched_edges.tolist() == [[0, 0, 1], [1, 0, 1]]
    repaired = repair_cells(mesh)
    assert repaired.after.sound and repaired.mesh.n_vertices == 8
    assert repaired.changes == ("parted sheets that only touched, at 2 vertices",)
    assert repaired.mesh.region_volume(1) == pytest.approx(mesh.region_volume(1), rel=0.05)


def test_random_windings_are_repaired():
    mesh = four_blocks()
    turn = np.random.default_rng(0).random(mesh.n_faces) < 0.4
    broken = dataclasses.replace(mesh, faces=topology.reverse_faces(mesh.faces, turn))
    repaired = repair_cells(broken)
    assert repaired.after.sound and not repaired.before.closed
    np.testing.assert_array_equal(repaired.mesh.faces, mesh.faces)
    assert f"turned {turn.sum()} faces" in repaired.changes[0]


def test_an_open_region_is_refused():
    mesh = four_blocks()
    with pytest.raises(MeshError, match=r"cannot be repaired.*region is open"):
        repair_cells(dataclasses.replace(mesh, faces=mesh.faces[1:], labels=mesh.labels[1:], density=None))


def test_a_sound_mesh_comes_back_itself():
    mesh = four_blocks()
    assert repair_cells(mesh).mesh is mesh


def test_a_real_file_with_broken_windings():
    path = DATA / "meshes" / "cell4.rec"
    if not path.exists():
        pytest.skip("needs CYTOFORM_TEST_DATA with meshes/cell4.rec")
    repaired = repair_cells(cf.read_mesh(path))
    assert not repaired.before.sound and repaired.after.sound
    assert all(volume > 0 for volume in repaired.mesh.region_volumes().values())
    surfaces = repaired.mesh.regions().values()
    assert [topology.euler_characteristic(s) for s in surfaces] == [2, 2, 2, 2]
