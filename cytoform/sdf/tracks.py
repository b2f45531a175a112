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
import numpy.typing as npt
from scipy import ndimage

from ..errors import CytoformError, FileFormatError, MeshError, SequenceError, VolumeError
from ..image.io import image_info, read_volume
from ..image.volume import Grid, Volume
from ..masks import SPECK
from ..mesh.io import read_mesh
from ..mesh.surface import SurfaceMesh
from ..mesh.topology import orient_outward
from .sequence import natural
from .settings import PrepareConfig, Teller
from .surface import mask_surface

__all__ = ["Bodies", "Reader", "Track"]

Bodies = list[SurfaceMesh]

_IMAGES = (".tif", ".tiff")
_MESHES = (".ply", ".obj", ".stl", ".vtp", ".rec")
_ZARR = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
_TRACK = re.compile(r"(?P<track>.+)_t(?P<time>\d+)_v")
_SIDES = (("first z", "last z"), ("first y", "last y"), ("first x", "last x"))


@dataclasses.dataclass
class Track:
    """One living shape: its bodies by frame number, and a digest of what they were made from."""

    name: str
    source: str
    frames: dict[int, Bodies] = dataclasses.field(default_factory=dict)
    digest: Any = dataclasses.field(default_factory=hashlib.sha256)


@dataclasses.dataclass
class Reader:
    """Turns any kind of source into tracks."""

    config: PrepareConfig
    spacing: float | Sequence[float] | None
    labels: Sequence[int] | None
    daughters: Mapping[int, tuple[int, int]]
    tracks: Sequence[str] | None
    name: str | None
    tell: Teller

    def read(self, source: Any) -> list[Track]:
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
        if path.is_dir() and not any((path / name).exists() for name in _ZARR):
            files = sorted((p for p in path.iterdir() if p.suffix.lower() in _IMAGES + _MESHES), key=natural)
            if not files:
                raise FileFormatError(f"{path} holds no TIFF and no mesh files; expected one for each frame.")
            return self._files(files)
        info = image_info(path)
        size = self.spacing if self.spacing is not None else info.spacing
        self.tell.start("reading", info.times)
        volumes = (read_volume(path, spacing=size, time=t) for t in range(info.times))
        return self._masks(volumes, info.times, self.name or _stem(path), str(path))

    def _files(self, files: list[Path]) -> list[Track]:
        kinds = {p.suffix.lower() for p in files}
        name = self.name or (files[0].resolve().parent.name or "sequence")
        self.tell.start("reading", len(files))
        if kinds <= set(_IMAGES):
            volumes = (read_volume(path, spacing=self.spacing) for path in files)
            return self._masks(volumes, len(files), name, str(files[0].parent))
        if kinds <= set(_MESHES):
            meshes = [read_mesh(path) for path in files]
            for path, mesh in zip(files, meshes):
                if not isinstance(mesh, SurfaceMesh):
                    raise MeshError(f"{path} is a cluster of cells; expected one closed surface.")
            return [self._meshes(name, str(files[0].parent), meshes)]  # type: ignore[arg-type]
        raise FileFormatError(f"the files have the extensions {sorted(kinds)}; expected all TIFFs, or all meshes.")

    def _array(self, array: npt.NDArray[Any]) -> list[Track]:
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
        found: dict[int, Track] = {}
        size, values = None, set()
        several = self.labels is not None or bool(self.daughters)
        frames = []
        for index, volume in enumerate(volumes):
            if size is not None and not np.allclose(size, volume.spacing, rtol=1e-6):
                raise SequenceError(
                    f"frame {index} has the voxel size {volume.spacing} µm, the frames before {size}; expected one.",
                    remedy="Resample the images, or pass the voxel size with spacing=.",
                )
            size = volume.spacing
            frames.append(_Crops.of(volume, self.labels, self.daughters))
            values |= frames[-1].values
        single = not several and len(values) <= 1
        for index, crops in enumerate(frames):
            self._one_frame(found, crops, index, name, source, single)
            self.tell.step()
        wanted = [int(v) for v in self.labels or ()]
        missing = [v for v in wanted if v not in found]
        if missing or not found:
            what = f"label {missing[0]} is in none of the {count} frames" if missing else "all masks are empty"
            raise SequenceError(f"{source}: {what}; expected an object.", remedy="Check the labels or the threshold.")
        return [found[value] for value in sorted(found)]

    def _one_frame(
        self, found: dict[int, Track], crops: _Crops, index: int, name: str, source: str, single: bool
    ) -> None:
        if single and not crops.values:
            raise SequenceError(
                f"frame {index} of {source} is empty; expected the object in every frame.",
                remedy="Leave that frame out, or cut the sequence with n_frames.",
            )
        mothers = {daughter: mother for mother, pair in self.daughters.items() for daughter in pair}
        bodies: dict[int, Bodies] = {}
        for value in sorted(crops.values):
            owner = mothers.get(value, value)
            label = name if single else f"{name}_{owner}"
            track = found.setdefault(owner, Track(label, source))
            surfaces = crops.surfaces(value, self.config, f"frame {index} of {label}", track.digest, index)
            bodies.setdefault(owner, []).extend(surfaces)
        for owner, surfaces in bodies.items():
            found[owner].frames[index] = surfaces

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

    def _from_archive(self, path: Path, data: Any, scale: npt.NDArray[Any]) -> list[Track]:
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


@dataclasses.dataclass
class _Crops:
    """The labels of one frame, cut out: value to (mask, grid, whether it touches each side)."""

    parts: dict[int, tuple[npt.NDArray[np.bool_], Grid, npt.NDArray[np.bool_]]]

    @property
    def values(self) -> set[int]:
        return set(self.parts)

    @classmethod
    def of(cls, volume: Volume, labels: Sequence[int] | None, daughters: Mapping[int, tuple[int, int]]) -> _Crops:
        data = volume.data
        if data.dtype.kind == "f" and not (data == np.rint(data)).all():
            raise VolumeError("a mask has values that are not whole numbers; expected a mask or labels.")
        data = np.asarray(data).astype(np.int64)
        if (data < 0).any():
            raise VolumeError(f"a mask has the value {int(data.min())}; expected 0 outside and labels above.")
        values, packed = np.unique(data, return_inverse=True)
        boxes = ndimage.find_objects(packed.reshape(data.shape) + (0 if values[0] == 0 else 1))
        values = values[values > 0]
        wanted = None if labels is None else {*labels, *(d for m in labels for d in daughters.get(m, ()))}
        parts = {}
        for value, box in zip(values.tolist(), boxes):
            if wanted is None or value in wanted:
                grid = volume.grid.crop([s.start for s in box], [s.stop for s in box])
                ends = [[s.start == 0, s.stop == n] for s, n in zip(box, data.shape)]
                parts[value] = data[box] == value, grid, np.array(ends)
        return cls(parts)

    def surfaces(self, value: int, config: PrepareConfig, where: str, digest: Any, index: int) -> Bodies:
        """Surfaces of the largest part, or of the two largest; what is tiny beside all of them is no daughter."""
        mask, grid, ends = self.parts[value]
        digest.update(np.packbits(mask).tobytes() + repr((index, grid)).encode())
        parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
        sizes = np.bincount(parts.ravel())[1:]
        order = np.argsort(-sizes, kind="stable")[: config.parts]
        found = []
        for number in 1 + order[(sizes[order] >= SPECK * sizes.sum()) | (order == order[0])]:
            body = parts == number
            if config.border == "error":
                _check_border(body, ends, where)
            found.append(mask_surface(body, grid))
        return found


def _check_border(body: npt.NDArray[np.bool_], ends: npt.NDArray[np.bool_], where: str) -> None:
    for axis in range(3):
        for end, index in ((0, 0), (1, -1)):
            if ends[axis, end] and np.take(body, index, axis).any():
                raise SequenceError(
                    f"{where}: the object touches the image's border at the {_SIDES[axis][end]} plane, so that its "
                    "shape is cut; expected a whole object.",
                    remedy="Leave the object out, or pass border='keep' (--border keep) to close it there.",
                )


def _stem(path: Path) -> str:
    return re.sub(r"(\.ome)?\.(tiff?|zarr)$", "", path.resolve().name, flags=re.IGNORECASE)
