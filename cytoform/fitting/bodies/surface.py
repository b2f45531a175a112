"""A closed surface in an image: one cell, or several that stay apart."""

from __future__ import annotations

import logging

import numpy as np
from scipy import ndimage

from ..._typing import Bools
from ...errors import FitError
from ...image.volume import Grid
from ...masks import mask_to_mesh, mesh_to_mask
from ...mesh import shapes, topology
from ...mesh.remesh import edges_are_uneven, faces_around, needs_remesh, poor_faces, remesh
from ...mesh.surface import SurfaceMesh
from ..constants import (
    EVEN_ENOUGH,
    FACE_AREA_FACTOR,
    LABEL_CLOSING_RADII,
    LAST_STAGE_TRIANGLE_BOUNDS,
    LEAST_START_FACES,
    MOST_START_FACES,
    MOST_VOLUME_CHANGE,
    REMESHED_RINGS,
    TRIANGLE_BOUNDS,
)
from ..start.labels import box_around
from ..start.moments import object_moments
from .base import Body
from .registry import register_body

__all__ = ["SurfaceBody", "label_surfaces"]

_LOG = logging.getLogger(__name__)


@register_body
class SurfaceBody(Body[SurfaceMesh]):
    """A closed surface of one component or several separate ones, moved as :class:`.Body` describes."""

    kind = "surface"
    mesh_class = SurfaceMesh
    remeshed = True

    def checked(self, mesh: SurfaceMesh) -> tuple[SurfaceMesh, tuple[str, ...]]:
        """Orient the faces of a start outward and remesh it where needed; a remark says if it has several components.

        Raises FitError for a surface that is open, outside of the image or flat, or whose edges would make too many
        faces.
        """
        pieces = int(topology.components(mesh).max()) + 1
        remarks: tuple[str, ...] = ()
        if not topology.is_closed(mesh):
            raise FitError(
                f"the start surface {topology.describe_gaps(mesh)}; expected a closed surface.",
                remedy="Close its holes, or let cytoform find a start (--init ellipsoid).",
            )
        mesh = topology.orient_outward(mesh.without_unused_vertices().astype(np.float64))
        grid = self.scene.grid
        low, high = np.asarray(grid.origin), grid.to_um(np.asarray(grid.shape) - 1)
        first, last = mesh.bounds
        if (last < low).any() or (first > high).any():
            raise FitError(
                f"the start surface spans {np.round(first, 2).tolist()} to {np.round(last, 2).tolist()} µm and lies "
                f"outside the image, {np.round(low, 2).tolist()} to {np.round(high, 2).tolist()} µm (z, y, x).",
                remedy="Is the mesh in voxels rather than µm, or are its axes in another order?",
            )
        if not self.inside(mesh).any():
            raise FitError(
                f"the start surface encloses no voxel's centre: its volume is {mesh.volume:.3g} µm³, a voxel's "
                f"{grid.voxel_volume:.3g} µm³.",
                remedy="Is the mesh in another unit than µm, or flat?",
            )
        self._check_edge(mesh.area)
        if pieces > 1:
            remarks = (
                f"The start surface is {pieces} separate surfaces; they stay apart, and numbers are of all together.",
            )
        return (remesh(mesh, self.edge) if needs_remesh(mesh, self.edge) else mesh), remarks

    def _check_edge(self, area: float) -> None:
        """Raise FitError if edges of length `edge` make too few or too many faces of an area, µm²."""
        faces = area / (FACE_AREA_FACTOR * self.edge**2)
        if not MOST_START_FACES >= faces >= LEAST_START_FACES:
            raise FitError(
                f"edges of {self.edge:g} µm would make about {faces:.3g} faces of {area:.3g} µm²; expected "
                f"{LEAST_START_FACES} to {MOST_START_FACES}.",
                remedy=f"The voxel size is {self.scene.spacing} µm (z, y, x); an edge of about two voxels is usual "
                "(--edge).",
            )

    def starts(self, mask: Bools, init: str) -> list[SurfaceMesh]:
        """Return the sphere or ellipsoid of a mask's moments; for "label" surfaces that follow the mask."""
        if init == "label":
            return label_surfaces(mask, self.scene.grid)
        moments = object_moments(mask, self.scene.grid)
        self._check_edge(4.0 * np.pi * float(np.mean(moments.semi_axes)) ** 2)
        if init == "sphere":
            radius = float(np.prod(moments.semi_axes) ** (1.0 / 3.0))
            mesh = shapes.sphere_of_edge(radius, tuple(moments.centre), self.edge)
        else:
            axes = moments.axes
            mesh = shapes.ellipsoid(tuple(moments.semi_axes), tuple(moments.centre), axes=axes, edge=self.edge)
            mesh = self.tidied(mesh)
        _LOG.info("start: centre %s µm, semi-axes %s µm", moments.centre.round(2), moments.semi_axes.round(2))
        return [mesh]

    def tidied(self, mesh: SurfaceMesh) -> SurfaceMesh:
        """Return the surface, remeshed if edges are much longer or shorter than `edge`."""
        return remesh(mesh, self.edge) if needs_remesh(mesh, self.edge) else mesh

    voxels = staticmethod(mesh_to_mask)
    is_embedded = staticmethod(topology.is_embedded)

    def needs_remeshing(self, mesh: SurfaceMesh, *, last: bool) -> bool:
        """Tell whether a triangle's edge or angle is out of bounds, or edges are too uneven on the whole."""
        return bool(self._poor_faces(mesh, last).any()) or edges_are_uneven(mesh, self.edge)

    def improved(self, mesh: SurfaceMesh, *, last: bool) -> SurfaceMesh | None:
        """Return the surface with better triangles, or None if none are poor or remeshing does not help.

        Edges are split, collapsed and flipped within three rings of faces around poor triangles (folded, or out of the
        bounds of the stage). If some are still poor, the whole surface is remeshed instead, and the result taken if it
        has fewer poor triangles. If edge lengths are uneven or faces folded on the whole, everything is remeshed at
        once. A result is only taken if it does not cross itself and its volume has changed by at most
        MOST_VOLUME_CHANGE.

        Parameters
        ----------
        mesh : SurfaceMesh
            The surface, µm.
        last : bool
            Whether this is the fit's last stage, whose bounds are wider.
        """
        poor, everywhere = self._poor_faces(mesh, last), needs_remesh(mesh, self.edge, min_angle=0.0)
        if not (poor.any() or everywhere):
            return None
        if not everywhere:
            better = remesh(mesh, self.edge, within=faces_around(mesh, poor, REMESHED_RINGS))
            if not self._poor_faces(better, last).any() and self._keeps_shape(better, mesh):
                return better
        better = remesh(mesh, self.edge)
        gained = everywhere or self._poor_faces(better, last).sum() < poor.sum()
        return better if better is not mesh and gained and self._keeps_shape(better, mesh) else None

    def evened(self, mesh: SurfaceMesh) -> SurfaceMesh | None:
        """Return the remeshed surface if that changes the number of faces and keeps the shape, else None."""
        wanted = mesh.area / (FACE_AREA_FACTOR * self.edge**2)
        if abs(mesh.n_faces / wanted - 1.0) < EVEN_ENOUGH and not edges_are_uneven(mesh, self.edge):
            return None
        better = remesh(mesh, self.edge)
        return better if better is not mesh and self._keeps_shape(better, mesh) else None

    def _poor_faces(self, mesh: SurfaceMesh, last: bool) -> Bools:
        """Mark the faces that are out of the bounds of the stage, (n_faces,) bool."""
        return poor_faces(mesh, self.edge, **(LAST_STAGE_TRIANGLE_BOUNDS if last else TRIANGLE_BOUNDS))

    def _keeps_shape(self, better: SurfaceMesh, mesh: SurfaceMesh) -> bool:
        """Tell whether a remeshed surface is embedded and has kept its volume within MOST_VOLUME_CHANGE."""
        return abs(better.volume - mesh.volume) <= MOST_VOLUME_CHANGE * abs(mesh.volume) and self.is_embedded(better)


def label_surfaces(mask: Bools, image: Grid) -> list[SurfaceMesh]:
    """Make closed surfaces, in µm, of a cell's mask: of the mask itself, and with clefts of growing width closed.

    A mask that touches the image's border is closed there. Surfaces with tunnels (genus above 0) are left out, so the
    list may be empty.
    """
    most, box = LABEL_CLOSING_RADII[-1], box_around(mask, image.spacing, 0.0)
    grid = image.crop([s.start for s in box], [s.stop for s in box])
    wide = np.pad(mask[box], most, mode="edge")
    off = ndimage.distance_transform_edt(~wide)
    found = []
    for radius in LABEL_CLOSING_RADII:
        closed = ndimage.distance_transform_edt(off <= radius) > radius if radius else wide
        whole = ndimage.binary_fill_holes((closed | wide)[(slice(most, -most),) * 3])
        mesh = mask_to_mesh(whole, grid, largest=True)
        if topology.genus(mesh) == 0:
            found.append(mesh)
    return found
