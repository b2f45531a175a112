"""Pauses of a fit: remeshing, PSF steps, search for neighbours, and estimates of noise and prior strengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import Floats
from ..errors import FitError
from ..mesh import geometry
from ..mesh.protocol import Mesh
from ..optics import PSF
from ..optim import LaplacianPreconditioner
from .bodies import Body
from .config import FitConfig
from .constants import (
    ESTIMATE_AFTER_STEPS,
    ESTIMATE_WITH_STEPS_LEFT,
    FOLD_FACTOR,
    LEAST_STEPS_BETWEEN_PAUSES,
    MOVED_SHARES,
    NEWTON_AFTER_STEPS,
    NEWTON_MOST_VERTICES,
    NEWTON_MOVE,
    NEWTON_SHRINK,
    NEWTON_TRIALS,
    NO_REMESHING_STEPS,
    PATCH_SMOOTHING,
    PAUSE_DISTANCE,
    RECOVERY_FACTOR,
)
from .noise import fisher_information
from .priors.staining import apply_staining
from .priors.strength import FisherInformation, estimate_smoothness_factors, estimate_staining_spread
from .psf_step import fits_psf, step_psf
from .stage import Stage
from .state import State, shape_optimiser
from .uncertainty.newton import newton_step

__all__ = ["even_triangles", "improve_triangles", "pause", "pause_due", "undo_folding"]


def pause_due(state: State, stage: Stage, config: FitConfig) -> bool:
    """Tell whether a pause is due.

    It is after the stage's pause interval or if the last step of L-BFGS failed. After LEAST_STEPS_BETWEEN_PAUSES steps
    it is as well if a vertex has moved farther than PAUSE_DISTANCE since the last pause, or if triangles have become
    poor since then, unless the fit is about to end.
    """
    since = state.count.since_pause
    if since >= stage.pause_interval or state.shape_optimiser.failed:
        return True
    if since < LEAST_STEPS_BETWEEN_PAUSES:
        return False
    moved = float(np.sqrt(((state.mesh.vertices - state.last_pause.mesh.vertices) ** 2).sum(axis=1)).max())
    if moved > PAUSE_DISTANCE * stage.problem.voxel:
        return True
    if _too_late_to_remesh(state, stage, config) or stage.needed_remeshing(state):  # remeshing did not help then
        return False
    return stage.body.needs_remeshing(state.mesh, last=stage.last)


def pause(state: State, stage: Stage, config: FitConfig) -> str:
    """Update at a pause all that stays fixed between pauses; changes state and stage in place.

    Remesh poor triangles, go back to the last pause if the surface has folded, fit the PSF if it is free, find
    neighbours and region of interest before the last stage, estimate the priors' strengths in the last one, and restart
    the optimiser.

    Returns
    -------
    str
        What happened, for the user; empty if there is nothing to report.
    """
    moved, state.remaining = _moved_since_pause(state), {}  # what was left for the surface of an earlier pause
    message = "" if _too_late_to_remesh(state, stage, config) else improve_triangles(state, stage)
    undone, factor = "", state.estimates.folding_factor
    if stage.body.is_embedded(state.mesh):
        state.estimates.folding_factor = max(1.0, factor / RECOVERY_FACTOR)
    else:
        undone = _return_to_last_pause(state, stage)
    if state.count.psf_free:
        step_psf(state, stage.problem, config)
    if not stage.last and state.masks.candidates.any():  # judged from the present surface
        stage.update_masks(state)
    reliability = 0.0
    if factor == 1.0 and not (undone or message) and _ready_to_estimate(state, stage, config):
        reliability = _estimate_priors(state, stage, config)
    state.restart_at_best()
    stage.update_at_pause(state)
    if not (undone or message) and _ready_for_newton(state, stage, config):
        _take_newton_step(state, stage, config, moved, reliability)
    return undone or message


def improve_triangles(state: State, stage: Stage) -> str:
    """Replace the state's mesh by a remeshed one if triangles are poor and that helps; return a message, else ""."""
    better = stage.body.improved(state.mesh, last=stage.last)
    return "" if better is None else _replace_mesh(state, stage, better)


def even_triangles(state: State, body: Body[Any], config: FitConfig) -> None:
    """Replace the state's mesh before a stage by one with even edges of the wanted length, if that keeps the shape.

    In the coarse stages the surface grows or shrinks, and its edges with it; fine detail needs short ones.
    """
    better = body.evened(state.mesh)
    if better is None:
        return
    _carry_over(state, better, body, stained=config.fits_staining)


def undo_folding(state: State, stage: Stage) -> str:
    """Return the state to the last pause if the surface has folded or crossed itself since; return a message, else "".

    The weights of smoothness and contact grow by FOLD_FACTOR then (``Estimates.folding_factor``).
    """
    return "" if stage.body.is_embedded(state.mesh) else _return_to_last_pause(state, stage)


def _too_late_to_remesh(state: State, stage: Stage, config: FitConfig) -> bool:
    """Tell whether fewer steps are left than a surface takes to settle after a remeshing (NO_REMESHING_STEPS)."""
    return stage.last and config.iterations - state.count.iteration < NO_REMESHING_STEPS


def _ready_to_estimate(state: State, stage: Stage, config: FitConfig) -> bool:
    """Tell whether surface and PSF have settled enough to estimate the priors' strengths, with enough steps left.

    That is in the last stage, with the PSF free (or not fitted), after ESTIMATE_AFTER_STEPS steps of it, while
    ESTIMATE_WITH_STEPS_LEFT iterations are left.
    """
    left = config.iterations - state.count.iteration
    late = state.count.stage_step >= ESTIMATE_AFTER_STEPS and left >= ESTIMATE_WITH_STEPS_LEFT
    return stage.last and late and _moves_all(state, config)


def _ready_for_newton(state: State, stage: Stage, config: FitConfig) -> bool:
    """Tell whether a Newton step makes sense: in the last stage, with the PSF free (or not fitted).

    Meshes that branch have no such step, and for very large ones it takes too long.
    """
    if stage.body.branching or stage.newton_failed or state.mesh.n_vertices > NEWTON_MOST_VERTICES:
        return False
    return stage.last and state.count.stage_step >= NEWTON_AFTER_STEPS and _moves_all(state, config)


def _moves_all(state: State, config: FitConfig) -> bool:
    """Tell whether all that is fitted is being moved by now, the PSF included."""
    return state.count.psf_free or not fits_psf(state, config)


def _take_newton_step(state: State, stage: Stage, config: FitConfig, moved: float, reliability: float) -> None:
    """Predict how far surface and PSF are from their optimum, and, if they are, move them there in one Newton step.

    Sets ``state.remaining``; detail finer than the step's modes has a share (MOVED_SHARES) of the surface's root mean
    square move since the last pause, `moved` (µm), left to go. `reliability` is 0 if the residual is a misfit, 1 if it
    is noise alone (:attr:`.FisherInformation.reliability`). The step is shortened until it lowers the objective without
    folding the surface, NEWTON_TRIALS times at most, and else left out; after it, the stage is updated as at any pause.
    """
    try:
        step = newton_step(state, stage, config)
    except FitError:  # a singular matrix: go on without
        stage.newton_failed = True
        return
    share = MOVED_SHARES[reliability > 0.5]
    surface = max(step.changes["surface"], share * moved / step.surface_error)
    state.remaining = {**step.changes, "surface": surface}
    if max(state.remaining.values()) <= config.convergence:
        return
    longest = float(np.sqrt((step.moves**2).sum(axis=1)).max())
    fraction = min(1.0, NEWTON_MOVE * stage.max_step / max(longest, 1e-300))
    for _ in range(NEWTON_TRIALS):
        psf = _moved_psf(state.psf, fraction * step.psf, config)
        stain = state.stain + fraction * step.stain
        mesh = state.mesh.with_vertices(state.mesh.vertices + fraction * step.moves)
        if stage.staining is not None:
            mesh = apply_staining(mesh, stain, stage.body.pattern(mesh))
        state.count.evaluations += 1
        loss = stage.problem.shape_loss(mesh.astype(config.dtype), psf, stage.blur).loss
        prior = stage.prior_at(mesh, stain, state.estimates.folding_factor)[0]
        if loss + state.estimates.prior_weight * prior < step.value and stage.body.is_embedded(mesh):
            state.mesh, state.stain = mesh, stain
            if psf is not state.psf:
                state.psf, state.transform = psf, ""
            state.restart_at_best()
            stage.update_at_pause(state)
            return
        fraction *= NEWTON_SHRINK


def _moved_since_pause(state: State) -> float:
    """Return how far the surface has moved along its normals since the last pause, in the root mean square, µm.

    0 if its connectivity has changed.
    """
    before, now = state.last_pause.mesh, state.mesh
    if not np.array_equal(before.faces, now.faces):
        return 0.0
    normals = geometry.vertex_normals(now.vertices, now.faces)
    return float(np.sqrt(np.mean(((now.vertices - before.vertices) * normals).sum(axis=1) ** 2)))


def _moved_psf(psf: PSF, change: Floats, config: FitConfig) -> PSF:
    """Return a PSF with changed parameters, no narrower along z than across if ``config.psf_shape`` is "axial"."""
    if not change.any():
        return psf
    moved = psf.with_parameters(psf.parameters + change)
    return moved.prolate() if config.psf_shape == "axial" else moved


def _replace_mesh(state: State, stage: Stage, better: Mesh) -> str:
    """Replace the state's mesh by a remeshed one of the same shape; return a message with the numbers of faces."""
    message = f"remeshed, {state.mesh.n_faces} to {better.n_faces} faces"
    _carry_over(state, better, stage.body, stained=stage.staining is not None)
    stage.set_connectivity(state)
    return message


def _carry_over(state: State, better: Mesh, body: Body[Any], *, stained: bool) -> None:
    """Replace the state's mesh by another one of the same shape; `stained` tells whether the staining is fitted.

    Staining, smoothness factors and the memory of L-BFGS are interpolated to the new vertices.
    """
    state.transform = state.transform if better.n_faces == state.mesh.n_faces else ""
    prolongation, estimates = body.prolongation(state.mesh, better), state.estimates
    state.shape_optimiser = state.shape_optimiser.interpolated(prolongation)
    state.stain = prolongation @ state.stain
    factors = estimates.smoothness_factors  # even ones stay so to the last digit
    even = (factors == factors[0]).all()
    estimates.smoothness_factors = np.full(better.n_vertices, factors[0]) if even else prolongation @ factors
    state.mesh = apply_staining(better, state.stain, body.pattern(better)) if stained else better


def _return_to_last_pause(state: State, stage: Stage) -> str:
    """Set the state back to the surface of the last pause, if that is embedded; return a message, else "".

    `Estimates.folding_factor` is multiplied by FOLD_FACTOR. If the connectivity has changed since, the optimiser is
    reset.
    """
    last_pause, count = state.last_pause, state.count
    if not stage.body.is_embedded(last_pause.mesh):
        return ""
    remeshed = not np.array_equal(state.mesh.faces, last_pause.mesh.faces)
    state.mesh, state.stain, state.estimates.smoothness_factors = (
        last_pause.mesh,
        last_pause.stain,
        last_pause.smoothness_factors,
    )
    state.estimates.folding_factor *= FOLD_FACTOR
    count.gained, count.gained_step = 0.0, min(count.gained_step, count.stage_step - count.since_pause)
    if remeshed:
        state.transform = ""
        state.shape_optimiser = shape_optimiser(state.mesh.n_vertices)
        stage.set_connectivity(state)
    return "folded or crossed itself: back to the last pause, with larger weights of smoothness and contact"


def _estimate_priors(state: State, stage: Stage, config: FitConfig) -> float:
    """Estimate the priors' strengths from the image (empirical Bayes); return the reliability of these estimates.

    If half of the residuals' power is a misfit, estimates made before are reset.
    """
    estimates = state.estimates
    information = fisher_information(stage.problem, state.mesh.astype(config.dtype), state.psf)
    if information.reliability == 0.0:
        if not (np.isnan(estimates.staining_spread) and (estimates.smoothness_factors == 1.0).all()):
            estimates.smoothness_factors = np.ones(state.mesh.n_vertices)
            estimates.staining_spread = np.nan
            stage.set_priors(state)
        return 0.0
    _estimate_prior_strengths(state, stage, information, config)
    return information.reliability


def _estimate_prior_strengths(state: State, stage: Stage, information: FisherInformation, config: FitConfig) -> None:
    """Estimate smoothness factors and staining spread at the present surface and update the stage's priors with them.

    `information` is the Fisher information of the image on the surface.
    """
    mesh, estimates = state.mesh, state.estimates
    if stage.smoothness is not None:
        weight, prior = stage.smoothness
        gather = LaplacianPreconditioner(mesh.faces, mesh.n_vertices, PATCH_SMOOTHING)
        estimates.smoothness_factors = estimate_smoothness_factors(
            prior, prior.roughness(mesh), weight, information, gather
        )
    if stage.staining is not None:
        estimates.staining_spread = estimate_staining_spread(
            stage.staining, state.stain, mesh.area, config.staining_spread, information
        )
    stage.set_priors(state)
