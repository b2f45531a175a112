"""Whether the collapse of an edge keeps the topology of a mesh of several sheets: link conditions.

Dey, Edelsbrunner, Guha, Nekhayev, "Topology preserving edge contraction", Publ. Inst. Math. 66 (1999).
"""

from __future__ import annotations

import numba

from .._typing import Ints
from .complexes import Complex, find_near

__all__ = ["dimensions_allow", "keeps_topology"]


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
def keeps_topology(c: Complex, a: int, b: int, n: int, m: int, na: int, nb: int, at_edge: int) -> bool:
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
def dimensions_allow(c: Complex, da: int, db: int, on_line: int, at_edge: int) -> bool:
    """Tell whether the dimensions of an edge's ends permit its collapse."""
    if at_edge < 2 or (da == 0 and db == 0):
        return False
    if da == 2 or db == 2:
        return on_line == 0
    return on_line == 1
