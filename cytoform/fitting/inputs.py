"""Read the images, masks and meshes of a fit job from files and check them against each other."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._typing import Array, Triple
from ..errors import ConfigError, FileFormatError, MeshError, VolumeError
from ..image.slices import axes_with_slices
from ..optics import PSFOptions
from .references import ImageFile, Region

if TYPE_CHECKING:
    from ..image.volume import Grid, Volume
    from ..mesh.protocol import Mesh
    from .job import FitJob

__all__ = [
    "STARTS",
    "check_inside",
    "load_image",
    "load_region",
    "load_start",
    "read_job_inputs",
    "with_absolute_paths",
]

_LOG = logging.getLogger(__name__)


STARTS = ("auto", "sphere", "ellipsoid")


def load_image(
    path: Path,
    spacing: Triple | None,
    channel: int | None,
    time: int | None,
    *,
    series: int | None = None,
    axes: str | None = None,
) -> Volume:
    """Read an image from a file and check that it is not constant.

    Parameters
    ----------
    path : Path
        The file.
    spacing : (3,) float, optional
        Voxel size in µm, (z, y, x); the file's own by default.
    channel, time : int, optional
        Which channel and time point, from 0, if the file has several.
    series : int, optional
        Which image of the file, from 0, if it has several.
    axes : str, optional
        The file's axes, such as "TZYX"; by default as the file says.

    Raises
    ------
    FileFormatError, GridError
        As :func:`cytoform.read_volume` does.
    VolumeError
        Likewise, and if all voxels have one value.
    """
    from ..image.io import read_volume

    volume = read_volume(path, spacing=spacing, channel=channel, time=time, series=series, axes=axes)
    low, high = volume.data.min(), volume.data.max()
    if low == high:
        raise VolumeError(
            f"{path} is constant: all its voxels are {low:g}; expected a cell in it.",
            remedy="Choose another channel with --channel or time point with --time, or check how it was exported.",
        )
    return volume


def load_region(
    path: Path,
    label: int | None,
    image: Volume,
    *,
    time: int | None = None,
    image_time: int | None = None,
    channel: int | None = None,
    series: int | None = None,
    axes: str | None = None,
) -> Volume:
    """Read a mask or a label image from a file and check that it goes with an image.

    Parameters
    ----------
    path : Path
        The file.
    label : int, optional
        The label of the cell to fit; None for a mask.
    image : Volume
        The image, whose shape the region has to have.
    time, channel : int, optional
        Which time point and channel of the file, from 0, if it has several.
    image_time : int, optional
        Time point of the image, the default of `time`.
    series : int, optional
        Which image of the file, from 0, if it has several.
    axes : str, optional
        Axes of the image's file; they are used for this file too if it has as many.

    Returns
    -------
    Volume
        The values of the file, (z, y, x); those of `label` are not yet selected.

    Raises
    ------
    VolumeError
        If the shape is not the image's, the values are no labels, the label is not in it, or no voxel is set.
    ConfigError
        If it has several labels, channels or time points and none is chosen.
    """
    from ..image.io import image_info, read_volume

    found = image_info(path)
    options: dict[str, Any] = {} if series is None else {"series": series}
    if axes is not None and (len(axes) == len(found.axes) or found.images > 1):
        options["axes"] = axes
    elif slices := axes_with_slices(found.axes, found.shape, image.shape[0]):
        options["axes"] = slices
        _LOG.warning("%s names its slices otherwise (%s); they are read as slices.", path, found.axes)
    found = image_info(path, **options) if options else found
    time = image_time if time is None and found.times > 1 else time
    time = _chosen_index(path, "time points", "--roi-time", found.times, time)
    channel = _chosen_index(path, "channels", "--roi-channel", found.channels, channel)
    region = read_volume(path, spacing=found.spacing or image.spacing, time=time, channel=channel, **options)
    data = region.data
    if data.shape != image.shape:
        raise VolumeError(
            f"the region {path} has shape {data.shape}; expected {image.shape}, that of the image.",
            remedy="Make it on the image's own voxels.",
        )
    _check_labels(path, data, label)
    return region


def _check_labels(path: Path, data: Array, label: int | None) -> None:
    """Check the values of a region, (z, y, x).

    Raises
    ------
    VolumeError
        If a value above 0 is not a whole number, or no voxel has `label` (with None: is other than 0).
    ConfigError
        If there are several labels above 0 and `label` is None.
    """
    labels = np.unique(data[data > 0])
    if not np.array_equal(labels, np.rint(labels)):
        raise VolumeError(
            f"the region {path} has values that are not whole numbers, {_listed_labels(labels)}; expected a mask or "
            "labels.",
            remedy="Threshold a probability map first.",
        )
    if label is None and len(labels) > 1:
        raise ConfigError(
            f"the region {path} has {len(labels)} labels, {_listed_labels(labels)}; expected one.",
            remedy="Choose one with --roi-label N.",
        )
    inside = data != 0 if label is None else data == label
    if not inside.any():
        what = "all its voxels are 0" if label is None else f"label {label} is not in it, but {_listed_labels(labels)}"
        raise VolumeError(f"the region {path} is empty: {what}.", remedy="Check --roi and --roi-label.")


def _chosen_index(path: Path, what: str, option: str, count: int, chosen: int | None) -> int | None:
    """Check the choice among several channels or time points of a file; return it, or None if there is only one.

    Parameters
    ----------
    path : Path
        The file, for the error.
    what : str
        "channels" or "time points", for the error.
    option : str
        Command-line option that chooses one, for the error.
    count : int
        How many the file has.
    chosen : int, optional
        The index chosen, from 0.

    Raises
    ------
    ConfigError
        If there are several and none is chosen, or the index does not exist.
    """
    if count == 1 and chosen in (None, 0):
        return None
    if chosen is None or not 0 <= chosen < count:
        came = "none is chosen" if chosen is None else f"{option} is {chosen}"
        remedy = f"Choose one with {option} N, 0 to {count - 1}."
        raise ConfigError(f"{path} has {count} {what}; {came}.", remedy=remedy)
    return chosen


def _listed_labels(labels: Array) -> str:
    """Return the first eight of some labels as text, such as "1, 2, 5"; "none" if there are none."""
    text = ", ".join(f"{v:.0f}" if v == round(v) else f"{v:g}" for v in labels[:8].tolist()) or "none"
    return text + (", …" if len(labels) > 8 else "")


def load_start(init: str, image: Volume) -> Mesh | None:
    """Read the start of a fit if `init` names a mesh file; return None for one of STARTS.

    Parameters
    ----------
    init : str
        "auto", "sphere", "ellipsoid", or the path of a mesh file in µm.
    image : Volume
        The image in which the mesh has to lie.

    Raises
    ------
    FileFormatError
        If `init` is neither one of STARTS nor a file.
    MeshError
        If the file is no mesh, no body moves such a mesh, it is open, or lies outside of the image.
    """
    if init in STARTS:
        return None
    path = Path(init)
    if not path.exists() and not path.suffix:
        raise FileFormatError(
            f"--init is {init!r}; expected {', '.join(STARTS)} or a mesh file.", remedy="Check the name or the path."
        )
    from ..mesh.io import read_mesh
    from ..mesh.topology import describe_gaps, is_closed
    from .bodies import body_class_of

    mesh = read_mesh(path)
    body_class_of(mesh)
    regions = mesh.regions()
    for number, region in regions.items():
        if not is_closed(region):
            name = "the surface" if len(regions) == 1 else f"the surface of region {number}"
            raise MeshError(
                f"{path}: {name} {describe_gaps(region)}; expected a closed one.",
                remedy="Close its holes, for example with Blender's or MeshLab's “fill holes”.",
            )
    check_inside(mesh, image.grid, path)
    return mesh


def check_inside(mesh: Mesh, grid: Grid, path: Path, *, remedy: str | None = None) -> None:
    """Check that the centre of a mesh's bounding box lies in the image.

    Parameters
    ----------
    mesh : Mesh
        Vertices in µm.
    grid : Grid
        The image's; its box includes the outer half of the border voxels.
    path : Path
        The mesh's file, for the error.
    remedy : str, optional
        What the error advises; by default to check unit, voxel size and axes.

    Raises
    ------
    MeshError
        If it lies outside.
    """
    low, high = mesh.bounds
    first, last = grid.to_um(np.full(3, -0.5)), grid.to_um(np.asarray(grid.shape) - 0.5)
    middle = 0.5 * (low + high)
    if (middle >= first).all() and (middle <= last).all():
        return

    def span(a: Array, b: Array) -> str:
        return ", ".join(f"{name} {p:.4g} to {q:.4g}" for name, p, q in zip("zyx", a, b))

    raise MeshError(
        f"{path}: the surface lies outside of the image: it spans {span(low, high)} µm, the image {span(first, last)} "
        "µm.",
        remedy=remedy or "Coordinates are µm; check the voxel size (--spacing) and that the mesh file is (x, y, z).",
    )


def read_job_inputs(job: FitJob) -> FitJob:
    """Return a copy of a job with image, PSF, start and region read from their files and checked against each other.

    Its `inputs` keep the paths; see :meth:`.FitJob.loaded` for the errors.
    """
    at: ImageFile | None = None
    if isinstance(job.image, ImageFile):
        at = job.image
        image = load_image(Path(at.path), at.spacing, at.channel, at.time, series=at.series, axes=at.axes)
    else:
        image = job.image
    psf = job.psf.psf(image.spacing) if isinstance(job.psf, PSFOptions) else job.psf
    start, config = job.start, job.config
    if isinstance(start, str) and start in STARTS:
        config = config if start == "auto" else dataclasses.replace(config, init=start)
    elif isinstance(start, str):
        loaded = load_start(start, image)
        start = start if loaded is None else loaded
    region = job.region
    if region is not None and isinstance(region.source, str):
        axes, time = (None, None) if at is None else (at.axes, at.time)
        where = {"time": region.time, "channel": region.channel, "series": region.series}
        found = load_region(Path(region.source), region.label, image, image_time=time, axes=axes, **where)
        region = Region(found, region.label)
    return dataclasses.replace(
        job, image=image, psf=psf, start=start, config=config, region=region, inputs=_input_origins(job)
    )


def _input_origins(job: FitJob) -> dict[str, Any]:
    """Return the job's `inputs` with the absolute path of its start and the path or name of its PSF added.

    The paths of image and region are stored with their volumes.
    """
    found: dict[str, Any] = {}
    if isinstance(job.start, str) and job.start not in STARTS:
        found["start"] = {"path": str(Path(job.start).resolve())}
    if isinstance(job.psf, PSFOptions):
        kind = job.psf.kind
        found["psf"] = {"path": str(Path(kind).resolve())} if job.psf.is_file else {"name": kind}
    return {**found, **job.inputs}


def with_absolute_paths(job: FitJob) -> FitJob:
    """Return a copy of a job with the paths of image, region, PSF, start and result folder made absolute."""
    found: dict[str, Any] = {}
    if isinstance(job.image, ImageFile):
        found["image"] = dataclasses.replace(job.image, path=os.path.abspath(job.image.path))
    if job.region is not None and isinstance(job.region.source, str):
        found["region"] = dataclasses.replace(job.region, source=os.path.abspath(job.region.source))
    if isinstance(job.psf, PSFOptions) and job.psf.is_file:
        found["psf"] = dataclasses.replace(job.psf, kind=os.path.abspath(job.psf.kind))
    if isinstance(job.start, str) and job.start not in STARTS:
        found["start"] = os.path.abspath(job.start)
    if job.out is not None:
        found["out"] = os.path.abspath(job.out)
    return dataclasses.replace(job, **found)
