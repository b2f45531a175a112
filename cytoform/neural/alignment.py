"""Rotations that bring shapes into register, found on coarse samples: the initial rotations of a training.

A rotation that is learned by gradient descent stays near its initial value, and the sequences may have any orientation.
Each shape is therefore compared with the mean of all shapes, first in many orientations spread evenly over all
rotations, and then refined from the best of these.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import optimize
from scipy.spatial.transform import Rotation

from .._typing import Array, Floats
from . import rotation
from .lattice import interpolate_trilinear

__all__ = ["align"]


_STARTS, _REFINED, _EVALUATIONS, _ROUNDS = 144, 2, 100, 3  # see align and _closest_rotation
_LATTICE = 11  # samples along a diameter of the ball in which shapes are compared


def align(shapes: Array, half_sides: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the rotations that make shapes as alike as possible, by repeated least-squares comparison with their mean.

    In each of three rounds every shape gets the rotation R for which its distances read at R y differ least, in the
    mean square, from the mean of all rotated shapes of the round before (in the first round: from the first shape). The
    first rounds search over 144 evenly spread rotations, the last one refines the rotation found.

    Parameters
    ----------
    shapes : (n, times, z, y, x) float
        Distances of n shapes, saturated away from the surface.
    half_sides : (3,) float
        Half sides of the box from the first to the last sample, where the longest is 1.

    Returns
    -------
    matrices : (n, 3, 3) float64
        Rotation R of each shape; the first is the identity, all others are relative to it.
    rotated : (n, times, points) float64
        Each shape's distances at R y, for the points y of a lattice in the unit ball.
    """
    points = _ball_lattice()
    starts = [rotation.to_rotation_matrix(q) for q in rotation.even_rotations(_STARTS)]
    matrices = np.stack([np.eye(3)] * len(shapes))
    reference = interpolate_trilinear(shapes[0], points, half_sides)
    for number in range(_ROUNDS):
        for k, shape in enumerate(shapes):
            candidates = starts if number < _ROUNDS - 1 else [matrices[k]]
            matrices[k] = _closest_rotation(shape, reference, points, half_sides, candidates)
        rotated = np.stack([interpolate_trilinear(s, points @ m.T, half_sides) for s, m in zip(shapes, matrices)])
        reference = rotated.mean(axis=0)
    back = matrices[0].T  # all relative to the first
    matrices = matrices @ back
    return matrices, np.stack([interpolate_trilinear(s, points @ m.T, half_sides) for s, m in zip(shapes, matrices)])


def _closest_rotation(
    shape: Array, reference: Floats, points: Floats, half_sides: npt.ArrayLike, candidates: list[Floats]
) -> Floats:
    """Return the rotation (3, 3) for which a shape's distances come closest to a reference.

    The criterion is the mean squared difference between the shape (times, z, y, x), read at R y for the points y, and
    the reference (times, points). The two best of the candidate rotations are refined by Nelder–Mead over a rotation
    vector, 100 evaluations each, and the better result is returned.
    """

    def difference(matrix: Floats) -> float:
        return float(np.square(interpolate_trilinear(shape, points @ matrix.T, half_sides) - reference).mean())

    best = sorted(candidates, key=difference)[:_REFINED]
    found: list[tuple[float, Floats]] = []
    for start in best:

        def difference_after(vector: Floats, start: Floats = start) -> float:
            return difference(Rotation.from_rotvec(vector).as_matrix() @ start)

        done = optimize.minimize(
            difference_after,
            np.zeros(3),
            method="Nelder-Mead",
            options={"initial_simplex": 0.25 * np.eye(4, 3, -1), "maxfev": _EVALUATIONS, "xatol": 1e-3, "fatol": 0.0},
        )
        found.append((float(done.fun), Rotation.from_rotvec(done.x).as_matrix() @ start))
    return min(found, key=lambda pair: pair[0])[1]


def _ball_lattice() -> Floats:
    """Return the points (n, 3) of a cubic lattice, 11 along each axis from −1 to 1, that lie in the unit ball."""
    line = np.linspace(-1.0, 1.0, _LATTICE)
    lattice = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    inside: Floats = lattice[(lattice**2).sum(axis=1) <= 1.0]
    return inside
