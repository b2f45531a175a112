"""A PSF and a move of the surface at once: one can make up for much of the other."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ..image.band import Band
from ..optics import PSF, GaussianPSF
from ..optim import LBFGS

__all__ = ["Displaced", "displaced", "psf_optimiser"]

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Displaced:
    """A PSF that images everything elsewhere, ĥ(ξ) exp(-i ξ·t): as if the surface had moved by t.

    Light that is not alike above and below the focus shifts as the PSF's parameters change, and a surface that is held
    meanwhile holds the parameters: moved in turns, both creep along their common valley. Its parameters are the PSF's,
    then t.

    Parameters
    ----------
    psf : PSF
    by : (3,) float
        t, µm.
    """

    psf: PSF
    by: Floats

    @property
    def parameters(self) -> Floats:
        """The PSF's, then t, (n + 3,)."""
        return np.concatenate([self.psf.parameters, self.by])

    def with_parameters(self, parameters: npt.ArrayLike) -> Displaced:
        """The same at other parameters, (n + 3,)."""
        theta = np.asarray(parameters, dtype=np.float64)
        return Displaced(self.psf.with_parameters(theta[:-3]), theta[-3:])

    def axial(self, gradient: Floats) -> Floats:
        """The part of a gradient that keeps the PSF round about z, wherever it lies."""
        return np.concatenate([self.psf.axial(gradient[:-3]), gradient[-3:]])

    def prolate(self) -> Displaced:
        """The like that is no narrower along z than across."""
        return Displaced(self.psf.prolate(), self.by)

    def otf_on(self, band: Band) -> npt.NDArray:
        """OTF on a band's box."""
        return self.psf.otf_on(band) * self._phase(band)

    def otf_vjp(self, band: Band, cotangent: npt.NDArray) -> Floats:
        """d/d(θ, t) of Re Σ conj(cotangent) ĥ over the full spectrum, (n + 3,)."""
        own = self.psf.otf_vjp(band, cotangent * np.conj(self._phase(band)))
        weighted = band.kept_weights * (-1j * np.conj(cotangent) * self.otf_on(band)).real
        return np.concatenate([own, [float((weighted * axis).sum()) for axis in band.axes]])

    def _phase(self, band: Band) -> npt.NDArray:
        z, y, x = (np.exp(-1j * t * axis) for t, axis in zip(self.by, band.axes))
        return z * y * x


def displaced(psf: PSF) -> Displaced | None:
    """A PSF that may move its image, or None where it is alike on all sides and so has nothing to gain by that."""
    return None if isinstance(psf, GaussianPSF) else Displaced(psf, np.zeros(3))


def psf_optimiser(psf: PSF) -> LBFGS:
    """L-BFGS for the parameters of a PSF and, where it goes with them, for a move of the surface."""
    return LBFGS((displaced(psf) or psf).parameters.shape)
