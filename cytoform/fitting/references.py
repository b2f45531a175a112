"""References to the image and the region of a fit: files, or objects in memory."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._typing import Array, PathLike, Triple
from ..errors import ConfigError
from ..image.volume import Volume
from ..options import AXES, SERIES, option
from .json_values import python_number, short_repr

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["PATH", "ImageFile", "Region", "convert_index_fields", "convert_path_field", "path_text"]

PATH = (str, bytes, os.PathLike)


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """Reference to an image file, with the choices that :func:`cytoform.read_volume` takes.

    Parameters
    ----------
    path : path
        The file, or an OME-Zarr folder.
    spacing : (3,) float, optional
        Voxel size in µm, (z, y, x); by default the file's own.
    channel, time, series : int, optional
        Which channel, time point and image of the file, from 0, if it has several.
    axes : str, optional
        The file's axes, such as "TZYX"; by default as the file says.

    Raises
    ------
    ConfigError
        If a value has another type.
    """

    path: str | os.PathLike[str] = option(
        name="IMAGE", kind=Path, help="A TIFF or OME-TIFF file, or an OME-Zarr folder."
    )
    spacing: Triple | None = option(
        None, metavar="Z Y X", help="Voxel size in µm along z, y and x; by default read from the file."
    )
    channel: int | None = option(
        None, metavar="N", help="Number of the membrane's channel, from 0; required if there are several."
    )
    time: int | None = option(
        None, metavar="N", help="Number of the time point, from 0; required if there are several."
    )
    series: int | None = option(None, shared=SERIES)
    axes: str | None = option(None, shared=AXES)

    def __post_init__(self) -> None:
        """Convert path, numbers and spacing to text, int and floats; raise ConfigError if that is not possible."""
        convert_path_field(self, "path")
        convert_index_fields(self, "channel", "time", "series")
        if self.axes is not None and not isinstance(self.axes, str):
            raise ConfigError(f"axes is {short_repr(self.axes)}; expected letters such as 'TZYX'.")
        if self.spacing is not None:
            try:
                sizes = tuple(float(d) for d in np.ravel(self.spacing))
            except (TypeError, ValueError):
                what = f"spacing is {short_repr(self.spacing)}; expected micrometres along z, y and x."
                raise ConfigError(what, remedy="For example spacing=(0.3, 0.1, 0.1).") from None
            object.__setattr__(self, "spacing", sizes)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name.

        Returns
        -------
        dict of str to object
            Plain values.
        """
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """Region of interest of a fit, or one cell of a label image.

    Parameters
    ----------
    source : path, (z, y, x) array or Volume
        A mask (voxels other than 0), or with `label` a label image.
    label : int, optional
        Which cell of the label image: start and region of interest follow from it.
    time, channel, series : int, optional
        Which time point, channel and image of a file that has several, from 0. The time point is the image's by
        default.

    Raises
    ------
    ConfigError
        If a value has another type.
    """

    source: str | Array | Volume = option(
        name="--roi",
        kind=Path,
        metavar="FILE",
        help="Region of interest: a mask image of the voxels to fit, or a label image together with --roi-label.",
    )
    label: int | None = option(
        None,
        name="--roi-label",
        metavar="N",
        help="Label of the cell to fit in the label image --roi.",
    )
    time: int | None = option(
        None,
        name="--roi-time",
        metavar="N",
        help="Number of the time point in --roi, from 0; by default that of --time.",
    )
    channel: int | None = option(
        None, name="--roi-channel", metavar="N", help="Number of the channel in --roi, from 0."
    )
    series: int | None = option(
        None, name="--roi-series", metavar="N", help="Number of the image in --roi, if its file holds several, from 0."
    )

    if TYPE_CHECKING:  # what may be given; a field has the type that __post_init__ converts it to

        def __init__(
            self,
            source: PathLike | npt.ArrayLike | Volume,
            label: int | None = None,
            time: int | None = None,
            channel: int | None = None,
            series: int | None = None,
        ) -> None:
            """Take a path, an array or a volume as the source."""

    def __post_init__(self) -> None:
        """Convert the source to text, an array or a volume, and the numbers to int; raise ConfigError otherwise."""
        if isinstance(self.source, PATH):
            convert_path_field(self, "source")
        elif not isinstance(self.source, Volume):
            object.__setattr__(self, "source", _numeric_array(self.source))
        convert_index_fields(self, "label", "time", "channel", "series")

    @property
    def is_file(self) -> bool:
        """Whether the source is the path of a file that has to be read first."""
        return isinstance(self.source, str)

    def fit_arguments(self) -> dict[str, Any]:
        """Return the region as arguments of :func:`cytoform.fit`.

        Returns
        -------
        dict of str to object
            "roi", or "labels" and "label" if a label is chosen.
        """
        return {"roi": self.source} if self.label is None else {"labels": self.source, "label": self.label}

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name.

        Returns
        -------
        dict of str to object
            Plain values; a source in memory unchanged.
        """
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def path_text(value: Any, name: str) -> str:
    """Return a path as text; bytes are decoded with the file system's encoding.

    Parameters
    ----------
    value : object
        str, bytes or os.PathLike.
    name : str
        What an error calls the value.

    Raises
    ------
    ConfigError
        If the value is empty or of another type.
    """
    if not isinstance(value, PATH) or not os.fspath(value):
        what = "an image's path" if name == "path" else "a path"
        raise ConfigError(
            f"{name} is {short_repr(value)}; expected {what}.", remedy="Give the name of a file or folder."
        )
    return str(os.fsdecode(value))


def convert_path_field(owner: Any, name: str) -> None:
    """Replace the field `name` of a frozen dataclass, a path, by its text, in place (:func:`path_text`)."""
    object.__setattr__(owner, name, path_text(getattr(owner, name), name))


def convert_index_fields(owner: Any, *names: str) -> None:
    """Convert fields of a frozen dataclass to int, in place; None stays.

    Parameters
    ----------
    owner : dataclass instance
        The object to change.
    *names : str
        Its fields.

    Raises
    ------
    ConfigError
        If a value is not a whole number.
    """
    for name in names:
        value = python_number(getattr(owner, name))
        if value is not None:
            if not isinstance(value, (int, float)) or value % 1 != 0:
                raise ConfigError(f"{name} is {short_repr(value)}; expected a whole number, or None.")
            value = int(value)
        object.__setattr__(owner, name, value)


def _numeric_array(values: Any) -> Array:
    """Convert a region's source to an array of numbers or bools; raise ConfigError for anything else."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ConfigError(
            f"the region is {short_repr(values)}; expected a path, an array of numbers, a Volume or a Region.",
            remedy="A Region also says which label, time point or channel of a file is meant.",
        )
    return array
