"""Go over a mesh of several sheets with edits and moves: to an edge length, and until no angle is small."""

from __future__ import annotations

import numba

from .._typing import Floats
from .complex_edits import collapse_edge, split_edge
from .complex_flips import flip_edge
from .complex_moves import search_place
from .complex_shapes import length, smallest_sine, worst_sine_at
from .complexes import Complex

__all__ = ["collapse_short", "flip_all", "improve_angles", "split_long"]


@numba.njit(cache=True)
def split_long(c: Complex, limit: float, curved: bool) -> int:
    """Split the longest edge of every face while it is longer than `limit`; return how many, −1 if there is no room."""
    done = 0
    f = 0
    while f < c.used[1]:
        while c.faces[f, 0] >= 0:
            best, corner = limit, -1
            for k in range(3):
                size = length(c, c.faces[f, k], c.faces[f, (k + 1) % 3])
                if size > best:
                    best, corner = size, k
            if corner < 0:
                break
            if split_edge(c, c.faces[f, corner], c.faces[f, (corner + 1) % 3], curved) < 0:
                return -1
            done += 1
        f += 1
    return done


@numba.njit(cache=True)
def collapse_short(c: Complex, limit: float, longest: float, least: float, curved: bool) -> int:
    """Collapse edges shorter than `limit`; return how many. See :func:`collapse_edge` for the other limits."""
    done = 0
    for f in range(c.used[1]):
        for k in range(3):
            if c.faces[f, 0] < 0:
                break
            a, b = c.faces[f, k], c.faces[f, (k + 1) % 3]
            if length(c, a, b) >= limit:
                continue
            if collapse_edge(c, a, b, longest, least, curved) or collapse_edge(c, b, a, longest, least, curved):
                done += 1
    return done


@numba.njit(cache=True)
def flip_all(c: Complex, gain: float, flatness: float) -> int:
    """Flip every edge that gives larger angles; return how many. See :func:`flip_edge` for the limits."""
    done = 0
    for f in range(c.used[1]):
        for k in range(3):
            if c.faces[f, 0] >= 0 and flip_edge(c, c.faces[f, k], c.faces[f, (k + 1) % 3], gain, flatness):
                done += 1
    return done


@numba.njit(cache=True)
def _order_by_length(c: Complex, f: int) -> tuple[int, int]:
    """Return the corners at which a face's shortest and longest edge begin."""
    short, long = 0, 0
    for k in range(1, 3):
        size = length(c, c.faces[f, k], c.faces[f, (k + 1) % 3])
        if size < length(c, c.faces[f, short], c.faces[f, (short + 1) % 3]):
            short = k
        if size > length(c, c.faces[f, long], c.faces[f, (long + 1) % 3]):
            long = k
    return short, long


@numba.njit(cache=True)
def _improve_face(c: Complex, f: int, leave: bool, middle: Floats, bound: Floats, hard: bool) -> int:
    """Flip, collapse, move or (`hard`) split at a face with a small angle; return 1 if it was done, −1: no room."""
    short, long = _order_by_length(c, f)
    a, b = c.faces[f, long], c.faces[f, (long + 1) % 3]
    if flip_edge(c, a, b, 1e-3, 0.7 if not hard else 0.3):
        return 1
    i, j = c.faces[f, short], c.faces[f, (short + 1) % 3]
    size = length(c, a, b)
    least = min(smallest_sine(c, c.faces[f, 0], c.faces[f, 1], c.faces[f, 2]) * 1.2, 0.25)
    if collapse_edge(c, i, j, 1.5 * size, least, False) or collapse_edge(c, j, i, 1.5 * size, least, False):
        return 1
    done, reach = 0, 0.3 * length(c, i, j)
    for k in range(3):
        if search_place(c, c.faces[f, k], max(reach, 0.05 * size), leave, middle, bound):
            done = 1
    if done == 0 and hard:
        m = split_edge(c, a, b, False)
        if m < 0:
            return -1
        search_place(c, m, 0.2 * size, leave, middle, bound)
        return 1
    return done


@numba.njit(cache=True)
def improve_angles(c: Complex, wanted: float, leave: bool, middle: Floats, bound: Floats, hard: bool) -> int:
    """Work on every face whose smallest angle's sine is below `wanted`; return how many such faces there were.

    `leave`, `middle`, `bound`: where vertices may go, see :func:`search_place`; `hard`: edges may be split. −1 comes
    back if there is no room for more faces.
    """
    found = 0
    for f in range(c.used[1]):
        if c.faces[f, 0] < 0:
            continue
        if smallest_sine(c, c.faces[f, 0], c.faces[f, 1], c.faces[f, 2]) >= wanted:
            continue
        found += 1
        if _improve_face(c, f, leave, middle, bound, hard) < 0:
            return -1
    return found


@numba.njit(cache=True)
def worst_sine(c: Complex) -> float:
    """Return the smallest sine of an angle in the whole mesh."""
    worst = 1.0
    for v in range(c.used[0]):
        if c.head[v] >= 0:
            worst = min(worst, worst_sine_at(c, v))
    return worst
