"""A cluster of cells as one mesh: every face separates two regions, and several faces may meet at an edge."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._typing import Array, Bools, Ints
from ..errors import MeshError
from . import geometry, topology
from .base import TriangleMesh
from .surface import SurfaceMesh

__all__ = ["MultiMaterialMesh"]

log = logging.getLogger(__name__)


# Two ends of an edge count as one point when their distance is at most this multiple of the bounding box's diagonal:
# rounding of float32.
_MERGE_DISTANCE = 2e-7


def check_labels(labels: Any, n_faces: int) -> Ints:
    """Return region labels as a contiguous int64 array of shape (n_faces, 2).

    Raise MeshError if the shape or the type is another one, a label is negative, or a face has the same region on both
    sides.
    """
    array = np.asarray(labels)
    if array.shape != (n_faces, 2):
        raise MeshError(f"labels has shape {array.shape}; expected ({n_faces}, 2), two regions for each face.")
    if array.dtype.kind not in "iu":
        raise MeshError(f"labels has values of type {array.dtype}; expected whole numbers.")
    if array.min() < 0:
        raise MeshError(f"labels has the value {int(array.min())}; expected 0 (outside) or more.")
    same = int((array[:, 0] == array[:, 1]).sum())
    if same:
        raise MeshError(f"{same} of {n_faces} faces have the same region on both sides; expected two different ones.")
    return np.ascontiguousarray(array, dtype=np.int64)


@dataclasses.dataclass(frozen=True, eq=False)
class MultiMaterialMesh(TriangleMesh):
    """A triangle mesh of several regions (touching cells) that share the interfaces between them.

    Parameters
    ----------
    vertices : (n_vertices, 3) float32 or float64
        Positions in µm, (z, y, x). Vertices that no face uses are kept and have no influence.
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle; the normal (counter-clockwise rule) points from region
        labels[:, 0] into region labels[:, 1].
    labels : (n_faces, 2) int
        The regions on the two sides, counted from 1; 0 is the outside.
    density : (n_faces,) float or float, optional
        Intensity per µm². By default 2 between two cells (two membranes) and 1 elsewhere.
    jump : (n_faces,) float or float, optional
        Intensity per µm³ in region labels[:, 0] minus that in region labels[:, 1] (:meth:`with_filling`); None, the
        default, for 0.
    cropped : (n_faces,) bool, optional
        True for faces that are no membrane: there a side of the image cuts a cell off. Their density is 0 by default.
        None, the default, for none.

    Raises
    ------
    MeshError
        When there are no faces, an index is out of range, a value is not finite, or a face has one region on both
        sides.
    """

    labels: Ints
    density: Array = None  # type: ignore[assignment]
    jump: Array | None = None
    cropped: Bools | None = None

    if TYPE_CHECKING:  # what may be passed; the fields have the types that they are converted to

        def __init__(
            self,
            vertices: npt.ArrayLike,
            faces: npt.ArrayLike,
            labels: npt.ArrayLike,
            density: npt.ArrayLike | None = None,
            jump: npt.ArrayLike | None = None,
            cropped: npt.ArrayLike | None = None,
        ) -> None: ...

    def _check_extra_fields(self) -> None:
        """Check the region labels (:func:`check_labels`) and which faces are cropped."""
        object.__setattr__(self, "labels", check_labels(self.labels, len(self.faces)))
        if self.cropped is None:
            return
        cropped = np.asarray(self.cropped)
        if cropped.shape != (len(self.faces),) or cropped.dtype != bool:
            raise MeshError(
                f"cropped is {cropped.dtype} of shape {cropped.shape}; expected bool of shape ({len(self.faces)},)."
            )
        object.__setattr__(self, "cropped", np.ascontiguousarray(cropped) if cropped.any() else None)

    def _default_density(self) -> Array:
        """Return density 2 for faces between two cells (two membranes), 1 to the outside, 0 if cropped, (n_faces,)."""
        density = np.where((self.labels > 0).all(axis=1), 2.0, 1.0)
        return density if self.cropped is None else np.where(self.cropped, 0.0, density)

    def with_filling(self, filling: Mapping[int, float]) -> MultiMaterialMesh:
        """Return the same mesh with regions filled with dye.

        Parameters
        ----------
        filling : mapping of int to float
            Intensity per µm³ inside of regions, by the region's number; 0 for those that are left out, and outside.

        Returns
        -------
        MultiMaterialMesh
            With the difference of the two regions of every face as its jump.

        Raises
        ------
        MeshError
            When the mesh has no such region.
        """
        unknown = sorted(set(filling) - set(self.region_ids))
        if unknown:
            raise MeshError(f"filling names the regions {unknown}; expected some of {list(self.region_ids)}.")
        bad = [region for region, value in filling.items() if not np.isfinite(value)]
        if bad:
            raise MeshError(f"the filling of region {bad[0]} is {filling[bad[0]]}; expected a finite number.")
        numbers, index = np.unique(self.labels, return_inverse=True)
        values = np.array([filling.get(int(number), 0.0) for number in numbers])[index.reshape(-1, 2)]
        return self.with_jump(values[:, 0] - values[:, 1])

    def regions(self) -> Mapping[int, SurfaceMesh]:
        """Return the closed surface of every region.

        Returns
        -------
        mapping of int to SurfaceMesh
            The surfaces by the region's number, wound outward, as :meth:`region_surface` gives them.
        """
        return {region: self.region_surface(region) for region in self.region_ids}

    @property
    def region_ids(self) -> tuple[int, ...]:
        """Region numbers in ascending order, without the outside (0)."""
        return tuple(int(i) for i in np.unique(self.labels) if i > 0)

    def region_faces(self, region: int) -> Ints:
        """Return the indices of the faces that border on a region.

        Parameters
        ----------
        region : int
            Number of the region, 1 or more.

        Returns
        -------
        (n,) int
            Indices into `faces`, ascending.

        Raises
        ------
        MeshError
            When there is no such region, or it is 0.
        """
        found = np.flatnonzero((self.labels == region).any(axis=1))
        if region == 0 or len(found) == 0:
            raise MeshError(f"there is no region {region}; expected one of {', '.join(map(str, self.region_ids))}.")
        return found

    def region_volume(self, region: int) -> float:
        """Return the volume of one region.

        Parameters
        ----------
        region : int
            Number of the region, 1 or more.

        Returns
        -------
        float
            In µm³; negative when the normals disagree with the labels.

        Raises
        ------
        MeshError
            When there is no such region, or it is 0.
        """
        return self.region_surface(region).volume

    def region_volumes(self) -> dict[int, float]:
        """Return the volume of every region.

        Returns
        -------
        dict of int to float
            Volumes in µm³ by the region's number, as :meth:`region_volume` gives them.
        """
        return {region: self.region_volume(region) for region in self.region_ids}

    def region_surface(self, region: int) -> SurfaceMesh:
        """Return the surface of one region, wound outward.

        Parameters
        ----------
        region : int
            Number of the region, 1 or more.

        Returns
        -------
        SurfaceMesh
            The region's faces with their density, and only the vertices that they use.

        Raises
        ------
        MeshError
            When there is no such region, or it is 0.
        """
        chosen = self.region_faces(region)
        inward = self.labels[chosen, 1] == region
        faces = topology.reverse_faces(self.faces[chosen], inward)
        used, index = np.unique(faces, return_inverse=True)
        jump = None if self.jump is None else np.where(inward, -self.jump[chosen], self.jump[chosen])
        return SurfaceMesh(self.vertices[used], index.reshape(-1, 3), self.density[chosen], jump)

    def repaired(self) -> MultiMaterialMesh:
        """Return the cluster without zero-area faces and with windings that agree with the labels.

        * The two ends of an edge without length are merged; that removes faces without area and leaves no gap.
        * Other faces without area (three points on a line) are dropped.
        * Faces with the same corners between the same two regions cancel in pairs: a sheet of no thickness.
        * Windings: where exactly two faces of a region meet at an edge, their windings must agree. Faces that violate
          this are reversed, and whole connected pieces are reversed where the volumes of the regions would add up to a
          negative number. Where labels and faces contradict each other (the piece has only one side) the windings stay
          as they are; a warning is logged.

        Vertices without faces are removed.

        Returns
        -------
        MultiMaterialMesh
            A new mesh; the remaining faces keep their labels, density and order.

        Raises
        ------
        MeshError
            When no face is left.
        """
        faces, kept = _drop_degenerate_faces(self)
        if len(faces) == 0:
            raise MeshError("no face is left after repair: all of them are without area.")
        labels, density = self.labels[kept], self.density[kept]
        jump = None if self.jump is None else self.jump[kept]
        flips = _faces_wound_against_labels(self.vertices, faces, labels)
        if flips.any():
            log.info("reversed %d of %d faces", int(flips.sum()), len(faces))
        used, index = np.unique(topology.reverse_faces(faces, flips), return_inverse=True)
        cropped = None if self.cropped is None else self.cropped[kept]
        return MultiMaterialMesh(self.vertices[used], index.reshape(-1, 3), labels, density, jump, cropped)


def _drop_degenerate_faces(mesh: MultiMaterialMesh) -> tuple[Ints, Ints]:
    """Return the faces that have an area, with coinciding ends of edges merged, and their indices in the mesh.

    Edges shorter than _MERGE_DISTANCE times the diagonal of the bounding box are merged; of equal faces pairs cancel.
    Shapes (n, 3), vertex indices, and (n,).
    """
    faces, kept = mesh.faces, np.arange(mesh.n_faces)
    low, high = mesh.bounds
    pairs = topology.edges(faces)
    apart = np.linalg.norm((mesh.vertices[pairs[:, 1]] - mesh.vertices[pairs[:, 0]]).astype(np.float64), axis=1)
    merged = np.arange(mesh.n_vertices)
    for a, b in pairs[apart <= _MERGE_DISTANCE * np.linalg.norm(high - low)]:
        merged[merged == merged[b]] = merged[a]
    faces = merged[faces]
    good = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    faces, kept = faces[good], kept[good]
    if len(faces):
        good = ~topology.zero_area_faces(_VerticesAndFaces(mesh.vertices, faces))
        faces, kept = faces[good], kept[good]
    good = _uncancelled_faces(faces, mesh.labels[kept])
    return faces[good], kept[good]


@dataclasses.dataclass(frozen=True)
class _VerticesAndFaces:
    """Vertices and faces without the checks of a mesh, for functions that need only these."""

    vertices: Array
    faces: Ints


def _uncancelled_faces(faces: Ints, labels: Ints) -> Bools:
    """Tell which faces stay when equal ones cancel in pairs, (n_faces,) bool.

    Faces are equal when they have the same corners and the same two regions, each in any order. Of an odd number of
    equal faces the first one stays.
    """
    if len(faces) == 0:
        return np.zeros(0, dtype=bool)
    keys = np.concatenate([np.sort(faces, axis=1), np.sort(labels, axis=1)], axis=1)
    _, first, inverse, counts = np.unique(keys, axis=0, return_index=True, return_inverse=True, return_counts=True)
    stays = np.zeros(len(faces), dtype=bool)
    stays[first[counts % 2 == 1]] = True
    return stays


def _faces_wound_against_labels(vertices: Array, faces: Ints, labels: Ints) -> Bools:
    """Tell which faces to reverse so that their normals point from labels[:, 0] into labels[:, 1], (n_faces,).

    Neighbouring faces of a region must be wound alike; of the two solutions for a connected piece, the one is taken in
    which the volumes of its regions add up to a positive number. Pieces without a solution are not reversed (a warning
    is logged).
    """
    pairs, differ = [], []
    for region in np.unique(labels):
        chosen = np.flatnonzero((labels == region).any(axis=1))
        neighbours, alike = topology.interior_edges(topology.reverse_faces(faces[chosen], labels[chosen, 1] == region))
        pairs.append(chosen[neighbours // 3])
        differ.append(alike)
    flips, groups, conflicts = topology.faces_to_reverse(len(faces), np.concatenate(pairs), np.concatenate(differ))
    if len(conflicts):
        log.warning("%d pieces of the mesh cannot be wound consistently with their labels", len(conflicts))
        flips &= ~np.isin(groups, conflicts)
    corners = geometry.corner_points(vertices, topology.reverse_faces(faces, flips))
    corners = corners - corners.reshape(-1, 3).mean(axis=0)
    signed = -np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    # A face adds the volume of its cone to the region that its normal leaves, and subtracts it from the one that it
    # enters; the outside does not count.
    signed = signed * ((labels[:, 0] > 0).astype(np.int64) - (labels[:, 1] > 0).astype(np.int64))
    inside_out = np.bincount(groups, weights=signed) < 0
    inside_out[conflicts] = False
    return flips ^ inside_out[groups]
