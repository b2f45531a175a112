"""The loop of a fit: shape steps and PSF steps in turn, coarse to fine.

A step is a pure function of the :class:`State`, so that a fit goes on from a checkpoint as if it had never stopped.
Ref: Ichbiah et al. 2025, section 5; Nicolet, Jacobson, Jakob, ACM Trans. Graph. 40 (2021), for the shape's optimiser.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ..image.volume import Volume
from ..interruption import Interruption
from ..mesh.surface import SurfaceMesh
from ..optics import PSF
from ..optim import LaplacianPreconditioner
from .body import Body
from .callbacks import Callback, Progress
from .config import FitConfig
from .initial import typical_voxel
from .problem import Problem, room_for
from .state import State

__all__ = ["default_margin", "region_of", "run"]

SMOOTHING = 0.8  # of the loss that the patience watches
FINAL_STEP = 0.1  # part of the step's length left at the end of a stage


def region_of(
    body: Body,
    mesh: SurfaceMesh,
    margin: float,
    neighbours: npt.NDArray[np.bool_],
    halo: npt.NDArray[np.bool_],
    *,
    last: bool,
) -> npt.NDArray[np.bool_]:
    """The region of interest around a surface.

    Where neighbours' light reaches nothing counts. Their own place counts as dark in all stages but the last, so that
    the surface leaves it.
    """
    region = body.region(mesh, margin)
    return region & ~halo if last else region & (~halo | neighbours)


def default_margin(psf: PSF, volume: Volume) -> float:
    """How far the region of interest reaches out of the surface, µm: most of the PSF's reach, at least 3 voxels."""
    return max(0.6 * float(np.mean(psf.reach())), 3.0 * typical_voxel(volume.spacing))


class _Stage:
    """What stays the same during a stage: derived from the state, made anew after a resume."""

    def __init__(self, state: State, volume: Volume, config: FitConfig) -> None:
        self.problem = Problem(volume, state.roi, state.room, config, state.excluded)
        self.blur = config.blurs[state.stage]
        self.strength = config.smoothness[state.stage]
        self.length = stage_lengths(config)[state.stage]
        self.robust = config.robust if state.stage == len(config.blurs) - 1 else None
        self.precondition(state)

    def precondition(self, state: State) -> None:
        self.preconditioner = LaplacianPreconditioner(state.mesh.faces, state.mesh.n_vertices, self.strength)


def stage_lengths(config: FitConfig) -> list[int]:
    """Shape steps of every stage: half of them in the last one, the rest shared evenly."""
    n = len(config.blurs)
    if n == 1:
        return [config.iterations]
    early = [config.iterations // (2 * (n - 1))] * (n - 1)
    return [*early, config.iterations - sum(early)]


def run(
    state: State,
    volume: Volume,
    config: FitConfig,
    *,
    body: Body,
    margin: float,
    callbacks: Sequence[Callback] = (),
    save: Callable[[State], None] | None = None,
) -> State:
    """Go on with a fit until it ends; the state is changed in place and returned.

    `save` is called with the state now and then, and when the user interrupts.
    """
    clock = _Clock(state, save, config.checkpoint_seconds)
    with Interruption() as interruption:
        while not state.stop_reason:
            stage = _Stage(state, volume, config)
            _run_stage(state, stage, body, config, callbacks, clock, interruption)
            if not state.stop_reason:
                _next_stage(state, volume, body, margin, len(config.blurs))
    clock.save(state)
    return state


def _run_stage(
    state: State,
    stage: _Stage,
    body: Body,
    config: FitConfig,
    callbacks: Sequence[Callback],
    clock: _Clock,
    interruption: Interruption,
) -> None:
    while True:
        if interruption.asked:
            clock.save(state)
            raise KeyboardInterrupt
        _free_psf(state, config)
        ended = _stage_end(state, stage, config)
        if ended:
            last = state.stage == len(config.blurs) - 1
            state.stop_reason = ended if last else ""
            return
        loss = _shape_step(state, stage, config, clock)
        message = _care(state, stage, body, config)
        if _psf_turn(state, config):
            _psf_steps(state, stage, config, clock)
        _watch(state, loss, config)
        try:
            _tell(state, loss, message, config, callbacks)
        except StopIteration as stop:
            state.stop_reason = f"stopped by a callback: {stop}"
            return
        clock.maybe_save(state)


def _shape_step(state: State, stage: _Stage, config: FitConfig, clock: _Clock) -> float:
    step = stage.problem.shape_step(state.mesh.astype(config.dtype), state.psf, stage.blur, robust=stage.robust)
    smooth = stage.preconditioner.solve(step.vertices)
    fade = FINAL_STEP ** (state.stage_step / max(1, stage.length - 1))
    length = config.step * stage.problem.voxel * fade
    before = state.mesh.vertices
    state.mesh = state.mesh.with_vertices(state.shape_optimiser.step(before, smooth, length))
    moved = float(np.sqrt(((state.mesh.vertices - before) ** 2).sum(axis=1)).max())
    state.iteration += 1
    state.stage_step += 1
    gain, background = stage.problem.raw_intensity(step.gain, step.background)
    state.history.append(
        (state.iteration, state.stage, 0, step.loss, np.nan, gain, background, moved, clock.seconds(state))
    )
    return step.loss


def _care(state: State, stage: _Stage, body: Body, config: FitConfig) -> str:
    """Look after the triangles now and then."""
    if not config.remesh_every or state.stage_step % config.remesh_every:
        return ""
    better = body.care(state.mesh)
    if better is None:
        return ""
    before, state.mesh = state.mesh.n_faces, better
    state.shape_optimiser = state.shape_optimiser.resized(state.mesh.n_vertices)
    stage.precondition(state)
    return f"remeshed, {before} to {state.mesh.n_faces} faces"


def _free_psf(state: State, config: FitConfig) -> None:
    """Let the PSF move once the shape has settled: before, it would make up for a shape that is far off."""
    if state.psf_free or not config.infer_psf or state.stage < len(config.blurs) - 1:
        return
    settled = state.stage_step - state.best_step >= config.patience
    if settled or state.stage_step >= config.psf_after:
        state.psf_free = True
        state.best, state.best_step = np.inf, state.stage_step


def _psf_turn(state: State, config: FitConfig) -> bool:
    return state.psf_free and state.stage_step % config.psf_every == 0


def _psf_steps(state: State, stage: _Stage, config: FitConfig, clock: _Clock) -> None:
    renderer, spectrum = stage.problem.psf_spectrum(state.mesh.astype(config.dtype), state.psf)
    for _ in range(config.psf_steps):
        step = stage.problem.psf_step(renderer, spectrum, state.psf)
        slope = state.psf.axial(step.parameters) if config.psf_shape == "axial" else step.parameters
        theta = state.psf_optimiser.step(state.psf.parameters, slope, config.psf_rate)
        state.psf = state.psf.with_parameters(theta)
        state.psf = state.psf.prolate() if config.psf_shape == "axial" else state.psf
    gain, background = stage.problem.raw_intensity(step.gain, step.background)
    state.history.append(
        (state.iteration, state.stage, 1, step.loss, step.r2, gain, background, 0.0, clock.seconds(state))
    )


def _watch(state: State, loss: float, config: FitConfig) -> None:
    old = state.smoothed
    state.smoothed = loss if np.isnan(old) else SMOOTHING * old + (1.0 - SMOOTHING) * loss
    if state.smoothed < state.best * (1.0 - config.min_change):
        state.best, state.best_step = state.smoothed, state.stage_step


def _stage_end(state: State, stage: _Stage, config: FitConfig) -> str:
    if state.stage_step >= stage.length:
        return f"all {config.iterations} iterations done"
    if state.stage_step - state.best_step >= config.patience:
        return (
            f"converged: the loss changed by less than {100 * config.min_change:g} % over {config.patience} iterations"
        )
    return ""


def _next_stage(state: State, volume: Volume, body: Body, margin: float, n_stages: int) -> None:
    state.stage += 1
    state.stage_step, state.best, state.best_step, state.smoothed = 0, np.inf, 0, np.nan
    state.shape_optimiser.reset()
    if not state.fixed_roi:
        last = state.stage == n_stages - 1
        region = region_of(body, state.mesh, margin, state.excluded, state.halo, last=last)
        state.roi = region if region.any() else state.roi
    state.room = room_for(state.mesh, state.psf, state.roi, volume)


def _tell(state: State, loss: float, message: str, config: FitConfig, callbacks: Sequence[Callback]) -> None:
    if not callbacks:
        return
    r2 = next((row[4] for row in reversed(state.history) if row[2] == 1), None)
    progress = Progress(state.iteration, config.iterations, state.stage, loss, r2, message, state.mesh, state.psf)
    for callback in callbacks:
        callback(progress)


class _Clock:
    """Run time over interruptions, and when to save."""

    def __init__(self, state: State, save: Callable[[State], None] | None, every: float) -> None:
        self._begin = time.perf_counter() - state.seconds
        self._save, self._every, self._last = save, every, time.perf_counter()

    def seconds(self, state: State) -> float:
        state.seconds = time.perf_counter() - self._begin
        return state.seconds

    def maybe_save(self, state: State) -> None:
        if time.perf_counter() - self._last >= self._every:
            self.save(state)

    def save(self, state: State) -> None:
        self.seconds(state)
        if self._save is not None:
            self._save(state)
        self._last = time.perf_counter()
