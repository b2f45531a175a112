"""One body's image, rendered on a box around it that holds the light it spreads."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import fft

from ..._typing import Array
from ...image.volume import Grid
from ...optics import PSF
from ...rendering import Renderer

__all__ = ["View", "view_of"]

Slices = tuple[slice, slice, slice]


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """The box of the image on which a body is rendered.

    Attributes
    ----------
    renderer : Renderer
        Renders on the box, which may reach beyond the image.
    image : tuple of slice
        The voxels of the image that the box covers, (z, y, x).
    box : tuple of slice
        The same voxels in the box.
    """

    renderer: Renderer
    image: Slices
    box: Slices

    def with_psf(self, psf: PSF) -> View:
        """Return the same box with another PSF on the same modes."""
        return dataclasses.replace(self, renderer=self.renderer.with_psf(psf))

    def spread(self, values: Array) -> Array:
        """Return values on the image's voxels of the box, (z, y, x), as an array on the whole box, 0 elsewhere."""
        whole = np.zeros(self.renderer.band.grid.shape, dtype=values.dtype)
        whole[self.box] = values
        return whole

    def visible(self, rendered: Array) -> Array:
        """Return the part of a rendering on the box that lies in the image, (z, y, x)."""
        return rendered[self.box]


def view_of(points: Array, psf: PSF, grid: Grid, slack: float, *, cutoff: float, **settings: Any) -> View | None:
    """Make the view of a body: the box around it, its slack and the reach of the PSF.

    Parameters
    ----------
    points : (n, 3) float
        The body's vertices, µm, (z, y, x).
    psf : PSF
        Present PSF.
    grid : Grid
        Grid of the image.
    slack : float
        How far the vertices may move, and the PSF widen, before the view is made anew, µm.
    cutoff : float
        Modes are kept where the OTF exceeds this share of its maximum.
    **settings
        Further settings of the renderer.

    Returns
    -------
    View or None
        None if the box holds no voxel of the image.
    """
    spacing = np.asarray(grid.spacing)
    reach = np.asarray(psf.reach()) + slack
    low = np.floor((points.min(axis=0) - reach - np.asarray(grid.origin)) / spacing).astype(int)
    high = np.ceil((points.max(axis=0) + reach - np.asarray(grid.origin)) / spacing).astype(int) + 1
    size = [int(fft.next_fast_len(int(n), real=True)) for n in high - low]
    start = np.maximum(low, 0)
    stop = np.minimum(low + size, grid.shape)
    if (stop <= start).any():
        return None
    origin = np.asarray(grid.origin) + low * spacing
    box = Grid((size[0], size[1], size[2]), grid.spacing, (float(origin[0]), float(origin[1]), float(origin[2])))
    renderer = Renderer(psf, psf.band(box, cutoff), **settings)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(start, stop))
    bz, by, bx = (slice(int(a), int(b)) for a, b in zip(start - low, stop - low))
    return View(renderer, (z, y, x), (bz, by, bx))
