"""Count the cells of an image by their dark insides, and those that touch each other."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import reconstruction
from skimage.segmentation import watershed

from ..._typing import Array, Bools, Floats, Ints
from .limits import (
    BRIGHT_WALL_SHARE,
    CLEAR_WALL_SHARE,
    COMPARABLE_SIZE,
    COUNTED_VOXELS,
    LEAST_CLEAR_INSIDES,
    LEAST_CONTACT,
    LEAST_INSIDE_VOXELS,
    LEAST_WALL,
    MOST_WALL,
    SEVERAL_CELLS,
)

__all__ = ["CellCount", "count_cells"]


@dataclasses.dataclass(frozen=True)
class CellCount:
    """The cells that an image seems to hold.

    Attributes
    ----------
    total : int
        Dark insides of comparable size that are parted by bright membranes; the largest basin, the outside, is none.
    touching : int
        Those of them that share a wall with another one.
    """

    total: int = 0
    touching: int = 0

    @property
    def several(self) -> bool:
        """Whether so many touch each other that a search for one bright object cannot part them."""
        return self.touching >= SEVERAL_CELLS


def count_cells(smooth: Array, spacing: tuple[float, float, float]) -> CellCount:
    """Count the cells of a membrane-stained image.

    The dark places of the image are the basins of a watershed: two of them are one unless every way from one to the
    other leads over a wall of LEAST_WALL of the contrast. The basin with the longest walls is taken for the outside.

    Parameters
    ----------
    smooth : (z, y, x) float
        The smoothed image.
    spacing : (3,) float
        Voxel size, µm.

    Returns
    -------
    CellCount
        Zeros for a constant image.
    """
    image, step = _reduced(np.asarray(smooth, dtype=np.float32), np.asarray(spacing, dtype=np.float64))
    if image.min() == image.max():
        return CellCount()
    threshold = float(threshold_otsu(image))
    dark, bright = float(np.median(image[image <= threshold])), float(np.median(image[image > threshold]))
    land = np.minimum(image, dark + MOST_WALL * (bright - dark))
    basins, n = _basins(land, LEAST_WALL * (bright - dark))
    if n < 2:
        return CellCount()
    walls, bright_walls = _wall_areas(basins, n, step), _wall_areas(basins, n, step, image > threshold)
    sizes = np.bincount(basins[image < threshold], minlength=n)
    inside = np.arange(n) != int(np.argmax(walls.sum(axis=1)))
    typical = int(np.sort(sizes[inside])[-min(SEVERAL_CELLS, n - 1)])
    inside &= (sizes >= COMPARABLE_SIZE * typical) & (sizes >= LEAST_INSIDE_VOXELS)
    if not inside.any():
        return CellCount()
    walls_of = walls.sum(axis=1)
    bright_share = bright_walls.sum(axis=1) / np.maximum(walls_of, 1e-300)
    if (bright_share[inside] >= CLEAR_WALL_SHARE).mean() < LEAST_CLEAR_INSIDES:
        return CellCount()
    inside &= bright_share >= BRIGHT_WALL_SHARE
    contact = walls >= LEAST_CONTACT * np.minimum(walls_of[:, None], walls_of[None])
    contact &= (walls > 0) & inside[:, None] & inside[None]
    return CellCount(int(inside.sum()), int(contact.any(axis=1).sum()))


def _reduced(image: Array, spacing: Floats) -> tuple[Array, Floats]:
    """Reduce an image to at most COUNTED_VOXELS by taking every n-th voxel along its finer axes, smoothed before.

    Returns the image and its voxel size, µm.
    """
    steps = np.ones(3, dtype=int)
    while np.prod(np.ceil(np.array(image.shape) / steps)) > COUNTED_VOXELS:
        steps[int(np.argmin(spacing * steps))] += 1
    if (steps > 1).any():
        image = ndimage.gaussian_filter(image, 0.5 * (steps - 1.0))[tuple(slice(None, None, s) for s in steps)]
    return image, spacing * steps


def _basins(land: Array, rise: float) -> tuple[Ints, int]:
    """Return the basins of a landscape, (z, y, x) int from 0, that are at least `rise` deep, and their number."""
    raised = reconstruction(land + np.float32(rise), land, method="erosion")
    tiny = 1e-3 * rise
    lowest = reconstruction(raised + tiny, raised, method="erosion") - raised > 0.5 * tiny
    seeds, n = ndimage.label(lowest, np.ones((3, 3, 3)))
    return watershed(land, seeds).astype(np.int64) - 1, int(n)


def _wall_areas(basins: Ints, n: int, step: Floats, where: Bools | None = None) -> Floats:
    """Return the area of the walls between any two of `n` basins, (n, n) µm²; `step` is the voxel size, (3,) µm.

    With `where`, (z, y, x) bool, faces of voxels count of which one at least is marked.
    """
    areas = np.zeros(n * n)
    for axis in range(3):
        swapped = np.moveaxis(basins, axis, 0)
        first, second = swapped[:-1].ravel(), swapped[1:].ravel()
        differ = first != second
        if where is not None:
            marked = np.moveaxis(where, axis, 0)
            differ &= (marked[:-1] | marked[1:]).ravel()
        pairs = first[differ] * n + second[differ]
        areas += np.bincount(pairs, minlength=n * n) * float(np.prod(step) / step[axis])
    square = areas.reshape(n, n)
    return square + square.T
