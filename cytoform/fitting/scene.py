"""The image as a fit sees it: what follows from its voxels, each worked out once and kept."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from .._typing import Bools, Floats, Floats32, Ints32
from ..errors import FitError
from ..image.fill import constant_fill
from ..image.volume import Grid, Volume
from .constants import LEAST_SAFE_INTENSITY, MOST_SAFE_INTENSITY, THRESHOLD_SMOOTHING
from .start import search

__all__ = ["Scene", "typical_voxel"]


def typical_voxel(spacing: tuple[float, float, float]) -> float:
    """Return the geometric mean of the voxel's edges, µm: the unit of the fit's lengths in voxels."""
    return float(np.prod(spacing) ** (1.0 / 3.0))


class Scene:
    """An image, and what a fit asks of it: smoothed, thresholded, its bright objects.

    Parameters
    ----------
    volume : Volume
    measured : (z, y, x) bool, optional
        Voxels that the microscope measured; all by default. The others never count.
    """

    def __init__(self, volume: Volume, measured: Bools | None = None) -> None:
        self.volume, self.measured = volume, measured

    @classmethod
    def of(cls, volume: Volume) -> Scene:
        """Look at an image, with its background in place of a constant fill (deskewed stacks)."""
        found = constant_fill(np.asarray(volume.data))
        if found is None:
            return cls(volume)
        measured = ~found[0]
        data = np.asarray(volume.data, dtype=np.float32)
        background = np.median(data[measured & (data <= np.median(data[measured]))])
        return cls(dataclasses.replace(volume, data=np.where(measured, data, background)), measured)

    @property
    def grid(self) -> Grid:
        """The voxels' places."""
        return self.volume.grid

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Size of a voxel, µm, (z, y, x)."""
        return self.volume.spacing

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of voxels, (z, y, x)."""
        return self.volume.shape

    @property
    def voxel(self) -> float:
        """Geometric mean of the voxel's edges, µm."""
        return typical_voxel(self.spacing)

    @property
    def finest(self) -> float:
        """Shortest edge of a voxel, µm."""
        return float(min(self.spacing))

    @cached_property
    def smooth(self) -> Floats32:
        """The image after a Gaussian of 1.5 finest voxels, (z, y, x)."""
        data = np.asarray(self.volume.data)
        size = float(np.abs(data).max())
        if (
            data.dtype.kind == "f" and not LEAST_SAFE_INTENSITY < size < MOST_SAFE_INTENSITY
        ):  # squares of such values are none in float32
            data = data / size
        widths = THRESHOLD_SMOOTHING * self.finest / np.asarray(self.spacing)
        return ndimage.gaussian_filter(np.asarray(data, np.float32), widths)

    @cached_property
    def bright(self) -> Bools:
        """Voxels brighter than Otsu's threshold of the smoothed image, (z, y, x)."""
        return self.smooth > threshold_otsu(self.smooth)

    @cached_property
    def bodies(self) -> Ints32:
        """Numbers of the connected bright objects, their insides filled, from 1; 0 outside, (z, y, x)."""
        parts, _ = ndimage.label(search.filled(self.bright, np.asarray(self.spacing)))
        return parts

    def largest_object(self) -> search.BrightObject:
        """Find the largest bright object, and what else is bright; errors as in :func:`.search.largest_object`."""
        if isinstance(self._largest, str):
            raise FitError(self._largest, remedy=search.GIVE_A_START)
        return self._largest

    @cached_property
    def _largest(self) -> search.BrightObject | str:
        try:
            return search.largest_object(self)
        except FitError as error:  # looking again would find no more
            return error.message

    def forget_search(self) -> None:
        """Drop what only the search for a start needs: numbered objects and the largest one."""
        for name in ("bodies", "_largest"):
            vars(self).pop(name, None)

    def within(self, region: Bools) -> Scene:
        """Return the same image, dark outside a region of interest."""
        data = np.asarray(self.volume.data, dtype=np.float32)
        dark = np.where(region, data, data[region].min())
        return Scene(Volume(dark, self.spacing, self.volume.origin, self.volume.name))

    def where_measured(self, region: Bools) -> Bools:
        """Return the part of a region that the microscope measured.

        Raises
        ------
        FitError
            When nothing of it was.
        """
        if self.measured is None:
            return region
        if region.any() and not (region & self.measured).any():
            raise FitError(
                "the region of interest lies where nothing was measured: its voxels are filled with one value, as "
                "deskewing and rotating leave them.",
                remedy="Is the region on the image's own voxels?",
            )
        return region & self.measured

    def distance_from(self, mask: Bools) -> Floats:
        """Return the distance of every voxel from a mask, µm; 0 in it, (z, y, x)."""
        return ndimage.distance_transform_edt(~mask, sampling=self.spacing)

    def around(self, mask: Bools, margin: float) -> Bools:
        """Return all voxels of a mask and within `margin` µm of it, (z, y, x)."""
        return self.distance_from(mask) <= margin if mask.any() else mask
