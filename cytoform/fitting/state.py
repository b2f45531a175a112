"""All that a fit carries from one step to the next, in a form that a checkpoint holds without loss."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ..mesh.surface import SurfaceMesh
from ..optics import PSF
from ..optim import LBFGS

__all__ = ["COLUMNS", "State", "shape_optimiser"]

COLUMNS = ("iteration", "stage", "kind", "loss", "r2", "gain", "background", "step_um", "seconds")
KINDS = ("shape", "psf")
MEMORY = 30  # pairs that L-BFGS keeps for the shape


def shape_optimiser(mesh: SurfaceMesh) -> LBFGS:
    """A new optimiser of the places and the stain of a mesh's vertices."""
    return LBFGS((mesh.n_vertices, 4), memory=MEMORY)


@dataclasses.dataclass
class State:
    """The state of a fit; everything that a step reads is here or in the problem and the settings.

    Attributes
    ----------
    mesh : SurfaceMesh
        The best so far.
    start : SurfaceMesh
        The start that was given or found, before it was moved onto its cell.
    psf : PSF
    roi : (z, y, x) bool
        Region of interest, of the last pause or the stage's begin.
    own : (z, y, x) bool
        The bright object that a given start means; it stays in the region of interest.
    others : (z, y, x) bool
        What is bright beside the cell, as the search for a start found it.
    excluded : (z, y, x) bool
        What is bright and belongs to neighbours, seen from the surface at the last pause (last stage: its begin).
    room : (3,) float
        Room that the rendering has around the region, µm.
    fixed_roi : bool
        Given by the user: not moved with the surface.
    shape_optimiser, psf_optimiser
    stain : (n_vertices,) float64
        The staining's field at the vertices (:func:`cytoform.fitting.staining.stained`).
    stain_um : float
        How far a vertex has to move to change the image about as much as a unit of `stain` does, µm.
    trial : (n_vertices, 4) float64
        Where the shape is evaluated next: places, and `stain` times `stain_um`.
    stiffer : (n_vertices,) float64
        What the smoothness energy of every vertex is multiplied by, as the image has told.
    spread : float
        Standard deviation of the staining's field as the image has told; NaN for what the settings expect.
    evened : bool
        Whether the triangles were made even before that was learnt.
    anchor, anchor_stain, anchor_stiffer
        The surface, its staining and what its smoothness counts for at the last pause.
    firmness : float
        What stiffness and contact are multiplied by: it grows when the surface folds, and falls back with sound pauses.
    iteration : int
        Shape steps done.
    evaluations : int
        Values with their gradients computed so far, of the shape and of the PSF.
    stage, stage_step : int
        Present stage, and steps done in it.
    psf_free : bool
        Whether the PSF is fitted by now: after the shape has settled in the last stage.
    since_pause : int
        Steps since the last pause.
    gained : float
        What the stage has gained since its step `gained_step`, as a natural logarithm of probability.
    noise : float
        What priors are weighed by until the next pause; NaN where the next evaluation is to tell.
    history : list of rows
        Values in the order of COLUMNS; kind is 0 for a shape step and 1 for a PSF step.
    seconds : float
        Run time so far, over all interruptions.
    stop_reason : str
        Empty while the fit runs.
    remarks : tuple of str
        What the start assumed or left out, a sentence each.
    inputs : dict
        What the fit was given, as plain values.
    """

    mesh: SurfaceMesh
    start: SurfaceMesh
    psf: PSF
    roi: npt.NDArray[np.bool_]
    own: npt.NDArray[np.bool_]
    others: npt.NDArray[np.bool_]
    excluded: npt.NDArray[np.bool_]
    room: tuple[float, float, float]
    fixed_roi: bool
    shape_optimiser: LBFGS
    psf_optimiser: LBFGS
    stain: npt.NDArray[np.float64]
    stain_um: float
    anchor: SurfaceMesh
    anchor_stain: npt.NDArray[np.float64] = None  # type: ignore[assignment]
    stiffer: npt.NDArray[np.float64] = None  # type: ignore[assignment]
    anchor_stiffer: npt.NDArray[np.float64] = None  # type: ignore[assignment]
    spread: float = np.nan
    evened: bool = False
    firmness: float = 1.0
    trial: npt.NDArray[np.float64] = None  # type: ignore[assignment]
    iteration: int = 0
    evaluations: int = 0
    stage: int = 0
    stage_step: int = 0
    psf_free: bool = False
    gained: float = 0.0
    gained_step: int = 0
    since_pause: int = 0
    noise: float = np.nan
    history: list[tuple[float, ...]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    stop_reason: str = ""
    remarks: tuple[str, ...] = ()
    inputs: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.trial is None:
            self.trial, self.anchor_stain = self.place, self.stain
            self.stiffer = self.anchor_stiffer = np.ones(self.mesh.n_vertices)

    @property
    def place(self) -> npt.NDArray[np.float64]:
        """The best so far as the optimiser sees it, (n_vertices, 4)."""
        return np.column_stack([self.mesh.vertices, self.stain_um * self.stain])

    def begin_anew(self) -> None:
        """Go on from the best surface, what is minimised changed by a little; what is known of its curvature stays."""
        self.shape_optimiser.restart()
        self.trial, self.anchor, self.noise = self.place, self.mesh, np.nan
        self.anchor_stain, self.anchor_stiffer = self.stain, self.stiffer
        self.since_pause = 0

    def columns(self) -> dict[str, npt.NDArray]:
        """The history as one array a column; `kind` in words."""
        table = np.array(self.history, dtype=np.float64).reshape(-1, len(COLUMNS))
        columns: dict[str, npt.NDArray] = {name: table[:, i] for i, name in enumerate(COLUMNS)}
        for name in ("iteration", "stage"):
            columns[name] = columns[name].astype(np.int64)
        columns["kind"] = np.array(KINDS)[columns["kind"].astype(int)]
        return columns
