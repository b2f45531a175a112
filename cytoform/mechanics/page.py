"""A short HTML page on tensions and pressures: pictures of the cells moved apart, tables and warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from .._typing import Floats, Ints
from ..mesh import geometry, topology
from ..mesh.surface import SurfaceMesh
from ..report import frame
from ..report.figures import styled
from ..report.maps import widened_range
from ..report.surface_view import draw_surface, initial_yaw, view_axes

if TYPE_CHECKING:
    from .result import Forces

__all__ = ["forces_figure", "forces_html"]

_APART = 0.6  # shift of a cell's centre away from the middle, as a share of its distance from there
_UNKNOWN = (0.6, 0.6, 0.6)  # colour of faces without a value
_VERDICTS = {
    "good": "Nothing speaks against the tensions.",
    "check": "Look at the residuals before you rely on the tensions.",
    "failed": "No tension can be told.",
}
_CAPTION = (
    "Cells moved apart, from two sides. Left: tension of each interface over the mean tension. Right: force that stays "
    "unbalanced about each point, over the mean tension; it is small where tensions and pressures explain the shape. "
    "Grey: no value."
)


def forces_figure(found: Forces) -> Figure:
    """Draw the cells moved apart, in the colours of the tensions and of the residuals, from two opposite sides.

    Parameters
    ----------
    found : Forces
        The result.

    Returns
    -------
    Figure
        Two columns with a colour bar each.
    """
    return _draw(found)


@styled
def _draw(found: Forces) -> Figure:
    """Return the figure of :func:`forces_figure`."""
    apart, source = _exploded(found)
    residuals = found.vertex_residuals[found.mesh.faces].mean(axis=1)
    figure = Figure(figsize=(7.2, 6.2), facecolor="white")
    for column, (name, values) in enumerate((("tension", found.face_tensions), ("unbalanced force", residuals))):
        scale = _colours(values, column == 0)
        colours = np.where(np.isfinite(values)[:, None], scale.to_rgba(np.nan_to_num(values))[:, :3], _UNKNOWN)
        for row, turn in enumerate((0.0, np.pi)):
            axes = figure.add_axes((0.5 * column, 0.57 - 0.43 * row, 0.5, 0.42))
            draw_surface(axes, apart, view_axes(initial_yaw(apart) + turn), colours[source], ambient=0.7)
        bar = figure.add_axes((0.5 * column + 0.06, 0.095, 0.38, 0.022))
        figure.colorbar(scale, cax=bar, orientation="horizontal").set_label(f"{name} / mean tension", fontsize=9)
        bar.tick_params(labelsize=8.5)
    return figure


def _colours(values: Floats, diverging: bool) -> ScalarMappable:
    """Return a colour scale over the finite values, blue to red about 1 where it is diverging, else from 0."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ScalarMappable(Normalize(0.0, 1.0), colormaps["viridis"])
    if diverging:
        most = max(float(np.abs(finite - 1.0).max()), 0.1)
        return ScalarMappable(Normalize(1.0 - most, 1.0 + most), colormaps["RdBu_r"])
    return ScalarMappable(Normalize(0.0, widened_range(0.0, float(np.percentile(finite, 98)))[1]), colormaps["viridis"])


def _exploded(found: Forces) -> tuple[SurfaceMesh, Ints]:
    """Return the closed surfaces of all cells moved away from the middle, as one mesh, and the source of each face."""
    mesh = found.mesh
    points, middle = mesh.vertices.astype(np.float64), np.mean(mesh.bounds, axis=0)
    vertices, faces, source, start = [], [], [], 0
    for region in mesh.region_ids:
        chosen = mesh.region_faces(region)
        outward = topology.reverse_faces(mesh.faces[chosen], mesh.labels[chosen, 1] == region)
        used, index = np.unique(outward, return_inverse=True)
        shift = _APART * (geometry.surface_centroid(points, outward) - middle)
        vertices.append(points[used] + shift)
        faces.append(index.reshape(-1, 3) + start)
        source.append(chosen)
        start += len(used)
    return SurfaceMesh(np.concatenate(vertices), np.concatenate(faces)), np.concatenate(source)


def forces_html(found: Forces) -> str:
    """Return the page: verdict, pictures, tables of tensions and pressures, and how they were read.

    Parameters
    ----------
    found : Forces
        The result.

    Returns
    -------
    str
        HTML that opens offline.
    """
    told = np.isfinite(list(found.tensions.values()))
    cells = [
        (str(len(found.mesh.region_ids)), "", "cells"),
        (f"{int(told.sum())} of {len(told)}", "", "tensions told"),
        (f"{found.scale:.3g}", "µm", "scale"),
        (f"{found.condition:.3g}", "", "condition number"),
    ]
    picture = frame.picture(forces_figure(found), "cells moved apart, coloured by tension and by unbalanced force")
    reading = (
        "Angles were taken between the faces beside the junctions."
        if found.scale == 0
        else f"Forces were balanced over neighbourhoods with a radius of {found.scale:.3g} µm."
    )
    lead = "Relative tensions of interfaces and pressures of cells; the mean tension is 1."
    body = [
        _verdict(found),
        frame.headline(cells),
        frame.section("Map", picture, frame.caption(_CAPTION)),
        frame.section("Tensions", _tension_rows(found)),
        frame.section("Pressures", _pressure_rows(found)),
    ]
    return frame.document("Forces", "forces", lead, body, footer=reading)


def _verdict(found: Forces) -> str:
    """Return the box with the verdict and the warnings, HTML."""
    lines = [f"{found.quality}: {_VERDICTS[found.quality]}", *found.warnings]
    return frame.notes_box(lines)


def _tension_rows(found: Forces) -> str:
    """Return the table of tensions, HTML."""
    rows = [
        (
            f"{row['region1']}–{row['region2']}",
            _number(row["tension"]),
            _number(row["tension_se"]),
            f"{row['area_um2']:.4g}",
            _number(row["residual"]),
            row["reason"],
        )
        for row in found.table()
    ]
    head = ("interface", "tension", "standard error", "area, µm²", "unbalanced", "")
    return frame.table(rows, head, text=(0, 5))


def _pressure_rows(found: Forces) -> str:
    """Return the table of pressures, HTML."""
    rows = [
        (
            row["region"],
            _number(row["pressure"]),
            _number(row["pressure_se"]),
            f"{row['volume_um3']:.4g}",
            row["reason"],
        )
        for row in found.pressure_table()
    ]
    zero = "outside" if found.reference == 0 else f"in region {found.reference}"
    note = f"In mean tensions per µm, relative to the pressure {zero}."
    head = ("region", "pressure", "standard error", "volume, µm³", "")
    return frame.table(rows, head, text=(0, 4)) + frame.caption(note)


def _number(value: float) -> str:
    """Return a number with four significant digits, a dash for NaN."""
    return f"{value:.4g}" if np.isfinite(value) else "–"
