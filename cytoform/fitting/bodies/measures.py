"""Quantities of a mesh with their derivatives, from which standard errors are computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..._typing import Floats
from ...mesh import geometry
from ...mesh.protocol import Mesh

__all__ = ["Measure", "volume_and_area"]


@dataclasses.dataclass(frozen=True, eq=False)
class Measure:
    """A quantity of a mesh.

    Attributes
    ----------
    value : float
        In its own unit.
    gradient : (n_vertices, 3) float64
        Its derivative for the positions of the vertices, per µm.
    """

    value: float
    gradient: Floats


def volume_and_area(mesh: Mesh) -> Mapping[str, Measure]:
    """Measure the volume that a closed surface encloses, and its area.

    Parameters
    ----------
    mesh : Mesh
        A closed surface, µm.

    Returns
    -------
    mapping of str to Measure
        ``volume_um3`` (µm³) and ``area_um2`` (µm²) with their derivatives.
    """
    parts = mesh.vertices, mesh.faces
    volume, area = geometry.volume_gradient(*parts), geometry.area_gradient(*parts)
    volume, area = (geometry.sum_at_vertices(slope, mesh.faces, mesh.n_vertices) for slope in (volume, area))
    return {
        "volume_um3": Measure(geometry.enclosed_volume(*parts), volume),
        "area_um2": Measure(mesh.area, area),
    }
