"""Where a fit starts: its surface, the voxels that count, and what is bright beside the cell."""

from __future__ import annotations

from collections.abc import Sequence

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
from .body import SurfaceBody, region_around
from .config import FitConfig
from .displaced import psf_optimiser
from .given import BRIGHT_RIM, LabelledCell, bright_rim, found_for, is_found, label_surfaces, labelled_cell
from .problem import Problem, check_roi, room_for
from .staining import stain_of
from .state import State, shape_optimiser

__all__ = ["begin"]

Bools = npt.NDArray[np.bool_]

STAIN = 2.0  # voxels, about the σ of a usual PSF: moving a membrane that far is like staining it e times as much
LEAST_FACES, MOST_FACES = 20, 500_000


def begin(
    volume: Volume,
    mesh: SurfaceMesh | None,
    psf: PSF | None,
    config: FitConfig,
    roi: npt.ArrayLike | None,
    labels: npt.ArrayLike | None = None,
    label: int | None = None,
    measured: Bools | None = None,
) -> tuple[State, float, float]:
    """Make the state that a fit starts from.

    Parameters
    ----------
    volume, mesh, psf, config, roi, labels, label
        As for :func:`cytoform.fit`.
    measured : (z, y, x) bool, optional
        Voxels that the microscope measured; all by default.

    Returns
    -------
    State, edge length in µm, margin of the region of interest in µm
    """
    edge = 2.0 * initial.typical_voxel(volume.spacing) if config.edge is None else config.edge
    psf = initial.guess_psf(volume.spacing) if psf is None else psf
    margin = loop.default_margin(psf, volume) if config.margin is None else config.margin
    cell, remarks = _outlined(volume, config, roi, labels, label, margin, measured)
    if cell is None:
        state = _in_image(volume, mesh, psf, config, roi, edge, margin, measured)
    elif labels is not None and cell.alone and mesh is None and is_found(cell.mask, volume):
        state = _in_image(volume, None, psf, config, None, edge, margin, measured)  # tells more than the label
    else:
        state = _at_label(cell, volume, mesh, psf, config, edge, margin, measured)
    state.remarks = (*remarks, *_parted(mesh))
    return state, edge, margin


def _parted(mesh: SurfaceMesh | None) -> tuple[str, ...]:
    """A remark on a start surface in several pieces."""
    pieces = 1 if mesh is None else int(topology.components(mesh).max()) + 1
    if pieces == 1:
        return ()
    return (f"The start surface is {pieces} separate surfaces; they stay apart, and numbers are of all together.",)


def _outlined(
    volume: Volume,
    config: FitConfig,
    roi: npt.ArrayLike | None,
    labels: npt.ArrayLike | None,
    label: int | None,
    margin: float,
    measured: Bools | None,
) -> tuple[LabelledCell | None, tuple[str, ...]]:
    """The cell that the user outlined, by a label or by a region that is an outline, with remarks."""
    if labels is not None:
        cell = labelled_cell(labels, label, volume)
        return cell, cell.remarks
    if roi is None or not config.widen_roi:
        return None, ()
    region = np.asarray(roi) != 0
    check_roi(region, volume)
    _measured(region, measured)
    bright = bright_rim(region, volume)
    if bright < BRIGHT_RIM:
        return None, ()
    cell = labelled_cell(region, 1, volume, noun="the region")
    remark = (
        f"{bright:.0%} of the region's rim is bright, as where a segmented cell ends: the rest of the blurred membrane "
        f"would not count. The region is taken as the cell's outline, and voxels up to {margin:.2g} µm from it count."
    )
    return cell, (remark, *cell.remarks)


def _at_label(
    cell: LabelledCell,
    volume: Volume,
    mesh: SurfaceMesh | None,
    psf: PSF,
    config: FitConfig,
    edge: float,
    margin: float,
    measured: Bools | None,
) -> State:
    """Start from a cell's label: its surface, the voxels around it, and the light of its neighbours to be modelled."""
    region = _measured(region_around(cell.mask, volume, margin), measured)
    check_roi(region, volume)
    starts = [] if mesh is None else [mesh]
    if mesh is None:
        starts.append(initial.start_mesh(volume, initial.BrightObject(cell.mask, ~cell.mask), config.init, edge))
    if mesh is None and config.init == "auto":
        starts += label_surfaces(cell.mask, volume)
    starts = [_checked_start(start, volume, edge) for start in starts]
    best = _likeliest(starts, psf, region, volume, config, cell.neighbours)
    none = np.zeros(volume.shape, dtype=bool)
    state = _state(starts[best], psf, region, (none, none, cell.neighbours), volume, fixed_roi=True)
    state.evaluations += len(starts) if len(starts) > 1 else 0
    return state


def _in_image(
    volume: Volume,
    mesh: SurfaceMesh | None,
    psf: PSF,
    config: FitConfig,
    roi: npt.ArrayLike | None,
    edge: float,
    margin: float,
    measured: Bools | None,
) -> State:
    """Start from the largest bright object, or from the user's surface and the object that it means."""
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
    if roi is None:
        body = SurfaceBody(volume, edge, measured)
        excluded, halo = body.neighbours(mesh, others, loop.REACH, own)
        region = loop.region_of(body, mesh, margin, own, excluded, halo, last=len(config.blurs) == 1)
    else:
        region = _measured(np.asarray(roi) != 0, measured)
        own, others = none, none
    check_roi(region, volume)
    state = _state(mesh, psf, region, (own, others, excluded), volume, fixed_roi=roi is not None)
    if meant is not None and config.place_start:
        _place(state, meant, volume, config, edge)
    return state


def _measured(region: Bools, measured: Bools | None) -> Bools:
    """The part of a region that the microscope measured."""
    if measured is not None and region.any() and not (region & measured).any():
        raise FitError(
            "the region of interest lies where nothing was measured: its voxels are filled with one value, as "
            "deskewing and rotating leave them.",
            remedy="Is the region on the image's own voxels?",
        )
    return region if measured is None else region & measured


def _state(
    mesh: SurfaceMesh, psf: PSF, region: Bools, masks: tuple[Bools, Bools, Bools], volume: Volume, *, fixed_roi: bool
) -> State:
    own, others, excluded = masks
    return State(
        mesh=mesh,
        start=mesh,
        psf=psf,
        roi=region,
        own=own,
        others=others,
        excluded=excluded,
        room=room_for(mesh, psf, region, volume),
        fixed_roi=fixed_roi,
        shape_optimiser=shape_optimiser(mesh),
        psf_optimiser=psf_optimiser(psf),
        stain=stain_of(mesh),
        stain_um=STAIN * initial.typical_voxel(volume.spacing),
        anchor=mesh,
    )


def _place(state: State, meant: Bools, volume: Volume, config: FitConfig, edge: float) -> None:
    """Let the fit begin from the user's start moved onto the object that it means, where that lowers the loss."""
    moved = placing.moved_onto(state.mesh, meant, volume)
    moved = remesh(moved, edge) if needs_remesh(moved, edge) else moved
    state.evaluations += 2
    if _likeliest([state.mesh, moved], state.psf, state.roi, volume, config, state.excluded) == 1:
        state.mesh, state.room = moved, room_for(moved, state.psf, state.roi, volume)
        state.stain, state.stiffer = stain_of(moved), np.ones(moved.n_vertices)
        state.shape_optimiser = shape_optimiser(moved)
        state.begin_anew()


def _likeliest(
    starts: Sequence[SurfaceMesh], psf: PSF, region: Bools, volume: Volume, config: FitConfig, excluded: Bools
) -> int:
    """Which of some starts has the least loss in the first stage."""
    if len(starts) == 1:
        return 0
    room = np.max([room_for(mesh, psf, region, volume) for mesh in starts], axis=0)
    problem = Problem(volume, region, tuple(room), config, excluded)
    losses = [problem.shape_step(mesh.astype(config.dtype), psf, config.blurs[0]).loss for mesh in starts]
    return int(np.argmin(losses))


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
            f"the start surface {topology.gaps(mesh)}; expected a closed surface.",
            remedy="Close its holes, or let cytoform find a start (--init ellipsoid).",
        )
    mesh = topology.orient_outward(mesh.without_unused_vertices().astype(np.float64))
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
