"""Flip edges within a sheet of a mesh of several sheets."""

from __future__ import annotations

import math

import numba
import numpy as np

from .complex_shapes import normal, smallest_sine
from .complexes import Complex, attach, detach, enter_star, new_star_fits, ring, same_pair

__all__ = ["edge_state", "flip_edge", "turns_little"]

_MIN_TURN = 0.5  # cosine: an edit may not turn a face's normal by more than 60°


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
def turns_little(p: tuple[float, float, float], q: tuple[float, float, float]) -> bool:
    """Tell whether two normals are less than 60° apart."""
    dot = p[0] * q[0] + p[1] * q[1] + p[2] * q[2]
    square = (p[0] * p[0] + p[1] * p[1] + p[2] * p[2]) * (q[0] * q[0] + q[1] * q[1] + q[2] * q[2])
    return dot > 0 and dot * dot > _MIN_TURN * _MIN_TURN * square


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
    if not (turns_little(mean, r) and turns_little(mean, s)):
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
