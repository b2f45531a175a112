"""Masks and meshes of any source as tracks: the surfaces of one living shape, frame by frame."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._typing import Array
from ..errors import CytoformError, FileFormatError, MeshError, SequenceError, VolumeError
from ..image.formats.registry import is_image_folder, plain_stem
from ..image.series import open_series
from ..image.volume import Grid, Volume
from ..linking import Lineage
from ..mesh.io import read_mesh
from ..mesh.surface import SurfaceMesh
from ..mesh.topology import orient_outward
from .labels import Found, Labels
from .places import Contents, image_suffixes, mesh_suffixes
from .remarks import Remarks, listed
from .settings import PrepareConfig, Teller

__all__ = ["Bodies", "Reader", "Track"]

Bodies = list[SurfaceMesh]

_FEW = 8  # voxels under which a body is hardly a shape
_TRACK = re.compile(r"(?P<track>.+)_t(?P<time>\d+)_v")


@dataclasses.dataclass
class Track:
    """One living shape: its bodies by frame number, and a digest of what they were made from."""

    name: str
    source: str
    frames: dict[int, Bodies] = dataclasses.field(default_factory=dict)
    digest: Any = dataclasses.field(default_factory=hashlib.sha256)


@dataclasses.dataclass
class Reader:
    """Turns any kind of source into tracks.

    ``reading`` holds what image readers are given (channel, axes, series). After :meth:`read`, ``remarks`` holds what
    was left out, and ``frame_interval`` the seconds between frames, where the source tells.
    """

    config: PrepareConfig
    spacing: float | Sequence[float] | None
    labels: Sequence[int] | None
    lineage: Lineage
    tracks: Sequence[str] | None
    name: str | None
    tell: Teller
    reading: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    remarks: Remarks = dataclasses.field(default_factory=Remarks)
    frame_interval: float | None = None

    def read(self, source: Any) -> list[Track]:
        """The tracks of a source.

        Raises
        ------
        SequenceError, VolumeError, MeshError, FileFormatError
        """
        if isinstance(source, (str, os.PathLike)):
            return self._path(Path(source))
        if isinstance(source, np.ndarray):
            return self._array(source)
        items = list(source)
        if not items:
            raise SequenceError("source is an empty list; expected one mask or mesh for each frame.")
        if all(isinstance(item, SurfaceMesh) for item in items):
            return [self._meshes(self.name or "sequence", "meshes in memory", items)]
        if all(isinstance(item, (str, os.PathLike)) for item in items):
            return self._files([Path(item) for item in items])
        raise SequenceError(
            f"source is a list of {type(items[0]).__name__}; expected paths or SurfaceMesh, one for each frame.",
            remedy="Stack masks to one array (t, z, y, x).",
        )

    def _path(self, path: Path) -> list[Track]:
        if path.suffix.lower() == ".npz":
            return self._archive(path)
        if path.is_dir() and not is_image_folder(path):
            contents = Contents.of(path)
            if contents.others:
                self.remarks.sources[f"{path} also holds {listed(contents.others)}: left out."] = None
            return self._files(contents.files) if len(contents.files) > 1 else self._path(contents.files[0])
        if path.suffix.lower() in mesh_suffixes():
            return self._files([path])
        if path.suffix.lower() in (".h5", ".hdf5", ".mat"):
            raise FileFormatError(
                f"{path} may be a sequence of signed distances already; expected masks or meshes.",
                remedy="Pass it to neural train as it is, or prepare from the masks.",
            )
        options, channel = self._options()
        with open_series(path, **options) as series:
            self.frame_interval = series.frame_interval if series.times > 1 else None
            self.tell.start("reading", series.times)
            return self._masks(series.volumes(channel=channel), series.times, self.name or plain_stem(path), str(path))

    def _options(self) -> tuple[dict[str, Any], int | None]:
        """How image files are opened, and the channel that is read of them."""
        options = {"spacing": self.spacing, **self.reading}
        return options, options.pop("channel", None)

    def _files(self, files: list[Path]) -> list[Track]:
        kinds = {p.suffix.lower() for p in files}
        name = self.name or (files[0].resolve().parent.name or "sequence")
        if len(files) == 1 and not self.name:
            name = plain_stem(files[0])
        if skipped := _skipped(files):
            told = f"{files[0].parent}: no file has the number {listed(skipped)}; frames are taken as evenly spaced"
            self.remarks.sources[f"{told} all the same."] = None
        self.tell.start("reading", len(files))
        if kinds <= set(image_suffixes()):
            return self._masks((self._frame(path) for path in files), len(files), name, str(files[0].parent))
        if kinds <= set(mesh_suffixes()):
            meshes = [read_mesh(path) for path in files]
            for path, mesh in zip(files, meshes):
                if not isinstance(mesh, SurfaceMesh):
                    raise MeshError(f"{path} is a cluster of cells; expected one closed surface.")
            return [self._meshes(name, str(files[0].parent), meshes)]  # type: ignore[arg-type]
        raise FileFormatError(
            f"the files have the extensions {', '.join(sorted(kinds))}; expected all of one kind: images "
            f"({', '.join(image_suffixes())}) or meshes ({', '.join(mesh_suffixes())}), one a frame.",
            remedy="Pass the files of one kind.",
        )

    def _frame(self, path: Path) -> Volume:
        """One of several files, which holds one frame."""
        options, channel = self._options()
        with open_series(path, **options) as series:
            if series.times > 1:
                raise SequenceError(
                    f"{path} has {series.times} time points; expected one 3D image in each of several files.",
                    remedy="Pass that file alone: an OME-TIFF of many files is read from any one of them, and of "
                    "several movies each is prepared on its own.",
                )
            return series.volume(channel=channel)

    def _array(self, array: Array) -> list[Track]:
        if array.ndim != 4:
            raise SequenceError(f"source has shape {array.shape}; expected (t, z, y, x).")
        if self.spacing is None:
            raise VolumeError(
                "masks came as an array without a voxel size; expected micrometres along z, y and x.",
                remedy="Pass spacing=(dz, dy, dx).",
            )
        self.tell.start("reading", len(array))
        volumes = (Volume(frame, self.spacing) for frame in array)  # type: ignore[arg-type]
        return self._masks(volumes, len(array), self.name or "sequence", "array in memory")

    def _masks(self, volumes: Iterator[Volume], count: int, name: str, source: str) -> list[Track]:
        frames = self._labels(volumes, source)
        values = {value for labels in frames for value in labels.crops}
        single = self.labels is None and not self.lineage and len(values) <= 1
        found: dict[int, Track] = {}
        for index, labels in enumerate(frames):
            self._one_frame(found, labels, index, name, source, single)
            self.tell.step()
        missing = [v for v in map(int, self.labels or ()) if v not in found]
        if missing or not found:
            what = f"label {missing[0]} is in none of the {count} frames" if missing else "all masks are empty"
            raise SequenceError(f"{source}: {what}; expected an object.", remedy="Check the labels or the threshold.")
        whole = [found[value] for value in sorted(found) if found[value].frames]
        if not whole:
            raise SequenceError(
                f"{source}: no object is whole in any frame; expected one inside of the image.",
                remedy=self.remarks.border_told(),
            )
        return whole

    def _labels(self, volumes: Iterator[Volume], source: str) -> list[Labels]:
        """The labels of all frames, which have one voxel size."""
        frames: list[Labels] = []
        first: Volume | None = None
        for index, volume in enumerate(volumes):
            if first is not None and not np.allclose(first.spacing, volume.spacing, rtol=1e-6):
                raise SequenceError(
                    f"frame {index} has the voxel size {volume.spacing} µm, the frames before {first.spacing}; "
                    "expected one.",
                    remedy="Resample the images, or pass the voxel size with spacing= (--spacing).",
                )
            if first is not None and first.shape != volume.shape:
                told = f"The images of {source} differ in size, {first.shape} and {volume.shape} (z, y, x)"
                self.remarks.sources[f"{told}: are they of one movie?"] = None
            first = first or volume
            frames.append(Labels.of(volume, self.labels, self.lineage, f"frame {index} of {source}"))
            self.remarks.unset += frames[-1].unset > 0
        return frames

    def _one_frame(
        self, found: dict[int, Track], labels: Labels, index: int, name: str, source: str, single: bool
    ) -> None:
        if single and not labels.crops:
            raise SequenceError(
                f"frame {index} of {source} is empty; expected the object in every frame.",
                remedy="Leave that frame out, or cut the sequence with n_frames (--frames).",
            )
        border = self.config.border
        if border == "auto":
            border = "error" if single else "skip"
        told: dict[int, list[Found]] = {}
        for value in sorted(labels.crops):
            owner, crop = self.lineage.track(value), labels.crops[value]
            label = name if single else f"{name}_{owner}"
            track = found.setdefault(owner, Track(label, source))
            track.digest.update(crop.digest(index))
            told.setdefault(owner, []).append(crop.found(self.config.parts, border, f"frame {index} of {label}"))
        for owner, each in told.items():
            if self._whole(each, found[owner].name, index):
                found[owner].frames[index] = [body for one in each for body in one.bodies]

    def _whole(self, each: list[Found], name: str, index: int) -> bool:
        """Whether a frame of a track is used; what is left out of it is noted."""
        side = next((one.side for one in each if one.side), "")
        if side:
            self.remarks.border.setdefault(name, {})[index] = side
            return False
        left, specks = max(one.left_out for one in each), max(one.specks for one in each)
        if left:
            self.remarks.parts.setdefault(name, {})[index] = max(one.parts for one in each), left
        if specks:
            self.remarks.specks.setdefault(name, {})[index] = specks
        voxels = min(one.voxels for one in each)
        if voxels < _FEW:
            self.remarks.small.setdefault(name, {})[index] = voxels
        return True

    def _meshes(self, name: str, source: str, meshes: Sequence[SurfaceMesh]) -> Track:
        track = Track(name, source)
        for index, mesh in enumerate(meshes):
            track.frames[index] = [orient_outward(mesh)]
            track.digest.update(np.ascontiguousarray(mesh.vertices).tobytes() + mesh.faces.tobytes())
            self.tell.step()
        return track

    def _archive(self, path: Path) -> list[Track]:
        if self.spacing is None:
            raise MeshError(
                f"{path} holds vertices without a unit; expected their scale in µm.",
                remedy="Pass spacing=, for example 0.133, or 1 where they are µm.",
            )
        scale = np.asarray(Grid((1, 1, 1), self.spacing).spacing)  # type: ignore[arg-type]
        try:
            with np.load(path, allow_pickle=False) as data:
                return self._from_archive(path, data, scale)
        except CytoformError:
            raise
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise FileFormatError(f"{path} cannot be read as .npz: {error}.", remedy="Is it complete?") from error

    def _from_archive(self, path: Path, data: Any, scale: Array) -> list[Track]:
        found: dict[str, Track] = {}
        keys = sorted((m["track"], int(m["time"]), m.string[:-2]) for k in data.files if (m := _TRACK.fullmatch(k)))
        if not keys:
            raise FileFormatError(f"{path} holds no arrays <track>_t<MM>_v and _f; it holds {data.files[:6]}.")
        missing = set(self.tracks or ()) - {track for track, _, _ in keys}
        if missing:
            raise SequenceError(f"{path} has no track {sorted(missing)[0]!r}; it has {keys[0][0]} to {keys[-1][0]}.")
        keys = [key for key in keys if self.tracks is None or key[0] in self.tracks]
        self.tell.start("reading", len(keys))
        for label, index, key in keys:
            vertices, faces = np.asarray(data[f"{key}_v"], dtype=np.float64), data[f"{key}_f"]
            mesh = orient_outward(SurfaceMesh(vertices[:, ::-1] * scale, faces))  # (x, y, z) on disk
            track = found.setdefault(label, Track(label, str(path)))
            track.frames[index] = [mesh]
            track.digest.update(mesh.vertices.tobytes() + mesh.faces.tobytes())
            self.tell.step()
        return list(found.values())


def _skipped(files: Sequence[Path]) -> list[str]:
    """Numbers that are missing among files that are numbered one by one, (at most eight)."""
    found = [re.findall(r"\d+", path.stem) for path in files]
    if len(files) < 2 or not all(found):
        return []
    numbers = [int(f[-1]) for f in found]
    steps = np.diff(numbers)
    if not (steps > 0).all() or len(set(steps.tolist())) == 1:
        return []
    return [str(n) for n in range(numbers[0], numbers[-1] + 1) if n not in numbers][:8]
