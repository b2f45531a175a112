"""Fitting a surface and the optics to an image."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import ArpackError

from ..atomic import ensure_folder
from ..errors import ConfigError, FitError, Interrupted, VolumeError
from ..image.fill import constant_fill
from ..image.volume import Volume
from ..mesh.surface import SurfaceMesh
from ..optics import PSF
from . import checkpoint, loop
from .body import SurfaceBody
from .callbacks import Callback, Film, Progress
from .checks import check_reach, doubts
from .config import FitConfig
from .job import FitJob
from .prior import Prior
from .problem import Problem
from .references import ImageFile, Region
from .result import FitResult, load_result
from .start import begin
from .state import State
from .uncertainty import Uncertainty, uncertainty_of

__all__ = [
    "Callback",
    "Film",
    "FitConfig",
    "FitJob",
    "FitResult",
    "ImageFile",
    "Prior",
    "Progress",
    "Region",
    "Uncertainty",
    "fit",
    "load_result",
]

_LOG = logging.getLogger(__name__)
CHECKPOINT = "checkpoint.h5"


def fit(
    volume: Volume,
    mesh: SurfaceMesh | None = None,
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
    mesh : SurfaceMesh, optional
        Closed start surface, µm, (z, y, x). Found in the image by default, as ``config.init`` says.
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
    if roi is not None and labels is not None:
        raise ConfigError("roi and labels came together; expected one of them.", remedy="Leave one away.")
    if label is not None and labels is None:
        raise ConfigError(f"label={label} came without labels.", remedy="Pass the label image as labels=.")
    path = None if out is None else ensure_folder(out) / CHECKPOINT
    if np.min(volume.data) == np.max(volume.data):
        raise VolumeError(
            f"every voxel of the image is {np.min(volume.data):g}; expected an image with a stained cell.",
            remedy="Is it the right channel or time point?",
        )
    if psf is not None:
        check_reach(psf, volume)
    mark = "" if path is None else checkpoint.fingerprint(volume)
    told = _inputs(volume, mesh, psf, roi, labels, label, inputs)
    read = [*doubts(volume), *_remarks(roi, volume, "region"), *_remarks(labels, volume, "label image")]
    roi, labels = _array(roi), _array(labels)
    given = _given(mesh, psf, roi, labels, label, prior)
    seen, measured = _without_fill(volume)
    if resume:
        if path is None:
            raise FitError("resume=True needs the folder with the checkpoint.", remedy="Pass out=.")
        state, edge, margin = checkpoint.load_checkpoint(path, mark, config, given)
    else:
        state, edge, margin = begin(seen, mesh, psf, config, roi, labels, label, measured)
        state.inputs, state.remarks = told, (*read, *state.remarks)

    def save(now: State) -> None:
        checkpoint.save_checkpoint(path, now, mark, config, edge=edge, margin=margin, given=given)  # type: ignore[arg-type]

    body, keep = SurfaceBody(seen, edge, measured), None if path is None else save
    if keep is not None and not resume:
        keep(state)  # whatever an earlier fit left in the folder is gone from here on
    try:
        state = loop.run(state, seen, config, body=body, margin=margin, prior=prior, callbacks=callbacks, save=keep)
    except KeyboardInterrupt:
        raise Interrupted(_interrupted(state, path)) from None
    result = _result(state, seen, config, body)
    return dataclasses.replace(result, image=volume, measured=measured, inputs=state.inputs)


def _array(values: npt.ArrayLike | Volume | None) -> npt.NDArray[Any] | None:
    """The voxels of a region or of labels, as an array."""
    return None if values is None else np.asarray(values.data if isinstance(values, Volume) else values)


def _remarks(values: npt.ArrayLike | Volume | None, volume: Volume, what: str) -> tuple[str, ...]:
    """What there is to say about a region or labels that came as an image of their own."""
    if not isinstance(values, Volume):
        return ()
    if np.allclose(values.spacing, volume.spacing, rtol=0.01):
        return values.remarks
    sizes = [" × ".join(f"{d:g}" for d in v.spacing) for v in (values, volume)]
    return (*values.remarks, f"The {what} has voxels of {sizes[0]} µm, the image of {sizes[1]} µm (z, y, x): voxel by "
            "voxel they are taken as the same.")  # fmt: skip


def _without_fill(volume: Volume) -> tuple[Volume, npt.NDArray[np.bool_] | None]:
    """The image with its background in place of a constant fill, and the voxels that were measured, where not all."""
    found = constant_fill(np.asarray(volume.data))
    if found is None:
        return volume, None
    measured = ~found[0]
    data = np.asarray(volume.data, dtype=np.float32)
    background = np.median(data[measured & (data <= np.median(data[measured]))])
    return dataclasses.replace(volume, data=np.where(measured, data, background)), measured


def _inputs(
    volume: Volume,
    mesh: SurfaceMesh | None,
    psf: PSF | None,
    roi: npt.ArrayLike | Volume | None,
    labels: npt.ArrayLike | Volume | None,
    label: int | None,
    more: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What the fit was given, as plain values: what is needed to do it again, beside the settings."""
    told: dict[str, Any] = {
        "image": {"name": volume.name, **volume.source},
        "start": {"kind": "found in the image" if labels is None else "from the label"},
        "region": {"kind": "found in the image"},
        "psf": {"kind": "guessed from the voxel size" if psf is None else "given"},
    }
    if mesh is not None:
        told["start"] = {"kind": "mesh", "sha256": checkpoint.digest(mesh.vertices, mesh.faces, mesh.density)}
    for kind, values in (("voxels", roi), ("label", labels)):
        if values is not None:
            source = dict(values.source) if isinstance(values, Volume) else {}
            told["region"] = {"kind": kind, **source, "sha256": checkpoint.digest(_array(values))}
    if label is not None:
        told["region"]["label"] = int(label)
    for name, value in (more or {}).items():
        told[name] = {**told.get(name, {}), **value} if isinstance(value, Mapping) else value
    return told


def _given(
    mesh: SurfaceMesh | None,
    psf: PSF | None,
    roi: npt.ArrayLike | None,
    labels: npt.ArrayLike | None,
    label: int | None,
    prior: Prior | None,
) -> dict[str, str]:
    """Digests of what the user gave, to know it again on a resume; of a prior, which is code, its name."""
    marks = {}
    if mesh is not None:
        marks["start"] = checkpoint.digest(mesh.vertices, mesh.faces, mesh.density)
    if psf is not None:
        words = json.dumps(psf.describe(), sort_keys=True).encode()
        marks["PSF"] = checkpoint.digest(np.frombuffer(words, dtype=np.uint8))
    if roi is not None:
        marks["region of interest"] = checkpoint.digest(np.asarray(roi) != 0)
    if labels is not None:
        marks["label"] = checkpoint.digest(np.asarray(labels), np.asarray(-1 if label is None else label))
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
        remarks=state.remarks,
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
