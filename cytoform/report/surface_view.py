"""Pictures of a surface in 3D, without WebGL: faces are painted from far to near. For reports, maps and films."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from .._typing import Floats
from ..mesh import geometry
from ..mesh.protocol import Mesh
from .figures import styled

__all__ = ["AMBER", "TILT", "draw_surface", "initial_yaw", "surface_figure", "view_axes"]


TILT = 1.1  # of the view, radians; the rotating view of the page begins with it, too
AMBER = np.array([[0.93, 0.66, 0.22]])
_YAW_OFFSET = 0.35  # radians, so that the longest direction is not seen exactly side on


def initial_yaw(mesh: Mesh) -> float:
    """Return the rotation about z in radians at which a surface's longest direction in (x, y) runs across the view.

    The direction is the first principal axis of the vertices; 0.35 rad are added so that it is not seen exactly side
    on.
    """
    points = geometry.used_points(mesh.vertices, mesh.faces)[:, 1:]
    (y, x) = np.linalg.eigh(np.cov(points.T))[1][:, -1]
    return float(_YAW_OFFSET - np.arctan2(y, x))


def view_axes(yaw: float) -> Floats:
    """Return the axes of the view, (3, 3): rows are right, down and away from the viewer, as unit vectors (z, y, x).

    The view is rotated about z by `yaw` and then tilted by ``TILT``, both in radians.
    """
    (cy, sy), (ct, st) = ((np.cos(a), np.sin(a)) for a in (yaw, TILT))
    xyz = np.array([[cy, -sy, 0.0], [ct * sy, ct * cy, -st], [st * sy, st * cy, ct]])
    return xyz[:, ::-1]


def draw_surface(
    axes: Axes,
    mesh: Mesh,
    view: Floats,
    colours: Floats = AMBER,
    *,
    ambient: float = 0.35,
    centre: Floats | None = None,
    half_width: float | None = None,
) -> None:
    """Draw a surface in parallel projection: faces towards the viewer, from far to near, lit from the viewer's side.

    Parameters
    ----------
    axes : Axes
        Axes to draw on; their limits are set and their frame is removed.
    mesh : Mesh
        The surface, µm, (z, y, x).
    view : (3, 3) float
        Axes of the view, from :func:`view_axes`.
    colours : (n_faces, 3) or (1, 3) float
        Red, green and blue of each face, or of all, 0 to 1.
    ambient : float
        Brightness of a face seen edge on, relative to one seen straight on, 0 to 1.
    centre : (3,) float, optional
        Point in the middle of the picture, µm; by default the middle of the surface's bounding box.
    half_width : float, optional
        Distance from the middle to the edge of the picture, µm; by default 1.05 times that of the farthest vertex.
    """
    right, down, away = view
    points = mesh.vertices.astype(np.float64)
    points = points - (0.5 * (mesh.bounds[0] + mesh.bounds[1]) if centre is None else centre)
    normals = mesh.normals
    facing = normals @ away < 0
    order = np.flatnonzero(facing)[np.argsort(-(points @ away)[mesh.faces[facing]].mean(axis=1))]
    flat = np.stack([points @ right, points @ down], axis=1)[mesh.faces[order]]
    light = np.clip(ambient + (1.0 - ambient) * (normals[order] @ -away), 0.0, 1.0)[:, None]
    shaded = np.clip(light * np.broadcast_to(colours, (mesh.n_faces, 3))[order], 0.0, 1.0)
    # matplotlib takes an array (n, corners, 2), but its types allow sequences only.
    corners = cast("Sequence[Any]", flat)
    axes.add_collection(PolyCollection(corners, facecolors=shaded, edgecolors=shaded, linewidths=0.3))
    half_width = 1.05 * float(np.linalg.norm(points[mesh.faces], axis=2).max()) if half_width is None else half_width
    axes.set(xlim=(-half_width, half_width), ylim=(half_width, -half_width), aspect="equal")
    axes.set_axis_off()


@styled
def surface_figure(mesh: Mesh) -> Figure:
    """Draw a surface in amber, shaded, seen from one side.

    Parameters
    ----------
    mesh : Mesh
        The surface, µm, (z, y, x).

    Returns
    -------
    Figure
        4.4 × 4.0 inches, without axes; the surface's longest direction in (x, y) runs about across it.
    """
    figure = Figure(figsize=(4.4, 4.0), facecolor="white")
    draw_surface(figure.add_axes((0, 0, 1, 1)), mesh, view_axes(initial_yaw(mesh)))
    return figure
