"""What every point spread function offers."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..image.band import Band
from ..image.volume import Grid

__all__ = ["PSF"]


@runtime_checkable
class PSF(Protocol):
    """A point spread function with integral 1 and free parameters θ.

    The optical transfer function (OTF) is its Fourier transform ĥ(ξ) = ∫ h(x) exp(-i x·ξ) dx, ĥ(0) = 1.
    """

    kind: str

    @property
    def parameters(self) -> npt.NDArray[np.float64]:
        """Free parameters θ, (n,), without constraints: any real values make a valid PSF."""

    def with_parameters(self, parameters: npt.ArrayLike) -> PSF:
        """The same kind of PSF at other parameters."""

    def axial(self, gradient: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The part of a parameter gradient that keeps the PSF round about the optical axis, z."""

    def prolate(self) -> PSF:
        """The like PSF that is no narrower along z than across."""

    def otf(self, grid: Grid) -> npt.NDArray:
        """OTF on the half-space spectrum of a grid, ``rfftn`` layout."""

    def otf_on(self, band: Band) -> npt.NDArray:
        """OTF on a band's box."""

    def otf_vjp(self, band: Band, cotangent: npt.NDArray) -> npt.NDArray[np.float64]:
        """d/dθ of Re Σ conj(cotangent) ĥ over the full spectrum that the band's box stands for, (n,)."""

    def band(self, grid: Grid, cutoff: float) -> Band:
        """The modes where |ĥ| exceeds `cutoff` times its maximum."""

    def reach(self) -> tuple[float, float, float]:
        """How far the PSF reaches from its centre on each axis, µm: what a grid is padded with."""

    def blurred(self, sigma: float) -> PSF:
        """Convolved with an isotropic Gaussian of standard deviation `sigma`, µm."""

    def describe(self) -> dict[str, Any]:
        """Kind and parameters as plain values for a JSON file."""
