"""What a label image held, and how well its mesh follows it, region by region."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from ..._typing import Array, Floats, Ints
from .. import topology
from ..multimaterial import MultiMaterialMesh
from ..volumes import region_volumes

__all__ = ["LabelReport", "RegionRow", "make_report"]

_VOLUME_ERROR = 0.005  # relative; a region with a larger one is named
_MIN_ANGLE = 12.0  # degrees


@dataclasses.dataclass(frozen=True)
class RegionRow:
    """One region of a label image and its surface.

    Parameters
    ----------
    region : int
        The label.
    n_voxels : int
        Number of voxels.
    n_parts : int
        Number of separate parts of its surface's voxels (26 neighbours).
    euler : int
        Euler characteristic of its surface: 2 for each closed piece, less 2 for each handle.
    volume : float
        Volume enclosed, µm³.
    volume_error : float
        Relative difference from the voxels' volume.
    cropped : bool
        Whether a side of the image cuts it off.
    """

    region: int
    n_voxels: int
    n_parts: int
    euler: int
    volume: float
    volume_error: float
    cropped: bool


@dataclasses.dataclass(frozen=True)
class LabelReport:
    """What was found in a label image, and how well the mesh follows it.

    Parameters
    ----------
    regions : tuple of RegionRow
        One row for every label, ascending.
    n_ambiguous : int
        Places (2 × 2 × 2 voxels) at which voxels of a label touch only at an edge or a corner.
    min_angle : float
        Smallest angle of a triangle, degrees.
    joined : dict of int to int
        Voxels that were given to a neighbour, by label.
    remarks : tuple of str
        What a user should know: parts, cropped cells, ambiguous places.
    problems : tuple of str
        What falls short of the promise: volumes, angles.
    """

    regions: tuple[RegionRow, ...]
    n_ambiguous: int
    min_angle: float
    joined: dict[int, int]
    remarks: tuple[str, ...]
    problems: tuple[str, ...]


def make_report(
    mesh: MultiMaterialMesh, regions: Array, numbers: Ints, wanted: Floats, n_split: int, joined: dict[int, int]
) -> LabelReport:
    """Return the report on a mesh made from labels.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The mesh.
    regions : (z, y, x) int32
        Regions 1, 2, … of the image.
    numbers : (n_regions,) int64
        The label of each region.
    wanted : (n_regions,) float64
        The voxels' volume, µm³.
    n_split : int
        Number of ambiguous places.
    joined : dict of int to int
        Voxels given to a neighbour, by region.

    Returns
    -------
    LabelReport
        Rows, remarks and problems.
    """
    pairs = np.searchsorted(numbers, mesh.labels) + 1
    pairs[mesh.labels == 0] = 0
    volumes = region_volumes(mesh.vertices, mesh.faces, pairs, len(numbers))
    euler = euler_numbers(mesh.faces, pairs, len(numbers))
    cut = np.zeros(len(numbers) + 1, dtype=bool)
    if mesh.cropped is not None:
        cut[pairs[mesh.cropped]] = True
    counts = np.bincount(regions.reshape(-1), minlength=len(numbers) + 1)[1:]
    parts = [_count_parts(regions, box, region) for region, box in enumerate(ndimage.find_objects(regions), 1)]
    rows = tuple(
        RegionRow(int(numbers[k]), int(counts[k]), parts[k], int(euler[k]), float(volumes[k]),
                  float(volumes[k] / wanted[k] - 1.0), bool(cut[k + 1]))
        for k in range(len(numbers))
    )  # fmt: skip
    angle = float(topology.corner_angles(mesh.vertices, mesh.faces).min())
    given = {int(numbers[region - 1]): count for region, count in joined.items()}
    return LabelReport(rows, n_split, angle, given, _remarks(rows, n_split, given), _problems(rows, angle))


def euler_numbers(faces: Ints, pairs: Ints, n_regions: int) -> Ints:
    """Return the Euler characteristic of the surface of regions 1 to n_regions, (n_regions,)."""
    found = np.zeros(n_regions, dtype=np.int64)
    n = int(faces.max()) + 1
    ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    edges, index = np.unique(ends[:, 0] * n + ends[:, 1], return_inverse=True)
    index = index.reshape(-1, 3)
    for things, sign in ((faces, 1), (index, -1)):
        m = int(things.max()) + 1
        keys = np.sort(np.concatenate([(pairs[:, [side]] * m + things).reshape(-1) for side in (0, 1)]))
        found += sign * np.bincount(keys[np.diff(keys, prepend=-1) > 0] // m, minlength=n_regions + 1)[1:]
    return found + np.bincount(pairs.reshape(-1), minlength=n_regions + 1)[1:]


def _count_parts(regions: Array, box: tuple[slice, ...] | None, region: int) -> int:
    """Return the number of parts of a region within its box."""
    return 0 if box is None else int(ndimage.label(regions[box] == region, np.ones((3, 3, 3)))[1])


def _remarks(rows: tuple[RegionRow, ...], n_split: int, given: dict[int, int]) -> tuple[str, ...]:
    """Return what a user should know of the image."""
    found = []
    if parts := [row.region for row in rows if row.n_parts > 1]:
        found.append(f"{len(parts)} of {len(rows)} labels have several parts: {_names(parts)}")
    if cut := [row.region for row in rows if row.cropped]:
        found.append(f"{len(cut)} of {len(rows)} labels are cut off by a side of the image: {_names(cut)}")
    if n_split:
        found.append(f"at {n_split} places voxels of a label touch only at an edge or a corner")
    if given:
        found.append(f"small parts of {len(given)} labels were given to neighbours: {_names(list(given))}")
    if holes := [row.region for row in rows if row.euler < 2 * row.n_parts]:
        found.append(f"{len(holes)} of {len(rows)} labels have tunnels: {_names(holes)}")
    return tuple(found)


def _problems(rows: tuple[RegionRow, ...], angle: float) -> tuple[str, ...]:
    """Return what falls short of the promise."""
    found = []
    if off := [row.region for row in rows if abs(row.volume_error) > _VOLUME_ERROR]:
        found.append(f"the volumes of {len(off)} of {len(rows)} labels differ by more than 0.5 %: {_names(off)}")
    if angle < _MIN_ANGLE:
        found.append(f"the smallest angle of a triangle is {angle:.1f}°; expected {_MIN_ANGLE:g}° or more")
    return tuple(found)


def _names(numbers: list[int]) -> str:
    """Return numbers in words, the first ten of them."""
    return ", ".join(map(str, numbers[:10])) + (" …" if len(numbers) > 10 else "")
