"""A step of the shape and its staining, and whether the stage still gains by them."""

from __future__ import annotations

import numpy as np

from .config import FitConfig
from .priors.staining import staining_gradient
from .stage import Stage
from .state import State

__all__ = ["has_settled", "step_shape", "watch"]


def step_shape(state: State, stage: Stage, config: FitConfig) -> float:
    """Evaluate the shape at the trial and choose the next one; return the image's loss there.

    Replaces `mesh` and `stain` where the trial is better, `trial`, and notes a row of the history.
    """
    tried, stain = stage.mesh_at(state, state.trial), state.trial[:, 3] / state.staining_scale_um
    found = stage.problem.shape_step(tried.astype(config.dtype), state.psf, stage.blur)
    estimates, optimiser = state.estimates, state.shape_optimiser
    value, slope = stage.prior_at(tried, stain, estimates.prior_factor)
    slope *= estimates.noise
    slope[:, :3] += found.vertices
    if stage.staining is not None:
        slope[:, 3] += staining_gradient(tried, stain, found.density)
    slope[:, 3] /= state.staining_scale_um
    before, value_before = state.mesh.vertices, optimiser.value
    state.trial = optimiser.step(
        state.trial, found.loss + estimates.noise * value, slope, stage.precondition, stage.max_step
    )
    taken = optimiser.point
    if taken is not None and not np.array_equal(taken, state.point):
        state.mesh, state.stain = stage.mesh_at(state, taken), taken[:, 3] / state.staining_scale_um
    moved = float(np.sqrt(((state.mesh.vertices - before) ** 2).sum(axis=1)).max())
    state.count.shape_done()
    if np.isfinite(value_before):
        watch(state, (value_before - optimiser.value) / estimates.noise, config)
    gain, background = stage.problem.raw_intensity(found.gain, found.background)
    state.note("shape", found.loss, np.nan, gain, background, moved)
    return found.loss


def watch(state: State, gain: float, config: FitConfig) -> None:
    """Note when the stage last gained as much as it has to, as a logarithm of probability."""
    count = state.count
    count.gained += gain
    if count.gained >= config.min_gain[count.stage]:
        count.gained, count.gained_step = 0.0, count.stage_step


def has_settled(state: State, config: FitConfig) -> bool:
    """Tell whether the stage has gained too little for as long as its patience lasts."""
    count = state.count
    last = max(count.gained_step, 1)  # what the first step finds is where the stage begins, and no gain yet
    return count.stage_step - last >= config.patience[count.stage]
