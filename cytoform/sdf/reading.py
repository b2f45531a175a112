"""Reading of masks and meshes from any source as tracks: the surfaces of one living shape, frame by frame."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from .._typing import Array, Floats
from ..errors import CytoformError, FileFormatError, MeshError, SequenceError, VolumeError
from ..image.formats.registry import is_image_folder, plain_stem
from ..image.series import open_series
from ..image.volume import Grid, Volume
from ..linking import Lineage
from ..mesh.io import read_mesh
from ..mesh.surface import SurfaceMesh
from ..mesh.topology import orient_outward
from .folders import FolderContents, image_suffixes, mesh_suffixes
from .labels import FrameLabels, LabelSurfaces
from .preparation_warnings import PreparationWarnings, format_names
from .settings import PrepareConfig, ProgressReporter

__all__ = ["Bodies", "SurfaceTrack", "TrackReader"]

Bodies: TypeAlias = list[SurfaceMesh]  # of one frame

_FEW = 8  # voxels; of smaller bodies a warning is given
_TRACK = re.compile(r"(?P<track>.+)_t(?P<time>\d+)_v")


@dataclasses.dataclass
class SurfaceTrack:
    """Surfaces of one living shape over time, and a digest of the masks or meshes that they were made from.

    Parameters
    ----------
    name : str
        Name of the sequence.
    source : str
        Path or description of the input.
    frames : dict of int to list of SurfaceMesh
        Closed surfaces by frame number, µm; frames in which the shape is missing or left out have no entry.
    digest : hashlib hash
        SHA-256 of the input, updated frame by frame.
    """

    name: str
    source: str
    frames: dict[int, Bodies] = dataclasses.field(default_factory=dict)
    digest: Any = dataclasses.field(default_factory=hashlib.sha256)


@dataclasses.dataclass
class TrackReader:
    """Reader of masks or meshes, in memory or on disk, that returns their surfaces as tracks.

    Parameters
    ----------
    config : PrepareConfig
        Its ``parts`` and ``border`` decide which connected components of a mask become surfaces.
    spacing : float or (3,) float, optional
        Voxel size in µm, (z, y, x); None for that of the image files. For an ``.npz`` of meshes the factor from its
        unit to µm.
    labels : list of int, optional
        Only these labels of masks; None for all.
    lineage : Lineage
        Which labels are daughters of which; daughters belong to their parent's track.
    track_names : list of str, optional
        Only these tracks of an ``.npz``; None for all.
    name : str, optional
        Name of the sequence, or the beginning of the names where there are several; None for the file's.
    progress : ProgressReporter
        Told of the number of frames and of each that is finished.
    image_options : mapping of str to object
        Passed on to :func:`cytoform.image.series.open_series`; its ``channel`` chooses a channel.
    warnings : PreparationWarnings
        Filled by :meth:`read` with what was left out or assumed.
    frame_interval : float, optional
        Set by :meth:`read` to the seconds between frames where an image file carries them.
    """

    config: PrepareConfig
    spacing: float | Sequence[float] | None
    labels: Sequence[int] | None
    lineage: Lineage
    track_names: Sequence[str] | None
    name: str | None
    progress: ProgressReporter
    image_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    warnings: PreparationWarnings = dataclasses.field(default_factory=PreparationWarnings)
    frame_interval: float | None = None

    def read(self, source: Any) -> list[SurfaceTrack]:
        """Read all tracks of a source.

        Parameters
        ----------
        source : path, list or array
            As for :func:`cytoform.sdf.prepare.prepare`.

        Returns
        -------
        list of SurfaceTrack
            At least one, each with at least one frame.

        Raises
        ------
        SequenceError
            When there is no object, or one is missing or cut where it must not be, or voxel sizes differ.
        VolumeError, MeshError, FileFormatError
            When an image or a mesh cannot be used.
        """
        if isinstance(source, (str, os.PathLike)):
            return self._read_path(Path(source))
        if isinstance(source, np.ndarray):
            return self._read_array(source)
        items = list(source)
        if not items:
            raise SequenceError("source is an empty list; expected one mask or mesh for each frame.")
        if all(isinstance(item, SurfaceMesh) for item in items):
            return [self._track_of_meshes(self.name or "sequence", "meshes in memory", items)]
        if all(isinstance(item, (str, os.PathLike)) for item in items):
            return self._read_files([Path(item) for item in items])
        raise SequenceError(
            f"source is a list of {type(items[0]).__name__}; expected paths or SurfaceMesh, one for each frame.",
            remedy="Stack masks to one array (t, z, y, x).",
        )

    def _read_path(self, path: Path) -> list[SurfaceTrack]:
        """Read the tracks of one path: an ``.npz`` of meshes, a folder of frames, a mesh file, or an image file.

        Raises FileFormatError if the path has the suffix of a sequence of signed distances.
        """
        if path.suffix.lower() == ".npz":
            return self._read_archive(path)
        if path.is_dir() and not is_image_folder(path):
            contents = FolderContents.read(path)
            if contents.ignored:
                self.warnings.about_files[f"{path} also holds {format_names(contents.ignored)}: left out."] = None
            return self._read_files(contents.files) if len(contents.files) > 1 else self._read_path(contents.files[0])
        if path.suffix.lower() in mesh_suffixes():
            return self._read_files([path])
        if path.suffix.lower() in (".h5", ".hdf5", ".mat"):
            raise FileFormatError(
                f"{path} may be a sequence of signed distances already; expected masks or meshes.",
                remedy="Pass it to neural train as it is, or prepare from the masks.",
            )
        options, channel = self._series_options()
        with open_series(path, **options) as series:
            self.frame_interval = series.frame_interval if series.times > 1 else None
            self.progress.start("reading", series.times)
            volumes = series.volumes(channel=channel)
            return self._read_masks(volumes, series.times, self.name or plain_stem(path), str(path))

    def _series_options(self) -> tuple[dict[str, Any], int | None]:
        """Return the keyword arguments of :func:`open_series`, and the channel to read (None for the only one)."""
        options = {"spacing": self.spacing, **self.image_options}
        return options, options.pop("channel", None)

    def _read_files(self, files: list[Path]) -> list[SurfaceTrack]:
        """Read the tracks of image files or mesh files, one frame each, in the order given.

        A gap in the numbers of the file names is recorded as a warning.

        Raises
        ------
        FileFormatError
            When the files are of both kinds, or of neither.
        MeshError
            When a mesh has region labels, that is, several cells.
        """
        kinds = {p.suffix.lower() for p in files}
        name = self.name or (files[0].resolve().parent.name or "sequence")
        if len(files) == 1 and not self.name:
            name = plain_stem(files[0])
        if missing := _missing_numbers(files):
            text = (
                f"{files[0].parent}: no file has the number {format_names(missing)}; frames are taken as evenly spaced"
            )
            self.warnings.about_files[f"{text} all the same."] = None
        self.progress.start("reading", len(files))
        if kinds <= set(image_suffixes()):
            return self._read_masks((self._read_frame(path) for path in files), len(files), name, str(files[0].parent))
        if kinds <= set(mesh_suffixes()):
            meshes = []
            for path, mesh in zip(files, [read_mesh(path) for path in files]):
                if not isinstance(mesh, SurfaceMesh):
                    raise MeshError(f"{path} is a cluster of cells; expected one closed surface.")
                meshes.append(mesh)
            return [self._track_of_meshes(name, str(files[0].parent), meshes)]
        raise FileFormatError(
            f"the files have the extensions {', '.join(sorted(kinds))}; expected all of one kind: images "
            f"({', '.join(image_suffixes())}) or meshes ({', '.join(mesh_suffixes())}), one a frame.",
            remedy="Pass the files of one kind.",
        )

    def _read_frame(self, path: Path) -> Volume:
        """Read the 3D image of one of several files; raise SequenceError if the file has several time points."""
        options, channel = self._series_options()
        with open_series(path, **options) as series:
            if series.times > 1:
                raise SequenceError(
                    f"{path} has {series.times} time points; expected one 3D image in each of several files.",
                    remedy="Pass that file alone: an OME-TIFF of many files is read from any one of them, and of "
                    "several movies each is prepared on its own.",
                )
            return series.volume(channel=channel)

    def _read_array(self, array: Array) -> list[SurfaceTrack]:
        """Read the tracks of masks in memory, (t, z, y, x); raise if the array is not 4D or no voxel size was given."""
        if array.ndim != 4:
            raise SequenceError(f"source has shape {array.shape}; expected (t, z, y, x).")
        if self.spacing is None:
            raise VolumeError(
                "masks came as an array without a voxel size; expected micrometres along z, y and x.",
                remedy="Pass spacing=(dz, dy, dx).",
            )
        self.progress.start("reading", len(array))
        volumes = (Volume(frame, self.spacing) for frame in array)  # type: ignore[arg-type]
        return self._read_masks(volumes, len(array), self.name or "sequence", "array in memory")

    def _read_masks(self, volumes: Iterator[Volume], count: int, name: str, source: str) -> list[SurfaceTrack]:
        """Turn masks into one track for each label, or into a single one.

        It is a single one, called ``name``, where all masks together have one value above 0 and neither labels nor
        divisions were given; else a label's track is called ``name_LABEL``.

        Parameters
        ----------
        volumes : iterator of Volume
            Masks, one a frame, taken one at a time.
        count : int
            Number of frames, for a message.
        name : str
            Name of the single track, or beginning of the names.
        source : str
            Path or description of the input.

        Returns
        -------
        list of SurfaceTrack
            In increasing order of the labels, each with at least one frame.

        Raises
        ------
        SequenceError
            When a label asked for is in no frame, all masks are empty, or no object is whole in any frame.
        """
        frames = self._read_labels(volumes, source)
        values = {value for labels in frames for value in labels.crops}
        single = self.labels is None and not self.lineage and len(values) <= 1
        found: dict[int, SurfaceTrack] = {}
        for index, labels in enumerate(frames):
            self._add_frame(found, labels, index, name, source, single)
            self.progress.step()
        missing = [v for v in map(int, self.labels or ()) if v not in found]
        if missing or not found:
            what = f"label {missing[0]} is in none of the {count} frames" if missing else "all masks are empty"
            raise SequenceError(f"{source}: {what}; expected an object.", remedy="Check the labels or the threshold.")
        whole = [found[value] for value in sorted(found) if found[value].frames]
        if not whole:
            raise SequenceError(
                f"{source}: no object is whole in any frame; expected one inside of the image.",
                remedy=self.warnings.border_message(),
            )
        return whole

    def _read_labels(self, volumes: Iterator[Volume], source: str) -> list[FrameLabels]:
        """Crop the labels of all frames.

        Frames of different shape and the value −1 are recorded as warnings. Raises SequenceError if voxel sizes differ,
        and VolumeError if values are no labels.
        """
        frames: list[FrameLabels] = []
        first: Volume | None = None
        for index, volume in enumerate(volumes):
            if first is not None and not np.allclose(first.spacing, volume.spacing, rtol=1e-6):
                raise SequenceError(
                    f"frame {index} has the voxel size {volume.spacing} µm, the frames before {first.spacing}; "
                    "expected one.",
                    remedy="Resample the images, or pass the voxel size with spacing= (--spacing).",
                )
            if first is not None and first.shape != volume.shape:
                text = f"The images of {source} differ in size, {first.shape} and {volume.shape} (z, y, x)"
                self.warnings.about_files[f"{text}: are they of one movie?"] = None
            first = first or volume
            frames.append(FrameLabels.from_volume(volume, self.labels, self.lineage, f"frame {index} of {source}"))
            self.warnings.n_frames_unset += frames[-1].n_unset > 0
        return frames

    def _add_frame(
        self, found: dict[int, SurfaceTrack], labels: FrameLabels, index: int, name: str, source: str, single: bool
    ) -> None:
        """Turn the labels of one frame into surfaces and add them to their tracks.

        A daughter's surfaces go into its parent's track. A track gets no surfaces of a frame in which any of its labels
        is left out at the border.

        Parameters
        ----------
        found : dict of int to SurfaceTrack
            Tracks by label, changed in place; tracks that begin in this frame are added.
        labels : FrameLabels
            The frame's labels.
        index : int
            Number of the frame.
        name, source : str
            As for :meth:`_read_masks`.
        single : bool
            Whether all frames show one object, whose track is called ``name``.

        Raises
        ------
        SequenceError
            When the only object is missing in the frame, or an object touches the border and must not.
        """
        if single and not labels.crops:
            raise SequenceError(
                f"frame {index} of {source} is empty; expected the object in every frame.",
                remedy="Leave that frame out, or cut the sequence with n_frames (--frames).",
            )
        border = self.config.border
        if border == "auto":
            border = "error" if single else "skip"
        surfaces: dict[int, list[LabelSurfaces]] = {}
        for value in sorted(labels.crops):
            parent, crop = self.lineage.track(value), labels.crops[value]
            label = name if single else f"{name}_{parent}"
            track = found.setdefault(parent, SurfaceTrack(label, source))
            track.digest.update(crop.identifying_bytes(index))
            where = f"frame {index} of {label}"
            surfaces.setdefault(parent, []).append(crop.surfaces(self.config.parts, border, where))
        for parent, parts in surfaces.items():
            if self._check_frame(parts, found[parent].name, index):
                found[parent].frames[index] = [body for part in parts for body in part.bodies]

    def _check_frame(self, parts: list[LabelSurfaces], name: str, index: int) -> bool:
        """Tell whether a track's frame is used, and record in ``warnings`` the parts of it that are left out.

        Parameters
        ----------
        parts : list of LabelSurfaces
            Surfaces of the track's labels in this frame: one, or those of its daughters.
        name : str
            Name of the track.
        index : int
            Number of the frame.

        Returns
        -------
        bool
            False where any of the labels was left out at the image's border.
        """
        side = next((part.border_side for part in parts if part.border_side), "")
        if side:
            self.warnings.cut_by_border.setdefault(name, {})[index] = side
            return False
        unused, specks = max(part.unused_fraction for part in parts), max(part.speck_fraction for part in parts)
        if unused:
            self.warnings.several_parts.setdefault(name, {})[index] = max(part.n_parts for part in parts), unused
        if specks:
            self.warnings.specks.setdefault(name, {})[index] = specks
        voxels = min(part.smallest_voxels for part in parts)
        if voxels < _FEW:
            self.warnings.few_voxels.setdefault(name, {})[index] = voxels
        return True

    def _track_of_meshes(self, name: str, source: str, meshes: Sequence[SurfaceMesh]) -> SurfaceTrack:
        """Return a track of closed surfaces, one a frame, each turned to counter-clockwise faces seen from outside.

        Raises MeshError if a surface has only one side (a Möbius band).
        """
        track = SurfaceTrack(name, source)
        for index, mesh in enumerate(meshes):
            track.frames[index] = [orient_outward(mesh)]
            track.digest.update(np.ascontiguousarray(mesh.vertices).tobytes() + mesh.faces.tobytes())
            self.progress.step()
        return track

    def _read_archive(self, path: Path) -> list[SurfaceTrack]:
        """Read the tracks of an ``.npz`` of meshes.

        Raises MeshError if no spacing was given (the factor from the file's unit to µm), and FileFormatError if the
        file cannot be read.
        """
        if self.spacing is None:
            raise MeshError(
                f"{path} holds vertices without a unit; expected their scale in µm.",
                remedy="Pass spacing=, for example 0.133, or 1 where they are µm.",
            )
        scale: Floats = np.asarray(Grid((1, 1, 1), self.spacing).spacing)  # type: ignore[arg-type]
        try:
            with np.load(path, allow_pickle=False) as data:
                return self._archive_tracks(path, data, scale)
        except CytoformError:
            raise
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise FileFormatError(f"{path} cannot be read as .npz: {error}.", remedy="Is it complete?") from error

    def _archive_tracks(self, path: Path, data: Any, scale: Floats) -> list[SurfaceTrack]:
        """Turn the arrays of an open ``.npz`` into tracks.

        Parameters
        ----------
        path : Path
            The file, for messages and as the tracks' source.
        data : numpy.lib.npyio.NpzFile
            Arrays ``<track>_t<MM>_v``, (n, 3) vertices (x, y, z), and ``<track>_t<MM>_f``, (n, 3) faces, MM the frame.
        scale : (3,) float64
            Factor from the file's unit to µm along z, y and x.

        Returns
        -------
        list of SurfaceTrack
            Those named in ``track_names``, or all; in alphabetical order.

        Raises
        ------
        FileFormatError
            When there are no such arrays.
        SequenceError
            When a track asked for is missing.
        """
        found: dict[str, SurfaceTrack] = {}
        keys = sorted((m["track"], int(m["time"]), m.string[:-2]) for k in data.files if (m := _TRACK.fullmatch(k)))
        if not keys:
            raise FileFormatError(f"{path} holds no arrays <track>_t<MM>_v and _f; it holds {data.files[:6]}.")
        missing = set(self.track_names or ()) - {track for track, _, _ in keys}
        if missing:
            raise SequenceError(f"{path} has no track {sorted(missing)[0]!r}; it has {keys[0][0]} to {keys[-1][0]}.")
        keys = [key for key in keys if self.track_names is None or key[0] in self.track_names]
        self.progress.start("reading", len(keys))
        for label, index, key in keys:
            vertices, faces = np.asarray(data[f"{key}_v"], dtype=np.float64), data[f"{key}_f"]
            mesh = orient_outward(SurfaceMesh(vertices[:, ::-1] * scale, faces))  # (x, y, z) on disk
            track = found.setdefault(label, SurfaceTrack(label, str(path)))
            track.frames[index] = [mesh]
            track.digest.update(mesh.vertices.tobytes() + mesh.faces.tobytes())
            self.progress.step()
        return list(found.values())


def _missing_numbers(files: Sequence[Path]) -> list[str]:
    """Return the numbers missing between the first and the last file, at most eight.

    A file's number is the last one in its name. None is missing where a name has no number, or where the numbers do not
    increase or increase by the same step throughout.
    """
    found = [re.findall(r"\d+", path.stem) for path in files]
    if len(files) < 2 or not all(found):
        return []
    numbers = [int(f[-1]) for f in found]
    steps = np.diff(numbers)
    if not (steps > 0).all() or len(set(steps.tolist())) == 1:
        return []
    return [str(n) for n in range(numbers[0], numbers[-1] + 1) if n not in numbers][:8]
