"""SWC: filaments as trees of nodes with a parent each, as programs for neurons read them.

Ref: Cannon et al. 1998, doi 10.1016/S0165-0270(98)00091-0; the columns are number, type, x, y, z, radius, parent.
A node has one parent, so a closed loop is cut at one node, which is written twice at the same place. Here the radius
column is 0: a filament has none.
"""

from __future__ import annotations

import numpy as np

from ..._typing import Array, Floats, Ints
from ...errors import FileFormatError

__all__ = ["parse_swc", "swc_text"]

_HEAD = "# cytoform: (x, y, z) in micrometres; number type x y z radius parent; after it the density of the segment\n"


def swc_text(points: Array, segments: Ints, density: Array) -> str:
    """Return the text of an SWC file; an eighth column has the density of the segment to the parent.

    Parameters
    ----------
    points : (n, 3) float
        Positions, (x, y, z).
    segments : (m, 2) int
        The two points of each segment.
    density : (m,) float
        Intensity per µm of each segment.

    Returns
    -------
    str
        The file.
    """
    around: dict[int, list[tuple[int, int]]] = {}
    for number, (a, b) in enumerate(segments.tolist()):
        around.setdefault(a, []).append((b, number))
        around.setdefault(b, []).append((a, number))
    rows: list[str] = []
    number_of: dict[int, int] = {}
    done = np.zeros(len(segments), dtype=bool)

    def add(vertex: int, parent: int, strength: float) -> int:
        place = " ".join(repr(float(c)) for c in points[vertex])
        rows.append(f"{len(rows) + 1} 0 {place} 0 {parent} {strength!r}")
        return len(rows)

    roots = sorted(around, key=lambda v: (len(around[v]) != 1, v))  # ends first, then what lies on loops only
    for root in roots:
        if root in number_of:
            continue
        number_of[root] = add(root, -1, 0.0)
        stack = [root]
        while stack:
            here = stack.pop()
            for other, segment in around[here]:
                if done[segment]:
                    continue
                done[segment] = True
                made = add(other, number_of[here], float(density[segment]))
                if other not in number_of:  # else a loop is closed by a second node at the same place
                    number_of[other] = made
                    stack.append(other)
    return _HEAD + "\n".join(rows) + "\n"


def parse_swc(text: str) -> tuple[Floats, Ints, Floats]:
    """Return positions (n, 3), (x, y, z), segments (m, 2) and densities (m,) of an SWC file's text.

    Nodes at exactly the same place are one vertex. The density is 1 where there is no eighth column.

    Raises
    ------
    FileFormatError
        When a row is not understood, or a parent is missing.
    """
    numbers, places, parents, density = [], [], [], []
    for count, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            number, parent = int(words[0]), int(words[6])
            place = [float(w) for w in words[2:5]]
            strength = float(words[7]) if len(words) > 7 else 1.0
        except (ValueError, IndexError):
            raise FileFormatError(f"line {count} is {line.strip()[:60]!r}; expected seven numbers.") from None
        numbers.append(number)
        places.append(place)
        parents.append(parent)
        density.append(strength)
    index = {number: k for k, number in enumerate(numbers)}
    missing = [p for p in parents if p >= 0 and p not in index]
    if missing:
        raise FileFormatError(f"node {missing[0]} is named as a parent and is not there: it is cut short.")
    points, first = np.unique(np.array(places).reshape(-1, 3), axis=0, return_inverse=True)
    first = first.reshape(-1)
    rows = [(first[index[p]], first[k], density[k]) for k, p in enumerate(parents) if p >= 0]
    segments = np.array([row[:2] for row in rows], dtype=np.int64).reshape(-1, 2)
    return points, segments, np.array([row[2] for row in rows])
