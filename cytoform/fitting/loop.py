"""The loop of a fit: shape steps and PSF steps in turn, coarse to fine.

A step is a pure function of the :class:`State`, so that a fit goes on from a checkpoint as if it had never stopped.
Ref: Ichbiah et al. 2025, section 5; Nicolet, Jacobson, Jakob, ACM Trans. Graph. 40 (2021), for the shape's optimiser.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

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
from .displaced import Displaced, displaced
from .initial import typical_voxel
from .prior import Prior
from .problem import Problem, room_for
from .staining import StainingPrior, slope_of, stained
from .state import State, shape_optimiser
from .strength import PATCH, Sight, learnt_spread, learnt_stiffness

__all__ = ["REACH", "default_margin", "region_of", "run"]

SOON = 5  # steps from one pause to the next at least
EARLY = 0.35  # of all steps, at most, go to the stages before the last
FAR = 3.0  # voxels: a vertex that has gone farther since the last pause calls for the next
SETTLED = 50  # steps of the last stage, from which on the surface tells how strong the priors have to be
LEFT = 50  # steps that a surface has to have left to follow what is learnt
SETTLING = 20  # last steps, in which triangles that would do are left alone
FIRMER, EASIER = 3.0, 1.7  # so many times stiffer is a surface held that has folded, and so much less after a pause
REACH, LAST_REACH = 5.0, 3.0  # voxels: what is bright beyond may be a neighbour, before the last stage and in it


def region_of(
    body: Body,
    mesh: SurfaceMesh,
    margin: float,
    own: npt.NDArray[np.bool_],
    neighbours: npt.NDArray[np.bool_],
    halo: npt.NDArray[np.bool_],
    *,
    last: bool,
) -> npt.NDArray[np.bool_]:
    """The region of interest around a surface, and around the object that it is to become where one is known.

    Where neighbours' light reaches nothing counts, but in the last stage, where their light is modelled. Their own
    place counts as dark before, so that the surface leaves it.
    """
    region = body.region(mesh, margin, own)
    return region if last else region & (~halo | neighbours)


def default_margin(psf: PSF, volume: Volume) -> float:
    """How far the region of interest reaches out of the surface, µm: most of the PSF's reach, at least 3 voxels."""
    return max(0.6 * float(np.mean(psf.reach())), 3.0 * typical_voxel(volume.spacing))


class _Stage:
    """What stays the same during a stage or from pause to pause: derived from the state, made anew after a resume."""

    def __init__(
        self, state: State, volume: Volume, config: FitConfig, body: Body, prior: Prior | None, margin: float
    ) -> None:
        self.last = state.stage == len(config.blurs) - 1
        self.lit = self.last and bool(state.excluded.any())  # the light of neighbours is modelled, not left out
        self.volume, self.margin = volume, margin
        self.look(state, config)
        self.blur = config.blurs[state.stage]
        self.strength = config.smoothness[state.stage]
        self.length = stage_lengths(config)[state.stage]
        self.most = config.step[state.stage] * self.problem.voxel
        self.reach = max(SOON * self.most, FAR * self.problem.voxel + self.most)  # what a vertex goes between pauses
        self.patient = (1 if self._moving(state, config) else 2) * config.pause_every
        self.prior, self.body, self.config = prior, body, config
        self.prepare(state)
        self.renew(state)

    def look(self, state: State, config: FitConfig) -> None:
        """At the image, for the state's region and neighbours."""
        excluded = None if self.lit else state.excluded
        self.problem = Problem(self.volume, state.roi, state.room, config, excluded)

    def _moving(self, state: State, config: FitConfig) -> bool:
        """Whether more than the noise is held from pause to pause and learnt anew at each."""
        weighed = config.robust is not None or config.camera is not None
        return self.last and (self.lit or weighed or _psf_moves(state, config))

    def prepare(self, state: State) -> None:
        """For the connectivity of the state's mesh."""
        self.take_priors(state)
        mesh = state.mesh
        self._places = LaplacianPreconditioner(mesh.faces, mesh.n_vertices, self.strength)
        if self.staining is not None:
            self._stains = LaplacianPreconditioner(mesh.faces, mesh.n_vertices, self.staining.strength)

    def take_priors(self, state: State) -> None:
        """For the connectivity of the state's mesh, as strong as the state has them."""
        stiffness = self.config.stiffness[state.stage]
        self.stiffness = (stiffness, self.body.smoothness(state.mesh, state.stiffer)) if stiffness > 0 else None
        self.staining = staining_of(state, self.config, self.body, self.problem.voxel)

    def smooth(self, gradient: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The preconditioner of places and stain, (n_vertices, 4)."""
        stain = self._stains.solve(gradient[:, 3:]) if self.staining is not None else np.zeros((len(gradient), 1))
        return np.hstack([self._places.solve(gradient[:, :3]), stain])

    def mesh_at(self, state: State, place: npt.NDArray[np.float64]) -> SurfaceMesh:
        """The surface of a point of the optimiser, (n_vertices, 4)."""
        mesh = state.mesh.with_vertices(place[:, :3])
        return stained(mesh, place[:, 3] / state.stain_um) if self.staining is not None else mesh

    def renew(self, state: State) -> None:
        """What is held from pause to pause, as it is at the surface of the last one.

        What lies face to face, light of neighbours, and the weights of a camera and of a robust loss.
        """
        self.worn_before = self.body.worn(state.anchor, last=self.last)
        self.contact = self.body.contact(state.anchor, self.reach) if self.config.contact > 0 else None
        if self.lit:
            mesh = state.anchor.astype(self.config.dtype)
            self.problem.take_light(mesh, state.psf, self.body.sources(state.anchor, state.excluded))
        if self.last:
            reweighed(self.problem, state, self.config)

    def learn(self, state: State, sight: Sight) -> None:
        """Learn from the surface and its staining as they are how strong their priors have to be."""
        if self.stiffness is not None:
            weight, prior = self.stiffness
            gather = LaplacianPreconditioner(state.mesh.faces, state.mesh.n_vertices, PATCH)
            state.stiffer = learnt_stiffness(prior, prior.roughness(state.mesh), weight, sight, gather)
        if self.staining is not None:
            expected = self.config.staining_spread
            state.spread = learnt_spread(self.staining, state.stain, state.mesh.area, expected, sight)
        self.take_priors(state)

    def forget(self, state: State) -> None:
        """Take the priors as the settings have them, if anything was learnt."""
        if not (np.isnan(state.spread) and (state.stiffer == 1.0).all()):
            state.stiffer, state.spread = np.ones(state.mesh.n_vertices), np.nan
            self.take_priors(state)

    def noise(self, state: State) -> float:
        """What a negative logarithm of a probability is worth in units of the loss, 2 σ² / n, at the last pause.

        Noise of variance σ² in n voxels makes the image's own negative logarithm n · loss / (2 σ²). What the surface
        leaves unexplained stands for noise: as the fit gets better, the image speaks louder and the priors yield.
        """
        variance = self.problem.noise(state.anchor.astype(self.config.dtype), state.psf, self.blur)
        return 2.0 * variance / float(self.problem.roi.sum())

    def prior_at(
        self, mesh: SurfaceMesh, stain: npt.NDArray[np.float64], firmness: float
    ) -> tuple[float, npt.NDArray[np.float64]]:
        """Sum of the priors and its gradient for places and stain, (n_vertices, 4)."""
        value, slope = 0.0, np.zeros((mesh.n_vertices, 4))
        contact = (self.config.contact, self.contact) if self.contact is not None else None
        own = [(firmness * held[0], held[1]) for held in (self.stiffness, contact) if held is not None]
        for weight, prior in own + ([(1.0, self.prior)] if self.prior is not None else []):
            more, gradient = prior(mesh)
            value += weight * more
            slope[:, :3] += weight * np.asarray(gradient, dtype=np.float64)
        if self.staining is not None:
            more, slope[:, 3] = self.staining(stain)
            value += more
        return value, slope


def reweighed(problem: Problem, state: State, config: FitConfig) -> None:
    """Give residuals the weights that they have at the surface of the last pause, where any are wanted."""
    if config.robust is not None or config.camera is not None:
        problem.reweigh(state.anchor.astype(config.dtype), state.psf, config.robust, config.camera)


def staining_of(state: State, config: FitConfig, body: Body, voxel: float) -> StainingPrior | None:
    """What is known of the staining, from the settings and from the image, or None where it is held."""
    if not config.infer_staining:
        return None
    spread = config.staining_spread if np.isnan(state.spread) else state.spread
    return body.staining(state.mesh, spread, config.staining_reach * voxel)


def stage_lengths(config: FitConfig) -> list[int]:
    """Most shape steps of every stage: most of them in the last one, which also has what the others left."""
    n = len(config.blurs)
    if n == 1:
        return [config.iterations]
    early = [int(EARLY * config.iterations / (n - 1))] * (n - 1)
    return [*early, config.iterations - sum(early)]


def run(
    state: State,
    volume: Volume,
    config: FitConfig,
    *,
    body: Body,
    margin: float,
    prior: Prior | None = None,
    callbacks: Sequence[Callback] = (),
    save: Callable[[State], None] | None = None,
) -> State:
    """Go on with a fit until it ends; the state is changed in place and returned.

    `save` is called with the state now and then, and when the user interrupts.
    """
    clock = _Clock(state, save, config.checkpoint_seconds)
    with Interruption() as interruption:
        while not state.stop_reason:
            stage = _Stage(state, volume, config, body, prior, margin)
            _run_stage(state, stage, config, callbacks, clock, interruption)
            if not state.stop_reason:
                if _psf_moves(state, config):  # a coarse shape makes it too wide rather than too narrow: the safer side
                    _psf_turn(state, stage, config, clock)
                _next_stage(state, volume, body, margin, len(config.blurs))
    clock.save(state)
    return state


def _run_stage(
    state: State,
    stage: _Stage,
    config: FitConfig,
    callbacks: Sequence[Callback],
    clock: _Clock,
    interruption: Interruption,
) -> None:
    while True:
        if interruption.asked:
            clock.save(state)
            raise KeyboardInterrupt
        ended = _stage_end(state, stage, config)
        if ended:
            if not stage.last:
                _care(state, stage)
            _mend(state, stage)
            state.stop_reason = ended if stage.last else ""
            return
        loss = _shape_step(state, stage, config, clock)
        _free_psf(state, stage, config)
        message = _pause(state, stage, config, clock) if _pause_due(state, stage, config) else ""
        try:
            _tell(state, loss, message, config, callbacks)
        except StopIteration as stop:
            _mend(state, stage)
            state.stop_reason = f"stopped by a callback: {stop}"
            return
        clock.maybe_save(state)


def _pause_due(state: State, stage: _Stage, config: FitConfig) -> bool:
    """Regularly, and sooner where the surface has gone far since the last pause or its triangles have worn out."""
    if state.since_pause >= stage.patient or state.shape_optimiser.failed:
        return True
    if state.since_pause < SOON:
        return False
    gone = float(np.sqrt(((state.mesh.vertices - state.anchor.vertices) ** 2).sum(axis=1)).max())
    if gone > FAR * stage.problem.voxel:
        return True
    if stage.worn_before or _settling(state, stage, config):  # what care could not mend, it cannot mend now
        return False
    return stage.body.worn(state.mesh, last=stage.last)


def _settling(state: State, stage: _Stage, config: FitConfig) -> bool:
    """Whether the fit is about to end: triangles that would do are left alone, for a change of them takes its time."""
    return stage.last and config.iterations - state.iteration < SETTLING


def _shape_step(state: State, stage: _Stage, config: FitConfig, clock: _Clock) -> float:
    """Value and gradient at the trial, and the next one."""
    tried, stain = stage.mesh_at(state, state.trial), state.trial[:, 3] / state.stain_um
    found = stage.problem.shape_step(tried.astype(config.dtype), state.psf, stage.blur)
    if np.isnan(state.noise):
        state.noise = stage.noise(state)
    value, slope = stage.prior_at(tried, stain, state.firmness)
    slope *= state.noise
    slope[:, :3] += found.vertices
    if stage.staining is not None:
        slope[:, 3] += slope_of(tried, stain, found.density)
    slope[:, 3] /= state.stain_um
    before, value_before = state.mesh.vertices, state.shape_optimiser.value
    state.trial = state.shape_optimiser.step(
        state.trial, found.loss + state.noise * value, slope, stage.smooth, stage.most
    )
    taken = state.shape_optimiser.place
    if taken is not None and not np.array_equal(taken, state.place):
        state.mesh, state.stain = stage.mesh_at(state, taken), taken[:, 3] / state.stain_um
    moved = float(np.sqrt(((state.mesh.vertices - before) ** 2).sum(axis=1)).max())
    state.iteration += 1
    state.stage_step += 1
    state.since_pause += 1
    state.evaluations += 1
    if np.isfinite(value_before):
        _watch(state, (value_before - state.shape_optimiser.value) / state.noise, config)
    gain, background = stage.problem.raw_intensity(found.gain, found.background)
    state.history.append(
        (state.iteration, state.stage, 0, found.loss, np.nan, gain, background, moved, clock.seconds(state))
    )
    return found.loss


def _pause(state: State, stage: _Stage, config: FitConfig, clock: _Clock) -> str:
    """Now and then: look after the triangles, fit the PSF, and learn anew how noisy the image is."""
    message = "" if _settling(state, stage, config) else _care(state, stage)
    back, held = "", state.firmness
    if stage.body.sound(state.mesh):
        state.firmness = max(1.0, state.firmness / EASIER)
    else:
        back = _go_back(state, stage)
    if state.psf_free:
        _psf_turn(state, stage, config, clock)
    if not stage.last and state.others.any():  # from where the surface has come to they are told better
        _look_around(state, stage.volume, stage.body, stage.margin, last=False)
        stage.look(state, config)
    if held == 1.0 and not (back or message) and _settled(state, stage, config):
        message = _learn(state, stage)
    state.begin_anew()
    stage.renew(state)
    return back or message


def _care(state: State, stage: _Stage) -> str:
    """Go on with a better mesh of the same shape where there is one."""
    better = stage.body.care(state.mesh, last=stage.last)
    return "" if better is None else _remeshed(state, stage, better)


def _settled(state: State, stage: _Stage, config: FitConfig) -> bool:
    """Whether surface and PSF have come to where they tell how strong priors have to be, with steps to spare."""
    free = state.psf_free or not _psf_moves(state, config)
    left = config.iterations - state.iteration
    return stage.last and free and state.stage_step >= SETTLED and left >= LEFT


def _learn(state: State, stage: _Stage) -> str:
    """Learn how strong the priors have to be; before, uneven triangles are mended, as smoothness takes them as even."""
    sight = stage.problem.sight(state.mesh.astype(stage.config.dtype), state.psf)
    if sight.trust == 0.0:
        stage.forget(state)
        return ""
    if not state.evened and stage.stiffness is not None:
        state.evened = True
        state.gained, state.gained_step = 0.0, state.stage_step
        better = stage.body.care(state.mesh, last=False)
        if better is not None:
            return _remeshed(state, stage, better)
    stage.learn(state, sight)
    return ""


def _remeshed(state: State, stage: _Stage, better: SurfaceMesh) -> str:
    message = f"remeshed, {state.mesh.n_faces} to {better.n_faces} faces"
    carry = stage.body.carry(state.mesh, better)
    state.shape_optimiser = state.shape_optimiser.carried(carry)
    state.stain = carry @ state.stain
    even = (state.stiffer == 1.0).all()  # to the last digit
    state.stiffer = np.ones(better.n_vertices) if even else carry @ state.stiffer
    state.mesh = stained(better, state.stain) if stage.staining is not None else better
    stage.prepare(state)
    return message


def _mend(state: State, stage: _Stage) -> str:
    """Go back to the last pause where the surface has come to fold or to cross itself since, and hold it firmer."""
    return "" if stage.body.sound(state.mesh) else _go_back(state, stage)


def _go_back(state: State, stage: _Stage) -> str:
    """To the last pause, if the surface was sound then."""
    if not stage.body.sound(state.anchor):
        return ""
    other = not np.array_equal(state.mesh.faces, state.anchor.faces)
    state.mesh, state.stain, state.stiffer = state.anchor, state.anchor_stain, state.anchor_stiffer
    state.firmness *= FIRMER
    state.gained, state.gained_step = 0.0, min(state.gained_step, state.stage_step - state.since_pause)
    if other:
        state.shape_optimiser = shape_optimiser(state.mesh)
        stage.prepare(state)
    return "folded or crossed itself: back to the last pause, held firmer"


def _psf_moves(state: State, config: FitConfig) -> bool:
    """Whether there is anything of the PSF to fit."""
    return config.infer_psf and state.psf.parameters.size > 0


def _free_psf(state: State, stage: _Stage, config: FitConfig) -> None:
    """Let the PSF move once the shape has settled: before, it would make up for a shape that is far off."""
    if state.psf_free or not _psf_moves(state, config) or not stage.last:
        return
    if _stands_still(state, config) or state.stage_step >= config.psf_after:
        state.psf_free = True
        state.gained, state.gained_step = 0.0, state.stage_step


def _psf_turn(state: State, stage: _Stage, config: FitConfig, clock: _Clock) -> None:
    """A few evaluations of the PSF at the shape as it is, which may move as a whole where that goes with the PSF."""
    renderer, spectrum = stage.problem.psf_spectrum(state.mesh.astype(config.dtype), state.psf)
    optimiser, axial = state.psf_optimiser, config.psf_shape == "axial"
    optimiser.restart()
    tried: Any = displaced(state.psf) or state.psf
    for _ in range(config.psf_steps):
        step = stage.problem.psf_step(renderer, spectrum, tried)
        state.evaluations += 1
        slope = tried.axial(step.parameters) if axial else step.parameters
        theta = optimiser.step(tried.parameters, step.loss, slope, lambda g: g, config.psf_step)
        if optimiser.value == step.loss:
            found, best = tried, step
        if optimiser.failed:
            break
        tried = tried.with_parameters(theta)
        tried = tried.prolate() if axial else tried
    moved = 0.0
    if isinstance(found, Displaced):
        state.mesh = state.mesh.with_vertices(state.mesh.vertices + found.by)
        found, moved = found.psf, float(np.linalg.norm(found.by))
    state.psf = found
    gain, background = stage.problem.raw_intensity(best.gain, best.background)
    state.history.append(
        (state.iteration, state.stage, 1, best.loss, best.r2, gain, background, moved, clock.seconds(state))
    )


def _watch(state: State, gain: float, config: FitConfig) -> None:
    """Note when the stage last gained as much as it has to, as a logarithm of probability."""
    state.gained += gain
    if state.gained >= config.min_gain[state.stage]:
        state.gained, state.gained_step = 0.0, state.stage_step


def _stands_still(state: State, config: FitConfig) -> bool:
    last = max(state.gained_step, 1)  # what the first step finds is where the stage begins, and no gain yet
    return state.stage_step - last >= config.patience[state.stage]


def _stage_end(state: State, stage: _Stage, config: FitConfig) -> str:
    if state.stage_step >= stage.length if not stage.last else state.iteration >= config.iterations:
        return f"all {config.iterations} iterations done"
    if _stands_still(state, config):
        steps, gain = config.patience[state.stage], config.min_gain[state.stage]
        return f"converged: {steps:g} iterations raised the log-likelihood by less than {gain:g}"
    return ""


def _next_stage(state: State, volume: Volume, body: Body, margin: float, n_stages: int) -> None:
    state.stage += 1
    state.stage_step, state.gained, state.gained_step = 0, 0.0, 0
    _look_around(state, volume, body, margin, last=state.stage == n_stages - 1)
    state.shape_optimiser.reset()
    state.begin_anew()


def _look_around(state: State, volume: Volume, body: Body, margin: float, *, last: bool) -> None:
    """Tell neighbours from the surface as it is now, and what counts around it."""
    if not state.fixed_roi:
        reach = LAST_REACH if last else REACH
        state.excluded, halo = body.neighbours(state.mesh, state.others, reach, state.own)
        region = region_of(body, state.mesh, margin, state.own, state.excluded, halo, last=last)
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
