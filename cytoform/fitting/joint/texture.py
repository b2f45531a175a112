"""Smooth differences of brightness inside a body: polynomials of second order over its voxels, blurred by the optics."""

from __future__ import annotations

import itertools

import numpy as np

from ..._typing import Bools, Floats
from ...image.volume import Grid

__all__ = ["texture_fields"]


def texture_fields(inside: Bools, grid: Grid, order: int = 2) -> Floats:
    """Return polynomials of position on the voxels of a body, orthonormal there, and 0 outside.

    Parameters
    ----------
    inside : (z, y, x) bool
        Voxels of the body.
    grid : Grid
        Their grid.
    order : int
        Highest total degree; 2 gives nine polynomials. The constant one is left out.

    Returns
    -------
    (n, z, y, x) float64
        Each with mean 0 and mean square 1 over the body. Fewer than nine where the body has too few voxels for them.
    """
    where = np.argwhere(inside) * np.asarray(grid.spacing)
    if len(where) < 8:
        return np.zeros((0, *inside.shape))
    at = (where - where.mean(axis=0)) / max(float(where.std(axis=0).max()), 1e-12)
    powers = sorted((p for p in itertools.product(range(order + 1), repeat=3) if sum(p) <= order), key=sum)
    columns = np.stack([np.prod(at ** np.array(p), axis=1) for p in powers], axis=1)
    basis, triangle = np.linalg.qr(columns)
    sizes = np.abs(np.diag(triangle)) / np.linalg.norm(columns, axis=0)
    chosen = basis[:, 1:][:, sizes[1:] > 1e-3] * np.sqrt(len(where))
    fields = np.zeros((chosen.shape[1], *inside.shape))
    fields[:, inside] = chosen.T
    return fields
