"""Scenes in one HDF5 file: a group for each body, with its kind and its arrays."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from .._typing import PathLike
from ..atomic import atomic_path
from ..errors import FileFormatError
from .filaments import Filaments
from .multimaterial import MultiMaterialMesh
from .points import PointSet
from .scene import Scene
from .surface import SurfaceMesh
from .tetrahedra import TetrahedralMesh

__all__ = ["read_scene", "write_scene"]

KINDS: dict[str, Any] = {
    kind.__name__: kind for kind in (SurfaceMesh, MultiMaterialMesh, PointSet, Filaments, TetrahedralMesh)
}
FORMAT = "cytoform scene"


def write_scene(path: PathLike, scene: Scene) -> None:
    """Write a scene into one HDF5 file, whole or not at all.

    Every body is a group with the attributes `name` and `kind` and its fields as datasets; positions are in µm, (z, y,
    x).

    Parameters
    ----------
    path : path
        The file, such as ``scene.h5``.
    scene : Scene
        The bodies.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["axes"], file.attrs["unit"] = "zyx", "µm"
        for number, (name, body) in enumerate(scene.bodies.items()):
            group = file.create_group(f"body{number:05d}")
            group.attrs["name"], group.attrs["kind"] = name, type(body).__name__
            for field, values in body.arrays().items():
                group.create_dataset(field, data=values, compression="gzip", shuffle=True)


def read_scene(path: PathLike) -> Scene:
    """Read a scene that :func:`write_scene` has written.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    Scene
        The bodies under their names, in the order in which they were written.

    Raises
    ------
    FileFormatError
        If the file is damaged, is no scene, or a body is of an unknown kind.
    MeshError
        If a body's arrays do not fit together.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise FileFormatError(
                    f"{path} is an HDF5 file, but no scene.",
                    remedy="Pass a file that cytoform.write_scene has written.",
                )
            found = {}
            for key in sorted(file):
                group = file[key]
                kind = str(group.attrs["kind"])
                if kind not in KINDS:
                    raise FileFormatError(f"{path}: a body is a {kind!r}; expected one of {', '.join(KINDS)}.")
                arrays = {field: np.asarray(values) for field, values in group.items()}
                found[str(group.attrs["name"])] = KINDS[kind](**arrays)
            return Scene(found)
    except (OSError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path} cannot be read as a scene: {error}.") from error
