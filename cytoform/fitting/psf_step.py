"""Steps of the PSF, which may move the surface as a whole: one can make up for much of the other."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats
from ..image.band import Band
from ..optics import PSF
from ..optim import LBFGS

if TYPE_CHECKING:
    from .config import FitConfig
    from .problem import Problem
    from .state import State
    from .values import PsfStep

__all__ = ["ShiftedPSF", "fits_psf", "psf_optimiser", "step_psf", "with_shift"]


@dataclasses.dataclass(frozen=True, eq=False)
class ShiftedPSF:
    """A PSF that images everything elsewhere, ĥ(ξ) exp(-i ξ·t): as if the surface had moved by t.

    Light that is not alike above and below the focus shifts as the PSF's parameters change, and a surface that is held
    meanwhile holds the parameters: moved in turns, both creep along their common valley. Its parameters are the PSF's,
    then t.

    Parameters
    ----------
    psf : PSF
    shift : (3,) float
        t, µm.
    """

    psf: PSF
    shift: Floats

    @property
    def parameters(self) -> Floats:
        """The PSF's, then t, (n + 3,)."""
        return np.concatenate([self.psf.parameters, self.shift])

    def with_parameters(self, parameters: npt.ArrayLike) -> ShiftedPSF:
        """The same at other parameters, (n + 3,)."""
        theta = np.asarray(parameters, dtype=np.float64)
        return ShiftedPSF(self.psf.with_parameters(theta[:-3]), theta[-3:])

    def axial(self, gradient: Floats) -> Floats:
        """The part of a gradient that keeps the PSF round about z, wherever it lies."""
        return np.concatenate([self.psf.axial(gradient[:-3]), gradient[-3:]])

    def prolate(self) -> ShiftedPSF:
        """The like that is no narrower along z than across."""
        return ShiftedPSF(self.psf.prolate(), self.shift)

    def otf_on(self, band: Band) -> Array:
        """OTF on a band's box."""
        return self.psf.otf_on(band) * self._phase(band)

    def otf_vjp(self, band: Band, cotangent: Array) -> Floats:
        """d/d(θ, t) of Re Σ conj(cotangent) ĥ over the full spectrum, (n + 3,)."""
        own = self.psf.otf_vjp(band, cotangent * np.conj(self._phase(band)))
        weighted = band.kept_weights * (-1j * np.conj(cotangent) * self.otf_on(band)).real
        return np.concatenate([own, [float((weighted * axis).sum()) for axis in band.axes]])

    def _phase(self, band: Band) -> Array:
        z, y, x = (np.exp(-1j * t * axis) for t, axis in zip(self.shift, band.axes))
        return z * y * x


def with_shift(psf: PSF) -> ShiftedPSF | None:
    """A PSF that may move its image, or None where it is alike on all sides and so has nothing to gain by that."""
    return None if psf.centred else ShiftedPSF(psf, np.zeros(3))


def psf_optimiser(psf: PSF) -> LBFGS:
    """L-BFGS for the parameters of a PSF and, where it goes with them, for a move of the surface."""
    return LBFGS((with_shift(psf) or psf).parameters.shape)


def fits_psf(state: State, config: FitConfig) -> bool:
    """Tell whether there is anything of the PSF to fit."""
    return config.infer_psf and state.psf.parameters.size > 0


def step_psf(state: State, problem: Problem, config: FitConfig) -> None:
    """Fit the PSF by a few evaluations at the shape as it is, which may move as a whole where that goes with the PSF.

    Replaces `psf`, and `mesh` where it moved, and notes a row of the history.
    """
    axial = config.psf_shape == "axial"
    renderer, spectrum = problem.psf_spectrum(state.mesh.astype(config.dtype), state.psf)
    found, best = _optimise(state, problem, renderer, spectrum, axial, config)
    moved = 0.0
    if isinstance(found, ShiftedPSF):
        state.mesh = state.mesh.with_vertices(state.mesh.vertices + found.shift)
        found, moved = found.psf, float(np.linalg.norm(found.shift))
    if found is not state.psf:
        state.psf, state.transform = found, ""
    gain, background = problem.raw_intensity(best.gain, best.background)
    state.note("psf", best.loss, best.r2, gain, background, moved)


def _optimise(
    state: State, problem: Problem, renderer: Any, spectrum: Array, axial: bool, config: FitConfig
) -> tuple[Any, PsfStep]:
    """The best of some steps of the optimiser, and its loss."""
    optimiser = state.psf_optimiser
    optimiser.restart()
    tried: Any = with_shift(state.psf) or state.psf
    found, best = tried, None
    for _ in range(config.psf_steps):
        step = problem.psf_step(renderer, spectrum, tried)
        state.count.evaluations += 1
        slope = tried.axial(step.parameters) if axial else step.parameters
        theta = optimiser.step(tried.parameters, step.loss, slope, lambda g: g, config.psf_step)
        if optimiser.value == step.loss:
            found, best = tried, step
        if optimiser.failed:
            break
        tried = tried.with_parameters(theta)
        tried = tried.prolate() if axial else tried
    assert best is not None  # the first step is the best so far
    return found, best
