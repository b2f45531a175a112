"""Junction lines against counting by hand."""

from collections import Counter
from itertools import combinations

import numpy as np
from oracles.bubbles import double_bubble

from cytoform.mesh.junctions import find_junctions, interface_numbers

# A closed box wall of two rooms would be long to write down: three fans of triangles around one axis do.
FANS = np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4], [1, 5, 2], [1, 5, 3], [1, 5, 4], [0, 6, 2]])


def test_edges_are_those_with_three_faces():
    found = find_junctions(FANS, 7)
    counts = Counter(tuple(sorted(pair)) for face in FANS.tolist() for pair in combinations(face, 2))
    assert {tuple(edge) for edge in found.edges.tolist()} == {edge for edge, n in counts.items() if n >= 3}
    assert set(np.flatnonzero(found.boundary)) == {v for edge, n in counts.items() if n == 1 for v in edge}
    assert found.n_lines == 1
    assert found.corners.tolist() == [0, 5]
    assert found.degree.tolist() == [1, 2, 0, 0, 0, 1, 0]


def test_a_double_bubble_has_one_closed_line():
    mesh = double_bubble((1, 0.8, 0.6), rim=3.0, rings=16).mesh
    found = find_junctions(mesh.faces, mesh.n_vertices)
    assert found.n_lines == 1 and len(found.corners) == 0 and not found.boundary.any()
    np.testing.assert_allclose(found.lengths(mesh.vertices), [2 * np.pi * 3.0], rtol=2e-3)


def test_a_closed_surface_has_none():
    found = find_junctions(np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]]), 4)
    assert len(found.edges) == 0 and found.n_lines == 0 and not found.boundary.any()


def test_interfaces_are_numbered_by_their_regions():
    pairs, numbers = interface_numbers(np.array([[2, 0], [1, 2], [0, 2], [2, 1]]))
    assert pairs.tolist() == [[0, 2], [1, 2]]
    assert numbers.tolist() == [0, 1, 0, 1]
