"""Pauses of a fit: triangles are looked after, the PSF is fitted, neighbours are judged and strengths learnt anew."""

from __future__ import annotations

import numpy as np

from ..mesh.protocol import Mesh
from ..optim import LaplacianPreconditioner
from .config import FitConfig
from .constants import (
    ESTIMATE_AFTER_STEPS,
    ESTIMATE_WITH_STEPS_LEFT,
    FOLD_FACTOR,
    LEAST_STEPS_BETWEEN_PAUSES,
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

__all__ = ["improve_triangles", "pause", "pause_due", "undo_folding"]


def pause_due(state: State, stage: Stage, config: FitConfig) -> bool:
    """Tell whether a pause is due.

    Regularly, and sooner where the surface has gone far since the last one or its triangles have worn out.
    """
    since = state.count.since_pause
    if since >= stage.pause_interval or state.shape_optimiser.failed:
        return True
    if since < LEAST_STEPS_BETWEEN_PAUSES:
        return False
    gone = float(np.sqrt(((state.mesh.vertices - state.last_pause.mesh.vertices) ** 2).sum(axis=1)).max())
    if gone > PAUSE_DISTANCE * stage.problem.voxel:
        return True
    if _near_end(state, stage, config) or stage.needed_remeshing(state):  # what care could not mend, it cannot mend now
        return False
    return stage.body.needs_remeshing(state.mesh, last=stage.last)


def pause(state: State, stage: Stage, config: FitConfig) -> str:
    """Look after the triangles, fit the PSF, judge neighbours and learn strengths; return a word for the user."""
    message = "" if _near_end(state, stage, config) else improve_triangles(state, stage)
    back, held = "", state.estimates.prior_factor
    if stage.body.is_embedded(state.mesh):
        state.estimates.prior_factor = max(1.0, held / RECOVERY_FACTOR)
    else:
        back = _return_to_last_pause(state, stage)
    if state.count.psf_free:
        step_psf(state, stage.problem, config)
    if not stage.last and state.scope.candidates.any():  # from where the surface has come to they are judged better
        stage.update_scope(state)
    if held == 1.0 and not (back or message) and _ready_to_estimate(state, stage, config):
        message = _estimate_priors(state, stage, config)
    state.restart_at_best()
    stage.freeze(state)
    return back or message


def improve_triangles(state: State, stage: Stage) -> str:
    """Go on with a better mesh of the same shape where there is one."""
    better = stage.body.improved(state.mesh, last=stage.last)
    return "" if better is None else _remeshed(state, stage, better)


def undo_folding(state: State, stage: Stage) -> str:
    """Go back to the last pause where the surface has come to fold or to cross itself since, and hold it firmer."""
    return "" if stage.body.is_embedded(state.mesh) else _return_to_last_pause(state, stage)


def _near_end(state: State, stage: Stage, config: FitConfig) -> bool:
    """Whether the fit is about to end: triangles that would do are left alone, for a change of them takes its time."""
    return stage.last and config.iterations - state.count.iteration < NO_REMESHING_STEPS


def _ready_to_estimate(state: State, stage: Stage, config: FitConfig) -> bool:
    """Whether surface and PSF have come to where they tell how strong priors have to be, with steps to spare."""
    free = state.count.psf_free or not fits_psf(state, config)
    left = config.iterations - state.count.iteration
    return stage.last and free and state.count.stage_step >= ESTIMATE_AFTER_STEPS and left >= ESTIMATE_WITH_STEPS_LEFT


def _remeshed(state: State, stage: Stage, better: Mesh) -> str:
    message = f"remeshed, {state.mesh.n_faces} to {better.n_faces} faces"
    state.transform = state.transform if better.n_faces == state.mesh.n_faces else ""
    prolongation, estimates = stage.body.prolongation(state.mesh, better), state.estimates
    state.shape_optimiser = state.shape_optimiser.carried(prolongation)
    state.stain = prolongation @ state.stain
    even = (estimates.smoothness_factors == 1.0).all()  # to the last digit
    estimates.smoothness_factors = np.ones(better.n_vertices) if even else prolongation @ estimates.smoothness_factors
    state.mesh = better
    if stage.staining is not None:
        state.mesh = apply_staining(better, state.stain, stage.body.pattern(better))
    stage.set_connectivity(state)
    return message


def _return_to_last_pause(state: State, stage: Stage) -> str:
    """To the last pause, if the surface was sound then."""
    last_pause, count = state.last_pause, state.count
    if not stage.body.is_embedded(last_pause.mesh):
        return ""
    other = not np.array_equal(state.mesh.faces, last_pause.mesh.faces)
    state.mesh, state.stain, state.estimates.smoothness_factors = (
        last_pause.mesh,
        last_pause.stain,
        last_pause.smoothness_factors,
    )
    state.estimates.prior_factor *= FOLD_FACTOR
    count.gained, count.gained_step = 0.0, min(count.gained_step, count.stage_step - count.since_pause)
    if other:
        state.transform = ""
        state.shape_optimiser = shape_optimiser(state.mesh.n_vertices)
        stage.set_connectivity(state)
    return "folded or crossed itself: back to the last pause, held firmer"


def _estimate_priors(state: State, stage: Stage, config: FitConfig) -> str:
    """Learn how strong the priors have to be; before, uneven triangles are mended, as smoothness takes them as even."""
    estimates, count = state.estimates, state.count
    information = fisher_information(stage.problem, state.mesh.astype(config.dtype), state.psf)
    if information.reliability == 0.0:
        if not (
            np.isnan(estimates.staining_spread) and (estimates.smoothness_factors == 1.0).all()
        ):  # forget what was learnt
            estimates.smoothness_factors, estimates.staining_spread = np.ones(state.mesh.n_vertices), np.nan
            stage.set_priors(state)
        return ""
    if not estimates.edges_evened and stage.smoothness is not None:
        estimates.edges_evened = True
        count.gained, count.gained_step = 0.0, count.stage_step
        better = stage.body.improved(state.mesh, last=False)
        if better is not None:
            return _remeshed(state, stage, better)
    _estimate_prior_strengths(state, stage, information, config)
    return ""


def _estimate_prior_strengths(state: State, stage: Stage, information: FisherInformation, config: FitConfig) -> None:
    """Learn from the surface and its staining as they are how strong their priors have to be."""
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
