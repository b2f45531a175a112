"""The loop of a fit: shape steps and pauses, stage by stage, coarse to fine.

Steps change the :class:`.State` in place and read nothing else but the image and the settings, so that a fit goes on
from a checkpoint as if it had never stopped. Ref: Ichbiah et al. 2025, section 5; Nicolet, Jacobson, Jakob, ACM Trans.
Graph. 40 (2021), for the shape's optimiser.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..interruption import Interruption
from .bodies import Body
from .callbacks import Callback, Progress
from .config import FitConfig
from .pause import improve_triangles, pause, pause_due, undo_folding
from .priors.smoothness import Prior
from .psf_step import fits_psf, step_psf
from .shape_step import has_settled, step_shape
from .stage import Stage, update_scope
from .state import State

__all__ = ["Run", "run"]


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """What a fit is run with; the same from its first step to its last.

    Attributes
    ----------
    body : Body
        The kind of mesh, in its image.
    config : FitConfig
    prior : Prior or None
        The user's own.
    callbacks : sequence of callable
        Called after every shape step.
    save : callable or None
        Called with the state now and then, and when the user interrupts.
    """

    body: Body[Any]
    config: FitConfig
    prior: Prior | None = None
    callbacks: Sequence[Callback] = ()
    save: Callable[[State], None] | None = None


def run(state: State, how: Run) -> None:
    """Go on with a fit until it ends, changing the state in place.

    Raises
    ------
    KeyboardInterrupt
        When the user interrupts, after a step and after the state was saved.
    """
    config, clock = how.config, _Clock(state, how)
    with Interruption() as interruption:
        while not state.stop_reason:
            stage = Stage(state, how.body, config, how.prior)
            _run_stage(state, stage, how, clock, interruption)
            if not state.stop_reason:
                if fits_psf(state, config):  # a coarse shape makes it too wide rather than too narrow: the safer side
                    step_psf(state, stage.problem, config)
                    clock.stamp(state, len(state.history) - 1)
                _next_stage(state, how)
    clock.save(state)


def _run_stage(state: State, stage: Stage, how: Run, clock: _Clock, interruption: Interruption) -> None:
    config = how.config
    while True:
        if interruption.asked:
            clock.save(state)
            raise KeyboardInterrupt
        ended = _stage_end(state, stage, config)
        if ended:
            if not stage.last:
                improve_triangles(state, stage)
            undo_folding(state, stage)
            state.stop_reason = ended if stage.last else ""
            return
        rows = len(state.history)
        loss = step_shape(state, stage, config)
        clock.stamp(state, rows)
        _free_psf(state, stage, config)
        message = pause(state, stage, config) if pause_due(state, stage, config) else ""
        clock.stamp(state, rows + 1)
        try:
            _tell(state, loss, message, how)
        except KeyboardInterrupt:  # a callback was asked to end the fit as Ctrl-C does
            clock.save(state)
            raise
        except StopIteration as stop:
            undo_folding(state, stage)
            state.stop_reason = f"stopped by a callback: {stop}"
            return
        clock.maybe_save(state)


def _stage_end(state: State, stage: Stage, config: FitConfig) -> str:
    """Why the stage ends, in words; empty while it goes on."""
    count = state.count
    if count.stage_step >= stage.length if not stage.last else count.iteration >= config.iterations:
        return f"all {config.iterations} iterations done"
    if has_settled(state, config):
        steps, gain = config.patience[count.stage], config.min_gain[count.stage]
        return f"converged: {steps:g} iterations raised the log-likelihood by less than {gain:g}"
    return ""


def _next_stage(state: State, how: Run) -> None:
    count = state.count
    count.stage += 1
    count.stage_step, count.gained, count.gained_step = 0, 0.0, 0
    update_scope(state, how.body, last=count.stage == len(how.config.blurs) - 1)
    state.shape_optimiser.reset()
    state.restart_at_best()


def _free_psf(state: State, stage: Stage, config: FitConfig) -> None:
    """Let the PSF move once the shape has settled: before, it would make up for a shape that is far off."""
    count = state.count
    if count.psf_free or not fits_psf(state, config) or not stage.last:
        return
    if has_settled(state, config) or count.stage_step >= config.psf_after:
        count.psf_free = True
        count.gained, count.gained_step = 0.0, count.stage_step


def _tell(state: State, loss: float, message: str, how: Run) -> None:
    if not how.callbacks:
        return
    count = state.count
    r2 = next((row[4] for row in reversed(state.history) if row[2] == 1), None)
    progress = Progress(count.iteration, how.config.iterations, count.stage, loss, r2, message, state.mesh, state.psf)
    for callback in how.callbacks:
        callback(progress)


class _Clock:
    """Run time over interruptions, and when to save."""

    def __init__(self, state: State, how: Run) -> None:
        self._begin = time.perf_counter() - state.count.seconds
        self._save, self._every, self._last = how.save, how.config.checkpoint_seconds, time.perf_counter()

    def tick(self, state: State) -> None:
        """Note the run time so far in the state."""
        state.count.seconds = time.perf_counter() - self._begin

    def stamp(self, state: State, rows: int) -> None:
        """Note the run time so far in the state and in the rows of its history after the first `rows`."""
        self.tick(state)
        state.stamp(rows)

    def maybe_save(self, state: State) -> None:
        if time.perf_counter() - self._last >= self._every:
            self.save(state)

    def save(self, state: State) -> None:
        self.tick(state)
        if self._save is not None:
            self._save(state)
        self._last = time.perf_counter()
