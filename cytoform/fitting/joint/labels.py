"""Scenes from label images, and the light of a labelled cell's neighbours by a fit of all of them together."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..._typing import Array, Bools, Ints
from ...errors import CytoformError, VolumeError
from ...image.volume import Grid, Volume
from ...masks import largest_part, mask_to_mesh
from ...mesh.protocol import Mesh
from ...mesh.scene import Scene
from ...rendering import render
from ..scene import Scene as ImageScene
from ..stain import stained
from ..start.begin import guess_psf
from ..start.labels import labelled_cell
from .api import fit_scene

if TYPE_CHECKING:
    from ..request import Request
    from .result import SceneResult

__all__ = ["scene_from_labels", "with_neighbours_fitted"]

_LOG = logging.getLogger(__name__)

BEYOND = 4
"""Voxels by which a body that the image's border cuts goes on outside of it, as wide as at the border."""
LEAST_VOXELS = 8
"""Voxels of a label from which it becomes a body: fewer enclose no volume to speak of."""
NEAR = 1.2
"""Widths (FWHM) of the PSF within which a neighbour's light is worth a body of its own."""
STEPS = 45
"""Most steps of the fit of a cell with its neighbours: it only has to tell their light apart."""


def scene_from_labels(labels: npt.ArrayLike, grid: Grid, *, stain: str = "filled") -> Scene:
    """Make a scene of a label image: a closed surface for each label, named by its number.

    Of a label in several pieces the largest is used. A body that touches the image's border goes on as wide as it is
    there for four voxels, since what lies beyond adds light, too.

    Parameters
    ----------
    labels : (z, y, x) int
        0 (or below) outside, another number for each body.
    grid : Grid
        Grid of the voxels.
    stain : "filled", "membrane" or "both"
        What of the bodies is stained.

    Returns
    -------
    Scene
        Float64 surfaces; labels of fewer than eight voxels are left out.

    Raises
    ------
    VolumeError
        If the label image does not have the grid's shape, or no label is large enough.
    """
    values = np.asarray(labels)
    if values.shape != grid.shape:
        raise VolumeError(f"the labels have shape {values.shape}; expected {grid.shape}, the grid's.")
    found = ndimage.find_objects(np.where(values > 0, _numbered(values), 0))
    numbers = np.unique(values[values > 0])
    bodies = {}
    for number, box in zip(numbers, found):
        mask = values == number
        if box is not None and int(mask[box].sum()) >= LEAST_VOXELS:
            bodies[str(int(number))] = stained(_surface(mask, grid), stain)
    if not bodies:
        raise VolumeError(f"no label has {LEAST_VOXELS} voxels or more; expected a label image of cells.")
    return Scene(bodies)


def _numbered(values: Array) -> Ints:
    """Return the labels numbered from 1 in their order, 0 where there is none."""
    positive = np.unique(values[values > 0])
    return np.asarray((np.searchsorted(positive, values) + 1) * (values > 0), dtype=np.int64)


def _surface(mask: Bools, grid: Grid) -> Mesh:
    """Return the closed surface of a mask's largest piece, continued beyond the image's border."""
    wide = np.pad(largest_part(mask), BEYOND, mode="edge")
    origin = np.asarray(grid.origin) - BEYOND * np.asarray(grid.spacing)
    shape = (wide.shape[0], wide.shape[1], wide.shape[2])
    around = Grid(shape, grid.spacing, (float(origin[0]), float(origin[1]), float(origin[2])))
    return mask_to_mesh(wide, around, largest=True).astype(np.float64)


def with_neighbours_fitted(request: Request) -> tuple[Request, Array | None]:
    """Fit a labelled filled cell with its labelled neighbours, and return the request for the cell alone.

    The bodies share the light between them, and one PSF: a single small body says too little about it.

    Parameters
    ----------
    request : Request
        The user's request.

    Returns
    -------
    request : Request
        The cell alone: the image less the light of the neighbours, the cell's surface and the PSF of the common fit,
        which is held. The user's own request if it has no labels or a start, if the cell has no labelled neighbour, or
        if the common fit is not possible.
    light : (z, y, x) float32, or None
        Light of the neighbours, and of uneven brightness inside the cell, in the image's intensities; None without a
        common fit.
    """
    if request.label_image is None or request.mesh is not None or request.config.stain != "filled":
        return request, None
    scene = ImageScene.from_volume(request.volume)
    cell = labelled_cell(request.label_image, request.label, scene, filled=True)
    labels = np.asarray(request.label_image)
    own = int(labels[cell.mask][0]) if request.label is None else int(request.label)
    psf = guess_psf(scene.spacing) if request.psf is None else request.psf
    box = _box(cell.mask, NEAR * np.asarray(psf.fwhm), scene)
    cropped = labels[box]
    if not ((cropped > 0) & (cropped != own)).any():
        return request, None
    part = scene.volume.crop([s.start for s in box], [s.stop for s in box])
    config = dataclasses.replace(request.config, iterations=min(STEPS, request.config.iterations))
    region = ndimage.binary_dilation(cropped > 0, iterations=3)
    try:
        found = fit_scene(part, scene_from_labels(cropped, part.grid), psf, config, roi=region, texture=True)
    except CytoformError as error:
        _LOG.warning("the neighbours are not fitted as bodies: %s", error)
        return request, None
    return _cell_alone(request, found, own, scene, box)


def _box(mask: Bools, margin: Array, scene: ImageScene) -> tuple[slice, slice, slice]:
    """Return the voxels of the image within a margin, (3,) µm, of a mask's bounding box, as slices (z, y, x)."""
    spare = np.ceil(margin / np.asarray(scene.spacing)).astype(int) + 2
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    z, y, x = (slice(max(s.start - int(r), 0), min(s.stop + int(r), n)) for s, r, n in zip(found, spare, scene.shape))
    return z, y, x


def _cell_alone(
    request: Request, found: SceneResult, own: int, scene: ImageScene, box: tuple[slice, slice, slice]
) -> tuple[Request, Array]:
    """Return the request for one cell of a common fit, and the light of all else, taken from the image.

    Its own uneven brightness counts as such light. The PSF is the common one, and is held.
    """
    body = found.scene[str(own)]
    part = found.model.grid
    padded = part.padded(tuple(np.asarray(found.psf.reach()) + part.overhang(np.asarray(body.vertices))))
    inside = tuple(slice(0, n) for n in part.shape)
    alone = render(body, found.psf, padded, tolerance=1e-4)[inside]
    light = np.zeros(scene.shape, dtype=np.float32)
    light[box] = found.model.data - found.background - alone
    volume = Volume(
        np.asarray(scene.volume.data, dtype=np.float32) - light, scene.spacing, scene.volume.origin, scene.volume.name
    )
    assert request.label_image is not None
    only = np.where(np.asarray(request.label_image) == own, own, 0)
    made = dataclasses.replace(
        request, volume=volume, mesh=stained(cast(Mesh, body), "filled"), psf=found.psf, labels=only, label=own,
        config=dataclasses.replace(request.config, infer_psf=False),
    )  # fmt: skip
    return made, light
