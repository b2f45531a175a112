"""From masks or meshes of living cells to aligned sequences of signed distances, one file a cell."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import os
import re
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .. import __version__
from ..atomic import ensure_folder
from ..errors import ConfigError, CytoformError, FileFormatError, MeshError, OutputError, SequenceError, VolumeError
from ..image.io import image_info, read_volume
from ..image.volume import Grid, Volume
from ..masks import SPECK
from ..mesh.io import read_mesh
from ..mesh.surface import SurfaceMesh
from ..mesh.topology import orient_outward
from .align import align_track, followed
from .distance import mesh_sdf
from .sequence import SequenceInfo, natural, open_sequence, write_sequence
from .surface import mask_surface

__all__ = ["PrepareConfig", "PrepareProgress", "prepare"]

Source = Any
Bodies = list[SurfaceMesh]

_LOG = logging.getLogger(__name__)
_MARGIN = 0.1  # of the largest body's reach, around it
_CLAMP = 0.25  # of the box
_IMAGES = (".tif", ".tiff")
_MESHES = (".ply", ".obj", ".stl", ".vtp", ".rec")
_ZARR = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
_TRACK = re.compile(r"(?P<track>.+)_t(?P<time>\d+)_v")
_SIDES = (("first z", "last z"), ("first y", "last y"), ("first x", "last x"))


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
    """Settings of :func:`prepare`, which stores them in the files.

    Parameters
    ----------
    shape : int
        Samples along each side of the cube.
    box_um : float, optional
        Side of the cube, µm, ``shape`` samples long; by default the smallest, common to all sequences of a call, that
        leaves a tenth around the largest body.
    clamp_um : float, optional
        Largest distance outside, µm; a quarter of the box by default.
    align : bool
        Turn bodies onto their principal axes. They are centred in any case.
    parts : int
        Bodies that a frame of a mask without labels may have: its largest, or its two largest after a division. A
        second one smaller than a fiftieth of all that is inside is a speck and left out.
    border : "error" or "keep"
        What to do with an object that touches the image's border: it is cut there.
    n_frames : int, optional
        Cut sequences to their first frames.
    min_frames : int
        Leave out shorter sequences; at least 2.
    time_step : float, optional
        Seconds between frames.

    Raises
    ------
    ConfigError
        When an option is out of its range.
    """

    shape: int = 64
    box_um: float | None = None
    clamp_um: float | None = None
    align: bool = True
    parts: int = 1
    border: Literal["error", "keep"] = "error"
    n_frames: int | None = None
    min_frames: int = 2
    time_step: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("shape", 4), ("n_frames", 2), ("min_frames", 2)):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, np.integer)) and value >= least):
                raise ConfigError(f"{name} is {value!r}; expected a whole number, at least {least}.")
        for name in ("box_um", "clamp_um", "time_step"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} is {value!r}; expected a positive number, or None.")
        if self.parts not in (1, 2):
            raise ConfigError(f"parts is {self.parts!r}; expected 1, or 2 for a cell that divides.")
        if self.border not in ("error", "keep"):
            raise ConfigError(f"border is {self.border!r}; expected 'error' or 'keep'.")


@dataclasses.dataclass(frozen=True)
class PrepareProgress:
    """How far :func:`prepare` is: ``stage`` is "reading" or "distances", ``seconds_left`` that of the stage."""

    stage: str
    done: int
    total: int
    seconds_left: float | None


@dataclasses.dataclass
class _Track:
    """One living shape: its bodies by frame number, and a digest of what they were made from."""

    name: str
    source: str
    frames: dict[int, Bodies] = dataclasses.field(default_factory=dict)
    digest: Any = dataclasses.field(default_factory=hashlib.sha256)


def prepare(
    source: Source,
    out: str | os.PathLike[str],
    *,
    spacing: float | Sequence[float] | None = None,
    labels: Sequence[int] | None = None,
    daughters: Mapping[int, tuple[int, int]] | None = None,
    tracks: Sequence[str] | None = None,
    name: str | None = None,
    suffix: Literal[".h5", ".mat"] = ".h5",
    overwrite: bool = False,
    progress: Callable[[PrepareProgress], None] | None = None,
    **settings: Any,
) -> list[Path]:
    """Make sequences of signed distances from masks or meshes in time, one file each.

    Every frame's object (the largest connected part of a mask) gets a smooth surface, is centred at its centroid,
    turned onto its principal axes without flips from frame to frame (two daughters: see
    :func:`cytoform.sdf.align.align_track`), and its exact signed distance is sampled on a cube that is the same for all
    sequences of the call.

    Parameters
    ----------
    source : path, list or array
        Masks: a TIFF or OME-Zarr of (t, z, y, x), a folder or list of 3D TIFFs, one a frame, in natural order, or an
        array (t, z, y, x). Where there is more than one value besides 0, each label is one sequence.
        Meshes: a list of closed SurfaceMesh or mesh files, one a frame, or an ``.npz`` of ``<track>_t<MM>_v``, (n, 3)
        vertices (x, y, z), and ``<track>_t<MM>_f``, faces.
    out : path
        Folder for the files, named after the tracks.
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x); by default the file's own. Needed for arrays and ``.npz``.
    labels : list of int, optional
        Only these labels.
    daughters : mapping of label to two labels, optional
        ``{mother: (daughter, daughter)}``: the mother's sequence goes on with both.
    tracks : list of str, optional
        Only these tracks of an ``.npz``.
    name : str, optional
        Name of the sequence, or what the names of labels begin with; the file's by default.
    suffix : ".h5" or ".mat"
    overwrite : bool
        Replace files made with other settings or from other shapes. Files made with the same are kept as they are.
    progress : callable, optional
        Called with a :class:`PrepareProgress`.
    **settings
        Those of :class:`PrepareConfig`.

    Returns
    -------
    list of Path
        The files, also those that were there already.

    Raises
    ------
    SequenceError
        When an object is missing in a frame or touches the border, nothing is long enough, voxel sizes differ, or a
        body does not fit the box.
    VolumeError, MeshError, FileFormatError
        When an image or a mesh cannot be used.
    OutputError
        When a file is in the way. Nothing is overwritten.
    """
    try:
        config = PrepareConfig(**settings)
    except TypeError as error:
        raise ConfigError(f"{error}; expected those of PrepareConfig.") from error
    if suffix not in (".h5", ".mat"):
        raise ConfigError(f"suffix is {suffix!r}; expected '.h5' or '.mat'.")
    tell = _Teller(progress)
    found = _Reader(config, spacing, labels, daughters or {}, tracks, name, tell).read(source)
    runs = _long_enough(found, config)
    if config.parts > 1 and not daughters:  # labels know already who is who
        runs = {label: followed(frames) for label, frames in runs.items()}
    aligned = {label: align_track(frames, rotate=config.align) for label, frames in runs.items()}
    box = _box(aligned, config)
    clamp = _CLAMP * box if config.clamp_um is None else float(config.clamp_um)
    digests = {track.name: track.digest.hexdigest() for track in found}
    sources = {track.name: track.source for track in found}
    folder = ensure_folder(out)
    jobs = []
    for label, frames in aligned.items():
        made = {**dataclasses.asdict(config), "box_um": box, "clamp_um": clamp, "input": digests[label]}
        text = json.dumps({"made_by": "cytoform prepare", "from": sources[label], "settings": made}, sort_keys=True)
        path = folder / f"{_plain(label)}{suffix}"
        if overwrite or not _is_there(path, text):
            info = SequenceInfo(_size(box, config), config.time_step, clamp, label, text)
            jobs.append((path, frames, info))
    tell.start("distances", sum(len(frames) for _, frames, _ in jobs))
    for path, frames, info in jobs:
        _write(path, frames, info, config, tell)
    return [folder / f"{_plain(label)}{suffix}" for label in aligned]


class _Teller:
    """Counts, and tells how long the rest of a stage takes."""

    def __init__(self, callback: Callable[[PrepareProgress], None] | None) -> None:
        self._callback = callback
        self.start("reading", 0)

    def start(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done, self._began = stage, total, 0, time.monotonic()

    def step(self) -> None:
        self._done += 1
        if self._callback is not None:
            each = (time.monotonic() - self._began) / self._done
            left = each * max(0, self._total - self._done)
            self._callback(PrepareProgress(self._stage, self._done, max(self._total, self._done), left))


# ---------------------------------------------------------------------------------------------------------------------
# Reading


@dataclasses.dataclass
class _Reader:
    """Turns any kind of source into tracks."""

    config: PrepareConfig
    spacing: float | Sequence[float] | None
    labels: Sequence[int] | None
    daughters: Mapping[int, tuple[int, int]]
    tracks: Sequence[str] | None
    name: str | None
    tell: _Teller

    def read(self, source: Source) -> list[_Track]:
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

    def _path(self, path: Path) -> list[_Track]:
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

    def _files(self, files: list[Path]) -> list[_Track]:
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

    def _array(self, array: npt.NDArray[Any]) -> list[_Track]:
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

    def _masks(self, volumes: Iterator[Volume], count: int, name: str, source: str) -> list[_Track]:
        found: dict[int, _Track] = {}
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
        self, found: dict[int, _Track], crops: _Crops, index: int, name: str, source: str, single: bool
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
            track = found.setdefault(owner, _Track(label, source))
            surfaces = crops.surfaces(value, self.config, f"frame {index} of {label}", track.digest, index)
            bodies.setdefault(owner, []).extend(surfaces)
        for owner, surfaces in bodies.items():
            found[owner].frames[index] = surfaces

    def _meshes(self, name: str, source: str, meshes: Sequence[SurfaceMesh]) -> _Track:
        track = _Track(name, source)
        for index, mesh in enumerate(meshes):
            track.frames[index] = [orient_outward(mesh)]
            track.digest.update(np.ascontiguousarray(mesh.vertices).tobytes() + mesh.faces.tobytes())
            self.tell.step()
        return track

    def _archive(self, path: Path) -> list[_Track]:
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

    def _from_archive(self, path: Path, data: Any, scale: npt.NDArray[Any]) -> list[_Track]:
        found: dict[str, _Track] = {}
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
            track = found.setdefault(label, _Track(label, str(path)))
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


def _plain(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name).strip(".") or "sequence"


# ---------------------------------------------------------------------------------------------------------------------
# Frames, box and files


def _run(track: _Track) -> list[int]:
    """Numbers of the longest run of frames without a gap."""
    numbers = sorted(track.frames)
    runs = np.split(numbers, 1 + np.flatnonzero(np.diff(numbers) > 1))
    best = max(runs, key=len).tolist()
    if len(runs) > 1:
        _LOG.warning("%s has gaps: frames %d to %d are used, %d others left out", track.name, best[0], best[-1],
                     len(numbers) - len(best))  # fmt: skip
    return best


def _long_enough(tracks: list[_Track], config: PrepareConfig) -> dict[str, list[Bodies]]:
    """Frames by name, cut to the wanted number, without the tracks that are too short."""
    runs = {track.name: [track.frames[k] for k in _run(track)[: config.n_frames]] for track in tracks}
    lengths = [len(frames) for frames in runs.values()]
    kept = {name: frames for name, frames in runs.items() if len(frames) >= config.min_frames}
    if not kept:
        raise SequenceError(
            f"the longest of {len(tracks)} sequences has {max(lengths)} frame{'s' * (max(lengths) > 1)} in a row; "
            f"expected at least {config.min_frames}.",
            remedy="Pass all time points together: a (t, z, y, x) file, or a folder with one file a frame.",
        )
    if len(kept) < len(tracks):
        _LOG.info("%d of %d sequences are shorter than %d frames and left out", len(tracks) - len(kept), len(tracks),
                  config.min_frames)  # fmt: skip
    return kept


def _reach(bodies: Bodies) -> float:
    return max(float(abs(body.vertices).max()) for body in bodies)


def _box(aligned: Mapping[str, list[Bodies]], config: PrepareConfig) -> float:
    """Side of the cube, ``shape`` samples, in µm."""
    samples = config.shape / (config.shape - 1)
    if config.box_um is None:
        reach = max(_reach(bodies) for frames in aligned.values() for bodies in frames)
        return 2 * (1 + _MARGIN) * reach * samples
    for name, frames in aligned.items():
        for index, bodies in enumerate(frames):
            if 2 * _reach(bodies) * samples > config.box_um:
                raise SequenceError(
                    f"box_um is {config.box_um:g}; frame {index} of {name} needs {2 * _reach(bodies) * samples:.4g}.",
                    remedy="Pass a larger box, or none to have it chosen.",
                )
    return float(config.box_um)


def _size(box: float, config: PrepareConfig) -> tuple[float, float, float]:
    return (box / config.shape,) * 3


def _recipe(text: str) -> Any:
    """What decides whether two files are made alike: the settings and the input's digest, but not where it lay."""
    try:
        told = json.loads(text)
        return told["made_by"], told["settings"]
    except (ValueError, KeyError, TypeError):
        return text


def _is_there(path: Path, text: str) -> bool:
    """Whether the file was made from the same with the same settings; anything else in its place is an error."""
    if not path.exists():
        return False
    try:
        with open_sequence(path) as sequence:
            if _recipe(sequence.info.source) == _recipe(text):
                _LOG.info("%s is there already", path)
                return True
    except (FileFormatError, SequenceError):
        pass
    raise OutputError(
        f"{path} exists and was made from other shapes or with other settings; nothing was overwritten.",
        remedy="Choose another folder, or pass overwrite=True (--overwrite).",
    )


def _write(path: Path, frames: list[Bodies], info: SequenceInfo, config: PrepareConfig, tell: _Teller) -> None:
    n = config.shape
    size = np.asarray(info.spacing)
    grid = Grid((n, n, n), size, -0.5 * (n - 1) * size)  # type: ignore[arg-type]

    def sampled() -> Iterator[npt.NDArray[np.float32]]:
        for bodies in frames:
            yield np.minimum.reduce([mesh_sdf(body, grid, clamp=info.clamp) for body in bodies])
            tell.step()

    write_sequence(path, sampled(), (len(frames), n, n, n), info)
    _LOG.info("%s: %d frames, cytoform %s", path, len(frames), __version__)
