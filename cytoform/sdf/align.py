"""Shapes in time brought to one place and one direction, without jumps from frame to frame."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from .._typing import Floats
from ..errors import MeshError
from ..linking import PlaceLinker
from ..mesh.surface import SurfaceMesh

__all__ = ["Moments", "align_track", "followed", "moments", "principal_rotation"]


_ALIKE = 1.1  # principal lengths closer than this ratio have no direction of their own


@dataclasses.dataclass(frozen=True)
class Moments:
    """Of a solid: volume in µm³, centroid (3,) in µm, covariance (3, 3) of its points in µm²; axes (z, y, x)."""

    volume: float
    centroid: Floats
    covariance: Floats


def moments(*meshes: SurfaceMesh) -> Moments:
    """Moments of what closed surfaces enclose together, by the tetrahedra between their faces and a point.

    Raises
    ------
    MeshError
        When a surface encloses nothing, or is wound inwards.
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


def _proper_assignments() -> Floats:
    """The 24 ways to put three axes onto three axes, with signs, without a mirror; (24, 3, 3)."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), order] = signs
            if np.linalg.det(matrix) > 0:
                found.append(matrix)
    return np.array(found)


def principal_rotation(covariance: Floats, previous: Floats | None = None) -> Floats:
    """Rotation that turns a solid's principal axes onto z, y and x; ``rotation @ (point - centroid)``.

    Without a previous frame the longest axis comes to lie along x, the shortest along z, and of the four signs that are
    left the rotation by the smallest angle is taken. With one, it is the one of the 24 assignments that is nearest to
    the previous rotation, so that nothing flips when two axes change places. Axes that are alike (a sphere's, say) have
    no direction of their own: within them the rotation stays as near to the previous one as it can.

    Parameters
    ----------
    covariance : (3, 3) float, µm²
    previous : (3, 3) float, optional

    Returns
    -------
    (3, 3) float64, a proper rotation
    """
    squares, vectors = np.linalg.eigh(covariance)  # ascending: z, y, x
    axes = vectors.T if np.linalg.det(vectors) > 0 else -vectors.T
    ways = _proper_assignments()
    if previous is None:
        ways = ways[(abs(ways) == np.eye(3)).all(axis=(1, 2))]
    reference = np.eye(3) if previous is None else previous
    best = ways[int(np.argmax(np.einsum("wij,jk,ik->w", ways, axes, reference)))]
    lengths = np.sqrt(np.maximum(abs(best) @ squares, 1e-300))
    return _settle(best @ axes, lengths, reference)


def _settle(axes: Floats, lengths: Floats, reference: Floats) -> Floats:
    """Turn axes of like length within themselves, as near to the reference as they go."""
    axes, order = axes.copy(), np.argsort(lengths)
    groups = [[int(order[0])]]
    for before, after in itertools.pairwise(order):
        if lengths[after] < _ALIKE * lengths[before]:
            groups[-1].append(int(after))
        else:
            groups.append([int(after)])
    for rows in groups:
        if len(rows) > 1:
            own = axes[rows]
            left, _, right = np.linalg.svd(reference[rows] @ own.T)
            left[:, -1] *= np.sign(np.linalg.det(left @ right))  # no mirror; a group alone never changes the sign
            axes[rows] = left @ right @ own
    return axes


def followed(frames: Sequence[Sequence[SurfaceMesh]]) -> list[list[SurfaceMesh]]:
    """Frames with their bodies in the order of the bodies that they follow.

    They are linked by their places: see :class:`cytoform.linking.PlaceLinker`.

    Raises
    ------
    MeshError
        When a surface encloses nothing.
    """
    found: list[list[SurfaceMesh]] = []
    linker = PlaceLinker()
    for bodies in frames:
        parts = [moments(body) for body in bodies]
        order = linker.order([part.centroid for part in parts], [part.volume for part in parts])
        found.append([bodies[k] for k in order])
    return found


def align_track(frames: Sequence[Sequence[SurfaceMesh]], *, rotate: bool = True) -> list[list[SurfaceMesh]]:
    """Bring every frame's centroid to the origin and its principal axes onto z, y and x.

    A frame has one body, or two after a division. Two are treated so: the pair as a whole is centred and turned by its
    own principal axes, followed from the frames before, which puts the bodies' centroids in place; then each body is
    turned about its own centroid by its own principal axes, as near to the pair's as they go. Distance and direction
    between the two centroids stay those of the pair.

    Parameters
    ----------
    frames : list of lists of SurfaceMesh
        Closed surfaces, µm.
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
    found, rotation, own = [], None if rotate else np.eye(3), {}
    for bodies in frames:
        whole = moments(*bodies)
        if rotate:
            rotation = principal_rotation(whole.covariance, rotation)
        moved = []
        for number, body in enumerate(bodies):
            turn, part = rotation, moments(body)
            if rotate and len(bodies) > 1:
                turn = own[number] = principal_rotation(part.covariance, own.get(number, rotation))
            place = rotation @ (part.centroid - whole.centroid)
            moved.append(body.with_vertices((body.vertices - part.centroid) @ turn.T + place))
        own = own if len(bodies) > 1 else {}
        found.append(moved)
    return found
