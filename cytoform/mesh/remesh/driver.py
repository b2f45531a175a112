"""Remesh a surface, or a part of it, and check that the result keeps topology and has no folds."""

from __future__ import annotations

import logging

import numpy as np

from ..._typing import Bools, Floats, Ints
from ...errors import MeshError
from .. import topology
from ..closest import ClosestPointSearch, transfer_density, transfer_jump
from ..surface import SurfaceMesh
from .collapsing import collapse
from .edges import build_edges, drop_unused_vertices
from .flipping import flip
from .limits import LONG
from .quality import check_edge
from .relaxing import relax, untangle
from .splitting import MAX_FACES, split

__all__ = ["remesh"]

log = logging.getLogger(__name__)


def remesh(
    mesh: SurfaceMesh,
    target_edge: float,
    *,
    iterations: int = 3,
    project: bool = True,
    within: Bools | None = None,
) -> SurfaceMesh:
    """Return the same surface with nearly equilateral triangles whose edges are close to `target_edge`.

    A closed, manifold input without folds gives a closed, manifold output of the same topology without folded or
    zero-area faces. Boundary vertices of an open surface stay where they are. Should the result violate this (seen only
    on inputs that already do), it goes through :func:`untangle`; if that does not help, the input comes back, and the
    log says so (as information). An input that is not manifold or not consistently wound comes back unchanged, too,
    with a warning.

    Parameters
    ----------
    mesh : SurfaceMesh
        The surface; it is not changed.
    target_edge : float
        Wanted edge length in µm; edges end up between about 0.5 and 1.5 times that.
    iterations : int, optional
        Rounds of split, collapse, flip and relax.
    project : bool, optional
        Project vertices back onto the input surface; without it every round smooths a little.
    within : (n_faces,) bool, optional
        The faces that may change; all others, and with them the border of these, stay as they are. None for all.

    Returns
    -------
    SurfaceMesh
        Same dtype; the density of a face is that of the closest input face, its jump that of the component.

    Raises
    ------
    ConfigError
        When `target_edge` is not positive.
    MeshError
        When so short an edge would need millions of faces, or `within` is not one bool for each face.
    """
    target = check_edge(target_edge)
    if not (topology.is_manifold(mesh.faces, boundary=True) and topology.is_oriented(mesh.faces)):
        log.warning("the mesh is not manifold or not consistently wound; it is left as it is")
        return mesh
    expected = mesh.area / (np.sqrt(3.0) / 4.0 * target**2)
    if expected > MAX_FACES:
        raise MeshError(f"remeshing to {target:g} µm needs about {expected:.2g} faces.", remedy="Raise target_edge.")
    points, faces = mesh.vertices.astype(np.float64), mesh.faces
    if within is None:
        return _accept_or_keep(
            mesh, *_run_rounds(*drop_unused_vertices(points, faces), target, iterations, project, border=True)
        )
    within = np.asarray(within)
    if within.shape != (mesh.n_faces,) or within.dtype != bool:
        raise MeshError(f"within is {within.dtype} of shape {within.shape}; expected bool of shape ({mesh.n_faces},).")
    if not within.any():
        return mesh
    part = _run_rounds(*drop_unused_vertices(points, faces[within]), target, iterations, project, border=False)
    return _accept_or_keep(mesh, *_replace_faces(points, faces, within, *part), may_untangle=bool(within.all()))


def _run_rounds(
    points: Floats, faces: Ints, target: float, iterations: int, project: bool, *, border: bool
) -> tuple[Floats, Ints]:
    """Return points and faces after `iterations` rounds of split, collapse, flip and relax to edges of `target` µm.

    `project`: relaxed vertices are projected onto the surface as it was. `border`: long edges on the boundary are split
    as well; otherwise the boundary stays exactly as it is.
    """
    points, faces = split(points, faces, LONG * target, border=border)  # does not move the surface
    reference = ClosestPointSearch(points, faces) if project else None
    for iteration in range(iterations):
        if iteration:
            points, faces = split(points, faces, LONG * target, border=border)
        points, faces = collapse(points, faces, target)
        faces = flip(points, faces, by_valence=True)
        points = relax(points, faces, reference)
        faces = flip(points, faces, by_valence=False)
        points = relax(points, faces, reference)
    return points, flip(points, faces, by_valence=False)


def _replace_faces(
    points: Floats, faces: Ints, within: Bools, part_points: Floats, part_faces: Ints
) -> tuple[Floats, Ints]:
    """Return the surface with its faces `within` replaced by a remeshed part that has the same border.

    The part's border vertices are the same ones in the same order as before: none was added, moved or dropped.
    """
    old, rest = faces[within], faces[~within]
    border = np.flatnonzero(build_edges(old, len(points)).fixed)
    same = build_edges(part_faces, len(part_points)).fixed
    number = np.empty(len(part_points), dtype=np.int64)
    number[same] = border
    number[~same] = len(points) + np.arange(int((~same).sum()))
    return drop_unused_vertices(
        np.concatenate([points, part_points[~same]]), np.concatenate([rest, number[part_faces]])
    )


def _accept_or_keep(mesh: SurfaceMesh, points: Floats, faces: Ints, *, may_untangle: bool = True) -> SurfaceMesh:
    """Return the remeshed surface if it keeps what :func:`remesh` promises, else the input `mesh`.

    The result must be manifold (closed if the input is) with the same Euler characteristic, and without folded or
    zero-area faces, or at least with fewer than the input. `may_untangle`: folds are first smoothed by
    :func:`untangle`.
    """
    made = SurfaceMesh(points.astype(mesh.dtype), faces)
    if may_untangle and not topology.quality(made).sound:
        made = untangle(made)
    whole = topology.is_manifold(made, boundary=not topology.is_closed(mesh))
    if not whole or topology.euler_characteristic(made) != topology.euler_characteristic(mesh):
        log.info("remeshing would have broken the surface; it is left as it is")
        return mesh
    before, after = topology.quality(mesh), topology.quality(made)
    if not after.sound and after.n_zero_area + after.n_folded >= before.n_zero_area + before.n_folded:
        log.info("remeshing left %d folded and %d empty faces; the mesh is left as it is", after.n_folded,
                    after.n_zero_area)  # fmt: skip
        return mesh
    made = made.with_density(transfer_density(mesh, made))
    return made.with_jump(transfer_jump(mesh, made)) if mesh.is_filled else made
