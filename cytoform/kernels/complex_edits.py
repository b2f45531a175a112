"""Split, collapse and flip edges of a mesh of several sheets; every edit keeps the topology of all regions and lines.

Collapses obey the link condition of complexes with labels: Dey, Edelsbrunner, Guha, Nekhayev, "Topology preserving edge
contraction", Publ. Inst. Math. 66 (1999).
"""

from __future__ import annotations

import math

import numba
import numpy as np

from .._typing import Floats, Ints
from .complexes import (
    MAX_STAR,
    Complex,
    add_face,
    attach,
    detach,
    dimension,
    enter_star,
    find_near,
    gather_star,
    length,
    new_star_fits,
    normal,
    remove_face,
    ring,
    same_pair,
    set_corner,
    smallest_sine,
    vertex_normal,
    worst_sine_at,
)

__all__ = ["collapse_edge", "flip_edge", "split_edge"]

_MIN_TURN = 0.5  # cosine: an edit may not turn a face's normal by more than 60°
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
def edge_state(c: Complex, a: int, b: int) -> tuple[int, int, int]:
    """Return the number of faces at edge a, b, one of them, and 1 if it is a line edge."""
    n, first, differs, at = 0, -1, 0, c.head[a]
    while at >= 0:
        f = at // 3
        if c.faces[f, 0] == b or c.faces[f, 1] == b or c.faces[f, 2] == b:
            n += 1
            if first < 0:
                first = f
            elif not same_pair(c, f, first):
                differs = 1
        at = c.following[at]
    return n, first, 1 if differs == 1 or n != 2 else 0


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
def _turns_little(p: tuple[float, float, float], q: tuple[float, float, float]) -> bool:
    """Tell whether two normals are less than 60° apart."""
    dot = p[0] * q[0] + p[1] * q[1] + p[2] * q[2]
    square = (p[0] * p[0] + p[1] * p[1] + p[2] * p[2]) * (q[0] * q[0] + q[1] * q[1] + q[2] * q[2])
    return dot > 0 and dot * dot > _MIN_TURN * _MIN_TURN * square


@numba.njit(cache=True)
def _touches(c: Complex, star: Ints, n: int, region: int, vertex: int) -> int:
    """Return how many faces of a region (0: the outside with the image's sides) in a star have a vertex; −1 for any."""
    found = 0
    for s in range(n):
        f = star[s]
        if max(c.pairs[f, 0], 0) == region or max(c.pairs[f, 1], 0) == region:
            if vertex < 0 or c.faces[f, 0] == vertex or c.faces[f, 1] == vertex or c.faces[f, 2] == vertex:
                found += 1
    return found


@numba.njit(cache=True)
def _region_allows(c: Complex, region: int, a: int, b: int, n: int, m: int, near: Ints, k: int) -> bool:
    """Tell whether edge a, b may be collapsed as far as the surface of one region at a is concerned.

    c.star (n) and c.star_b (m) hold the faces at a and b; near (k) the neighbours of a.
    """
    if _touches(c, c.star_b, m, region, -1) == 0:
        return True
    if _touches(c, c.star, n, region, b) != 2:
        return False
    common = 0
    for t in range(k):
        w = near[t, 0]
        if w != b and _touches(c, c.star, n, region, w) > 0 and _touches(c, c.star_b, m, region, w) > 0:
            common += 1
    return common == 2


@numba.njit(cache=True)
def _keeps_topology(c: Complex, a: int, b: int, n: int, m: int, na: int, nb: int, at_edge: int) -> bool:
    """Tell whether the collapse of edge a, b keeps all regions and lines: link conditions.

    c.star (n), c.star_b (m): faces at the ends; c.near (na), c.near_b (nb): their neighbours.
    """
    common = 0
    for k in range(na):
        j = find_near(c.near_b, nb, c.near[k, 0])
        if j >= 0:
            common += 1
            if c.near[k, 2] == 1 and c.near_b[j, 2] == 1:
                return False
    if common != at_edge:
        return False
    for s in range(n):
        f = c.star[s]
        for side in range(2):
            if not _region_allows(c, max(c.pairs[f, side], 0), a, b, n, m, c.near, na):
                return False
    for s in range(n):  # two faces a, x, y and b, x, y would come to lie on each other
        f = c.star[s]
        for t in range(m):
            g, same = c.star_b[t], 0
            for i in range(3):
                for j in range(3):
                    w = c.faces[f, i]
                    if w == c.faces[g, j] and w != a and w != b:
                        same += 1
            if same == 2:
                return False
    return True


@numba.njit(cache=True)
def _free_line_vertex(c: Complex, da: int, db: int, on_line: int, at_edge: int) -> bool:
    """Tell whether the dimensions of an edge's ends permit its collapse."""
    if at_edge < 2 or (da == 0 and db == 0):
        return False
    if da == 2 or db == 2:
        return on_line == 0
    return on_line == 1


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
    if not _free_line_vertex(c, da, db, on_line, at_edge):
        return False
    n, m = gather_star(c, a, c.star), gather_star(c, b, c.star_b)
    if n < 0 or m < 0 or n + m > MAX_STAR or not _keeps_topology(c, a, b, n, m, na, nb, at_edge):
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
        if not _turns_little((normals[s, 0], normals[s, 1], normals[s, 2]), normal(c, i, j, l)):
            return False
        if _lies_on_side(c, stays[s], i, j, l):
            return False
    return new_star_fits(c, stays, corners, k, a, b)


@numba.njit(cache=True)
def _lies_on_side(c: Complex, f: int, i: int, j: int, k: int) -> bool:
    """Tell whether all corners of a face that is no part of the image's sides would be held on the same axis."""
    return bool(c.pairs[f, 0] >= 0 and c.pairs[f, 1] >= 0 and (c.held[i] & c.held[j] & c.held[k]) != 0)


@numba.njit(cache=True)
def flip_edge(c: Complex, a: int, b: int, gain: float, flatness: float) -> bool:
    """Exchange an edge within a sheet for the other diagonal if the smallest angle's sine grows by `gain`.

    The two faces must be nearly flat: the cosine between their normals at least `flatness`. Tell whether it was done.
    """
    at_edge, f, on_line = edge_state(c, a, b)
    if at_edge != 2 or on_line == 1:
        return False
    g, at = -1, c.head[a]
    while at >= 0:
        h = at // 3
        if h != f and (c.faces[h, 0] == b or c.faces[h, 1] == b or c.faces[h, 2] == b):
            g = h
        at = c.following[at]
    d, e = c.faces[f].sum() - a - b, c.faces[g].sum() - a - b
    if d == e or edge_state(c, d, e)[0] > 0 or ring(c, a, c.near) <= 3 or ring(c, b, c.near) <= 3:
        return False
    if c.held[d] & c.held[e] and c.pairs[f, 0] >= 0 and c.pairs[f, 1] >= 0:
        return False
    before = min(smallest_sine(c, a, b, d), smallest_sine(c, a, b, e))
    if min(smallest_sine(c, a, d, e), smallest_sine(c, b, d, e)) <= before + gain:
        return False
    corner = 0
    while c.faces[f, corner] != a:
        corner += 1
    if c.faces[f, (corner + 1) % 3] != b:  # make f run along a, b
        a, b = b, a
    return _flip_if_sound(c, f, g, a, b, d, e, flatness)


@numba.njit(cache=True)
def _flip_if_sound(c: Complex, f: int, g: int, a: int, b: int, d: int, e: int, flatness: float) -> bool:
    """Replace faces a, b, d and b, a, e by those at edge d, e if they are flat and cross nothing; tell if done."""
    alike = 1.0 if c.pairs[f, 0] == c.pairs[g, 0] else -1.0
    p, q = normal(c, a, b, d), normal(c, b, a, e)
    if alike < 0:
        return False
    r, s = normal(c, e, b, d), normal(c, d, a, e)
    lengths = [math.sqrt(t[0] * t[0] + t[1] * t[1] + t[2] * t[2]) for t in (p, q, r, s)]
    if min(lengths) == 0.0 and min(lengths[2], lengths[3]) == 0.0:
        return False
    mean = (p[0] + q[0], p[1] + q[1], p[2] + q[2])
    if not (_turns_little(mean, r) and _turns_little(mean, s)):
        return False
    if p[0] * q[0] + p[1] * q[1] + p[2] * q[2] < flatness * lengths[0] * lengths[1]:
        return False
    if r[0] * s[0] + r[1] * s[1] + r[2] * s[2] < 0.5 * flatness * lengths[2] * lengths[3]:
        return False
    for corner in range(3):
        detach(c, f, corner)
        detach(c, g, corner)
    old_f, old_g = c.faces[f].copy(), c.faces[g].copy()
    c.faces[f, 0], c.faces[f, 1], c.faces[f, 2] = e, b, d
    c.faces[g, 0], c.faces[g, 1], c.faces[g, 2] = d, a, e
    sound = _both_fit(c, f, g)
    if not sound:
        c.faces[f], c.faces[g] = old_f, old_g
    for corner in range(3):
        attach(c, f, corner)
        attach(c, g, corner)
    if sound:
        enter_star(c, a)
        enter_star(c, b)
    return sound


@numba.njit(cache=True)
def _both_fit(c: Complex, f: int, g: int) -> bool:
    """Tell whether two faces that were just given new corners cross no other face."""
    for h in (f, g):
        star, corners = np.empty(1, np.int64), np.empty((1, 3), np.int64)
        star[0], corners[0] = h, c.faces[h]
        if not new_star_fits(c, star, corners, 1, -2, -2):
            return False
    return True


@numba.njit(cache=True)
def worst_of(c: Complex, f: int) -> float:
    """Return the smallest sine among the faces at the three corners of a face."""
    return min(worst_sine_at(c, c.faces[f, 0]), worst_sine_at(c, c.faces[f, 1]), worst_sine_at(c, c.faces[f, 2]))
