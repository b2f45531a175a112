"""Convert between surfaces and masks: voxelise a mesh, mesh a mask, compute the signed distance of a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ._typing import AnyFloats, Bools, Floats, Floats32, Ints, Ints32, Triple
from .errors import MeshError, VolumeError
from .image.volume import Grid
from .mesh.surface import SurfaceMesh

__all__ = ["SPECK_FRACTION", "between_levels", "binary_mask", "bounding_box", "largest_part", "marching_cubes",
           "mask_on_grid", "mask_sdf", "mask_to_mesh", "mesh_to_mask"]  # fmt: skip


SPECK_FRACTION = 0.02  # share of a frame's voxels inside; a connected component with less is no daughter

_FACES_AT_ONCE = 200_000  # limits the memory of the scan
_MIN_BLUR = 0.2  # voxels; less changes nothing
_LEVELS = (0.2, 0.7)  # levels outside of this interval would follow the blur, not the body
_DEPTH_TOLERANCE = 0.005  # voxels; largest accepted mean displacement of the surface


def mesh_to_mask(mesh: SurfaceMesh, grid: Grid) -> Bools:
    """Voxelise a closed surface: find the voxels whose centres lie inside.

    Each row of voxels along x is a ray; the faces that it crosses are counted with their sign, and a voxel is inside
    where the count is not zero, so that a surface inside of another one, wound the other way, is a hole. A centre that
    lies exactly on the surface counts as if it were slightly further along all axes: two bodies that share a wall share
    no voxel. Parts outside of the grid are cropped. The cost grows with the faces and the rows that they cover.

    Parameters
    ----------
    mesh : SurfaceMesh
        A closed surface in µm, (z, y, x), with faces wound consistently (inwards or outwards).
    grid : Grid
        Grid of the voxels.

    Returns
    -------
    (z, y, x) bool
        True inside, of the grid's shape.

    Raises
    ------
    MeshError
        When the surface is open or its faces are wound inconsistently.
    """
    _check_closed(mesh.faces)
    nz, ny, nx = grid.shape
    steps = np.zeros(nz * ny * (nx + 1), dtype=np.int32)
    corners = grid.to_index(mesh.vertices)[mesh.faces]
    for start in range(0, len(corners), _FACES_AT_ONCE):
        row, x, sign = _crossings(corners[start : start + _FACES_AT_ONCE], nz, ny)
        first = np.clip(np.ceil(x), 0, nx).astype(np.int64)  # the first centre behind the crossing
        np.add.at(steps, row * (nx + 1) + first, sign)
    winding = np.cumsum(steps.reshape(nz, ny, nx + 1)[:, :, :nx], axis=2)
    mask: Bools = winding != 0
    return mask


def mask_to_mesh(
    mask: npt.ArrayLike,
    grid: Grid | float | Sequence[float],
    *,
    smooth: float = 1.0,
    label: int | None = None,
    largest: bool = False,
) -> SurfaceMesh:
    """Extract the closed surface of a mask in µm, by marching cubes on the slightly blurred mask.

    The level is chosen so that the surface encloses the mask's volume: blurring rounds it without shrinking it. A body
    that touches the image's border is closed there.

    Parameters
    ----------
    mask : (z, y, x) bool or int
        Inside where not zero, or where equal to ``label``.
    grid : Grid, or (3,) float or float
        Grid of the voxels, or only the voxel size in µm, (z, y, x), with voxel (0, 0, 0) at the origin.
    smooth : float
        Standard deviation of the blur in voxels; 0 for none. Bodies that are too thin for it are blurred less.
    label : int, optional
        Label of the body in a label image; by default all voxels that are not zero.
    largest : bool
        Keep only the largest connected component.

    Returns
    -------
    SurfaceMesh
        Faces counter-clockwise seen from outside, float64.

    Raises
    ------
    VolumeError
        When the mask is not 3D, empty, or does not fit the grid.
    """
    inside, grid = mask_on_grid(mask, grid, label)
    if largest:
        inside = largest_part(inside)
    (low, high), margin = bounding_box(inside), 2 + int(np.ceil(3 * smooth))
    part = np.pad(inside[tuple(slice(a, b) for a, b in zip(low, high))], margin)
    mesh = _smooth_surface(part, smooth)
    return mesh.with_vertices(grid.to_um(mesh.vertices + (low - margin)))


def mask_sdf(mask: npt.ArrayLike, spacing: float | Sequence[float]) -> Floats:
    """Compute the signed distance in µm from every voxel's centre to the boundary of a mask, negative inside.

    The distance is that to the centre of the nearest voxel of the other kind, less half a voxel along that direction: a
    centre beside the boundary is half a voxel from it. Against a smooth body the error stays below the voxel's largest
    side.

    Parameters
    ----------
    mask : (z, y, x) bool or int
        Inside where not zero.
    spacing : (3,) float or float
        Voxel size in µm, (z, y, x).

    Returns
    -------
    (z, y, x) float64
        In µm.

    Raises
    ------
    VolumeError
        When the mask is not 3D, or is empty or full, so that it has no boundary.
    """
    inside = binary_mask(mask, None)
    if inside.all():
        raise VolumeError(f"mask is full, all {inside.size} voxels are inside; expected some outside.")
    size = np.asarray(_grid_of(inside, spacing).spacing)
    return _distance_to_wall(~inside, size) - _distance_to_wall(inside, size)


# ---------------------------------------------------------------------------------------------------------------------
# Voxelising
#
# All decisions are made edge by edge, from the same numbers for both faces of an edge: what one face counts more, its
# neighbour counts less, and the crossings of a row add up to zero whatever the rounding.


def _check_closed(faces: Ints) -> None:
    """Raise MeshError unless the faces, (n, 3) int, are closed and consistently wound.

    Then as many faces pass each edge in one direction as in the other.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = edges[edges[:, 0] != edges[:, 1]]
    direction = np.where(edges[:, 0] < edges[:, 1], 1, -1)
    key = edges.min(axis=1) * (int(faces.max()) + 1) + edges.max(axis=1)
    _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    balance = np.bincount(inverse, weights=direction)
    open_edges, unbalanced = int((count % 2).sum()), int((balance != 0).sum())
    if open_edges:
        raise MeshError(
            f"the surface is open: {open_edges} edges have no second face; expected a closed surface.",
            remedy="Close its holes, or merge vertices at equal positions.",
        )
    if unbalanced:
        raise MeshError(
            f"the faces are wound inconsistently at {unbalanced} edges; expected all counter-clockwise from outside.",
            remedy="Repair the winding, for example with trimesh.repair.fix_winding.",
        )


def _expand_ranges(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Return all whole numbers first[i] ... last[i] of several ranges in one array, and the i of the range of each.

    A range with last[i] < first[i] is empty.
    """
    count = np.maximum(last - first + 1, 0)
    owner = np.repeat(np.arange(len(first)), count)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    return first[owner] + offset, owner


def _index_ranges(low: Floats, high: Floats, n: int) -> tuple[Ints, Ints]:
    """Return the first and the last index k in 0 ... n-1 with low <= k < high, element by element.

    Where there is none, the last is below the first.
    """
    first = np.clip(np.ceil(low), 0, n).astype(np.int64)
    last = np.clip(np.ceil(high) - 1, -1, n - 1).astype(np.int64)
    return first, last


def _crossings(corners: Floats, nz: int, ny: int) -> tuple[Ints, Floats, Ints32]:
    """Find where faces cross the rows of voxels, which run along x.

    Parameters
    ----------
    corners : (n_faces, 3, 3) float
        Three corners of each face, (z, y, x) in voxel indices.
    nz : int
        Number of planes of voxels.
    ny : int
        Number of rows in a plane.

    Returns
    -------
    row : (n,) int
        Number of the row, iz * ny + iy.
    x : (n,) float
        Position of the crossing in voxel indices.
    sign : (n,) int32
        +1 or -1, by the direction in which the face is crossed.
    """
    heights = corners[:, :, 0]
    plane, face = _expand_ranges(*_index_ranges(heights.min(axis=1), heights.max(axis=1), nz))
    at_up, at_down = _cut_by_planes(corners[face], plane)
    low, high = np.minimum(at_up[:, 0], at_down[:, 0]), np.maximum(at_up[:, 0], at_down[:, 0])
    line, cut = _expand_ranges(*_index_ranges(low, high, ny))
    up, down = at_up[cut], at_down[cut]
    weight = (line - up[:, 0]) / (down[:, 0] - up[:, 0])  # never 0/0: a row lies between the two
    x = up[:, 1] + weight * (down[:, 1] - up[:, 1])
    sign = np.where(up[:, 0] > down[:, 0], 1, -1).astype(np.int32)
    return plane[cut] * ny + line, x, sign


def _cut_by_planes(corners: Floats, plane: Ints) -> tuple[Floats, Floats]:
    """Find where planes of constant z cut faces, one plane for each face.

    An edge is cut when the plane is at or above its lower end and below its upper end, so exactly two edges are.

    Parameters
    ----------
    corners : (n, 3, 3) float
        Three corners of each face, (z, y, x) in voxel indices.
    plane : (n,) int
        z of the plane that cuts the face, in voxel indices.

    Returns
    -------
    at_up, at_down : (n, 2) float
        (y, x) of the cut on the face's edge that rises along its winding, and on the one that descends.
    """
    at_up, at_down = np.empty((len(plane), 2)), np.empty((len(plane), 2))
    for k in range(3):
        a, b = corners[:, k], corners[:, (k + 1) % 3]
        for start, end, found in ((a, b, at_up), (b, a, at_down)):
            hit = (start[:, 0] <= plane) & (plane < end[:, 0])
            lower, upper = (
                start[hit],
                end[hit],
            )  # the lower end first, so that both faces of the edge compute the same numbers
            weight = (plane[hit] - lower[:, 0]) / (upper[:, 0] - lower[:, 0])
            found[hit] = lower[:, 1:] + weight[:, None] * (upper[:, 1:] - lower[:, 1:])
    return at_up, at_down


# ---------------------------------------------------------------------------------------------------------------------
# Meshing and distances


def binary_mask(mask: npt.ArrayLike, label: int | None) -> Bools:
    """Return where a mask is not zero, or equal to a label.

    Parameters
    ----------
    mask : (z, y, x) bool or int
        Mask or label image.
    label : int or None
        Label of the body; None takes all voxels that are not zero.

    Returns
    -------
    (z, y, x) bool
        True inside.

    Raises
    ------
    VolumeError
        When the mask is not 3D, or nothing is inside.
    """
    array = np.asarray(mask)
    if array.ndim != 3:
        raise VolumeError(f"mask has {array.ndim} axes, shape {array.shape}; expected 3, (z, y, x).")
    inside: Bools = array != 0 if label is None else array == label
    if not inside.any():
        what = "all its voxels are 0" if label is None else f"no voxel has label {label}"
        raise VolumeError(f"mask is empty, {what}; expected a body.", remedy="Check the threshold or the label.")
    return inside


def mask_on_grid(
    mask: npt.ArrayLike, grid: Grid | float | Sequence[float], label: int | None = None
) -> tuple[Bools, Grid]:
    """Return a mask as bool, and its grid.

    Parameters
    ----------
    mask : (z, y, x) bool or int
        Inside where not zero, or where equal to ``label``.
    grid : Grid, or (3,) float or float
        Grid of the mask, or only the voxel size in µm, (z, y, x), with voxel (0, 0, 0) at the origin.
    label : int, optional
        Label of the body; by default all voxels that are not zero.

    Returns
    -------
    inside : (z, y, x) bool
        True inside.
    grid : Grid
        Grid of the mask.

    Raises
    ------
    VolumeError
        When the mask is not 3D, nothing is inside, or it does not fit the grid.
    """
    inside = binary_mask(mask, label)
    grid = grid if isinstance(grid, Grid) else _grid_of(inside, grid)
    if inside.shape != grid.shape:
        raise VolumeError(f"mask has shape {inside.shape}; expected {grid.shape}, that of the grid.")
    return inside, grid


def _grid_of(mask: Bools, spacing: float | Sequence[float]) -> Grid:
    """Return the grid of a (z, y, x) mask whose voxel (0, 0, 0) lies at the origin, for a voxel size in µm."""
    return Grid(cast(tuple[int, int, int], mask.shape), cast(Triple, spacing))  # Grid accepts one number as well


def largest_part(inside: Bools) -> Bools:
    """Return the largest connected component of a mask; voxels are connected where they share a face.

    Parameters
    ----------
    inside : (z, y, x) bool
        The mask.

    Returns
    -------
    (z, y, x) bool
        The component; the mask itself where it is empty or connected.
    """
    parts, count = ndimage.label(inside)
    if count < 2:
        return inside
    largest: Bools = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return largest


def bounding_box(inside: Bools) -> tuple[Ints, Ints]:
    """Return the bounding box of a mask that is not empty.

    Parameters
    ----------
    inside : (z, y, x) bool
        The mask.

    Returns
    -------
    start, stop : (3,) int64
        First voxel index inside and the one behind the last, along each axis.
    """
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    return np.array([s.start for s in box]), np.array([s.stop for s in box])


def _smooth_surface(inside: Bools, smooth: float) -> SurfaceMesh:
    """Return the surface of a padded mask, in voxel indices, blurred with the standard deviation `smooth` in voxels.

    Where no level gives the mask's volume, the blur is reduced by 0.7, and left out below 0.2 voxels.
    """
    while smooth > _MIN_BLUR:
        mesh = _same_volume(ndimage.gaussian_filter(inside.astype(np.float32), smooth), smooth, int(inside.sum()))
        if mesh is not None:
            return mesh
        smooth *= 0.7
    return marching_cubes(inside.astype(np.float32), 0.5)


def _same_volume(field: Floats32, smooth: float, volume: int) -> SurfaceMesh | None:
    """Return the level set of a blurred mask, in voxel indices, that encloses `volume` voxels.

    `smooth` is the blur in voxels, which gives the slope of the field at a flat wall for Newton steps of the level.
    None is returned where the level leaves 0.2 .. 0.7 or the field's range.
    """
    level, mesh = 0.5, None
    for _ in range(4):
        if not _LEVELS[0] <= level <= _LEVELS[1] or field.max() <= level:
            return None
        mesh = marching_cubes(field, between_levels(field, level))
        depth = (mesh.volume - volume) / mesh.area
        if abs(depth) < _DEPTH_TOLERANCE:
            break
        level += depth / (smooth * np.sqrt(2 * np.pi))  # the slope of a blurred flat wall
    return mesh


def between_levels(field: Floats32, level: float) -> float:
    """Return the level, moved by the smallest amount that separates it from the values of all voxels.

    A level equal to a voxel's value gives triangles without area. The level keeps 0.001, or a quarter of the gap
    between the values around it if that is less, from both of them.

    Parameters
    ----------
    field : (z, y, x) float32
        Field with values on both sides of the level.
    level : float
        Level, in the unit of the field.

    Returns
    -------
    float
        Level strictly between the nearest values of the field.
    """
    below, above = float(field[field <= level].max()), float(field[field > level].min())
    gap = min(1e-3, 0.25 * (above - below))
    return min(max(level, below + gap), above - gap)


def marching_cubes(field: AnyFloats, level: float) -> SurfaceMesh:
    """Extract the level set of a field as a triangle surface.

    Ref: Lewiner et al. 2003, doi 10.1080/10867651.2003.10487582.

    Parameters
    ----------
    field : (z, y, x) float32
        Field that is larger inside or larger outside.
    level : float
        Value of the field on the surface.

    Returns
    -------
    SurfaceMesh
        Vertices in voxel indices, (z, y, x), float64; faces counter-clockwise seen from outside.
    """
    from skimage import measure

    points, faces, _, _ = measure.marching_cubes(field, level, allow_degenerate=False)
    mesh = SurfaceMesh(points.astype(np.float64), faces.astype(np.int64))
    return mesh if mesh.volume > 0 else SurfaceMesh(mesh.vertices, mesh.faces[:, ::-1])


def _distance_to_wall(outside: Bools, size: Floats) -> Floats:
    """Return the distance in µm from every voxel of `outside` to the boundary of the other voxels; 0 at these.

    `size` is the voxel size in µm, (3,). The distance to the nearest other centre is shortened by half a voxel along
    it.
    """
    nearest = ndimage.distance_transform_edt(outside, sampling=size, return_distances=False, return_indices=True)
    square, half = np.zeros(outside.shape), np.zeros(outside.shape)
    for axis, step in enumerate(size):
        shape = [1, 1, 1]
        shape[axis] = -1
        apart = (nearest[axis] - np.arange(outside.shape[axis]).reshape(shape)) * step
        square += apart**2
        half += (0.5 * step * apart) ** 2
    distance = np.sqrt(square)
    return distance - np.divide(np.sqrt(half), distance, out=np.zeros_like(half), where=distance > 0)
