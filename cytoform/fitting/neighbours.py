"""Bright neighbours of a cell: their voxels, the voxels that their blurred light reaches, and its brightness there.

Terms of the fit: *candidates* are the bright voxels beside the cell as the search for a start found them; *neighbours*
are those of them that belong to other cells, judged from the present surface; the *blur mask* contains neighbours and
the voxels that their blur lights up; the *emission mask* the voxels that modelled light of neighbours may come from.
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
    MOST_LIGHT,
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
    """Return the bright voxels farther than NEIGHBOUR_DISTANCE from a cell's mask, (z, y, x) bool."""
    return scene.bright & ~(scene.distance_from(mask) <= NEIGHBOUR_DISTANCE * scene.shortest_edge)


def neighbour_mask(
    inside: Bools,
    distances: Floats,
    candidates: Bools,
    scene: Scene,
    membrane_distance: float,
    cell: Bools | None = None,
) -> Bools:
    """Return the bright voxels that belong to neighbours, judged from a surface that is near the cell, (z, y, x) bool.

    A watershed of the smoothed image is seeded with the inside of the surface and with the candidates farther than
    `membrane_distance` from it; the two basins meet at the bright membranes between two cells. Of the neighbours'
    basin, those bright voxels and candidates are returned that lie within `membrane_distance` of its seeds and farther
    than LIGHT_CLEARANCE - 1 voxels from the surface. Without any candidate or inside, the candidates are returned.

    Parameters
    ----------
    inside : (z, y, x) bool
        Voxels inside the surface.
    distances : (z, y, x) float
        Distance of every voxel from those inside, µm.
    candidates : (z, y, x) bool
        Bright voxels beside the cell, as the search for a start found them.
    scene : Scene
        The image.
    membrane_distance : float
        Bright voxels nearer than this to the surface or to `cell` may be the cell's own blurred membrane, µm.
    cell : (z, y, x) bool, optional
        The bright object that the surface is to become.
    """
    if not (candidates.any() and inside.any()):
        return candidates
    beyond = candidates & ((distances if cell is None else scene.distance_from(inside | cell)) > membrane_distance)
    if not beyond.any():
        return beyond
    seeds = np.where(inside, 1, np.where(beyond, 2, 0))
    theirs: Bools = watershed(scene.smooth, seeds, mask=scene.bright | inside | candidates) == 2
    # farther from all seeds, the blur of the cell's own membrane may have been flooded from them
    near: Bools = scene.distance_from(beyond) <= membrane_distance
    return theirs & near & (scene.bright | candidates) & (distances > scene.voxel * (LIGHT_CLEARANCE - 1.0))


def neighbour_blur_mask(neighbours: Bools, scene: Scene) -> Bools:
    """Return the voxels that the blur of bright neighbours lights up, (z, y, x): those within NEIGHBOUR_BLUR_RADIUS."""
    return scene.dilated(neighbours, NEIGHBOUR_BLUR_RADIUS * scene.shortest_edge)


def exclude_neighbour_light(region: Bools, neighbours: Bools, scene: Scene, *, last: bool) -> Bools:
    """Return a region of interest, (z, y, x) bool, without the voxels that neighbours' blur lights up.

    The neighbours' own voxels stay, to be treated as dark, so that a surface is pushed out of them. In the last stage
    (`last`) the region is returned unchanged, as the light is modelled there.
    """
    return region if last else region & (~neighbour_blur_mask(neighbours, scene) | neighbours)


def emission_mask(distances: Floats, neighbours: Bools, scene: Scene) -> Bools:
    """Return the voxels that modelled light of neighbours may come from, (z, y, x) bool.

    They are all neighbours' voxels, and voxels within LIGHT_MARGIN of them that are farther than LIGHT_CLEARANCE from
    the surface. The former do not depend on the surface: otherwise it could creep into a neighbour step by step.

    Parameters
    ----------
    distances : (z, y, x) float
        Distance of every voxel from the inside of the surface, µm.
    neighbours : (z, y, x) bool
        Bright voxels of neighbours.
    scene : Scene
        The image.
    """
    return neighbours | (
        scene.dilated(neighbours, LIGHT_MARGIN * scene.voxel) & (distances > LIGHT_CLEARANCE * scene.voxel)
    )


def estimate_neighbour_light(
    renderer: Renderer,
    rendered: Array,
    observed: Array,
    weights: Array,
    emission_mask: Bools,
) -> Array:
    """Estimate the blurred light of neighbours, (z, y, x), in the image's unit.

    Their emission e >= 0, in the voxels of `emission_mask`, is found such that gain · rendered + background + H e comes
    near the image, H the optics, by LIGHT_ITERATIONS multiplicative steps e <- e · Hᵀ y / Hᵀ (m + H e) (y the image
    less background, m = gain · rendered), with the gain at its best after each; the background is that outside of the
    mask. Ref: Daube-Witherspoon and Muehllehner, IEEE Trans. Med. Imaging 5 (1986), 61.

    Parameters
    ----------
    renderer : Renderer
        The optics H; its grid begins at the image's first voxel.
    rendered, observed : (z, y, x) float
        The cell's rendering, and the measured image.
    weights : (z, y, x) float
        Weights of the voxels from which gain and background are estimated.
    emission_mask : (z, y, x) bool
        Voxels that the light may come from.
    """
    box = tuple(slice(0, n) for n in observed.shape)

    def blurred(image: Array, *, adjoint: bool = False) -> Array:
        return renderer.blur(image.astype(observed.dtype, copy=False), adjoint=adjoint)[box]

    gain, background = best_affine(rendered, observed, weights * ~emission_mask)
    emission = np.where(emission_mask, np.maximum(observed - gain * rendered - background, LEAST_EMISSION), 0).astype(
        observed.dtype
    )
    light = blurred(emission)
    wanted = np.maximum(blurred(np.maximum(observed - background, 0), adjoint=True), 0)
    for _ in range(LIGHT_ITERATIONS):
        modelled = blurred(np.maximum(gain * rendered + light, 0), adjoint=True)
        emission = emission * wanted / np.maximum(modelled, LEAST_EMISSION)
        last, light = light, blurred(emission)
        if not np.isfinite(light).all() or light.max() > MOST_LIGHT * max(observed.max(), 1.0):
            return last  # where the model rings to below 0, the quotient grows without bounds
        gain = float((weights * rendered * (observed - light - background)).sum() / (weights * rendered**2).sum())
    return light
