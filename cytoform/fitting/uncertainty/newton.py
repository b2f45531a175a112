"""A Newton step for the smooth modes of the surface, its staining and the PSF together."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..._typing import Floats
from ...mesh import geometry
from ...mesh.protocol import Mesh
from ..bodies.measures import volume_and_area
from ..config import FitConfig
from ..constants import NEWTON_MODES
from ..priors.staining import staining_gradient
from ..stage import Stage
from ..state import State
from .directions import fitted_psf_directions
from .modes import smoothest_modes
from .normal_matrix import ImageInformation, Unknowns
from .posterior import covariance_of, misfit_aware, prior_precision, widened

__all__ = ["NewtonStep", "newton_step"]


@dataclasses.dataclass(frozen=True, eq=False)
class NewtonStep:
    """The step to the optimum of the objective's quadratic approximation, and what it would change.

    Parameters
    ----------
    moves : (n_vertices, 3) float64
        Changes of the positions, µm.
    stain : (n_vertices,) float64
        Change of the field of the staining.
    psf : (n_parameters,) float64
        Change of the PSF's parameters.
    value : float
        The objective where the step begins, in units of the loss.
    changes : dict of str to float
        Predicted changes of volume and area, the root mean square of the surface's, and the largest of the PSF's
        parameters, each over its standard error ("volume", "area", "surface", "psf").
    surface_error : float
        Median standard error of the surface, µm.
    """

    moves: Floats
    stain: Floats
    psf: Floats
    value: float
    changes: dict[str, float]
    surface_error: float


def newton_step(state: State, stage: Stage, config: FitConfig) -> NewtonStep:
    """Compute the Newton step at the state's surface and PSF, for the objective of a stage.

    Second derivatives are those of the Gauss-Newton approximation in the smoothest modes of the surface; the gradient
    is exact. As PSF, staining and position are moved together, it crosses valleys that alternating steps creep along.

    Parameters
    ----------
    state : State
        The fit's state.
    stage : Stage
        The last stage.
    config : FitConfig
        Settings of the fit.

    Raises
    ------
    FitError
        If the image does not determine the unknowns (the matrix is singular).
    """
    mesh, problem, weight = state.mesh, stage.problem, state.estimates.prior_weight
    working, normals = mesh.astype(config.dtype), geometry.vertex_normals(mesh.vertices, mesh.faces)
    directions = fitted_psf_directions(state, config)
    stain = None if stage.staining is None else state.stain
    unknowns = Unknowns(mesh, normals, _modes(stage, mesh), stain, state.psf, directions)
    image_fit = problem.image_fit(working, state.psf)
    variance = 0.5 * weight * float(problem.region.sum())
    smoothness = stage.smoothness and (state.estimates.folding_factor * stage.smoothness[0], stage.smoothness[1])
    image = ImageInformation(problem, unknowns, image_fit)
    prior = widened(prior_precision(unknowns, smoothness, stage.staining), image)
    covariance, used = covariance_of(image.information / variance, prior)
    n, end = unknowns.modes.shape[1], unknowns.n_surface
    slopes = _slopes(unknowns)
    errors = _standard_errors(unknowns, slopes, covariance)
    if not state.error_ratio:  # it changes little from here on
        aware = _standard_errors(unknowns, slopes, misfit_aware(image, covariance, prior, variance, used))
        state.error_ratio = {name: float(np.maximum(aware[name] / error, 1.0).mean()) for name, error in errors.items()}
    value, slope = _gradient(state, stage, config, working)
    gradient = np.zeros(len(covariance))
    gradient[:n] = unknowns.modes.T @ (slope[:, :3] * normals).sum(axis=1)
    if stain is not None:
        gradient[n:end] = unknowns.modes.T @ slope[:, 3]
    gradient[end:-2] = directions.T @ problem.psf_gradient(working, state.psf, stage.blur) / weight
    state.count.evaluations += 2
    step = -covariance @ gradient
    shift, changes = unknowns.modes @ step[:n], _changes(unknowns, slopes, step)
    return NewtonStep(
        shift[:, None] * normals,
        unknowns.modes @ step[n:end] if stain is not None else np.zeros(len(shift)),
        directions @ step[end:-2],
        value,
        {name: float((c / errors[name]).max()) / state.error_ratio[name] for name, c in changes.items()},
        float(errors["surface"][0]) * state.error_ratio["surface"],
    )


def _modes(stage: Stage, mesh: Mesh) -> Floats:
    """Return the smoothest modes of a mesh, kept while its connectivity stays."""
    modes = smoothest_modes(mesh, NEWTON_MODES) if stage.modes is None else stage.modes
    stage.modes = modes
    return modes


def _gradient(state: State, stage: Stage, config: FitConfig, working: Mesh) -> tuple[float, Floats]:
    """Return the objective at the state's surface, in units of the loss, and minus the gradient of the log probability.

    The gradient, (n_vertices, 4), is for positions (per µm) and the field of the staining.
    """
    weight = state.estimates.prior_weight
    evaluated = stage.problem.shape_loss(working, state.psf, stage.blur)
    value, slope = stage.prior_at(state.mesh, state.stain, state.estimates.folding_factor)
    slope[:, :3] += evaluated.vertices / weight
    if stage.staining is not None:
        slope[:, 3] += staining_gradient(state.mesh, state.stain, evaluated.density) / weight
    return evaluated.loss + weight * value, slope


def _standard_errors(unknowns: Unknowns, slopes: dict[str, Floats], covariance: Floats) -> dict[str, Floats]:
    """Return the standard errors of volume, area, surface (their median) and PSF from a covariance of all unknowns.

    By name, (1,) each, and as many for the PSF as it has fitted parameters, if any. `slopes` are those of
    :func:`_slopes`.
    """
    n = unknowns.modes.shape[1]
    surface = covariance[:n, :n]
    squares = {name: np.array([slope @ surface @ slope]) for name, slope in slopes.items()}
    squares["surface"] = np.array([np.median(unknowns.surface_variances(covariance))])
    if unknowns.directions.shape[1]:
        squares["psf"] = np.diag(covariance)[unknowns.n_surface : -2]
    return {name: np.sqrt(np.maximum(square, 1e-300)) for name, square in squares.items()}


def _slopes(unknowns: Unknowns) -> dict[str, Floats]:
    """Return the gradients of volume and area for the modes, (n_modes,) each."""
    measures = volume_and_area(unknowns.mesh)
    return {name: unknowns.slope(measures[key]) for name, key in (("volume", "volume_um3"), ("area", "area_um2"))}


def _changes(unknowns: Unknowns, slopes: dict[str, Floats], step: Floats) -> dict[str, Floats]:
    """Return how much a step of all unknowns changes volume, area, surface (root mean square) and PSF.

    By name, in the shapes of :func:`_standard_errors`.
    """
    moves = step[: unknowns.modes.shape[1]]
    found = {name: np.array([abs(slope @ moves)]) for name, slope in slopes.items()}
    found["surface"] = np.array([np.sqrt(np.mean((unknowns.modes @ moves) ** 2))])
    if unknowns.directions.shape[1]:
        found["psf"] = np.abs(step[unknowns.n_surface : -2])
    return found
