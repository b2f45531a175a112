"""Fit a mesh and a point spread function to an image: the entry point of the fit."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
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
from .finish import finish, with_light_added
from .joint.labels import with_neighbours_fitted
from .loop import FitContext, run_stages
from .priors.smoothness import Prior
from .progress import ProgressTeller
from .request import Request, is_searched
from .result import FitResult
from .scene import Scene
from .stain import choose_stain
from .start.begin import default_edge
from .state import State
from .verdict import warn_of_several_cells

__all__ = ["CHECKPOINT", "fit"]

CHECKPOINT = "checkpoint.h5"
_LOG = logging.getLogger(__name__)


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
    """Fit a surface and a point spread function (PSF) to an image by inverse rendering.

    Vertices, staining, PSF, gain and background are optimised, coarse to fine, until the rendering of the surface
    matches the image in a region of interest.

    Parameters
    ----------
    volume : Volume
        Fluorescence image of a stained membrane or a filled body (``config.stain``), (z, y, x), with its voxel size in
        µm.
    mesh : SurfaceMesh or another registered kind of mesh, optional
        Start of the surface, µm, (z, y, x); a SurfaceMesh has to be closed. By default a start is found in the image,
        as ``config.init`` says.
    psf : PSF, optional
        Start of the PSF; by default a Gaussian that is guessed from the voxel size.
    config : FitConfig, optional
        Settings; ``FitConfig()`` by default.
    roi : (z, y, x) array or Volume, optional
        Region of interest: voxels other than 0 enter the loss. It has to contain the cell's whole blurred membrane. By
        default it is the inside of the surface and a margin around it, less the light of bright neighbours. A region
        whose rim is bright is taken for the outline of a segmented cell and treated as a label
        (``FitConfig.widen_roi``), with a warning.
    labels : (z, y, x) int array or Volume, optional
        Segmentation of the image, 0 outside of all cells. The cell `label` gives the start (unless `mesh` is given) and
        the region of interest: its voxels and a margin around them. The light of the other cells is modelled. Of a
        label in several pieces the largest is used. If the image has one label only and it agrees with the bright
        object that is found without labels, start and region are those found without it.
    label : int, optional
        Which cell of `labels`; may be left out if there is only one.
    prior : callable, optional
        Further prior on the surface: takes a mesh, returns the negative logarithm of its probability density and the
        gradient for its vertices, (n_vertices, 3) per µm (:class:`Prior`). Has to be passed again with `resume`.
    callbacks : sequence of callable
        Called with a :class:`Progress` after every shape step, and once as the standard errors are begun.
    out : path, optional
        Folder in which the fit's state is kept in a file, ``checkpoint.h5``; none is kept by default. Nothing else is
        written: :meth:`FitResult.save` writes the result, and :meth:`FitJob.run` does both.
    resume : bool
        Whether to continue from the checkpoint in `out`. Of a fit that had ended, the result is computed again.
    inputs : mapping, optional
        Provenance of the inputs, such as file names, as plain values; stored in ``fit.json`` beside what is recorded
        anyway.

    Returns
    -------
    FitResult
        Surface, PSF, gain, background, the model of the image, and standard errors.

    Raises
    ------
    VolumeError, MeshError, FitError, ConfigError
        If an image, mesh, region or setting cannot be used.
    Interrupted
        On Ctrl-C, after the state was saved in `out`.
    """
    begin = time.perf_counter()
    config = FitConfig() if config is None else config
    request = Request(volume, config, mesh, psf, roi, labels, label, prior, inputs)
    request.check()
    path = None if out is None else ensure_folder(out) / CHECKPOINT
    digest_of_image, input_digests = ("", {}) if path is None else (image_digest(volume), request.digests())
    state = _load_state(path, digest_of_image, input_digests, config) if resume else None
    save = None if path is None else _saver(path, digest_of_image, config, input_digests)
    if config.stain == "auto":
        request, config = _with_stain_chosen(request, state)
    fitted, light = with_neighbours_fitted(request)
    config, body = fitted.config, _make_body(fitted, state)
    if state is None:
        state = _begin(body, fitted, request)
        state.count.seconds = time.perf_counter() - begin
    if is_searched(state.inputs):
        warn_of_several_cells(body.scene.cell_count, volume)

    if save is not None and not resume:
        save(state)  # replaces the checkpoint of an earlier fit in the folder
    teller = ProgressTeller(config, callbacks, newton=not body.branching)
    message = _ended_message(state)
    try:
        run_stages(state, FitContext(body, config, prior, teller, save))
        teller.begin_errors(state, message)
        return with_light_added(finish(state, body, config, volume), light)
    except KeyboardInterrupt:
        raise Interrupted(_interruption_message(state, path)) from None


def _saver(path: Path, digest: str, config: FitConfig, input_digests: dict[str, str]) -> Callable[[State], None]:
    """Return a function that saves a state in the checkpoint at `path`, with what it belongs to."""
    return lambda state: save_checkpoint(path, state, digest, config, input_digests)


def _with_stain_chosen(request: Request, state: State | None) -> tuple[Request, FitConfig]:
    """Return a request whose settings say what is stained, and these settings.

    It is what the mesh of `state` is stained as, or, for a new fit, what explains the image better.
    """
    if state is not None:
        stain = "membrane" if state.mesh.jump is None else "filled"
        inputs = request.inputs
    else:
        stain, reason = choose_stain(request, lambda trial: _make_body(trial, None))
        inputs = {**(request.inputs or {}), "stain": {"reason": reason}}
    config = dataclasses.replace(request.config, stain=stain)
    return dataclasses.replace(request, config=config, inputs=inputs), config


def _begin(body: Body[Any], request: Request, given: Request) -> State:
    """Make the state that the fit of a request starts from, with inputs, remarks and device; `given` is the user's."""
    state = body.begin(request)
    state.inputs, state.remarks = given.description(), (*given.remarks(), *state.remarks)
    state.device = device_for(request.config.device, request.config.backend)
    return state


def _make_body(request: Request, state: State | None) -> Body[Any]:
    """Make the body, which handles one kind of mesh in the image, for the mesh of `state`, else of the request.

    Without a state and a mesh it is that of a closed surface. Its mean edge length is the state's, else ``config.edge``
    (two voxels by default), or the given mesh's own if bodies of this kind are not remeshed.
    """
    volume, config, mesh = request.volume, request.config, request.mesh
    if state is not None:
        return body_class_of(state.mesh)(Scene.from_volume(volume), state.edge)
    kind = body_class("surface") if mesh is None else body_class_of(mesh)
    edge = default_edge(volume) if config.edge is None else config.edge
    if mesh is not None and not kind.remeshed:
        edge = float(np.mean(edge_lengths(mesh)))
    return kind(Scene.from_volume(volume), edge)


def _load_state(path: Path | None, digest_of_image: str, input_digests: dict[str, str], config: FitConfig) -> State:
    """Load the state of the checkpoint at `path` to resume from.

    If this machine has another device, or lacks the transform of the checkpoint, the state's device is replaced and its
    transform is cleared, to be chosen again.

    Parameters
    ----------
    path : Path or None
        The checkpoint; None if no folder was given.
    digest_of_image : str
        SHA-256 of the image (:func:`.image_digest`), which has to be that of the checkpoint.
    input_digests : dict of str to str
        Digests of the other inputs (:meth:`.Request.digests`), likewise.
    config : FitConfig
        Settings, which have to agree as well.

    Raises
    ------
    FitError
        If there is no folder or checkpoint, or it belongs to another image, other settings or other inputs.
    """
    if path is None:
        raise FitError("resume=True needs the folder with the checkpoint.", remedy="Pass out=.")
    state = load_checkpoint(path, digest_of_image, config, input_digests)
    device = device_for(config.device, config.backend)
    available = choose_backend("auto", tolerance=config.tolerance, device=device)
    if state.device != device or (state.transform == "nufft" and available == "exact"):  # other machine, or no finufft
        state.device, state.transform = device, ""
    return state


def _ended_message(state: State) -> str:
    """Return a message, which is logged too, that the fit to resume had ended already; empty if it had not."""
    if not state.stop_reason:
        return ""
    message = f"the fit had ended ({state.stop_reason}); only its result is made again."
    _LOG.info(message)
    return message


def _interruption_message(state: State, path: Path | None) -> str:
    """Return the message of an interrupted fit: iterations done, and how to resume from the checkpoint `path`.

    With None (no folder was given) or a missing file it says that nothing was saved.
    """
    during = "" if not state.stop_reason else f" and the end of the steps ({state.stop_reason}), before the result"
    done = f"interrupted after {state.count.iteration} iterations{during}; "
    if path is None or not path.exists():
        return done + "nothing was saved, as no folder was given (out=)."
    age, goal = ("", "get the result") if during else (" (at most a few steps older)", "go on")
    return done + f"the state is in {path}{age}. Give the same command with --resume to {goal} (resume=True in Python)."
