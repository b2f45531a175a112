"""Move the vertices of a mesh of several sheets along their sheets and lines, and look for better places near by."""

from __future__ import annotations

import math

import numba
import numpy as np

from .._typing import Floats
from .complex_shapes import normal, smallest_sine, vertex_normal, worst_sine_at
from .complexes import Complex, dimension, enter_star, gather_star, new_star_fits, ring

__all__ = ["relax_vertex", "search_place"]

_MIN_TURN = 0.5  # cosine: a move may not turn a face's normal by more than 60°


@numba.njit(cache=True)
def _move_is_sound(c: Complex, v: int, place: Floats, least: float, check: bool) -> bool:
    """Move a vertex if no face there turns by 60°, gets a smaller sine than `least` or (`check`) crosses another face.

    Tell whether it was moved.
    """
    n = gather_star(c, v, c.star)
    if n <= 0:
        return False
    old, corners = c.points[v].copy(), np.empty((n, 3), np.int64)
    for s in range(n):
        f = c.star[s]
        i, j, k = c.faces[f, 0], c.faces[f, 1], c.faces[f, 2]
        corners[s, 0], corners[s, 1], corners[s, 2] = i, j, k
        p = normal(c, i, j, k)
        c.points[v] = place
        q, sine = normal(c, i, j, k), smallest_sine(c, i, j, k)
        c.points[v] = old
        dot = p[0] * q[0] + p[1] * q[1] + p[2] * q[2]
        square = (p[0] * p[0] + p[1] * p[1] + p[2] * p[2]) * (q[0] * q[0] + q[1] * q[1] + q[2] * q[2])
        if sine < least or dot <= 0 or dot * dot < _MIN_TURN * _MIN_TURN * square:
            return False
    c.points[v] = place
    if not check:
        return True
    if not new_star_fits(c, c.star[:n], corners, n, v, -1):
        c.points[v] = old
        return False
    enter_star(c, v)
    return True


@numba.njit(cache=True)
def _solve3(m: Floats, r: Floats) -> bool:
    """Solve a symmetric system of three unknowns in place (the answer in r); tell whether it is regular."""
    for i in range(3):
        if m[i, i] <= 0.0:
            return False
        for j in range(i + 1, 3):
            s = m[j, i] / m[i, i]
            for k in range(i, 3):
                m[j, k] -= s * m[i, k]
            r[j] -= s * r[i]
    for i in range(2, -1, -1):
        for j in range(i + 1, 3):
            r[i] -= m[i, j] * r[j]
        r[i] /= m[i, i]
    return True


@numba.njit(cache=True)
def _frame(nx: float, ny: float, nz: float) -> tuple[float, float, float, float, float, float]:
    """Return two unit vectors at right angles to a unit normal and to each other."""
    if abs(nx) < 0.7:
        ux, uy, uz = 0.0, nz, -ny
    else:
        ux, uy, uz = -nz, 0.0, nx
    s = math.sqrt(ux * ux + uy * uy + uz * uz)
    ux, uy, uz = ux / s, uy / s, uz / s
    return ux, uy, uz, ny * uz - nz * uy, nz * ux - nx * uz, nx * uy - ny * ux


@numba.njit(cache=True)
def _centre_of_faces(c: Complex, v: int) -> tuple[float, float, float]:
    """Return the centre of the faces at a vertex, weighted by area, relative to the vertex: (z, y, x)."""
    total, z, y, x = 1e-300, 0.0, 0.0, 0.0
    at = c.head[v]
    while at >= 0:
        f = at // 3
        i, j, k = c.faces[f, 0], c.faces[f, 1], c.faces[f, 2]
        p = normal(c, i, j, k)
        area = math.sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2])
        total += area
        z += area * ((c.points[i, 0] + c.points[j, 0] + c.points[k, 0]) / 3.0 - c.points[v, 0])
        y += area * ((c.points[i, 1] + c.points[j, 1] + c.points[k, 1]) / 3.0 - c.points[v, 1])
        x += area * ((c.points[i, 2] + c.points[j, 2] + c.points[k, 2]) / 3.0 - c.points[v, 2])
        at = c.following[at]
    return z / total, y / total, x / total


@numba.njit(cache=True)
def _place_in_sheet(c: Complex, v: int, n: int, share: float, out: Floats) -> None:
    """Fill `out` with where a vertex of a sheet goes: towards its faces' centre, on a paraboloid through its ring.

    c.near (n) holds its neighbours.
    """
    f0 = c.head[v] // 3
    nx, ny, nz = vertex_normal(c, v, f0)
    ux, uy, uz, wx, wy, wz = _frame(nx, ny, nz)
    m, r = np.zeros((3, 3)), np.zeros(3)
    for k in range(n):
        w = c.near[k, 0]
        x, y, z = c.points[w, 0] - c.points[v, 0], c.points[w, 1] - c.points[v, 1], c.points[w, 2] - c.points[v, 2]
        s, t, h = x * ux + y * uy + z * uz, x * wx + y * wy + z * wz, x * nx + y * ny + z * nz
        q = 1.0 / max(s * s + t * t, 1e-300)  # all neighbours count alike
        a, b, d = s * s * q, s * t * q, t * t * q
        m[0, 0] += a * a
        m[0, 1] += a * b
        m[0, 2] += a * d
        m[1, 1] += b * b
        m[1, 2] += b * d
        m[2, 2] += d * d
        r[0] += a * h * q
        r[1] += b * h * q
        r[2] += d * h * q
    m[1, 0], m[2, 0], m[2, 1] = m[0, 1], m[0, 2], m[1, 2]
    for k in range(3):
        m[k, k] += 1e-3 * n
    if not _solve3(m, r):
        r[:] = 0.0
    z, y, x = _centre_of_faces(c, v)
    s, t = share * (z * ux + y * uy + x * uz), share * (z * wx + y * wy + x * wz)
    h = r[0] * s * s + r[1] * s * t + r[2] * t * t
    bound = 0.5 * math.sqrt(s * s + t * t)
    h = min(max(h, -bound), bound)
    out[0] = c.points[v, 0] + s * ux + t * wx + h * nx
    out[1] = c.points[v, 1] + s * uy + t * wy + h * ny
    out[2] = c.points[v, 2] + s * uz + t * wz + h * nz


@numba.njit(cache=True)
def _place_on_line(c: Complex, v: int, n: int, share: float, out: Floats) -> None:
    """Fill `out` with where a vertex of a line goes: towards the middle of its neighbours, along their parabola."""
    a, b = -1, -1
    for k in range(n):
        if c.near[k, 2] == 1:
            a, b = b, c.near[k, 0]
    da, db = 0.0, 0.0
    for x in range(3):
        da += (c.points[a, x] - c.points[v, x]) ** 2
        db += (c.points[b, x] - c.points[v, x]) ** 2
    da, db = math.sqrt(da), math.sqrt(db)
    if da == 0.0 or db == 0.0:
        out[:] = c.points[v]
        return
    s = share * 0.5 * (db - da)
    for x in range(3):
        p, q = c.points[a, x] - c.points[v, x], c.points[b, x] - c.points[v, x]
        # the parabola through the three points, by length along the line: -da at a, 0 at v, db at b
        bend = (p / da + q / db) / (da + db)
        slope = (q * da / db - p * db / da) / (da + db)
        out[x] = c.points[v, x] + slope * s + bend * s * s


@numba.njit(cache=True)
def relax_vertex(c: Complex, v: int, share: float, enough: float) -> bool:
    """Move a vertex along its sheet or line towards even spacing; tell whether it moved. Corners stay.

    The smallest angle's sine around it must not become less than it was and less than `enough`. Whether faces cross is
    not checked, and the table not kept.
    """
    n = ring(c, v, c.near)
    if n <= 0:
        return False
    d = dimension(c.near, n)
    place = np.empty(3)
    if d == 2:
        _place_in_sheet(c, v, n, share, place)
    elif d == 1:
        _place_on_line(c, v, n, share, place)
    else:
        return False
    for x in range(3):
        if c.held[v] >> x & 1:
            place[x] = c.points[v, x]
    return _move_is_sound(c, v, place, min(enough, worst_sine_at(c, v)), False)


@numba.njit(cache=True)
def _directions(c: Complex, v: int, leave: bool, out: Floats) -> int:
    """Fill `out` (26, 3) with directions in which a vertex may be moved; return their number.

    `leave`: it may leave its sheet or line a little; else it keeps to the tangent.
    """
    if leave:
        k = 0
        for z in range(-1, 2):
            for y in range(-1, 2):
                for x in range(-1, 2):
                    if z != 0 or y != 0 or x != 0:
                        s = math.sqrt(float(z * z + y * y + x * x))
                        out[k, 0], out[k, 1], out[k, 2] = z / s, y / s, x / s
                        k += 1
        return 26
    n = ring(c, v, c.near)
    d = dimension(c.near, n)
    if d == 0:
        return 0
    if d == 1:
        k = 0
        for t in range(n):
            if c.near[t, 2] == 1:
                w = c.near[t, 0]
                size = 0.0
                for x in range(3):
                    out[k, x] = c.points[w, x] - c.points[v, x]
                    size += out[k, x] ** 2
                for x in range(3):
                    out[k, x] /= max(math.sqrt(size), 1e-300)
                k += 1
        return k
    nx, ny, nz = vertex_normal(c, v, c.head[v] // 3)
    ux, uy, uz, wx, wy, wz = _frame(nx, ny, nz)
    for k in range(12):
        p, q = math.cos(k * math.pi / 6), math.sin(k * math.pi / 6)
        out[k, 0], out[k, 1], out[k, 2] = p * ux + q * wx, p * uy + q * wy, p * uz + q * wz
    return 12


@numba.njit(cache=True)
def search_place(c: Complex, v: int, reach: float, leave: bool, middle: Floats, bound: Floats) -> bool:
    """Look for a place near a vertex at which the smallest angle around it is larger; tell whether it moved.

    Steps of `reach` and its halves are tried. The vertex stays within `bound` (n, 3) of `middle` (n, 3) along each
    axis, where these are not empty.
    """
    ways, best, place = np.empty((26, 3)), worst_sine_at(c, v), np.empty(3)
    old, moved, step = np.empty(3), False, reach
    for _ in range(4):
        n = _directions(c, v, leave, ways)
        for k in range(n):
            old[:] = c.points[v]
            for x in range(3):
                place[x] = old[x] + (0.0 if c.held[v] >> x & 1 else step * ways[k, x])
                if v < len(middle):
                    place[x] = min(max(place[x], middle[v, x] - bound[v, x]), middle[v, x] + bound[v, x])
            c.points[v] = place
            sine = worst_sine_at(c, v)
            c.points[v] = old
            if sine > best * 1.02 and _move_is_sound(c, v, place, best, True):
                best, moved = sine, True
        step *= 0.5
    return moved


@numba.njit(cache=True)
def relax_all(c: Complex, share: float, enough: float, rounds: int) -> int:
    """Relax all vertices in turn, `rounds` times; return how many moves were made. See :func:`relax_vertex`."""
    done = 0
    for _ in range(rounds):
        for v in range(c.used[0]):
            if c.head[v] >= 0 and relax_vertex(c, v, share, enough):
                done += 1
    return done
