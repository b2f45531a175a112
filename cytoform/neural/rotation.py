"""Rotations of shapes, as quaternions (w, x, y, z) that need not have length 1; axes in the order of the arrays.

A shape rotated by R has the distance f(Rᵀ x): points as rows are multiplied by R from the right.
Ref: Wiesner et al. 2024, doi 10.1016/j.media.2023.102991, section 3.5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.transform import Rotation

from .._typing import Floats
from ..errors import ConfigError

__all__ = ["as_matrix", "even_rotations", "from_angles", "quaternion_of", "to_matrix"]


def to_matrix(quaternion: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (…, 3, 3) of quaternions (…, 4), differentiable; any length but 0."""
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=-1).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def quaternion_of(matrix: npt.ArrayLike) -> Floats:
    """Quaternion (…, 4) of rotation matrices (…, 3, 3)."""
    return Rotation.from_matrix(np.asarray(matrix, dtype=np.float64)).as_quat(canonical=True, scalar_first=True)


def from_angles(angles: npt.ArrayLike) -> Floats:
    """Quaternion (…, 4) of angles (…, 3) in radians about the first, second and third axis, intrinsic in that order."""
    return Rotation.from_euler("XYZ", np.asarray(angles, dtype=np.float64)).as_quat(canonical=True, scalar_first=True)


def as_matrix(rotation: npt.ArrayLike) -> Floats:
    """Rotation matrix (3, 3) of a matrix, a quaternion (4,) or three angles (3,) in radians.

    Raises
    ------
    ConfigError
        When it is none of these, or the matrix is not a rotation.
    """
    array = np.asarray(rotation, dtype=np.float64)
    if array.shape == (3,) and np.isfinite(array).all():
        array = from_angles(array)
    if array.shape == (4,) and np.isfinite(array).all() and np.linalg.norm(array) > 0:
        return Rotation.from_quat(array, scalar_first=True).as_matrix()
    proper = array.shape == (3, 3) and np.allclose(array @ array.T, np.eye(3), atol=1e-5) and np.linalg.det(array) > 0
    if not proper:
        raise ConfigError(
            f"rotation has shape {array.shape} or is no rotation; expected a (3, 3) matrix, a quaternion or 3 angles.",
        )
    return array


def even_rotations(n: int) -> Floats:
    """About ``n`` rotations spread evenly over all, as quaternions (n, 4); the first is none.

    Super-Fibonacci spirals (Alexa 2022, doi 10.1109/CVPR52688.2022.00811).
    """
    s = np.arange(n) + 0.5
    t, d = s / n, 2.0 * np.pi * s
    r, rr = np.sqrt(t), np.sqrt(1.0 - t)
    phi, psi = np.sqrt(2.0), 1.533751168755204288118041
    alpha, beta = d / phi, d / psi
    spread = np.stack([r * np.sin(alpha), r * np.cos(alpha), rr * np.sin(beta), rr * np.cos(beta)], axis=1)
    # Turned as a whole, so that the first is the identity.
    turned = Rotation.from_quat(spread, scalar_first=True) * Rotation.from_quat(spread[0], scalar_first=True).inv()
    return turned.as_quat(canonical=True, scalar_first=True)
