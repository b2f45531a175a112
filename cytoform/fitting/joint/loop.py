"""The loop of a joint fit: rounds of steps of all bodies; between them optics, textures and triangles are updated."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._typing import Array
from ...errors import FitError
from ...image.volume import Grid
from ...optics import PSF
from ...optim import LBFGS
from ..config import FitConfig
from ..constants import PSF_CUTOFF
from ..scene import typical_voxel
from .model import JointLoss, JointModel
from .movers import Mover
from .texture import Texture, estimate_texture
from .unknowns import Unknowns
from .view import View, view_of

__all__ = ["JointFit", "Round"]

SLACK = 2.0
"""Voxels that a body may move, or its PSF widen, between two rounds without leaving its box."""
LEAST_GAIN = 0.002
"""Of the misfit: a round that lowers it by less ends the fit."""
SETTLED = 0.95
"""Of the misfit of the round before: surfaces whose misfit falls less than to this have settled."""
LEAST_RELATIVE_GAIN = 0.3
"""Of the mean brightness, in the preconditioner: the steps of dim bodies are enlarged by at most its inverse square."""
MEMORY = 20
"""Pairs of steps and gradient changes that L-BFGS keeps."""


@dataclasses.dataclass(frozen=True)
class Round:
    """What one round of steps did: steps so far, loss and R², for the history."""

    steps: int
    loss: float
    r2: float


class JointFit:
    """Bodies, optics and textures of one image while they are fitted.

    Parameters
    ----------
    observed : (z, y, x) float
        The image, in the working precision.
    weights : (z, y, x) float
        Weight of each voxel; 0 outside of the region of interest.
    grid : Grid
        Grid of the image.
    bodies : sequence of bodies
        Start, in float64.
    psf : PSF
        Start of the PSF.
    config : FitConfig
        Settings; of those with one value a stage the last is used.
    moves : sequence of bool
        Whether each body's vertices move.
    textured : bool
        Whether the brightness inside filled bodies may be uneven.
    """

    def __init__(
        self, observed: Array, weights: Array, grid: Grid, bodies: Sequence[Any], psf: PSF, config: FitConfig,
        moves: Sequence[bool], *, textured: bool,
    ) -> None:  # fmt: skip
        self.observed, self.weights, self.grid, self.config, self.psf = observed, weights, grid, config, psf
        self.voxel = typical_voxel(grid.spacing)
        edge = 2.0 * self.voxel if config.edge is None else config.edge
        self.movers = [
            Mover(body, edge, config.preconditioning[-1], config.smoothness_weight[-1], moves=moved)
            for body, moved in zip(bodies, moves)
        ]
        self.bodies = [mover.tidied(body, first=True) for mover, body in zip(self.movers, bodies)]
        self.fits_psf = config.infer_psf and psf.parameters.size > 0
        self.axial = config.psf_shape == "axial"
        self.textured = textured
        self.texture: Texture | None = None
        self.steps = 0
        self.history: list[Round] = []
        self.stop_reason = ""
        self.settled = all(mover.fine or not mover.moves for mover in self.movers)

    # -- what is looked at between rounds ------------------------------------------------------------------------------

    def model(self, cutoff: float | None = None) -> JointModel:
        """Return the model for the present bodies and optics, without the light of the textures in the image."""
        light = 0.0 if self.texture is None else self.texture.light
        return JointModel((self.observed - light).astype(self.observed.dtype), self.weights, self._views(cutoff))

    def _views(self, cutoff: float | None) -> list[View]:
        """Make the boxes of all bodies; raise FitError for one that lies outside of the image."""
        config = self.config
        views = []
        for number, body in enumerate(self.bodies):
            view = view_of(
                np.asarray(body.vertices), self.psf, self.grid, SLACK * self.voxel,
                cutoff=config.cutoff if cutoff is None else cutoff, backend=config.backend, device=config.device,
                tolerance=config.tolerance, deterministic=config.deterministic,
            )  # fmt: skip
            if view is None:
                raise FitError(
                    f"body {number + 1} lies outside of the image.",
                    remedy="Leave it out, or check that positions are in µm, (z, y, x), as the image's.",
                )
            views.append(view)
        return views

    def working(self, bodies: Sequence[Any] | None = None) -> list[Any]:
        """Return bodies (the present ones by default) in the working precision."""
        return [body.astype(self.config.dtype) for body in (self.bodies if bodies is None else bodies)]

    def step_psf(self) -> None:
        """Fit the PSF's parameters with the bodies held, by a few L-BFGS evaluations."""
        config, psf, axial = self.config, self.psf, self.axial
        model = self.model(PSF_CUTOFF)
        spectra = model.spectra(self.working())
        optimiser, tried = LBFGS(psf.parameters.shape), psf
        for _ in range(2 * config.psf_steps):
            value, slope = model.psf_loss(spectra, tried)
            moved = optimiser.step(
                tried.parameters, value, tried.axial(slope) if axial else slope, lambda g: g, config.psf_step
            )
            if optimiser.value == value:
                self.psf = tried
            if optimiser.failed:
                break
            tried = tried.with_parameters(moved)
            tried = tried.prolate() if axial else tried

    # -- rounds --------------------------------------------------------------------------------------------------------

    def run(self) -> JointLoss:
        """Run rounds until one gains little or the iterations are used up; return the loss of the last one."""
        config = self.config
        before = np.inf
        while True:
            if len(self.history) == 1 and self.fits_psf:
                self.step_psf()
            if self.history and self.textured:
                spread = None if self.texture is None else self.texture.spread
                self.texture = estimate_texture(self.model(), self.working(), self.observed, spread)
            found = self.round(min(config.pause_every, config.iterations - self.steps))
            self.history.append(Round(self.steps, found.value, self.r2_of(found)))
            if self.settled and len(self.history) > 2 and found.value > (1.0 - LEAST_GAIN) * before:
                self.stop_reason = f"converged: the last round lowered the misfit by less than {LEAST_GAIN:.1%}"
            elif self.steps >= config.iterations:
                self.stop_reason = f"all {config.iterations} iterations done"
            if self.stop_reason:
                return self.model().loss(self.working(), gradients=False)
            self.settled = self.settled or found.value > SETTLED * before
            before = found.value
            self.bodies = [mover.tidied(body) for mover, body in zip(self.movers, self.bodies)]

    def r2_of(self, found: JointLoss) -> float:
        """Return 1 - Σ w (model - image)² / Σ w (image - mean)², with the textures in the model."""
        total = float(self.weights.sum(dtype=np.float64))
        mean = float((self.weights * self.observed).sum(dtype=np.float64)) / total
        spread = float((self.weights * (self.observed - mean) ** 2).sum(dtype=np.float64)) / total
        return 1.0 - found.value / max(spread, 1e-300)

    def round(self, n_steps: int) -> JointLoss:
        """Move all bodies, and the PSF with them, by some steps of one optimiser; return the loss at the best point."""
        model, config = self.model(), self.config
        first = model.loss(self.working(), gradients=False)
        prior_weight = 2.0 * first.value / max(float((self.weights > 0).sum()), 1.0)
        unknowns = Unknowns(self.bodies, self.psf, free_psf=self.fits_psf and bool(self.history), axial=self.axial)
        optimiser, scales = LBFGS(unknowns.start.shape, memory=MEMORY), self._scales(first)
        point, best = unknowns.start, first

        def precondition(slope: Array) -> Array:
            """Apply each body's preconditioner and the scale of its brightness, and the scale of the PSF."""
            parts = [m.precondition(g) * s for m, g, s in zip(self.movers, unknowns.of_bodies(slope), scales)]
            return unknowns.joined(parts, unknowns.of_psf(slope) / unknowns.n_vertices)

        for _ in range(n_steps):
            bodies = [body.with_vertices(own) for body, own in zip(self.bodies, unknowns.of_bodies(point))]
            found = model.loss(self.working(bodies), psf=unknowns.psf_at(point))
            value, slopes = found.value, []
            for mover, body, gradient in zip(self.movers, bodies, found.gradients):
                energy, slope = mover.energy(body)
                value += prior_weight * energy
                slope = prior_weight * slope + gradient.vertices
                slopes.append(slope if self._moves(mover) else np.zeros_like(slope))
            point = optimiser.step(
                point, value, unknowns.joined(slopes, unknowns.psf_slope(found.psf)), precondition,
                config.step[-1] * self.voxel,
            )  # fmt: skip
            self.steps += 1
            if optimiser.value == value:
                best = found
            if optimiser.failed:
                break
        assert optimiser.point is not None
        self.bodies = [body.with_vertices(own) for body, own in zip(self.bodies, unknowns.of_bodies(optimiser.point))]
        self.psf = unknowns.psf_at(optimiser.point) or self.psf
        self.psf = self.psf.prolate() if self.axial and self.fits_psf else self.psf
        return dataclasses.replace(best, gradients=[])

    def _moves(self, mover: Mover) -> bool:
        """Tell whether a body moves in this round: points and filaments only once the surfaces have settled."""
        return mover.moves and (self.settled or not mover.fine)

    @staticmethod
    def _scales(found: JointLoss) -> list[float]:
        """Return the factor on each body's steps: a body half as bright has a quarter of the curvature."""
        sizes = np.array([float(np.max(found.brightness.gains[list(own)])) for own in found.parts])
        typical = max(float(sizes.mean()), 1e-30)
        return [float(1.0 / max(size / typical, LEAST_RELATIVE_GAIN) ** 2) for size in sizes]
