"""Smooth virtual displacements, by which the balance of forces is read over a neighbourhood and not at single faces."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from .._typing import Bools, Floats, Ints

__all__ = ["TestFields", "make_fields"]

_SPACING = 0.4  # distance of neighbouring centres as a share of the radius
_LEAST_RADIUS = 0.25  # of the scale; a field that would have to be smaller is left out
_SEED = 0


@dataclasses.dataclass(frozen=True, eq=False)
class TestFields:
    """Bell-shaped virtual displacements (1 - d²/r²)² about vertices of a mesh.

    Parameters
    ----------
    centres : (n,) int64
        Vertices in the middle of the fields, those on junctions first.
    radii : (n,) float64
        Radius r of each in µm.
    weights : (n, n_vertices) sparse float64
        Value of every field at the vertices.
    """

    __test__ = False  # not a test case, whatever its name

    centres: Ints
    radii: Floats
    weights: csr_matrix


def make_fields(vertices: Floats, used: Bools, on_junction: Bools, excluded: Bools, scale: float) -> TestFields:
    """Place fields evenly over the mesh; none reaches a vertex without an equation.

    Parameters
    ----------
    vertices : (n_vertices, 3) float64
        Positions in µm.
    used : (n_vertices,) bool
        Vertices that some face uses.
    on_junction : (n_vertices,) bool
        Vertices on junction lines, on which fields are centred first.
    excluded : (n_vertices,) bool
        Vertices at which forces are unknown, as on cropped faces.
    scale : float
        Largest radius in µm.

    Returns
    -------
    TestFields
        Fields that overlap by more than half; radii shrink towards excluded vertices.
    """
    radii = np.full(len(vertices), scale)
    if excluded.any():
        away = cKDTree(vertices[excluded]).query(vertices)[0]
        radii = np.minimum(radii, away)
    usable = used & (radii >= _LEAST_RADIUS * scale)
    centres = _thin_out(vertices, usable, on_junction, radii)
    tree = cKDTree(vertices)
    near = tree.query_ball_point(vertices[centres], radii[centres]) if len(centres) else []
    counts = np.array([len(found) for found in near], dtype=np.int64)
    columns = np.concatenate([np.asarray(f, dtype=np.int64) for f in near]) if len(near) else np.zeros(0, np.int64)
    rows = np.repeat(np.arange(len(centres)), counts)
    apart = np.linalg.norm(vertices[columns] - vertices[centres[rows]], axis=1) / radii[centres[rows]]
    bell = (1.0 - np.minimum(apart, 1.0) ** 2) ** 2 * used[columns]
    weights = csr_matrix((bell, (rows, columns)), shape=(len(centres), len(vertices)))
    return TestFields(centres, radii[centres], weights)


def _thin_out(vertices: Floats, usable: Bools, on_junction: Bools, radii: Floats) -> Ints:
    """Return vertices, junctions first, of which none lies within 0.4 radii of another that was taken before."""
    shuffled = np.random.default_rng(_SEED).permutation(len(vertices))
    order = np.concatenate([shuffled[(usable & on_junction)[shuffled]], shuffled[(usable & ~on_junction)[shuffled]]])
    tree, taken = cKDTree(vertices), ~usable
    centres = []
    for vertex in order:
        if not taken[vertex]:
            centres.append(vertex)
            taken[tree.query_ball_point(vertices[vertex], _SPACING * radii[vertex])] = True
    return np.array(centres, dtype=np.int64)
