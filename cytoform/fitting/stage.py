"""One stage of a fit: what is held while it runs, derived from the state and made anew after a resume."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import Floats
from ..mesh.protocol import Mesh
from ..optics import PSF
from ..optim import LaplacianPreconditioner
from .bodies import Body
from .config import FitConfig
from .constants import EARLY_STAGES_SHARE, LEAST_STEPS_BETWEEN_PAUSES, PAUSE_DISTANCE
from .noise import noise_variance
from .priors.field import StainingPrior
from .priors.smoothness import Prior, Smoothness
from .priors.staining import apply_staining
from .problem import Problem
from .psf_step import fits_psf
from .state import State
from .values import ImageFit

__all__ = ["Stage", "smoothness_prior", "stage_lengths", "staining_prior", "update_scope"]


def stage_lengths(config: FitConfig) -> list[int]:
    """Return the most shape steps of every stage: most of them in the last one, which also has what the others left."""
    n = len(config.blurs)
    if n == 1:
        return [config.iterations]
    early = [int(EARLY_STAGES_SHARE * config.iterations / (n - 1))] * (n - 1)
    return [*early, config.iterations - sum(early)]


def staining_prior(state: State, config: FitConfig, body: Body[Any]) -> StainingPrior | None:
    """Make the prior of the staining, as the settings and the image have it; None where the staining is held."""
    if not config.infer_staining:
        return None
    spread = config.staining_spread if np.isnan(state.estimates.staining_spread) else state.estimates.staining_spread
    return body.staining(state.mesh, body.edge, spread, config.staining_correlation_length * body.scene.voxel)


def smoothness_prior(
    state: State, config: FitConfig, body: Body[Any], number: int | None = None
) -> tuple[float, Smoothness] | None:
    """Make the prior of smoothness with its weight in a stage; None where the weight is 0.

    `number` is the stage's, the present one's by default. What a folded surface adds to the weight is not in it.
    """
    weight = config.smoothness_weight[state.count.stage if number is None else number]
    return (weight, body.smoothness(state.mesh, body.edge, state.estimates.smoothness_factors)) if weight > 0 else None


def update_scope(state: State, body: Body[Any], *, last: bool) -> None:
    """Judge from the surface as it is now what belongs to neighbours, and which voxels count around it."""
    scope = state.scope
    if not scope.fixed:
        scope.neighbours = body.neighbours(state.mesh, scope.candidates, scope.cell, last=last)
        region = body.region(state.mesh, scope.margin, scope.cell, scope.neighbours, last=last)
        scope.region = region if region.any() else scope.region
    scope.padding = body.padding(state.mesh, state.psf, scope.region)
    state.transform = ""


class Stage:
    """What stays the same during a stage, or from pause to pause, or while the triangles stay.

    Parameters
    ----------
    state : State
    body : Body
    config : FitConfig
    prior : Prior, optional
        The user's own.
    """

    def __init__(self, state: State, body: Body[Any], config: FitConfig, prior: Prior | None = None) -> None:
        number, voxel = state.count.stage, body.scene.voxel
        self.body, self.config, self.prior = body, config, prior
        self.last = number == len(config.blurs) - 1
        self.models_neighbour_light = self.last and bool(
            state.scope.neighbours.any()
        )  # the light of neighbours is modelled, not left out
        self.blur, self.length = config.blurs[number], stage_lengths(config)[number]
        self.max_step = config.step[number] * voxel
        self.move_limit = max(
            LEAST_STEPS_BETWEEN_PAUSES * self.max_step, PAUSE_DISTANCE * voxel + self.max_step
        )  # what a vertex goes between pauses
        weighed = config.robust is not None or config.camera is not None
        renewed = self.last and (
            self.models_neighbour_light or weighed or fits_psf(state, config)
        )  # more than the noise, at each pause
        self.pause_interval = (1 if renewed else 2) * config.pause_every
        self.problem = self._problem(state)
        self.set_connectivity(state)
        self.freeze(state)

    # -- made anew when something changes ------------------------------------------------------------------------------

    def _problem(self, state: State) -> Problem:
        scope = state.scope
        neighbours = None if self.models_neighbour_light else scope.neighbours
        return Problem(self.body.scene.volume, scope.region, scope.padding, self.config, neighbours)

    def update_scope(self, state: State) -> None:
        """Judge anew what belongs to neighbours and which voxels count (:func:`update_scope`)."""
        update_scope(state, self.body, last=self.last)
        self.problem = self._problem(state)

    def set_connectivity(self, state: State) -> None:
        """Take up the connectivity of the state's mesh: priors and preconditioners."""
        self.set_priors(state)
        mesh = state.mesh
        self._position_preconditioner = LaplacianPreconditioner(
            mesh.faces, mesh.n_vertices, self.config.preconditioning[state.count.stage]
        )
        if self.staining is not None:
            self._staining_preconditioner = LaplacianPreconditioner(mesh.faces, mesh.n_vertices, self.staining.strength)

    def set_priors(self, state: State) -> None:
        """Take up the priors as strong as the state has them, for the connectivity of its mesh."""
        self.staining = staining_prior(state, self.config, self.body)
        self.smoothness = smoothness_prior(state, self.config, self.body)

    def freeze(self, state: State) -> None:
        """Hold until the next pause what is as it is at the surface of this one, the state's last_pause.

        What lies face to face, the choice of the transform, light of neighbours, the weights of a camera and of a
        robust loss, and the noise.
        """
        last_pause, config, edge = state.last_pause.mesh, self.config, self.body.edge
        self._needed_remeshing: bool | None = None
        reach = 1.5 * edge + 2.0 * self.move_limit  # two vertices may come that much nearer along their normals
        self.contact = self.body.contact(last_pause, edge, reach) if config.contact_weight > 0 else None
        emission_mask = (
            self.body.emission_mask(last_pause, state.scope.neighbours) if self.models_neighbour_light else None
        )
        mesh = last_pause.astype(config.dtype)
        frozen = self.problem.freeze(
            mesh, state.psf, self.blur, transform=state.transform, emission_mask=emission_mask,
            weigh_at=mesh if self.last else None,
        )  # fmt: skip
        state.transform = frozen.transform
        if np.isnan(state.estimates.noise):
            state.estimates.noise = self._noise(frozen.image_fit, state.psf)
        self.body.forget_distances()

    def needed_remeshing(self, state: State) -> bool:
        """Tell whether the triangles were worn at the last pause already; worked out when it is asked for."""
        if self._needed_remeshing is None:
            self._needed_remeshing = self.body.needs_remeshing(state.last_pause.mesh, last=self.last)
        return self._needed_remeshing

    # -- at each step --------------------------------------------------------------------------------------------------

    def mesh_at(self, state: State, place: Floats) -> Mesh:
        """Return the surface of a point of the optimiser, (n_vertices, 4)."""
        mesh = state.mesh.with_vertices(place[:, :3])
        if self.staining is None:
            return mesh
        return apply_staining(mesh, place[:, 3] / state.staining_scale_um, self.body.pattern(mesh))

    def precondition(self, gradient: Floats) -> Floats:
        """Apply the preconditioner of places and staining, (n_vertices, 4)."""
        stain = (
            self._staining_preconditioner.solve(gradient[:, 3:])
            if self.staining is not None
            else np.zeros((len(gradient), 1))
        )
        return np.hstack([self._position_preconditioner.solve(gradient[:, :3]), stain])

    def _noise(self, found: ImageFit, psf: PSF) -> float:
        """What a negative logarithm of a probability is worth in units of the loss, 2 σ² / n, at the last pause.

        Noise of variance σ² in n voxels makes the image's own negative logarithm n · loss / (2 σ²). What the surface
        leaves unexplained stands for noise: as the fit gets better, the image speaks louder and the priors yield.
        """
        return 2.0 * noise_variance(self.problem, found, psf, self.blur) / float(self.problem.region.sum())

    def prior_at(self, mesh: Mesh, stain: Floats, prior_factor: float) -> tuple[float, Floats]:
        """Sum the priors and their gradients for places and staining, (n_vertices, 4)."""
        value, slope = 0.0, np.zeros((mesh.n_vertices, 4))
        contact = (self.config.contact_weight, self.contact) if self.contact is not None else None
        own = [(prior_factor * held[0], held[1]) for held in (self.smoothness, contact) if held is not None]
        for weight, prior in own + ([(1.0, self.prior)] if self.prior is not None else []):
            more, gradient = prior(mesh)
            value += weight * more
            slope[:, :3] += weight * np.asarray(gradient, dtype=np.float64)
        if self.staining is not None:
            more, slope[:, 3] = self.staining(stain)
            value += more
        return value, slope
