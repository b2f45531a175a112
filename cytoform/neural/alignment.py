"""Rotations that bring shapes together, found on coarse samples: where a training with rotations begins.

A learned rotation moves little from where it starts, and sequences may be turned any way. Each shape is compared with
the mean of all, first turned in many ways spread evenly over all rotations, then by small turns of the best.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import optimize
from scipy.spatial.transform import Rotation

from .._typing import Array, Floats
from . import rotation
from .lattice import read_between

__all__ = ["align"]


_STARTS, _FOLLOWED, _STEPS, _ROUNDS = 144, 2, 100, 3
_LATTICE = 11  # samples across the ball in which shapes are compared


def align(shapes: Array, half: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Rotations R such that shape k, read at R y, is as much like the others' as can be.

    Parameters
    ----------
    shapes : (n, times, z, y, x) float
        Distances of n shapes, levelled off away from the surface.
    half : (3,) float
        Half sides of what the samples span, the largest being 1.

    Returns
    -------
    matrices : (n, 3, 3) float64
        The first is the identity.
    turned : (n, times, points) float64
        The shapes read so, at the points of a lattice in the unit ball.
    """
    points = _ball()
    starts = [rotation.as_matrix(q) for q in rotation.even_rotations(_STARTS)]
    matrices = np.stack([np.eye(3)] * len(shapes))
    reference = read_between(shapes[0], points, half)
    for number in range(_ROUNDS):
        for k, shape in enumerate(shapes):
            tried = starts if number < _ROUNDS - 1 else [matrices[k]]
            matrices[k] = _closest(shape, reference, points, half, tried)
        turned = np.stack([read_between(s, points @ m.T, half) for s, m in zip(shapes, matrices)])
        reference = turned.mean(axis=0)
    back = matrices[0].T  # all as seen from the first
    matrices = matrices @ back
    return matrices, np.stack([read_between(s, points @ m.T, half) for s, m in zip(shapes, matrices)])


def _closest(shape: Array, reference: Floats, points: Floats, half: npt.ArrayLike, tried: list) -> Floats:
    """The rotation of a shape that is closest to the reference, from the best of some."""

    def difference(matrix: Floats) -> float:
        return float(np.square(read_between(shape, points @ matrix.T, half) - reference).mean())

    best = sorted(tried, key=difference)[:_FOLLOWED]
    found = []
    for start in best:
        done = optimize.minimize(
            lambda turn, start=start: difference(Rotation.from_rotvec(turn).as_matrix() @ start), np.zeros(3),
            method="Nelder-Mead",
            options={"initial_simplex": 0.25 * np.eye(4, 3, -1), "maxfev": _STEPS, "xatol": 1e-3, "fatol": 0.0},
        )  # fmt: skip
        found.append((done.fun, Rotation.from_rotvec(done.x).as_matrix() @ start))
    return min(found, key=lambda pair: pair[0])[1]


def _ball() -> Floats:
    """Points (n, 3) of a lattice in the unit ball."""
    line = np.linspace(-1.0, 1.0, _LATTICE)
    lattice = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    return lattice[(lattice**2).sum(axis=1) <= 1.0]
