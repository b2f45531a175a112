"""The image of several bodies, its difference from a measured one, and the gradients for all of them at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._typing import Array, Floats
from ...devices import to_host
from ...fourier import MeshGradient
from ...optics import PSF
from .brightness import Brightness, Column, solve_brightness
from .view import View

__all__ = ["JointLoss", "JointModel"]


@dataclasses.dataclass(frozen=True, eq=False)
class JointLoss:
    """The loss of several bodies at their best brightnesses.

    Attributes
    ----------
    value : float
        Σ w (model - observed)² / Σ w.
    brightness : Brightness
        Gains of all parts, background and model.
    parts : list of tuple of int
        The columns of each body: one, or its surface and its inside.
    gradients : list of MeshGradient
        Derivative of the value for each body; empty if they were not asked for.
    psf : (n_parameters,) float64
        Derivative for the PSF's parameters; empty if it was not asked for.
    """

    value: float
    brightness: Brightness
    parts: list[tuple[int, ...]]
    gradients: list[MeshGradient]
    psf: Floats = dataclasses.field(default_factory=lambda: np.zeros(0))


class JointModel:
    """Several bodies in one measured image.

    Parameters
    ----------
    observed : (z, y, x) float
        Measured image.
    weights : (z, y, x) float
        Weight of each voxel in the loss, zero or more.
    views : sequence of View
        Box of each body.
    """

    def __init__(self, observed: Array, weights: Array, views: Sequence[View]) -> None:
        self.observed, self.weights, self.views = observed, weights, list(views)
        self.total = float(weights.sum(dtype=np.float64))

    def loss(self, bodies: Sequence[Any], *, gradients: bool = True, psf: PSF | None = None) -> JointLoss:
        """Return the loss of bodies, each at its best brightness, and its gradient for every body.

        The brightnesses minimise the loss, so the gradients need no term for them (variable projection; Golub and
        Pereyra 1973, doi 10.1137/0710036).

        Parameters
        ----------
        bodies : sequence of Mesh, PointSet or Filaments
            One for each view.
        gradients : bool
            Whether the gradients are computed.
        psf : PSF, optional
            Another PSF on the same modes, for whose parameters the gradient is computed, too.

        Returns
        -------
        JointLoss
            Value, brightnesses and gradients.
        """
        views = self.views if psf is None else [view.with_psf(psf) for view in self.views]
        prepared = [view.renderer.prepared(body) for view, body in zip(views, bodies)]
        spectra = [[part for part in here.parts() if part is not None] for here in prepared]
        found, parts, misfit, value = self._solve(views, spectra)
        slopes: list[MeshGradient] = []
        for view, here, own in zip(views, prepared, parts) if gradients else ():
            gain = found.gains[own[0]]
            ratio = 1.0
            if len(own) == 2:
                gain = max(gain, 1e-6 * found.gains[own[1]], 1e-30)
                ratio = float(found.gains[own[1]] / gain)
            cotangent = view.spread(misfit[view.image] * misfit.dtype.type(2.0 * gain / self.total))
            slopes.append(view.renderer.prepared_vjp(here, cotangent, filling=ratio))
        if psf is None or not gradients:
            return JointLoss(value, found, parts, slopes)
        return JointLoss(value, found, parts, slopes, self._psf_slope(psf, views, spectra, parts, found, misfit))

    def _psf_slope(
        self, psf: PSF, views: Sequence[View], spectra: list[list[Any]], parts: list[tuple[int, ...]],
        found: Brightness, misfit: Array,
    ) -> Floats:  # fmt: skip
        """Return the gradient of the loss for the PSF's parameters from the parts' spectra and w (model - observed)."""
        gradient = np.zeros(psf.parameters.shape)
        for view, boxes, own in zip(views, spectra, parts):
            box: Any = sum(found.gains[i] * to_host(part) for i, part in zip(own, boxes))
            cotangent = view.spread(misfit[view.image] * misfit.dtype.type(2.0 / self.total))
            gradient += view.renderer.psf_vjp(box, cotangent)
        return gradient

    def _solve(
        self, views: Sequence[View], spectra: list[list[Any]]
    ) -> tuple[Brightness, list[tuple[int, ...]], Array, float]:
        """Return the best brightnesses for the parts' spectra, each body's columns, w (model - observed), and loss."""
        columns: list[Column] = []
        parts: list[tuple[int, ...]] = []
        for view, boxes in zip(views, spectra):
            parts.append(tuple(range(len(columns), len(columns) + len(boxes))))
            columns += [Column(view.image, view.visible(view.renderer.image(box))) for box in boxes]
        found = solve_brightness(columns, self.observed, self.weights)
        rest = found.model - self.observed
        misfit = self.weights * rest
        return found, parts, misfit, float((misfit * rest).sum(dtype=np.float64)) / self.total

    def spectra(self, bodies: Sequence[Any]) -> list[list[Array]]:
        """Return the spectra of all parts of all bodies before the optics, for :meth:`psf_loss`."""
        return [
            [to_host(part) for part in view.renderer.prepared(body, behind_optics=False).parts() if part is not None]
            for view, body in zip(self.views, bodies)
        ]

    def psf_loss(self, spectra: list[list[Array]], psf: PSF) -> tuple[float, Floats]:
        """Return the loss of fixed bodies at a PSF, and its gradient for the PSF's parameters.

        Parameters
        ----------
        spectra : list of lists of (band.shape) complex
            :meth:`spectra` of the bodies.
        psf : PSF
            The PSF.

        Returns
        -------
        value : float
            Loss at the best brightnesses.
        gradient : (n_parameters,) float64
            Its gradient.
        """
        views = [view.with_psf(psf) for view in self.views]
        found, parts, misfit, value = self._solve(views, spectra)
        return value, self._psf_slope(psf, views, spectra, parts, found, misfit)
