"""Pauses of a fit: triangles are looked after, the PSF is fitted, neighbours are judged and strengths learnt anew."""

from __future__ import annotations

import numpy as np

from ..mesh.protocol import Mesh
from ..optim import LaplacianPreconditioner
from .config import FitConfig
from .noise import sight_of
from .priors.staining import stained
from .priors.strength import PATCH, Sight, learnt_spread, learnt_stiffness
from .psf_step import psf_moves, step_psf
from .stage import FAR, SOON, Stage
from .state import State, shape_optimiser

__all__ = ["care", "mend", "pause", "pause_due"]

SETTLED = 50  # steps of the last stage, from which on the surface tells how strong the priors have to be
LEFT = 50  # steps that a surface has to have left to follow what is learnt
SETTLING = 20  # last steps, in which triangles that would do are left alone
FIRMER, EASIER = 3.0, 1.7  # so many times stiffer is a surface held that has folded, and so much less after a pause


def pause_due(state: State, stage: Stage, config: FitConfig) -> bool:
    """Tell whether a pause is due.

    Regularly, and sooner where the surface has gone far since the last one or its triangles have worn out.
    """
    since = state.count.since_pause
    if since >= stage.patient or state.shape_optimiser.failed:
        return True
    if since < SOON:
        return False
    gone = float(np.sqrt(((state.mesh.vertices - state.anchor.mesh.vertices) ** 2).sum(axis=1)).max())
    if gone > FAR * stage.problem.voxel:
        return True
    if _settling(state, stage, config) or stage.worn_before(state):  # what care could not mend, it cannot mend now
        return False
    return stage.body.worn(state.mesh, last=stage.last)


def pause(state: State, stage: Stage, config: FitConfig) -> str:
    """Look after the triangles, fit the PSF, judge neighbours and learn strengths; return a word for the user."""
    message = "" if _settling(state, stage, config) else care(state, stage)
    back, held = "", state.learnt.firmness
    if stage.body.sound(state.mesh):
        state.learnt.firmness = max(1.0, held / EASIER)
    else:
        back = _go_back(state, stage)
    if state.count.psf_free:
        step_psf(state, stage.problem, config)
    if not stage.last and state.scope.candidates.any():  # from where the surface has come to they are judged better
        stage.look_around(state)
    if held == 1.0 and not (back or message) and _settled(state, stage, config):
        message = _learn(state, stage, config)
    state.begin_anew()
    stage.hold(state)
    return back or message


def care(state: State, stage: Stage) -> str:
    """Go on with a better mesh of the same shape where there is one."""
    better = stage.body.care(state.mesh, last=stage.last)
    return "" if better is None else _remeshed(state, stage, better)


def mend(state: State, stage: Stage) -> str:
    """Go back to the last pause where the surface has come to fold or to cross itself since, and hold it firmer."""
    return "" if stage.body.sound(state.mesh) else _go_back(state, stage)


def _settling(state: State, stage: Stage, config: FitConfig) -> bool:
    """Whether the fit is about to end: triangles that would do are left alone, for a change of them takes its time."""
    return stage.last and config.iterations - state.count.iteration < SETTLING


def _settled(state: State, stage: Stage, config: FitConfig) -> bool:
    """Whether surface and PSF have come to where they tell how strong priors have to be, with steps to spare."""
    free = state.count.psf_free or not psf_moves(state, config)
    left = config.iterations - state.count.iteration
    return stage.last and free and state.count.stage_step >= SETTLED and left >= LEFT


def _remeshed(state: State, stage: Stage, better: Mesh) -> str:
    message = f"remeshed, {state.mesh.n_faces} to {better.n_faces} faces"
    state.transform = state.transform if better.n_faces == state.mesh.n_faces else ""
    carry, learnt = stage.body.carry(state.mesh, better), state.learnt
    state.shape_optimiser = state.shape_optimiser.carried(carry)
    state.stain = carry @ state.stain
    even = (learnt.stiffness == 1.0).all()  # to the last digit
    learnt.stiffness = np.ones(better.n_vertices) if even else carry @ learnt.stiffness
    state.mesh = better
    if stage.staining is not None:
        state.mesh = stained(better, state.stain, stage.body.pattern(better))
    stage.take_mesh(state)
    return message


def _go_back(state: State, stage: Stage) -> str:
    """To the last pause, if the surface was sound then."""
    anchor, count = state.anchor, state.count
    if not stage.body.sound(anchor.mesh):
        return ""
    other = not np.array_equal(state.mesh.faces, anchor.mesh.faces)
    state.mesh, state.stain, state.learnt.stiffness = anchor.mesh, anchor.stain, anchor.stiffness
    state.learnt.firmness *= FIRMER
    count.gained, count.gained_step = 0.0, min(count.gained_step, count.stage_step - count.since_pause)
    if other:
        state.transform = ""
        state.shape_optimiser = shape_optimiser(state.mesh.n_vertices)
        stage.take_mesh(state)
    return "folded or crossed itself: back to the last pause, held firmer"


def _learn(state: State, stage: Stage, config: FitConfig) -> str:
    """Learn how strong the priors have to be; before, uneven triangles are mended, as smoothness takes them as even."""
    learnt, count = state.learnt, state.count
    sight = sight_of(stage.problem, state.mesh.astype(config.dtype), state.psf)
    if sight.trust == 0.0:
        if not (np.isnan(learnt.spread) and (learnt.stiffness == 1.0).all()):  # forget what was learnt
            learnt.stiffness, learnt.spread = np.ones(state.mesh.n_vertices), np.nan
            stage.take_priors(state)
        return ""
    if not learnt.evened and stage.stiffness is not None:
        learnt.evened = True
        count.gained, count.gained_step = 0.0, count.stage_step
        better = stage.body.care(state.mesh, last=False)
        if better is not None:
            return _remeshed(state, stage, better)
    _learn_strengths(state, stage, sight, config)
    return ""


def _learn_strengths(state: State, stage: Stage, sight: Sight, config: FitConfig) -> None:
    """Learn from the surface and its staining as they are how strong their priors have to be."""
    mesh, learnt = state.mesh, state.learnt
    if stage.stiffness is not None:
        weight, prior = stage.stiffness
        gather = LaplacianPreconditioner(mesh.faces, mesh.n_vertices, PATCH)
        learnt.stiffness = learnt_stiffness(prior, prior.roughness(mesh), weight, sight, gather)
    if stage.staining is not None:
        learnt.spread = learnt_spread(stage.staining, state.stain, mesh.area, config.staining_spread, sight)
    stage.take_priors(state)
