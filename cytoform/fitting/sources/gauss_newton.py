"""Levenberg-Marquardt steps for sources of light, together with a constant background and, if wanted, the PSF.

The objective is ½ Σ (image - model)² / variance plus the sources' own prior: the negative logarithm of the posterior
probability for Gaussian noise. Points of light stand for all sources: a segment is a few of them (its quadrature), and
the chain rule carries their normal matrix over to the unknowns of the source.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Protocol

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from ..._typing import Floats
from ...mesh.simplices import Simplices
from ...optics import PSF
from .measurement import Measurement
from .windows import Windows

__all__ = ["Fitted", "Sources", "Start", "adjust", "linearise"]

_DAMPING = (1e-3, 10.0, 1e6)  # at first, the factor at a refused step, and where the search ends
_COLUMNS = 400  # of the inverse that are computed together
_PSF_STEP = 1e-3  # of a parameter, for the difference quotient of the image
_PSF_MOVE = 0.2  # most change of a parameter of the PSF in one step


class Sources(Protocol):
    """Protocol of sources of light whose unknowns are fitted, all in one array (n,)."""

    @property
    def unknowns(self) -> Floats:
        """Present values of the unknowns, (n,)."""

    def moved(self, step: Floats) -> Sources:
        """Return the sources after a step (n,) of the unknowns, which may be shortened to what is allowed."""

    def simplices(self) -> Simplices:
        """Return the points or filaments to render."""

    def quadrature(self) -> tuple[Floats, Floats, sparse.csr_matrix]:
        """Return points that stand for the sources: positions (q, 3) µm, brightness (q,), Jacobian (4 q, n)."""

    def prior(self) -> tuple[float, Floats, sparse.csr_matrix]:
        """Return the negative log of the prior probability, its gradient (n,) and its second derivatives (n, n)."""


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
    """What is fitted besides the sources.

    Parameters
    ----------
    psf : bool
        Whether to fit the PSF's parameters.
    axial : bool
        Whether the PSF stays rotationally symmetric about z.
    iterations : int
        Most steps.
    settled : float
        Mean squared step of an unknown, in units of its standard error, at which the fit has converged.
    """

    psf: bool = False
    axial: bool = True
    iterations: int = 30
    settled: float = 1e-4


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
    """The linearised problem at some sources: normal matrix and gradient of unknowns and globals.

    Parameters
    ----------
    normal : (n, n) sparse
        Second derivatives of the objective for the unknowns (Gauss-Newton), with the prior.
    border : (n, g) float64
        Mixed derivatives for unknowns and globals.
    corner : (g, g) float64
        Second derivatives for the globals: the background's level, then the PSF's parameters along `basis`.
    gradient : (n + g,) float64
        Gradient of the objective.
    basis : (p, g - 1) float64
        Directions in which the PSF's parameters move.
    """

    normal: sparse.csr_matrix
    border: Floats
    corner: Floats
    gradient: Floats
    basis: Floats

    def step(self, damping: float) -> Floats:
        """Return the Levenberg-Marquardt step of unknowns and globals, (n + g,)."""
        border, corner = sparse.csr_matrix(self.border), sparse.csr_matrix(self.corner)
        rows: list[Any] = [sparse.hstack([self.normal, border]), sparse.hstack([border.T, corner])]
        whole: Any = sparse.csc_matrix(sparse.vstack(rows))
        diagonal = whole.diagonal()
        least = 1e-12 * float(diagonal.max())
        whole = whole + sparse.diags(damping * np.maximum(diagonal, least) + least)
        found: Floats = splu(whole.tocsc()).solve(-self.gradient)
        return found

    @functools.cached_property
    def factor(self) -> object:
        """The factorised normal matrix of the unknowns."""
        diagonal = self.normal.diagonal()
        least = 1e-12 * float(diagonal.max())
        return splu((self.normal + sparse.diags(np.full(len(diagonal), least))).tocsc())

    def covariance_of(self, rows: Floats) -> Floats:
        """Return the covariance (m, m) of linear combinations of the unknowns, (m, n), globals being unknown too."""
        solve = self.factor.solve  # type: ignore[attr-defined]
        inverse = solve(np.ascontiguousarray(rows.T))
        spread = solve(np.ascontiguousarray(self.border))
        schur = self.corner - self.border.T @ spread
        share = rows @ spread
        found: Floats = rows @ inverse + share @ np.linalg.pinv(schur, hermitian=True) @ share.T
        return found

    def blocks(self, size: int) -> Floats:
        """Return the covariance of each group of `size` unknowns that lie side by side, (n / size, size, size)."""
        count = self.normal.shape[0]
        made = []
        for start in range(0, count, _COLUMNS - _COLUMNS % size):
            rows = np.arange(start, min(start + _COLUMNS - _COLUMNS % size, count))
            unit = np.zeros((len(rows), count))
            unit[np.arange(len(rows)), rows] = 1.0
            whole = self.covariance_of(unit)
            made += [whole[k : k + size, k : k + size] for k in range(0, len(rows), size)]
        return np.array(made)


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """Sources at the least objective that was found, with the measurement whose background and PSF were fitted too.

    Parameters
    ----------
    sources : Sources
        The sources.
    measurement : Measurement
        Image with fitted background and PSF.
    light : (z, y, x) float64
        Image of the sources.
    value : float
        The objective.
    converged : bool
        Whether the steps ended because they had become small.
    """

    sources: Sources
    measurement: Measurement
    light: Floats
    value: float
    converged: bool

    @property
    def residual(self) -> Floats:
        """Image minus background minus the light of the sources, (z, y, x)."""
        return self.measurement.image - self.measurement.background - self.light


def psf_directions(psf: PSF, axial: bool) -> Floats:
    """Return orthonormal directions (p, k) in which the PSF's parameters may move."""
    count = psf.parameters.size
    if not axial or count == 0:
        return np.eye(count)
    kept = np.array([psf.axial(row) for row in np.eye(count)])
    left, sizes, _ = np.linalg.svd(kept.T)
    basis: Floats = left[:, : int((sizes > 1e-9).sum())]
    return basis


def linearise(sources: Sources, measurement: Measurement, residual: Floats, what: Start) -> Linear:
    """Return the linearised problem at some sources.

    Parameters
    ----------
    sources : Sources
        The sources.
    measurement : Measurement
        Image, background and PSF.
    residual : (z, y, x) float64
        Image minus model.
    what : Start
        What is fitted besides the sources.

    Returns
    -------
    Linear
        Normal matrix and gradient.
    """
    positions, brightness, jacobian = sources.quadrature()
    windows = Windows(measurement, positions, brightness)
    _, slope, bend = sources.prior()
    normal = sparse.csr_matrix(jacobian.T @ windows.normal_matrix() @ jacobian + bend)
    basis = psf_directions(measurement.psf, what.axial) if what.psf else np.zeros((measurement.psf.parameters.size, 0))
    images = [np.ones(measurement.grid.shape), *_psf_images(sources, measurement, basis)]
    border = np.column_stack([jacobian.T @ windows.project(image).ravel() for image in images])
    weighted = [measurement.weights * image for image in images]
    corner = np.array([[float((a * b).sum()) for b in images] for a in weighted])
    gradient = np.concatenate([
        slope - jacobian.T @ windows.project(residual).ravel(), [-float((a * residual).sum()) for a in weighted]
    ])  # fmt: skip
    return Linear(normal, border, corner, gradient, basis)


def _psf_images(sources: Sources, measurement: Measurement, basis: Floats) -> list[Floats]:
    """Return the derivatives of the sources' image along directions of the PSF's parameters, by differences."""
    if basis.shape[1] == 0:
        return []
    renderer, psf = measurement.renderer, measurement.psf
    spectrum = renderer.spectrum(sources.simplices())
    found = []
    for direction in basis.T:
        ends = [
            renderer.with_psf(psf.with_parameters(psf.parameters + sign * _PSF_STEP * direction)).image(spectrum)
            for sign in (1.0, -1.0)
        ]
        found.append(measurement.crop(ends[0] - ends[1]) / (2.0 * _PSF_STEP))
    return found


def adjust(sources: Sources, measurement: Measurement, what: Start | None = None) -> Fitted:
    """Move sources, the background's level and, if wanted, the PSF to the least objective.

    Parameters
    ----------
    sources : Sources
        Start.
    measurement : Measurement
        Image, noise, background and PSF.
    what : Start, optional
        What is fitted besides the sources; only the background's level by default.

    Returns
    -------
    Fitted
        The best sources that were found.
    """
    what = Start() if what is None else what
    best, damping, converged = _evaluated(sources, measurement), _DAMPING[0], False
    for _ in range(what.iterations):
        problem = linearise(best.sources, best.measurement, best.residual, what)
        while damping < _DAMPING[2]:
            step = problem.step(damping)
            gain = -0.5 * float(problem.gradient @ step)
            tried = _moved(best, problem, step)
            if tried.value < best.value:
                break
            damping *= _DAMPING[1]
        else:
            break
        small = 0.5 * what.settled * len(step)
        converged = (gain < small and damping < 1.0) or best.value - tried.value < small
        best, damping = tried, max(damping / _DAMPING[1], 1e-9)
        if converged:
            break
    return dataclasses.replace(best, converged=converged)


def _evaluated(sources: Sources, measurement: Measurement) -> Fitted:
    """Return sources with their image and the objective."""
    light = measurement.render(sources.simplices())
    residual = measurement.image - measurement.background - light
    value = 0.5 * float((measurement.weights * residual**2).sum()) + sources.prior()[0]
    return Fitted(sources, measurement, light, value, False)


def _moved(best: Fitted, problem: Linear, step: Floats) -> Fitted:
    """Return the best fit so far after a step (n + g,) of unknowns, background and PSF."""
    count = len(best.sources.unknowns)
    moved, measurement = best.sources.moved(step[:count]), best.measurement
    measurement = measurement.replace(background=measurement.background + step[count])
    if problem.basis.shape[1]:
        change = np.clip(problem.basis @ step[count + 1 :], -_PSF_MOVE, _PSF_MOVE)
        psf = measurement.psf
        measurement = measurement.replace(psf=psf.with_parameters(psf.parameters + change))
    return _evaluated(moved, measurement)
