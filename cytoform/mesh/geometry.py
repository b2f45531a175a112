"""Areas, normals, volumes and lengths of triangle meshes, always formed in float64."""

from __future__ import annotations

import numpy as np

from .._typing import Array, Bools, Floats

__all__ = [
    "area_gradient",
    "area_gradient_from_normals",
    "bounding_box",
    "corner_points",
    "doubled_normals",
    "edge_lengths",
    "enclosed_volume",
    "face_areas",
    "face_normals",
    "mean_at_vertices",
    "simplex_size_gradient",
    "simplex_sizes",
    "sum_at_vertices",
    "surface_centroid",
    "used_points",
    "used_vertices",
    "vertex_normals",
    "volume_gradient",
]


def corner_points(vertices: Array, faces: Array) -> Floats:
    """Return the positions of every face's corners.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle.

    Returns
    -------
    (n_faces, 3, 3) float64
        Positions in µm: (face, corner, axis), axes (z, y, x).
    """
    return np.asarray(vertices, dtype=np.float64)[faces]


def doubled_normals(corners: Floats, *, precise: bool = True) -> Floats:
    """Return the normals of faces, each twice as long as the face's area.

    They point outward for faces that run counter-clockwise seen from outside. They are correct to rounding for needles
    as well: the rounding errors of edges and products are carried along, and a face whose corners lie on a line up to
    these errors gets zero. Ref: Dekker 1971, doi 10.1007/BF01397083.

    Parameters
    ----------
    corners : (n_faces, 3, 3) float64
        Corner positions in µm, as :func:`corner_points` returns them: (face, corner, axis), axes (z, y, x).
    precise : bool, optional
        Carry the rounding errors along; on by default. Corners that come from float32 need no such care (False):
        float64 holds all digits of their products.

    Returns
    -------
    (n_faces, 3) float64
        Normals in µm², (z, y, x).
    """
    # (z, y, x) is a left-handed order of (x, y, z), so the cross product of (z, y, x) triples points inwards for faces
    # that run counter-clockwise seen from outside; hence the order of the two edges.
    if not precise:
        return np.cross(corners[:, 2] - corners[:, 0], corners[:, 1] - corners[:, 0])
    first, first_rest = _two_sum(corners[:, 2], -corners[:, 0])
    second, second_rest = _two_sum(corners[:, 1], -corners[:, 0])
    normals = np.empty((len(corners), 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        left, left_rest = _two_product(first[:, j], second[:, k])
        right, right_rest = _two_product(first[:, k], second[:, j])
        left_rest += first[:, j] * second_rest[:, k] + first_rest[:, j] * second[:, k]
        right_rest += first[:, k] * second_rest[:, j] + first_rest[:, k] * second[:, j]
        total, rest = _two_sum(left, -right)
        normals[:, i] = total + (rest + (left_rest - right_rest))
    size = np.abs(first).max(axis=1) * np.abs(second).max(axis=1)
    normals[np.abs(normals).max(axis=1) <= _ROUNDING_LIMIT * size] = 0.0
    return normals


# Relative to the product of two edge lengths: a cross product this small is rounding noise even in twice float64's
# precision.
_ROUNDING_LIMIT = 4.0 * np.finfo(np.float64).eps ** 2
_SPLITTER = 2.0**27 + 1.0  # Veltkamp's constant: splits a float64 into a high and a low half of its digits


def _two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return the rounded sum a + b and its rounding error, exactly (Knuth's TwoSum)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _two_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return the rounded product a · b and its rounding error, exactly (Dekker's product)."""
    product = a * b
    a_high, b_high = _SPLITTER * a, _SPLITTER * b
    a_high, b_high = a_high - (a_high - a), b_high - (b_high - b)
    a_low, b_low = a - a_high, b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _exact_product(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Return the product of two numbers that have a rounding error each, with that of the product."""
    product, rest = _two_product(a[0], b[0])
    return _two_sum(product, rest + (a[0] * b[1] + a[1] * b[0]))


def _exact_sum(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Return the sum of two numbers that have a rounding error each, with that of the sum."""
    total, rest = _two_sum(a[0], b[0])
    return _two_sum(total, rest + (a[1] + b[1]))


def _signed_volumes(corners: Floats, *, precise: bool) -> Floats:
    """Return the signed volumes of tetrahedra (n, 4, 3) in µm³; `precise` as for :func:`doubled_normals`."""
    if not precise:
        edges = corners[:, 1:] - corners[:, :1]
        return np.asarray(np.einsum("ij,ij->i", edges[:, 0], np.cross(edges[:, 1], edges[:, 2])) / 6.0)
    a, b, c = ([_two_sum(corners[:, i, d], -corners[:, 0, d]) for d in range(3)] for i in (1, 2, 3))
    total = np.zeros(len(corners)), np.zeros(len(corners))
    even, odd = ((0, 1, 2), (1, 2, 0), (2, 0, 1)), ((0, 2, 1), (1, 0, 2), (2, 1, 0))
    for (i, j, k), sign in [*((axes, 1.0) for axes in even), *((axes, -1.0) for axes in odd)]:
        high, low = _exact_product(_exact_product(a[i], b[j]), c[k])
        total = _exact_sum(total, (sign * high, sign * low))
    size = np.prod([np.abs(corners[:, i] - corners[:, 0]).max(axis=1) for i in (1, 2, 3)], axis=0)
    volumes: Floats = np.where(np.abs(total[0]) <= _ROUNDING_LIMIT * size, 0.0, total[0] + total[1]) / 6.0
    return volumes


def simplex_sizes(corners: Floats, *, precise: bool = True) -> Floats:
    """Return the size of points, segments, triangles or tetrahedra: 1, length, area or volume.

    Parameters
    ----------
    corners : (n, k + 1, 3) float64
        Corner positions in µm, (z, y, x), of simplices of order k, 0 to 3.
    precise : bool, optional
        Carry the rounding errors of edges and products along, so that slivers are right as well; on by default. Corners
        that come from float32 need no such care.

    Returns
    -------
    (n,) float64
        Sizes in µm^k, zero or more.
    """
    order = corners.shape[1] - 1
    if order == 0:
        return np.ones(len(corners))
    if order == 3:
        return np.abs(_signed_volumes(corners, precise=precise))
    if order == 2:
        return 0.5 * np.asarray(np.linalg.norm(doubled_normals(corners, precise=precise), axis=1))
    return np.asarray(np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1))


def simplex_size_gradient(corners: Floats, *, precise: bool = True) -> Floats:
    """Return the derivative of the size of each simplex with respect to its corners.

    Parameters
    ----------
    corners : (n, k + 1, 3) float64
        Corner positions in µm, (z, y, x), of simplices of order k, 0 to 3.
    precise : bool, optional
        As for :func:`simplex_sizes`.

    Returns
    -------
    (n, k + 1, 3) float64
        Derivatives in µm^(k - 1): (simplex, corner, axis). Zero where the size is zero, where no derivative exists.
    """
    order = corners.shape[1] - 1
    out = np.zeros_like(corners)
    if order == 1:
        out[:, 1] = _unit_vectors(corners[:, 1] - corners[:, 0])
        out[:, 0] = -out[:, 1]
    elif order == 2:
        out = area_gradient_from_normals(corners, doubled_normals(corners, precise=precise))
    elif order == 3:
        signs = np.sign(_signed_volumes(corners, precise=precise))
        # a corner's derivative is a third of the opposite face's area along its normal, wound so that it points to it
        for i, opposite in enumerate(((1, 2, 3), (0, 3, 2), (0, 1, 3), (0, 2, 1))):
            out[:, i] = doubled_normals(corners[:, opposite], precise=precise) * (signs / 6.0)[:, None]
    return out


def face_areas(vertices: Array, faces: Array) -> Floats:
    """Return the area of every face.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle.

    Returns
    -------
    (n_faces,) float64
        Areas in µm².
    """
    areas: Floats = 0.5 * np.linalg.norm(_doubled_face_normals(vertices, faces), axis=1)
    return areas


def face_normals(vertices: Array, faces: Array) -> Floats:
    """Return the unit normal of every face.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle, counter-clockwise seen from outside.

    Returns
    -------
    (n_faces, 3) float64
        Outward normals of length 1, dimensionless, (z, y, x); zero where a face has no area.
    """
    return _unit_vectors(_doubled_face_normals(vertices, faces))


def _doubled_face_normals(vertices: Array, faces: Array) -> Floats:
    """Return :func:`doubled_normals` of a mesh's faces, (n_faces, 3); precise unless the vertices are float32."""
    return doubled_normals(corner_points(vertices, faces), precise=np.asarray(vertices).dtype != np.float32)


def _unit_vectors(vectors: Floats) -> Floats:
    """Return each row of `vectors` (n, 3) divided by its length; zero rows stay zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: Floats = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return units


def vertex_normals(vertices: Array, faces: Array) -> Floats:
    """Return the unit normal at every vertex, along the area-weighted mean of its faces' normals.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle, counter-clockwise seen from outside.

    Returns
    -------
    (n_vertices, 3) float64
        Outward normals of length 1, dimensionless, (z, y, x). Zero at a vertex without faces, or where the mean is
        zero.
    """
    normals = _doubled_face_normals(vertices, faces)
    total = np.zeros((len(vertices), 3))
    for corner in range(3):
        np.add.at(total, faces[:, corner], normals)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    units: Floats = np.divide(total, length, out=np.zeros_like(total), where=length > 0)
    return units


def area_gradient(vertices: Array, faces: Array) -> Floats:
    """Return the derivative of every face's area with respect to its corners.

    ∂A/∂v_p = ½ n̂ × e_p with e_p the edge opposite to corner p. Ref: Ichbiah et al. 2025, below Eq. 7.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle.

    Returns
    -------
    (n_faces, 3, 3) float64
        Derivatives in µm: (face, corner, axis), axes (z, y, x). Zero where the area is zero, where no derivative
        exists.
    """
    return area_gradient_from_normals(corner_points(vertices, faces), _doubled_face_normals(vertices, faces))


def area_gradient_from_normals(corners: Floats, normals: Floats) -> Floats:
    """Return :func:`area_gradient` from corners and normals that are already computed.

    Parameters
    ----------
    corners : (n_faces, 3, 3) float64
        Corner positions in µm, as :func:`corner_points` returns them: (face, corner, axis), axes (z, y, x).
    normals : (n_faces, 3) float64
        Normals in µm², (z, y, x), as :func:`doubled_normals` returns them; only their directions count.

    Returns
    -------
    (n_faces, 3, 3) float64
        Derivatives in µm: (face, corner, axis), axes (z, y, x). Zero where the normal is zero.
    """
    units = -0.5 * _unit_vectors(normals)  # the cross product in (z, y, x) components
    opposite = corners[:, [2, 0, 1]] - corners[:, [1, 2, 0]]
    out = np.empty_like(corners)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        out[:, :, i] = units[:, None, j] * opposite[:, :, k] - units[:, None, k] * opposite[:, :, j]
    return out


def volume_gradient(vertices: Array, faces: Array) -> Floats:
    """Return every face corner's part of the derivative of the enclosed volume.

    It is a third of the face's area along its outward normal, the same at each corner. Summed around a vertex of a
    closed surface (:func:`sum_at_vertices`) it is the exact derivative.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle, counter-clockwise seen from outside.

    Returns
    -------
    (n_faces, 3, 3) float64
        Parts in µm²: (face, corner, axis), axes (z, y, x).
    """
    vectors = face_normals(vertices, faces) * face_areas(vertices, faces)[:, None] / 3.0
    return np.repeat(vectors[:, None], 3, axis=1)


def sum_at_vertices(values: Array, faces: Array, n_vertices: int) -> Floats:
    """Sum values at the corners of faces over all corners at each vertex.

    Parameters
    ----------
    values : (n_faces, 3, ...) float
        Values at the faces' corners, in any unit.
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle.
    n_vertices : int
        Number of vertices of the mesh.

    Returns
    -------
    (n_vertices, ...) float64
        Sums in the unit of the values; 0 at a vertex without faces.
    """
    total = np.zeros((n_vertices, *values.shape[2:]))
    np.add.at(total, faces, values)
    return total


def mean_at_vertices(values: Array, faces: Array, n_vertices: int) -> Floats:
    """Return the mean of the values of the faces around each vertex, all faces weighted alike.

    Parameters
    ----------
    values : (n_faces,) float
        Values of the faces, in any unit.
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle.
    n_vertices : int
        Number of vertices of the mesh.

    Returns
    -------
    (n_vertices,) float64
        Means in the unit of the values; 0 at a vertex without faces.
    """
    corners = np.asarray(faces).reshape(-1)
    total = np.bincount(corners, weights=np.repeat(values, 3), minlength=n_vertices)
    return total / np.maximum(np.bincount(corners, minlength=n_vertices), 1)


def signed_volumes_times_six(corners: Floats) -> Floats:
    """Return six times the signed volume of the tetrahedron of each face and the origin.

    Parameters
    ----------
    corners : (n_faces, 3, 3) float64
        Corner positions in µm, as :func:`corner_points` returns them: (face, corner, axis), axes (z, y, x).

    Returns
    -------
    (n_faces,) float64
        Six times the volumes, in µm³; positive where the origin lies behind the face.
    """
    volumes: Floats = -np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    return volumes


def face_volumes(vertices: Array, faces: Array) -> Floats:
    """Return the signed volume of the tetrahedron between each face and the mean of all corners.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle, counter-clockwise seen from outside.

    Returns
    -------
    (n_faces,) float64
        µm³; over a closed surface they sum to the volume that it encloses.
    """
    corners = corner_points(vertices, faces)
    return signed_volumes_times_six(corners - corners.reshape(-1, 3).mean(axis=0)) / 6.0


def enclosed_volume(vertices: Array, faces: Array) -> float:
    """Return the signed volume that a closed surface encloses.

    It is the sum of the tetrahedra between the faces and the mean of all corners. For an open surface the sum is formed
    as well, but depends on that point.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle, counter-clockwise seen from outside.

    Returns
    -------
    float
        Volume in µm³; positive where normals point outward, negative where they point inward.
    """
    corners = corner_points(vertices, faces)
    corners = corners - corners.reshape(-1, 3).mean(axis=0)
    return float(signed_volumes_times_six(corners).sum() / 6.0)


def surface_centroid(vertices: Array, faces: Array) -> Floats:
    """Return the centre of mass of the surface: the mean of the face centres, weighted by area.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle.

    Returns
    -------
    (3,) float64
        Position in µm, (z, y, x). Where no face has an area, all face centres weigh alike.
    """
    areas = face_areas(vertices, faces)
    centres = corner_points(vertices, faces).mean(axis=1)
    total = areas.sum()
    centroid: Floats = centres.mean(axis=0) if total == 0 else (areas[:, None] * centres).sum(axis=0) / total
    return centroid


def edge_lengths(vertices: Array, faces: Array) -> Floats:
    """Return the length of the edge opposite to each corner.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle.

    Returns
    -------
    (n_faces, 3) float64
        Lengths in µm; column c is for the edge between the other two corners.
    """
    corners = corner_points(vertices, faces)
    lengths: Floats = np.linalg.norm(np.roll(corners, -2, axis=1) - np.roll(corners, -1, axis=1), axis=2)
    return lengths


def used_vertices(faces: Array, n_vertices: int) -> Bools:
    """Tell which vertices some face uses; the others are no part of the surface.

    Parameters
    ----------
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle.
    n_vertices : int
        Number of vertices of the mesh.

    Returns
    -------
    (n_vertices,) bool
        True for a vertex in use.
    """
    used = np.zeros(n_vertices, dtype=bool)
    used[faces] = True
    return used


def used_points(vertices: Array, faces: Array) -> Floats:
    """Return the positions of the vertices that some face uses, each once.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle.

    Returns
    -------
    (n, 3) float64
        Positions in µm, (z, y, x), in the order of the vertices.
    """
    return np.asarray(vertices[used_vertices(faces, len(vertices))], dtype=np.float64)


def bounding_box(vertices: Array, faces: Array | None = None) -> tuple[Floats, Floats]:
    """Return the smallest and the largest coordinate on each axis.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int, optional
        Indices of the three vertices of every triangle: only vertices that some face uses count. With None, the
        default, all of them count.

    Returns
    -------
    low : (3,) float64
        Smallest coordinates in µm, (z, y, x).
    high : (3,) float64
        Largest coordinates in µm, (z, y, x).
    """
    points = np.asarray(vertices, dtype=np.float64) if faces is None else used_points(vertices, faces)
    return points.min(axis=0), points.max(axis=0)
