"""Bounds on what a step of remeshing may do to a triangle, and the measures that are compared with them."""

from __future__ import annotations

import numpy as np

from ..._typing import Floats

__all__ = [
    "LONG",
    "MAX_ROUNDS",
    "MIN_MEAN_RATIO",
    "MIN_NORMAL_COSINE",
    "SHORT",
    "doubled_normals",
    "mean_ratio",
    "row_cosines",
]


# Botsch and Kobbelt's bounds in units of the target edge length: longer edges are split, shorter ones collapsed.
LONG, SHORT = 4.0 / 3.0, 4.0 / 5.0
MIN_NORMAL_COSINE = np.cos(np.radians(60.0))  # a step may rotate a face's normal by at most 60°
MIN_MEAN_RATIO = 0.12  # a step may not leave a face with a smaller mean ratio than this (1 is equilateral)
MAX_ROUNDS = 30  # passes of one operation over the mesh, at most


def doubled_normals(corners: Floats) -> Floats:
    """Return normals of triangles, twice their area long, (n, 3), from corners (n, 3 corners, 3 axes)."""
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def mean_ratio(corners: Floats) -> Floats:
    """Return the mean ratio, 4 √3 area / (sum of squared edges), of triangles: 1 if equilateral, 0 without area.

    corners (n, 3 corners, 3 axes); the result is (n,).
    """
    squares = ((np.roll(corners, -1, axis=1) - corners) ** 2).sum(axis=(1, 2))
    area = 0.5 * np.linalg.norm(doubled_normals(corners), axis=1)
    ratio: Floats = np.divide(4.0 * np.sqrt(3.0) * area, squares, out=np.zeros_like(area), where=squares > 0)
    return ratio


def row_cosines(a: Floats, b: Floats) -> Floats:
    """Return the cosine of the angle between rows of a and b, (n,); 1 where a row has no length and no direction."""
    scale = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: Floats = np.divide(np.einsum("ij,ij->i", a, b), scale, out=np.ones_like(scale), where=scale > 0)
    return cosines
