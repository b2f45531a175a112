"""Labels of one frame of a mask: values checked, each label cropped, its connected components turned into surfaces."""

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
from ..masks import SPECK_FRACTION
from ..mesh.surface import SurfaceMesh
from .surface import mask_surface

__all__ = ["FrameLabels", "LabelCrop", "LabelSurfaces"]


_SIDES = (("first z", "last z"), ("first y", "last y"), ("first x", "last x"))
_UNSET = -1  # the value that ilastik and napari write where nothing is labelled
_MANY = 16  # different values from which on an image may be a grey image rather than labels
_GREY, _SPREAD = 8, 5  # least number of scattered values of a grey image; voxels that such a value spans at least


@dataclasses.dataclass(frozen=True)
class LabelSurfaces:
    """Surfaces of one label in one frame, and the fractions of its voxels that they leave out.

    Connected components of less than 2 % of the label's voxels are specks, but for the largest one.

    Parameters
    ----------
    bodies : list of SurfaceMesh
        Closed surfaces of its largest component, or of its two largest, µm; empty where the label was left out at the
        border.
    n_parts : int
        Number of connected components, specks not counted.
    unused_fraction : float
        Fraction of the label's voxels in components that are neither in a body nor specks.
    speck_fraction : float
        Fraction of the label's voxels in specks.
    smallest_voxels : int
        Voxels of the smallest body.
    border_side : str
        Where a body touches the image's border, such as "first z plane"; "" where none does, or where the border is
        ignored.
    """

    bodies: list[SurfaceMesh]
    n_parts: int
    unused_fraction: float
    speck_fraction: float
    smallest_voxels: int
    border_side: str = ""


@dataclasses.dataclass(frozen=True)
class LabelCrop:
    """Mask of one label of a frame within its bounding box.

    Parameters
    ----------
    mask : (z, y, x) bool
        Voxels of the label.
    grid : Grid
        Positions of the mask's voxels in the frame, µm.
    at_border : (3, 2) bool
        Whether the bounding box touches the image's first and last plane along each axis.
    """

    mask: Bools
    grid: Grid
    at_border: Bools

    def identifying_bytes(self, index: int) -> bytes:
        """Return bytes that are the same only for the same mask on the same grid in the same frame.

        They enter the digest of a track (:attr:`cytoform.sdf.reading.SurfaceTrack.digest`).

        Parameters
        ----------
        index : int
            Number of the frame.

        Returns
        -------
        bytes
            The packed mask, then frame number and grid as text.
        """
        return np.packbits(self.mask).tobytes() + repr((index, self.grid)).encode()

    def surfaces(self, max_bodies: int, border: str, where: str) -> LabelSurfaces:
        """Turn the largest connected components of the label into surfaces.

        Components touch by faces, edges or corners (26 neighbours). Specks (less than 2 % of the label's voxels) are
        left out, but for the largest component.

        Parameters
        ----------
        max_bodies : int
            Components that become bodies at most, the largest first.
        border : "error", "keep" or "skip"
            For a body that touches the image's border: raise, close it there, or leave the whole label out.
        where : str
            Frame and label in words, for the message.

        Returns
        -------
        LabelSurfaces
            The surfaces, and how much of the label they leave out.

        Raises
        ------
        SequenceError
            When a body touches the border and ``border`` is "error".
        """
        numbered, _ = ndimage.label(self.mask, np.ones((3, 3, 3)))
        sizes = np.bincount(numbered.ravel())[1:]
        order = np.argsort(-sizes, kind="stable")
        real = (sizes[order] >= SPECK_FRACTION * sizes.sum()) | (order == order[0])
        kept = order[:max_bodies][real[:max_bodies]]
        bodies = [numbered == number for number in 1 + kept]
        side = next((s for body in bodies if (s := self._border_side(body))), "") if border != "keep" else ""
        if side and border == "error":
            raise SequenceError(
                f"{where}: the object touches the image's border, {side}, so that its shape is cut; "
                "expected a whole object.",
                remedy="Leave such frames out with border='skip' (--border skip), or close the object at the border "
                "with border='keep' (--border keep).",
            )
        return LabelSurfaces(
            bodies=[] if side else [mask_surface(body, self.grid) for body in bodies],
            n_parts=int(real.sum()),
            unused_fraction=float(sizes[order[real]].sum() - sizes[kept].sum()) / float(sizes.sum()),
            speck_fraction=float(sizes[order[~real]].sum()) / float(sizes.sum()),
            smallest_voxels=int(sizes[kept].min()),
            border_side=side,
        )

    def _border_side(self, body: Bools) -> str:
        """Return the first plane of the image that a mask of the crop's shape touches, in words; "" for none."""
        touched = [
            _SIDES[axis][end]
            for axis in range(3)
            for end, index in ((0, 0), (1, -1))
            if self.at_border[axis, end] and np.take(body, index, axis).any()
        ]
        if len(touched) == 6:
            return "all its sides: is it the background?"
        return f"{touched[0]} plane" if touched else ""


@dataclasses.dataclass(frozen=True)
class FrameLabels:
    """Labels of one frame, each as a crop, by their values.

    Parameters
    ----------
    crops : dict of int to LabelCrop
        The crop of each label, in increasing order of the labels.
    n_unset : int
        Number of voxels with the value −1, which count as outside.
    """

    crops: dict[int, LabelCrop]
    n_unset: int = 0

    @classmethod
    def from_volume(cls, volume: Volume, wanted: Sequence[int] | None, lineage: Lineage, what: str) -> FrameLabels:
        """Check the values of a frame and crop its labels.

        Parameters
        ----------
        volume : Volume
            Labels on the image's grid: 0 or −1 outside, positive whole numbers inside.
        wanted : list of int, optional
            Only these labels and their daughters; None for all.
        lineage : Lineage
            Which labels are daughters of which.
        what : str
            Frame in words, for messages.

        Returns
        -------
        FrameLabels
            Without an entry for labels that the frame does not have.

        Raises
        ------
        VolumeError
            When the values are no labels: fractions, numbers below −1, grey values.
        """
        data = volume.data
        _check_whole_numbers(data, what)
        values, packed = np.unique(data, return_inverse=True)
        low = int(values[0])
        if low < _UNSET:
            raise VolumeError(
                f"{what} has the value {low}; expected 0 outside and labels above (−1 counts as outside).",
                remedy="Set the outside to 0.",
            )
        n_unset = int((data == _UNSET).sum()) if low < 0 else 0
        inside = values > 0
        numbers = np.where(inside, np.cumsum(inside), 0).astype(np.int32)[packed.reshape(data.shape)]
        boxes = ndimage.find_objects(numbers)
        if len(boxes) >= _MANY:
            _check_not_grey(numbers, boxes, what)
        chosen = None if wanted is None else lineage.with_daughters(wanted)
        crops = {}
        for number, (value, box) in enumerate(zip((int(v) for v in values[inside]), boxes), start=1):
            if chosen is None or value in chosen:
                grid = volume.grid.crop([s.start for s in box], [s.stop for s in box])
                at_border = [[s.start == 0, s.stop == n] for s, n in zip(box, data.shape)]
                crops[value] = LabelCrop(numbers[box] == number, grid, np.array(at_border))
        return cls(crops, n_unset)


def _check_whole_numbers(data: Array, what: str) -> None:
    """Raise VolumeError if values have fractions, as a probability map or image has; ``what`` names the frame."""
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


def _check_not_grey(numbers: Ints32, boxes: list[Any], what: str) -> None:
    """Raise VolumeError if the values look like those of a grey image rather than labels.

    A value looks grey where its bounding box is more than five voxels wide along at least two axes although none of its
    voxels has four neighbours in the plane (±1 along y and x) of the same value. A label has such voxels; a speck has
    none, but a small box. An image is refused where at least eight values, and more than half, look grey.

    Parameters
    ----------
    numbers : (z, y, x) int32
        Values renumbered from 1, 0 outside.
    boxes : list of (3,) slices
        Bounding box of each number, as :func:`scipy.ndimage.find_objects` returns them.
    what : str
        Frame in words, for the message.
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
