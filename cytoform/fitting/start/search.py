"""Find the largest bright object of an image, and cut it off from others that touch it."""

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
    FRAGMENT_LEVEL,
    FRAGMENT_SHARE,
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

__all__ = ["BrightObject", "filled", "largest_object", "with_fragments"]

GIVE_A_START = "Give a start: --init MESH, or mesh= in Python."


@dataclasses.dataclass(frozen=True, eq=False)
class BrightObject:
    """The largest bright object of an image.

    Attributes
    ----------
    mask : (z, y, x) bool
        The object, its inside filled.
    other_objects : (z, y, x) bool
        All other bright voxels: candidates for neighbours.
    """

    mask: Bools
    other_objects: Bools


def largest_object(scene: Scene) -> BrightObject:
    """Find the largest bright object of an image, and its neighbours.

    Gaussian smoothing, Otsu's threshold, closing of small gaps, filling of holes, the largest connected component, and
    a morphological opening that cuts off other cells joined to it by narrow bridges. :meth:`.Scene.largest_object`
    keeps the result.

    Parameters
    ----------
    scene : Scene
        The image.

    Returns
    -------
    BrightObject

    Raises
    ------
    VolumeError
        When the image is constant.
    FitError
        When no object has more than a hundred voxels.
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


def with_fragments(cell: Bools, others: Bools, scene: Scene) -> tuple[Bools, Bools]:
    """Return a filled body with its fragments, and the other bright voxels without these.

    Thin parts of a filled body are dim, and may be bright pieces of their own. A piece of at most FRAGMENT_SHARE of the
    body's voxels is a fragment of it if both are connected where the smoothed image exceeds the background by
    FRAGMENT_LEVEL of what Otsu's threshold does.

    Parameters
    ----------
    cell, others : (z, y, x) bool
        The body, and the other bright voxels.
    scene : Scene
        The image.
    """
    dark = float(np.median(scene.smooth[~scene.bright]))
    level = dark + FRAGMENT_LEVEL * (float(scene.smooth[scene.bright].min()) - dark)
    reached, _ = ndimage.label((scene.smooth > level) | cell | others)
    own = np.isin(reached, np.unique(reached[cell]))
    pieces, _ = ndimage.label(others)
    small = np.bincount(pieces.ravel()) <= FRAGMENT_SHARE * cell.sum()
    small[0] = False
    fragments = small[pieces] & own
    return cell | fragments, others & ~fragments


def _clipped(mask: Bools, other_objects: Bools, scene: Scene) -> Bools:
    """Cut off the voxels of a mask that stick out of its ellipsoid towards a neighbour, and keep the largest piece.

    A voxel is cut if it lies outside of the ellipsoid scaled by CLIP_RADIUS, seen along its shortest axis, and within
    CLIP_DISTANCE of its middle semi-axis from `other_objects`, other bright voxels, (z, y, x).
    """
    moments = object_moments(mask, scene.grid)
    outline = Moments(moments.centre, moments.semi_axes + OUTLINE_INSET * scene.shortest_edge, moments.axes)
    near = scene.distance_from(other_objects) <= CLIP_DISTANCE * outline.semi_axes[1]
    where = np.argwhere(mask & near)
    across = ((scene.grid.to_um(where) - outline.centre) @ outline.axes.T / outline.semi_axes)[:, 1:]
    out = where[np.linalg.norm(across, axis=1) > CLIP_RADIUS]
    kept = mask.copy()
    kept[tuple(out.T)] = False
    return _largest_part(kept)


def _largest_part(mask: Bools) -> Bools:
    """Return the largest connected component of a mask; the mask itself where it is empty."""
    parts, n = ndimage.label(mask)
    return _largest(parts) if n else mask


def _largest(parts: Array) -> Bools:
    """Return the mask of the largest of numbered components (1, 2, …; 0 is outside); empty if there is none."""
    sizes = np.bincount(parts.ravel())[1:]
    return parts == 1 + int(np.argmax(sizes)) if len(sizes) else np.zeros(parts.shape, dtype=bool)


def _without_neighbours(mask: Bools, dark: Bools, image: Array, spacing: Array) -> Bools:
    """Cut an object off others that touch it, by an opening around its deepest point and a watershed of the image.

    The object's core and the parts that the opening removes are the seeds; the watershed moves the cut to the bright
    membranes between them. A removed part that ends within the image counts as a neighbour only if it has a dark inside
    of its own or is large: fins, tails and protrusions have none.

    The depth of a flat object is that of its outline seen along its thin axis: cells that touch along their rims have
    contacts as thick as themselves, but not as wide, and the dimples of a biconcave cell do not divide it.

    Parameters
    ----------
    mask, dark : (z, y, x) bool
        The object, and the dark voxels inside it.
    image : (z, y, x) float
        Smoothed.
    spacing : (3,) float
        Voxel size, µm.

    Returns
    -------
    (z, y, x) bool
        The mask without neighbours.
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
    """Fill what a membrane encloses, even if the membrane has gaps of up to twice MEMBRANE_GAP_RADIUS finest voxels.

    The membrane is dilated step by step; a dark region that is closed off at some step is filled, dilated by as much. A
    cleft between two cells stays open. `mask` is (z, y, x) bool, `spacing` the voxel size, (3,) µm.
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
