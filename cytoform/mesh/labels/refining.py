"""Give the mesh of a label image good triangles, the wanted edge length and the volumes of its labels."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from ..._typing import Floats
from ...kernels import complex_sweeps
from ..remesh.complexes import arrays_of, make_complex
from ..remesh.finishing import give_volumes, remove_small_angles, volume_error
from ..remesh.sweeping import sweep
from .checking import mean_spacing

if TYPE_CHECKING:
    from .meshing import Soup

__all__ = ["refine"]

_ACCEPTED = float(np.sin(np.radians(12.5)))
_BOUND = 0.49  # voxels; a vertex moves no further from its middle for the sake of angles
_FLAT = 1.7  # ratio of a voxel's sides from which the mesh is remeshed to even edges
_VOLUME_ERROR = 1e-3
_ROUNDS = 5


def refine(soup: Soup, middle: Floats, volumes: Floats, size: Floats, edge: float | None) -> Soup:
    """Return faces in voxels without small angles, with the wanted edge length and volumes, of which none cross.

    Parameters
    ----------
    soup : Soup
        Faces in voxels.
    middle : (n_vertices, 3) float64
        The place of every vertex before it was smoothed; it stays within half a voxel of that.
    volumes : (n_regions,) float64
        Wanted volumes in voxels.
    size : (3,) float64
        Voxel size, µm.
    edge : float or None
        Wanted edge length, µm; None for that of the voxels.

    Returns
    -------
    Soup
        The new faces.
    """
    length = mean_spacing(size)
    held = soup.held @ np.array([1, 2, 4])
    room = 1.5 if edge is None else 1.5 + 1.5 * (length / edge) ** 2
    c = make_complex(soup.points * size, soup.faces, soup.pairs, held, length, room)
    middle, bound = middle * size, np.broadcast_to(_BOUND * size, middle.shape).copy()
    if edge is None and size.max() > _FLAT * size.min():
        edge = length
    if edge is not None:
        c = sweep(c, edge, rounds=3)
        middle, bound = np.zeros((0, 3)), np.zeros((0, 3))
    for _ in range(_ROUNDS):
        c = remove_small_angles(c, middle, bound)
        give_volumes(c, volumes * np.prod(size), 0.3 * length)
        if complex_sweeps.worst_sine(c) >= _ACCEPTED and volume_error(c, volumes * np.prod(size)) < _VOLUME_ERROR:
            break
    points, faces, pairs, bits, _ = arrays_of(c)
    kept = (bits[:, None] & np.array([1, 2, 4])) > 0
    return dataclasses.replace(soup, points=points / size, faces=faces, pairs=pairs, held=kept)
