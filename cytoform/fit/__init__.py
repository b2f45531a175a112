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
from ..mesh.surface import SurfaceMesh
from ..optics import PSF
from . import checkpoint, loop
from .body import SurfaceBody
from .callbacks import Callback, Film, Progress
from .config import FitConfig
from .prior import Prior
from .problem import Problem
from .result import FitResult, load_result
from .start import begin
from .state import State
from .uncertainty import Uncertainty, uncertainty_of

__all__ = ["Callback", "Film", "FitConfig", "FitResult", "Prior", "Progress", "Uncertainty", "fit", "load_result"]

_LOG = logging.getLogger(__name__)
CHECKPOINT = "checkpoint.h5"


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
        state, edge, margin = begin(volume, mesh, psf, config, roi)

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
