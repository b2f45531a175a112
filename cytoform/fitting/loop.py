"""The loop of a fit: shape steps and pauses, stage by stage, coarse to fine.

Steps change the :class:`.State` in place and depend on nothing else but the image and the settings, so that a fit that
resumes from a checkpoint takes the steps of one that was not interrupted. Ref: Ichbiah et al. 2025, section 5; Nicolet,
Jacobson, Jakob, ACM Trans. Graph. 40 (2021), for the shape's optimiser.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from ..interruption import Interruption
from .bodies import Body
from .config import FitConfig
from .constants import ESTIMATE_AFTER_STEPS
from .pause import even_triangles, improve_triangles, pause, pause_due, undo_folding
from .priors.smoothness import Prior
from .progress import ProgressTeller
from .psf_step import fits_psf, step_psf
from .shape_step import has_settled, step_shape
from .stage import Stage, update_masks
from .state import State

__all__ = ["FitContext", "run_stages"]


@dataclasses.dataclass(frozen=True, eq=False)
class FitContext:
    """What stays the same from the first step of a fit to its last.

    Parameters
    ----------
    body : Body
        The kind of mesh, in its image.
    config : FitConfig
        Settings of the fit.
    prior : Prior or None
        The user's further prior on the surface.
    teller : ProgressTeller or None
        Tells the callbacks of every shape step.
    save : callable or None
        Writes the state to the checkpoint: called every ``config.checkpoint_seconds``, at the end and on interruption.
    """

    body: Body[Any]
    config: FitConfig
    prior: Prior | None = None
    teller: ProgressTeller | None = None
    save: Callable[[State], None] | None = None


def run_stages(state: State, context: FitContext) -> None:
    """Run the stages of a fit, from the present one on, until it ends; changes the state in place.

    Between two stages the PSF is fitted, and neighbours and region of interest are found anew.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C or by a callback, between two steps, after the state was saved.
    """
    config, timer = context.config, _RunTimer(state, context)
    with Interruption() as interruption:
        while not state.stop_reason:
            stage = Stage(state, context.body, config, context.prior)
            _run_stage(state, stage, context, timer, interruption)
            if not state.stop_reason:
                if fits_psf(state, config):  # a coarse shape makes it too wide rather than too narrow: the safer side
                    step_psf(state, stage.problem, config)
                    timer.stamp_history(state, len(state.history) - 1)
                _start_next_stage(state, context)
    timer.save(state)


def _run_stage(state: State, stage: Stage, context: FitContext, timer: _RunTimer, interruption: Interruption) -> None:
    """Run the steps and pauses of one stage until it ends; changes the state in place.

    Sets ``state.stop_reason`` if the fit ends with it. On an interruption the state is saved and KeyboardInterrupt
    raised.
    """
    config = context.config
    while True:
        if interruption.requested:
            timer.save(state)
            raise KeyboardInterrupt
        reason = _stage_end_reason(state, stage, config)
        if reason:
            if not stage.last:
                improve_triangles(state, stage)
            undo_folding(state, stage)
            state.stop_reason = reason if stage.last else ""
            return
        rows = len(state.history)
        loss = step_shape(state, stage, config)
        timer.stamp_history(state, rows)
        _free_psf_if_settled(state, stage, config)
        message = pause(state, stage, config) if pause_due(state, stage, config) else ""
        timer.stamp_history(state, rows + 1)
        try:
            if context.teller is not None:
                context.teller.after_step(state, stage, loss, message)
        except KeyboardInterrupt:  # a callback was asked to end the fit as Ctrl-C does
            timer.save(state)
            raise
        except StopIteration as stop:
            undo_folding(state, stage)
            state.stop_reason = f"stopped by a callback: {stop}"
            return
        timer.save_if_due(state)


def _stage_end_reason(state: State, stage: Stage, config: FitConfig) -> str:
    """Return why the stage ends, in words; empty while it goes on.

    It ends when its steps are used up (in the last stage, all iterations) or it has settled (:func:`.has_settled`).
    """
    count = state.count
    if count.stage_step >= stage.length if not stage.last else count.iteration >= config.iterations:
        return f"all {config.iterations} iterations done"
    settled = stage.last and count.since_pause == 0 and count.stage_step >= ESTIMATE_AFTER_STEPS
    if settled and state.remaining and max(state.remaining.values()) <= config.convergence:
        part = f"{config.convergence:g} of their standard errors"
        return f"converged: volume, area, surface and PSF would move by less than {part}"
    if has_settled(state, config):
        steps, gain = config.patience[count.stage], config.min_gain[count.stage]
        return f"converged: {steps:g} iterations raised the log-likelihood by less than {gain:g}"
    return ""


def _start_next_stage(state: State, context: FitContext) -> None:
    """Advance the state to the next stage.

    Counts of the stage and the optimiser are reset, neighbours and region of interest found anew, and the trial point
    set to the best surface.
    """
    count = state.count
    count.stage += 1
    count.stage_step, count.gained, count.gained_step = 0, 0.0, 0
    update_masks(state, context.body, last=count.stage == len(context.config.blurs) - 1)
    if count.stage == len(context.config.blurs) - 1:  # fine detail needs short edges
        even_triangles(state, context.body, context.config)
    state.shape_optimiser.reset()
    state.restart_at_best()


def _free_psf_if_settled(state: State, stage: Stage, config: FitConfig) -> None:
    """Set ``state.count.psf_free`` in the last stage once the shape has settled or ``config.psf_after`` steps are done.

    Fitted earlier, the PSF would widen to make up for a shape that is far off.
    """
    count = state.count
    if count.psf_free or not fits_psf(state, config) or not stage.last:
        return
    if has_settled(state, config) or count.stage_step >= config.psf_after:
        count.psf_free = True
        count.gained, count.gained_step = 0.0, count.stage_step


class _RunTimer:
    """Run time of a fit, summed over interruptions, and the time of its next checkpoint."""

    def __init__(self, state: State, context: FitContext) -> None:
        self._begin = time.perf_counter() - state.count.seconds
        self._save, self._every, self._last = context.save, context.config.checkpoint_seconds, time.perf_counter()

    def update_seconds(self, state: State) -> None:
        """Set ``state.count.seconds`` to the run time so far."""
        state.count.seconds = time.perf_counter() - self._begin

    def stamp_history(self, state: State, first_row: int) -> None:
        """Set the run time so far in the state and in the rows of its history from number `first_row` on."""
        self.update_seconds(state)
        state.stamp_history(first_row)

    def save_if_due(self, state: State) -> None:
        """Save the state if ``config.checkpoint_seconds`` have passed since the last time."""
        if time.perf_counter() - self._last >= self._every:
            self.save(state)

    def save(self, state: State) -> None:
        """Set the run time in the state and save it, if the fit keeps a checkpoint."""
        self.update_seconds(state)
        if self._save is not None:
            self._save(state)
        self._last = time.perf_counter()
