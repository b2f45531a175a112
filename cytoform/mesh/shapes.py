"""Closed surfaces made from formulas: spheres, ellipsoids, tori, dividing and lobed cells. (z, y, x), µm, outward."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._typing import Floats, Ints
from ..errors import ConfigError
from .remesh import remesh
from .surface import SurfaceMesh
from .topology import edge_lengths

__all__ = ["dividing_cell", "ellipsoid", "icosphere", "lobed_cell", "sphere_of_edge", "torus"]


_MAX_FREQUENCY = 400  # 3.2 million faces
_ICOSAHEDRON_EDGE = np.arctan(2.0)  # angle between neighbouring corners


def _check_positive(name: str, values: Any, count: int = 1) -> Floats:
    """Return `values` as a float64 array of `count` positive lengths in µm.

    Raise ConfigError, with the argument's `name`, if they are not.
    """
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if array.shape != (count,) or not (np.isfinite(array) & (array > 0)).all():
        raise ConfigError(f"{name} is {values!r}; expected {count} positive length(s) in µm.")
    return array


def _check_point(name: str, values: Any) -> Floats:
    """Return `values` as a float64 array of three finite numbers (z, y, x) in µm.

    Raise ConfigError, with the argument's `name`, if they are not.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (3,) or not np.isfinite(array).all():
        raise ConfigError(f"{name} is {values!r}; expected three finite numbers (z, y, x) in µm.")
    return array


def _icosahedron() -> tuple[Floats, Ints]:
    """Return an icosahedron: its 12 corners as unit vectors (z, y, x), and its 20 faces, wound outward."""
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    points = np.array([[0.0, s, t * golden] for s in (1, -1) for t in (1, -1)])
    points = np.concatenate([points, np.roll(points, 1, axis=1), np.roll(points, 2, axis=1)])
    dot = points @ points.T
    near = np.isclose(dot, golden)
    triples = [
        (i, j, k) for i in range(12) for j in range(i) for k in range(j) if near[i, j] and near[j, k] and near[i, k]
    ]
    faces = np.array(triples, dtype=np.int64)
    inward = np.linalg.det(points[faces]) > 0  # (z, y, x) is left-handed: outward faces have a negative determinant
    faces[inward] = faces[inward][:, [0, 2, 1]]
    return points / np.linalg.norm(points[0]), faces


def _geodesic_sphere(frequency: int) -> tuple[Floats, Ints]:
    """Return the unit sphere from an icosahedron whose edges are divided into `frequency` parts: vertices and faces.

    It has 10 frequency² + 2 vertices and 20 frequency² faces, wound outward.
    """
    corners, faces = _icosahedron()
    n = frequency
    i, j = (a.reshape(-1) for a in np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij"))
    i, j = i[i + j <= n], j[i + j <= n]
    index = np.full((n + 1, n + 1), -1)
    index[i, j] = np.arange(len(i))
    up = np.stack([index[:-1, :-1], index[1:, :-1], index[:-1, 1:]], axis=-1)[
        (index[1:, :-1] >= 0) & (index[:-1, 1:] >= 0)
    ]
    down = np.stack([index[1:, :-1], index[1:, 1:], index[:-1, 1:]], axis=-1)[index[1:, 1:] >= 0]
    local = np.concatenate([up, down])
    weights = np.stack([n - i - j, i, j], axis=1)
    # A vertex is identified by its integer weights on the twelve corners, so that shared ones merge exactly.
    keys = np.zeros((20, len(weights), 12), dtype=np.int64)
    for face in range(20):
        keys[face][:, faces[face]] = weights
    unique, inverse = np.unique(keys.reshape(-1, 12), axis=0, return_inverse=True)
    offsets = len(weights) * np.arange(20)[:, None, None]
    made = inverse.reshape(-1)[(local[None] + offsets).reshape(-1, 3)]
    points = np.sin(_ICOSAHEDRON_EDGE * unique / n) @ corners  # even steps along the icosahedron's edges
    return points / np.linalg.norm(points, axis=1, keepdims=True), made


def _geodesic_frequency(ratio: float) -> int:
    """Return the frequency of :func:`_geodesic_sphere` whose mean edge on the unit sphere is close to `ratio`.

    Raise ConfigError if it would be above _MAX_FREQUENCY.
    """
    # 30 n² edges of nearly equilateral triangles that share the area 4 π of 20 n² faces.
    equilateral = np.sqrt(4.0 * np.pi / 20.0 * 4.0 / np.sqrt(3.0))
    frequency = max(1, round(float(equilateral) / ratio))
    if frequency > _MAX_FREQUENCY:
        raise ConfigError(
            f"an edge of {ratio:.2g} radii needs {20 * frequency**2:.2g} faces; "
            f"expected at most {20 * _MAX_FREQUENCY**2}.",
            remedy="Raise the edge length.",
        )
    return frequency


def _make_mesh(points: Floats, faces: Ints, centre: Any, dtype: npt.DTypeLike) -> SurfaceMesh:
    """Return the surface of points and faces, moved by `centre` (z, y, x) in µm and converted to `dtype`."""
    return SurfaceMesh((points + _check_point("centre", centre)).astype(dtype), faces)


def icosphere(
    radius: float = 1.0, centre: npt.ArrayLike = (0, 0, 0), subdivisions: int = 3, *, dtype: npt.DTypeLike = np.float64
) -> SurfaceMesh:
    """Make a sphere of 20 · 4^subdivisions faces from an icosahedron.

    Parameters
    ----------
    radius : float, optional
        In µm.
    centre : (3,) float, optional
        In µm, (z, y, x); the origin by default.
    subdivisions : int, optional
        0 to 8; 3 gives 642 vertices and 1,280 faces.
    dtype : float32 or float64, optional
        Number type of the vertices.

    Returns
    -------
    SurfaceMesh
        Closed, wound outward.

    Raises
    ------
    ConfigError
        When a number is out of range.
    """
    if not (isinstance(subdivisions, (int, np.integer)) and 0 <= subdivisions <= 8):
        raise ConfigError(f"subdivisions is {subdivisions!r}; expected a whole number from 0 to 8.")
    points, faces = _geodesic_sphere(2 ** int(subdivisions))
    return _make_mesh(_check_positive("radius", radius) * points, faces, centre, dtype)


def sphere_of_edge(
    radius: float, centre: npt.ArrayLike, edge: float, *, dtype: npt.DTypeLike = np.float64
) -> SurfaceMesh:
    """Make a near-uniform sphere whose mean edge is as close to `edge` as a geodesic subdivision allows.

    Parameters
    ----------
    radius : float
        In µm.
    centre : (3,) float
        In µm, (z, y, x).
    edge : float
        Wanted mean edge length in µm; one above the radius gives the icosahedron.
    dtype : float32 or float64, optional
        Number type of the vertices.

    Returns
    -------
    SurfaceMesh
        Closed, wound outward.

    Raises
    ------
    ConfigError
        When a length is not positive, or the edge so short that millions of faces would be needed.
    """
    size = float(_check_positive("radius", radius)[0])
    points, faces = _geodesic_sphere(_geodesic_frequency(float(_check_positive("edge", edge)[0]) / size))
    return _make_mesh(size * points, faces, centre, dtype)


def ellipsoid(
    semi_axes: npt.ArrayLike,
    centre: npt.ArrayLike = (0, 0, 0),
    axes: npt.ArrayLike | None = None,
    subdivisions: int = 3,
    *,
    edge: float | None = None,
    dtype: npt.DTypeLike = np.float64,
) -> SurfaceMesh:
    """Make an ellipsoid by stretching a sphere along three axes.

    Parameters
    ----------
    semi_axes : (3,) float
        In µm.
    centre : (3,) float, optional
        In µm, (z, y, x); the origin by default.
    axes : (3, 3) float, optional
        Row k is the direction (z, y, x) of semi-axis k; orthonormal. By default z, y, x.
    subdivisions : int, optional
        The sphere has 20 · 4^subdivisions faces, 0 to 8; not used with `edge`.
    edge : float, optional
        Wanted mean edge length in µm; None for `subdivisions`.
    dtype : float32 or float64, optional
        Number type of the vertices.

    Returns
    -------
    SurfaceMesh
        Closed, wound outward.

    Raises
    ------
    ConfigError
        When a number is out of range, or `axes` is not orthonormal.
    """
    lengths = _check_positive("semi_axes", semi_axes, 3)
    rows = np.eye(3) if axes is None else np.asarray(axes, dtype=np.float64)
    if rows.shape != (3, 3) or not np.allclose(rows @ rows.T, np.eye(3), atol=1e-6):
        raise ConfigError(f"axes is {axes!r}; expected three orthonormal rows (z, y, x).")
    if edge is None:
        sphere = icosphere(subdivisions=subdivisions)
    else:
        sphere = _sphere_before_stretch(lengths, float(_check_positive("edge", edge)[0]))
    faces = sphere.faces if np.linalg.det(rows) > 0 else sphere.faces[:, [0, 2, 1]]  # left-handed axes mirror it
    return _make_mesh((sphere.vertices * lengths) @ rows, faces, centre, dtype)


def _sphere_before_stretch(lengths: Floats, edge: float) -> SurfaceMesh:
    """Return a unit sphere whose mean edge is close to `edge` µm after its axes are stretched by `lengths` (3,), µm."""
    coarse = icosphere(subdivisions=3)
    stretch = edge_lengths(coarse.with_vertices(coarse.vertices * lengths)).mean() / edge_lengths(coarse).mean()
    return sphere_of_edge(1.0, (0, 0, 0), edge / stretch)


def torus(
    major: float,
    minor: float,
    centre: npt.ArrayLike = (0, 0, 0),
    *,
    n_major: int = 48,
    n_minor: int = 24,
    dtype: npt.DTypeLike = np.float64,
) -> SurfaceMesh:
    """Make a torus around the z axis, of genus 1.

    Parameters
    ----------
    major : float
        From the centre to the middle of the tube, µm.
    minor : float
        Radius of the tube in µm, below `major`.
    centre : (3,) float, optional
        In µm, (z, y, x); the origin by default.
    n_major, n_minor : int, optional
        Points around the axis and around the tube, at least 3.
    dtype : float32 or float64, optional
        Number type of the vertices.

    Returns
    -------
    SurfaceMesh
        Closed, wound outward.

    Raises
    ------
    ConfigError
        When a length is not positive, or the torus would intersect itself.
    """
    big, small = float(_check_positive("major", major)[0]), float(_check_positive("minor", minor)[0])
    if small >= big or n_major < 3 or n_minor < 3:
        raise ConfigError(f"a torus of {big:g} and {small:g} µm with {n_major} × {n_minor} points cuts itself.")
    i, j = (a.reshape(-1) for a in np.meshgrid(np.arange(n_major), np.arange(n_minor), indexing="ij"))
    u, v = 2 * np.pi * i / n_major, 2 * np.pi * j / n_minor
    ring = big + small * np.cos(v)
    points = np.stack([small * np.sin(v), ring * np.sin(u), ring * np.cos(u)], axis=1)
    right, up = (i + 1) % n_major * n_minor + j, i * n_minor + (j + 1) % n_minor
    diagonal, corner = (i + 1) % n_major * n_minor + (j + 1) % n_minor, i * n_minor + j
    faces = np.concatenate([np.stack([corner, right, diagonal], axis=1), np.stack([corner, diagonal, up], axis=1)])
    return _make_mesh(points, faces, centre, dtype)


# ---------------------------------------------------------------------------------------------------------------------
# Cells


def _dividing_profile(u: Floats, neck: float) -> Floats:
    """Return the distance from the axis at heights u in [-1, 1] of a cell about to divide, for lobes of radius 1.

    r(u) = √(1 − u²) (neck + a (1 − exp(−(u / 0.4)²))), with a such that the widest part has radius 1: round caps, and a
    smooth neck of radius `neck` at u = 0.
    """

    def shape(x: Floats, amplitude: float) -> Floats:
        return np.sqrt(np.clip(1.0 - x * x, 0.0, None)) * (neck + amplitude * (1.0 - np.exp(-((x / 0.4) ** 2))))

    grid = np.linspace(0.0, 1.0, 2001)
    low, high = 0.0, 4.0
    for _ in range(60):  # bisection for the amplitude at which the widest part has radius 1
        middle = 0.5 * (low + high)
        low, high = (middle, high) if shape(grid, middle).max() < 1.0 else (low, middle)
    return shape(u, high)


def _orthonormal_frame(axis: npt.ArrayLike) -> Floats:
    """Return three orthonormal rows (z, y, x) of determinant 1, the first along `axis`.

    Raise ConfigError if `axis` has no length or is no direction.
    """
    first = _check_point("axis", axis)
    if np.linalg.norm(first) == 0:
        raise ConfigError("axis has no length; expected a direction (z, y, x).")
    first = first / np.linalg.norm(first)
    second = np.cross(first, np.eye(3)[np.argmin(np.abs(first))])
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)])


def dividing_cell(
    length: float = 16.0,
    radius: float = 4.0,
    neck: float = 2.0,
    centre: npt.ArrayLike = (0, 0, 0),
    *,
    axis: npt.ArrayLike = (0, 0, 1),
    edge: float | None = None,
    bumps: float = 0.0,
    seed: int = 0,
    dtype: npt.DTypeLike = np.float64,
) -> SurfaceMesh:
    """Make a cell about to divide: two lobes and a neck, rotationally symmetric about an axis; closed, of genus 0.

    Parameters
    ----------
    length : float, optional
        From tip to tip, µm.
    radius : float, optional
        Radius of the lobes at their widest, µm.
    neck : float, optional
        Radius of the neck in µm, below `radius`.
    centre : (3,) float, optional
        In µm, (z, y, x); the origin by default.
    axis : (3,) float, optional
        Direction of the long axis, (z, y, x).
    edge : float, optional
        Wanted edge length in µm; by default a fifth of the smaller of radius and neck's diameter.
    bumps : float, optional
        Relative size (standard deviation) of smooth random bumps, 0 to 0.3; 0.05 shows clearly, 0.2 is much.
    seed : int, optional
        Seed of the random bumps.
    dtype : float32 or float64, optional
        Number type of the vertices.

    Returns
    -------
    SurfaceMesh
        Closed, wound outward.

    Raises
    ------
    ConfigError
        When a length is out of range.
    """
    half, lobe = 0.5 * float(_check_positive("length", length)[0]), float(_check_positive("radius", radius)[0])
    waist = float(_check_positive("neck", neck)[0])
    if waist >= lobe:
        raise ConfigError(f"neck is {waist:g} µm; expected less than the lobes' radius, {lobe:g} µm.")
    if not 0 <= bumps <= 0.3:
        raise ConfigError(f"bumps is {bumps!r}; expected 0 to 0.3.")
    wanted = min(lobe, 2.0 * waist) / 5.0 if edge is None else float(_check_positive("edge", edge)[0])
    sphere = sphere_of_edge(1.0, (0, 0, 0), wanted / max(half, lobe))
    mesh = sphere.with_vertices(_move_to_profile(sphere.vertices, half, lobe, waist))
    mesh = remesh(mesh, wanted, iterations=4)
    points = _move_to_profile(mesh.vertices / [half, 1.0, 1.0], half, lobe, waist)  # back onto the formula
    if bumps:
        points = points * (1.0 + bumps * _random_bumps(points / [half, lobe, lobe], seed))[:, None]
    return _make_mesh(points @ _orthonormal_frame(axis), mesh.faces, centre, dtype)


def _move_to_profile(points: Floats, half: float, lobe: float, waist: float) -> Floats:
    """Return points, with height in [-1, 1] on the first axis, moved to the surface of revolution of a dividing cell.

    points (n, 3); the other two axes give the direction from the axis. half : half the cell's length; lobe, waist :
    radii of lobes and neck; all µm.
    """
    height = np.clip(points[:, 0], -1.0, 1.0)
    across = points[:, 1:]
    distance = np.linalg.norm(across, axis=1, keepdims=True)
    unit = np.divide(across, distance, out=np.zeros_like(across), where=distance > 0)
    return np.concatenate(
        [half * height[:, None], lobe * _dividing_profile(height, waist / lobe)[:, None] * unit], axis=1
    )


def _random_bumps(points: Floats, seed: int, n_waves: int = 12) -> Floats:
    """Return a smooth random function of points (n, 3): a sum of cosines with random wave vectors, (n,).

    Points are in units of the cell's size. The values have mean 0 and standard deviation 1 and are clipped to ± 2.5.
    """
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=(n_waves, 3)) * 1.6
    values = np.cos(points @ waves.T + rng.uniform(0.0, 2.0 * np.pi, n_waves)).sum(axis=1)
    values = (values - values.mean()) / max(values.std(), 1e-12)
    clipped: Floats = np.clip(values, -2.5, 2.5)
    return clipped


def lobed_cell(
    seed: int = 0,
    radius: float = 5.0,
    centre: npt.ArrayLike = (0, 0, 0),
    *,
    edge: float | None = None,
    bumps: float = 0.06,
    dtype: npt.DTypeLike = np.float64,
) -> SurfaceMesh:
    """Make a random cell of two lobes, with random length, neck and direction, and smooth bumps; the same for a seed.

    Parameters
    ----------
    seed : int, optional
        Seed of the random numbers.
    radius : float, optional
        Radius of the lobes in µm; the length is 3 to 4 radii, the neck half to three quarters of a radius.
    centre : (3,) float, optional
        In µm, (z, y, x); the origin by default.
    edge : float, optional
        Wanted edge length in µm; by default a fifth of the smaller of radius and neck's diameter.
    bumps : float, optional
        Relative size (standard deviation) of the bumps, 0 to 0.3.
    dtype : float32 or float64, optional
        Number type of the vertices.

    Returns
    -------
    SurfaceMesh
        Closed, wound outward.

    Raises
    ------
    ConfigError
        When a length is out of range.
    """
    rng = np.random.default_rng(seed)
    size = float(_check_positive("radius", radius)[0])
    length, neck = size * rng.uniform(3.0, 4.0), size * rng.uniform(0.5, 0.75)
    axis = rng.normal(size=3)
    return dividing_cell(length, size, neck, centre, axis=axis, edge=edge, bumps=bumps, seed=seed + 1, dtype=dtype)
