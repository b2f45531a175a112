"""Where the image and the region of a fit are: in files, or in memory."""

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
    spacing: Triple | None = option(None, metavar="Z Y X", help="Voxel size in µm; by default the file's own.")
    channel: int | None = option(None, metavar="N", help="Which channel, from 0.")
    time: int | None = option(None, metavar="N", help="Which time point, from 0.")
    series: int | None = option(None, told=SERIES)
    axes: str | None = option(None, told=AXES)

    def __post_init__(self) -> None:
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

    source: str | Array | Volume = option(
        name="--roi",
        kind=Path,
        metavar="FILE",
        help="A mask of the voxels that count, or a label image with --roi-label.",
    )
    label: int | None = option(
        None,
        name="--roi-label",
        metavar="N",
        help="Which cell of the label image --roi: start and voxels that count follow.",
    )
    time: int | None = option(
        None, name="--roi-time", metavar="N", help="Which time point of --roi; by default that of --time."
    )
    channel: int | None = option(None, name="--roi-channel", metavar="N", help="Which channel of --roi, from 0.")
    series: int | None = option(
        None, name="--roi-series", metavar="N", help="Which image of --roi, where its file has several, from 0."
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
        """Whether it has to be read first."""
        return isinstance(self.source, str)

    def as_dict(self) -> dict[str, Any]:
        """The fields; an array as it is."""
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
    """Keep whole numbers of a frozen dataclass as Python's; None stays.

    Raises
    ------
    ConfigError
        For something else.
    """
    for name in names:
        value = python_number(getattr(owner, name))
        if value is not None:
            if not isinstance(value, (int, float)) or value % 1 != 0:
                raise ConfigError(f"{name} is {short_repr(value)}; expected a whole number, or None.")
            value = int(value)
        object.__setattr__(owner, name, value)


def _numeric_array(values: Any) -> Array:
    """An array of numbers; anything else is refused."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ConfigError(
            f"the region is {short_repr(values)}; expected a path, an array of numbers, a Volume or a Region.",
            remedy="A Region also says which label, time point or channel of a file is meant.",
        )
    return array
