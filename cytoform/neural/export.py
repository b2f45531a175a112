"""Files of decoded shapes: signed distances, masks, meshes and points, in µm; in voxels without a metric scale.

All of one cell share a frame of reference, whose origin is the middle of the box: meshes and points have negative
coordinates too, and masks carry where their first voxel is (``xorigin``, ``yorigin``, ``zorigin`` in voxels in an
ImageJ TIFF, positions of the planes in an OME-TIFF).
"""

from __future__ import annotations

import logging
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._typing import Floats32
from ..atomic import atomic_path, ensure_folder, write_bytes
from ..errors import ConfigError, OutputError
from ..mesh.geometry import vertex_normals
from ..mesh.io import write_mesh
from ..mesh.surface import SurfaceMesh
from ..sdf.frames import field_mesh
from ..sdf.sequence import SDFSequence, SequenceInfo, open_sequence, write_sequence

__all__ = ["FORMATS", "Writer"]

_LOG = logging.getLogger(__name__)

_IMAGEJ_BYTES = 2**32 - 2**25  # of voxels; ImageJ's TIFF counts its bytes with 32 bits, and needs some for its heads

FORMATS = ("h5", "mat", "mask", "mesh", "points")

Frames = Iterable[Floats32]


class Writer:
    """Writes each decoded sequence in all formats asked for, one frame in memory at a time.

    The first format to be written is one of signed distances, from which the others are made; where none was asked
    for, it is a temporary file beside the results.

    Raises
    ------
    ConfigError
        For an unknown format.
    OutputError
        When a file is there already and ``overwrite`` is not set, or the place cannot be written.
    """

    def __init__(self, folder: Path, formats: Sequence[str], *, overwrite: bool, names: Sequence[str]) -> None:
        unknown = sorted(set(formats) - set(FORMATS))
        if unknown or not formats:
            raise ConfigError(f"formats is {list(formats)!r}; expected some of {', '.join(FORMATS)}.")
        self.folder, self.formats = ensure_folder(folder), list(dict.fromkeys(formats))
        self.written: list[Path] = []
        taken = [p for name in names for f in self.formats if (p := self._place(name, f)).exists()]
        if taken and not overwrite:
            raise OutputError(
                f"{taken[0]} exists already ({len(taken)} files in all).",
                remedy="Choose another folder, or pass overwrite.",
            )

    def _place(self, name: str, form: str) -> Path:
        name = _file_name(name)
        if form in ("h5", "mat"):
            return self.folder / f"{name}.{form}"
        return self.folder / (f"{name}_mask.tif" if form == "mask" else f"{name}_{form}")

    def write(self, name: str, frames: Frames, shape: tuple[int, ...], info: SequenceInfo) -> None:
        """Write one sequence; ``frames`` is gone through once."""
        first, *others = sorted(self.formats, key=lambda f: f not in ("h5", "mat"))
        if first in ("h5", "mat"):
            place = self._place(name, first)
            write_sequence(place, frames, shape, info)
            self.written.append(place)
            if others:
                self._others(name, place, others)
            return
        with tempfile.TemporaryDirectory(prefix=".decoding-", dir=self.folder) as held:
            place = Path(held) / "frames.h5"
            write_sequence(place, frames, shape, info)
            self._others(name, place, [first, *others])

    def _others(self, name: str, source: Path, formats: Sequence[str]) -> None:
        with open_sequence(source, check=False) as sequence:  # a poor network's answer is told by its reader
            if sequence.info.spacing is None and set(formats) - {"h5", "mat"}:
                _LOG.info("%s carries no metric scale: lengths in its masks and meshes are in voxels.", name)
            for form in formats:
                place = self._place(name, form)
                if form in ("h5", "mat"):
                    sequence.save(place)
                elif form == "mask":
                    _write_masks(place, sequence)
                else:
                    _write_surfaces(place, _file_name(name), sequence, points=form == "points")
                self.written.append(place)


def _file_name(name: str) -> str:
    """A sequence's name without what would lead out of the folder or what file systems refuse."""
    return re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", name).lstrip(".") or "sequence"


def _write_masks(place: Path, sequence: SDFSequence) -> None:
    import tifffile

    planes = ((plane < 0).astype(np.uint8) for frame in sequence for plane in frame)
    small = math.prod(sequence.shape) <= _IMAGEJ_BYTES
    about = {"axes": "TZYX"} | (_imagej if small else _ome)(sequence)
    options: dict[str, Any] = {"imagej": True} if small else {"ome": True, "bigtiff": True}
    if small and sequence.info.spacing is not None:
        options["resolution"] = tuple(1.0 / size for size in sequence.info.spacing[:0:-1])  # x, y
    with atomic_path(place) as temporary:
        tifffile.imwrite(
            temporary, planes, shape=sequence.shape, dtype=np.uint8, metadata=about, compression="zlib", **options
        )


def _imagej(sequence: SDFSequence) -> dict[str, Any]:
    info, grid = sequence.info, sequence.grid
    # ImageJ counts its origin in voxels: position = (index - origin) * size.
    found = {f"{a}origin": repr(-place / size) for a, place, size in zip("zyx", grid.origin, grid.spacing) if place}
    if info.spacing is not None:
        found |= {"spacing": info.spacing[0], "unit": "um"}
    return found if info.time_step is None else found | {"finterval": info.time_step}


def _ome(sequence: SDFSequence) -> dict[str, Any]:
    info, grid, found = sequence.info, sequence.grid, {}
    for axis, size in zip("ZYX", info.spacing or ()):
        found |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    if info.spacing is not None:
        z, y, x = grid.origin
        heights = [z + k * info.spacing[0] for k in range(grid.shape[0])] * len(sequence)
        count = len(heights)
        places = {"X": [x] * count, "Y": [y] * count, "Z": heights}
        found["Plane"] = {f"Position{a}": values for a, values in places.items()}
        found["Plane"] |= {f"Position{a}Unit": ["µm"] * count for a in places}
    return found if info.time_step is None else found | {"TimeIncrement": info.time_step, "TimeIncrementUnit": "s"}


def _write_surfaces(folder: Path, name: str, sequence: SDFSequence, *, points: bool) -> None:
    ensure_folder(folder)
    for old in folder.glob("*.ply"):  # of a longer sequence, that this one replaces
        if re.fullmatch(rf"{re.escape(name)}_t\d+\.ply", old.name):
            old.unlink()
    for index, mesh in enumerate(_meshes(sequence)):
        if mesh is None:
            _LOG.warning("frame %d of %s has no surface: nothing is written for it.", index, name)
            continue
        place = folder / f"{name}_t{index:02d}.ply"
        if points:
            _write_points(place, mesh)
        elif sequence.info.spacing is None:
            _write_in_voxels(place, mesh)
        else:
            write_mesh(place, mesh)


def _meshes(sequence: SDFSequence) -> Iterator[SurfaceMesh | None]:
    return (field_mesh(frame, sequence.grid) for frame in sequence)


def _write_in_voxels(place: Path, mesh: SurfaceMesh) -> None:
    """Binary PLY, (x, y, z), that does not claim to be in µm as those of :func:`write_mesh` do."""
    head = "ply\nformat binary_little_endian 1.0\ncomment cytoform, (x, y, z) in voxels\n"
    head += f"element vertex {len(mesh.vertices)}\n" + "".join(f"property double {a}\n" for a in "xyz")
    head += f"element face {len(mesh.faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    table = np.zeros(len(mesh.faces), dtype=[("n", "u1"), ("corners", "<i4", 3)])
    table["n"], table["corners"] = 3, mesh.faces
    write_bytes(place, head.encode("ascii") + mesh.vertices[:, ::-1].astype("<f8").tobytes() + table.tobytes())


def _write_points(place: Path, mesh: SurfaceMesh) -> None:
    """Vertices of the surface with their normals, (x, y, z), as binary PLY."""
    normals = vertex_normals(mesh.vertices, mesh.faces)
    rows = np.hstack([mesh.vertices[:, ::-1], normals[:, ::-1]]).astype("<f4")
    names = "".join(f"property float {n}\n" for n in ("x", "y", "z", "nx", "ny", "nz"))
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(rows)}\n{names}end_header\n"
    write_bytes(place, head.encode("ascii") + rows.tobytes())
