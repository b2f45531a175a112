"""Split and collapse edges of a mesh of several sheets; every edit keeps the topology of all regions and lines."""

from __future__ import annotations

import math

import numba
import numpy as np

from .._typing import Floats, Ints
from .complex_flips import edge_state, turns_little
from .complex_links import dimensions_allow, keeps_topology
from .complex_shapes import length, normal, smallest_sine, vertex_normal
from .complexes import (
    MAX_STAR,
    Complex,
    add_face,
    dimension,
    enter_star,
    gather_star,
    new_star_fits,
    remove_face,
    ring,
    set_corner,
)

__all__ = ["collapse_edge", "split_edge"]

_SMOOTH = 0.5  # cosine of the angle between normals up to which an edge is bent with the surface


@numba.njit(cache=True)
def _line_tangent(c: Complex, v: int, near: Ints, n: int, out: Floats) -> bool:
    """Fill `out` (3,) with the unit tangent of the line through a vertex of dimension 1; tell whether there is one."""
    first, second = -1, -1
    for k in range(n):
        if near[k, 2] == 1:
            first, second = second, near[k, 0]
    size = 0.0
    for x in range(3):
        out[x] = c.points[second, x] - c.points[first, x]
        size += out[x] * out[x]
    size = math.sqrt(size)
    if first < 0 or size == 0.0:
        return False
    for x in range(3):
        out[x] /= size
    return True


@numba.njit(cache=True)
def _bend_by_normals(c: Complex, a: int, b: int, f: int, out: Floats) -> None:
    """Add to `out` what lifts the middle of edge a, b onto the cubic curve across the normals at its ends."""
    na, nb = vertex_normal(c, a, f), vertex_normal(c, b, f)
    if na[0] * nb[0] + na[1] * nb[1] + na[2] * nb[2] < _SMOOTH:
        return
    da, db = 0.0, 0.0
    for x in range(3):
        e = c.points[b, x] - c.points[a, x]
        da += e * na[x]
        db += e * nb[x]
    for x in range(3):
        out[x] += 0.125 * (db * nb[x] - da * na[x])


@numba.njit(cache=True)
def _bend_by_tangents(c: Complex, a: int, b: int, ta: Floats, tb: Floats, out: Floats) -> None:
    """Add to `out` what moves the middle of edge a, b onto the cubic curve with tangents ta and tb at its ends."""
    da, db, along = 0.0, 0.0, 0.0
    for x in range(3):
        e = c.points[b, x] - c.points[a, x]
        da += e * ta[x]
        db += e * tb[x]
        along += ta[x] * tb[x]
    if along * (1.0 if da * db > 0 else -1.0) < _SMOOTH:
        return
    for x in range(3):
        out[x] += 0.125 * (da * ta[x] - db * tb[x])


@numba.njit(cache=True)
def _middle(c: Complex, a: int, b: int, f: int, on_line: bool, out: Floats) -> None:
    """Fill `out` (3,) with the middle of edge a, b on the curved sheet of face f, or on the curved line.

    Ends that are corners, or lie on a line that the edge does not follow, have no direction of their own: it stays
    straight.
    """
    for x in range(3):
        out[x] = 0.5 * (c.points[a, x] + c.points[b, x])
    n, m = ring(c, a, c.near), ring(c, b, c.near_b)
    if n < 0 or m < 0:
        return
    da, db = dimension(c.near, n), dimension(c.near_b, m)
    bend = np.zeros(3)
    if on_line and da == 1 and db == 1:
        ta, tb = np.empty(3), np.empty(3)
        if _line_tangent(c, a, c.near, n, ta) and _line_tangent(c, b, c.near_b, m, tb):
            _bend_by_tangents(c, a, b, ta, tb, bend)
    elif not on_line and (da == 2 or db == 2):
        _bend_by_normals(c, a, b, f, bend)
    held = c.held[a] & c.held[b]
    for x in range(3):
        if not held >> x & 1:
            out[x] += bend[x]


@numba.njit(cache=True)
def split_edge(c: Complex, a: int, b: int, curved: bool) -> int:
    """Put a vertex in the middle of edge a, b; return it, or −1 where there is no room or nothing to split.

    `curved`: c.bend is filled with what would move it onto the curved sheet or line.
    """
    k, f0, on_line = edge_state(c, a, b)
    if k == 0 or c.used[0] + 1 > len(c.points) or c.used[1] + k > len(c.faces) or k > MAX_STAR // 2:
        return -1
    m = int(c.used[0])
    c.used[0] += 1
    c.head[m] = -1
    c.held[m] = c.held[a] & c.held[b]
    c.points[m] = 0.5 * (c.points[a] + c.points[b])
    c.bend[m] = 0.5 * (c.bend[a] + c.bend[b])
    if curved:
        place = np.empty(3)
        _middle(c, a, b, f0, on_line == 1, place)
        c.bend[m] += place - c.points[m]
    n = gather_star(c, a, c.star)
    for s in range(n):
        f = c.star[s]
        for corner in range(3):
            if c.faces[f, corner] == b:
                third = 3 - corner
                for other in range(3):
                    if c.faces[f, other] == a:
                        third -= other
                ca, ct = -1, c.faces[f, third]
                for other in range(3):
                    if c.faces[f, other] == a:
                        ca = other
                set_corner(c, f, corner, m)  # a, m, third stays
                new = np.empty(3, np.int64)
                new[ca], new[corner], new[third] = m, b, ct
                add_face(c, new[0], new[1], new[2], f)
                break
    enter_star(c, m)
    return m


@numba.njit(cache=True)
def collapse_edge(c: Complex, a: int, b: int, longest: float, least: float, curved: bool) -> bool:
    """Merge the ends of edge a, b if that keeps the topology and crosses, folds and turns nothing; tell whether it did.

    The end of lower dimension stays where it is; of equal ones the middle is taken. No edge may become longer than
    `longest`; the sine of no angle may become less than `least` and less than it was around the edge.
    """
    na, nb = ring(c, a, c.near), ring(c, b, c.near_b)
    if na <= 0 or nb <= 0:
        return False
    da, db = dimension(c.near, na), dimension(c.near_b, nb)
    if db < da or (da == db and c.held[a] & c.held[b] != c.held[b]):
        return False  # b goes, and must not be held where a is not; the caller tries both orders
    if c.held[a] | c.held[b] != c.held[a]:
        return False
    at_edge, f0, on_line = edge_state(c, a, b)
    if not dimensions_allow(c, da, db, on_line, at_edge):
        return False
    n, m = gather_star(c, a, c.star), gather_star(c, b, c.star_b)
    if n < 0 or m < 0 or n + m > MAX_STAR or not keeps_topology(c, a, b, n, m, na, nb, at_edge):
        return False
    old, place = c.points[a].copy(), c.points[a].copy()
    if da == db and c.held[a] == c.held[b]:
        if curved:
            _middle(c, a, b, f0, on_line == 1, place)
        else:
            place = 0.5 * (c.points[a] + c.points[b])
    if not _merged_star_is_sound(c, a, b, n, m, place, longest, least):
        c.points[a] = old
        return False
    c.points[a] = place
    m = gather_star(c, b, c.star_b)
    for t in range(m):
        g = c.star_b[t]
        if c.faces[g, 0] == a or c.faces[g, 1] == a or c.faces[g, 2] == a:
            remove_face(c, g)
            continue
        for corner in range(3):
            if c.faces[g, corner] == b:
                set_corner(c, g, corner, a)
    enter_star(c, a)
    return True


@numba.njit(cache=True)
def _merged_star_is_sound(
    c: Complex, a: int, b: int, n: int, m: int, place: Floats, longest: float, least: float
) -> bool:
    """Tell whether the faces at the merged vertex are well shaped and cross nothing; leaves points[a] at `place`."""
    stays, corners, k = np.empty(n + m, np.int64), np.empty((n + m, 3), np.int64), 0
    normals = np.empty((n + m, 3))
    worst = 1.0
    for s in range(n + m):
        f = c.star[s] if s < n else c.star_b[s - n]
        worst = min(worst, smallest_sine(c, c.faces[f, 0], c.faces[f, 1], c.faces[f, 2]))
        has_a, has_b = False, False
        for corner in range(3):
            has_a |= c.faces[f, corner] == a
            has_b |= c.faces[f, corner] == b
        if has_a and has_b:
            continue
        x, y, z = normal(c, c.faces[f, 0], c.faces[f, 1], c.faces[f, 2])
        normals[k, 0], normals[k, 1], normals[k, 2] = x, y, z
        stays[k] = f
        for corner in range(3):
            corners[k, corner] = a if c.faces[f, corner] == b else c.faces[f, corner]
        k += 1
    c.points[a] = place
    least = min(least, worst * 1.0001)
    for s in range(k):
        i, j, l = corners[s, 0], corners[s, 1], corners[s, 2]
        if smallest_sine(c, i, j, l) < least or max(length(c, i, j), length(c, j, l), length(c, l, i)) > longest:
            return False
        if not turns_little((normals[s, 0], normals[s, 1], normals[s, 2]), normal(c, i, j, l)):
            return False
        if _lies_on_side(c, stays[s], i, j, l):
            return False
    return new_star_fits(c, stays, corners, k, a, b)


@numba.njit(cache=True)
def _lies_on_side(c: Complex, f: int, i: int, j: int, k: int) -> bool:
    """Tell whether all corners of a face that is no part of the image's sides would be held on the same axis."""
    return bool(c.pairs[f, 0] >= 0 and c.pairs[f, 1] >= 0 and (c.held[i] & c.held[j] & c.held[k]) != 0)
