"""Part sheets of a mesh of touching cells that only touch each other along an edge or at a vertex."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..._typing import Ints
from ..multimaterial import MultiMaterialMesh
from .edges import CellEdges, cell_edges

__all__ = ["part_touching_sheets"]

_SHIFT = 0.02  # of the way to the middle of its neighbours, by which a doubled vertex moves


def part_touching_sheets(mesh: MultiMaterialMesh) -> tuple[MultiMaterialMesh, int]:
    """Return the mesh with vertices doubled where sheets only touch, and the number of vertices that were.

    At an edge along which a region touches itself the faces are paired around the wedges of one region, so that each
    pair closes all its regions; where both ways do, the region with the larger number is parted. Copies of a vertex
    move a little into their own sheet.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The cells, wound as their labels say.

    Returns
    -------
    mesh : MultiMaterialMesh
        The mesh itself where nothing touches.
    n : int
        Number of vertices that were doubled.
    """
    edges = cell_edges(mesh)
    links = _links(mesh, edges)
    corners = mesh.faces.reshape(-1)
    graph = coo_matrix((np.ones(len(links), dtype=np.int8), links.T), shape=(len(corners), len(corners)))
    fan = connected_components(graph, directed=False)[1]
    keys, copy = np.unique(corners * (int(fan.max()) + 1) + fan, return_inverse=True)
    origin = keys // (int(fan.max()) + 1)
    doubled = np.flatnonzero(np.bincount(origin, minlength=mesh.n_vertices) > 1)
    if len(doubled) == 0:
        return mesh, 0
    faces = copy.reshape(-1, 3)
    vertices = mesh.vertices[origin].copy()
    for v in np.flatnonzero(np.isin(origin, doubled)):
        around = vertices[np.unique(faces[(faces == v).any(axis=1)])]
        vertices[v] += _SHIFT * (around.mean(axis=0) - vertices[v])
    return dataclasses.replace(mesh, vertices=vertices, faces=faces), len(doubled)


def _links(mesh: MultiMaterialMesh, edges: CellEdges) -> Ints:
    """Return pairs of corners at one vertex, 3 f + c each, whose faces hang together at an edge, (n, 2)."""
    counts = edges.counts
    groups = []
    for k in range(1, int(counts.max())):
        some = np.flatnonzero(counts > k)
        groups.append(np.stack([edges.half[edges.start[some]], edges.half[edges.start[some] + k]], axis=1))
    halves = np.concatenate(groups)
    pinched = [int(e) for e in np.flatnonzero(counts >= 4) if _is_pinched(mesh, edges, int(e))]
    cut = np.zeros(len(counts), dtype=bool)
    cut[pinched] = True
    loose = _corner_links(mesh.faces, halves[~cut[edges.edge_of[halves[:, 0]]]])
    graph = coo_matrix((np.ones(len(loose), dtype=np.int8), loose.T), shape=(mesh.faces.size, mesh.faces.size))
    fan = connected_components(graph, directed=False)[1].astype(np.int64)
    pairs: list[tuple[int, int]] = []
    for e in pinched:
        paired = _pair_by_fans(mesh, edges, e, fan) or _pair_around(mesh, edges, e)
        half = edges.half[edges.start[e] : edges.start[e + 1]]
        pairs += [(int(half[0]), int(h)) for h in half[1:]] if paired is None else paired
    return np.concatenate([loose, _corner_links(mesh.faces, np.array(pairs, dtype=np.int64).reshape(-1, 2))])


def _corner_links(faces: Ints, halves: Ints) -> Ints:
    """Return the pairs of corners, (2 n, 2), at the same vertices of pairs of half-edges (n, 2) at one edge."""
    a, b = halves.T
    start, corners = faces.reshape(-1), np.arange(faces.size)
    after = 3 * (corners // 3) + (corners + 1) % 3
    alike = start[a] == start[b]
    return np.concatenate([
        np.stack([a, np.where(alike, b, after[b])], axis=1),
        np.stack([after[a], np.where(alike, after[b], b)], axis=1),
    ])  # fmt: skip


def _pair_by_fans(mesh: MultiMaterialMesh, edges: CellEdges, e: int, fan: Ints) -> list[tuple[int, int]] | None:
    """Return half-edges at a pinched edge in pairs that hang together elsewhere at one of its ends; None if not all do.

    fan (3 n_faces,) numbers the fans of corners that hang together without pinched edges.
    """
    half = edges.half[edges.start[e] : edges.start[e + 1]]
    for end in edges.ends[e]:
        groups: dict[int, list[int]] = {}
        for h in half.tolist():
            corner = h if mesh.faces.reshape(-1)[h] == end else 3 * (h // 3) + (h + 1) % 3
            groups.setdefault(int(fan[corner]), []).append(h)
        sides = [np.sort(mesh.labels[[h // 3 for h in g]], axis=1) for g in groups.values()]
        if all(len(s) == 2 and (s[0] == s[1]).all() for s in sides):
            return [(g[0], g[1]) for g in groups.values()]
    return None


def _is_pinched(mesh: MultiMaterialMesh, edges: CellEdges, e: int) -> bool:
    """Tell whether a region has more than two faces at an edge."""
    faces = edges.half[edges.start[e] : edges.start[e + 1]] // 3
    return int(np.unique(mesh.labels[faces], return_counts=True)[1].max()) > 2


def _pair_around(mesh: MultiMaterialMesh, edges: CellEdges, e: int) -> list[tuple[int, int]] | None:
    """Return half-edges at a pinched edge in pairs that close their regions; None if there is no such pairing."""
    half = edges.half[edges.start[e] : edges.start[e + 1]]
    points = mesh.vertices.astype(np.float64)
    a, axis = points[edges.ends[e, 0]], points[edges.ends[e, 1]] - points[edges.ends[e, 0]]
    arms = points[mesh.faces[half // 3].sum(axis=1) - edges.ends[e].sum()] - a
    arms -= np.outer(arms @ axis, axis) / max(float(axis @ axis), 1e-300)
    turn = np.arctan2(arms @ np.cross(axis, arms[0]) / max(float(np.linalg.norm(axis)), 1e-300), arms @ arms[0])
    half = half[np.argsort(turn)]
    ways = []
    for shift in range(2):
        ring = np.roll(half, -shift)
        pairs = [(int(ring[k]), int(ring[k + 1])) for k in range(0, len(ring) - 1, 2)]
        sides = [np.sort(mesh.labels[[p // 3, q // 3]], axis=1) for p, q in pairs]
        if len(ring) % 2 == 0 and all((s[0] == s[1]).all() for s in sides):
            ways.append((_parted_region(mesh, edges, e, pairs[0]), pairs))
    return max(ways)[1] if ways else None


def _parted_region(mesh: MultiMaterialMesh, edges: CellEdges, e: int, pair: tuple[int, int]) -> int:
    """Return the region in the wedge between two faces that follow each other around an edge."""
    points = mesh.vertices.astype(np.float64)
    a, b = edges.ends[e]
    thirds = [int(mesh.faces[h // 3].sum() - a - b) for h in pair]
    middle = 0.5 * (points[thirds[0]] + points[thirds[1]]) - points[a]
    ahead = float(mesh.normals[pair[0] // 3] @ middle) > 0
    return int(mesh.labels[pair[0] // 3, 1 if ahead else 0])
