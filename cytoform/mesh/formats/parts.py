"""The content of a mesh file, between its bytes and a mesh, and functions that several formats use."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..._typing import Array, Bools, Ints
from ...errors import MeshError
from ...file_registry import suffix_of

__all__ = [
    "EXPORT_AGAIN",
    "LABELS",
    "Array",
    "MeshFormat",
    "Parts",
    "Polygons",
    "count_phrase",
    "exact_number_format",
    "plural",
    "triangulate",
    "triangulate_strips",
]  # fmt: skip


LABELS = ("label_from", "label_into")  # the normal points from the first region into the second
EXPORT_AGAIN = "Copy it again, or export it again from its source."


class Parts:
    """The content of a mesh file, as it lies on disk: (x, y, z).

    Parameters
    ----------
    points : (n_points, 3) float
        Positions in µm, (x, y, z).
    faces : (n_faces, 3) int
        Indices of the three points of every triangle, counted from 0.
    density : (n_faces,) float, optional
        Intensity of every face per µm²; None where the file has none.
    labels : (n_faces, 2) int, optional
        The regions on the two sides of every face; the normal points from the first into the second. None for one
        surface.
    remarks : list of str, optional
        What a reader left out or guessed, in words that may follow "file: ".
    jump : (n_faces,) float, optional
        Intensity per µm³ behind every face minus that in front of it; None where the file has none.

    Attributes
    ----------
    vertex_data : dict of str to (n_points,) float
        Further numbers at the vertices, by name; only used when a file is written.
    face_data : dict of str to (n_faces,) float
        The same at the faces.
    """

    def __init__(
        self,
        points: Array,
        faces: Array,
        density: Array | None = None,
        labels: Array | None = None,
        remarks: list[str] | None = None,
        jump: Array | None = None,
    ) -> None:
        self.points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        self.faces = np.asarray(faces, dtype=np.int64).reshape(-1, 3)
        self.density = density
        self.jump = jump
        self.labels = labels
        self.remarks = [] if remarks is None else remarks
        self.vertex_data: dict[str, Array] = {}  # at the vertices, only when written
        self.face_data: dict[str, Array] = {}


@dataclasses.dataclass(frozen=True)
class MeshFormat:
    """A format of mesh files: how they are recognised, read and written.

    Parameters
    ----------
    name : str
        What such a file is, with an article, for messages: "a PLY file".
    suffixes : tuple of str
        Ends of its files' names in small letters with the dot: (".ply",).
    read : callable, optional
        Takes the path of a file that exists and is not empty, returns its :class:`Parts` in (x, y, z). Whatever it
        raises becomes an error with the file's name. None where such files are only written.
    write : callable, optional
        Takes :class:`Parts` in (x, y, z) and the number type of the vertices, returns the file's bytes. None where such
        files are only read.
    labels : "none", "optional" or "required", optional
        Whether the faces have region labels.
    density : bool, optional
        Whether it holds density and jump of the faces.
    vertex_data : bool, optional
        Whether it holds further numbers at the vertices, ``Parts.vertex_data``.
    merge : bool, optional
        Whether vertices at exactly equal positions are merged when it is read.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Path], Parts] | None = None
    write: Callable[[Parts, np.dtype[Any]], bytes] | None = None
    labels: Literal["none", "optional", "required"] = "none"
    density: bool = False
    vertex_data: bool = False
    merge: bool = True

    def claims(self, path: Path) -> bool:
        """Tell whether a file is of this format by its suffix.

        Parameters
        ----------
        path : Path
            The file; it is not opened.

        Returns
        -------
        bool
            True if its name ends with one of the suffixes.
        """
        return bool(suffix_of(path, self.suffixes))


@dataclasses.dataclass(frozen=True)
class Polygons:
    """Faces with any number of corners: all corners one after another, and the number of corners of each face."""

    corners: Ints
    sizes: Ints

    @classmethod
    def of(cls, rows: Any) -> Polygons:
        """Make polygons from a list of lists of vertex indices, or from an array (n, k)."""
        if isinstance(rows, np.ndarray) and rows.ndim == 2:
            return cls(rows.reshape(-1).astype(np.int64), np.full(len(rows), rows.shape[1], dtype=np.int64))
        sizes = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        corners = np.fromiter((c for row in rows for c in row), dtype=np.int64, count=int(sizes.sum()))
        return cls(corners, sizes)

    @property
    def starts(self) -> Ints:
        """Position in `corners` of each face's first corner, (n,)."""
        return np.cumsum(self.sizes) - self.sizes


def plural(n: int, what: str) -> str:
    """Return a number with its noun: ``"1 face"``, ``"2 faces"``, ``"2 vertices"``."""
    many = what[:-2] + "ices" if what.endswith("vertex") else what + "s"
    return f"{n} {what}" if n == 1 else f"{n} {many}"


def count_phrase(n: int, what: str) -> str:
    """Return the beginning of a sentence on n things of a file: ``"its face is"``, ``"its 2 faces are"``."""
    return f"its {what} is" if n == 1 else f"its {plural(n, what)} are"


def exact_number_format(dtype: npt.DTypeLike) -> str:
    """Return the format of numbers in text that keeps every bit of float32 (9 digits) or float64 (17 digits)."""
    return ".9g" if dtype == np.float32 else ".17g"


def triangulate(points: Array, polygons: Polygons, remarks: list[str]) -> tuple[Array, Array]:
    """Return polygons divided into triangles, (n, 3), and the polygon from which each of them comes, (n,).

    A polygon is divided into a fan from its first corner. Where a triangle of that would fold over (a polygon that is
    not convex), its ears are cut off one by one instead. A corner that occurs twice in a row is dropped once. Polygons
    that intersect themselves become fans, with an entry in `remarks`.

    Raises
    ------
    MeshError
        For a polygon with fewer than three corners, or a corner that is not among the points.
    """
    sizes = polygons.sizes
    if len(sizes) and sizes.min() < 3:
        number = int(np.argmax(sizes < 3))
        raise MeshError(
            f"face {number} has {plural(int(sizes[number]), 'corner')}; expected at least 3.",
            remedy="Delete such faces and export the mesh again, for example with MeshLab or Blender.",
        )
    if len(sizes) == 0:
        return np.zeros((0, 3), dtype=np.int64), np.zeros(0, dtype=np.int64)
    low, high = int(polygons.corners.min()), int(polygons.corners.max())
    if low < 0 or high >= len(points):
        raise MeshError(
            f"faces name vertices {low} to {high}; expected 0 to {len(points) - 1}, as there are {len(points)} "
            "vertices.",
            remedy=EXPORT_AGAIN,
        )
    polygons = _drop_repeated_corners(polygons)
    faces, source = _fan_triangles(polygons)
    many = np.flatnonzero(polygons.sizes > 3)
    folded = many[_fan_folds_over(points, polygons, faces, source)[many]]
    if len(folded) == 0:
        return faces, source
    starts, crossed = polygons.starts, 0
    keep = ~np.isin(source, folded)
    pieces, owners = [faces[keep]], [source[keep]]
    for number in folded.tolist():
        corners = polygons.corners[starts[number] : starts[number] + polygons.sizes[number]]
        ears = _clip_ears(points, corners)
        crossed += ears is None
        pieces.append(faces[source == number] if ears is None else ears)
        owners.append(np.full(len(pieces[-1]), number))
    if crossed:
        remarks.append(f"{plural(crossed, 'polygon')} that cross themselves or are badly warped are cut into fans")
    order = np.argsort(np.concatenate(owners), kind="stable")
    return np.concatenate(pieces)[order], np.concatenate(owners)[order]


def _drop_repeated_corners(polygons: Polygons) -> Polygons:
    """Return the polygons, those of more than three corners without corners that occur twice in a row.

    A polygon that would be left with fewer than three corners stays as it is.
    """
    sizes, starts = polygons.sizes, polygons.starts
    if not (sizes > 3).any():
        return polygons
    owner = np.repeat(np.arange(len(sizes)), sizes)
    following = np.arange(len(polygons.corners)) + 1
    following[starts + sizes - 1] = starts
    double = (polygons.corners == polygons.corners[following]) & (sizes[owner] > 3)
    left = sizes - np.bincount(owner[double], minlength=len(sizes))
    double &= (left >= 3)[owner]  # what would be left of the others is no face; it has no area as it is
    return Polygons(polygons.corners[~double], sizes - np.bincount(owner[double], minlength=len(sizes)))


def _fan_triangles(polygons: Polygons) -> tuple[Array, Array]:
    """Return every polygon as a fan of triangles from its first corner, (n, 3), and each triangle's polygon, (n,)."""
    counts = polygons.sizes - 2
    source = np.repeat(np.arange(len(counts)), counts)
    step = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = polygons.starts[source]
    corners = polygons.corners
    return np.stack([corners[first], corners[first + step + 1], corners[first + step + 2]], axis=1), source


def _fan_folds_over(points: Array, polygons: Polygons, faces: Array, source: Array) -> Bools:
    """Tell which polygons have a fan with a triangle whose normal opposes the polygon's, (n_polygons,) bool.

    faces (n, 3) and source (n,) are those of :func:`_fan_triangles`. Polygons whose normals cancel count as well.
    """
    corners = points[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    n = len(polygons.sizes)
    whole = np.stack([np.bincount(source, normals[:, k], n) for k in range(3)], axis=1)
    against = np.einsum("ij,ij->i", normals, whole[source])
    slack = 1e-9 * np.einsum("ij,ij->i", whole, whole)[source]  # a triangle of three points on a line is no harm
    nothing = np.linalg.norm(whole, axis=1) < 1e-9 * np.bincount(source, np.linalg.norm(normals, axis=1), n)
    folded: Bools = nothing | (np.bincount(source[against < -slack], minlength=n) > 0)
    return folded


def _clip_ears(points: Array, corners: Array) -> Array | None:
    """Return one polygon's triangles by cutting off ears (Meisters 1975), (n, 3); None if it intersects itself.

    corners (k,) are its vertex indices; it is projected along the axis closest to its normal.
    """
    positions = points[corners]
    following = np.roll(positions, -1, axis=0)
    normal = np.cross(positions, following).sum(axis=0)
    axis = int(np.argmax(np.abs(normal)))
    keep = [a for a in range(3) if a != axis]
    flat = positions[:, keep] * (1.0, float(np.sign(normal[axis])) * (-1.0 if axis == 1 else 1.0))
    ring, found = list(range(len(corners))), []
    while len(ring) > 3:
        tries = ((k, least) for least in (1e-12, -1e-12) for k in range(len(ring)))  # flat ears only where need be
        tip = next((k for k, least in tries if _is_ear(flat, corners, ring, k, least)), None)
        if tip is None:
            return None
        found.append((ring[tip - 1], ring[tip], ring[(tip + 1) % len(ring)]))
        del ring[tip]
    return corners[np.array([*found, tuple(ring)])] if _doubled_area(*flat[ring]) >= 0 else None


def _is_ear(flat: Array, corners: Array, ring: list[int], k: int, least: float) -> bool:
    """Tell whether corner k of the remaining polygon, with its two neighbours, is convex and contains no other corner.

    flat (n, 2), projected positions; corners (n,), vertex indices; ring, positions in these of what remains. The
    triangle's doubled area must exceed `least` times the squared extent of the polygon.
    """
    tip = [ring[k - 1], ring[k], ring[(k + 1) % len(ring)]]
    if _doubled_area(*flat[tip]) <= least * float(np.ptp(flat)) ** 2:
        return False
    same = set(corners[tip].tolist())  # the polygon may touch itself
    return not any(_is_in_triangle(flat[i], flat[tip]) for i in ring if int(corners[i]) not in same)


def _doubled_area(a: Array, b: Array, c: Array) -> float:
    """Return twice the signed area of a triangle in the plane, positive if a, b, c (2,) run counter-clockwise."""
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def _is_in_triangle(point: Array, triangle: Array) -> bool:
    """Tell whether a point (2,) lies in a counter-clockwise triangle (3, 2) of the plane or on its edge."""
    return all(_doubled_area(triangle[k], triangle[(k + 1) % 3], point) >= 0 for k in range(3))


def triangulate_strips(polygons: Polygons) -> tuple[Array, Array]:
    """Return triangle strips as triangles (n, 3), all wound alike, and the strip from which each of them comes, (n,).

    Every second triangle of a strip runs the other way. Triangles with a repeated corner only join two strips into one
    and are left out.
    """
    long_enough = Polygons(polygons.corners, np.maximum(polygons.sizes, 2))
    counts = long_enough.sizes - 2
    source = np.repeat(np.arange(len(counts)), counts)
    step = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = polygons.starts[source] + step
    a, b, c = (polygons.corners[first + k] for k in range(3))
    odd = step % 2 == 1
    faces = np.stack([np.where(odd, b, a), np.where(odd, a, b), c], axis=1)
    good = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    return faces[good], source[good]
