"""A cell's bright neighbours: which voxels are theirs, where their light reaches, and how bright it is there.

Words used throughout the fit: *candidates* are the bright voxels beside the cell as the search for a start found them;
*neighbours* those of them that belong to other cells, judged from the surface as it is; their *halo* is where their
blur lights up what is dark; *sources* are the voxels that neighbours' light may come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage.segmentation import watershed

from .._typing import Array, Bools, Floats
from ..loss import best_affine
from ..rendering import Renderer
from .constants import (
    LEAST_EMISSION,
    LIGHT_CLEARANCE,
    LIGHT_ITERATIONS,
    LIGHT_MARGIN,
    NEIGHBOUR_BLUR_RADIUS,
    NEIGHBOUR_DISTANCE,
)

if TYPE_CHECKING:
    from .scene import Scene

__all__ = [
    "emission_mask",
    "estimate_neighbour_light",
    "exclude_neighbour_light",
    "neighbour_blur_mask",
    "neighbour_candidates",
    "neighbour_mask",
]


def neighbour_candidates(mask: Bools, scene: Scene) -> Bools:
    """Find what is bright and not next to a cell whose mask is known: its candidates for neighbours."""
    return scene.bright & ~(scene.distance_from(mask) <= NEIGHBOUR_DISTANCE * scene.finest)


def neighbour_mask(
    inside: Bools,
    away: Floats,
    candidates: Bools,
    scene: Scene,
    reach: float,
    cell: Bools | None = None,
) -> Bools:
    """Find which bright voxels belong to neighbours, seen from a surface that is about where the cell is.

    A watershed of the image, from the inside of the surface and from those candidates that lie beyond `reach` of it:
    two dark insides meet at the bright membranes between them.

    Parameters
    ----------
    inside : (z, y, x) bool
        Voxels inside the surface.
    away : (z, y, x) float
        Distance of every voxel from those, µm.
    candidates : (z, y, x) bool
        What is bright beside the cell as the search for a start found it.
    scene : Scene
    reach : float
        µm. What is bright and nearer than this, to the surface or to `cell`, may be the cell's own membrane; what is
        farther than this from all candidates beyond is not taken for a neighbour's.
    cell : (z, y, x) bool, optional
        The bright object that the surface is to become.
    """
    if not (candidates.any() and inside.any()):
        return candidates
    beyond = candidates & ((away if cell is None else scene.distance_from(inside | cell)) > reach)
    if not beyond.any():
        return beyond
    seeds = np.where(inside, 1, np.where(beyond, 2, 0))
    theirs = watershed(scene.smooth, seeds, mask=scene.bright | inside | candidates) == 2
    # farther from all that lies beyond, the blur of the cell's own membrane may have been flooded from there
    at = scene.distance_from(beyond) <= reach
    return theirs & at & (scene.bright | candidates) & (away > scene.voxel * (LIGHT_CLEARANCE - 1.0))


def neighbour_blur_mask(neighbours: Bools, scene: Scene) -> Bools:
    """Find where the light of bright neighbours reaches, (z, y, x)."""
    return scene.around(neighbours, NEIGHBOUR_BLUR_RADIUS * scene.finest)


def exclude_neighbour_light(region: Bools, neighbours: Bools, scene: Scene, *, last: bool) -> Bools:
    """Leave out of a region of interest what neighbours' light spoils.

    Where it reaches nothing counts, but in the last stage, where the light is modelled. Their own place counts before,
    as dark, so that the surface leaves it.
    """
    return region if last else region & (~neighbour_blur_mask(neighbours, scene) | neighbours)


def emission_mask(away: Floats, neighbours: Bools, scene: Scene) -> Bools:
    """Find the voxels that neighbours' light may come from.

    What is bright of the neighbours, and around it what is not next to the surface, whose distance is `away` (µm). The
    first stays whatever the surface does: were it to make way, a surface could creep into a neighbour.
    """
    return neighbours | (scene.around(neighbours, LIGHT_MARGIN * scene.voxel) & (away > LIGHT_CLEARANCE * scene.voxel))


def estimate_neighbour_light(
    renderer: Renderer,
    rendered: Array,
    observed: Array,
    weights: Array,
    emission_mask: Bools,
) -> Array:
    """Estimate the light from sources around a cell, blurred by the optics, in the image's unit.

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
    emission_mask : (z, y, x) bool
    """
    box = tuple(slice(0, n) for n in observed.shape)

    def through(image: Array, *, back: bool = False) -> Array:
        return renderer.blur(image.astype(observed.dtype, copy=False), adjoint=back)[box]

    gain, background = best_affine(rendered, observed, weights * ~emission_mask)
    emission = np.where(emission_mask, np.maximum(observed - gain * rendered - background, LEAST_EMISSION), 0).astype(
        observed.dtype
    )
    light = through(emission)
    for _ in range(LIGHT_ITERATIONS):
        wanted = np.maximum(observed - background, 0)
        found = through(np.maximum(gain * rendered + light, 0), back=True)
        emission = emission * np.maximum(through(wanted, back=True), 0) / np.maximum(found, LEAST_EMISSION)
        light = through(emission)
        gain = float((weights * rendered * (observed - light - background)).sum() / (weights * rendered**2).sum())
    return light
