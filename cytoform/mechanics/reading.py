"""Two ways to set up the balance of forces: over smooth fields, or at the faces beside the junctions."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, identity, kron

from .._typing import Bools, Floats, Ints
from ..mesh import geometry
from ..mesh.junctions import Junctions
from .balance import Unknowns, force_matrix, stiffness_matrix, vertex_areas
from .fairing import fair_sheets
from .fields import TestFields, make_fields
from .solving import Solution, covariance_of_clusters, covariance_of_noise, solve

__all__ = ["Reading", "Shape", "read_faces", "read_fields"]

_SMOOTHING = 1.0 / 6.0  # smoothing length as a share of the scale
_LEAST_AREA = 0.2  # of the mean at a vertex: the noise of vertices with less is taken as that of such a one
_FEWEST_LINES = 5  # below, the scatter between single edges stands for that between lines
_ROUGH = 0.05  # edge lengths; a surface that smoothing moves by less is read as it is


@dataclasses.dataclass(frozen=True, eq=False)
class Shape:
    """A mesh as the balance of forces needs it.

    Parameters
    ----------
    vertices : (n_vertices, 3) float64
        Positions in µm.
    faces : (n_faces, 3) int64
        Vertex indices.
    junctions : Junctions
        Where sheets meet.
    excluded : (n_vertices,) bool
        Vertices without an equation.
    held : (n_vertices,) bool
        Vertices that smoothing must not move.
    """

    vertices: Floats
    faces: Ints
    junctions: Junctions
    excluded: Bools
    held: Bools


@dataclasses.dataclass(frozen=True, eq=False)
class Reading:
    """What a reading found.

    Parameters
    ----------
    values : (n_unknowns,) float64
        Tensions, then pressures.
    covariance : (n_unknowns, n_unknowns) float64
        Their covariance.
    condition : float
        Condition number of the equations.
    undetermined : (n_unknowns,) bool
        Unknowns without an equation.
    residuals : (n_vertices,) float64
        Unbalanced force about each vertex as a multiple of the mean tension, NaN where none is read.
    """

    values: Floats
    covariance: Floats
    condition: float
    undetermined: Bools
    residuals: Floats


def read_fields(shape: Shape, unknowns: Unknowns, condition: Floats, scale: float, *, robust: bool) -> Reading:
    """Balance the virtual work of tensions and pressures over bell-shaped displacements of radius `scale`.

    The virtual work of a displacement that varies slowly holds the angles at junctions and the curvature of sheets,
    averaged over its support (weak form of the laws of Young and Dupré and of Young and Laplace); noise of the surface
    on shorter lengths averages out. The surface is smoothed over a sixth of the scale before, as roughness would add
    area.

    Parameters
    ----------
    shape : Shape
        The mesh.
    unknowns : Unknowns
        Tensions and pressures.
    condition : (n_unknowns,) float64
        The scale condition.
    scale : float
        Radius of the displacements in µm.
    robust : bool
        Whether fields with large residuals get less weight.

    Returns
    -------
    Reading
        Unknowns, covariance and residuals.
    """
    junctions, faces = shape.junctions, shape.faces
    points = _smooth_if_rough(shape, _SMOOTHING * scale)
    used = geometry.used_vertices(faces, len(points))
    fields = make_fields(points, used, junctions.degree > 0, shape.excluded, scale)
    if len(fields.centres) == 0:
        return _nothing(unknowns, len(points))
    work = kron(fields.weights, identity(3), format="csr")
    matrix = csr_matrix(work @ force_matrix(points, faces, unknowns))
    weights = np.repeat(fields.radii / scale, 3)
    solution = solve(matrix, condition, weights, robust=robust)
    stiffness = stiffness_matrix(points, faces, unknowns, solution.values)
    spread = csr_matrix(work @ stiffness @ _noise(points, shape, unknowns))
    covariance = covariance_of_noise(solution, matrix, spread)
    residuals = _residuals_at_vertices(fields, solution)
    return Reading(solution.values, covariance, solution.condition, solution.undetermined, residuals)


def _noise(points: Floats, shape: Shape, unknowns: Unknowns) -> csr_matrix:
    """Return independent moves of the vertices, (3 n_vertices, k): along the normal, on junctions along all axes.

    Each has the size 1 / √area, as white noise of the surface has.
    """
    faces, n = shape.faces, len(points)
    areas = vertex_areas(points, faces)
    size = 1.0 / np.sqrt(np.maximum(areas, _LEAST_AREA * areas.mean()))
    sign = np.where(unknowns.sides[:, 0] < unknowns.sides[:, 1], 1.0, -1.0)
    weighted = geometry.face_normals(points, faces) * (geometry.face_areas(points, faces) * sign)[:, None]
    normals = geometry.sum_at_vertices(np.repeat(weighted[:, None], 3, axis=1), faces, n)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    inside, met = (np.flatnonzero((shape.junctions.degree > 0) == on) for on in (False, True))
    rows = np.concatenate(
        [(3 * inside[:, None] + np.arange(3)).reshape(-1), (3 * met[:, None] + np.arange(3)).reshape(-1)]
    )
    columns = np.concatenate([np.repeat(np.arange(len(inside)), 3), len(inside) + np.arange(3 * len(met))])
    values = np.concatenate([(size[inside, None] * normals[inside]).reshape(-1), np.repeat(size[met], 3)])
    return csr_matrix((values, (rows, columns)), shape=(3 * n, len(inside) + 3 * len(met)))


def _smooth_if_rough(shape: Shape, length: float) -> Floats:
    """Return positions smoothed over a length in µm, or as they are if that would move them by next to nothing."""
    points = fair_sheets(shape.vertices, shape.faces, shape.junctions, length, shape.held)
    moved = np.sqrt(((points - shape.vertices) ** 2).sum(axis=1).mean())
    edge = np.sqrt(2.3 * geometry.face_areas(shape.vertices, shape.faces).mean())  # of equilateral triangles so large
    return points if moved > _ROUGH * edge else shape.vertices


def _nothing(unknowns: Unknowns, n_vertices: int) -> Reading:
    """Return a reading in which nothing is determined, for a mesh without a single equation."""
    n = unknowns.count
    missing = np.full(n, np.nan)
    return Reading(missing, np.full((n, n), np.nan), np.inf, np.ones(n, dtype=bool), np.full(n_vertices, np.nan))


def _residuals_at_vertices(fields: TestFields, solution: Solution) -> Floats:
    """Return the unbalanced force on the fields over their radius, averaged at each vertex, (n_vertices,)."""
    size = np.linalg.norm(solution.residuals.reshape(-1, 3), axis=1) / fields.radii
    total = np.asarray(fields.weights.sum(axis=0)).reshape(-1)
    found = np.full(len(total), np.nan)
    np.divide(fields.weights.T @ size, total, out=found, where=total > 0)
    return found


def read_faces(shape: Shape, unknowns: Unknowns, condition: Floats, *, robust: bool) -> Reading:
    """Balance the tensions in the faces beside every junction edge, then the pressures at all vertices.

    This is the usual reading, Σ γ t = 0 with t the unit vectors in the faces, normal to the edge, and curvature from
    the slope of the area. A face differs from the tangent plane at its edge by half its height times the curvature, so
    tensions err by as much, and noise of the vertices enters in full: it suits meshes that are fine and clean.

    Parameters
    ----------
    shape : Shape
        The mesh.
    unknowns : Unknowns
        Tensions and pressures.
    condition : (n_unknowns,) float64
        The scale condition.
    robust : bool
        Whether edges with large residuals get less weight.

    Returns
    -------
    Reading
        Standard errors are from the scatter between junction lines; pressures take the tensions as known.
    """
    edges, kept = _balanced_edges(shape)
    if len(edges) == 0:
        return _nothing(unknowns, len(shape.vertices))
    matrix, long = _conormal_matrix(shape, unknowns, edges)
    n = unknowns.n_pairs
    solution = solve(matrix, condition[:n], np.repeat(np.sqrt(long / long.mean()), 3), robust=robust)
    lines = np.unique(shape.junctions.lines[kept], return_inverse=True)[1]
    if lines.max() + 1 < _FEWEST_LINES:
        lines = np.arange(len(edges))
    values, covariance = np.zeros(unknowns.count), np.full((unknowns.count, unknowns.count), np.nan)
    values[:n] = solution.values
    covariance[:n, :n] = covariance_of_clusters(solution, matrix, lines)
    values[n:], by_tension = _pressures_of(shape, unknowns, solution.values)
    covariance[n:, :n] = by_tension @ covariance[:n, :n]
    covariance[:, n:] = covariance[:, :n] @ by_tension.T
    undetermined = np.concatenate([solution.undetermined, np.zeros(len(unknowns.regions), dtype=bool)])
    residuals = np.full(len(shape.vertices), np.nan)
    size = np.linalg.norm(solution.residuals.reshape(-1, 3), axis=1)
    count = np.bincount(edges.reshape(-1), minlength=len(residuals))
    sums = np.bincount(edges.reshape(-1), np.repeat(size, 2), len(residuals))
    np.divide(sums, count, out=residuals, where=count > 0)
    return Reading(values, covariance, solution.condition, undetermined, residuals)


def _balanced_edges(shape: Shape) -> tuple[Ints, Ints]:
    """Return the junction edges with an equation, (n, 2), and their indices among all junction edges, (n,)."""
    known = ~shape.excluded[shape.junctions.edges].any(axis=1)
    return shape.junctions.edges[known], np.flatnonzero(known)


def _conormal_matrix(shape: Shape, unknowns: Unknowns, edges: Ints) -> tuple[csr_matrix, Floats]:
    """Return the matrix of Σ γ t at junction edges, (3 n_edges, n_pairs), and the edges' lengths in µm, (n_edges,)."""
    faces, points = shape.faces, shape.vertices
    sides = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]], axis=2).reshape(-1, 2)
    tips = faces[:, [2, 0, 1]].reshape(-1)
    size = len(points)
    keys, wanted = sides[:, 0] * size + sides[:, 1], edges[:, 0] * size + edges[:, 1]
    order = np.argsort(wanted)
    at = order[np.minimum(np.searchsorted(wanted, keys, sorter=order), len(order) - 1)]
    hit = np.flatnonzero(wanted[at] == keys)
    at = at[hit]
    along = points[edges[:, 1]] - points[edges[:, 0]]
    long = np.linalg.norm(along, axis=1)
    unit = along / np.maximum(long, 1e-300)[:, None]
    inward = points[tips[hit]] - points[edges[at, 0]]
    inward = inward - (inward * unit[at]).sum(axis=1, keepdims=True) * unit[at]
    inward /= np.maximum(np.linalg.norm(inward, axis=1, keepdims=True), 1e-300)
    rows, columns = 3 * at[:, None] + np.arange(3), np.repeat(unknowns.pair_of_face[hit // 3], 3)
    entries = (inward.reshape(-1), (rows.reshape(-1), columns))
    return csr_matrix(coo_matrix(entries, shape=(3 * len(edges), unknowns.n_pairs))), long


def _pressures_of(shape: Shape, unknowns: Unknowns, tensions: Floats) -> tuple[Floats, Floats]:
    """Return the pressures that balance given tensions at all vertices, (n_regions,), and their slope, a matrix."""
    known = np.repeat(~shape.excluded, 3)
    matrix = force_matrix(shape.vertices, shape.faces, unknowns)[known]
    n = unknowns.n_pairs
    by_pressure = matrix[:, n:]
    normal = (by_pressure.T @ by_pressure).toarray()
    slope = -np.linalg.pinv(normal) @ (by_pressure.T @ matrix[:, :n]).toarray()
    return slope @ tensions, slope
