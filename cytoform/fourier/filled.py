"""The Fourier transform of the inside of a mesh, from its faces alone, and its adjoint.

By the divergence theorem a body of brightness 1 has the transform û(ξ) = (i / |ξ|²) Σ over faces of (ξ · n) ∫ exp(-i
x·ξ) dS, and its volume at ξ = 0. With a `jump` of brightness across each face as a factor the same sum holds for any
number of bodies that share faces. The three components of jump · n are three strengths of the same faces. As the
boundary moves, the transform changes by exp(-i x·ξ) times the jump and the boundary's normal velocity, so the gradient
for a vertex is an integral of the adjoint image over the faces around it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import Array, Floats
from ..devices import to_host
from ..errors import MeshError
from ..image.band import Band
from . import nufft

__all__ = ["Inside", "check_closed", "tolerance_share"]

# Sum of jump · normal · area over a closed surface, relative to the sum of its parts: rounding of float32 vertices.
LARGEST_GAP = 1e-4


def check_closed(normals: Floats, jump: Floats) -> None:
    """Raise MeshError unless the faces' jumps close: Σ jump · normal · area is 0, to rounding.

    Parameters
    ----------
    normals : (n_faces, 3) float64
        Normals, twice the area long.
    jump : (n_faces,) float64
        Jump of brightness across each face.
    """
    parts = normals * jump[:, None]
    total = float(np.linalg.norm(parts, axis=1).sum())
    gap = float(np.linalg.norm(parts.sum(axis=0))) / max(total, 1e-300)
    if gap > LARGEST_GAP:
        raise MeshError(
            f"the faces with a jump leave a gap of {gap:.2g} of their area; expected a closed surface around what is "
            "filled.",
            remedy="Close the surface, or use jump=None (nothing is filled).",
        )


def tolerance_share(volume: float, area: float, band: Band) -> float:
    """Return the factor, at most 1, on the tolerance of the faces' transforms that keeps it for the inside's.

    The division by |ξ| at the lowest frequencies raises an error relative to the area to one relative to the volume.

    Parameters
    ----------
    volume, area : float
        Volume, µm³, and area, µm², of what is filled.
    band : Band
        Modes that are computed.
    """
    lowest = 2.0 * np.pi / max(band.grid.extent)
    return float(min(1.0, lowest * abs(volume) / max(area, 1e-300)))


class Inside:
    """The inside of a mesh on a band: its transform and the adjoint of that.

    Parameters
    ----------
    faces : Faces
        The faces on the band, of a back end.
    make : callable
        Makes the back end's faces for other strengths, (n_faces,).
    corners : (n_faces, 3 corners, 3 axes) float64
        µm, (z, y, x), relative to the grid's origin.
    normals : (n_faces, 3) float64
        Normals, twice the area long.
    jump : (n_faces,) float64
        Jump of brightness across each face, per µm³.
    band : Band
        Modes that are computed.
    """

    def __init__(self, faces: Any, make: Any, corners: Floats, normals: Floats, jump: Floats, band: Band) -> None:
        check_closed(normals, jump)
        self._faces, self._make, self._band = faces, make, band
        self._normals, self._jump = normals, jump
        centred = corners - corners.reshape(-1, 3).mean(axis=0)
        self._volumes = np.einsum("fd,fd->f", centred[:, 0], normals) / 6.0
        z, y, x = (np.asarray(axis, dtype=np.float64) for axis in band.axes)
        squares = z**2 + y**2 + x**2
        inverse = np.divide(1.0, squares, out=np.zeros(band.shape), where=squares > 0)
        self._waves = [inverse * axis for axis in band.axes]  # ξ / |ξ|²
        self._zero = np.flatnonzero((squares == 0).ravel())

    def forward(self) -> Array:
        """Return the transform on the band's box, complex128, on the host."""
        strengths = np.ascontiguousarray((self._normals * self._jump[:, None]).T)
        if isinstance(self._faces, nufft.Faces):
            boxes = list(self._faces.forward_each(strengths))
        else:
            boxes = [to_host(self._make(column).forward()) for column in strengths]
        found = 1j * sum(wave * box for wave, box in zip(self._waves, boxes))
        found.reshape(-1)[self._zero] = (self._jump * self._volumes).sum()
        return np.asarray(found)

    def adjoint(self, cotangent: Array, *, with_jump: bool) -> tuple[Floats, Floats | None]:
        """Return the gradients of Re Σ conj(c) û over the full spectrum for the corners and the jumps of the faces.

        Parameters
        ----------
        cotangent : (band.shape) complex
            Cotangent c on the band's box, on the host.
        with_jump : bool
            Whether the gradient for the jumps is wanted: it costs as much again or more.

        Returns
        -------
        corners : (n_faces, 3 corners, 3 axes) float64
            Per µm.
        jump : (n_faces,) float64 or None
            None if it is not wanted.
        """
        c = np.asarray(cotangent, dtype=np.complex128)
        by_axis = np.stack([-1j * wave * c for wave in self._waves])
        if isinstance(self._faces, nufft.Faces):
            values, corner_values = self._faces.values_each(np.stack([c, *by_axis]) if with_jump else c[None])
            values = values[1:]
        else:
            values, corner_values = self._adjoint_by_axis(c, by_axis)
        corners = (self._jump[:, None, None] * corner_values[:, :, None]) * self._normals[:, None, :]
        if not with_jump:
            return corners, None
        jump = np.einsum("fd,df->f", self._normals, values)
        return corners, jump + self._volumes * self._at_zero(c)

    def _at_zero(self, cotangent: Array) -> float:
        """Return the real part of a cotangent at frequency 0, (0 if the band has no such mode)."""
        return float(cotangent.reshape(-1)[self._zero].real.sum())

    def _adjoint_by_axis(self, cotangent: Array, by_axis: Array) -> tuple[Floats, Floats]:
        """Return the sums of :meth:`.nufft.Faces.values_each` from the adjoint of the closed formula.

        The integral of φ exp(-i x·ξ), φ a corner's barycentric coordinate, is i times the derivative for the corner's
        phase, of which the adjoint gives the product with ξ: with ξ / |ξ|² in the cotangent, its sum over the axes.
        """
        values, corner_values = [], np.full((len(self._jump), 3), self._at_zero(cotangent) / 6.0)
        for d, part in enumerate(by_axis):
            value, moves = self._faces.adjoint(part)
            values.append(value)
            corner_values += moves[:, :, d]
        return np.array(values), corner_values
