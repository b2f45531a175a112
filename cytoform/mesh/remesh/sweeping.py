"""Bring a mesh of touching cells to an edge length by rounds of split, collapse, flip and relax."""

from __future__ import annotations

import numpy as np

from ...errors import MeshError
from ...kernels import complex_moves, complex_sweeps
from ...kernels.complexes import Complex
from .complexes import grown
from .limits import LONG, SHORT
from .splitting import MAX_FACES

__all__ = ["sweep"]

_LEAST = float(np.sin(np.radians(20.0)))  # sine of the angle that a collapse should not fall below
_SHARES = (0.5, 0.75, 1.0)  # of SHORT: the shortest edges go first
_FLATNESS = 0.85  # cosine between the normals of two faces whose edge may be flipped
_ENOUGH = float(np.sin(np.radians(35.0)))  # an angle that relaxing need not keep


def sweep(c: Complex, edge: float, rounds: int, curved: bool = True) -> Complex:
    """Return the mesh with edges near a wanted length.

    Parameters
    ----------
    c : Complex
        The mesh; it is changed.
    edge : float
        Wanted edge length, in the units of the points.
    rounds : int
        Rounds of split, collapse, flip and relax.
    curved : bool, optional
        Whether new vertices are put on the curved sheets and lines, rather than on the middle of an edge.

    Returns
    -------
    Complex
        The same mesh, or one with more room.

    Raises
    ------
    MeshError
        When so short an edge would need millions of faces.
    """
    c.box[0] = edge
    c.bucket[:] = -1
    c = grown(c)
    for _ in range(rounds):
        for factor in (4.0, 2.0, 1.0):
            while complex_sweeps.split_long(c, factor * LONG * edge, curved) < 0:
                if len(c.faces) > MAX_FACES:
                    raise MeshError(f"remeshing would need more than {MAX_FACES} faces.", remedy="Raise target_edge.")
                c = grown(c)
        for share in _SHARES:
            complex_sweeps.collapse_short(c, share * SHORT * edge, LONG * edge, _LEAST, curved)
        complex_sweeps.flip_all(c, 0.02, _FLATNESS)
        complex_moves.relax_all(c, 0.7, _ENOUGH, 1)
        complex_sweeps.flip_all(c, 0.02, _FLATNESS)
        complex_moves.relax_all(c, 0.7, _ENOUGH, 1)
    return c
