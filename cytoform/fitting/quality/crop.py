"""The part of an image, and of its model, around a fitted surface."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Self

import numpy as np

from ..._typing import Bools, Floats
from ...metrics.image import region_of_r2
from ...optics.gaussian import FWHM_PER_SIGMA
from .limits import CROP_MARGIN

if TYPE_CHECKING:
    from ...image.volume import Grid
    from ..result import FitResult

__all__ = ["Crop", "sigma_of"]


def sigma_of(result: FitResult) -> Floats:
    """Return the blur along z, y and x as a standard deviation, (3,) µm; at least half a voxel."""
    widths = np.asarray(result.psf.fwhm, dtype=np.float64) / FWHM_PER_SIGMA
    found: Floats = np.maximum(widths, 0.5 * np.asarray(result.model.spacing, dtype=np.float64))
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class Crop:
    """An image and its model in the box around a surface, so that measures take no longer in a large image.

    Attributes
    ----------
    grid : Grid
        Grid of the box.
    image, model, light : (z, y, x) float64
        The image, the model of it, and the modelled light of neighbours.
    measured, region : (z, y, x) bool
        Voxels that were measured; those of them inside the surface or within 1 µm of it.
    darkest : float
        The lowest value of the whole image.
    """

    grid: Grid
    image: Floats
    model: Floats
    light: Floats
    measured: Bools
    region: Bools
    darkest: float

    @classmethod
    def of(cls, result: FitResult) -> Self:
        """Crop a result, whose `image` is not None, to its surface and CROP_MARGIN standard deviations of the blur."""
        assert result.image is not None
        grid, margin = result.model.grid, CROP_MARGIN * sigma_of(result)
        last = np.asarray(grid.shape) - 1
        low, high = (grid.to_index(b) for b in (result.mesh.bounds[0] - margin, result.mesh.bounds[1] + margin))
        start = np.clip(np.floor(low).astype(int) - 2, 0, last)
        stop = np.clip(np.ceil(high).astype(int) + 3, start + 1, last + 1)
        box = tuple(slice(a, b) for a, b in zip(start, stop))
        image = np.asarray(result.image.data[box], dtype=np.float64)
        light = np.zeros_like(image)
        if result.surroundings is not None:
            light = np.asarray(result.surroundings.data[box], dtype=np.float64)
        measured = np.ones(image.shape, dtype=bool) if result.measured is None else result.measured[box]
        inside = result.mask[box]
        region = region_of_r2(inside, result.image.spacing) if inside.any() else np.ones(image.shape, dtype=bool)
        model = np.asarray(result.model.data[box], dtype=np.float64) + light
        darkest = float(np.min(result.image.data))
        return cls(grid.crop(start, stop), image, model, light, measured, region & measured, darkest)
