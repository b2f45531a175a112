"""Meshes of touching cells from label images."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..._typing import Array, Bools, Floats, Ints
from ...errors import ConfigError
from ..crossing import undo_crossing_moves
from ..multimaterial import MultiMaterialMesh
from ..volumes import restore_volumes
from .checking import check_label_image, check_triple, join_specks, number_regions
from .nets import extract_nets, triangulate
from .refining import refine
from .report import LabelReport, make_report
from .smoothing import held_axes, smooth_nets

__all__ = ["MeshedLabels", "Soup", "mesh_from_labels", "mesh_labels"]

log = logging.getLogger(__name__)

_LIMIT = 0.45  # voxels; a vertex stays so close to its middle
_MAX_STEP = 0.3  # voxels; a step for the volumes moves no vertex further


@dataclasses.dataclass(frozen=True)
class MeshedLabels:
    """A mesh of touching cells with a report on the label image that it was made from.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The cells; regions have the labels' numbers.
    report : LabelReport
        What was found in the image, and how well the mesh follows it.
    """

    mesh: MultiMaterialMesh
    report: LabelReport


@dataclasses.dataclass(frozen=True)
class Soup:
    """Vertices and faces between numbered regions, before they become a mesh.

    Parameters
    ----------
    points : (n_vertices, 3) float64
        Positions in voxels or µm, (z, y, x).
    faces : (n_faces, 3) int64
        Vertices of every face.
    pairs : (n_faces, 2) int64
        Regions on the two sides; 0 outside, −1 to −6 outside behind a side of the image.
    held : (n_vertices, 3) bool
        Axes along which a vertex must not move.
    """

    points: Floats
    faces: Ints
    pairs: Ints
    held: Bools


def mesh_from_labels(
    labels: npt.ArrayLike,
    spacing: float | Sequence[float],
    *,
    origin: float | Sequence[float] = (0.0, 0.0, 0.0),
    edge: float | None = None,
    smoothing: int = 10,
    smallest_part: int = 0,
) -> MultiMaterialMesh:
    """Return one mesh of all labels of an image, in which every face parts two regions.

    Sheets meet along junction lines; every region is a closed surface without pinched edges or vertices, whatever the
    labels look like: parts, holes and one-voxel thin cells are kept as they are. Voxels that touch diagonally are
    joined or parted by one rule for all labels (the 14 neighbours of Freudenthal's triangulation: along +z +y, +z +x,
    +y +x and +z +y +x they touch, along the other diagonals they do not). The surface is smoothed to sub-voxel
    positions within half a voxel of the labels' boundary, and every region gets the volume of its voxels. Where a side
    of the image cuts a cell off, the cell is closed there by flat faces that are marked as `cropped` and have density
    0.

    Parameters
    ----------
    labels : (z, y, x) int
        Labels, 0 outside; numbers may have gaps and be as large as int64 holds.
    spacing : (3,) float or float
        Voxel size in µm, (z, y, x).
    origin : (3,) float, optional
        Position of the centre of voxel (0, 0, 0) in µm.
    edge : float, optional
        Wanted edge length in µm; by default that of the voxels.
    smoothing : int, optional
        Rounds of smoothing; 0 for the shape of the voxels.
    smallest_part : int, optional
        Parts of a label with fewer voxels go to the neighbour with the largest contact, except the largest part; 0, the
        default, keeps all.

    Returns
    -------
    MultiMaterialMesh
        In µm, (z, y, x), float64; regions have the labels' numbers. What should be known of it is logged;
        :func:`mesh_labels` returns it as a report.

    Raises
    ------
    VolumeError
        When the image is not 3D, has no label, or values that are no labels.
    GridError
        When spacing or origin are no three numbers.
    ConfigError
        When an option is out of range.
    """
    made = mesh_labels(labels, spacing, origin=origin, edge=edge, smoothing=smoothing, smallest_part=smallest_part)
    for remark in made.report.remarks:
        log.info("%s", remark)
    for problem in made.report.problems:
        log.warning("%s", problem)
    return made.mesh


def mesh_labels(
    labels: npt.ArrayLike,
    spacing: float | Sequence[float],
    *,
    origin: float | Sequence[float] = (0.0, 0.0, 0.0),
    edge: float | None = None,
    smoothing: int = 10,
    smallest_part: int = 0,
) -> MeshedLabels:
    """Return one mesh of all labels of an image with a report on it; see :func:`mesh_from_labels`.

    Parameters
    ----------
    labels : (z, y, x) int
        Labels, 0 outside.
    spacing : (3,) float or float
        Voxel size in µm, (z, y, x).
    origin : (3,) float, optional
        Position of the centre of voxel (0, 0, 0) in µm.
    edge : float, optional
        Wanted edge length in µm; by default that of the voxels.
    smoothing : int, optional
        Rounds of smoothing; 0 for the shape of the voxels.
    smallest_part : int, optional
        Parts of a label with fewer voxels go to a neighbour; 0 for none.

    Returns
    -------
    MeshedLabels
        The mesh and the report.
    """
    size, start = check_triple("spacing", spacing, positive=True), check_triple("origin", origin, positive=False)
    if edge is not None and not (np.isfinite(edge) and edge > 0):
        raise ConfigError(f"edge is {edge!r}; expected a positive length in µm.")
    if smoothing < 0 or smallest_part < 0:
        raise ConfigError(f"smoothing is {smoothing!r}, smallest_part {smallest_part!r}; expected 0 or more.")
    image = check_label_image(labels)
    regions, numbers = number_regions(image)
    joined: dict[int, int] = {}
    if smallest_part > 1:
        regions, joined = join_specks(regions, smallest_part)
    volumes = np.bincount(regions.reshape(-1), minlength=len(numbers) + 1)[1:].astype(np.float64)
    soup, middle, n_split = _smooth_soup(regions, volumes, smoothing)
    soup = refine(soup, middle, volumes, size, edge)
    mesh = _as_mesh(soup, numbers, size, start)
    report = make_report(mesh, regions, numbers, volumes * np.prod(size), n_split, joined)
    return MeshedLabels(mesh, report)


def _smooth_soup(regions: Array, volumes: Floats, smoothing: int) -> tuple[Soup, Floats, int]:
    """Return the smoothed faces between regions in voxels, the middles about which vertices may move, and split cubes.

    volumes (n_regions,) in voxels are restored. No two faces cross.
    """
    nets = extract_nets(regions)
    held = held_axes(nets)
    points = smooth_nets(nets, smoothing, _LIMIT)
    faces, source = triangulate(points, nets.polygons)
    pairs = nets.pairs[source].astype(np.int64)
    if smoothing:
        points = restore_volumes(points, faces, pairs, volumes, ~held, _MAX_STEP)
    points, _ = undo_crossing_moves(nets.points, points, faces)
    return Soup(points, faces, pairs, held), nets.points, nets.n_split


def _as_mesh(soup: Soup, numbers: Ints, size: Floats, start: Floats) -> MultiMaterialMesh:
    """Return the mesh in µm with the labels' numbers as regions, and faces on the image's sides marked as cropped."""
    table = np.concatenate([[0], numbers])
    inner = np.maximum(soup.pairs, 0)
    return MultiMaterialMesh(soup.points * size + start, soup.faces, table[inner], cropped=(soup.pairs < 0).any(axis=1))
