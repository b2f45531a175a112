"""All that a fit carries from one step to the next, in a form that a checkpoint holds without loss."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ..mesh.surface import SurfaceMesh
from ..optics import PSF
from ..optim import Adam, AdamUniform

__all__ = ["COLUMNS", "State"]

COLUMNS = ("iteration", "stage", "kind", "loss", "r2", "gain", "background", "step_um", "seconds")
KINDS = ("shape", "psf")


@dataclasses.dataclass
class State:
    """The state of a fit; everything that a step reads is here or in the problem and the settings.

    Attributes
    ----------
    mesh : SurfaceMesh
    start : SurfaceMesh
        Where the fit began.
    psf : PSF
    roi : (z, y, x) bool
        Region of interest of the present stage.
    excluded : (z, y, x) bool
        Bright neighbours.
    halo : (z, y, x) bool
        Where neighbours' light reaches.
    room : (3,) float
        Room that the present stage's rendering has around the region, µm.
    fixed_roi : bool
        Given by the user: not moved with the surface.
    shape_optimiser, psf_optimiser
    iteration : int
        Shape steps done.
    stage, stage_step : int
        Present stage, and steps done in it.
    psf_free : bool
        Whether the PSF is fitted by now: after the shape has settled in the last stage.
    best : float
        Smallest smoothed loss of the stage; `best_step` is when it was met.
    smoothed : float
    history : list of rows
        Values in the order of COLUMNS; kind is 0 for a shape step and 1 for a PSF step.
    seconds : float
        Run time so far, over all interruptions.
    stop_reason : str
        Empty while the fit runs.
    """

    mesh: SurfaceMesh
    start: SurfaceMesh
    psf: PSF
    roi: npt.NDArray[np.bool_]
    excluded: npt.NDArray[np.bool_]
    halo: npt.NDArray[np.bool_]
    room: tuple[float, float, float]
    fixed_roi: bool
    shape_optimiser: AdamUniform
    psf_optimiser: Adam
    iteration: int = 0
    stage: int = 0
    stage_step: int = 0
    psf_free: bool = False
    best: float = np.inf
    best_step: int = 0
    smoothed: float = np.nan
    history: list[tuple[float, ...]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    stop_reason: str = ""

    def columns(self) -> dict[str, npt.NDArray]:
        """The history as one array a column; `kind` in words."""
        table = np.array(self.history, dtype=np.float64).reshape(-1, len(COLUMNS))
        columns: dict[str, npt.NDArray] = {name: table[:, i] for i, name in enumerate(COLUMNS)}
        for name in ("iteration", "stage"):
            columns[name] = columns[name].astype(np.int64)
        columns["kind"] = np.array(KINDS)[columns["kind"].astype(int)]
        return columns
