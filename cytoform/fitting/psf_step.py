"""Steps of the PSF. The surface may be translated in them, as a shift of the PSF and one of the surface look alike."""

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
    from .evaluations import PSFLoss
    from .problem import Problem
    from .state import State

__all__ = ["ShiftedPSF", "fits_psf", "psf_optimiser", "step_psf", "with_shift"]


@dataclasses.dataclass(frozen=True, eq=False)
class ShiftedPSF:
    """A PSF shifted by a vector t, with OTF ĥ(ξ) exp(-i ξ·t): as if the surface had been translated by t.

    The centre of light of an asymmetric PSF moves as its parameters change. With a fixed surface it would hold the
    parameters back, and alternating steps would creep along their common valley. The parameters here are the PSF's,
    then t.

    Parameters
    ----------
    psf : PSF
        The PSF.
    shift : (3,) float
        t, µm.
    """

    psf: PSF
    shift: Floats

    @property
    def parameters(self) -> Floats:
        """The PSF's parameters followed by the shift in µm, (n + 3,)."""
        return np.concatenate([self.psf.parameters, self.shift])

    def with_parameters(self, parameters: npt.ArrayLike) -> ShiftedPSF:
        """Return a shifted PSF with other parameters, (n + 3,)."""
        theta = np.asarray(parameters, dtype=np.float64)
        return ShiftedPSF(self.psf.with_parameters(theta[:-3]), theta[-3:])

    def axial(self, gradient: Floats) -> Floats:
        """Project a gradient, (n + 3,), on changes that keep the PSF rotationally symmetric about z.

        The shift is free: its part of the gradient is unchanged.
        """
        return np.concatenate([self.psf.axial(gradient[:-3]), gradient[-3:]])

    def prolate(self) -> ShiftedPSF:
        """Return it with the PSF made no narrower along z than across (:meth:`.PSF.prolate`) and the same shift."""
        return ShiftedPSF(self.psf.prolate(), self.shift)

    def otf_on(self, band: Band) -> Array:
        """Return the OTF on the modes of a band."""
        return self.psf.otf_on(band) * self._phase(band)

    def otf_vjp(self, band: Band, cotangent: Array) -> Floats:
        """Return the gradient of Re Σ conj(cotangent) ĥ over the full spectrum for PSF and shift, (n + 3,)."""
        unshifted = self.psf.otf_vjp(band, cotangent * np.conj(self._phase(band)))
        weighted = band.kept_weights * (-1j * np.conj(cotangent) * self.otf_on(band)).real
        return np.concatenate([unshifted, [float((weighted * axis).sum()) for axis in band.axes]])

    def _phase(self, band: Band) -> Array:
        """Return exp(-i ξ·t) on the modes of a band."""
        z, y, x = (np.exp(-1j * t * axis) for t, axis in zip(self.shift, band.axes))
        phase: Array = z * y * x
        return phase


def with_shift(psf: PSF) -> ShiftedPSF | None:
    """Return the PSF with a shift of zero, which can be fitted, or None if the PSF is symmetric about its centre.

    The light of a symmetric PSF stays in place whatever its parameters are.
    """
    return None if psf.centred else ShiftedPSF(psf, np.zeros(3))


def psf_optimiser(psf: PSF) -> LBFGS:
    """Make an L-BFGS optimiser for the parameters of a PSF, and for its shift if it is asymmetric."""
    return LBFGS((with_shift(psf) or psf).parameters.shape)


def fits_psf(state: State, config: FitConfig) -> bool:
    """Tell whether the PSF is to be fitted: the settings say so and it has free parameters."""
    return config.infer_psf and state.psf.parameters.size > 0


def step_psf(state: State, problem: Problem, config: FitConfig) -> None:
    """Fit the PSF, and a translation of the surface if the PSF is asymmetric, by a few L-BFGS evaluations.

    Replaces ``state.psf``, and ``state.mesh`` if it was translated, clears the choice of the transform if the PSF has
    changed, and appends a row to the history. `problem` is the objective on the present region of interest.
    """
    axial = config.psf_shape == "axial"
    renderer, spectrum = problem.psf_spectrum(state.mesh.astype(config.dtype), state.psf)
    found, best = _optimise(state, problem, renderer, spectrum, axial, config)
    moved = 0.0
    if isinstance(found, ShiftedPSF):
        state.mesh = state.mesh.with_vertices(state.mesh.vertices + found.shift)
        moved = float(np.linalg.norm(found.shift))
        found = found.psf
    if found is not state.psf:
        state.psf, state.transform = found, ""
    gain, background = problem.raw_intensity(best.gain, best.background)
    state.append_history("psf", best.loss, best.r2, gain, background, moved)


def _optimise(
    state: State, problem: Problem, renderer: Any, spectrum: Array, axial: bool, config: FitConfig
) -> tuple[Any, PSFLoss]:
    """Run up to ``config.psf_steps`` evaluations of L-BFGS on the PSF; return the best PSF and its loss.

    Parameters
    ----------
    state : State
        Its PSF is the start; its PSF optimiser and count of evaluations are changed.
    problem : Problem
        Image and region of interest.
    renderer : Renderer
        Renderer of the band of `spectrum`.
    spectrum : (n_z, n_y, n_x) complex
        The mesh's spectrum (:meth:`.Problem.psf_spectrum`).
    axial : bool
        Whether the PSF stays rotationally symmetric about z and no narrower along z than across.
    config : FitConfig
        Settings of the fit.

    Returns
    -------
    psf : PSF or ShiftedPSF
        The PSF of least loss.
    loss : PSFLoss
        Its loss.
    """
    optimiser = state.psf_optimiser
    optimiser.restart()
    tried: Any = with_shift(state.psf) or state.psf
    found, best = tried, None
    for _ in range(config.psf_steps):
        step = problem.psf_loss(renderer, spectrum, tried)
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
