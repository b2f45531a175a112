"""One stage of a fit: what stays fixed while it runs, derived from the state, so that a resumed fit recomputes it."""

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
from .evaluations import ImageFit
from .noise import noise_variance
from .priors.field import StainingPrior
from .priors.smoothness import Prior, Smoothness
from .priors.staining import apply_staining
from .problem import Problem
from .state import State

__all__ = ["Stage", "smoothness_prior", "stage_lengths", "staining_prior", "update_masks"]


def stage_lengths(config: FitConfig) -> list[int]:
    """Return the most shape steps of every stage.

    All stages but the last share EARLY_STAGES_SHARE of the iterations equally; the last has the rest, and may use what
    the others leave.
    """
    n = len(config.blurs)
    if n == 1:
        return [config.iterations]
    early = [int(EARLY_STAGES_SHARE * config.iterations / (n - 1))] * (n - 1)
    return [*early, config.iterations - sum(early)]


def staining_prior(state: State, config: FitConfig, body: Body[Any]) -> StainingPrior | None:
    """Make the prior of the staining: how unevenly the dye covers the surface, fitted as a density at every vertex.

    It is a random field on the present mesh. Its standard deviation is the one that was estimated from the image
    (``state.estimates.staining_spread``), or ``config.staining_spread`` while none is (NaN). Its correlation length is
    ``config.staining_correlation_length`` voxels. None if ``config.fits_staining`` is False.
    """
    if not config.fits_staining:
        return None
    spread = config.staining_spread if np.isnan(state.estimates.staining_spread) else state.estimates.staining_spread
    return body.staining(state.mesh, body.edge, spread, config.staining_correlation_length * body.scene.voxel)


def smoothness_prior(
    state: State, config: FitConfig, body: Body[Any], number: int | None = None
) -> tuple[float, Smoothness] | None:
    """Return the regularisation weight of a stage and the smoothness energy; None if the weight is 0.

    `number` is the stage's index, the present one by default. ``Estimates.folding_factor`` is not included in the
    weight.
    """
    weight = config.smoothness_weight[state.count.stage if number is None else number]
    return (weight, body.smoothness(state.mesh, body.edge, state.estimates.smoothness_factors)) if weight > 0 else None


def update_masks(state: State, body: Body[Any], *, last: bool) -> None:
    """Find neighbours, region of interest and the rendering's padding from the present surface; changes the state.

    A region that the user gave stays, with its neighbours; the old region stays if the new one would be empty. The
    choice of the transform is cleared. `last` tells whether the masks are for the last stage, in which neighbours'
    light is modelled.
    """
    masks = state.masks
    if not masks.fixed:
        masks.neighbours = body.neighbours(state.mesh, masks.candidates, masks.cell, last=last)
        region = body.region(state.mesh, masks.margin, masks.cell, masks.neighbours, last=last)
        masks.region = region if region.any() else masks.region
    masks.padding = body.padding(state.mesh, state.psf, masks.region)
    state.transform = ""


class Stage:
    """What stays fixed during a stage, between two pauses, or while the connectivity of the mesh stays.

    Parameters
    ----------
    state : State
        The fit's state; its ``count.stage`` is the stage.
    body : Body
        The kind of mesh, in its image.
    config : FitConfig
        Settings of the fit.
    prior : Prior, optional
        The user's further prior on the surface.
    """

    def __init__(self, state: State, body: Body[Any], config: FitConfig, prior: Prior | None = None) -> None:
        number, voxel = state.count.stage, body.scene.voxel
        self.body, self.config, self.prior = body, config, prior
        self.last = number == len(config.blurs) - 1
        self.models_neighbour_light = self.last and bool(state.masks.neighbours.any())
        self.blur, self.length = config.blurs[number], stage_lengths(config)[number]
        self.max_step = config.step[number] * voxel
        self.move_limit = max(
            LEAST_STEPS_BETWEEN_PAUSES * self.max_step, PAUSE_DISTANCE * voxel + self.max_step
        )  # of a vertex between pauses, µm
        self.pause_interval = (1 if self.last else 2) * config.pause_every
        self.newton_failed = False  # set by the first Newton step for which the image says too little
        self.problem = self._new_problem(state)
        self.set_connectivity(state)
        self.update_at_pause(state)

    # -- recomputed when something changes -----------------------------------------------------------------------------

    def _new_problem(self, state: State) -> Problem:
        """Make the image's objective on the state's region of interest.

        Neighbours are replaced by the dark level before the image is blurred, unless their light is modelled.
        """
        masks = state.masks
        neighbours = None if self.models_neighbour_light else masks.neighbours
        return Problem(self.body.scene.volume, masks.region, masks.padding, self.config, neighbours)

    def update_masks(self, state: State) -> None:
        """Find neighbours and region of interest from the present surface, and make the objective anew with them."""
        update_masks(state, self.body, last=self.last)
        self.problem = self._new_problem(state)

    def set_connectivity(self, state: State) -> None:
        """Make priors and preconditioners anew for the connectivity of the state's mesh."""
        self.set_priors(state)
        mesh = state.mesh
        self.modes: Floats | None = None  # smoothest modes of the mesh, once a Newton step needs them
        self._position_preconditioner = LaplacianPreconditioner(
            mesh.faces, mesh.n_vertices, self.config.preconditioning[state.count.stage]
        )
        if self.staining is not None:
            self._staining_preconditioner = LaplacianPreconditioner(mesh.faces, mesh.n_vertices, self.staining.strength)

    def set_priors(self, state: State) -> None:
        """Make staining and smoothness prior anew with the strengths and the connectivity of the state."""
        self.staining = staining_prior(state, self.config, self.body)
        self.smoothness = smoothness_prior(state, self.config, self.body)

    def update_at_pause(self, state: State) -> None:
        """Compute at the surface of the last pause, ``state.last_pause``, what stays fixed until the next one.

        It is the pairs of facing vertices, the transform, neighbours' light, weights of a camera or a robust loss, and,
        if it is NaN, ``state.estimates.prior_weight``.
        """
        last_pause, config, edge = state.last_pause.mesh, self.config, self.body.edge
        self._needed_remeshing: bool | None = None
        facing_distance = 1.5 * edge + 2.0 * self.move_limit  # two vertices may come that much nearer until the next
        self.contact = self.body.contact(last_pause, edge, facing_distance) if config.contact_weight > 0 else None
        emission_mask = (
            self.body.emission_mask(last_pause, state.masks.neighbours) if self.models_neighbour_light else None
        )
        mesh = last_pause.astype(config.dtype)
        evaluation = self.problem.update_at_pause(
            mesh, state.psf, self.blur, transform=state.transform, emission_mask=emission_mask,
            reweight_at=mesh if self.last else None,
        )  # fmt: skip
        state.transform = evaluation.transform
        if np.isnan(state.estimates.prior_weight):
            state.estimates.prior_weight = self._prior_weight(evaluation.image_fit, state.psf)
        self.body.forget_distances()

    def needed_remeshing(self, state: State) -> bool:
        """Tell whether the triangles were poor at the last pause already; computed at the first call."""
        if self._needed_remeshing is None:
            self._needed_remeshing = self.body.needs_remeshing(state.last_pause.mesh, last=self.last)
        return self._needed_remeshing

    # -- at each step --------------------------------------------------------------------------------------------------

    def mesh_at(self, state: State, point: Floats) -> Mesh:
        """Return the mesh at a point of the optimiser, (n_vertices, 4).

        The first three columns are positions in µm, the fourth is the staining times ``state.staining_scale_um``.
        """
        mesh = state.mesh.with_vertices(point[:, :3])
        if self.staining is None:
            return mesh
        return apply_staining(mesh, point[:, 3] / state.staining_scale_um, self.body.pattern(mesh))

    def precondition(self, gradient: Floats) -> Floats:
        """Apply the preconditioners (1 + λL)^-2 of positions and staining to a gradient, (n_vertices, 4).

        The staining's part becomes 0 if the staining is not fitted.
        """
        stain = (
            self._staining_preconditioner.solve(gradient[:, 3:])
            if self.staining is not None
            else np.zeros((len(gradient), 1))
        )
        return np.hstack([self._position_preconditioner.solve(gradient[:, :3]), stain])

    def _prior_weight(self, image_fit: ImageFit, psf: PSF) -> float:
        """Return the weight of a negative log probability in units of the loss, 2 σ² / n, from the residuals.

        With noise of variance σ² in n voxels the image's own negative log probability is n · loss / (2 σ²). The
        residuals of `image_fit` on the optics' band stand for noise: as the fit improves, the image counts for more and
        the priors for less.
        """
        return 2.0 * noise_variance(self.problem, image_fit, psf, self.blur) / float(self.problem.region.sum())

    def prior_at(self, mesh: Mesh, stain: Floats, folding_factor: float) -> tuple[float, Floats]:
        """Return the sum of all priors, a negative log probability, and its gradient, (n_vertices, 4).

        Parameters
        ----------
        mesh : Mesh
            The surface.
        stain : (n_vertices,) float
            Field of its staining.
        folding_factor : float
            Factor on the weights of smoothness and contact.
        """
        value, slope = 0.0, np.zeros((mesh.n_vertices, 4))
        contact = (self.config.contact_weight, self.contact) if self.contact is not None else None
        priors = [(folding_factor * pair[0], pair[1]) for pair in (self.smoothness, contact) if pair is not None]
        for weight, prior in priors + ([(1.0, self.prior)] if self.prior is not None else []):
            energy, gradient = prior(mesh)
            value += weight * energy
            slope[:, :3] += weight * np.asarray(gradient, dtype=np.float64)
        if self.staining is not None:
            energy, slope[:, 3] = self.staining(stain)
            value += energy
        return value, slope
