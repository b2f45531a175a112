"""Mesh care during a fit: isotropic remeshing, smoothing, and undoing folds.

:func:`remesh` follows Botsch and Kobbelt ("A Remeshing Approach to Multiresolution Modeling", SGP 2004, doi
10.2312/SGP/SGP04/189-196): split long edges, collapse short ones, flip edges towards valence 6, relax along the
surface, project back. Every step handles a whole set of edges at once that cannot get in each other's way, in plain
NumPy: no compile time, and the same result on every run.

Why not gpytoolbox's ``remesh_botsch`` (MIT, C++)? Both were run on a sphere, a blob, a dumbbell, an ellipsoid of
1 : 7 : 27 and a noisy sphere of 5,120 faces, to three edge lengths. Both gave closed, repeatable meshes without folded
faces; the smallest angle of each lay between 5° and 54° there, 16° and 41° here. Keeping about 5,100 faces takes 0.06 s
there and 0.25 to 0.4 s here; growing to 16,000 faces 0.3 s there and 3 to 4 s here. A fit spends that every dozen steps
or more. But gpytoolbox 0.3.8 has no wheel for Linux on aarch64, so that a second way would be needed, and two ways give
two results; its import takes 1.5 s and brings in scikit-image and more; and a fault in C++ would end the process. So
there is one way.
"""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix, csr_matrix, diags

from ..errors import ConfigError, MeshError
from . import geometry, topology
from .closest import Reference, transfer_density
from .surface import SurfaceMesh

__all__ = [
    "faces_around",
    "needs_remesh",
    "remesh",
    "taubin_smooth",
    "uneven",
    "untangle",
    "worn_faces",
]

log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

LONG, SHORT = 4.0 / 3.0, 4.0 / 5.0  # Botsch and Kobbelt's bounds, in units of the target edge
_TURN = np.cos(np.radians(60.0))  # a step may turn a face's normal by at most this much
_SLIVER = 0.12  # least 4 √3 area / (sum of squared edges) of a face that a step may leave (1 is equilateral)
_MAX_FACES = 4_000_000
_ROUNDS = 30


# ---------------------------------------------------------------------------------------------------------------------
# The surface as half-edges


@dataclasses.dataclass(frozen=True)
class _Edges:
    """Edges of a surface with at most two faces each; the interior ones come with their two opposite vertices."""

    ends: Ints  # (n, 2) vertices a, b; face 0 runs from a to b
    faces: Ints  # (n, 2) faces on the two sides
    tips: Ints  # (n, 2) vertices opposite to the edge in faces 0 and 1
    fixed: Bools  # (n_vertices,) on a boundary


def _connect(faces: Ints, n_vertices: int) -> _Edges:
    half = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2)
    forward, backward = half[:, 0] * n_vertices + half[:, 1], half[:, 1] * n_vertices + half[:, 0]
    order = np.argsort(forward)
    at = np.minimum(np.searchsorted(forward[order], backward), len(forward) - 1)
    twin = np.where(forward[order][at] == backward, order[at], -1)
    fixed = np.zeros(n_vertices, dtype=bool)
    fixed[half[twin < 0]] = True
    one = np.flatnonzero((half[:, 0] < half[:, 1]) & (twin >= 0))
    two, flat = twin[one], faces.reshape(-1)
    tips = np.stack([flat[h - h % 3 + (h + 2) % 3] for h in (one, two)], axis=1)
    return _Edges(half[one], np.stack([one // 3, two // 3], axis=1), tips, fixed)


def _neighbours(ends: Ints, n_vertices: int) -> csr_matrix:
    rows, cols = np.concatenate([ends[:, 0], ends[:, 1]]), np.concatenate([ends[:, 1], ends[:, 0]])
    return coo_matrix((np.ones(len(rows)), (rows, cols)), shape=(n_vertices, n_vertices)).tocsr()


def _ragged(indptr: npt.NDArray, indices: npt.NDArray, rows: Ints) -> tuple[Ints, Ints]:
    """Entries of some rows of a CSR pattern, and which of the rows each belongs to."""
    counts = (indptr[rows + 1] - indptr[rows]).astype(np.int64)
    owner = np.repeat(np.arange(len(rows)), counts)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return indices[np.repeat(indptr[rows].astype(np.int64), counts) + offset].astype(np.int64), owner


def _doubled(corners: Floats) -> Floats:
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _shape(corners: Floats) -> Floats:
    """4 √3 area / (sum of squared edges): 1 for an equilateral triangle, 0 without area."""
    squares = ((np.roll(corners, -1, axis=1) - corners) ** 2).sum(axis=(1, 2))
    area = 0.5 * np.linalg.norm(_doubled(corners), axis=1)
    return np.divide(4.0 * np.sqrt(3.0) * area, squares, out=np.zeros_like(area), where=squares > 0)


def _cosine(a: Floats, b: Floats) -> Floats:
    """Cosine between rows; 1 where a row has no length (nothing can be said)."""
    scale = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide(np.einsum("ij,ij->i", a, b), scale, out=np.ones_like(scale), where=scale > 0)


def _least(n_vertices: int, at: Ints, rank: Ints) -> Ints:
    """Smallest rank at every vertex; `at` (n, k) holds the vertices of each candidate."""
    low = np.full(n_vertices, np.iinfo(np.int64).max)
    np.minimum.at(low, at.reshape(-1), np.repeat(rank, at.shape[1]))
    return low


# ---------------------------------------------------------------------------------------------------------------------
# Split


def _split(points: Floats, faces: Ints, limit: float, *, border: bool = True) -> tuple[Floats, Ints]:
    """Halve every edge longer than `limit`, those of the border too or not, until none is left.

    The surface itself does not move.
    """
    for _ in range(_ROUNDS):
        pairs, inverse, count = topology._unique_edges(faces)
        long = np.linalg.norm(points[pairs[:, 1]] - points[pairs[:, 0]], axis=1) > limit
        long &= border | (count > 1)
        if not long.any():
            break
        if len(faces) > _MAX_FACES:
            raise MeshError(f"remeshing would need more than {_MAX_FACES} faces.", remedy="Raise target_edge.")
        number = np.where(long, len(points) + np.cumsum(long) - 1, -1)
        points = np.concatenate([points, 0.5 * (points[pairs[long, 0]] + points[pairs[long, 1]])])
        faces = _split_faces(points, faces, number[inverse].reshape(-1, 3))
    return points, faces


def _split_faces(points: Floats, faces: Ints, middle: Ints) -> Ints:
    """New faces when edge c (corner c to c + 1) of a face gets the vertex middle[:, c], or none (-1)."""
    count = (middle >= 0).sum(axis=1)
    made = [faces[count == 0]]
    one = np.flatnonzero(count == 1)  # turn so that edge 0 is halved
    (a, b, c), (m, _, _) = _turned(faces, middle, one, np.argmax(middle[one] >= 0, axis=1))
    made += [np.stack([a, m, c], axis=1), np.stack([m, b, c], axis=1)]
    two = np.flatnonzero(count == 2)  # turn so that edges 0 and 1 are halved; b is cut off, a quad is left
    (a, b, c), (m, n, _) = _turned(faces, middle, two, (np.argmin(middle[two], axis=1) + 1) % 3)
    made.append(np.stack([m, b, n], axis=1))
    across = np.linalg.norm(points[a] - points[n], axis=1) <= np.linalg.norm(points[m] - points[c], axis=1)
    made.append(np.where(across[:, None], np.stack([a, m, n], axis=1), np.stack([a, m, c], axis=1)))
    made.append(np.where(across[:, None], np.stack([a, n, c], axis=1), np.stack([m, n, c], axis=1)))
    (a, b, c), (m, n, o) = faces[count == 3].T, middle[count == 3].T
    made += [np.stack(t, axis=1) for t in ((a, m, o), (m, b, n), (o, n, c), (m, n, o))]
    return np.concatenate(made)


def _turned(faces: Ints, middle: Ints, which: Ints, first: Ints) -> tuple[Ints, Ints]:
    columns = (first[:, None] + np.arange(3)) % 3
    rows = which[:, None]
    return faces[rows, columns].T, middle[rows, columns].T


# ---------------------------------------------------------------------------------------------------------------------
# Collapse


def _collapse(points: Floats, faces: Ints, target: float) -> tuple[Floats, Ints]:
    """Merge the ends of short edges where that keeps the surface closed, unfolded and free of long edges."""
    points, n_vertices = points.copy(), len(points)
    refused = np.zeros(0, dtype=np.int64)  # edges, as a * n_vertices + b, that may not collapse
    for _ in range(_ROUNDS):
        ends, place = _collapse_set(points, faces, target, refused)
        if len(ends) == 0:
            break
        fair = _keeps_topology(faces, ends, n_vertices)
        fair[fair] = _collapse_is_fair(points, faces, ends[fair], place[fair], LONG * target)
        refused = np.concatenate([refused, ends[~fair] @ [n_vertices, 1]])
        points[ends[fair, 0]] = place[fair]
        moved = np.arange(n_vertices)
        moved[ends[fair, 1]] = ends[fair, 0]
        faces = moved[faces]
        faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    return _compact(points, faces)


def _collapse_set(points: Floats, faces: Ints, target: float, refused: Ints) -> tuple[Ints, Floats]:
    """Short edges that do not get in each other's way, (n, 2), and where their ends would meet."""
    n_vertices = len(points)
    net = _connect(faces, n_vertices)
    length = np.linalg.norm(points[net.ends[:, 1]] - points[net.ends[:, 0]], axis=1)
    valence = np.bincount(faces.reshape(-1), minlength=n_vertices)
    ok = (length < SHORT * target) & ~net.fixed[net.ends].any(axis=1)
    ok &= (valence[net.tips] > 3).all(axis=1) & (valence[net.ends].sum(axis=1) - 4 >= 3)
    ok &= ~np.isin(net.ends @ [n_vertices, 1], refused)
    ends, length = net.ends[ok], length[ok]
    if len(ends) == 0:
        return ends, np.zeros((0, 3))
    rank = _short_first(length / target)
    mine = _least(n_vertices, ends, rank)
    near = mine.copy()  # the smallest rank at the vertex and next to it: two collapses must not share a face
    np.minimum.at(near, net.ends[:, 0], mine[net.ends[:, 1]])
    np.minimum.at(near, net.ends[:, 1], mine[net.ends[:, 0]])
    ends = ends[rank == near[ends].min(axis=1)]
    return ends, 0.5 * (points[ends[:, 0]] + points[ends[:, 1]])


def _short_first(length: Floats) -> Ints:
    """Ranks by eighths of the target length; within a class in an arbitrary fixed order, which lets many edges win."""
    shuffled = np.random.default_rng(0).permutation(len(length))
    order = np.lexsort([shuffled, np.floor(8.0 * length)])
    rank = np.empty(len(length), dtype=np.int64)
    rank[order] = np.arange(len(length))
    return rank


def _keeps_topology(faces: Ints, ends: Ints, n_vertices: int) -> Bools:
    """The link condition: the two ends have exactly the two tips as common neighbours."""
    wide = _neighbours(topology.edges(faces), n_vertices)
    return np.asarray(wide[ends[:, 0]].multiply(wide[ends[:, 1]]).sum(axis=1)).reshape(-1) == 2


def _collapse_is_fair(points: Floats, faces: Ints, ends: Ints, place: Floats, limit: float) -> Bools:
    """Whether no face around the merged vertex turns over, loses its area or gets an edge longer than `limit`."""
    order = np.argsort(faces.reshape(-1), kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(faces.reshape(-1), minlength=len(points)))])
    fair = np.ones(len(ends), dtype=bool)
    for side in range(2):
        corner, owner = _ragged(indptr, order, ends[:, side])
        star = faces[corner // 3]
        stays = (star != ends[owner, 1 - side][:, None]).all(axis=1)  # the two faces at the edge itself vanish
        corner, owner, star = corner[stays], owner[stays], star[stays]
        before = points[star]
        after = before.copy()
        after[np.arange(len(star)), corner % 3] = place[owner]
        shape = _shape(after)
        bad = (_cosine(_doubled(before), _doubled(after)) < _TURN) | (shape < np.minimum(_SLIVER, _shape(before)))
        bad |= shape < 1e-3
        bad |= np.linalg.norm(after - place[owner][:, None], axis=2).max(axis=1) > limit
        fair[owner[bad]] = False
    return fair


def _compact(points: Floats, faces: Ints) -> tuple[Floats, Ints]:
    """Drop vertices that no face uses."""
    used = np.zeros(len(points), dtype=bool)
    used[faces] = True
    return points[used], (np.cumsum(used) - 1)[faces]


# ---------------------------------------------------------------------------------------------------------------------
# Flip


def _flip(points: Floats, faces: Ints, *, by_valence: bool) -> Ints:
    """Turn edges inside their quadrilateral, towards valence 6, or until every edge is Delaunay."""
    for _ in range(_ROUNDS):
        flipped = _flip_once(points, faces, by_valence=by_valence)
        if flipped is None:
            break
        faces = flipped
    return faces


def _flip_once(points: Floats, faces: Ints, *, by_valence: bool) -> Ints | None:
    n_vertices = len(points)
    net = _connect(faces, n_vertices)
    wide = _neighbours(topology.edges(faces), n_vertices)
    valence = np.diff(wide.indptr)
    gain = _valence_gain(valence, net) if by_valence else _delaunay_gain(points, net)
    ok = (gain > 0) & (valence[net.ends] > 3).all(axis=1) & (net.tips[:, 0] != net.tips[:, 1])
    chosen = np.flatnonzero(ok)
    if len(chosen) == 0:
        return None
    joined = np.asarray(wide[net.tips[chosen, 0], net.tips[chosen, 1]]).reshape(-1) > 0
    chosen = chosen[~joined]
    (a, b), (c, d) = net.ends[chosen].T, net.tips[chosen].T
    one, two = np.stack([a, d, c], axis=1), np.stack([d, b, c], axis=1)
    fair = _flip_is_fair(points, np.stack([a, b, c], axis=1), np.stack([b, a, d], axis=1), one, two)
    chosen, one, two = chosen[fair], one[fair], two[fair]
    if len(chosen) == 0:
        return None
    rank = np.empty(len(chosen), dtype=np.int64)
    rank[np.argsort(-gain[chosen], kind="stable")] = np.arange(len(chosen))
    quad = np.concatenate([net.ends[chosen], net.tips[chosen]], axis=1)
    first = rank == _least(n_vertices, quad, rank)[quad].min(axis=1)
    faces = faces.copy()
    faces[net.faces[chosen[first], 0]], faces[net.faces[chosen[first], 1]] = one[first], two[first]
    return faces


def _valence_gain(valence: npt.NDArray, net: _Edges) -> Floats:
    off = valence - np.where(net.fixed, 4, 6)
    before = np.abs(off[net.ends]).sum(axis=1) + np.abs(off[net.tips]).sum(axis=1)
    return (before - np.abs(off[net.ends] - 1).sum(axis=1) - np.abs(off[net.tips] + 1).sum(axis=1)).astype(np.float64)


def _delaunay_gain(points: Floats, net: _Edges) -> Floats:
    """Sum of the two angles opposite to the edge beyond 180°, in radians."""
    total = np.zeros(len(net.ends))
    for side in range(2):
        to_a, to_b = (points[net.ends[:, k]] - points[net.tips[:, side]] for k in range(2))
        total += np.arctan2(np.linalg.norm(np.cross(to_a, to_b), axis=1), np.einsum("ij,ij->i", to_a, to_b))
    return total - np.pi - 1e-6  # without the slack a square would flip for ever


def _flip_is_fair(points: Floats, old1: Ints, old2: Ints, new1: Ints, new2: Ints) -> Bools:
    before = [_doubled(points[old]) for old in (old1, old2)]
    after = [_doubled(points[new]) for new in (new1, new2)]
    shapes = [_shape(points[f]) for f in (old1, old2, new1, new2)]
    fair = np.minimum(shapes[2], shapes[3]) > np.minimum(_SLIVER, np.minimum(shapes[0], shapes[1]))
    fair &= _cosine(after[0], after[1]) > _TURN
    for normal in after:
        fair &= _cosine(normal, before[0] + before[1]) > _TURN
    return fair


# ---------------------------------------------------------------------------------------------------------------------
# Relax and project


def _average(faces: Ints, n_vertices: int, fixed: Bools | None = None) -> csr_matrix:
    """The matrix that gives every vertex the mean of its neighbours (fixed and unused ones stay)."""
    wide = _neighbours(topology.edges(faces), n_vertices)
    degree = np.asarray(wide.sum(axis=1)).reshape(-1)
    still = degree == 0 if fixed is None else (degree == 0) | fixed
    scale = np.where(still, 0.0, 1.0 / np.maximum(degree, 1.0))
    return (diags(scale) @ wide + diags(still.astype(np.float64))).tocsr()


def _relax(points: Floats, faces: Ints, reference: Reference | None) -> Floats:
    """Move each vertex within the surface towards the area-weighted centre of its neighbourhood, then project."""
    n_vertices = len(points)
    net = _connect(faces, n_vertices)
    corners = points[faces]
    areas = 0.5 * np.linalg.norm(_doubled(corners), axis=1)
    weight = np.bincount(faces.reshape(-1), weights=np.repeat(areas, 3), minlength=n_vertices)
    centres = areas[:, None] * corners.mean(axis=1)
    target = np.stack([np.bincount(faces.reshape(-1), np.repeat(c, 3), n_vertices) for c in centres.T], axis=1)
    target = np.divide(target, weight[:, None], out=points.copy(), where=weight[:, None] > 0)
    normals = geometry.vertex_normals(points, faces)
    step = target - points
    step -= np.einsum("ij,ij->i", step, normals)[:, None] * normals
    step[net.fixed] = 0.0
    moved = points + step
    if reference is not None:
        moved = np.where(net.fixed[:, None], points, reference.project(moved, normals))
    return _hold_back(points, moved, faces)


def _hold_back(points: Floats, moved: Floats, faces: Ints) -> Floats:
    """Undo the moves that turn a face over, fold it onto a neighbour or flatten it."""
    before, quality = _doubled(points[faces]), _shape(points[faces])
    pairs = topology.interior_edges(faces)[0] // 3
    folds = _cosine(before[pairs[:, 0]], before[pairs[:, 1]])
    for _ in range(10):
        after = _doubled(moved[faces])
        bad = (_cosine(before, after) < _TURN) | (_shape(moved[faces]) < np.minimum(_SLIVER, 0.9 * quality))
        new = _cosine(after[pairs[:, 0]], after[pairs[:, 1]])
        bad[pairs[new < np.minimum(-0.5, folds - 1e-9)]] = True
        if not bad.any():
            return moved
        moved = moved.copy()
        back = np.unique(faces[bad])
        moved[back] = points[back]
    return points


# ---------------------------------------------------------------------------------------------------------------------
# What others call


def _check_edge(target_edge: float) -> float:
    if not (np.isfinite(target_edge) and target_edge > 0):
        raise ConfigError(f"target_edge is {target_edge!r}; expected a positive length in µm.")
    return float(target_edge)


def remesh(
    mesh: SurfaceMesh,
    target_edge: float,
    *,
    iterations: int = 3,
    project: bool = True,
    within: npt.NDArray[np.bool_] | None = None,
) -> SurfaceMesh:
    """The same surface with triangles as equilateral and edges as close to `target_edge` as can be had.

    A closed, manifold input without folds gives a closed, manifold output of the same topology without folded or
    zero-area faces. Boundary vertices of an open surface stay where they are. Should the result break this promise
    (seen only on inputs that already do), it goes through :func:`untangle`; if that does not help, the input comes
    back, and the log says so (as information). Neither is an input touched that is not manifold or not consistently
    wound.

    Parameters
    ----------
    mesh : SurfaceMesh
    target_edge : float
        Wanted edge length in µm; edges end up between about 0.5 and 1.5 times that.
    iterations : int
        Rounds of split, collapse, flip and relax.
    project : bool
        Put vertices back onto the input surface; without it every round smooths a little.
    within : (n_faces,) bool, optional
        The faces that may change; all others, and with them the border of these, stay as they are.

    Returns
    -------
    SurfaceMesh
        Same dtype; the density of a face is that of the closest input face.

    Raises
    ------
    ConfigError
        When `target_edge` is not positive.
    MeshError
        When so short an edge would need millions of faces, or `within` does not tell of each face.
    """
    target = _check_edge(target_edge)
    if not (topology.is_manifold(mesh, boundary=True) and topology.is_oriented(mesh)):
        log.warning("the mesh is not manifold or not consistently wound; it is left as it is")
        return mesh
    expected = mesh.area / (np.sqrt(3.0) / 4.0 * target**2)
    if expected > _MAX_FACES:
        raise MeshError(f"remeshing to {target:g} µm needs about {expected:.2g} faces.", remedy="Raise target_edge.")
    points, faces = mesh.vertices.astype(np.float64), mesh.faces
    if within is None:
        return _accept(mesh, *_remeshed(*_compact(points, faces), target, iterations, project, border=True))
    within = np.asarray(within)
    if within.shape != (mesh.n_faces,) or within.dtype != bool:
        raise MeshError(f"within is {within.dtype} of shape {within.shape}; expected bool of shape ({mesh.n_faces},).")
    if not within.any():
        return mesh
    part = _remeshed(*_compact(points, faces[within]), target, iterations, project, border=False)
    return _accept(mesh, *_put_back(points, faces, within, *part), mend=within.all())


def _remeshed(
    points: Floats, faces: Ints, target: float, iterations: int, project: bool, *, border: bool
) -> tuple[Floats, Ints]:
    """Rounds of split, collapse, flip and relax; edges on the border are halved too or not."""
    points, faces = _split(points, faces, LONG * target, border=border)  # does not move the surface
    reference = Reference(points, faces) if project else None
    for turn in range(iterations):
        if turn:
            points, faces = _split(points, faces, LONG * target, border=border)
        points, faces = _collapse(points, faces, target)
        faces = _flip(points, faces, by_valence=True)
        points = _relax(points, faces, reference)
        faces = _flip(points, faces, by_valence=False)
        points = _relax(points, faces, reference)
    return points, _flip(points, faces, by_valence=False)


def _put_back(points: Floats, faces: Ints, within: Bools, part_points: Floats, part_faces: Ints) -> tuple[Floats, Ints]:
    """A surface with a part of its faces replaced by others on the same border.

    The vertices on the border are the same in the same order, before and after: none is added, moved or dropped.
    """
    old, rest = faces[within], faces[~within]
    border = np.flatnonzero(_connect(old, len(points)).fixed)
    same = _connect(part_faces, len(part_points)).fixed
    number = np.empty(len(part_points), dtype=np.int64)
    number[same] = border
    number[~same] = len(points) + np.arange(int((~same).sum()))
    return _compact(np.concatenate([points, part_points[~same]]), np.concatenate([rest, number[part_faces]]))


def _accept(mesh: SurfaceMesh, points: Floats, faces: Ints, *, mend: bool = True) -> SurfaceMesh:
    """The result if it keeps the promises of :func:`remesh`, mended if need be; else the input."""
    made = SurfaceMesh(points.astype(mesh.dtype), faces)
    if mend and not topology.quality(made).sound:
        made = untangle(made)
    whole = topology.is_manifold(made, boundary=not topology.is_closed(mesh))
    if not whole or topology.euler_characteristic(made) != topology.euler_characteristic(mesh):
        log.info("remeshing would have broken the surface; it is left as it is")
        return mesh
    before, after = topology.quality(mesh), topology.quality(made)
    if not after.sound and after.n_zero_area + after.n_folded >= before.n_zero_area + before.n_folded:
        log.info("remeshing left %d folded and %d empty faces; the mesh is left as it is", after.n_folded,
                    after.n_zero_area)  # fmt: skip
        return mesh
    return made.with_density(transfer_density(mesh, made))


def needs_remesh(mesh: SurfaceMesh, target_edge: float, *, max_outside: float = 0.05, min_angle: float = 10.0) -> bool:
    """Whether triangles have degraded so far that :func:`remesh` pays.

    Parameters
    ----------
    mesh : SurfaceMesh
    target_edge : float
        µm.
    max_outside : float
        Fraction of edges that may lie outside 0.5 to 1.7 times the target.
    min_angle : float
        Smallest corner angle that is still good, degrees.
    """
    if uneven(mesh, target_edge, max_outside=max_outside):
        return True
    if min_angle > 0 and topology.corner_angles(mesh.vertices, mesh.faces).min() < min_angle:
        return True
    return len(topology.folded_edges(mesh)) > 0


def uneven(mesh: SurfaceMesh, target_edge: float, *, max_outside: float = 0.05) -> bool:
    """Whether more than a part of the edges lie outside 0.5 to 1.7 times the target, µm."""
    target = _check_edge(target_edge)
    sides = geometry.edge_lengths(mesh.vertices, mesh.faces)
    return bool(((sides < 0.5 * target) | (sides > 1.7 * target)).mean() > max_outside)


def worn_faces(mesh: SurfaceMesh, target_edge: float, *, shortest: float, longest: float, min_angle: float) -> Bools:
    """Faces that have degraded, (n_faces,) bool: folded, with an edge out of bounds, or too sharp.

    Parameters
    ----------
    mesh : SurfaceMesh
    target_edge : float
        µm.
    shortest, longest : float
        Bounds of an edge in units of the target.
    min_angle : float
        Smallest corner angle that is still good, degrees.
    """
    target = _check_edge(target_edge)
    corners = geometry.corner_points(mesh.vertices, mesh.faces)
    sides = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    worn = (sides.min(axis=1) < shortest * target) | (sides.max(axis=1) > longest * target)
    worn |= topology.corner_angles(mesh.vertices, mesh.faces).min(axis=1) < min_angle
    worn[topology.folded_edges(mesh)] = True
    return worn


def faces_around(mesh: SurfaceMesh, faces: npt.NDArray[np.bool_], rings: int) -> Bools:
    """Some faces (n_faces,) bool and so many rings of faces around them, (n_faces,) bool."""
    for _ in range(rings):
        at = np.zeros(mesh.n_vertices, dtype=bool)
        at[mesh.faces[faces]] = True
        faces = at[mesh.faces].any(axis=1)
    return faces


def taubin_smooth(
    mesh: SurfaceMesh, iterations: int = 10, *, inward: float = 0.5, outward: float = 0.53
) -> SurfaceMesh:
    """Smooth without much shrinking: alternate a step towards the neighbours' mean and a slightly larger one back.

    Boundary vertices stay.

    Parameters
    ----------
    mesh : SurfaceMesh
    iterations : int
    inward, outward : float
        Step sizes, 0 < inward < outward < 1.

    References
    ----------
    Taubin, "Curve and surface smoothing without shrinkage", ICCV 1995, doi 10.1109/ICCV.1995.466848.
    """
    if not 0 < inward < outward < 1:
        raise ConfigError(f"inward and outward are {inward} and {outward}; expected 0 < inward < outward < 1.")
    fixed = np.zeros(mesh.n_vertices, dtype=bool)
    fixed[topology.boundary_edges(mesh)] = True
    mean = _average(mesh.faces, mesh.n_vertices, fixed)
    points = mesh.vertices.astype(np.float64)
    for _ in range(iterations):
        points = points + inward * (mean @ points - points)
        points = points - outward * (mean @ points - points)
    return mesh.with_vertices(points.astype(mesh.dtype))


def untangle(mesh: SurfaceMesh, *, rounds: int = 60, fold_angle: float = topology.FOLD_ANGLE) -> SurfaceMesh:
    """Smooth around folded and zero-area faces until there are none; the connectivity stays.

    The patch that is smoothed grows by a ring every 10 rounds, so that a stubborn fold is ironed out over a wider
    area. What is left after the last round is logged. Boundary vertices stay.

    Parameters
    ----------
    mesh : SurfaceMesh
    rounds : int
    fold_angle : float
        Degrees between neighbouring normals from which on the two faces count as folded.
    """
    fixed = np.zeros(mesh.n_vertices, dtype=bool)
    fixed[topology.boundary_edges(mesh)] = True
    mean = _average(mesh.faces, mesh.n_vertices, fixed)
    for turn in range(rounds):
        bad = _bad_vertices(mesh, fold_angle)
        if not bad.any():
            return mesh
        for _ in range(1 + turn // 10):
            bad[mesh.faces[bad[mesh.faces].any(axis=1)]] = True
        points = mesh.vertices.astype(np.float64)
        for _ in range(3):
            points = np.where(bad[:, None], mean @ points, points)
        mesh = mesh.with_vertices(points.astype(mesh.dtype))
    if _bad_vertices(mesh, fold_angle).any():
        log.info("%d folded faces are left after %d rounds", topology.quality(mesh).n_folded, rounds)
    return mesh


def _bad_vertices(mesh: SurfaceMesh, fold_angle: float) -> Bools:
    bad = np.zeros(mesh.n_vertices, dtype=bool)
    bad[mesh.faces[topology.folded_edges(mesh, fold_angle=fold_angle)]] = True
    bad[mesh.faces[topology.zero_area_faces(mesh)]] = True
    return bad
