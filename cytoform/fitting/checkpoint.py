"""The state of a fit in one HDF5 file, so that it goes on as if it had never stopped.

What is written follows the fields of :class:`.State`, each by what it says of itself (:func:`.stored`).
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
from typing import Any

import h5py
import numpy as np

from ..atomic import write_bytes
from ..errors import FileFormatError, FitError
from ..mesh.protocol import Mesh
from ..optics import PSF, psf_from_description
from ..optim import LBFGS
from .bodies import body_class, body_class_of
from .config import FitConfig
from .damaged import named_when_damaged
from .state import COLUMNS, State

__all__ = ["FORMAT", "load_checkpoint", "save_checkpoint"]

FORMAT = "cytoform fit checkpoint 8"
# Settings that may change between a checkpoint and its resume (the device only where bits do not matter).
FREE = ("checkpoint_seconds", "device")


def save_checkpoint(
    path: str | os.PathLike[str],
    state: State,
    image_mark: str,
    config: FitConfig,
    given: dict[str, str] | None = None,
) -> None:
    """Write a state: made in memory, so that a full disk meets a plain write, then to a temporary name first.

    Parameters
    ----------
    path : path
    state : State
    image_mark : str
        The image's digest (:func:`.fingerprint`).
    config : FitConfig
    given : dict of str to str, optional
        Digests of what the user gave (:meth:`.Request.marks`).
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["image"] = image_mark
        file.attrs["config"] = json.dumps(config.as_dict())
        file.attrs["given"] = json.dumps(given or {})
        _write(file.create_group("state"), state)
    write_bytes(path, buffer.getvalue())


def load_checkpoint(
    path: str | os.PathLike[str], image_mark: str, config: FitConfig, given: dict[str, str] | None = None
) -> State:
    """Read a state; parameters as for :func:`save_checkpoint`.

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
    with (
        named_when_damaged(f"{path} cannot be read as a checkpoint", "Start the fit without --resume."),
        h5py.File(path, "r") as file,
    ):
        if file.attrs.get("format") != FORMAT:
            raise FileFormatError(
                f"{path} is no checkpoint of a fit that this version reads; expected the format {FORMAT!r}.",
                remedy="Start the fit without --resume.",
            )
        _check(path, file, image_mark, config, given or {})
        return _read(file["state"], State)


def _check(path: Path, file: h5py.File, image_mark: str, config: FitConfig, given: dict[str, str]) -> None:
    """Refuse a checkpoint of another image, of other settings, or of other inputs."""
    if file.attrs["image"] != image_mark:
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


# -- how each kind of field is stored ----------------------------------------------------------------------------------


def _write(group: h5py.Group, values: Any) -> None:
    for field in dataclasses.fields(values):
        how, value = field.metadata["stored"], getattr(values, field.name)
        if how == "group":
            _write(group.create_group(field.name), value)
        else:
            _CODECS[how][0](group, field.name, value)


def _read(group: h5py.Group, kind: type[Any]) -> Any:
    types_of, found = typing.get_type_hints(kind), {}
    for field in dataclasses.fields(kind):
        how = field.metadata["stored"]
        if how == "group":
            found[field.name] = _read(group[field.name], types_of[field.name])
        else:
            found[field.name] = _CODECS[how][1](group, field.name)
            if isinstance(types_of[field.name], types.GenericAlias) and how == "json":
                found[field.name] = typing.get_origin(types_of[field.name])(found[field.name])
    return kind(**found)


def _write_scalar(group: h5py.Group, name: str, value: Any) -> None:
    group.attrs[name] = value


def _read_scalar(group: h5py.Group, name: str) -> Any:
    return np.asarray(group.attrs[name]).item()


def _write_array(group: h5py.Group, name: str, value: Any) -> None:
    group[name] = value


def _read_array(group: h5py.Group, name: str) -> Any:
    return group[name][()]


def _write_mask(group: h5py.Group, name: str, value: Any) -> None:
    group.create_dataset(name, data=value, compression="gzip", compression_opts=1)


def _read_mask(group: h5py.Group, name: str) -> Any:
    return group[name][()].astype(bool)


def _write_mesh(group: h5py.Group, name: str, mesh: Mesh) -> None:
    inner = group.create_group(name)
    inner.attrs["kind"] = body_class_of(mesh).kind
    for key, value in mesh.arrays().items():
        inner[key] = value


def _read_mesh(group: h5py.Group, name: str) -> Mesh:
    inner = group[name]
    mesh_class = body_class(inner.attrs["kind"]).mesh_class
    return mesh_class.from_arrays({key: value[()] for key, value in inner.items()})


def _write_psf(group: h5py.Group, name: str, psf: PSF) -> None:
    group[name] = json.dumps(psf.describe())  # a measured PSF is too large for an attribute


def _read_psf(group: h5py.Group, name: str) -> PSF:
    return psf_from_description(json.loads(group[name].asstr()[()]))


def _write_optimiser(group: h5py.Group, name: str, optimiser: LBFGS) -> None:
    inner = group.create_group(name)
    inner.attrs["shape"], inner.attrs["memory"] = optimiser.shape, optimiser.memory
    for key, value in optimiser.state_arrays().items():
        inner[key] = value


def _read_optimiser(group: h5py.Group, name: str) -> LBFGS:
    inner = group[name]
    optimiser = LBFGS(tuple(int(n) for n in inner.attrs["shape"]), memory=int(inner.attrs["memory"]))
    optimiser.load_state({key: value[()] for key, value in inner.items()})
    return optimiser


def _write_json(group: h5py.Group, name: str, value: Any) -> None:
    group[name] = json.dumps(value)  # a dataset: an attribute holds 64 KiB at most


def _read_json(group: h5py.Group, name: str) -> Any:
    return json.loads(group[name].asstr()[()])


def _write_table(group: h5py.Group, name: str, rows: Any) -> None:
    group[name] = np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS))


def _read_table(group: h5py.Group, name: str) -> list[tuple[float, ...]]:
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
