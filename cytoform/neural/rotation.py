"""Rotations as matrices, unit quaternions and angles; axes in the order of the arrays.

Quaternions are (w, x, y, z) of any length but 0. A shape rotated by R has the distance f(Rᵀ x), so points that stand in
rows are multiplied by R from the right. Ref: Wiesner et al. 2024, doi 10.1016/j.media.2023.102991, section 3.5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.transform import Rotation

from .._typing import Floats
from ..errors import ConfigError

__all__ = [
    "angles_to_quaternion",
    "even_rotations",
    "matrix_to_quaternion",
    "quaternion_to_matrix",
    "to_rotation_matrix",
]


def quaternion_to_matrix(quaternion: torch.Tensor) -> torch.Tensor:
    """Return the rotation matrices (…, 3, 3) of quaternions (…, 4), differentiable by torch.

    The quaternions (w, x, y, z) are normalised first, so they may have any length but 0.
    """
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=-1).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def matrix_to_quaternion(matrix: npt.ArrayLike) -> Floats:
    """Return the unit quaternions (…, 4), (w, x, y, z) with w ≥ 0, of rotation matrices (…, 3, 3)."""
    return Rotation.from_matrix(np.asarray(matrix, dtype=np.float64)).as_quat(canonical=True, scalar_first=True)


def angles_to_quaternion(angles: npt.ArrayLike) -> Floats:
    """Return the unit quaternions (…, 4) of three rotation angles (…, 3) in radians.

    The angles are about the first, second and third axis, intrinsic in that order: each axis rotates with the
    rotations before it.
    """
    return Rotation.from_euler("XYZ", np.asarray(angles, dtype=np.float64)).as_quat(canonical=True, scalar_first=True)


def to_rotation_matrix(rotation: npt.ArrayLike) -> Floats:
    """Return the rotation matrix (3, 3) of a matrix, a quaternion (4,) or three intrinsic angles (3,) in radians.

    Which of the three is given follows from the shape of the array.

    Raises
    ------
    ConfigError
        When the array has another shape, is not finite, or is a matrix that is no proper rotation.
    """
    array = np.asarray(rotation, dtype=np.float64)
    if array.shape == (3,) and np.isfinite(array).all():
        array = angles_to_quaternion(array)
    if array.shape == (4,) and np.isfinite(array).all() and np.linalg.norm(array) > 0:
        return Rotation.from_quat(array, scalar_first=True).as_matrix()
    proper = array.shape == (3, 3) and np.allclose(array @ array.T, np.eye(3), atol=1e-5) and np.linalg.det(array) > 0
    if not proper:
        raise ConfigError(
            f"rotation has shape {array.shape} or is not a rotation; expected a (3, 3) matrix, quaternion or 3 angles.",
        )
    return array


def even_rotations(n: int) -> Floats:
    """Return ``n`` rotations spread evenly over all rotations, as quaternions (n, 4); the first is the identity.

    They lie on a super-Fibonacci spiral (Alexa 2022, doi 10.1109/CVPR52688.2022.00811).
    """
    s = np.arange(n) + 0.5
    t, d = s / n, 2.0 * np.pi * s
    r, rr = np.sqrt(t), np.sqrt(1.0 - t)
    phi, psi = np.sqrt(2.0), 1.533751168755204288118041
    alpha, beta = d / phi, d / psi
    spread = np.stack([r * np.sin(alpha), r * np.cos(alpha), rr * np.sin(beta), rr * np.cos(beta)], axis=1)
    # All are rotated by the inverse of the first, which becomes the identity.
    rotated = Rotation.from_quat(spread, scalar_first=True) * Rotation.from_quat(spread[0], scalar_first=True).inv()
    return rotated.as_quat(canonical=True, scalar_first=True)
