"""Where a fit starts: its surface, the voxels that count, and what is bright beside the cell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import FitError
from ..image.volume import Volume
from ..masks import mesh_to_mask
from ..mesh import topology
from ..mesh.remesh import needs_remesh, remesh
from ..mesh.surface import SurfaceMesh
from ..optics import PSF
from . import initial, loop, placing
from .body import SurfaceBody
from .config import FitConfig
from .displaced import psf_optimiser
from .problem import Problem, check_roi, room_for
from .staining import stain_of
from .state import State, shape_optimiser

__all__ = ["begin", "found_for"]

STAIN = 2.0  # voxels, about the σ of a usual PSF: moving a membrane that far is like staining it e times as much
SAME = 0.5  # two masks that share more than this part of the smaller one are of the same object
LEAST_FACES, MOST_FACES = 20, 500_000


def begin(
    volume: Volume, mesh: SurfaceMesh | None, psf: PSF | None, config: FitConfig, roi: npt.ArrayLike | None
) -> tuple[State, float, float]:
    edge = 2.0 * initial.typical_voxel(volume.spacing) if config.edge is None else config.edge
    psf = initial.guess_psf(volume.spacing) if psf is None else psf
    margin = loop.default_margin(psf, volume) if config.margin is None else config.margin
    none = np.zeros(volume.shape, dtype=bool)
    own, others, excluded, meant = none, none, none, None
    if mesh is None:
        found = initial.largest_object(_seen(volume, roi))
        semi = initial.object_moments(found.mask, volume).semi_axes
        _check_edge(4.0 * np.pi * float(np.mean(semi)) ** 2, edge, volume)
        mesh, own, others = initial.start_mesh(volume, found, config.init, edge), found.mask, found.others
    else:
        mesh = _checked_start(mesh, volume, edge)
        meant = placing.object_at(mesh, _seen(volume, roi))
        own = none if meant is None else meant
        if roi is None:
            found, same = found_for(own | mesh_to_mask(mesh, volume.grid), volume)
            own, others = found.mask if same else own, found.others
            meant = None if meant is None else own
    body = SurfaceBody(volume, edge)
    if roi is None:
        excluded, halo = body.neighbours(mesh, others, loop.REACH, own)
        region = loop.region_of(body, mesh, margin, own, excluded, halo, last=len(config.blurs) == 1)
    else:
        region = np.asarray(roi) != 0
        own, others = none, none
    check_roi(region, volume)
    state = State(
        mesh, mesh, psf, region, own, others, excluded, room_for(mesh, psf, region, volume), roi is not None,
        shape_optimiser(mesh), psf_optimiser(psf), stain_of(mesh),
        STAIN * initial.typical_voxel(volume.spacing), mesh,
    )  # fmt: skip
    if meant is not None and config.place_start:
        _place(state, meant, volume, config, edge)
    return state, edge, margin


def found_for(mask: npt.NDArray[np.bool_], volume: Volume) -> tuple[initial.BrightObject, bool]:
    """What a fit without a start finds, and True, where that is the object of a mask; else the mask's neighbours."""
    try:
        found = initial.largest_object(volume)
    except FitError:
        return initial.neighbours_of(mask, volume), False
    same = (found.mask & mask).sum() > SAME * min(found.mask.sum(), mask.sum())
    return (found if same else initial.neighbours_of(mask, volume)), bool(same)


def _place(state: State, meant: npt.NDArray[np.bool_], volume: Volume, config: FitConfig, edge: float) -> None:
    """Let the fit begin from the user's start moved onto the object that it means, where that lowers the loss."""
    moved = placing.moved_onto(state.mesh, meant, volume)
    moved = remesh(moved, edge) if needs_remesh(moved, edge) else moved
    rooms = np.maximum(state.room, room_for(moved, state.psf, state.roi, volume))
    problem = Problem(volume, state.roi, tuple(rooms), config, state.excluded)
    meshes = (state.mesh, moved)
    losses = [problem.shape_step(m.astype(config.dtype), state.psf, config.blurs[0]).loss for m in meshes]
    state.evaluations += len(meshes)
    if losses[1] < losses[0]:
        state.mesh, state.room = moved, room_for(moved, state.psf, state.roi, volume)
        state.stain, state.stiffer = stain_of(moved), np.ones(moved.n_vertices)
        state.shape_optimiser = shape_optimiser(moved)
        state.begin_anew()


def _seen(volume: Volume, roi: npt.ArrayLike | None) -> Volume:
    """The image as the search for a start sees it: dark outside the region of interest."""
    if roi is None:
        return volume
    region = np.asarray(roi) != 0
    check_roi(region, volume)
    data = np.asarray(volume.data, dtype=np.float32)
    return Volume(np.where(region, data, data[region].min()), volume.spacing, volume.origin, volume.name)


def _checked_start(mesh: SurfaceMesh, volume: Volume, edge: float) -> SurfaceMesh:
    """A user's start: closed, outwards, in the image, with triangles of the wanted size, in float64."""
    if not topology.is_closed(mesh):
        raise FitError(
            "the start surface is open: some edges have only one face; expected a closed surface.",
            remedy="Close its holes, or let cytoform find a start (--init ellipsoid).",
        )
    mesh = topology.orient_outward(mesh.astype(np.float64))
    grid = volume.grid
    low, high = np.asarray(grid.origin), grid.to_um(np.asarray(grid.shape) - 1)
    first, last = mesh.bounds
    if (last < low).any() or (first > high).any():
        raise FitError(
            f"the start surface spans {np.round(first, 2).tolist()} to {np.round(last, 2).tolist()} µm and lies "
            f"outside the image, {np.round(low, 2).tolist()} to {np.round(high, 2).tolist()} µm (z, y, x).",
            remedy="Is the mesh in voxels rather than µm, or are its axes in another order?",
        )
    if not mesh_to_mask(mesh, grid).any():
        raise FitError(
            f"the start surface encloses no voxel's centre: its volume is {mesh.volume:.3g} µm³, a voxel's "
            f"{grid.voxel_volume:.3g} µm³.",
            remedy="Is the mesh in another unit than µm, or flat?",
        )
    _check_edge(mesh.area, edge, volume)
    return remesh(mesh, edge) if needs_remesh(mesh, edge) else mesh


def _check_edge(area: float, edge: float, volume: Volume) -> None:
    faces = area / (0.433 * edge**2)
    if not MOST_FACES >= faces >= LEAST_FACES:
        raise FitError(
            f"edges of {edge:g} µm would make about {faces:.3g} faces of {area:.3g} µm²; expected {LEAST_FACES} to "
            f"{MOST_FACES}.",
            remedy=f"The voxel size is {volume.spacing} µm (z, y, x); an edge of about two voxels is usual (--edge).",
        )
