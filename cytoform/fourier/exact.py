"""The transform of a triangle mesh by its closed formula, mode by mode."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .. import backend
from ..image.band import Band
from ..kernels import triangle

__all__ = ["adjoint", "forward", "forward_at"]

Floats = npt.NDArray[np.float64]


def forward_at(corners: Floats, strengths: Floats, frequencies: Floats, *, dtype: npt.DTypeLike, device: str) -> Floats:
    """Sum over faces of strengths · G at any frequencies, (n, 2): real and imaginary parts, float64."""
    out = np.empty((len(frequencies), 2))
    table = triangle.inverse_factorials(dtype)
    backend.kernels(backend.resolve_device(device)).mesh_ft(corners, strengths, frequencies, table, out)
    return out


def forward(
    corners: Floats,
    strengths: Floats,
    band: Band,
    *,
    dtype: npt.DTypeLike = np.float64,
    tolerance: float | None = None,
    device: str = "cpu",
    deterministic: bool = False,
) -> npt.NDArray:
    """Transform of triangles on a band.

    Parameters
    ----------
    corners : (n_faces, 3 corners, 3 axes) float64
        µm, (z, y, x), relative to the grid's origin.
    strengths : (n_faces,) float64
        Twice the area times the density.
    band : Band
    dtype : float32 or float64
        Working precision.
    tolerance, deterministic
        Not needed: the formula is exact and its sums are ordered.
    device : "cpu" or "cuda"

    Returns
    -------
    (band.shape) complex64 or complex128
    """
    out = forward_at(corners, strengths, band.frequencies, dtype=dtype, device=device)
    values = out.view(np.complex128)[:, 0].astype(np.result_type(dtype, np.complex64))
    return band.scatter(values)


def adjoint(
    corners: Floats,
    strengths: Floats,
    band: Band,
    cotangent: npt.NDArray,
    *,
    dtype: npt.DTypeLike = np.float64,
    tolerance: float | None = None,
    device: str = "cpu",
    deterministic: bool = False,
) -> tuple[Floats, Floats]:
    """Adjoint of :func:`forward` at a cotangent on the band.

    Returns
    -------
    values : (n_faces,) float64
        Σ w_k Re conj(c_k) G_k, with w_k the modes of the full spectrum that mode k stands for.
    moves : (n_faces, 3 corners, 3 axes) float64
        Σ w_k Re conj(c_k) ∂G_k/∂corner, per µm.
    """
    weighted = (cotangent * band.weights).ravel()[band.index].astype(np.complex128)
    pairs = np.ascontiguousarray(weighted).view(np.float64).reshape(-1, 2)
    values, moves = np.empty(len(corners)), np.empty((len(corners), 3, 3))
    table = triangle.inverse_factorials(dtype)
    loops = backend.kernels(backend.resolve_device(device))
    loops.mesh_ft_adjoint(corners, band.frequencies, pairs, table, values, moves)
    return values, moves
