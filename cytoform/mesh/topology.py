"""How faces are connected: edges, boundaries, orientation, genus, components; and the defects of a mesh.

Functions take a mesh (:class:`SurfaceMesh` or anything with ``vertices`` and ``faces``); those that do not need
positions also take the bare (n_faces, 3) array.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Protocol, TypeAlias

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from .._typing import Array, Bools, Floats, Ints
from ..errors import MeshError
from . import geometry
from .surface import SurfaceMesh

__all__ = [
    "FOLD_ANGLE",
    "MeshQuality",
    "boundary_edges",
    "components",
    "describe_gaps",
    "edge_lengths",
    "edges",
    "euler_characteristic",
    "folded_edges",
    "genus",
    "interior_edges",
    "is_closed",
    "is_embedded",
    "is_manifold",
    "is_oriented",
    "orient_outward",
    "quality",
    "self_intersections",
    "unique_edges",
    "zero_area_faces",
]


FOLD_ANGLE = 160.0
"""Two neighbouring faces whose normals differ by more than this many degrees count as folded onto each other."""

ZERO_AREA_RATIO = 1e-8
"""A face whose area is below this multiple of its longest edge squared counts as having no area."""

# Tolerance of the triangle-triangle test in units of the pair's size: rounding of float64 products.
_INTERSECTION_SLACK = 1e-12


class HasVerticesAndFaces(Protocol):
    """Anything with the positions and the triangles of a mesh."""

    @property
    def vertices(self) -> Array:
        """Vertex positions in µm, (n_vertices, 3)."""

    @property
    def faces(self) -> Ints:
        """Vertex indices of the three corners of every triangle, (n_faces, 3)."""


MeshOrFaces: TypeAlias = HasVerticesAndFaces | Array


def _face_array(mesh: MeshOrFaces) -> Ints:
    """Return the faces of a mesh, or an array of faces itself, as int64, (n_faces, 3)."""
    return np.asarray(getattr(mesh, "faces", mesh), dtype=np.int64)


def _half_edges(faces: Ints) -> Ints:
    """Return the directed edges, (3 n_faces, 2): half-edge 3 f + c runs from corner c of face f to corner c + 1."""
    return np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2)


def unique_edges(faces: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the undirected edges, the edge of every half-edge, and the number of faces at every edge.

    Half-edge 3 f + c runs from corner c of face f to the next corner.

    Parameters
    ----------
    faces : (n_faces, 3) int64
        Indices of the three vertices of every triangle.

    Returns
    -------
    pairs : (n_edges, 2) int64
        Vertices of every edge, each edge once: the smaller vertex first, in ascending order.
    inverse : (3 n_faces,) int64
        Index into `pairs` for every half-edge.
    counts : (n_edges,) int64
        Number of faces at every edge.
    """
    half = np.sort(_half_edges(faces), axis=1)
    base = int(faces.max()) + 1
    keys, inverse, counts = np.unique(half[:, 0] * base + half[:, 1], return_inverse=True, return_counts=True)
    return np.stack([keys // base, keys % base], axis=1), inverse.reshape(-1), counts


def edges(mesh: MeshOrFaces) -> Ints:
    """Return the edges, each once.

    Parameters
    ----------
    mesh : SurfaceMesh or (n_faces, 3) int
        The surface; positions do not matter.

    Returns
    -------
    (n_edges, 2) int64
        Vertices of every edge: the smaller vertex first, in ascending order.
    """
    return unique_edges(_face_array(mesh))[0]


def edge_lengths(mesh: HasVerticesAndFaces) -> Floats:
    """Return the length of every edge.

    Parameters
    ----------
    mesh : SurfaceMesh
        The surface, or anything with ``vertices`` (n_vertices, 3) in µm, (z, y, x), and ``faces`` (n_faces, 3).

    Returns
    -------
    (n_edges,) float64
        Lengths in µm, in the order of :func:`edges`.
    """
    pairs = edges(mesh)
    points = np.asarray(mesh.vertices, dtype=np.float64)
    lengths: Floats = np.linalg.norm(points[pairs[:, 1]] - points[pairs[:, 0]], axis=1)
    return lengths


def boundary_edges(mesh: MeshOrFaces) -> Ints:
    """Return the edges with a single face; there are none on a closed surface.

    Parameters
    ----------
    mesh : SurfaceMesh or (n_faces, 3) int
        The surface; positions do not matter.

    Returns
    -------
    (n, 2) int64
        Vertices of every such edge: the smaller vertex first, in ascending order.
    """
    pairs, _, counts = unique_edges(_face_array(mesh))
    boundary: Ints = pairs[counts == 1]
    return boundary


def interior_edges(mesh: MeshOrFaces) -> tuple[Ints, Bools]:
    """Find the edges with exactly two faces, and whether both faces run along them the same way.

    Half-edge h lies in face h // 3, from corner h % 3 to the next. On a consistently wound surface the two half-edges
    of every edge run in opposite directions.

    Parameters
    ----------
    mesh : SurfaceMesh or (n_faces, 3) int
        The surface; positions do not matter.

    Returns
    -------
    pairs : (n, 2) int64
        The two half-edges of every such edge, the smaller number first; edges in the order of :func:`edges`.
    alike : (n,) bool
        True where both half-edges run in the same direction.
    """
    faces = _face_array(mesh)
    _, inverse, counts = unique_edges(faces)
    order = np.argsort(inverse, kind="stable")
    first = (np.cumsum(counts) - counts)[counts == 2]
    pairs = np.stack([order[first], order[first + 1]], axis=1)
    start = faces.reshape(-1)
    return pairs, start[pairs[:, 0]] == start[pairs[:, 1]]


def is_closed(mesh: MeshOrFaces) -> bool:
    """Tell whether every edge has exactly two faces.

    Parameters
    ----------
    mesh : SurfaceMesh or (n_faces, 3) int
        The surface; positions do not matter.

    Returns
    -------
    bool
        False where some edge has one face or more than two.
    """
    return bool((unique_edges(_face_array(mesh))[2] == 2).all())


def describe_gaps(mesh: MeshOrFaces) -> str:
    """Describe why a surface is not closed.

    Parameters
    ----------
    mesh : SurfaceMesh or (n_faces, 3) int
        The surface; positions do not matter.

    Returns
    -------
    str
        Words to follow "the surface", such as ``"is open: 3 edges have only one face"``; "" for a closed one.
    """
    counts = unique_edges(_face_array(mesh))[2]
    lonely, crowded = int((counts == 1).sum()), int((counts > 2).sum())
    found = []
    if lonely:
        found.append(f"is open: {lonely} edge{'s have' if lonely > 1 else ' has'} only one face")
    if crowded:
        found.append(f"branches: {crowded} edge{'s have' if crowded > 1 else ' has'} more than two faces")
    return " and ".join(found)


def _vertices_have_one_fan(faces: Ints) -> bool:
    """Tell whether the faces around every vertex form a single fan, connected through shared edges.

    Corners are nodes of a graph; two corners at one vertex are joined when their faces share an edge at that vertex. A
    vertex with one fan gives one connected component of corners.
    """
    pairs, alike = interior_edges(faces)
    ends = np.stack([pairs, 3 * (pairs // 3) + (pairs + 1) % 3], axis=2)  # (n, 2 faces, 2 ends) corner numbers
    second = np.where(alike[:, None], ends[:, 1], ends[:, 1, ::-1])
    rows, cols = ends[:, 0].reshape(-1), second.reshape(-1)
    graph = coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, cols)), shape=(faces.size, faces.size))
    return connected_components(graph, directed=False)[0] == len(np.unique(faces))


def is_manifold(mesh: MeshOrFaces, *, boundary: bool = False) -> bool:
    """Tell whether every edge has two faces and the faces around every vertex form one fan.

    Parameters
    ----------
    mesh : SurfaceMesh or (n_faces, 3) int
        The surface; positions do not matter.
    boundary : bool, optional
        Also accept edges with one face; off by default.

    Returns
    -------
    bool
        False also where a face has the same vertex twice.
    """
    faces = _face_array(mesh)
    if (faces == np.roll(faces, 1, axis=1)).any():
        return False
    counts = unique_edges(faces)[2]
    if (counts > 2).any() or (not boundary and (counts != 2).any()):
        return False
    return _vertices_have_one_fan(faces)


def is_oriented(mesh: MeshOrFaces) -> bool:
    """Tell whether the surface is wound consistently.

    Parameters
    ----------
    mesh : SurfaceMesh or (n_faces, 3) int
        The surface; positions do not matter.

    Returns
    -------
    bool
        True where no two faces run along an edge in the same direction.
    """
    half = _half_edges(_face_array(mesh))
    return len(np.unique(half[:, 0] * (int(half.max()) + 1) + half[:, 1])) == len(half)


def euler_characteristic(mesh: MeshOrFaces) -> int:
    """Return the Euler characteristic: vertices in use − edges + faces.

    Parameters
    ----------
    mesh : SurfaceMesh or (n_faces, 3) int
        The surface; positions do not matter.

    Returns
    -------
    int
        2 for a sphere, 0 for a torus; the sum over components.
    """
    faces = _face_array(mesh)
    return len(np.unique(faces)) - len(edges(faces)) + len(faces)


def genus(mesh: MeshOrFaces) -> int:
    """Return the number of handles of a closed surface, summed over its components.

    It is the number of components less half the Euler characteristic. For this to count handles, the surface must be
    manifold and have two sides; that is not checked.

    Parameters
    ----------
    mesh : SurfaceMesh or (n_faces, 3) int
        The surface; positions do not matter.

    Returns
    -------
    int
        0 for a sphere, 1 for a torus.

    Raises
    ------
    MeshError
        When the surface is not closed.
    """
    faces = _face_array(mesh)
    if not is_closed(faces):
        raise MeshError(
            f"genus needs a closed surface; this one {describe_gaps(faces)}.",
            remedy="Repair the mesh, or ask for euler_characteristic.",
        )
    n_components = int(components(faces).max()) + 1
    return n_components - euler_characteristic(faces) // 2


def components(mesh: MeshOrFaces) -> Ints:
    """Return the number of the connected component of each face.

    Faces that share a vertex belong to one component.

    Parameters
    ----------
    mesh : SurfaceMesh or (n_faces, 3) int
        The surface; positions do not matter.

    Returns
    -------
    (n_faces,) int64
        Numbers, counted from 0 without gaps.
    """
    faces = _face_array(mesh)
    half = _half_edges(faces)
    n = int(faces.max()) + 1
    graph = coo_matrix((np.ones(len(half), dtype=np.int8), (half[:, 0], half[:, 1])), shape=(n, n))
    labels = connected_components(graph, directed=False)[1][faces[:, 0]]
    return np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)


def faces_to_reverse(n_faces: int, pairs: Ints, differ: Bools) -> tuple[Bools, Ints, Ints]:
    """Find which faces to reverse so that the windings of given pairs of faces agree.

    Parameters
    ----------
    n_faces : int
        Number of faces.
    pairs : (n, 2) int
        Neighbouring faces.
    differ : (n,) bool
        True where exactly one of the two must be reversed.

    Returns
    -------
    flips : (n_faces,) bool
        One solution; reversing a whole group gives another.
    groups : (n_faces,) int
        Number of the component into which the pairs connect each face.
    conflicts : (n,) int
        The groups that have no solution.
    """
    # On the double cover a face has two copies (kept, reversed): a group is orientable when they stay apart.
    a, b = pairs[:, 0], pairs[:, 1]
    shift = n_faces * differ.astype(np.int64)
    rows, cols = np.concatenate([a, a + n_faces]), np.concatenate([b + shift, b + n_faces - shift])
    graph = coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, cols)), shape=(2 * n_faces, 2 * n_faces))
    labels = connected_components(graph, directed=False)[1]
    flat = coo_matrix((np.ones(len(a), dtype=np.int8), (a, b)), shape=(n_faces, n_faces))
    groups = connected_components(flat, directed=False)[1].astype(np.int64)
    roots = np.unique(groups, return_index=True)[1]
    flips = labels[:n_faces] != labels[roots][groups]
    conflicts = np.unique(groups[labels[:n_faces] == labels[n_faces:]])
    return flips, groups, conflicts


def reverse_faces(faces: Ints, flips: Bools) -> Ints:
    """Return the faces with those that are marked wound the other way.

    Parameters
    ----------
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle.
    flips : (n_faces,) bool
        True for a face to reverse.

    Returns
    -------
    (n_faces, 3) int
        The faces; a reversed one has its last two corners exchanged.
    """
    return np.where(flips[:, None], faces[:, [0, 2, 1]], faces)


def orient_outward(mesh: SurfaceMesh) -> SurfaceMesh:
    """Return the same surface with all faces wound alike and every component enclosing a positive volume.

    A component is here what hangs together through edges with exactly two faces. One that lies inside another (a
    cavity) is wound outward as well.

    Parameters
    ----------
    mesh : SurfaceMesh
        The surface, wound in any way.

    Returns
    -------
    SurfaceMesh
        The surface with the same vertices and density; the faces stay in their order. The jump of a reversed face
        changes its sign, so that each body keeps its brightness.

    Raises
    ------
    MeshError
        When the surface has no two sides (a Möbius band).
    """
    pairs, alike = interior_edges(mesh)
    flips, groups, conflicts = faces_to_reverse(mesh.n_faces, pairs // 3, alike)
    if len(conflicts):
        raise MeshError("the surface has only one side; expected one that can be wound consistently.")
    faces = reverse_faces(mesh.faces, flips)
    pieces = components(faces)
    origins = np.stack(
        [np.bincount(pieces, weights=w) for w in mesh.vertices[faces[:, 0]].T.astype(np.float64)], axis=1
    )
    corners = geometry.corner_points(mesh.vertices, faces)
    corners = corners - (origins / np.bincount(pieces)[:, None])[pieces][:, None]
    signed = geometry.signed_volumes_times_six(corners)
    inwards = (np.bincount(groups, weights=signed) < 0)[groups]
    jump = None if mesh.jump is None else np.where(flips ^ inwards, -mesh.jump, mesh.jump)
    return SurfaceMesh(mesh.vertices, reverse_faces(faces, inwards), mesh.density, jump)


def zero_area_faces(mesh: HasVerticesAndFaces) -> Bools:
    """Tell which faces have no area.

    Parameters
    ----------
    mesh : SurfaceMesh
        The surface, or anything with ``vertices`` (n_vertices, 3) in µm, (z, y, x), and ``faces`` (n_faces, 3).

    Returns
    -------
    (n_faces,) bool
        True where the area is at most 1e-8 of the longest edge squared.
    """
    longest = geometry.edge_lengths(mesh.vertices, mesh.faces).max(axis=1)
    without_area: Bools = geometry.face_areas(mesh.vertices, mesh.faces) <= ZERO_AREA_RATIO * longest**2
    return without_area


def folded_edges(mesh: HasVerticesAndFaces, *, fold_angle: float = FOLD_ANGLE) -> Ints:
    """Return the pairs of neighbouring faces that lie folded onto each other.

    Neighbours are faces at an edge with exactly two faces; how they are wound does not matter. A face whose normal is
    zero counts as at 90° to its neighbours.

    Parameters
    ----------
    mesh : SurfaceMesh
        The surface, or anything with ``vertices`` (n_vertices, 3) in µm, (z, y, x), and ``faces`` (n_faces, 3).
    fold_angle : float, optional
        Degrees between the two outward normals (0 on a flat surface) above which the pair counts as folded; 160 by
        default.

    Returns
    -------
    (n, 2) int64
        Face indices, the smaller first; a row for each edge that a pair shares.
    """
    pairs, alike = interior_edges(mesh)
    normals = geometry.face_normals(mesh.vertices, mesh.faces)
    cosine = np.einsum("ij,ij->i", normals[pairs[:, 0] // 3], normals[pairs[:, 1] // 3]) * np.where(alike, -1.0, 1.0)
    folded: Ints = (pairs // 3)[cosine < np.cos(np.radians(fold_angle))]
    return folded


@dataclasses.dataclass(frozen=True)
class MeshQuality:
    """Measures of how good the triangles of a mesh are; lengths in µm, angles in degrees.

    Parameters
    ----------
    min_angle : float
        Smallest corner angle, degrees.
    max_aspect : float
        Largest aspect ratio, longest edge / (2 √3 · inradius): 1 for an equilateral triangle, inf without area.
    n_zero_area : int
        Number of faces without area.
    n_folded : int
        Number of faces folded onto a neighbour (inverted).
    edge_min : float
        Length of the shortest edge, µm.
    edge_mean : float
        Mean length of the edges, µm; each edge counts once.
    edge_max : float
        Length of the longest edge, µm.
    edge_std : float
        Standard deviation of the edges' lengths, µm.
    """

    min_angle: float
    max_aspect: float
    n_zero_area: int
    n_folded: int
    edge_min: float
    edge_mean: float
    edge_max: float
    edge_std: float

    @property
    def sound(self) -> bool:
        """Whether no face is folded or without area."""
        return self.n_zero_area == 0 and self.n_folded == 0


def corner_angles(vertices: Array, faces: Array) -> Floats:
    """Return the angle at every corner.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle.

    Returns
    -------
    (n_faces, 3) float64
        Angles in degrees, 0 to 180.
    """
    corners = geometry.corner_points(vertices, faces)
    to_next, to_last = np.roll(corners, -1, axis=1) - corners, np.roll(corners, -2, axis=1) - corners
    sine = np.linalg.norm(np.cross(to_next, to_last), axis=2)
    angles: Floats = np.degrees(np.arctan2(sine, np.einsum("ijk,ijk->ij", to_next, to_last)))
    return angles


def quality(mesh: HasVerticesAndFaces, *, fold_angle: float = FOLD_ANGLE) -> MeshQuality:
    """Measure the triangles of a mesh: angles, aspect ratios, edge lengths, faces that are folded or without area.

    Parameters
    ----------
    mesh : SurfaceMesh
        The surface, or anything with ``vertices`` (n_vertices, 3) in µm, (z, y, x), and ``faces`` (n_faces, 3).
    fold_angle : float, optional
        Degrees between the two outward normals (0 on a flat surface) above which two neighbours count as folded; 160
        by default.

    Returns
    -------
    MeshQuality
        The measures; lengths in µm, angles in degrees.
    """
    sides = geometry.edge_lengths(mesh.vertices, mesh.faces)
    areas = geometry.face_areas(mesh.vertices, mesh.faces)
    inradius = np.divide(2.0 * areas, sides.sum(axis=1), out=np.zeros_like(areas), where=areas > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        aspect = np.where(inradius > 0, sides.max(axis=1) / (2.0 * np.sqrt(3.0) * inradius), np.inf)
    lengths = edge_lengths(mesh)
    return MeshQuality(
        min_angle=float(corner_angles(mesh.vertices, mesh.faces).min()),
        max_aspect=float(aspect.max()),
        n_zero_area=int(zero_area_faces(mesh).sum()),
        n_folded=len(np.unique(folded_edges(mesh, fold_angle=fold_angle))),
        edge_min=float(lengths.min()),
        edge_mean=float(lengths.mean()),
        edge_max=float(lengths.max()),
        edge_std=float(lengths.std()),
    )


def _overlapping_ball_pairs(centres: Floats, radii: Floats, chunk: int = 20_000) -> Iterator[Ints]:
    """Yield pairs (i < j) of balls that may overlap, as arrays (n, 2) of indices.

    centres (n, 3) and radii (n,). Balls are sorted into classes by the power of two of their radius, with a KD-tree
    each, so that a large one costs little; `chunk` balls are searched for at a time.
    """
    sizes = np.floor(np.log2(np.maximum(radii, radii.max() * 2.0**-20))).astype(np.int64)
    classes = [np.flatnonzero(sizes == s) for s in np.unique(sizes)]
    trees = [cKDTree(centres[members]) for members in classes]
    for i, members in enumerate(classes):
        for j in range(i, len(classes)):
            theirs = classes[j]
            largest_radius = radii[theirs].max()
            for start in range(0, len(members), chunk):
                some = members[start : start + chunk]
                found = trees[j].query_ball_point(centres[some], radii[some] + largest_radius, return_sorted=False)
                counts = np.fromiter(map(len, found), dtype=np.int64, count=len(found))
                pairs = np.stack([np.repeat(some, counts), theirs[np.concatenate(found).astype(np.int64)]], axis=1)
                yield pairs[pairs[:, 0] < pairs[:, 1]] if i == j else np.sort(pairs, axis=1)


def _separating_axes(p: Floats, q: Floats) -> Floats:
    """Return all axes that can separate triangles p[i] and q[i], (n, 17, 3), not normalised.

    They are the two normals, the nine cross products of edges, and the six of edges and normals (for coplanar
    triangles).
    """
    ep, eq = np.roll(p, -1, axis=1) - p, np.roll(q, -1, axis=1) - q
    np_, nq = np.cross(ep[:, 0], ep[:, 1])[:, None], np.cross(eq[:, 0], eq[:, 1])[:, None]
    crossed = np.cross(ep[:, :, None], eq[:, None, :]).reshape(len(p), 9, 3)
    return np.concatenate([np_, nq, crossed, np.cross(np_, ep), np.cross(nq, eq)], axis=1)


def _triangles_intersect(p: Floats, q: Floats) -> Bools:
    """Tell whether triangles p[i] and q[i], (n, 3 corners, 3 axes), share a point, by the separating-axis theorem."""
    centre = p.mean(axis=1, keepdims=True)
    p, q = p - centre, q - centre
    size = np.maximum(np.abs(p).max(axis=(1, 2)), np.abs(q).max(axis=(1, 2)))[:, None]
    size[size == 0] = 1.0
    p, q = p / size[:, None], q / size[:, None]
    axes = _separating_axes(p, q)
    length = np.linalg.norm(axes, axis=2, keepdims=True)
    # The cross product of two parallel edges is rounding noise, not an axis.
    axes = np.divide(axes, length, out=np.zeros_like(axes), where=length > _INTERSECTION_SLACK)
    on_p, on_q = np.einsum("nac,npc->nap", axes, p), np.einsum("nac,npc->nap", axes, q)
    gap = np.maximum(on_p.min(axis=2) - on_q.max(axis=2), on_q.min(axis=2) - on_p.max(axis=2))
    intersect: Bools = gap.max(axis=1) <= _INTERSECTION_SLACK
    return intersect


def self_intersections(mesh: HasVerticesAndFaces) -> int:
    """Return the number of pairs of faces that intersect or touch without sharing a vertex.

    Candidates are found by a KD-tree of faces of like size, then by their bounding boxes, and tested by the
    separating-axis theorem, which also holds for coplanar triangles.

    Parameters
    ----------
    mesh : SurfaceMesh
        The surface, or anything with ``vertices`` (n_vertices, 3) in µm, (z, y, x), and ``faces`` (n_faces, 3).

    Returns
    -------
    int
        Number of pairs. Faces count as touching when the gap is at most 1e-12 of the pair's size.
    """
    corners = geometry.corner_points(mesh.vertices, mesh.faces)
    centres = corners.mean(axis=1)
    radii = np.linalg.norm(corners - centres[:, None], axis=2).max(axis=1) * (1.0 + 1e-9)
    if radii.max() == 0:
        return 0
    low, high = corners.min(axis=1), corners.max(axis=1)
    faces, total = _face_array(mesh), 0
    for pairs in _overlapping_ball_pairs(centres, radii):
        a, b = pairs[:, 0], pairs[:, 1]
        pairs = pairs[((low[a] <= high[b]) & (low[b] <= high[a])).all(axis=1)]
        shared = (faces[pairs[:, 0]][:, :, None] == faces[pairs[:, 1]][:, None, :]).any(axis=(1, 2))
        pairs = pairs[~shared]
        for start in range(0, len(pairs), 50_000):
            some = pairs[start : start + 50_000]
            total += int(_triangles_intersect(corners[some[:, 0]], corners[some[:, 1]]).sum())
    return total


def is_embedded(mesh: HasVerticesAndFaces) -> bool:
    """Tell whether a surface has no folded or zero-area faces and does not intersect itself.

    Parameters
    ----------
    mesh : SurfaceMesh
        The surface, or anything with ``vertices`` (n_vertices, 3) in µm, (z, y, x), and ``faces`` (n_faces, 3).

    Returns
    -------
    bool
        True where :func:`quality` finds it sound and :func:`self_intersections` is 0.
    """
    return quality(mesh).sound and self_intersections(mesh) == 0
