"""Exact signed distances from the samples of a grid to a closed surface."""

from __future__ import annotations

import functools
import importlib
import math
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from .._typing import Bools, Floats, Floats32
from ..devices import thread_count
from ..errors import SequenceError
from ..masks import mesh_to_mask

if TYPE_CHECKING:
    from ..image.volume import Grid
    from ..mesh.surface import SurfaceMesh

__all__ = ["has_sample", "mesh_sdf"]


@functools.lru_cache(maxsize=1)
def _kernels() -> ModuleType:
    """Return the module of compiled point–triangle kernels; numba is imported on the first call."""
    return importlib.import_module("cytoform.kernels.point_triangle")


def mesh_sdf(mesh: SurfaceMesh, grid: Grid, *, clamp: float | None = None) -> Floats32:
    """Compute the Euclidean distance from every voxel's centre to a closed surface, negative inside.

    Exact, to the rounding of float32: the distance is that to the nearest point of the nearest triangle. The sign is
    that of :func:`cytoform.masks.mesh_to_mask`: several bodies may be in one mesh, and one inside of another, wound the
    other way, is a hole. The surface may lie partly or wholly outside of the grid. Where bodies overlap, the walls
    inside of their union count as surface.

    Parameters
    ----------
    mesh : SurfaceMesh
        A closed surface with faces wound consistently, µm.
    grid : Grid
        Samples at which the distance is computed.
    clamp : float, optional
        Largest distance outside, µm; samples further out get this value (and cost next to nothing). Distances inside
        stay as they are. None for no limit.

    Returns
    -------
    (z, y, x) float32
        Distances in µm, of the grid's shape.

    Raises
    ------
    MeshError
        When the surface is open or wound inconsistently.
    SequenceError
        When ``clamp`` is not a positive number.
    """
    if clamp is not None and not (math.isfinite(clamp) and clamp > 0):
        raise SequenceError(f"clamp is {clamp!r}; expected a positive number of µm, or None for no limit.")
    inside = mesh_to_mask(mesh, grid)
    kernels = _kernels()
    corners = np.ascontiguousarray(mesh.vertices[mesh.faces], dtype=np.float64)
    table = np.empty((len(corners), kernels.TABLE_COLUMNS))
    kernels.tabulate(corners, table)
    out = np.empty(grid.shape, dtype=np.float32)
    limit = math.inf if clamp is None else float(clamp)
    _fill_distances(kernels, table, grid, inside, limit, out)
    np.minimum(out, np.float32(limit), out=out, where=~inside)
    return np.negative(out, out=out, where=inside)


def has_sample(mesh: SurfaceMesh, grid: Grid) -> bool:
    """Tell whether any sample of a grid lies inside a closed surface.

    Parameters
    ----------
    mesh : SurfaceMesh
        A closed surface with faces wound consistently, µm.
    grid : Grid
        The samples.

    Returns
    -------
    bool
        True where at least one is inside.

    Raises
    ------
    MeshError
        When the surface is open or wound inconsistently.
    """
    middle = np.rint(grid.to_index(np.mean(mesh.bounds, axis=0))).astype(int)
    last = np.asarray(grid.shape) - 1
    middle = np.clip(middle, 0, last)  # quick for most bodies: the samples in their middle are inside
    near = grid.crop(middle - 1, middle + 2)
    return bool(mesh_to_mask(mesh, near).any() or mesh_to_mask(mesh, grid).any())


def _fill_distances(
    kernels: ModuleType,
    table: Floats,
    grid: Grid,
    inside: Bools,
    limit: float,
    out: Floats32,
) -> None:
    """Fill ``out`` with unsigned distances, its blocks of voxels shared out over threads.

    The threads live no longer than this call, so it may be called from several threads at once and after a fork.

    Parameters
    ----------
    kernels : module
        :mod:`cytoform.kernels.point_triangle`.
    table : (n_faces, kernels.TABLE_COLUMNS) float64
        What the kernels tabulate of each triangle.
    grid : Grid
        The samples.
    inside : (z, y, x) bool
        Samples inside the surface, at which ``limit`` does not apply.
    limit : float
        Distance in µm beyond which samples outside need not be exact; infinity for none.
    out : (z, y, x) float32
        Filled with distances in µm.
    """
    origin, spacing = np.asarray(grid.origin), np.asarray(grid.spacing)
    count = int(kernels.count_blocks(grid.shape))

    def fill_block(number: int) -> None:
        kernels.distances(table, origin, spacing, inside, limit, number, number + 1, out)

    workers = min(thread_count(), count)
    if workers == 1:
        kernels.distances(table, origin, spacing, inside, limit, 0, count, out)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(fill_block, range(count)))
