"""Smooth surface nets: sheets, junction lines and corners each along their own kind, within a box about each vertex."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags

from ..._typing import Bools, Floats, Ints
from .nets import Nets

__all__ = ["line_edges", "smooth_nets"]

_SHRINK, _GROW = 0.5, -0.53  # Taubin's two factors (SIGGRAPH 1995)


def polygon_edges(polygons: Ints) -> tuple[Ints, Ints]:
    """Return the edges of polygons, (n, 2) vertices, the smaller first, and the polygon of each, (n,)."""
    size = (polygons >= 0).sum(axis=1)
    ends, source = [], []
    for c in range(polygons.shape[1]):
        some = np.flatnonzero(size > c)
        following = np.where(size[some] > c + 1, polygons[some, min(c + 1, polygons.shape[1] - 1)], polygons[some, 0])
        ends.append(np.stack([polygons[some, c], following], axis=1))
        source.append(some)
    return np.sort(np.concatenate(ends), axis=1), np.concatenate(source)


def line_edges(ends: Ints, source: Ints, pairs: Ints) -> tuple[Ints, Bools]:
    """Return each edge once, and whether sheets of several pairs of regions meet there.

    Parameters
    ----------
    ends : (n, 2) int64
        Edges of faces or polygons, the smaller vertex first; an edge comes once for every face.
    source : (n,) int64
        The face of every edge.
    pairs : (n_faces, 2) int
        The two regions of every face.

    Returns
    -------
    edges : (n_edges, 2) int64
        Every edge once, in ascending order.
    on_line : (n_edges,) bool
        True where not exactly two faces meet, or two of different regions.
    """
    base = int(ends.max()) + 1
    keys, inverse, counts = np.unique(ends[:, 0] * base + ends[:, 1], return_inverse=True, return_counts=True)
    low, high = np.sort(pairs.astype(np.int64), axis=1).T
    kind = ((low - low.min()) * (high.max() - high.min() + 1) + high - high.min())[source]
    first = np.zeros(len(keys), dtype=np.int64)
    first[inverse] = kind
    differs = np.bincount(inverse, weights=kind != first[inverse], minlength=len(keys)) > 0
    return np.stack([keys // base, keys % base], axis=1), differs | (counts != 2)


def smooth_nets(nets: Nets, rounds: int, limit: float) -> Floats:
    """Return smoothed positions of a net's vertices, in voxels.

    Vertices within a sheet move towards the mean of their neighbours, those on junction lines and corners towards the
    mean of their neighbours on such lines; each stays in a box about its middle (constrained elastic surface nets:
    Gibson, MICCAI 1998; Frisken, JCGT 11(1), 2022) and on the sides of the image. Shrinking and growing steps
    alternate.

    Parameters
    ----------
    nets : Nets
        The polygons and positions.
    rounds : int
        Number of pairs of steps.
    limit : float
        Half the side of the box, in voxels.

    Returns
    -------
    (n_vertices, 3) float64
        The new positions.
    """
    mean, _ = mean_of_neighbours(nets)
    free = ~held_axes(nets)
    start = nets.points
    points = start.copy()
    low, high = start - limit * free, start + limit * free
    for _ in range(rounds):
        for factor in (_SHRINK, _GROW):
            points = points + factor * free * (np.asarray(mean @ points) - points)
            np.clip(points, low, high, out=points)
    return points


def mean_of_neighbours(nets: Nets) -> tuple[csr_matrix[np.float64], Ints]:
    """Return the sparse matrix that takes the mean over neighbours of a vertex's kind, and its number of line edges."""
    n = len(nets.points)
    edges, on_line = line_edges(*polygon_edges(nets.polygons), nets.pairs)
    n_lines = np.bincount(edges[on_line].reshape(-1), minlength=n)
    rows, cols = np.concatenate([edges, edges[:, ::-1]]).T
    weight = ((n_lines[rows] == 0) | np.tile(on_line, 2)).astype(np.float64)
    matrix = csr_matrix(coo_matrix((weight, (rows, cols)), shape=(n, n)))
    total = np.asarray(matrix.sum(axis=1)).reshape(-1)
    return csr_matrix(diags(1.0 / np.maximum(total, 1.0)) @ matrix), n_lines


def held_axes(nets: Nets) -> Bools:
    """Tell along which axes a vertex must not move, as it lies on a side of the image, (n_vertices, 3) bool."""
    held = np.zeros((len(nets.points), 3), dtype=bool)
    for number in range(1, 7):
        at = nets.polygons[(nets.pairs == -number).any(axis=1)].reshape(-1)
        held[at[at >= 0], (number - 1) // 2] = True
    return held
