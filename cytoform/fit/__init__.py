"""Fitting a surface and the optics to an image."""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import ArpackError

from ..atomic import ensure_folder
from ..errors import FitError, Interrupted, VolumeError
from ..image.volume import Volume
from ..masks import mesh_to_mask
from ..mesh import topology
from ..mesh.remesh import needs_remesh, remesh
from ..mesh.surface import SurfaceMesh
from ..optics import PSF
from . import checkpoint, initial, loop, placing
from .body import SurfaceBody
from .callbacks import Callback, Film, Progress
from .config import FitConfig
from .displaced import psf_optimiser
from .prior import Prior
from .problem import Problem, check_roi, room_for
from .result import FitResult, load_result
from .staining import stain_of
from .state import State, shape_optimiser
from .uncertainty import Uncertainty, uncertainty_of

__all__ = ["Callback", "Film", "FitConfig", "FitResult", "Prior", "Progress", "Uncertainty", "fit", "load_result"]

_LOG = logging.getLogger(__name__)
CHECKPOINT = "checkpoint.h5"
STAIN = 2.0  # voxels, about the σ of a usual PSF: moving a membrane that far is like staining it e times as much
SAME = 0.5  # two masks that share more than this part of the smaller one are of the same object
LEAST_FACES, MOST_FACES = 20, 500_000


def fit(
    volume: Volume,
    mesh: SurfaceMesh | None = None,
    psf: PSF | None = None,
    config: FitConfig | None = None,
    *,
    roi: npt.ArrayLike | None = None,
    prior: Prior | None = None,
    callbacks: Sequence[Callback] = (),
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> FitResult:
    """Move a surface and a point spread function until their rendering matches an image.

    Parameters
    ----------
    volume : Volume
        Fluorescence image of a stained membrane.
    mesh : SurfaceMesh, optional
        Closed start surface, µm, (z, y, x). Found in the image by default, as ``config.init`` says.
    psf : PSF, optional
        Start of the PSF; guessed from the voxel size by default.
    config : FitConfig, optional
    roi : (z, y, x) array, optional
        Voxels that count (not zero); around the surface and off its bright neighbours by default.
    prior : callable, optional
        What you know of the surface (pass it again with `resume`): takes a mesh, gives the negative logarithm of its
        probability and the gradient for its vertices, (n_vertices, 3) per µm (:class:`Prior`).
    callbacks : sequence of callable
        Called with a :class:`Progress` after every shape step.
    out : path, optional
        Folder in which a checkpoint is kept while the fit runs.
    resume : bool
        Go on from the checkpoint in `out`.

    Returns
    -------
    FitResult

    Raises
    ------
    VolumeError, MeshError, FitError, ConfigError
        For an image, mesh, region or setting that cannot be used.
    Interrupted
        On Ctrl-C, after the state was saved.
    """
    config = FitConfig() if config is None else config
    path = None if out is None else ensure_folder(out) / CHECKPOINT
    if np.min(volume.data) == np.max(volume.data):
        raise VolumeError(
            f"every voxel of the image is {np.min(volume.data):g}; expected an image with a stained cell.",
            remedy="Is it the right channel or time point?",
        )
    mark = "" if path is None else checkpoint.fingerprint(volume)
    given = _given(mesh, psf, roi, prior)
    if resume:
        if path is None:
            raise FitError("resume=True needs the folder with the checkpoint.", remedy="Pass out=.")
        state, edge, margin = checkpoint.load_checkpoint(path, mark, config, given)
    else:
        state, edge, margin = _begin(volume, mesh, psf, config, roi)

    def save(now: State) -> None:
        checkpoint.save_checkpoint(path, now, mark, config, edge=edge, margin=margin, given=given)  # type: ignore[arg-type]

    body, keep = SurfaceBody(volume, edge), None if path is None else save
    if keep is not None and not resume:
        keep(state)  # whatever an earlier fit left in the folder is gone from here on
    try:
        state = loop.run(state, volume, config, body=body, margin=margin, prior=prior, callbacks=callbacks, save=keep)
    except KeyboardInterrupt:
        raise Interrupted(_interrupted(state, path)) from None
    return _result(state, volume, config, body)


def _given(mesh: SurfaceMesh | None, psf: PSF | None, roi: npt.ArrayLike | None, prior: Prior | None) -> dict[str, str]:
    """Digests of what the user gave, to know it again on a resume; of a prior, which is code, its name."""
    marks = {}
    if mesh is not None:
        marks["start"] = checkpoint.digest(mesh.vertices, mesh.faces, mesh.density)
    if psf is not None:
        words = json.dumps(psf.describe(), sort_keys=True).encode()
        marks["PSF"] = checkpoint.digest(np.frombuffer(words, dtype=np.uint8))
    if roi is not None:
        marks["region of interest"] = checkpoint.digest(np.asarray(roi) != 0)
    if prior is not None:
        inner = prior.func if isinstance(prior, functools.partial) else prior
        marks["prior"] = getattr(inner, "__qualname__", type(inner).__qualname__)
    return marks


def _begin(
    volume: Volume, mesh: SurfaceMesh | None, psf: PSF | None, config: FitConfig, roi: npt.ArrayLike | None
) -> tuple[State, float, float]:
    edge = 2.0 * initial.typical_voxel(volume.spacing) if config.edge is None else config.edge
    psf = initial.guess_psf(volume.spacing) if psf is None else psf
    margin = loop.default_margin(psf, volume) if config.margin is None else config.margin
    none = np.zeros(volume.shape, dtype=bool)
    own, others, excluded, meant = none, none, none, None
    if mesh is None:
        found = initial.largest_object(_seen(volume, roi))
        semi = initial.object_moments(found.mask, volume).semi_axes
        _check_edge(4.0 * np.pi * float(np.mean(semi)) ** 2, edge, volume)
        mesh, own, others = initial.start_mesh(volume, found, config.init, edge), found.mask, found.others
    else:
        mesh = _checked_start(mesh, volume, edge)
        meant = placing.object_at(mesh, _seen(volume, roi))
        own = none if meant is None else meant
        if roi is None:
            found, same = _found_for(own | mesh_to_mask(mesh, volume.grid), volume)
            own, others = found.mask if same else own, found.others
            meant = None if meant is None else own
    body = SurfaceBody(volume, edge)
    if roi is None:
        excluded, halo = body.neighbours(mesh, others, loop.REACH, own)
        region = loop.region_of(body, mesh, margin, own, excluded, halo, last=len(config.blurs) == 1)
    else:
        region = np.asarray(roi) != 0
        own, others = none, none
    check_roi(region, volume)
    state = State(
        mesh, mesh, psf, region, own, others, excluded, room_for(mesh, psf, region, volume), roi is not None,
        shape_optimiser(mesh), psf_optimiser(psf), stain_of(mesh),
        STAIN * initial.typical_voxel(volume.spacing), mesh,
    )  # fmt: skip
    if meant is not None and config.place_start:
        _place(state, meant, volume, config, edge)
    return state, edge, margin


def _found_for(mask: npt.NDArray[np.bool_], volume: Volume) -> tuple[initial.BrightObject, bool]:
    """What a fit without a start finds, and True, where that is the object of a mask; else the mask's neighbours."""
    try:
        found = initial.largest_object(volume)
    except FitError:
        return initial.neighbours_of(mask, volume), False
    same = (found.mask & mask).sum() > SAME * min(found.mask.sum(), mask.sum())
    return (found if same else initial.neighbours_of(mask, volume)), bool(same)


def _place(state: State, meant: npt.NDArray[np.bool_], volume: Volume, config: FitConfig, edge: float) -> None:
    """Let the fit begin from the user's start moved onto the object that it means, where that lowers the loss."""
    moved = placing.moved_onto(state.mesh, meant, volume)
    moved = remesh(moved, edge) if needs_remesh(moved, edge) else moved
    rooms = np.maximum(state.room, room_for(moved, state.psf, state.roi, volume))
    problem = Problem(volume, state.roi, tuple(rooms), config, state.excluded)
    meshes = (state.mesh, moved)
    losses = [problem.shape_step(m.astype(config.dtype), state.psf, config.blurs[0]).loss for m in meshes]
    state.evaluations += len(meshes)
    if losses[1] < losses[0]:
        state.mesh, state.room = moved, room_for(moved, state.psf, state.roi, volume)
        state.stain, state.stiffer = stain_of(moved), np.ones(moved.n_vertices)
        state.shape_optimiser = shape_optimiser(moved)
        state.begin_anew()


def _seen(volume: Volume, roi: npt.ArrayLike | None) -> Volume:
    """The image as the search for a start sees it: dark outside the region of interest."""
    if roi is None:
        return volume
    region = np.asarray(roi) != 0
    check_roi(region, volume)
    data = np.asarray(volume.data, dtype=np.float32)
    return Volume(np.where(region, data, data[region].min()), volume.spacing, volume.origin, volume.name)


def _checked_start(mesh: SurfaceMesh, volume: Volume, edge: float) -> SurfaceMesh:
    """A user's start: closed, outwards, in the image, with triangles of the wanted size, in float64."""
    if not topology.is_closed(mesh):
        raise FitError(
            f"the start surface {topology.gaps(mesh)}; expected a closed surface.",
            remedy="Close its holes, or let cytoform find a start (--init ellipsoid).",
        )
    mesh = topology.orient_outward(mesh.without_unused_vertices().astype(np.float64))
    grid = volume.grid
    low, high = np.asarray(grid.origin), grid.to_um(np.asarray(grid.shape) - 1)
    first, last = mesh.bounds
    if (last < low).any() or (first > high).any():
        raise FitError(
            f"the start surface spans {np.round(first, 2).tolist()} to {np.round(last, 2).tolist()} µm and lies "
            f"outside the image, {np.round(low, 2).tolist()} to {np.round(high, 2).tolist()} µm (z, y, x).",
            remedy="Is the mesh in voxels rather than µm, or are its axes in another order?",
        )
    if not mesh_to_mask(mesh, grid).any():
        raise FitError(
            f"the start surface encloses no voxel's centre: its volume is {mesh.volume:.3g} µm³, a voxel's "
            f"{grid.voxel_volume:.3g} µm³.",
            remedy="Is the mesh in another unit than µm, or flat?",
        )
    _check_edge(mesh.area, edge, volume)
    return remesh(mesh, edge) if needs_remesh(mesh, edge) else mesh


def _check_edge(area: float, edge: float, volume: Volume) -> None:
    faces = area / (0.433 * edge**2)
    if not MOST_FACES >= faces >= LEAST_FACES:
        raise FitError(
            f"edges of {edge:g} µm would make about {faces:.3g} faces of {area:.3g} µm²; expected {LEAST_FACES} to "
            f"{MOST_FACES}.",
            remedy=f"The voxel size is {volume.spacing} µm (z, y, x); an edge of about two voxels is usual (--edge).",
        )


def _interrupted(state: State, path: Path | None) -> str:
    if path is None or not path.exists():
        return f"interrupted after {state.iteration} iterations; nothing was saved, as no folder was given (out=)."
    return (
        f"interrupted after {state.iteration} iterations; the state is in {path} (at most a few steps older). "
        "Give the same command with --resume to go on (resume=True in Python)."
    )


def _result(state: State, volume: Volume, config: FitConfig, body: SurfaceBody) -> FitResult:
    problem = Problem(volume, state.roi, state.room, config)
    mesh, sources = state.mesh.astype(config.dtype), None
    if state.excluded.any():
        sources = body.sources(state.mesh, state.excluded)
    model, light, gain, background = problem.final_model(mesh, state.psf, sources)
    sure = None
    if config.uncertainty:
        if sources is not None:
            problem.take_light(mesh, state.psf, sources)
        loop.reweighed(problem, state, config)
        sure = _uncertainty(problem, state, config, body)
    return FitResult(
        mesh=state.mesh,
        psf=state.psf,
        gain=gain,
        background=background,
        history=state.columns(),
        stop_reason=state.stop_reason,
        iterations=state.iteration,
        evaluations=state.evaluations,
        seconds=state.seconds,
        config=config,
        model=Volume(model, volume.spacing, volume.origin, volume.name),
        surroundings=None if light is None else Volume(light, volume.spacing, volume.origin, volume.name),
        image=volume,
        roi=state.roi,
        start=state.start,
        uncertainty=sure,
    )


def _uncertainty(problem: Problem, state: State, config: FitConfig, body: SurfaceBody) -> Uncertainty | None:
    """Standard errors, or None where the image says too little."""
    weight, directions = state.firmness * config.stiffness[-1], None
    staining = loop.staining_of(state, config, body, problem.voxel)
    if config.infer_psf and state.psf.parameters.size:
        ways = np.eye(len(state.psf.parameters))
        ways = np.array([state.psf.axial(way) for way in ways]).T if config.psf_shape == "axial" else ways
        vectors, sizes, _ = np.linalg.svd(ways)
        directions = vectors[:, sizes > 1e-6 * sizes.max()]
    try:
        return uncertainty_of(
            problem, state.mesh, state.psf,
            stain=None if staining is None else state.stain,
            smoothness=(weight, body.smoothness(state.mesh, state.stiffer)) if weight > 0 else None,
            staining=staining, psf_directions=directions,
        )  # fmt: skip
    except (FitError, MemoryError, ValueError, np.linalg.LinAlgError, ArpackError) as error:
        _LOG.warning("no standard errors: %s", error)
        return None
