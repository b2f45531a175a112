"""Contacts between cells, the junction lines along which they meet, the corners of these, and the angles there."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..._typing import Floats, Ints
from ..multimaterial import MultiMaterialMesh
from .edges import CellEdges, cell_edges

__all__ = ["Contact", "JunctionLine", "contacts", "corners", "dihedral_angles", "junction_lines"]


@dataclasses.dataclass(frozen=True)
class Contact:
    """The interface of two regions.

    Parameters
    ----------
    regions : (int, int)
        The two regions, the smaller number first; 0 is the outside.
    area : float
        Area in µm², without cropped faces.
    n_pieces : int
        Number of connected pieces, joined through edges.
    faces : (n,) int64
        The faces, ascending, without cropped ones.
    """

    regions: tuple[int, int]
    area: float
    n_pieces: int
    faces: Ints


@dataclasses.dataclass(frozen=True)
class JunctionLine:
    """A line along which sheets between three or more regions meet, from corner to corner or closed.

    Parameters
    ----------
    regions : tuple of int
        The regions around it, ascending; 0 is the outside.
    vertices : (n,) int64
        Vertices in turn; the first is repeated at the end of a closed line.
    length : float
        Length in µm.
    cropped : bool
        Whether a side of the image takes part: the line is a rim, not a junction of cells.
    """

    regions: tuple[int, ...]
    vertices: Ints
    length: float
    cropped: bool

    @property
    def closed(self) -> bool:
        """Whether the line is closed in itself."""
        return bool(self.vertices[0] == self.vertices[-1])


def contacts(mesh: MultiMaterialMesh) -> dict[tuple[int, int], Contact]:
    """Return the interfaces of all pairs of regions that share faces.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The cells.

    Returns
    -------
    dict of (int, int) to Contact
        By the two regions, the smaller first; 0 is the outside. Cropped faces are left out.
    """
    edges = cell_edges(mesh)
    sides = np.sort(mesh.labels, axis=1)
    kept = np.ones(mesh.n_faces, dtype=bool) if mesh.cropped is None else ~mesh.cropped
    inner = np.flatnonzero(~edges.on_line)
    a, b = edges.half[edges.start[inner]] // 3, edges.half[edges.start[inner] + 1] // 3
    pieces = connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(mesh.n_faces,) * 2), directed=False)[1]
    order = np.flatnonzero(kept)
    order = order[np.lexsort((sides[order, 1], sides[order, 0]))]
    found = {}
    cuts = np.flatnonzero((np.diff(sides[order], axis=0) != 0).any(axis=1)) + 1
    for faces in np.split(order, cuts) if len(order) else []:
        regions = (int(sides[faces[0], 0]), int(sides[faces[0], 1]))
        area = float(mesh.face_areas[faces].sum())
        found[regions] = Contact(regions, area, len(np.unique(pieces[faces])), np.sort(faces))
    return found


def corners(mesh: MultiMaterialMesh) -> Ints:
    """Return the vertices at which junction lines end or meet.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The cells.

    Returns
    -------
    (n,) int64
        Vertices with another number of line edges than none and two, ascending; rims of cropped faces count.
    """
    edges = cell_edges(mesh)
    at: Ints = _line_degree(mesh, edges)
    return np.flatnonzero((at != 0) & (at != 2))


def _line_degree(mesh: MultiMaterialMesh, edges: CellEdges) -> Ints:
    """Return the number of line edges at every vertex, (n_vertices,)."""
    degree: Ints = np.bincount(edges.ends[edges.on_line].reshape(-1), minlength=mesh.n_vertices)
    return degree


def junction_lines(mesh: MultiMaterialMesh) -> list[JunctionLine]:
    """Return the lines along which sheets meet, each from corner to corner or closed.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The cells.

    Returns
    -------
    list of JunctionLine
        Ordered by their regions; rims of cropped faces are among them, marked as cropped.
    """
    edges = cell_edges(mesh)
    degree = _line_degree(mesh, edges)
    at: dict[int, list[int]] = {}
    for e in np.flatnonzero(edges.on_line).tolist():
        for v in edges.ends[e]:
            at.setdefault(int(v), []).append(int(e))
    left = dict.fromkeys(np.flatnonzero(edges.on_line).tolist())
    lines = []
    for start in [v for v in at if degree[v] != 2] + list(at):  # from corners first; then closed lines
        for first in at[start]:
            if first in left:
                lines.append(_follow(mesh, edges, at, degree, left, start, first))
    return sorted(lines, key=lambda line: (line.regions, int(line.vertices[0])))


def _follow(
    mesh: MultiMaterialMesh, edges: CellEdges, at: dict[int, list[int]], degree: Ints, left: dict[int, None],
    start: int, e: int,
) -> JunctionLine:  # fmt: skip
    """Return the line that begins at a vertex with a line edge; its edges are taken from `left`."""
    path, regions, cropped, here = [start], set(), False, start
    while True:
        del left[e]
        faces = edges.half[edges.start[e] : edges.start[e + 1]] // 3
        regions.update(mesh.labels[faces].reshape(-1).tolist())
        cropped |= mesh.cropped is not None and bool(mesh.cropped[faces].any())
        here = int(edges.ends[e].sum()) - here
        path.append(here)
        following = [f for f in at[here] if f in left]
        if degree[here] != 2 or here == start or not following:
            break
        e = following[0]
    steps = np.diff(mesh.vertices[path].astype(np.float64), axis=0)
    length = float(np.linalg.norm(steps, axis=1).sum())
    return JunctionLine(tuple(sorted(regions)), np.array(path, dtype=np.int64), length, bool(cropped))


def dihedral_angles(mesh: MultiMaterialMesh) -> dict[tuple[int, ...], tuple[Ints, Ints, Floats]]:
    """Return the angles of the regions at all junction edges.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The cells.

    Returns
    -------
    dict of tuple of int to ((n, 2) int64, (k,) int64, (n, k) float64)
        For each set of three regions or more around an edge, ascending: the edges' vertices; the regions; and the angle
        in degrees that each region fills at each edge. A region that comes twice around an edge gets the sum. Edges of
        cropped faces are left out.
    """
    edges, found = cell_edges(mesh), {}
    by_regions: dict[tuple[int, ...], list[tuple[int, dict[int, float]]]] = {}
    for e in np.flatnonzero(edges.on_line & (edges.counts > 2)):
        faces = edges.half[edges.start[e] : edges.start[e + 1]] // 3
        if mesh.cropped is not None and mesh.cropped[faces].any():
            continue
        angles = _angles_at(mesh, edges.ends[e], faces)
        by_regions.setdefault(tuple(sorted(angles)), []).append((int(e), angles))
    for regions, rows in sorted(by_regions.items()):
        table = np.array([[angles[r] for r in regions] for _, angles in rows])
        found[regions] = (edges.ends[[e for e, _ in rows]], np.array(regions, dtype=np.int64), table)
    return found


def _angles_at(mesh: MultiMaterialMesh, ends: Ints, faces: Ints) -> dict[int, float]:
    """Return the angle in degrees that each region fills at an edge with the given faces."""
    points = mesh.vertices.astype(np.float64)
    a, axis = points[ends[0]], points[ends[1]] - points[ends[0]]
    axis /= max(float(np.linalg.norm(axis)), 1e-300)
    thirds = mesh.faces[faces].sum(axis=1) - ends.sum()
    arms = points[thirds] - a
    arms -= np.outer(arms @ axis, axis)
    u = arms[0] / max(float(np.linalg.norm(arms[0])), 1e-300)
    turn = np.arctan2(arms @ np.cross(axis, u), arms @ u) % (2 * np.pi)
    order = np.argsort(turn)
    gaps = np.diff(np.concatenate([turn[order], turn[order[:1]] + 2 * np.pi]))
    found: dict[int, float] = {}
    for k, gap in enumerate(gaps):
        here, there = faces[order[k]], faces[order[(k + 1) % len(order)]]
        common = set(mesh.labels[here].tolist()) & set(mesh.labels[there].tolist())
        if (
            len(common) > 1
        ):  # two sheets of the same two regions: the one behind the first face's normal or in front of it
            common = {_region_ahead(mesh, int(here), ends, axis, arms[order[k]])}
        for region in common:
            found[region] = found.get(region, 0.0) + float(np.degrees(gap))
    return found


def _region_ahead(mesh: MultiMaterialMesh, face: int, ends: Ints, axis: Floats, arm: Floats) -> int:
    """Return the region that lies on the side of a face towards which angles about the axis grow."""
    ahead = np.cross(axis, arm)
    side = 1 if float(mesh.normals[face] @ ahead) > 0 else 0
    return int(mesh.labels[face, side])
