"""The unknowns of a joint fit as one array: the vertices of all bodies, then the PSF's parameters."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._typing import Array, Floats
from ...optics import PSF

__all__ = ["Unknowns"]


class Unknowns:
    """How the rows of one array, (n, 3), stand for bodies and optics.

    The PSF's parameters are multiplied by its mean standard deviation, so that a unit of them changes the image about
    as much as a surface that moves by 1 µm, and fill rows of three.

    Parameters
    ----------
    bodies : sequence of bodies
        Their vertices, µm, come first.
    psf : PSF
        The PSF.
    free_psf : bool
        Whether its parameters are unknowns, too.
    axial : bool
        Whether only changes are allowed that keep the PSF rotationally symmetric about z.

    Attributes
    ----------
    start : (n, 3) float64
        The array of the present bodies and PSF.
    n_vertices : int
        Number of its rows that are vertices.
    """

    def __init__(self, bodies: Sequence[Any], psf: PSF, *, free_psf: bool, axial: bool) -> None:
        ends = np.cumsum([0, *(len(body.vertices) for body in bodies)])
        self._parts = [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]
        self.n_vertices = int(ends[-1])
        self._psf, self._free, self._axial = psf, free_psf, axial
        self._size = psf.parameters.size if free_psf else 0
        self._scale = float(np.mean(psf.fwhm)) / 2.355
        points = [np.asarray(body.vertices, dtype=np.float64) for body in bodies]
        self.start: Floats = self.joined(points, self._rows(psf.parameters * self._scale))

    def _rows(self, values: Array) -> Floats:
        """Return values of the PSF's parameters as rows of three, the last filled with 0; no row if they are held."""
        rows = np.zeros((-(-self._size // 3), 3))
        rows.reshape(-1)[: self._size] = np.asarray(values, dtype=np.float64)[: self._size]
        return rows

    @staticmethod
    def joined(parts: Sequence[Array], psf: Array) -> Floats:
        """Return the rows of all bodies and the PSF as one array."""
        return np.concatenate([*parts, psf])

    def of_bodies(self, rows: Array) -> list[Array]:
        """Return the rows of every body, (n_vertices, 3) each."""
        return [rows[part] for part in self._parts]

    def of_psf(self, rows: Array) -> Array:
        """Return the rows of the PSF."""
        return rows[self.n_vertices :]

    def psf_at(self, rows: Array) -> PSF | None:
        """Return the PSF at a point; None if its parameters are held."""
        if not self._free:
            return None
        return self._psf.with_parameters(self.of_psf(rows).reshape(-1)[: self._size] / self._scale)

    def psf_slope(self, gradient: Floats) -> Floats:
        """Return the gradient for the PSF's rows from the one for its parameters."""
        if not self._free:
            return np.zeros((0, 3))
        return self._rows((self._psf.axial(gradient) if self._axial else gradient) / self._scale)
