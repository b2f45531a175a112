"""Transforms of simplices of order 0 to 3 in 50-digit arithmetic, and of tetrahedra by dense quadrature."""

from __future__ import annotations

import mpmath
import numpy as np

from . import triangle

DIGITS = triangle.DIGITS


def _digits(phases: list) -> int:
    """Divided differences of nearly equal points cancel like a power of the gap: digits to spare for the smallest."""
    gaps = [abs(mpmath.mpf(x) - mpmath.mpf(y)) for x in phases for y in phases if x != y]
    return DIGITS + 20 + (len(phases) + 1) * max(0, -int(mpmath.log10(min(gaps)))) if gaps else DIGITS + 20


def value_exact(phases: list) -> mpmath.mpc:
    """i^k f[a0, ..., ak] of k + 1 phases, f(x) = exp(-i x): the mean of exp(-i x·ξ) over the simplex, over k!."""
    with mpmath.workdps(_digits(phases)):
        return mpmath.mpc(0, 1) ** (len(phases) - 1) * triangle.divided_difference(phases)


def gradient_exact(phases: list) -> list[mpmath.mpc]:
    """Derivatives of that for each phase: i^k f[a0, ..., ak, a_j]."""
    with mpmath.workdps(_digits(phases)):
        turned = mpmath.mpc(0, 1) ** (len(phases) - 1)
        return [turned * triangle.divided_difference([*phases, p]) for p in phases]


def _cube_rule(order: int):
    """Gauss points of a tetrahedron by the collapsed cube: barycentric coordinates, weights that sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    u, w = 0.5 * (nodes + 1.0), 0.5 * weights
    a, b, c = np.meshgrid(u, u, u, indexing="ij")
    points = np.stack([a, (1 - a) * b, (1 - a) * (1 - b) * c, (1 - a) * (1 - b) * (1 - c)], axis=-1)
    masses = 6.0 * w[:, None, None] * w[None, :, None] * w[None, None, :] * (1 - a) ** 2 * (1 - b)
    return points.reshape(-1, 4), masses.ravel()


def dense_tetrahedra(corners, masses, frequencies, order: int = 14):
    """Σ masses · mean of exp(-i x·ξ) over each tetrahedron (n, 4, 3), at frequencies (m, 3); spreads up to 20 rad."""
    points, weights = _cube_rule(order)
    out = np.zeros(len(frequencies), dtype=complex)
    for point, weight in zip(points, weights):
        phase = np.einsum("p,npd->nd", point, corners) @ frequencies.T
        out += weight * (masses @ np.exp(-1j * phase))
    return out


def signed_tetrahedra(vertices, faces, jump, frequencies, order: int = 14):
    """û of filled bodies: the tetrahedra between every face and the mean of all corners, with the volume's sign."""
    corners = np.asarray(vertices, dtype=np.float64)[faces]
    middle = corners.mean(axis=(0, 1))
    away = corners - middle
    masses = -np.einsum("ij,ij->i", away[:, 0], np.cross(away[:, 1], away[:, 2])) / 6.0 * np.asarray(jump, np.float64)
    whole = np.concatenate([corners, np.broadcast_to(middle, (len(corners), 1, 3))], axis=1)
    return dense_tetrahedra(whole, masses, frequencies, order)
