"""Files of decoded shapes: signed distances, masks, meshes and points, in µm; in voxels without a metric scale.

All files of one cell have the same coordinate system, whose origin is the centre of the box: meshes and points have
negative coordinates too, and masks store where their first voxel is (``xorigin``, ``yorigin``, ``zorigin`` in voxels in
an ImageJ TIFF, positions of the planes in an OME-TIFF).
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

__all__ = ["FORMATS", "SequenceWriter"]

_LOG = logging.getLogger(__name__)

_IMAGEJ_BYTES = 2**32 - 2**25  # of voxels; ImageJ's TIFF counts its bytes with 32 bits, and needs some for its headers

FORMATS = ("h5", "mat", "mask", "mesh", "points")


class SequenceWriter:
    """Writer of decoded sequences in all formats asked for, with one frame in memory at a time.

    Distances are written first, and the other formats are made from their file; where no format of distances was asked
    for, it is a temporary file beside the results.

    Parameters
    ----------
    folder : Path
        Folder for the files, made if it does not exist.
    formats : sequence of str
        Some of ``h5``, ``mat`` (distances), ``mask`` (TIFF), ``mesh``, ``points`` (a PLY for each frame).
    overwrite : bool
        Replace files that exist.
    names : sequence of str
        Names of all sequences that will be written.

    Attributes
    ----------
    written : list of Path
        Files, and folders of meshes and points, written so far.

    Raises
    ------
    ConfigError
        For an unknown format.
    OutputError
        When a file exists already and ``overwrite`` is not set, or the folder cannot be written.
    """

    def __init__(self, folder: Path, formats: Sequence[str], *, overwrite: bool, names: Sequence[str]) -> None:
        unknown = sorted(set(formats) - set(FORMATS))
        if unknown or not formats:
            raise ConfigError(f"formats is {list(formats)!r}; expected some of {', '.join(FORMATS)}.")
        self.folder, self.formats = ensure_folder(folder), list(dict.fromkeys(formats))
        self.written: list[Path] = []
        taken = [p for name in names for f in self.formats if (p := self._path(name, f)).exists()]
        if taken and not overwrite:
            raise OutputError(
                f"{taken[0]} exists already ({len(taken)} files in all).",
                remedy="Choose another folder, or pass overwrite.",
            )

    def _path(self, name: str, file_format: str) -> Path:
        """Return the path of a sequence's file in a format, or of its folder for ``mesh`` and ``points``."""
        name = _file_name(name)
        if file_format in ("h5", "mat"):
            return self.folder / f"{name}.{file_format}"
        return self.folder / (f"{name}_mask.tif" if file_format == "mask" else f"{name}_{file_format}")

    def write(self, name: str, frames: Iterable[Floats32], shape: tuple[int, ...], info: SequenceInfo) -> None:
        """Write one sequence in all formats.

        Parameters
        ----------
        name : str
            Of the sequence, from which the file names are made.
        frames : iterable of (z, y, x) float32
            Signed distances of each frame, taken one after the other, once.
        shape : (4,) int
            Number of frames, and samples along z, y and x.
        info : SequenceInfo
            Voxel size, time step and other metadata.

        Raises
        ------
        OutputError
            When a file cannot be written.
        """
        first, *further = sorted(self.formats, key=lambda f: f not in ("h5", "mat"))
        if first in ("h5", "mat"):
            path = self._path(name, first)
            write_sequence(path, frames, shape, info)
            self.written.append(path)
            if further:
                self._convert(name, path, further)
            return
        with tempfile.TemporaryDirectory(prefix=".decoding-", dir=self.folder) as temporary:
            path = Path(temporary) / "frames.h5"
            write_sequence(path, frames, shape, info)
            self._convert(name, path, [first, *further])

    def _convert(self, name: str, source: Path, formats: Sequence[str]) -> None:
        """Write a sequence of distances, read from the file ``source``, in further formats, under the given name."""
        with open_sequence(source, check=False) as sequence:  # bad distances are reported to whoever reads the file
            if sequence.info.spacing is None and set(formats) - {"h5", "mat"}:
                _LOG.info("%s carries no metric scale: lengths in its masks and meshes are in voxels.", name)
            for file_format in formats:
                path = self._path(name, file_format)
                if file_format in ("h5", "mat"):
                    sequence.save(path)
                elif file_format == "mask":
                    _write_masks(path, sequence)
                else:
                    _write_surfaces(path, _file_name(name), sequence, points=file_format == "points")
                self.written.append(path)


def _file_name(name: str) -> str:
    """Return a sequence's name with characters that file systems refuse replaced by ``_``, without leading dots."""
    return re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", name).lstrip(".") or "sequence"


def _write_masks(path: Path, sequence: SDFSequence) -> None:
    """Write the masks (distance < 0) of all frames as one TIFF (t, z, y, x) of 0 and 1, plane by plane.

    It is an ImageJ TIFF with voxel size and origin, or an OME-TIFF where the voxels need more than about 4 GB.
    """
    import tifffile

    planes = ((plane < 0).astype(np.uint8) for frame in sequence for plane in frame)
    small = math.prod(sequence.shape) <= _IMAGEJ_BYTES
    metadata = {"axes": "TZYX"} | (_imagej_metadata if small else _ome_metadata)(sequence)
    options: dict[str, Any] = {"imagej": True} if small else {"ome": True, "bigtiff": True}
    if small and sequence.info.spacing is not None:
        options["resolution"] = tuple(1.0 / size for size in sequence.info.spacing[:0:-1])  # x, y
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary, planes, shape=sequence.shape, dtype=np.uint8, metadata=metadata, compression="zlib", **options
        )


def _imagej_metadata(sequence: SDFSequence) -> dict[str, Any]:
    """Return origin, voxel size and time step of a sequence as ImageJ's TIFF tags name them."""
    info, grid = sequence.info, sequence.grid
    # ImageJ counts its origin in voxels: position = (index - origin) * size.
    found: dict[str, Any] = {
        f"{a}origin": repr(-first / size) for a, first, size in zip("zyx", grid.origin, grid.spacing) if first
    }
    if info.spacing is not None:
        found |= {"spacing": info.spacing[0], "unit": "um"}
    return found if info.time_step is None else found | {"finterval": info.time_step}


def _ome_metadata(sequence: SDFSequence) -> dict[str, Any]:
    """Return voxel size, positions of the planes and time step of a sequence as OME-XML names them."""
    info, grid = sequence.info, sequence.grid
    found: dict[str, Any] = {}
    for axis, size in zip("ZYX", info.spacing or ()):
        found |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    if info.spacing is not None:
        z, y, x = grid.origin
        heights = [z + k * info.spacing[0] for k in range(grid.shape[0])] * len(sequence)
        count = len(heights)
        positions = {"X": [x] * count, "Y": [y] * count, "Z": heights}
        found["Plane"] = {f"Position{a}": values for a, values in positions.items()}
        found["Plane"] |= {f"Position{a}Unit": ["µm"] * count for a in positions}
    return found if info.time_step is None else found | {"TimeIncrement": info.time_step, "TimeIncrementUnit": "s"}


def _write_surfaces(folder: Path, name: str, sequence: SDFSequence, *, points: bool) -> None:
    """Write the surface of each frame into a folder, as ``NAME_tNN.ply``, and delete such files of an earlier sequence.

    The surface is a mesh or, with ``points``, its vertices with their normals. Frames without a surface are skipped
    with a warning.
    """
    ensure_folder(folder)
    for old in folder.glob("*.ply"):  # of a longer sequence that this one replaces
        if re.fullmatch(rf"{re.escape(name)}_t\d+\.ply", old.name):
            old.unlink()
    for index, mesh in enumerate(_meshes(sequence)):
        if mesh is None:
            _LOG.warning("frame %d of %s has no surface: nothing is written for it.", index, name)
            continue
        path = folder / f"{name}_t{index:02d}.ply"
        if points:
            _write_ply_points(path, mesh)
        elif sequence.info.spacing is None:
            _write_ply_in_voxels(path, mesh)
        else:
            write_mesh(path, mesh)


def _meshes(sequence: SDFSequence) -> Iterator[SurfaceMesh | None]:
    """Yield the surface of each frame as a mesh, None for a frame without a surface."""
    return (field_mesh(frame, sequence.grid) for frame in sequence)


def _write_ply_in_voxels(path: Path, mesh: SurfaceMesh) -> None:
    """Write a mesh without a metric scale as binary PLY, (x, y, z), with a comment that its coordinates are in voxels.

    The files of :func:`write_mesh` say that they are in µm.
    """
    head = "ply\nformat binary_little_endian 1.0\ncomment cytoform, (x, y, z) in voxels\n"
    head += f"element vertex {len(mesh.vertices)}\n" + "".join(f"property double {a}\n" for a in "xyz")
    head += f"element face {len(mesh.faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    table = np.zeros(len(mesh.faces), dtype=[("n", "u1"), ("corners", "<i4", 3)])
    table["n"], table["corners"] = 3, mesh.faces
    write_bytes(path, head.encode("ascii") + mesh.vertices[:, ::-1].astype("<f8").tobytes() + table.tobytes())


def _write_ply_points(path: Path, mesh: SurfaceMesh) -> None:
    """Write the vertices of a mesh with their normals, (x, y, z), as binary PLY."""
    normals = vertex_normals(mesh.vertices, mesh.faces)
    rows = np.hstack([mesh.vertices[:, ::-1], normals[:, ::-1]]).astype("<f4")
    names = "".join(f"property float {n}\n" for n in ("x", "y", "z", "nx", "ny", "nz"))
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(rows)}\n{names}end_header\n"
    write_bytes(path, head.encode("ascii") + rows.tobytes())
