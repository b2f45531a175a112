"""A frame of a mask: its values checked, its labels cut out, and each label's parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from .._typing import Array, Bools, Ints32
from ..errors import SequenceError, VolumeError
from ..image.volume import Grid, Volume
from ..linking import Lineage
from ..masks import SPECK
from ..mesh.surface import SurfaceMesh
from .surface import mask_surface

__all__ = ["Crop", "Found", "Labels"]


_SIDES = (("first z", "last z"), ("first y", "last y"), ("first x", "last x"))
_UNSET = -1  # what ilastik and napari write where nothing is labelled
_MANY, _GREY, _SPREAD = 16, 8, 5  # values; those of a grey image among them; voxels that such a value spans


@dataclasses.dataclass(frozen=True)
class Found:
    """What one label of one frame gave.

    Attributes
    ----------
    bodies : list of SurfaceMesh
        Surfaces of its largest part, or of its two largest; empty where it was left out at the border.
    parts : int
        Connected parts that the label has, specks aside.
    left_out : float
        Share of its voxels that is in no body, specks aside.
    specks : float
        Share of its voxels that is in specks.
    voxels : int
        Of the smallest body.
    side : str
        Where a body touches the image's border, such as "first z plane"; "" for nowhere.
    """

    bodies: list[SurfaceMesh]
    parts: int
    left_out: float
    specks: float
    voxels: int
    side: str = ""


@dataclasses.dataclass(frozen=True)
class Crop:
    """One label cut out of a frame.

    Attributes
    ----------
    mask : (z, y, x) bool
    grid : Grid
        Where the mask is.
    ends : (3, 2) bool
        Whether the crop ends with the image, at its first and its last plane along each axis.
    """

    mask: Bools
    grid: Grid
    ends: Bools

    def digest(self, index: int) -> bytes:
        """What tells this crop of frame ``index`` from any other."""
        return np.packbits(self.mask).tobytes() + repr((index, self.grid)).encode()

    def found(self, parts: int, border: str, where: str) -> Found:
        """Surfaces of the largest part, or of the two largest; what is tiny beside all of them is a speck.

        Parameters
        ----------
        parts : int
            Bodies that there may be.
        border : "error", "keep" or "skip"
            What becomes of a body at the image's border.
        where : str
            For the message.

        Raises
        ------
        SequenceError
            When a body touches the border and ``border`` is "error".
        """
        numbered, _ = ndimage.label(self.mask, np.ones((3, 3, 3)))
        sizes = np.bincount(numbered.ravel())[1:]
        order = np.argsort(-sizes, kind="stable")
        real = (sizes[order] >= SPECK * sizes.sum()) | (order == order[0])
        kept = order[:parts][real[:parts]]
        told = {
            "parts": int(real.sum()),
            "left_out": float(sizes[order[real]].sum() - sizes[kept].sum()) / float(sizes.sum()),
            "specks": float(sizes[order[~real]].sum()) / float(sizes.sum()),
            "voxels": int(sizes[kept].min()),
        }
        bodies = [numbered == number for number in 1 + kept]
        side = next((s for body in bodies if (s := self._side(body))), "") if border != "keep" else ""
        if side and border == "error":
            raise SequenceError(
                f"{where}: the object touches the image's border, {side}, so that its shape is cut; "
                "expected a whole object.",
                remedy="Leave such frames out with border='skip' (--border skip), or close the object at the border "
                "with border='keep' (--border keep).",
            )
        return Found([] if side else [mask_surface(body, self.grid) for body in bodies], **told, side=side)

    def _side(self, body: Bools) -> str:
        """Where a body touches the image's border, in words; "" where it does not."""
        touched = [
            _SIDES[axis][end]
            for axis in range(3)
            for end, index in ((0, 0), (1, -1))
            if self.ends[axis, end] and np.take(body, index, axis).any()
        ]
        if len(touched) == 6:
            return "all its sides: is it the background?"
        return f"{touched[0]} plane" if touched else ""


@dataclasses.dataclass(frozen=True)
class Labels:
    """The labels of one frame, cut out, by their values.

    Attributes
    ----------
    crops : mapping of int to Crop
    unset : int
        Voxels with the value −1, which count as outside.
    """

    crops: dict[int, Crop]
    unset: int = 0

    @classmethod
    def of(cls, volume: Volume, wanted: Sequence[int] | None, lineage: Lineage, what: str) -> Labels:
        """The wanted labels of a frame, or all.

        Raises
        ------
        VolumeError
            When its values are no labels: fractions, negative numbers, grey values.
        """
        data = volume.data
        _check_whole(data, what)
        values, packed = np.unique(data, return_inverse=True)
        low = int(values[0])
        if low < _UNSET:
            raise VolumeError(
                f"{what} has the value {low}; expected 0 outside and labels above (−1 counts as outside).",
                remedy="Set the outside to 0.",
            )
        unset = int((data == _UNSET).sum()) if low < 0 else 0
        inside = values > 0
        numbers = np.where(inside, np.cumsum(inside), 0).astype(np.int32)[packed.reshape(data.shape)]
        boxes = ndimage.find_objects(numbers)
        if len(boxes) >= _MANY:
            _check_labels(numbers, boxes, what)
        chosen = None if wanted is None else lineage.with_daughters(wanted)
        crops = {}
        for number, (value, box) in enumerate(zip((int(v) for v in values[inside]), boxes), start=1):
            if chosen is None or value in chosen:
                grid = volume.grid.crop([s.start for s in box], [s.stop for s in box])
                ends = [[s.start == 0, s.stop == n] for s, n in zip(box, data.shape)]
                crops[value] = Crop(numbers[box] == number, grid, np.array(ends))
        return cls(crops, unset)


def _check_whole(data: Array, what: str) -> None:
    """Refuse fractions: probabilities, or an image."""
    if data.dtype.kind != "f" or (data == np.rint(data)).all():
        return
    low, high = float(data.min()), float(data.max())
    if low >= 0 and high <= 1:
        raise VolumeError(
            f"{what} has values that are not whole numbers, from {low:.3g} to {high:.3g}, as a probability map has; "
            "expected a mask or labels.",
            remedy="Threshold it first, for example at 0.5.",
        )
    raise VolumeError(
        f"{what} has values that are not whole numbers, from {low:.3g} to {high:.3g}; expected a mask or labels.",
        remedy="Segment the image first; labels are resampled with nearest neighbours.",
    )


def _check_labels(numbers: Ints32, boxes: list[Any], what: str) -> None:
    """Refuse grey values: most of many values are spread over some way, yet nowhere two voxels wide each way.

    A label has voxels inside of it, whose neighbours in the plane are its own; a speck has none, but spans little.
    """
    inner = numbers[:, 1:-1, 1:-1]
    same = np.ones(inner.shape, dtype=bool)
    for other in (numbers[:, :-2, 1:-1], numbers[:, 2:, 1:-1], numbers[:, 1:-1, :-2], numbers[:, 1:-1, 2:]):
        same &= inner == other
    solid = np.bincount(inner[same], minlength=len(boxes) + 1)[1:] > 0
    wide = np.array([sorted(s.stop - s.start for s in box)[1] > _SPREAD for box in boxes])
    grey = int((wide & ~solid).sum())
    if grey >= _GREY and 2 * grey > len(boxes):
        raise VolumeError(
            f"{what} has {len(boxes)} values, most of them scattered or in thin layers, as an image or a probability "
            "map has; expected a mask or labels.",
            remedy="Segment the image, or threshold the map, first; labels are resampled with nearest neighbours.",
        )
