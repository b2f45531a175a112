"""The state of a fit in one HDF5 file, so that it goes on as if it had never stopped."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from ..atomic import write_bytes
from ..errors import FileFormatError, FitError
from ..image.volume import Volume
from ..mesh.surface import SurfaceMesh
from ..optics import psf_from_description
from .config import FitConfig
from .displaced import psf_optimiser
from .state import COLUMNS, State, shape_optimiser

__all__ = ["FORMAT", "digest", "fingerprint", "load_checkpoint", "save_checkpoint"]

FORMAT = "cytoform fit checkpoint 6"
SCALARS = (
    "iteration",
    "evaluations",
    "stage",
    "stage_step",
    "gained",
    "gained_step",
    "since_pause",
    "noise",
    "stain_um",
    "firmness",
    "spread",
    "evened",
    "seconds",
    "stop_reason",
    "fixed_roi",
    "psf_free",
)
MASKS = ("roi", "own", "others", "excluded")
FIELDS = ("trial", "stain", "anchor_stain", "stiffer", "anchor_stiffer")
MESHES = ("mesh", "start", "anchor")
WORDS = ("remarks", "inputs")  # as JSON
# Settings that may change between a checkpoint and its resume (the device only where bits do not matter).
FREE = ("checkpoint_seconds", "device")


def fingerprint(volume: Volume) -> str:
    """A digest of an image's voxels and their size: a checkpoint belongs to one image."""
    digest = hashlib.sha256(np.ascontiguousarray(volume.data).tobytes())
    digest.update(repr((volume.shape, volume.spacing, volume.origin, str(volume.data.dtype))).encode())
    return digest.hexdigest()


def digest(*arrays: npt.ArrayLike) -> str:
    """A digest of arrays: what a fit was given has to be the same on a resume."""
    mark = hashlib.sha256()
    for array in arrays:
        mark.update(np.ascontiguousarray(array).tobytes())
    return mark.hexdigest()


def save_checkpoint(
    path: str | os.PathLike[str],
    state: State,
    volume_print: str,
    config: FitConfig,
    *,
    edge: float,
    margin: float,
    given: dict[str, str] | None = None,
) -> None:
    """Write a state: made in memory, so that a full disk meets a plain write, then to a temporary name first."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["image"] = volume_print
        file.attrs["config"] = json.dumps(config.as_dict())
        file["psf"] = json.dumps(state.psf.describe())  # a measured PSF is too large for an attribute
        file.attrs["edge"], file.attrs["margin"], file.attrs["room"] = edge, margin, state.room
        for name in SCALARS:
            file.attrs[name] = getattr(state, name)
        for name in MESHES:
            mesh: SurfaceMesh = getattr(state, name)
            file[f"{name}/vertices"], file[f"{name}/faces"] = mesh.vertices, mesh.faces
            file[f"{name}/density"] = mesh.density
        for name in MASKS:
            file.create_dataset(name, data=getattr(state, name), compression="gzip", compression_opts=1)
        for name in ("shape_optimiser", "psf_optimiser"):
            for key, value in getattr(state, name).state_arrays().items():
                file[f"{name}/{key}"] = value
        for name in FIELDS:
            file[name] = getattr(state, name)
        file["history"] = np.array(state.history, dtype=np.float64).reshape(-1, len(COLUMNS))
        file.attrs["given"] = json.dumps(given or {})
        for name in WORDS:
            file.attrs[name] = json.dumps(getattr(state, name))
    write_bytes(path, buffer.getvalue())


def load_checkpoint(
    path: str | os.PathLike[str], volume_print: str, config: FitConfig, given: dict[str, str] | None = None
) -> tuple[State, float, float]:
    """State, edge and margin (µm) from a file.

    Raises
    ------
    FitError
        When there is no file, or it belongs to another image or to other settings.
    FileFormatError
        When the file is damaged or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FitError(f"there is no checkpoint {path} to resume from.", remedy="Start the fit without --resume.")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise FileFormatError(f"{path} is no checkpoint of a fit; expected the format {FORMAT!r}.")
            _check(path, file, volume_print, config, given or {})
            return _read_state(file), float(file.attrs["edge"]), float(file.attrs["margin"])
    except (OSError, KeyError) as error:
        raise FileFormatError(
            f"{path} cannot be read as a checkpoint ({error}).", remedy="Start the fit without --resume."
        ) from error


def _check(path: Path, file: h5py.File, volume_print: str, config: FitConfig, given: dict[str, str]) -> None:
    if file.attrs["image"] != volume_print:
        raise FitError(
            f"{path} belongs to another image (other voxels or another voxel size).",
            remedy="Resume with the image, channel, time point and spacing that the fit began with.",
        )
    before, now = json.loads(file.attrs["config"]), json.loads(json.dumps(config.as_dict()))
    free = ("checkpoint_seconds",) if config.deterministic else FREE
    changed = [f"{k} (was {before.get(k)!r}, is {now[k]!r})" for k in now if k not in free and before.get(k) != now[k]]
    if changed:
        raise FitError(
            f"{path} was made with other settings: {', '.join(changed)}.",
            remedy="Resume with the settings that the fit began with, or start anew without --resume.",
        )

    before = json.loads(file.attrs["given"])
    if before.get("prior") != given.get("prior"):
        names = [known.get("prior", "none") for known in (before, given)]
        raise FitError(
            f"{path} was made with prior={names[0]}; given was prior={names[1]}.",
            remedy="Pass the prior that the fit began with: a checkpoint cannot hold code.",
        )
    other = sorted(name for name, mark in given.items() if before.get(name) != mark)
    if other:
        raise FitError(
            f"{path} was made with another {' and another '.join(other)}.",
            remedy="Resume with what the fit began with, or leave it out: the checkpoint holds it.",
        )


def _read_state(file: h5py.File) -> State:
    meshes = {
        name: SurfaceMesh(file[f"{name}/vertices"][()], file[f"{name}/faces"][()], file[f"{name}/density"][()])
        for name in MESHES
    }
    psf = psf_from_description(json.loads(file["psf"].asstr()[()]))
    shape, optics = shape_optimiser(meshes["mesh"]), psf_optimiser(psf)
    shape.load_state({key: value[()] for key, value in file["shape_optimiser"].items()})
    optics.load_state({key: value[()] for key, value in file["psf_optimiser"].items()})
    z, y, x = (float(r) for r in file.attrs["room"])
    scalars = {name: np.asarray(file.attrs[name]).item() for name in SCALARS}
    words = {name: json.loads(file.attrs[name]) for name in WORDS}
    words["remarks"] = tuple(words["remarks"])
    return State(
        **meshes,
        psf=psf,
        **{name: file[name][()].astype(bool) for name in MASKS},
        room=(z, y, x),
        shape_optimiser=shape,
        psf_optimiser=optics,
        **{name: file[name][()] for name in FIELDS},
        history=[tuple(row) for row in file["history"][()]],
        **words,
        **scalars,
    )
