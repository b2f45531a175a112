"""Where the image and the region of a fit are: in files, or in memory."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._typing import Triple
from ..errors import ConfigError
from ..image.volume import Volume
from ..options import AXES, SERIES, option
from .plain import plain_number, shown

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["PATH", "ImageFile", "Region", "plain_indices", "plain_path"]

PATH = (str, bytes, os.PathLike)


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """Where an image is; as for :func:`cytoform.read_volume`.

    Parameters
    ----------
    path : path
    spacing : (3,) float, optional
        Voxel size in µm, (z, y, x); by default the file's own.
    channel, time, series : int, optional
        Which one, from 0, where the file has several.
    axes : str, optional
        What the file's axes are, such as "TZYX", where it does not say so itself.

    Raises
    ------
    ConfigError
        For what is no path, no number or no text.
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
    series: int | None = option(None, told=SERIES)
    axes: str | None = option(None, told=AXES)

    def __post_init__(self) -> None:
        plain_path(self, "path")
        plain_indices(self, "channel", "time", "series")
        if self.axes is not None and not isinstance(self.axes, str):
            raise ConfigError(f"axes is {shown(self.axes)}; expected letters such as 'TZYX'.")
        if self.spacing is not None:
            try:
                sizes = tuple(float(d) for d in np.ravel(self.spacing))
            except (TypeError, ValueError):
                what = f"spacing is {shown(self.spacing)}; expected micrometres along z, y and x."
                raise ConfigError(what, remedy="For example spacing=(0.3, 0.1, 0.1).") from None
            object.__setattr__(self, "spacing", sizes)

    def as_dict(self) -> dict[str, Any]:
        """The fields."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """The voxels that count, or the cell that is meant.

    Parameters
    ----------
    source : path, (z, y, x) array or Volume
        A mask, or with `label` a label image.
    label : int, optional
        Which cell of the label image: start and region follow from it.
    time, channel, series : int, optional
        Which part of a file that has several. The time point is the image's by default.

    Raises
    ------
    ConfigError
        For what is no path, no array or no number.
    """

    source: str | os.PathLike[str] | npt.ArrayLike | Volume = option(
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

    def __post_init__(self) -> None:
        if isinstance(self.source, PATH):
            plain_path(self, "source")
        elif not isinstance(self.source, Volume):
            object.__setattr__(self, "source", _voxels(self.source))
        plain_indices(self, "label", "time", "channel", "series")

    @property
    def is_file(self) -> bool:
        """Whether it has to be read first."""
        return isinstance(self.source, str)

    def as_dict(self) -> dict[str, Any]:
        """The fields; an array as it is."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def plain_path(owner: Any, name: str) -> None:
    """Keep a path of a frozen dataclass as a text; bytes are decoded as the system's names of files are.

    Raises
    ------
    ConfigError
        For something else, and for an empty one.
    """
    value = getattr(owner, name)
    if not isinstance(value, PATH) or not os.fspath(value):
        what = "an image's path" if name == "path" else "a path"
        raise ConfigError(f"{name} is {shown(value)}; expected {what}.", remedy="Give the name of a file or folder.")
    object.__setattr__(owner, name, str(os.fsdecode(value)))


def plain_indices(owner: Any, *names: str) -> None:
    """Keep whole numbers of a frozen dataclass as Python's; None stays.

    Raises
    ------
    ConfigError
        For something else.
    """
    for name in names:
        value = plain_number(getattr(owner, name))
        if value is not None:
            if not isinstance(value, (int, float)) or value % 1 != 0:
                raise ConfigError(f"{name} is {shown(value)}; expected a whole number, or None.")
            value = int(value)
        object.__setattr__(owner, name, value)


def _voxels(values: Any) -> Any:
    """An array of numbers; anything else is refused."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ConfigError(
            f"the region is {shown(values)}; expected a path, an array of numbers, a Volume or a Region.",
            remedy="A Region also says which label, time point or channel of a file is meant.",
        )
    return array
