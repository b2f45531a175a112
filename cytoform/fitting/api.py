"""Fit a surface and the optics to an image."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..atomic import ensure_folder
from ..errors import FitError, Interrupted
from ..fourier import choose_backend, device_for
from ..image.volume import Volume
from ..mesh.protocol import Mesh
from ..mesh.topology import edge_lengths
from ..optics import PSF
from .bodies import Body, body_class, body_class_of
from .callbacks import Callback
from .checkpoint import load_checkpoint, save_checkpoint
from .config import FitConfig
from .digests import image_digest
from .finish import finish
from .loop import FitContext, run_stages
from .priors.smoothness import Prior
from .request import Request
from .result import FitResult
from .scene import Scene
from .start.begin import default_edge
from .state import State

__all__ = ["CHECKPOINT", "fit"]

CHECKPOINT = "checkpoint.h5"


def fit(
    volume: Volume,
    mesh: Mesh | None = None,
    psf: PSF | None = None,
    config: FitConfig | None = None,
    *,
    roi: npt.ArrayLike | Volume | None = None,
    labels: npt.ArrayLike | Volume | None = None,
    label: int | None = None,
    prior: Prior | None = None,
    callbacks: Sequence[Callback] = (),
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    inputs: Mapping[str, Any] | None = None,
) -> FitResult:
    """Move a surface and a point spread function until their rendering matches an image.

    Parameters
    ----------
    volume : Volume
        Fluorescence image of a stained membrane.
    mesh : SurfaceMesh, or another kind of mesh that a body is registered for, optional
        Start, for a SurfaceMesh closed, µm, (z, y, x). Found in the image by default, as ``config.init`` says.
    psf : PSF, optional
        Start of the PSF; guessed from the voxel size by default.
    config : FitConfig, optional
    roi : (z, y, x) array or Volume, optional
        Voxels that count (not zero); around the surface and off its bright neighbours by default. They have to hold the
        cell's whole blurred membrane. A region whose rim is bright is a cell's outline and is treated as a label
        (``FitConfig.widen_roi``), with a warning.
    labels : (z, y, x) int array or Volume, optional
        A segmentation of the image, 0 outside of all cells. The cell `label` gives the start (unless `mesh` is given)
        and the region of interest, its voxels and those that its blurred membrane reaches; the light of the other
        cells is modelled. Of a label in several pieces the largest is taken. The only label of an image that agrees
        with the bright object found there tells which one is meant; start and region are then as without it.
    label : int, optional
        Which cell of `labels`; not needed where there is only one.
    prior : callable, optional
        What you know of the surface (pass it again with `resume`): takes a mesh, gives the negative logarithm of its
        probability and the gradient for its vertices, (n_vertices, 3) per µm (:class:`Prior`).
    callbacks : sequence of callable
        Called with a :class:`Progress` after every shape step.
    out : path, optional
        Folder in which a checkpoint is kept while the fit runs.
    resume : bool
        Go on from the checkpoint in `out`.
    inputs : mapping, optional
        Where the start, the region and other inputs came from, as plain values; kept in ``fit.json`` beside what is
        known of them anyway.

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
    request = Request(volume, config, mesh, psf, roi, labels, label, prior, inputs)
    request.check()
    path = None if out is None else ensure_folder(out) / CHECKPOINT
    mark, marks = ("", {}) if path is None else (image_digest(volume), request.digests())
    state = _load_state(path, mark, marks, config) if resume else None
    body = _make_body(request, state)
    if state is None:
        state = body.begin(request)
        state.inputs, state.remarks = request.description(), (*request.remarks(), *state.remarks)
        state.device = device_for(config.device, config.backend)

    def save(now: State) -> None:
        assert path is not None
        save_checkpoint(path, now, mark, config, marks)

    keep = None if path is None else save
    if keep is not None and not resume:
        keep(state)  # whatever an earlier fit left in the folder is gone from here on
    try:
        run_stages(state, FitContext(body, config, prior, callbacks, keep))
    except KeyboardInterrupt:
        raise Interrupted(_interruption_message(state, path)) from None
    return finish(state, body, config, volume)


def _make_body(request: Request, state: State | None) -> Body[Any]:
    """The kind of body that moves the state's mesh, or the start's, in the image; a surface where there is none."""
    volume, config, mesh = request.volume, request.config, request.mesh
    if state is not None:
        return body_class_of(state.mesh)(Scene.from_volume(volume), state.edge)
    kind = body_class("surface") if mesh is None else body_class_of(mesh)
    edge = default_edge(volume) if config.edge is None else config.edge
    if mesh is not None and not kind.remeshed:
        edge = float(np.mean(edge_lengths(mesh)))
    return kind(Scene.from_volume(volume), edge)


def _load_state(path: Path | None, mark: str, marks: dict[str, str], config: FitConfig) -> State:
    """The state of a checkpoint that belongs to the image, the settings and what was given."""
    if path is None:
        raise FitError("resume=True needs the folder with the checkpoint.", remedy="Pass out=.")
    state = load_checkpoint(path, mark, config, marks)
    device = device_for(config.device, config.backend)
    able = choose_backend("auto", tolerance=config.tolerance, device=device)
    if state.device != device or (state.transform == "nufft" and able == "exact"):  # another machine, or no finufft
        state.device, state.transform = device, ""
    return state


def _interruption_message(state: State, path: Path | None) -> str:
    done = f"interrupted after {state.count.iteration} iterations; "
    if path is None or not path.exists():
        return done + "nothing was saved, as no folder was given (out=)."
    return done + (
        f"the state is in {path} (at most a few steps older). "
        "Give the same command with --resume to go on (resume=True in Python)."
    )
