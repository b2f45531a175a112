"""All that a fit carries from one step to the next, and how a checkpoint stores it.

Each field says how it is stored (:func:`stored`); :mod:`.checkpoint` follows that, so that a new field needs no other
place. **The state is changed in place**: a step, a pause and the end of a stage replace its fields. What a step reads
is here, in the image or in the settings, and nowhere else: nothing is remembered in other objects that a resumed fit
could not work out anew, to the last bit.
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

__all__ = ["COLUMNS", "Count", "Estimates", "PauseState", "Scope", "State", "shape_optimiser", "stored"]

COLUMNS = ("iteration", "stage", "kind", "loss", "r2", "gain", "background", "step_um", "seconds")
KINDS = ("shape", "psf")
STORAGE_KINDS = ("scalar", "array", "mask", "mesh", "psf", "optimiser", "json", "table", "group")


def stored(how: str, **options: Any) -> Any:
    """Declare a field and how a checkpoint stores it, one of STORAGE_KINDS; options of :func:`dataclasses.field`."""
    assert how in STORAGE_KINDS
    return dataclasses.field(metadata={"stored": how}, **options)


def shape_optimiser(n_vertices: int) -> LBFGS:
    """Make an optimiser of the places and the staining of vertices."""
    return LBFGS((n_vertices, 4), memory=LBFGS_MEMORY)


@dataclasses.dataclass
class Scope:
    """Which voxels count, and which belong to neighbours (words: :mod:`.neighbours`).

    Attributes
    ----------
    region : (z, y, x) bool
        Region of interest, of the last pause or the stage's begin.
    cell : (z, y, x) bool
        The bright object that a start means; it stays in the region of interest.
    candidates : (z, y, x) bool
        What is bright beside the cell, as the search for a start found it.
    neighbours : (z, y, x) bool
        What of it belongs to neighbours, seen from the surface at the last pause (last stage: its begin).
    padding : (3,) float
        Room that the rendering has around the region, µm.
    margin : float
        How far the region reaches out of the surface, µm.
    fixed : bool
        The region was given by the user: it is not moved with the surface.
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
    """The surface at the last pause: to go back to, and what is held until the next one is taken from.

    Attributes
    ----------
    mesh : Mesh
    stain : (n_vertices,) float64
        Its staining.
    stiffness : (n_vertices,) float64
        Its `Estimates.stiffness`.
    """

    mesh: Mesh = stored("mesh")
    stain: Floats = stored("array")
    smoothness_factors: Floats = stored("array")


@dataclasses.dataclass
class Estimates:
    """What the image has told about noise and priors.

    Attributes
    ----------
    noise : float
        What priors are weighed by until the next pause; NaN where it is to be worked out at the surface as it is.
    stiffness : (n_vertices,) float64
        What the smoothness energy of every vertex is multiplied by.
    spread : float
        Standard deviation of the staining's field; NaN for what the settings expect.
    evened : bool
        Whether the triangles were made even before the smoothness factors are estimated.
    prior_factor : float
        What smoothness and contact are multiplied by: it grows when the surface folds, and falls with sound pauses.
    """

    smoothness_factors: Floats = stored("array")
    noise: float = stored("scalar", default=float("nan"))
    staining_spread: float = stored("scalar", default=float("nan"))
    edges_evened: bool = stored("scalar", default=False)
    prior_factor: float = stored("scalar", default=1.0)


@dataclasses.dataclass
class Count:
    """How far a fit has come.

    Attributes
    ----------
    iteration : int
        Shape steps done.
    evaluations : int
        Values with their gradients computed so far, of the shape and of the PSF.
    stage, stage_step : int
        Present stage, and steps done in it.
    since_pause : int
        Steps since the last pause.
    gained : float
        What the stage has gained since its step `gained_step`, as a natural logarithm of probability.
    gained_step : int
    psf_free : bool
        Whether the PSF is fitted by now: after the shape has settled in the last stage.
    seconds : float
        Run time so far, over all interruptions.
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

    def shape_done(self) -> None:
        """Count a shape step."""
        self.iteration += 1
        self.stage_step += 1
        self.since_pause += 1
        self.evaluations += 1


@dataclasses.dataclass
class State:
    """The state of a fit, changed in place by its steps.

    Attributes
    ----------
    mesh : Mesh
        The best so far.
    stain : (n_vertices,) float64
        Its staining: the field at the vertices (:func:`cytoform.fitting.priors.staining.apply_staining`).
    psf : PSF
    start : Mesh
        The start that was given or found, before it was moved onto its cell.
    scope : Scope
    last_pause : PauseState
    learnt : Estimates
    trial : (n_vertices, 4) float64
        Where the shape is evaluated next: places, and staining times `staining_scale_um`.
    shape_optimiser, psf_optimiser : LBFGS
    edge : float
        Mean length of the mesh's edges, µm.
    staining_scale_um : float
        How far a vertex has to move to change the image about as much as a unit of `stain` does, µm.
    transform : str
        The transform that renders surfaces near the present one, "exact" or "nufft", where the settings leave it open;
        empty where it is to be chosen at the next pause.
    device : str
        Where it runs, "cpu" or "cuda"; on another one the transform is chosen anew.
    count : Count
    history : list of rows
        Values in the order of COLUMNS; kind is 0 for a shape step and 1 for a PSF step.
    stop_reason : str
        Empty while the fit runs.
    remarks : tuple of str
        What the start assumed or left out, a sentence each.
    inputs : dict
        What the fit was given, as plain values.
    """

    mesh: Mesh = stored("mesh")
    stain: Floats = stored("array")
    psf: PSF = stored("psf")
    start: Mesh = stored("mesh")
    scope: Scope = stored("group")
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

    @classmethod
    def at(
        cls, mesh: Mesh, psf: PSF, scope: Scope, *, edge: float, staining_scale_um: float, pattern: Floats | None = None
    ) -> State:
        """Make the state of a fit that begins at a mesh; `pattern` is the density of an evenly stained one."""
        stain, ones = staining_field(mesh, pattern), np.ones(mesh.n_vertices)
        state = cls(
            mesh=mesh, stain=stain, psf=psf, start=mesh, scope=scope, last_pause=PauseState(mesh, stain, ones),
            estimates=Estimates(ones), trial=np.zeros((mesh.n_vertices, 4)),
            shape_optimiser=shape_optimiser(mesh.n_vertices),
            psf_optimiser=psf_optimiser(psf), edge=edge, staining_scale_um=staining_scale_um,
        )  # fmt: skip
        state.trial = state.point
        return state

    @property
    def point(self) -> Floats:
        """The best so far as the optimiser sees it, (n_vertices, 4)."""
        return np.column_stack([self.mesh.vertices, self.staining_scale_um * self.stain])

    def start_from(self, mesh: Mesh, pattern: Floats | None = None) -> None:
        """Begin from another mesh than `start`, which stays what it was."""
        self.mesh, self.stain, self.estimates.smoothness_factors = (
            mesh,
            staining_field(mesh, pattern),
            np.ones(mesh.n_vertices),
        )
        self.shape_optimiser = shape_optimiser(mesh.n_vertices)
        self.restart_at_best()

    def restart_at_best(self) -> None:
        """Go on from the best surface, what is minimised changed by a little; what is known of its curvature stays."""
        self.shape_optimiser.restart()
        self.trial, self.estimates.noise = self.point, float("nan")
        self.last_pause = PauseState(self.mesh, self.stain, self.estimates.smoothness_factors)
        self.count.since_pause = 0

    def stamp(self, rows: int) -> None:
        """Give the rows of the history after the first `rows` the run time as it is now."""
        self.history[rows:] = [(*row[:-1], self.count.seconds) for row in self.history[rows:]]

    def note(self, kind: str, loss: float, r2: float, gain: float, background: float, moved: float) -> None:
        """Add a row to the history; `moved` is the longest move of a vertex, µm."""
        at = self.count
        row = (at.iteration, at.stage, KINDS.index(kind), loss, r2, gain, background, moved, at.seconds)
        self.history.append(row)

    def columns(self) -> dict[str, Array]:
        """Return the history as one array a column; `kind` in words."""
        table = np.array(self.history, dtype=np.float64).reshape(-1, len(COLUMNS))
        columns: dict[str, Array] = {name: table[:, i] for i, name in enumerate(COLUMNS)}
        for name in ("iteration", "stage"):
            columns[name] = columns[name].astype(np.int64)
        columns["kind"] = np.array(KINDS)[columns["kind"].astype(int)]
        return columns
