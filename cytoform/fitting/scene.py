"""The image as a fit uses it: quantities derived from its voxels, each computed once and kept."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_otsu

from .._typing import Bools, Floats, Floats32
from ..errors import FitError
from ..image.fill import find_constant_fill
from ..image.volume import Grid, Volume
from .constants import LEAST_SAFE_INTENSITY, MOST_SAFE_INTENSITY, THRESHOLD_SMOOTHING
from .quality.insides import CellCount, count_cells
from .start import search

__all__ = ["Scene", "typical_voxel"]


def typical_voxel(spacing: tuple[float, float, float]) -> float:
    """Return the geometric mean of a voxel's edges, µm: the unit of the fit's lengths in voxels."""
    return float(np.prod(spacing) ** (1.0 / 3.0))


class Scene:
    """An image with the quantities that a fit derives from it: smoothed image, bright voxels, connected bright objects.

    Parameters
    ----------
    volume : Volume
        The image.
    measured : (z, y, x) bool, optional
        Voxels that the microscope measured; all by default. Others never enter the loss.
    """

    def __init__(self, volume: Volume, measured: Bools | None = None) -> None:
        self.volume, self.measured = volume, measured

    @classmethod
    def from_volume(cls, volume: Volume) -> Scene:
        """Make the scene of an image; a constant fill (deskewed stacks) is unmeasured and replaced by the background.

        The background is the median of the darker half of the measured voxels.
        """
        found = find_constant_fill(np.asarray(volume.data))
        if found is None:
            return cls(volume)
        measured = ~found[0]
        data = np.asarray(volume.data, dtype=np.float32)
        background = np.median(data[measured & (data <= np.median(data[measured]))])
        return cls(dataclasses.replace(volume, data=np.where(measured, data, background)), measured)

    @property
    def grid(self) -> Grid:
        """Grid of the image's voxels."""
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
    def shortest_edge(self) -> float:
        """Shortest edge of a voxel, µm."""
        return float(min(self.spacing))

    @cached_property
    def smooth(self) -> Floats32:
        """Image smoothed by a Gaussian, float32 (z, y, x); σ is THRESHOLD_SMOOTHING times the shortest voxel edge.

        A floating-point image whose largest magnitude is outside of 1e-12 to 1e12 is divided by it first, as squares of
        such numbers do not fit into float32.
        """
        data = np.asarray(self.volume.data)
        size = float(np.abs(data).max())
        if (
            data.dtype.kind == "f" and not LEAST_SAFE_INTENSITY < size < MOST_SAFE_INTENSITY
        ):  # their squares are not representable in float32
            data = data / size
        widths = THRESHOLD_SMOOTHING * self.shortest_edge / np.asarray(self.spacing)
        return ndimage.gaussian_filter(np.asarray(data, np.float32), widths)

    @cached_property
    def bright(self) -> Bools:
        """Voxels brighter than Otsu's threshold of the smoothed image, (z, y, x)."""
        bright: Bools = self.smooth > threshold_otsu(self.smooth)
        return bright

    @cached_property
    def object_labels(self) -> npt.NDArray[np.int32 | np.int64]:
        """Labels of the connected bright objects with their insides filled, from 1; 0 outside, (z, y, x)."""
        parts, _ = ndimage.label(search.filled(self.bright, np.asarray(self.spacing)))
        return parts

    @cached_property
    def cell_count(self) -> CellCount:
        """The cells that the image seems to hold, and how many of them touch."""
        return count_cells(self.smooth, self.spacing)

    def largest_object(self) -> search.BrightObject:
        """Return the largest bright object, separated from touching ones, and the other bright voxels.

        Raises
        ------
        FitError
            If there is none.
        VolumeError
            If the image is constant.
        """
        if isinstance(self._largest, str):
            raise FitError(self._largest, remedy=search.GIVE_A_START)
        return self._largest

    @cached_property
    def _largest(self) -> search.BrightObject | str:
        """Largest bright object, or the message of the FitError if there is none."""
        try:
            return search.largest_object(self)
        except FitError as error:  # another search would fail, too
            return error.message

    def forget_search(self) -> None:
        """Free the memory of the labelled objects and of the largest one, which only the search for a start needs."""
        for name in ("object_labels", "_largest"):
            vars(self).pop(name, None)

    def within(self, region: Bools) -> Scene:
        """Return a scene of the same image with the voxels outside of a region set to the region's lowest value."""
        data = np.asarray(self.volume.data, dtype=np.float32)
        dark = np.where(region, data, data[region].min())
        return Scene(Volume(dark, self.spacing, self.volume.origin, self.volume.name))

    def where_measured(self, region: Bools) -> Bools:
        """Return the voxels of a region that the microscope measured, (z, y, x) bool.

        Voxels filled with one value, as deskewing leaves them, were not measured. Without any of them in the image the
        region is returned as it is.

        Raises
        ------
        FitError
            If the region is not empty and no voxel of it was measured.
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

    def dilated(self, mask: Bools, margin: float) -> Bools:
        """Return all voxels of a mask and within `margin` µm of it, (z, y, x) bool."""
        return self.distance_from(mask) <= margin if mask.any() else mask
