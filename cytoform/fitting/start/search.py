"""Search an image for the largest bright object, and cut it off others that touch it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from ..._typing import Array, Bools
from ...errors import FitError, VolumeError
from ..constants import (
    CLIP_DISTANCE,
    CLIP_RADIUS,
    FLAT_RATIO,
    LARGE_NEIGHBOUR_SHARE,
    LEAST_BORDER_NEIGHBOUR_SHARE,
    LEAST_LUMEN_SHARE,
    LEAST_NEIGHBOUR_SHARE,
    LEAST_OBJECT_VOXELS,
    MEMBRANE_GAP_RADIUS,
    NECK_RATIO,
    OUTLINE_INSET,
)
from .moments import Moments, object_moments

if TYPE_CHECKING:
    from ..scene import Scene

__all__ = ["BrightObject", "filled", "largest_object"]

GIVE_A_START = "Give a start: --init MESH, or mesh= in Python."


@dataclasses.dataclass(frozen=True, eq=False)
class BrightObject:
    """The largest bright object of an image, all (z, y, x) bool.

    Attributes
    ----------
    mask : the object, its inside filled
    other_objects : what else is bright, its neighbours
    """

    mask: Bools
    other_objects: Bools


def largest_object(scene: Scene) -> BrightObject:
    """Find the largest bright object of an image, and its neighbours.

    Smoothing, Otsu's threshold, closing of small breaks, filling of holes, the part with the most voxels, and an
    opening that cuts off what is joined to it by a narrow bridge and is another cell. :meth:`.Scene.largest_object`
    keeps what is found.

    Raises
    ------
    VolumeError
        When the image is constant.
    FitError
        When nothing of more than a hundred voxels stands out.
    """
    data = np.asarray(scene.volume.data)
    if data.min() == data.max():
        raise VolumeError(
            f"every voxel of the image is {data.flat[0]:g}; expected an image with a stained cell.",
            remedy="Is it the right channel or time point?",
        )
    bright, parts = scene.bright, scene.object_labels
    part = _largest(parts)
    if part.sum() < LEAST_OBJECT_VOXELS:
        raise FitError(
            "no bright object of at least a hundred voxels was found in the image.",
            remedy=GIVE_A_START,
        )
    mask = _without_neighbours(part, part & ~bright, scene.smooth, np.asarray(scene.spacing))
    if (bright & ~mask).any():
        mask = _clipped(mask, bright & ~mask, scene)
    return BrightObject(mask, bright & ~mask)


def _clipped(mask: Bools, others: Bools, scene: Scene) -> Bools:
    """Without what sticks out of the object's ellipsoid towards a neighbour."""
    moments = object_moments(mask, scene.grid)
    outline = Moments(moments.centre, moments.semi_axes + OUTLINE_INSET * scene.finest, moments.axes)
    near = scene.distance_from(others) <= CLIP_DISTANCE * outline.semi_axes[1]
    where = np.argwhere(mask & near)
    across = ((scene.grid.to_um(where) - outline.centre) @ outline.axes.T / outline.semi_axes)[:, 1:]
    out = where[np.linalg.norm(across, axis=1) > CLIP_RADIUS]
    kept = mask.copy()
    kept[tuple(out.T)] = False
    return _largest_part(kept)


def _largest_part(mask: Bools) -> Bools:
    parts, n = ndimage.label(mask)
    return _largest(parts) if n else mask


def _largest(parts: Array) -> Bools:
    """The part with the most voxels, of parts numbered from 1; nothing where there is none."""
    sizes = np.bincount(parts.ravel())[1:]
    return parts == 1 + int(np.argmax(sizes)) if len(sizes) else np.zeros(parts.shape, dtype=bool)


def _without_neighbours(mask: Bools, dark: Bools, image: Array, spacing: Array) -> Bools:
    """Cut an object off others that touch it: an opening around its deepest point, then a watershed of the image.

    What the opening leaves out and the object's core are the seeds of the watershed: it moves the cut to the bright
    membranes between the two. A part that ends within the image is a neighbour only where it has an inside of its own,
    which is `dark`, or is large: fins, tails and protrusions have none.

    The depth of a flat object is that of its outline seen along its thin axis: cells that touch along their rims have
    contacts as thick as themselves, but not as wide, and the dimples of a biconcave cell do not divide it.
    """
    spread = spacing * np.argwhere(mask).std(axis=0)
    thin = int(np.argmin(spread))
    flat = spread[thin] < FLAT_RATIO * float(np.median(spread))
    solid, sampling = (mask.any(axis=thin), np.delete(spacing, thin)) if flat else (mask, spacing)
    depth = ndimage.distance_transform_edt(np.pad(solid, 1), sampling=sampling)[(slice(1, -1),) * solid.ndim]
    radius = NECK_RATIO * float(depth.max())
    cores, _ = ndimage.label(depth > radius)
    core = cores == cores[np.unravel_index(int(np.argmax(depth)), depth.shape)]
    opened = ndimage.distance_transform_edt(~core, sampling=sampling) <= radius
    if flat:
        core, opened = np.expand_dims(core, thin), np.expand_dims(opened, thin)
    rest, _ = ndimage.label(mask & ~opened)
    share = np.bincount(rest.ravel(), weights=mask.ravel()) / mask.sum()  # the first is the body that is left
    cut = np.zeros(len(share), dtype=bool)
    for axis in range(3):
        for side in (0, -1):
            cut[np.unique(np.take(rest, side, axis=axis))] = True
    hollow = np.bincount(rest.ravel(), weights=dark.ravel()) >= LEAST_LUMEN_SHARE * share * mask.sum()
    large = (share >= np.where(cut, LEAST_BORDER_NEIGHBOUR_SHARE, LEAST_NEIGHBOUR_SHARE)) & (
        cut | hollow | (share >= LARGE_NEIGHBOUR_SHARE * share[0])
    )
    large[0] = False
    if not large.any():
        return mask
    seeds = np.where(mask & core, 1, np.where(large[rest], 2, 0))
    inner = watershed(image, seeds, mask=mask) == 1
    # the cut runs along the ridge of the membrane; its outer half, as thick as elsewhere, belongs to the object too
    outward = ndimage.distance_transform_edt(~inner, sampling=spacing)
    away = ndimage.distance_transform_edt(~large[rest], sampling=spacing) > radius
    outline = mask & ~ndimage.binary_erosion(mask) & away
    half = float(np.median(outward[outline])) if outline.any() else 0.0
    return _largest_part(mask & ~large[rest] & ((outward <= half) | away))


def filled(mask: Bools, spacing: Array) -> Bools:
    """Fill what a membrane encloses, breaks up to some width notwithstanding; a cleft between two cells stays open.

    The membrane is thickened step by step; a dark inside that is cut off by then, grown back by as much, is filled.
    """
    finest = float(spacing.min())
    padding = [int(np.ceil(MEMBRANE_GAP_RADIUS * finest / d)) + 1 for d in spacing]
    cut = tuple(slice(n, -n) for n in padding)
    wide = np.pad(mask, [(n, n) for n in padding])
    off = ndimage.distance_transform_edt(~wide, sampling=spacing)
    inside, known = wide.copy(), wide.copy()
    for step in range(1 + int(MEMBRANE_GAP_RADIUS)):
        reach = step * finest
        thick = off <= reach
        holes = ndimage.binary_fill_holes(thick) & ~thick
        if (holes & ~known).any():
            known |= holes
            inside |= ndimage.distance_transform_edt(~holes, sampling=spacing) <= reach
    return inside[cut]
