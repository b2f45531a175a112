"""All that a fit carries from one step to the next, and how a checkpoint stores it.

Each field declares how it is stored (:func:`stored`), which :mod:`.checkpoint` follows, so a new field needs no other
change. **The state is changed in place** by a step, a pause and the end of a stage. A step depends on the state, the
image and the settings, and on nothing else: other objects hold only what a resumed fit can recompute to the last bit.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .._typing import Array, Bools, Floats
from ..mesh.protocol import Mesh
from ..optics import PSF
from ..optim import LBFGS
from .constants import LBFGS_MEMORY
from .priors.staining import staining_field
from .psf_step import psf_optimiser

__all__ = ["COLUMNS", "Count", "Estimates", "PauseState", "State", "VoxelMasks", "shape_optimiser", "stored"]

COLUMNS = ("iteration", "stage", "kind", "loss", "r2", "gain", "background", "step_um", "seconds")
KINDS = ("shape", "psf")
STORAGE_KINDS = ("scalar", "array", "mask", "mesh", "psf", "optimiser", "json", "table", "group")


def stored(storage: str, **options: Any) -> Any:
    """Declare a dataclass field with its kind of storage in a checkpoint, one of STORAGE_KINDS.

    `options` are those of :func:`dataclasses.field`.
    """
    assert storage in STORAGE_KINDS
    return dataclasses.field(metadata={"stored": storage}, **options)


def shape_optimiser(n_vertices: int) -> LBFGS:
    """Make an L-BFGS optimiser for positions and staining of the vertices, (n_vertices, 4)."""
    return LBFGS((n_vertices, 4), memory=LBFGS_MEMORY)


@dataclasses.dataclass
class VoxelMasks:
    """Masks of region of interest, cell and neighbours (terms: :mod:`.neighbours`), with the rendering's padding.

    Parameters
    ----------
    region : (z, y, x) bool
        Region of interest, as found at the last pause or at the stage's start.
    cell : (z, y, x) bool
        The bright object that the start means; it stays in the region of interest.
    candidates : (z, y, x) bool
        Bright voxels beside the cell, as the search for a start found them.
    neighbours : (z, y, x) bool
        Those of them that belong to neighbours, judged from the surface at the last pause (in the last stage: its
        start).
    padding : (3,) float
        Padding of the rendering around the region, µm.
    margin : float
        Distance that the region extends outside of the surface, µm.
    fixed : bool
        Whether the region was given by the user and does not follow the surface.
    """

    region: Bools = stored("mask")
    cell: Bools = stored("mask")
    candidates: Bools = stored("mask")
    neighbours: Bools = stored("mask")
    padding: tuple[float, float, float] = stored("json")
    margin: float = stored("scalar")
    fixed: bool = stored("scalar", default=False)


@dataclasses.dataclass
class PauseState:
    """The surface at the last pause, to go back to, and from which all that stays fixed until the next one is derived.

    Parameters
    ----------
    mesh : Mesh
        The surface.
    stain : (n_vertices,) float64
        Field of its staining.
    smoothness_factors : (n_vertices,) float64
        Its `Estimates.smoothness_factors`.
    """

    mesh: Mesh = stored("mesh")
    stain: Floats = stored("array")
    smoothness_factors: Floats = stored("array")


@dataclasses.dataclass
class Estimates:
    """Estimates of noise and prior strengths from the image.

    Parameters
    ----------
    smoothness_factors : (n_vertices,) float64
        Factor on every vertex's part of the smoothness energy; 1 until it is estimated.
    prior_weight : float
        Weight of the priors in units of the loss, 2 σ² / n for noise of variance σ² in n voxels; NaN if it is to be
        computed at the present surface.
    staining_spread : float
        Standard deviation of the staining's field; NaN for the expected one of the settings.
    folding_factor : float
        Factor on the weights of smoothness and contact: it grows when the surface folds, and falls at pauses without
        folds.
    """

    smoothness_factors: Floats = stored("array")
    prior_weight: float = stored("scalar", default=float("nan"))
    staining_spread: float = stored("scalar", default=float("nan"))
    folding_factor: float = stored("scalar", default=1.0)


@dataclasses.dataclass
class Count:
    """Counts of a fit's progress.

    Parameters
    ----------
    iteration : int
        Shape steps done.
    evaluations : int
        Evaluations of the loss with its gradient, of shape and PSF.
    stage : int
        Present stage, from 0.
    stage_step : int
        Shape steps done in it.
    since_pause : int
        Shape steps since the last pause.
    gained : float
        Gain of the stage since its step `gained_step`, as a natural logarithm of probability.
    gained_step : int
        Step of the stage at which the gain last reached ``config.min_gain``.
    psf_free : bool
        Whether the PSF is fitted at pauses by now: once the shape has settled in the last stage.
    seconds : float
        Run time so far, s, over all interruptions.
    """

    iteration: int = stored("scalar", default=0)
    evaluations: int = stored("scalar", default=0)
    stage: int = stored("scalar", default=0)
    stage_step: int = stored("scalar", default=0)
    since_pause: int = stored("scalar", default=0)
    gained: float = stored("scalar", default=0.0)
    gained_step: int = stored("scalar", default=0)
    psf_free: bool = stored("scalar", default=False)
    seconds: float = stored("scalar", default=0.0)

    def count_shape_step(self) -> None:
        """Add one to the counts of iterations, steps of the stage, steps since the last pause, and evaluations."""
        self.iteration += 1
        self.stage_step += 1
        self.since_pause += 1
        self.evaluations += 1


@dataclasses.dataclass
class State:
    """The state of a fit, changed in place by its steps.

    Parameters
    ----------
    mesh : Mesh
        Best surface so far, µm.
    stain : (n_vertices,) float64
        Field of its staining (:func:`cytoform.fitting.priors.staining.apply_staining`).
    psf : PSF
        Best PSF so far.
    start : Mesh
        The start that was given or found, before it was aligned to its cell.
    masks : VoxelMasks
        Region of interest and neighbours.
    last_pause : PauseState
        The surface at the last pause.
    estimates : Estimates
        Noise and prior strengths.
    trial : (n_vertices, 4) float64
        Point at which the shape is evaluated next: positions in µm, and staining times `staining_scale_um`.
    shape_optimiser, psf_optimiser : LBFGS
        Optimisers of the shape and of the PSF.
    edge : float
        Mean length of the mesh's edges to keep, µm.
    staining_scale_um : float
        Move of a vertex that changes the image about as much as a unit of `stain` does, µm.
    transform : "exact", "nufft" or ""
        Transform that renders meshes near the present one; empty if it is to be chosen at the next pause.
    device : "cpu" or "cuda"
        Where the fit runs; on another device the transform is chosen anew.
    count : Count
        Counts of its progress.
    history : list of tuple of float
        Rows with the values of COLUMNS; kind is 0 for a shape step and 1 for a PSF step.
    stop_reason : str
        Why the fit ended; empty while it runs.
    remarks : tuple of str
        Warnings about the start and the inputs, a sentence each.
    inputs : dict
        Inputs of the fit, as plain values.
    error_ratio : dict
        Standard errors of "volume", "area", "surface" and "psf" that know of misfit, over those of noise alone, at the
        first Newton step; empty before.
    remaining : dict
        Changes of "volume", "area", "surface" and "psf" that are left, in standard errors, as the Newton step of the
        last pause predicts; empty if it had none.
    """

    mesh: Mesh = stored("mesh")
    stain: Floats = stored("array")
    psf: PSF = stored("psf")
    start: Mesh = stored("mesh")
    masks: VoxelMasks = stored("group")
    last_pause: PauseState = stored("group")
    estimates: Estimates = stored("group")
    trial: Floats = stored("array")
    shape_optimiser: LBFGS = stored("optimiser")
    psf_optimiser: LBFGS = stored("optimiser")
    edge: float = stored("scalar")
    staining_scale_um: float = stored("scalar")
    transform: str = stored("scalar", default="")
    device: str = stored("scalar", default="")
    count: Count = stored("group", default_factory=Count)
    history: list[tuple[float, ...]] = stored("table", default_factory=list)
    stop_reason: str = stored("scalar", default="")
    remarks: tuple[str, ...] = stored("json", default=())
    inputs: dict[str, Any] = stored("json", default_factory=dict)
    error_ratio: dict[str, float] = stored("json", default_factory=dict)
    remaining: dict[str, float] = stored("json", default_factory=dict)

    @classmethod
    def from_mesh(
        cls,
        mesh: Mesh,
        psf: PSF,
        masks: VoxelMasks,
        *,
        edge: float,
        staining_scale_um: float,
        pattern: Floats | None = None,
    ) -> State:
        """Make the state of a fit that begins at a mesh.

        Parameters
        ----------
        mesh : Mesh
            Start, µm.
        psf : PSF
            Start of the PSF.
        masks : VoxelMasks
            Region of interest and neighbours.
        edge : float
            Mean length of the mesh's edges to keep, µm.
        staining_scale_um : float
            Move of a vertex that changes the image about as much as a unit of staining does, µm.
        pattern : (n_faces,) float, optional
            Density of an evenly stained mesh; 1 everywhere by default.
        """
        stain, ones = staining_field(mesh, pattern), np.ones(mesh.n_vertices)
        state = cls(
            mesh=mesh, stain=stain, psf=psf, start=mesh, masks=masks, last_pause=PauseState(mesh, stain, ones),
            estimates=Estimates(ones), trial=np.zeros((mesh.n_vertices, 4)),
            shape_optimiser=shape_optimiser(mesh.n_vertices),
            psf_optimiser=psf_optimiser(psf), edge=edge, staining_scale_um=staining_scale_um,
        )  # fmt: skip
        state.trial = state.best_point
        return state

    @property
    def best_point(self) -> Floats:
        """Best surface so far as a point of the optimiser, (n_vertices, 4).

        The first three columns are positions in µm, the fourth is the staining times `staining_scale_um`.
        """
        return np.column_stack([self.mesh.vertices, self.staining_scale_um * self.stain])

    def start_from(self, mesh: Mesh, pattern: Floats | None = None) -> None:
        """Replace the mesh, with a new optimiser, before the first step; `start` stays.

        `pattern` is the density of an evenly stained mesh, (n_faces,); 1 by default.
        """
        self.mesh, self.stain, self.estimates.smoothness_factors = (
            mesh,
            staining_field(mesh, pattern),
            np.ones(mesh.n_vertices),
        )
        self.shape_optimiser = shape_optimiser(mesh.n_vertices)
        self.restart_at_best()

    def restart_at_best(self) -> None:
        """Set trial point and last pause to the best surface, as the objective changes there; clears ``prior_weight``.

        L-BFGS forgets the values of the objective and keeps what it knows of its curvature.
        """
        self.shape_optimiser.restart()
        self.trial, self.estimates.prior_weight = self.best_point, float("nan")
        self.last_pause = PauseState(self.mesh, self.stain, self.estimates.smoothness_factors)
        self.count.since_pause = 0

    def stamp_history(self, first_row: int) -> None:
        """Set the run time in the history's rows from number `first_row` on to ``count.seconds``."""
        self.history[first_row:] = [(*row[:-1], self.count.seconds) for row in self.history[first_row:]]

    def append_history(self, kind: str, loss: float, r2: float, gain: float, background: float, moved: float) -> None:
        """Append a row to the history.

        Parameters
        ----------
        kind : "shape" or "psf"
            Kind of step.
        loss : float
            Loss of the image.
        r2 : float
            R² in the region of interest; NaN for a shape step.
        gain, background : float
            In the image's intensities.
        moved : float
            Longest move of a vertex, µm.
        """
        count = self.count
        row = (count.iteration, count.stage, KINDS.index(kind), loss, r2, gain, background, moved, count.seconds)
        self.history.append(row)

    def columns(self) -> dict[str, Array]:
        """Return the history as arrays by column, (n_rows,) each; `kind` is "shape" or "psf"."""
        table = np.array(self.history, dtype=np.float64).reshape(-1, len(COLUMNS))
        columns: dict[str, Array] = {name: table[:, i] for i, name in enumerate(COLUMNS)}
        for name in ("iteration", "stage"):
            columns[name] = columns[name].astype(np.int64)
        columns["kind"] = np.array(KINDS)[columns["kind"].astype(int)]
        return columns
