"""Rigid alignment of shapes over time: centroids at the origin, principal axes along z, y and x, without flips."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from .._typing import Floats
from ..errors import MeshError
from ..linking import CentroidLinker
from ..mesh.surface import SurfaceMesh

__all__ = ["Moments", "align_track", "moments", "order_bodies", "principal_rotation"]


_DEGENERATE = 1.1  # principal lengths with a ratio below this count as equal: their axes have no direction of their own


@dataclasses.dataclass(frozen=True)
class Moments:
    """Volume, centroid and covariance of a solid, axes (z, y, x).

    Parameters
    ----------
    volume : float
        Volume in µm³.
    centroid : (3,) float64
        Centre of mass at even density, µm.
    covariance : (3, 3) float64
        Covariance of the solid's points about the centroid, µm².
    """

    volume: float
    centroid: Floats
    covariance: Floats


def moments(*meshes: SurfaceMesh) -> Moments:
    """Return volume, centroid and covariance of the solid that closed surfaces enclose together.

    The integrals are exact sums over the signed tetrahedra between each face and one common point.

    Parameters
    ----------
    *meshes : SurfaceMesh
        Closed surfaces, µm, faces counter-clockwise seen from outside; their solids are added.

    Returns
    -------
    Moments
        Of all solids together.

    Raises
    ------
    MeshError
        When the enclosed volume is not positive: a surface encloses nothing, or is wound inwards.
    """
    corners = np.concatenate([m.vertices.astype(np.float64)[m.faces] for m in meshes])
    middle = corners.mean(axis=(0, 1))
    corners = corners - middle
    # six volumes; with the minus of a determinant in (z, y, x) instead of (x, y, z)
    size = -np.einsum("fa,fa->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    volume = float(size.sum()) / 6
    if not volume > 0:
        raise MeshError(
            f"the surface encloses {volume:.3g} µm³; expected a closed surface, counter-clockwise seen from outside.",
            remedy="Use cytoform.mesh.topology.orient_outward.",
        )
    total = corners.sum(axis=1)
    centroid = (size[:, None] * total).sum(axis=0) / (24 * volume)
    square = np.einsum("f,fa,fb->ab", size, total, total) + np.einsum("f,fka,fkb->ab", size, corners, corners)
    return Moments(volume, centroid + middle, square / (120 * volume) - np.outer(centroid, centroid))


def _axis_rotations() -> Floats:
    """Return the 24 rotations that map the three coordinate axes onto each other, signs included, as (24, 3, 3)."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), order] = signs
            if np.linalg.det(matrix) > 0:
                found.append(matrix)
    return np.array(found)


def principal_rotation(covariance: Floats, previous: Floats | None = None) -> Floats:
    """Return the rotation that turns a solid's principal axes onto z, y and x.

    It is applied as ``rotation @ (point - centroid)``. Without a previous frame the longest axis comes to lie along x,
    the shortest along z, and of the four choices of sign that are left the rotation by the smallest angle is taken.
    With one, it is the one of the 24 assignments of axes that is nearest to the previous rotation, so that nothing
    flips when two axes change places. Axes of nearly equal length (a sphere's, say) have no direction of their own:
    within the plane or space that they span the rotation stays as near to the previous one as it can.

    Parameters
    ----------
    covariance : (3, 3) float64
        Covariance of the solid's points, µm², axes (z, y, x).
    previous : (3, 3) float64, optional
        Rotation of the frame before; None for the first frame.

    Returns
    -------
    (3, 3) float64
        A proper rotation (determinant 1).
    """
    squares, vectors = np.linalg.eigh(covariance)  # ascending: z, y, x
    axes = vectors.T if np.linalg.det(vectors) > 0 else -vectors.T
    candidates = _axis_rotations()
    if previous is None:
        candidates = candidates[(abs(candidates) == np.eye(3)).all(axis=(1, 2))]
    reference = np.eye(3) if previous is None else previous
    best = candidates[int(np.argmax(np.einsum("wij,jk,ik->w", candidates, axes, reference)))]
    lengths = np.sqrt(np.maximum(abs(best) @ squares, 1e-300))
    return _rotate_degenerate_axes(best @ axes, lengths, reference)


def _rotate_degenerate_axes(axes: Floats, lengths: Floats, reference: Floats) -> Floats:
    """Rotate principal axes of nearly equal length within their span, as near to a reference rotation as possible.

    The nearest rotation within each group of such axes is the orthogonal Procrustes solution.

    Parameters
    ----------
    axes : (3, 3) float64
        Principal axes as rows, a rotation.
    lengths : (3,) float64
        Standard deviations along the axes, µm; sorted neighbours with a ratio below 1.1 form a group.
    reference : (3, 3) float64
        Rotation to stay close to.

    Returns
    -------
    (3, 3) float64
        The rotation with its degenerate rows replaced.
    """
    axes, order = axes.copy(), np.argsort(lengths)
    groups = [[int(order[0])]]
    for before, after in itertools.pairwise(order):
        if lengths[after] < _DEGENERATE * lengths[before]:
            groups[-1].append(int(after))
        else:
            groups.append([int(after)])
    for rows in groups:
        if len(rows) > 1:
            span = axes[rows]
            left, _, right = np.linalg.svd(reference[rows] @ span.T)
            left[:, -1] *= np.sign(np.linalg.det(left @ right))  # no mirror; a group alone never changes the sign
            axes[rows] = left @ right @ span
    return axes


def order_bodies(frames: Sequence[Sequence[SurfaceMesh]]) -> list[list[SurfaceMesh]]:
    """Sort the bodies of each frame so that the same index means the same body in all frames.

    Bodies of two successive frames are linked so that the sum of squared distances between their centroids, counted
    from the frame's common centroid, is least (:class:`cytoform.linking.CentroidLinker`). A frame with another number
    of bodies than the one before keeps its order.

    Parameters
    ----------
    frames : list of lists of SurfaceMesh
        Closed surfaces of each frame, µm, in any order within a frame.

    Returns
    -------
    list of lists of SurfaceMesh
        The same surfaces, those of each frame in their new order.

    Raises
    ------
    MeshError
        When a surface encloses nothing.
    """
    found: list[list[SurfaceMesh]] = []
    linker = CentroidLinker()
    for bodies in frames:
        parts = [moments(body) for body in bodies]
        order = linker.order([part.centroid for part in parts], [part.volume for part in parts])
        found.append([bodies[k] for k in order])
    return found


def align_track(frames: Sequence[Sequence[SurfaceMesh]], *, rotate: bool = True) -> list[list[SurfaceMesh]]:
    """Move every frame's centroid to the origin and turn its principal axes onto z, y and x.

    A frame has one body, or two after a division. Two are treated so: the pair as a whole is centred and turned by its
    own principal axes, as near as possible to the rotation of the frame before, which fixes the bodies' centroids; then
    each body is turned about its own centroid by its own principal axes, as near as possible to its rotation in the
    frame before (at first: to the pair's). Distance and direction between the two centroids stay those of the pair.

    Parameters
    ----------
    frames : list of lists of SurfaceMesh
        Closed surfaces of each frame, µm; two bodies in the same order in all frames (:func:`order_bodies`).
    rotate : bool
        Whether to turn; otherwise the frames are centred only.

    Returns
    -------
    list of lists of SurfaceMesh
        The same surfaces, moved.

    Raises
    ------
    MeshError
        When a surface encloses nothing.
    """
    aligned: list[list[SurfaceMesh]] = []
    previous: Floats | None = None
    body_rotations: dict[int, Floats] = {}
    for bodies in frames:
        whole = moments(*bodies)
        rotation = principal_rotation(whole.covariance, previous) if rotate else np.eye(3)
        previous = rotation
        moved = []
        for number, body in enumerate(bodies):
            body_rotation, part = rotation, moments(body)
            if rotate and len(bodies) > 1:
                body_rotation = principal_rotation(part.covariance, body_rotations.get(number, rotation))
                body_rotations[number] = body_rotation
            centroid = rotation @ (part.centroid - whole.centroid)
            moved.append(body.with_vertices((body.vertices - part.centroid) @ body_rotation.T + centroid))
        body_rotations = body_rotations if len(bodies) > 1 else {}
        aligned.append(moved)
    return aligned
