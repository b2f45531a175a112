"""Relative tensions and pressures of touching cells from the shape of their interfaces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from .._typing import Bools, Floats
from ..errors import ConfigError, MeshError
from ..mesh import topology
from ..mesh.junctions import find_junctions, interface_numbers
from ..mesh.multimaterial import MultiMaterialMesh
from .balance import Unknowns
from .links import Links, find_links
from .reading import Reading, Shape, read_faces, read_fields
from .result import Forces
from .solving import mean_condition

__all__ = ["default_scale", "forces"]

_EDGES = 12.0  # default scale as a multiple of the median edge length
_SMALLEST = 0.5  # an interface must have the area of a square with a side of this share of the scale
_LARGEST_ERROR = 0.5  # a tension with a larger standard error, relative to the mean tension, is not told


def forces(
    mesh: MultiMaterialMesh,
    *,
    scale: float | None = None,
    passive: Iterable[int] = (),
    cropped: npt.ArrayLike | None = None,
    robust: bool = True,
) -> Forces:
    """Infer relative tensions of interfaces and relative pressures of cells from a mesh of touching cells.

    Assumes mechanical equilibrium with one tension on each interface, between the same two regions, and one pressure in
    each region: then tensions balance at the lines where interfaces meet (law of Young and Dupré), and every interface
    has the mean curvature H = (p_i - p_j) / (2 γ_ij) (law of Young and Laplace). Both laws are read together, as the
    virtual work of smooth displacements of radius `scale`, by robust, weighted least squares. The mean of the tensions
    is set to 1, the pressure outside to 0: shapes tell ratios only.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        Cells in contact, µm, closed and wound as their labels say (:meth:`MultiMaterialMesh.repaired`).
    scale : float, optional
        Length in µm over which forces are balanced: several times the resolution of the image from which the mesh was
        made. By default 12 times the median edge length, at most the median radius of the cells. 0 takes the angles
        between the faces beside the junctions as they are: for fine meshes without noise.
    passive : iterable of int, optional
        Regions whose faces get no equation, such as an eggshell or a lumen; 0 for the outside.
    cropped : (n_faces,) bool, optional
        Faces where cells are cut off by the image's border; they get no equation. By default the mesh's own
        ``cropped``, where it has one.
    robust : bool, optional
        Whether places with large residuals get less weight (Huber).

    Returns
    -------
    Forces
        Tensions, pressures, standard errors, residuals, and why some could not be told (NaN).

    Raises
    ------
    MeshError
        When the mesh has no labels, or its windings contradict them.
    ConfigError
        When an option is out of range or names a region that is not there.

    References
    ----------
    Brakke, "The Surface Evolver", Experimental Mathematics 1 (1992) 141–165. Veldhuis et al., "Inferring cellular
    forces from image stacks", Phil. Trans. R. Soc. B 372 (2017) 20160261, doi 10.1098/rstb.2016.0261. Ichbiah et al.,
    "Embryo mechanics cartography", Nature Methods 20 (2023) 1989–1999, doi 10.1038/s41592-023-02084-7.

    Examples
    --------
    >>> import cytoform as cf
    >>> found = cf.forces(cf.read_mesh("embryo.rec"))  # doctest: +SKIP
    >>> found.tensions[1, 2], found.standard_errors[1, 2]  # doctest: +SKIP
    (1.21, 0.03)
    """
    _check_mesh(mesh)
    scale = default_scale(mesh) if scale is None else _check_scale(scale)
    passive = _check_passive(passive, mesh)
    active = ~(_check_cropped(cropped, mesh) | np.isin(mesh.labels, sorted(passive)).any(axis=1))
    pairs, numbers = interface_numbers(mesh.labels)
    shape = _make_shape(mesh, active, _check_cropped(cropped, mesh))
    links = find_links(shape, pairs, numbers, active)
    unknowns = _make_unknowns(mesh, links, active)
    reasons = _reasons_before(mesh, unknowns, links, scale)
    counted = np.array([tuple(pair) not in reasons for pair in unknowns.pairs.tolist()], dtype=bool)
    if not counted.any():
        return _assemble(mesh, unknowns, links, None, reasons, scale)
    condition = mean_condition(unknowns.n_pairs, unknowns.count, counted)
    if scale == 0:
        reading = read_faces(shape, unknowns, condition, robust=robust)
    else:
        reading = read_fields(shape, unknowns, condition, scale, robust=robust)
    return _assemble(mesh, unknowns, links, reading, reasons, scale)


def default_scale(mesh: MultiMaterialMesh) -> float:
    """Return the length over which forces are balanced by default.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        Cells in contact.

    Returns
    -------
    float
        12 times the median edge length, at most the median radius of balls of the cells' volumes, in µm.
    """
    lengths = topology.edge_lengths(mesh)
    volumes = np.abs(list(mesh.region_volumes().values()))
    radius = float(np.median(np.cbrt(3.0 * volumes / (4.0 * np.pi))))
    return float(min(_EDGES * np.median(lengths), radius))


def _check_mesh(mesh: Any) -> None:
    """Raise MeshError unless the mesh has region labels with which its windings agree."""
    if not isinstance(mesh, MultiMaterialMesh):
        raise MeshError(
            f"the mesh is a {type(mesh).__name__} without region labels; expected touching cells in one mesh.",
            remedy="Read a .rec file or another one with two labels a face, or make the mesh from a label image.",
        )
    for region in mesh.region_ids:
        chosen = mesh.region_faces(region)
        faces = topology.reverse_faces(mesh.faces[chosen], mesh.labels[chosen, 1] == region)
        wrong = int(topology.interior_edges(faces)[1].sum())
        if wrong:
            raise MeshError(
                f"around region {region} the windings of faces disagree at {wrong} edges; expected normals that point "
                "from the first into the second label of every face.",
                remedy="Use mesh.repaired().",
            )


def _check_scale(scale: Any) -> float:
    """Return the scale as a float; raise ConfigError unless it is a finite number, 0 or more."""
    if not (np.isscalar(scale) and isinstance(scale, int | float | np.number) and 0 <= scale < np.inf):
        raise ConfigError(f"scale is {scale!r}; expected a length in µm, or 0.")
    return float(scale)


def _check_passive(passive: Iterable[int], mesh: MultiMaterialMesh) -> set[int]:
    """Return the passive regions as a set; raise ConfigError for regions that the mesh does not have."""
    found: set[int] = set(passive) if isinstance(passive, Iterable) else {passive}
    known = set(np.unique(mesh.labels).tolist())
    unknown = sorted(found - known)
    if unknown:
        raise ConfigError(f"passive names the regions {unknown}; expected some of {sorted(known)}.")
    return found


def _check_cropped(cropped: npt.ArrayLike | None, mesh: MultiMaterialMesh) -> Bools:
    """Return which faces are cropped, (n_faces,); raise ConfigError if there is not one value for each face."""
    given = getattr(mesh, "cropped", None) if cropped is None else cropped
    if given is None:
        return np.zeros(mesh.n_faces, dtype=bool)
    found = np.asarray(given)
    if found.shape != (mesh.n_faces,) or found.dtype != bool:
        raise ConfigError(
            f"cropped has shape {found.shape} and type {found.dtype}; expected ({mesh.n_faces},) bool, a value a face."
        )
    return found


def _make_shape(mesh: MultiMaterialMesh, active: Bools, cropped: Bools) -> Shape:
    """Return the mesh as the readings need it: float64, with junctions and the vertices without an equation."""
    junctions = find_junctions(mesh.faces, mesh.n_vertices)
    excluded = junctions.boundary.copy()
    excluded[mesh.faces[~active].reshape(-1)] = True
    held = np.zeros(mesh.n_vertices, dtype=bool)
    held[mesh.faces[cropped].reshape(-1)] = True
    return Shape(mesh.vertices.astype(np.float64), mesh.faces, junctions, excluded, held)


def _make_unknowns(mesh: MultiMaterialMesh, links: Links, active: Bools) -> Unknowns:
    """Return the unknowns: tensions of the linked active interfaces, pressures of the regions that they bound."""
    pairs = links.pairs[links.active]
    new = np.cumsum(links.active) - 1
    of_face = np.where(links.active[links.numbers], new[links.numbers], 0)
    regions = np.setdiff1d(np.unique(pairs), [0, links.reference]) if len(pairs) else np.zeros(0, dtype=np.int64)
    sides = np.searchsorted(regions, mesh.labels)
    sides[~np.isin(mesh.labels, regions)] = -1
    return Unknowns(pairs, of_face, regions, sides, active)


def _reasons_before(
    mesh: MultiMaterialMesh, unknowns: Unknowns, links: Links, scale: float
) -> dict[tuple[int, int] | int, str]:
    """Return why tensions and pressures cannot be told, as far as that is known before the reading."""
    reasons: dict[tuple[int, int] | int, str] = {}
    areas = np.bincount(links.numbers, mesh.face_areas, len(links.pairs))
    for k, (i, j) in enumerate(links.pairs.tolist()):
        if not links.active[k]:
            reasons[i, j] = "no equation: passive or cropped"
        elif not links.linked[k]:
            reasons[i, j] = "no junction links it to the other interfaces"
        elif areas[k] < (_SMALLEST * scale) ** 2:
            side = f"{_SMALLEST * scale:.3g}"
            reasons[i, j] = f"too small to be read: {areas[k]:.3g} µm²; expected at least {side} × {side} µm"
    for region in mesh.region_ids:
        if not links.region_linked(region):
            reasons[region] = "no interface with an equation links it to the reference of pressures"
    return reasons


def _assemble(
    mesh: MultiMaterialMesh,
    unknowns: Unknowns,
    links: Links,
    reading: Reading | None,
    reasons: dict[tuple[int, int] | int, str],
    scale: float,
) -> Forces:
    """Return the result of a reading, without what cannot be told: NaN, with a reason, by interface and by region."""
    keys: list[tuple[int, int] | int] = [(int(i), int(j)) for i, j in unknowns.pairs]
    keys += [int(region) for region in unknowns.regions]
    values, covariance = np.full(len(keys), np.nan), np.full((len(keys), len(keys)), np.nan)
    if reading is not None:
        _note_undetermined(reading, keys, reasons)
        told = np.array([key not in reasons for key in keys], dtype=bool)
        values, covariance = _rescale(reading, told & (np.arange(len(keys)) < unknowns.n_pairs))
        values[~told] = np.nan
    found = dict(zip(keys, values.tolist()))
    errors = dict(zip(keys, np.sqrt(np.maximum(covariance.diagonal(), 0.0)).tolist()))
    pairs = [(int(i), int(j)) for i, j in links.pairs]
    pressures = {region: found.get(region, np.nan) for region in mesh.region_ids}
    every: list[tuple[int, int] | int] = [*pairs, *mesh.region_ids]
    errors = {key: errors.get(key, np.nan) if key not in reasons else np.nan for key in every}
    if links.reference > 0 and links.reference not in reasons:
        pressures[links.reference] = errors[links.reference] = 0.0
    return Forces(
        mesh=mesh,
        tensions={pair: found.get(pair, np.nan) for pair in pairs},
        pressures=pressures,
        standard_errors=errors,
        reasons=reasons,
        vertex_residuals=np.full(mesh.n_vertices, np.nan) if reading is None else reading.residuals,
        scale=scale,
        condition=np.inf if reading is None else reading.condition,
        reference=links.reference,
        keys=tuple(keys),
        covariance=covariance,
    )


def _note_undetermined(reading: Reading, keys: list[Any], reasons: dict[tuple[int, int] | int, str]) -> None:
    """Add the reasons that the reading gives: combinations without an equation, and errors that are too large."""
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(reading.covariance.diagonal())
    for key, loose, error in zip(keys, reading.undetermined, errors):
        if key in reasons:
            continue
        if loose:
            reasons[key] = "the junctions and curvatures that can be read do not determine it"
        elif isinstance(key, tuple) and error > _LARGEST_ERROR:
            reasons[key] = f"not determined: its standard error is {error:.2g} of the mean tension"


def _rescale(reading: Reading, counted: Bools) -> tuple[Floats, Floats]:
    """Return values and covariance on the scale on which the mean of the counted tensions is 1."""
    row = counted / max(int(counted.sum()), 1)
    mean = float(row @ np.where(counted, reading.values, 0.0))
    if not counted.any() or mean == 0:
        return np.full(len(row), np.nan), np.full(reading.covariance.shape, np.nan)
    values = reading.values / mean
    slope = (np.eye(len(row)) - np.outer(values, row)) / mean
    return values, slope @ reading.covariance @ slope.T
