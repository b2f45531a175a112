"""Remeshing of touching cells: topology, volumes, contacts, lines and sides of the image stay."""

import numpy as np
import pytest

import cytoform as cf
from cytoform.mesh import topology
from cytoform.mesh.cells import check_cells, contacts, corners, junction_lines, remesh_cells


@pytest.fixture(scope="module")
def bubbles():
    """Three cells in a ball of 4 µm, parted by half planes that meet on the axis, and one cut by a side (low z)."""
    z, y, x = np.indices((24, 28, 28)).astype(float)
    labels = np.where((z - 12) ** 2 + (y - 12.5) ** 2 + (x - 12.5) ** 2 < 100, 1, 0)
    labels *= 1 + np.floor((np.arctan2(y - 12.5, x - 12.5) + np.pi) / (2 * np.pi / 3)).astype(int) % 3
    labels[(labels == 0) & ((z - 0) ** 2 + (y - 6) ** 2 + (x - 6) ** 2 < 20)] = 9
    return cf.mesh_from_labels(labels, 0.4)


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.6])
def test_cells_stay_the_same(bubbles, factor):
    edge = factor * topology.edge_lengths(bubbles).mean()
    made = remesh_cells(bubbles, edge)
    assert check_cells(made).sound
    assert topology.edge_lengths(made).mean() == pytest.approx(edge, rel=0.15)
    assert made.region_volumes() == pytest.approx(bubbles.region_volumes(), rel=2e-3)
    for region in bubbles.region_ids:
        old, new = bubbles.region_surface(region), made.region_surface(region)
        assert topology.euler_characteristic(new) == topology.euler_characteristic(old)
    before, after = contacts(bubbles), contacts(made)
    assert {k: c.n_pieces for k, c in after.items()} == {k: c.n_pieces for k, c in before.items()}
    here, there = made.vertices[corners(made)], bubbles.vertices[corners(bubbles)]
    apart = np.linalg.norm(here[:, None] - there, axis=2)
    assert len(here) == len(there) > 0 and apart.min(axis=1).max() < 1e-12
    assert [line.regions for line in junction_lines(made)] == [line.regions for line in junction_lines(bubbles)]
    assert topology.corner_angles(made.vertices, made.faces).min() >= 12


def test_cropped_faces_stay_in_their_plane(bubbles):
    made = remesh_cells(bubbles, 0.6)
    assert made.cropped is not None
    flat = made.vertices[made.faces[made.cropped]]
    np.testing.assert_allclose(flat[..., 0], -0.2, atol=1e-12)
    assert made.face_areas[made.cropped].sum() == pytest.approx(bubbles.face_areas[bubbles.cropped].sum(), rel=0.02)
    assert (made.density[made.cropped] == 0).all() and (made.density[~made.cropped] > 0).all()


def test_fields_and_dtype_stay_with_their_contact(bubbles):
    marked = bubbles.with_filling({1: 5.0, 9: 2.0}).astype(np.float32)
    made = remesh_cells(marked, 0.5)
    assert made.dtype == np.float32 and made.jump is not None
    value = {0: 0.0, 1: 5.0, 2: 0.0, 3: 0.0, 9: 2.0}
    expected = [value[a] - value[b] for a, b in made.labels.tolist()]
    np.testing.assert_array_equal(made.jump, expected)


def test_an_open_mesh_comes_back(bubbles, caplog):
    part = cf.MultiMaterialMesh(bubbles.vertices, bubbles.faces[5:], bubbles.labels[5:])
    assert remesh_cells(part, 0.5) is part
    assert "single face" in caplog.text
