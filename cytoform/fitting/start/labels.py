"""Take one cell out of a segmentation: its mask, and the voxels of its neighbours."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..._typing import Bools, Ints
from ...errors import FitError
from ..constants import (
    LABEL_CLEARANCE,
    LEAST_OBJECT_VOXELS,
    NEIGHBOUR_DISTANCE,
    NOTEWORTHY_SHARE,
    REGION_RIM_WIDTH,
    SAME_OBJECT_JACCARD,
    SAME_OBJECT_OVERLAP,
)
from ..neighbours import neighbour_candidates
from .search import BrightObject

if TYPE_CHECKING:
    from ..scene import Scene

__all__ = ["LabelledCell", "box_around", "bright_rim", "labelled_cell", "matches_search", "search_result_for"]


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledCell:
    """One cell of a segmentation.

    Attributes
    ----------
    mask : (z, y, x) bool
        The cell, in one piece and without holes.
    neighbours : (z, y, x) bool
        Voxels that may emit neighbours' light: other labels, and bright voxels without a label, except those within
        three voxels of the cell.
    alone : bool
        True if no other cell is labelled.
    remarks : tuple of str
        What was left out or filled, a sentence each.
    """

    mask: Bools
    neighbours: Bools
    alone: bool = False
    remarks: tuple[str, ...] = ()


def labelled_cell(
    labels: npt.ArrayLike, label: int | None, scene: Scene, *, noun: str = "", filled: bool = False
) -> LabelledCell:
    """Take one cell out of a label image: its largest piece, holes filled, and the voxels of its neighbours.

    Parameters
    ----------
    labels : (z, y, x) int
        A segmentation on the image's voxels: 0 (or below) outside, another number for each cell.
    label : int, optional
        Number of the cell; not needed where there is only one.
    scene : Scene
        The image.
    noun : str
        What messages call the cell; "label N" by default.
    filled : bool
        Whether the cells are filled: all voxels of other labels then emit light, those that touch the cell as well. (A
        membrane that two cells share belongs to both.)

    Returns
    -------
    LabelledCell

    Raises
    ------
    FitError
        When the shape is not the image's, values are not whole numbers, the label is missing, or the cell is too small.
    """
    values = _checked_labels(labels, scene.shape)
    wanted = _chosen_label(values, label)
    noun = noun or f"label {wanted}"
    whole = values == wanted
    box = box_around(whole, scene.spacing, NEIGHBOUR_DISTANCE * scene.shortest_edge)
    mask = np.zeros(whole.shape, dtype=bool)
    mask[box], remarks = _in_one_piece(whole[box], noun)
    if mask.sum() < LEAST_OBJECT_VOXELS:
        raise FitError(
            f"{noun} has {int(mask.sum())} voxels; expected at least {LEAST_OBJECT_VOXELS} for a surface to be fitted.",
            remedy="Choose another one, or an image with smaller voxels.",
        )
    off = np.full(whole.shape, np.inf, dtype=np.float32)
    off[box] = ndimage.distance_transform_edt(~mask[box], sampling=scene.spacing)
    other_labels = (values > 0) & ~whole
    clear = off > (0.0 if filled else LABEL_CLEARANCE * scene.voxel)
    if other_labels.any():
        neighbours = clear & (
            other_labels | (scene.bright & (values <= 0) & (off > NEIGHBOUR_DISTANCE * scene.shortest_edge))
        )
    else:
        neighbours = clear & search_result_for(mask, scene)[0].other_objects
    return LabelledCell(mask, neighbours, not other_labels.any(), remarks)


def box_around(mask: Bools, spacing: tuple[float, float, float], margin: float) -> tuple[slice, ...]:
    """Return the bounding box of a mask, widened by `margin` µm and two voxels on each side, as slices (z, y, x).

    `spacing` is the voxel size, (z, y, x) µm. The box ends at the image's border at its low side.
    """
    padding = [int(np.ceil(margin / d)) + 2 for d in spacing]
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(s.start - r, 0), s.stop + r) for s, r in zip(found, padding))


def _in_one_piece(whole: Bools, noun: str) -> tuple[Bools, tuple[str, ...]]:
    """Return the largest connected component of a mask with its holes filled, and remarks for the user.

    A remark names the share of voxels that was left out or filled, if it is above NOTEWORTHY_SHARE; `noun` is what it
    calls the mask.
    """
    parts, n = ndimage.label(whole, np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    part = parts == 1 + int(np.argmax(sizes))
    mask, remarks = ndimage.binary_fill_holes(part), []
    lost, filled = int(sizes.sum() - sizes.max()) / int(sizes.sum()), int((mask & ~part).sum())
    name = noun[0].upper() + noun[1:]
    if lost > NOTEWORTHY_SHARE:
        remarks.append(f"{name} is in {n} pieces; the largest is taken, {lost:.0%} of its voxels are left out.")
    if filled > NOTEWORTHY_SHARE * part.sum():
        remarks.append(f"{name} has holes of {filled} voxels ({filled / part.sum():.0%}); they are filled.")
    return mask, tuple(remarks)


def _checked_labels(labels: npt.ArrayLike, shape: tuple[int, ...]) -> Ints:
    """Return a label image as int64 after checks.

    Raises FitError if its shape is not `shape`, or if its values are not whole numbers below 2^63.
    """
    values = np.asarray(labels)
    if values.shape != shape:
        raise FitError(
            f"the labels have shape {values.shape}; expected {shape}, the image's.",
            remedy="Make them on the image's own voxels.",
        )
    whole = values.dtype.kind in "biu" or (
        values.dtype.kind == "f" and bool(np.isfinite(values).all()) and bool((values == np.rint(values)).all())
    )
    if not whole:
        raise FitError(
            f"the labels are {values.dtype} with values that are not whole numbers; expected a label image.",
            remedy="Threshold a probability map first.",
        )
    if values.dtype.kind != "b" and not -(2.0**63) <= float(values.min()) <= float(values.max()) < 2.0**63:
        raise FitError(
            f"the labels go from {values.min()} to {values.max()}; expected numbers below 2^63.",
            remedy="Number the cells anew, for example with skimage.segmentation.relabel_sequential.",
        )
    return values.astype(np.int64)


def _chosen_label(values: Ints, label: int | None) -> int:
    """Return `label`, or the only positive label; raise FitError if it is missing or ambiguous."""
    known = np.unique(values[values > 0])
    listed = ", ".join(str(v) for v in known[:8]) + (", …" if len(known) > 8 else "")
    if label is None:
        if len(known) != 1:
            raise FitError(
                f"there are {len(known)} labels{': ' + listed if len(known) else ''}; expected one to be chosen.",
                remedy="Pass label=N (--roi-label N).",
            )
        return int(known[0])
    if label not in known:
        raise FitError(
            f"label {label} is not among the labels; there are {listed or 'none'}.", remedy="Check the label's number."
        )
    return int(label)


def search_result_for(mask: Bools, scene: Scene) -> tuple[BrightObject, bool]:
    """Return the object that a search without a start finds and True, if it is the object of a mask.

    It is if the two share more than SAME_OBJECT_OVERLAP of the smaller one. Otherwise, or if nothing is found, return
    the mask itself with what is bright at a distance from it, and False.
    """
    try:
        found = scene.largest_object()
    except FitError:
        return BrightObject(mask, neighbour_candidates(mask, scene)), False
    same = bool((found.mask & mask).sum() > SAME_OBJECT_OVERLAP * min(found.mask.sum(), mask.sum()))
    return (found if same else BrightObject(mask, neighbour_candidates(mask, scene))), same


def matches_search(mask: Bools, scene: Scene) -> bool:
    """Tell whether a mask, (z, y, x), agrees with the object that a search without a start finds.

    They agree if their intersection over union exceeds SAME_OBJECT_JACCARD.
    """
    try:
        found = scene.largest_object().mask
    except FitError:
        return False
    return bool((found & mask).sum() > SAME_OBJECT_JACCARD * (found | mask).sum())


def bright_rim(region: Bools, scene: Scene) -> float:
    """Return the part of a region's rim that is brighter than Otsu's threshold, 0 to 1.

    The rim are the voxels of the region within REGION_RIM_WIDTH of its outside; the image's border makes none.
    """
    if region.all():
        return 0.0
    rim = region & (scene.distance_from(~region) <= REGION_RIM_WIDTH * scene.shortest_edge)
    return float(scene.bright[rim].mean())
