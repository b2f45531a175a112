"""Surface nets of a label image: one polygon mesh in which every polygon parts two labels, and no region is pinched."""

from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np

from ..._typing import Array, Bools, Floats, Ints
from ...kernels import label_nets
from ..crossing import crossing_faces

__all__ = ["WALLS", "Nets", "extract_nets", "pad_with_walls", "triangulate"]

WALLS = (-1, -2, -3, -4, -5, -6)
"""Numbers of the outside behind the image's six sides: low z, high z, low y, high y, low x, high x."""


_MAX_ROUNDS = 6  # of splitting cubes around crossing polygons


@dataclasses.dataclass(frozen=True)
class Nets:
    """Polygons between the labels of an image; positions are in voxels.

    Parameters
    ----------
    points : (n_vertices, 3) float64
        Positions in voxels, (z, y, x); voxel (0, 0, 0) has its centre at 0.
    polygons : (n, 6) int64
        Vertices of every polygon, −1 behind the last one.
    pairs : (n, 2) int32
        Labels on the two sides, the normal pointing from the first to the second; 0 outside, −1 to −6 (`WALLS`) outside
        behind a side of the image.
    n_split : int
        Number of cubes of 2 × 2 × 2 voxels in which a label was ambiguous.
    """

    points: Floats
    polygons: Ints
    pairs: Array
    n_split: int


def pad_with_walls(labels: Array) -> Array:
    """Return labels (z, y, x) as int32 with a border of one voxel that has the numbers of `WALLS`."""
    padded = np.zeros([n + 2 for n in labels.shape], dtype=np.int32)
    padded[1:-1, 1:-1, 1:-1] = labels
    for axis in (2, 1, 0):
        for end in (0, -1):
            side: list[slice | int] = [slice(None)] * 3
            side[axis] = end
            padded[tuple(side)] = WALLS[2 * axis + (end == -1)]
    return padded


def extract_nets(labels: Array) -> Nets:
    """Extract the polygons between labels, with vertices at the middle of cubes and tetrahedra of voxel centres.

    Cubes are split where a label is ambiguous, and where polygons of their contracted neighbours would cross.

    Parameters
    ----------
    labels : (z, y, x) int
        0 outside, regions from 1 on without gaps.

    Returns
    -------
    Nets
        Quads where labels are unambiguous, polygons of three to six vertices elsewhere.
    """
    padded = pad_with_walls(labels)
    split = np.empty([n - 1 for n in padded.shape], dtype=np.uint8)
    n_split = int(label_nets.find_split_cubes(padded, _simple_subsets(), split))
    nets, cube = _build_nets(padded, split, n_split)
    for _ in range(_MAX_ROUNDS):
        faces, source = triangulate(nets.points, nets.polygons)
        active = (split.reshape(-1)[cube] == 2)[faces].any(axis=1)
        crossing = faces[crossing_faces(nets.points, faces, active).reshape(-1)]
        at = np.unique(cube[crossing.reshape(-1)])
        at = at[split.reshape(-1)[at] == 1]
        if len(at) == 0:
            break
        split.reshape(-1)[at] = 2
        nets, cube = _build_nets(padded, split, n_split)
    return nets


def _build_nets(padded: Array, split: Array, n_split: int) -> tuple[Nets, Ints]:
    """Return the polygons of an image whose cubes are marked, and the cube of every vertex, (n_vertices,)."""
    need = np.array([0, 1, 6])[split.reshape(-1)]
    first = (np.cumsum(need) - need).reshape(split.shape)
    ways, cycles, sizes = _edge_cycles()
    n = label_nets.count_polygons(padded, split, first, ways, cycles, sizes)
    polygons, pairs = np.full((n, 6), -1, dtype=np.int64), np.zeros((n, 2), dtype=np.int32)
    label_nets.fill_polygons(padded, split, first, ways, cycles, sizes, polygons, pairs)
    points = _vertex_positions(split, int(need.sum()))
    cube = np.repeat(np.arange(split.size), need)
    used = np.zeros(len(points), dtype=bool)
    used[polygons[polygons >= 0]] = True
    number = np.where(used, np.cumsum(used) - 1, -1)
    polygons = np.where(polygons >= 0, number[polygons], -1)
    return _divide_polygons_at_sides(points[used], polygons, pairs, cube[used], np.array(split.shape) - 1.5, n_split)


def _divide_polygons_at_sides(
    points: Floats, polygons: Ints, pairs: Array, cube: Ints, last: Floats, n_split: int
) -> tuple[Nets, Ints]:
    """Return nets and the cube of every vertex, with a vertex in the middle of polygons that might lie on a side.

    A polygon between two regions with three vertices or more on one side of the image would else get triangles that lie
    on it. last (3,) voxels is where the sides at high indices are; the others are at −0.5.
    """
    there = polygons >= 0
    inner = (pairs >= 0).all(axis=1)
    at_side = np.stack([points == -0.5, points == last], axis=1)[polygons] & there[:, :, None, None]
    some = np.flatnonzero(inner & (at_side.sum(axis=1) >= 3).any(axis=(1, 2)))
    if len(some) == 0:
        return Nets(points, polygons, pairs, n_split), cube
    middles = np.array([points[polygons[p][there[p]]].mean(axis=0) for p in some])
    fans, source = [], []
    for number, p in enumerate(some):
        ring = polygons[p][there[p]]
        fans += [(a, b, len(points) + number, -1, -1, -1) for a, b in zip(ring, np.roll(ring, -1))]
        source += [p] * len(ring)
    rest = np.ones(len(polygons), dtype=bool)
    rest[some] = False
    polygons, pairs = np.concatenate([polygons[rest], fans]), np.concatenate([pairs[rest], pairs[source]])
    cube = np.concatenate([cube, cube[[f[0] for f in fans]][np.unique(source, return_index=True)[1]]])
    return Nets(np.concatenate([points, middles]), polygons, pairs, n_split), cube


def _vertex_positions(split: Array, n: int) -> Floats:
    """Return the middles of cubes and of split cubes' tetrahedra, (n, 3) voxels, on the image's sides where cut."""
    size = np.array(split.shape)
    cubes = np.argwhere(split > 0)
    middles = cubes - 0.5
    inside = np.repeat(middles, np.where(split[split > 0] == 2, 6, 1), axis=0)
    tetrahedra = np.array([np.mean(t, axis=0) for t in _tetrahedra()]) - 0.5
    first = np.cumsum(np.where(split[split > 0] == 2, 6, 1))
    shift = np.zeros((n, 3))
    for start in first[split[split > 0] == 2] - 6:
        shift[start : start + 6] = tetrahedra
    on_side = (inside == -0.5) | (inside == size - 1.5)
    points: Floats = inside + np.where(on_side, 0.0, shift)
    return points


def _tetrahedra() -> list[Ints]:
    """Return the six tetrahedra of Freudenthal's triangulation of a cube, (4, 3) corners each."""
    found = []
    for order in itertools.permutations(range(3)):
        steps = np.eye(3, dtype=np.int64)[list(order)]
        found.append(np.concatenate([np.zeros((1, 3), dtype=np.int64), np.cumsum(steps, axis=0)]))
    return found


@functools.cache
def _edge_cycles() -> tuple[Ints, Ints, Ints]:
    """Return the directions of the triangulation's edges and the tetrahedra around them, in turn.

    The shapes are (7, 3), (7, 6, 4) for the cube relative to the edge's start and the tetrahedron, and (7,) for their
    number. Seen against the direction they run counter-clockwise by the mesh's rule, so that normals point along it.
    """
    ways = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1)])
    cycles, sizes = np.zeros((7, 6, 4), dtype=np.int64), np.zeros(7, dtype=np.int64)
    for w, way in enumerate(ways):
        around = []
        for cube in itertools.product((-1, 0), repeat=3):
            for t, corners in enumerate(_tetrahedra()):
                places = {tuple(c) for c in (corners + cube).tolist()}
                if (0, 0, 0) in places and tuple(way) in places:
                    around.append(((*cube, t), (corners + cube).mean(axis=0) - way / 2))
        across = np.cross(way, np.roll(way, 1) + [0.3, 0.5, 0.7])
        second = np.cross(across, way)  # across, second: a left-handed pair, as (z, y, x) is
        around.sort(key=lambda item: np.arctan2(item[1] @ second, item[1] @ across))
        sizes[w] = len(around)
        cycles[w, : len(around)] = [item[0] for item in around]
    return ways, cycles, sizes


@functools.cache
def _simple_subsets() -> Bools:
    """Tell for each subset of a cube's voxels whether it and its complement are connected through faces, (256,)."""
    simple = np.zeros(256, dtype=bool)
    for subset in range(256):
        inside = [c for c in range(8) if subset >> c & 1]
        simple[subset] = all(_is_connected(part) for part in (inside, [c for c in range(8) if c not in inside]))
    return simple


def _is_connected(voxels: list[int]) -> bool:
    """Tell whether voxels of a cube, numbered 4 z + 2 y + x, are connected through faces; so is an empty set."""
    reached = set(voxels[:1])
    for _ in range(8):
        reached |= {c for c in voxels for d in reached if (c ^ d) in (1, 2, 4)}
    return len(reached) == len(voxels)


def triangulate(points: Floats, polygons: Ints) -> tuple[Ints, Ints]:
    """Divide polygons in triangles: quads by the diagonal that leaves the larger smallest angle, others by a fan.

    Parameters
    ----------
    points : (n_vertices, 3) float64
        Positions, (z, y, x).
    polygons : (n, 6) int64
        Vertices of every polygon, −1 behind the last one.

    Returns
    -------
    faces : (n_faces, 3) int64
        The triangles, wound as the polygons are.
    source : (n_faces,) int64
        The polygon of every triangle.
    """
    size = (polygons >= 0).sum(axis=1)
    faces, source = [polygons[size == 3, :3]], [np.flatnonzero(size == 3)]
    quads = np.flatnonzero(size == 4)
    a, b, c, d = polygons[quads, :4].T
    ways = [((a, b, c), (a, c, d)), ((b, c, d), (b, d, a))]
    worst = [np.minimum(*(_largest_cosine(points, *t) * -1 for t in way)) for way in ways]
    better = worst[1] > worst[0]
    for t, u in zip(*ways):
        faces.append(np.where(better[:, None], np.stack(u, axis=1), np.stack(t, axis=1)))
        source.append(quads)
    for n in (5, 6):
        some = np.flatnonzero(size == n)
        for c in range(1, n - 1):
            faces.append(polygons[some][:, [0, c, c + 1]])
            source.append(some)
    return np.concatenate(faces), np.concatenate(source)


def _largest_cosine(points: Floats, a: Ints, b: Ints, c: Ints) -> Floats:
    """Return the cosine of the smallest angle of triangles a, b, c (n,) each."""
    p, q, r = points[b] - points[a], points[c] - points[b], points[a] - points[c]
    lengths = [np.maximum(np.linalg.norm(e, axis=1), 1e-300) for e in (p, q, r)]
    pairs = ((p, r, 0, 2), (q, p, 1, 0), (r, q, 2, 1))
    cosines: Floats = np.max([-np.einsum("ij,ij->i", e, f) / (lengths[i] * lengths[j]) for e, f, i, j in pairs], axis=0)
    return cosines
