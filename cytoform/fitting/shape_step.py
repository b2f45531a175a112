"""A step of the shape and its staining, and the criterion by which a stage has settled."""

from __future__ import annotations

import numpy as np

from .brightness import with_filling
from .config import FitConfig
from .priors.staining import staining_gradient
from .stage import Stage
from .state import State

__all__ = ["has_settled", "record_gain", "step_shape"]


def step_shape(state: State, stage: Stage, config: FitConfig) -> float:
    """Evaluate objective and gradient at the trial point, let L-BFGS choose the next one; return the image's loss.

    The objective is the loss plus ``prior_weight`` times the priors' negative log probability. Replaces
    ``state.trial``, replaces mesh and staining if the point is the best so far, counts the step and appends a row to
    the history.
    """
    tried, stain = stage.mesh_at(state, state.trial), state.trial[:, 3] / state.staining_scale_um
    evaluated = stage.problem.shape_loss(tried.astype(config.dtype), state.psf, stage.blur)
    estimates, optimiser = state.estimates, state.shape_optimiser
    value, slope = stage.prior_at(tried, stain, estimates.folding_factor)
    slope *= estimates.prior_weight
    slope[:, :3] += evaluated.vertices
    if stage.staining is not None:
        slope[:, 3] += staining_gradient(tried, stain, evaluated.density)
    slope[:, 3] /= state.staining_scale_um
    before, value_before = state.mesh.vertices, optimiser.value
    state.trial = optimiser.step(
        state.trial, evaluated.loss + estimates.prior_weight * value, slope, stage.precondition, stage.max_step
    )
    taken = optimiser.point
    if taken is not None and not np.array_equal(taken, state.best_point):
        state.mesh, state.stain = stage.mesh_at(state, taken), taken[:, 3] / state.staining_scale_um
    state.mesh = with_filling(state.mesh, evaluated.filling)
    moved = float(np.sqrt(((state.mesh.vertices - before) ** 2).sum(axis=1)).max())
    state.count.count_shape_step()
    if np.isfinite(value_before):
        record_gain(state, (value_before - optimiser.value) / estimates.prior_weight, config)
    gain, background = stage.problem.raw_intensity(evaluated.gain, evaluated.background)
    state.append_history("shape", evaluated.loss, np.nan, gain, background, moved)
    return evaluated.loss


def record_gain(state: State, gain: float, config: FitConfig) -> None:
    """Add a gain of log probability to the stage's sum; reset the sum and note the step once it reaches the least gain.

    The least gain is ``config.min_gain`` of the stage (:func:`has_settled`).
    """
    count = state.count
    count.gained += gain
    if count.gained >= config.min_gain[count.stage]:
        count.gained, count.gained_step = 0.0, count.stage_step


def has_settled(state: State, config: FitConfig) -> bool:
    """Tell whether the present stage has stopped gaining, so that it can end.

    Gains of log probability are summed; whenever the sum reaches the stage's ``config.min_gain``, it restarts at 0
    (:func:`record_gain`). The stage has settled once ``config.patience`` steps have passed since then. The gain of a
    stage's first step does not count, as it is measured from an arbitrary beginning.
    """
    count = state.count
    last = max(count.gained_step, 1)  # the gain of the first step does not count
    return count.stage_step - last >= config.patience[count.stage]
