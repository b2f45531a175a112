"""A cell's bright neighbours: which voxels are theirs, and the light that reaches the cell's own from there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from ..image.volume import Volume
from ..loss import best_affine
from ..rendering import Renderer
from . import initial

__all__ = ["OFF", "light_of", "neighbours_beyond"]

OFF = 3.0  # voxels: no nearer to the surface is light from around neighbours put down to them
AROUND = 2.0  # voxels: as far around what is bright of them
TURNS = 20
_TINY = 1e-6


def neighbours_beyond(
    inside: npt.NDArray[np.bool_],
    others: npt.NDArray[np.bool_],
    volume: Volume,
    reach: float,
    own: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.bool_]:
    """Which bright voxels belong to neighbours, seen from a surface that is about where the cell is.

    A watershed of the image, from the inside of the surface and from those neighbours that lie beyond `reach` of it:
    two dark insides meet at the bright membranes between them.

    Parameters
    ----------
    inside : (z, y, x) bool
        Voxels inside the surface.
    others : (z, y, x) bool
        What is bright beside the cell as the search for a start found it.
    volume : Volume
    reach : float
        µm; what is bright and nearer, to the surface or to `own`, may be the cell's own membrane, and what is farther
        from all that was neighbours' beyond is not taken for theirs.
    own : (z, y, x) bool, optional
        The bright object that the surface is to become.
    """
    if not (others.any() and inside.any()):
        return others
    known = inside if own is None else inside | own
    beyond = others & (ndimage.distance_transform_edt(~known, sampling=volume.spacing) > reach)
    if not beyond.any():
        return beyond
    smooth, bright = initial.bright_part(volume)
    seeds = np.where(inside, 1, np.where(beyond, 2, 0))
    theirs = watershed(smooth, seeds, mask=bright | inside | others) == 2
    # farther from all that lies beyond, the blur of the cell's own membrane may have been flooded from there
    at = ndimage.distance_transform_edt(~beyond, sampling=volume.spacing) <= reach
    away = ndimage.distance_transform_edt(~inside, sampling=volume.spacing)
    return theirs & at & (bright | others) & (away > initial.typical_voxel(volume.spacing) * (OFF - 1.0))


def light_of(
    renderer: Renderer,
    rendered: npt.NDArray,
    observed: npt.NDArray,
    weights: npt.NDArray,
    sources: npt.NDArray[np.bool_],
) -> npt.NDArray:
    """Light from sources around a cell, blurred by the optics, in the image's unit.

    Emission e, zero or more, of voxels in `sources`, so that gain · rendered + background + H e comes near the image:
    the multiplicative steps of Daube-Witherspoon and Muehllehner (IEEE Trans. Med. Imaging 5, 1986, 61),
    e <- e · Hᵀ y / Hᵀ (m + H e), with the gain at its best after each; the background is that outside of the sources.

    Parameters
    ----------
    renderer : Renderer
        Its grid begins at the image's first voxel.
    rendered, observed : (z, y, x) float
        The cell's image, and the measured one.
    weights : (z, y, x) float
        Of the voxels that tell gain and background.
    sources : (z, y, x) bool
    """
    box = tuple(slice(0, n) for n in observed.shape)

    def through(image: npt.NDArray, *, back: bool = False) -> npt.NDArray:
        return renderer.blur(image.astype(observed.dtype, copy=False), adjoint=back)[box]

    gain, background = best_affine(rendered, observed, weights * ~sources)
    emission = np.where(sources, np.maximum(observed - gain * rendered - background, _TINY), 0).astype(observed.dtype)
    light = through(emission)
    for _ in range(TURNS):
        wanted = np.maximum(observed - background, 0)
        found = through(np.maximum(gain * rendered + light, 0), back=True)
        emission = emission * np.maximum(through(wanted, back=True), 0) / np.maximum(found, _TINY)
        light = through(emission)
        gain = float((weights * rendered * (observed - light - background)).sum() / (weights * rendered**2).sum())
    return light
