"""Signed distance from the samples of a grid to a closed surface, exact."""

from __future__ import annotations

import functools
import importlib
import math
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from .._typing import Bools, Floats, Floats32
from ..devices import threads
from ..errors import SequenceError
from ..masks import mesh_to_mask

if TYPE_CHECKING:
    from ..image.volume import Grid
    from ..mesh.surface import SurfaceMesh

__all__ = ["has_sample", "mesh_sdf"]


@functools.lru_cache(maxsize=1)
def _kernels() -> ModuleType:
    return importlib.import_module("cytoform.kernels.point_triangle")  # numba, on first use


def mesh_sdf(mesh: SurfaceMesh, grid: Grid, *, clamp: float | None = None) -> Floats32:
    """Euclidean distance in µm from every voxel's centre to a closed surface, negative inside.

    Exact, to the rounding of float32: the distance is that to the nearest point of the nearest triangle. The sign is
    that of :func:`cytoform.masks.mesh_to_mask`: several bodies may be in one mesh, and one inside of another, wound the
    other way, is a hole. The surface may lie partly or wholly outside of the grid. Where bodies overlap, the walls
    inside of their union count as surface.

    Parameters
    ----------
    mesh : SurfaceMesh
        A closed surface with faces wound consistently, µm.
    grid : Grid
        Where the distance is wanted.
    clamp : float, optional
        Largest distance outside, µm; what lies further out gets this value (and costs next to nothing). Distances
        inside stay as they are.

    Returns
    -------
    (z, y, x) float32

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
    table = np.empty((len(corners), kernels.TABLE))
    kernels.tabulate(corners, table)
    out = np.empty(grid.shape, dtype=np.float32)
    limit = math.inf if clamp is None else float(clamp)
    _shared(kernels, table, grid, inside, limit, out)
    np.minimum(out, np.float32(limit), out=out, where=~inside)
    return np.negative(out, out=out, where=inside)


def has_sample(mesh: SurfaceMesh, grid: Grid) -> bool:
    """Whether any sample of a grid lies inside a closed surface.

    Raises
    ------
    MeshError
        When the surface is open or wound inconsistently.
    """
    middle = np.rint(grid.to_index(np.mean(mesh.bounds, axis=0))).astype(int)
    last = np.asarray(grid.shape) - 1
    middle = np.clip(middle, 0, last)  # most bodies are told by the samples in their middle
    near = grid.crop(middle - 1, middle + 2)
    return bool(mesh_to_mask(mesh, near).any() or mesh_to_mask(mesh, grid).any())


def _shared(
    kernels: ModuleType,
    table: Floats,
    grid: Grid,
    inside: Bools,
    limit: float,
    out: Floats32,
) -> None:
    """Distances without sign, the blocks shared out over threads that live no longer than this call.

    So it works from several threads at once, and after a fork, as nothing of the parent's is waited for.
    """
    where = np.asarray(grid.origin), np.asarray(grid.spacing)
    count = int(kernels.blocks(grid.shape))

    def one(number: int) -> None:
        kernels.distances(table, *where, inside, limit, number, number + 1, out)

    workers = min(threads(), count)
    if workers == 1:
        kernels.distances(table, *where, inside, limit, 0, count, out)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, range(count)))
