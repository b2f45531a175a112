"""Write the state of a fit to one HDF5 file and read it, so that a resumed fit takes the same steps.

The file follows the fields of :class:`.State`; each field declares its kind of storage (:func:`.stored`), and for each
kind there is a pair of functions here that write and read it.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from ..atomic import write_bytes
from ..errors import FileFormatError, FitError
from ..mesh.protocol import Mesh
from ..optics import PSF, psf_from_description
from ..optim import LBFGS
from .bodies import body_class, body_class_of
from .config import FitConfig
from .file_errors import as_file_format_error
from .state import COLUMNS, State

__all__ = ["FORMAT", "load_checkpoint", "save_checkpoint"]

FORMAT = "cytoform fit checkpoint 8"
T = TypeVar("T")
# Settings that may change between a checkpoint and its resume (the device only where bits do not matter).
CHANGEABLE_SETTINGS = ("checkpoint_seconds", "device")


def save_checkpoint(
    path: str | os.PathLike[str],
    state: State,
    image_digest: str,
    config: FitConfig,
    input_digests: dict[str, str] | None = None,
) -> None:
    """Write a state to a checkpoint, which replaces the file at `path`.

    The file is made in memory and written under a temporary name first, so that a full disk or a crash leaves the one
    before.

    Parameters
    ----------
    path : path
        File to write.
    state : State
        The fit's state.
    image_digest : str
        SHA-256 of the image (:func:`.image_digest`).
    config : FitConfig
        Settings of the fit.
    input_digests : dict of str to str, optional
        Digests of the user's other inputs by name (:meth:`.Request.digests`).
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["image"] = image_digest
        file.attrs["config"] = json.dumps(config.as_dict())
        file.attrs["given"] = json.dumps(input_digests or {})
        _write_fields(file.create_group("state"), state)
    write_bytes(path, buffer.getvalue())


def load_checkpoint(
    path: str | os.PathLike[str], image_digest: str, config: FitConfig, input_digests: dict[str, str] | None = None
) -> State:
    """Read a state from a checkpoint of the same image, settings and inputs.

    Parameters
    ----------
    path : path
        File to read.
    image_digest : str
        SHA-256 of the image (:func:`.image_digest`).
    config : FitConfig
        Settings of the fit.
    input_digests : dict of str to str, optional
        Digests of the user's other inputs by name (:meth:`.Request.digests`).

    Raises
    ------
    FitError
        If there is no file, or it belongs to another image, other settings or other inputs.
    FileFormatError
        If the file is damaged or no checkpoint of this version.
    """
    path = Path(path)
    if not path.is_file():
        raise FitError(f"there is no checkpoint {path} to resume from.", remedy="Start the fit without --resume.")
    with (
        as_file_format_error(f"{path} cannot be read as a checkpoint", "Start the fit without --resume."),
        h5py.File(path, "r") as file,
    ):
        if file.attrs.get("format") != FORMAT:
            raise FileFormatError(
                f"{path} is no checkpoint of a fit that this version reads; expected the format {FORMAT!r}.",
                remedy="Start the fit without --resume.",
            )
        _check_belongs(path, file, image_digest, config, input_digests or {})
        return _read_fields(file["state"], State)


def _check_belongs(
    path: Path, file: h5py.File, image_digest: str, config: FitConfig, input_digests: dict[str, str]
) -> None:
    """Raise FitError if an open checkpoint is of another image, settings, prior or other inputs than those given.

    CHANGEABLE_SETTINGS may differ (the device only if the fit is not deterministic). Inputs that are not in
    `input_digests` are not compared; `path` is the file's, for the error.
    """
    if file.attrs["image"] != image_digest:
        raise FitError(
            f"{path} belongs to another image (other voxels or another voxel size).",
            remedy="Resume with the image, channel, time point and spacing that the fit began with.",
        )
    before, now = json.loads(file.attrs["config"]), json.loads(json.dumps(config.as_dict()))
    free = ("checkpoint_seconds",) if config.deterministic else CHANGEABLE_SETTINGS
    changed = [f"{k} (was {before.get(k)!r}, is {now[k]!r})" for k in now if k not in free and before.get(k) != now[k]]
    if changed:
        raise FitError(
            f"{path} was made with other settings: {', '.join(changed)}.",
            remedy="Resume with the settings that the fit began with, or start anew without --resume.",
        )
    before = json.loads(file.attrs["given"])
    if before.get("prior") != input_digests.get("prior"):
        names = [known.get("prior", "none") for known in (before, input_digests)]
        raise FitError(
            f"{path} was made with prior={names[0]}; given was prior={names[1]}.",
            remedy="Pass the prior that the fit began with: a checkpoint cannot hold code.",
        )
    other = sorted(name for name, digest in input_digests.items() if before.get(name) != digest)
    if other:
        raise FitError(
            f"{path} was made with another {' and another '.join(other)}.",
            remedy="Resume with what the fit began with, or leave it out: the checkpoint holds it.",
        )


# -- how each kind of field is stored ----------------------------------------------------------------------------------


def _write_fields(group: h5py.Group, values: Any) -> None:
    """Write the fields of a dataclass into an HDF5 group by kind of storage; nested dataclasses become subgroups."""
    for field in dataclasses.fields(values):
        storage, value = field.metadata["stored"], getattr(values, field.name)
        if storage == "group":
            _write_fields(group.create_group(field.name), value)
        else:
            _CODECS[storage][0](group, field.name, value)


def _read_fields(group: h5py.Group, kind: type[T]) -> T:
    """Read a dataclass of type `kind` from an HDF5 group that :func:`_write_fields` wrote."""
    types_of: dict[str, Any] = typing.get_type_hints(kind)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]  # a class of dataclasses cannot be declared
        storage = field.metadata["stored"]
        if storage == "group":
            found[field.name] = _read_fields(group[field.name], types_of[field.name])
        else:
            found[field.name] = _CODECS[storage][1](group, field.name)
            if isinstance(types_of[field.name], types.GenericAlias) and storage == "json":
                found[field.name] = typing.get_origin(types_of[field.name])(found[field.name])
    return kind(**found)


def _write_scalar(group: h5py.Group, name: str, value: Any) -> None:
    """Write a number, bool or short text as attribute `name` of an HDF5 group."""
    group.attrs[name] = value


def _read_scalar(group: h5py.Group, name: str) -> Any:
    """Read attribute `name` of an HDF5 group as a number, bool or text of Python."""
    return np.asarray(group.attrs[name]).item()


def _write_array(group: h5py.Group, name: str, value: Any) -> None:
    """Write an array as dataset `name` of an HDF5 group."""
    group[name] = value


def _read_array(group: h5py.Group, name: str) -> Any:
    """Read dataset `name` of an HDF5 group as an array."""
    return group[name][()]


def _write_mask(group: h5py.Group, name: str, value: Any) -> None:
    """Write a boolean array as dataset `name` of an HDF5 group, compressed with gzip."""
    group.create_dataset(name, data=value, compression="gzip", compression_opts=1)


def _read_mask(group: h5py.Group, name: str) -> Any:
    """Read dataset `name` of an HDF5 group as a boolean array."""
    return group[name][()].astype(bool)


def _write_mesh(group: h5py.Group, name: str, mesh: Mesh) -> None:
    """Write a mesh as subgroup `name`: its arrays as datasets, and the kind of body that handles it as an attribute."""
    inner = group.create_group(name)
    inner.attrs["kind"] = body_class_of(mesh).kind
    for key, value in mesh.arrays().items():
        inner[key] = value


def _read_mesh(group: h5py.Group, name: str) -> Mesh:
    """Read a mesh from subgroup `name`; its class follows from the kind of body that is stored with it."""
    inner = group[name]
    mesh_class: type[Mesh] = body_class(inner.attrs["kind"]).mesh_class
    return mesh_class.from_arrays({key: value[()] for key, value in inner.items()})


def _write_psf(group: h5py.Group, name: str, psf: PSF) -> None:
    """Write the description of a PSF as a JSON text in dataset `name`."""
    group[name] = json.dumps(psf.describe())  # a measured PSF is too large for an attribute


def _read_psf(group: h5py.Group, name: str) -> PSF:
    """Read a PSF from the JSON text of its description in dataset `name`."""
    return psf_from_description(json.loads(group[name].asstr()[()]))


def _write_optimiser(group: h5py.Group, name: str, optimiser: LBFGS) -> None:
    """Write an L-BFGS optimiser as subgroup `name`: shape and memory as attributes, its state as datasets."""
    inner = group.create_group(name)
    inner.attrs["shape"], inner.attrs["memory"] = optimiser.shape, optimiser.memory
    for key, value in optimiser.state_arrays().items():
        inner[key] = value


def _read_optimiser(group: h5py.Group, name: str) -> LBFGS:
    """Read an L-BFGS optimiser from subgroup `name`."""
    inner = group[name]
    optimiser = LBFGS(tuple(int(n) for n in inner.attrs["shape"]), memory=int(inner.attrs["memory"]))
    optimiser.load_state({key: value[()] for key, value in inner.items()})
    return optimiser


def _write_json(group: h5py.Group, name: str, value: Any) -> None:
    """Write plain values as a JSON text in dataset `name` (an attribute holds 64 KiB at most)."""
    group[name] = json.dumps(value)  # a dataset: an attribute holds 64 KiB at most


def _read_json(group: h5py.Group, name: str) -> Any:
    """Read plain values from the JSON text in dataset `name`."""
    return json.loads(group[name].asstr()[()])


def _write_table(group: h5py.Group, name: str, rows: Any) -> None:
    """Write the rows of the history as dataset `name`, float64, (n_rows, n_columns)."""
    group[name] = np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS))


def _read_table(group: h5py.Group, name: str) -> list[tuple[float, ...]]:
    """Read the rows of the history from dataset `name` as tuples of floats."""
    return [tuple(row) for row in group[name][()]]


_CODECS: dict[str, tuple[Callable[[h5py.Group, str, Any], None], Callable[[h5py.Group, str], Any]]] = {
    "scalar": (_write_scalar, _read_scalar),
    "array": (_write_array, _read_array),
    "mask": (_write_mask, _read_mask),
    "mesh": (_write_mesh, _read_mesh),
    "psf": (_write_psf, _read_psf),
    "optimiser": (_write_optimiser, _read_optimiser),
    "json": (_write_json, _read_json),
    "table": (_write_table, _read_table),
}
