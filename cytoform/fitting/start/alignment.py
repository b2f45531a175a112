"""Find the bright object that a user's start refers to, and align the start to it.

A start may be too small, too large or beside its cell. The object that it overlaps is the cell to fit; its extent
gives the region of interest and a better start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from scipy import ndimage
from scipy.linalg import sqrtm
from skimage.segmentation import watershed

from ..._typing import Array, Bools, Ints
from ...image.volume import Grid
from ...mesh.protocol import Mesh
from ..constants import (
    DEPTH_CLEARANCE,
    DEPTH_SMOOTHING,
    LEAST_OBJECT_VOXELS,
    MEMBRANE_DEPTH_PERCENTILE,
    MOST_BRIGHT_INTERIOR,
    NECK_RATIO,
)

if TYPE_CHECKING:
    from ..scene import Scene

__all__ = ["aligned_to", "object_overlapping"]

MeshT = TypeVar("MeshT", bound=Mesh)


def object_overlapping(inside: Bools, scene: Scene) -> Bools | None:
    """Return the bright object that shares most voxels with a start; None if it is not a single hollow cell.

    Holes are filled, and connected bright objects are split at necks narrower than half of the thinner part. The
    object has to be hollow: where it is deeper than its membrane is thick, at most MOST_BRIGHT_INTERIOR of its voxels
    may be bright. A cluster of cells has membranes there, and a network of membranes that encloses nothing has no such
    depth.

    Parameters
    ----------
    inside : (z, y, x) bool
        Voxels inside the start.
    scene : Scene
        The image.

    Returns
    -------
    (z, y, x) bool or None
    """
    spacing, bright, parts = np.asarray(scene.spacing), scene.bright, scene.object_labels
    most = _most_common(parts[inside])
    if most == 0:
        return None
    bodies = _split_at_necks(parts == most, spacing)
    own = bodies == _most_common(bodies[inside])
    if own.sum() < LEAST_OBJECT_VOXELS:
        return None
    half = np.percentile(scene.distance_from(~bright)[bright & own], MEMBRANE_DEPTH_PERCENTILE)
    reach = 2.0 * float(half) + DEPTH_CLEARANCE * float(spacing.min())
    deep = scene.distance_from(~own) > reach
    return own if deep.any() and bright[deep].mean() <= MOST_BRIGHT_INTERIOR else None


def aligned_to(mesh: MeshT, inside: Bools, mask: Bools, grid: Grid) -> MeshT:
    """Move a mesh by the linear map that gives its body an object's centre and second moments.

    The map is the symmetric one, which has no rotation: x -> A (x - m) + m' with
    A = C^(-1/2) (C^(1/2) C' C^(1/2))^(1/2) C^(-1/2), C the covariance of the start and C' that of the object.

    Parameters
    ----------
    mesh : Mesh
    inside, mask : (z, y, x) bool
        Voxels inside the mesh, and those of the object.
    grid : Grid
        Of both.

    Returns
    -------
    Mesh
        Of the same kind.
    """
    first, second = (_moments(m, grid) for m in (inside, mask))
    root = np.real(sqrtm(first[1]))
    back = np.linalg.inv(root)
    stretch = back @ np.real(sqrtm(root @ second[1] @ root)) @ back
    return mesh.with_vertices((mesh.vertices - first[0]) @ stretch.T + second[0])


def _moments(mask: Bools, grid: Grid) -> tuple[Array, Array]:
    """Return the centre (3,) µm and covariance (3, 3) µm² of a mask, each voxel an evenly filled box."""
    points = grid.to_um(np.argwhere(mask))
    return points.mean(axis=0), np.cov(points.T, bias=True) + np.diag(np.asarray(grid.spacing) ** 2 / 12.0)


def _most_common(labels: Array) -> int:
    """Return the most frequent label other than 0; 0 if there is none."""
    counts = np.bincount(labels.ravel(), minlength=1)
    counts[0] = 0
    return int(np.argmax(counts)) if counts.any() else 0


def _split_at_necks(mask: Bools, spacing: Array) -> Ints:
    """Split a mask at its necks: a label for each part, (z, y, x).

    A watershed of the distance to the outside gives a part for each peak. Two adjacent parts are merged if the depth of
    the neck between them is at least NECK_RATIO of the shallower peak (persistence of peaks). `spacing` is (3,) µm.
    """
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[(slice(1, -1),) * 3]
    even = ndimage.gaussian_filter(depth, DEPTH_SMOOTHING * float(spacing.min()) / spacing)
    labels = watershed(-even, mask=mask)
    pairs, necks = _necks(labels, depth)
    peaks = np.asarray(ndimage.maximum(depth, labels, np.arange(labels.max() + 1)), dtype=float)
    parent = np.arange(len(peaks))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for (a, b), neck in zip(pairs[np.argsort(-necks)], np.sort(necks)[::-1]):
        a, b = root(a), root(b)
        if a != b and neck >= NECK_RATIO * min(peaks[a], peaks[b]):
            peaks[min(a, b)] = max(peaks[a], peaks[b])
            parent[max(a, b)] = min(a, b)
    return cast(Ints, np.array([root(i) for i in range(len(peaks))])[labels])


def _necks(labels: Array, depth: Array) -> tuple[Array, Array]:
    """Find the adjacent pairs of labels, (n, 2), and the greatest depth on the border between the two of each, (n,) µm.

    `labels` and `depth` are (z, y, x).
    """
    pairs, depths = [], []
    for axis in range(3):
        one, two = np.delete(labels, -1, axis=axis), np.delete(labels, 0, axis=axis)
        low = np.minimum(np.delete(depth, -1, axis=axis), np.delete(depth, 0, axis=axis))
        border = (one != two) & (one > 0) & (two > 0)
        pairs.append(np.sort(np.stack([one[border], two[border]], axis=1), axis=1))
        depths.append(low[border])
    found, which = np.unique(np.concatenate(pairs), axis=0, return_inverse=True)
    necks = np.zeros(len(found))
    np.maximum.at(necks, which.ravel(), np.concatenate(depths))
    return found, necks
