"""HTML page of a report: figures, numbers and a rotating surface in one file that refers to nothing outside of it."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats
from ..atomic import write_text
from ..mesh.protocol import Mesh
from ..mesh.surface import SurfaceMesh
from . import figures, surface_view
from .browse import browse_html, browse_script
from .data import ReportData
from .frame import (
    base64_text,
    caption,
    document,
    headline,
    notes_box,
    picture,
    resource,
    section,
    table,
    verdict_box,
)
from .maps import maps_figure, widened_range

__all__ = ["report_html", "write_report"]

_MAX_FACES = 60_000  # of the rotating surface; only very large cells are fitted with more
_EVEN = 0.05  # relative spread of the staining below which the surface has one colour
_COLOUR = (237, 168, 56)
_AXIS_COLOURS = {"x": "#009E73", "y": "#D55E00", "z": "#0072B2"}


def write_report(data: ReportData, path: str | os.PathLike[str]) -> None:
    """Write the page of a report to a file, whole or not at all.

    Parameters
    ----------
    data : ReportData
        Content of the report.
    path : path
        File to write.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    write_text(path, report_html(data))


def report_html(data: ReportData) -> str:
    """Return a report as one HTML page that opens offline.

    Parameters
    ----------
    data : ReportData
        Content of the report.

    Returns
    -------
    str
        Style, script, pictures and the surface's geometry are all inside.
    """
    parts = [
        verdict_box(data.quality, data.reasons), notes_box(data.notes), _headline(data), _slices(data),
        browse_html(data),
        _side_by_side(_surface(data), _numbers(data)), _maps(data), _side_by_side(_loss(data), _psf(data)),
    ]  # fmt: skip
    footer = "Axes are z, y, x; lengths are in micrometres."
    return document(data.title, "report", _subtitle(data), parts, footer=footer, after=_script(data))


def _side_by_side(*sections: str) -> str:
    """Return HTML that puts sections side by side."""
    inner = "\n".join(sections)
    return f'<div class="row">\n{inner}\n</div>'


# ---------------------------------------------------------------------------------------------------------------------
# Parts of the page


def _subtitle(data: ReportData) -> str:
    """Return the line below the page's heading: cell, size of the image, number of vertices, and why the fit ended."""
    shape = " × ".join(str(n) for n in data.image.shape)
    size = " × ".join(f"{d:g}" for d in data.image.spacing)
    parts = [*data.about, f"{shape} voxels of {size} µm (z, y, x)", f"{data.mesh.n_vertices:,} vertices"]
    if data.stop_reason:
        parts.append(f"stopped: {data.stop_reason.rstrip('.')}")
    return " · ".join(parts)


def _number_text(value: float) -> str:
    """Format a number with four significant digits, as a whole number such as "1,234" from 1000 on; NaN becomes "–"."""
    if not np.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}".rstrip(".")


def _headline(data: ReportData) -> str:
    """Return the HTML of the few large numbers on top of the page."""
    return headline([(v if isinstance(v, str) else _number_text(v), unit, name) for v, unit, name in data.headline])


def _slices(data: ReportData) -> str:
    """Return the HTML section with slices of data, model and residual, and a legend of the lines.

    It holds the figure twice, with and without lines on the data; a checkbox switches between them.
    """
    keys = "\n".join(
        f'<span><i style="--c: {colour}; --s: {style}"></i>{name}</span>'
        for name, colour, style in figures.legend_entries(data)
    )
    alt = "Slices across z, y and x of data, model and residual"
    shown = '<label><input type="checkbox" id="contours" checked> show lines on the data</label>'
    drawn = picture(figures.slices_figure(data), alt + ", with the surface's contour on the data", "drawn")
    bare = picture(figures.slices_figure(data, surfaces=False), alt, "bare")
    return section(
        "Does the model match the image?",
        f'<div class="key">\n{keys}\n{shown}\n</div>',
        f'<div class="swap">\n{drawn}\n{bare}\n</div>',
        caption(
            "Slices through the middle of the fitted surface, all at one scale; data and model share one grey "
            "scale. In a good fit the residual is noise, stronger where the membrane is bright. Red on one side "
            "of the contour and blue on the other means that the surface lies too far in or out there; a red or "
            "blue line along the whole contour, that the PSF is too narrow or too wide."
        ),
        name="slices",
    )


def _numbers(data: ReportData) -> str:
    """Return the HTML section with the table of results and the note below it."""
    return section("Numbers", table(data.table), caption(data.table_note) if data.table_note else "")


def _maps(data: ReportData) -> str:
    """Return the HTML section with the maps on the surface; "" where there are none."""
    if not data.maps:
        return ""
    alt = "Maps on the surface from two sides: " + ", ".join(data.maps)
    drawn = picture(maps_figure(data.mesh, data.maps), alt)
    return section("Maps on the surface", drawn, caption("Seen from two opposite sides."))


def _loss(data: ReportData) -> str:
    """Return the HTML section with the curve of the loss, and why the fit ended."""
    reason = f" The fit stopped: {data.stop_reason.rstrip('.')}." if data.stop_reason else ""
    return section(
        "Did it converge?",
        picture(figures.loss_figure(data), "Loss against steps"),
        caption(
            "Loss at each step. Shades mark the stages of the fit, from coarse to fine; each stage compares finer "
            f"detail, so the curve may jump where a stage begins.{reason}"
        ),
    )


def _psf(data: ReportData) -> str:
    """Return the HTML section with the inferred point spread function."""
    return section(
        "Is the inferred PSF plausible?",
        picture(figures.psf_figure(data), "The point spread function: slices and profiles"),
        caption(
            "Point spread function, its maximum set to 1. Widths are full widths at half maximum; they include "
            "whatever else blurs the membrane, such as its own thickness and motion."
        ),
    )


def _surface(data: ReportData) -> str:
    """Return the HTML section with the surface in 3D: a WebGL canvas (or else a picture), axes and controls."""
    low, high = data.mesh.bounds
    z, y, x = high - low
    controls = ['<label><input type="checkbox" id="turning" checked> rotate</label>',
                '<label><input type="checkbox" id="wires"> show mesh</label>']  # fmt: skip
    if data.truth is not None:
        controls.append('<label><input type="checkbox" id="truth"> show true surface</label>')
    axes = "\n".join(
        f'<line id="axis-{a}" x1="42" y1="42" x2="42" y2="42" stroke="{c}" stroke-width="2.5"/>'
        f'<text id="name-{a}" x="42" y="42" fill="{c}" font-size="12" font-weight="600" text-anchor="middle">{a}</text>'
        for a, c in _AXIS_COLOURS.items()
    )
    view = f"""<div id="view">
<canvas tabindex="0" aria-label="The fitted surface in 3D; drag or use the arrow keys to rotate it"></canvas>
<svg viewBox="0 0 84 84" aria-hidden="true">
{axes}
</svg>
{picture(surface_view.surface_figure(data.mesh), "The fitted surface seen from one side")}
</div>
<div class="key" style="margin: 8px 0 0">
{" ".join(controls)}{_colour_key(data.mesh)}
</div>"""
    size = f"{x:.1f} × {y:.1f} × {z:.1f} µm (x, y, z)."
    return section("The surface", view, caption(f"{size} Drag to rotate, scroll to zoom."))


# ---------------------------------------------------------------------------------------------------------------------
# The rotating surface


def _staining(mesh: Mesh) -> tuple[Floats, float, float] | None:
    """Return the density of staining at the vertices, relative to its mean over the surface, and a colour range.

    The density of a vertex is the mean over its faces, weighted by area, as is the mean over the surface. The range
    (low, high) is from the 5th to the 95th percentile, widened where that is narrow. Return None where the percentiles
    differ by less than 0.05 (even staining) or the mean is not positive.
    """
    areas, density = mesh.face_areas, mesh.density.astype(np.float64)
    mean = float((areas * density).sum() / areas.sum())
    if mean <= 0:
        return None
    weight, total = np.zeros(mesh.n_vertices), np.zeros(mesh.n_vertices)
    for corner in range(3):
        np.add.at(weight, mesh.faces[:, corner], areas)
        np.add.at(total, mesh.faces[:, corner], areas * density)
    values = np.divide(total, weight, out=np.full(len(total), mean), where=weight > 0) / mean
    low, high = (float(v) for v in np.percentile(values[weight > 0], [5, 95]))
    return None if high - low < _EVEN else (values, *widened_range(low, high))


def _vertex_colours(mesh: Mesh) -> npt.NDArray[np.uint8]:
    """Return the colour of every vertex, (n, 3) uint8: its staining in viridis, or amber where staining is even."""
    found = _staining(mesh)
    if found is None:
        return np.tile(np.array(_COLOUR, dtype=np.uint8), (mesh.n_vertices, 1))
    import matplotlib

    values, low, high = found
    return matplotlib.colormaps["viridis"](np.clip((values - low) / (high - low), 0, 1), bytes=True)[:, :3]


def _colour_key(mesh: Mesh) -> str:
    """Return the HTML of the key for the staining: a ramp of colours between two values; "" where staining is even."""
    found = _staining(mesh)
    if found is None:
        return ""
    ramp = "linear-gradient(90deg, #440154, #3b528b, #21918c, #5ec962, #fde725)"
    bar = f'<b class="ramp" style="background: {ramp}"></b>'
    return f"\n<span>staining over its mean: {found[1]:.2f}{bar}{found[2]:.2f}</span>"


def _simplified(mesh: Mesh) -> Mesh:
    """Return a mesh with at most 60,000 faces, for the page: vertices in a cell of a cubic grid are merged.

    The first vertex of a cell stands for all in it. Cells begin with 1.2 √(area per face) as side and grow by 1.4 until
    the mesh is small enough; faces that collapse are dropped. A smaller mesh is returned without its unused vertices
    only.
    """
    mesh = mesh.without_unused_vertices()
    cell = 1.2 * float(np.sqrt(mesh.area / mesh.n_faces))
    while mesh.n_faces > _MAX_FACES:
        _, kept, name = np.unique(np.floor(mesh.vertices / cell), axis=0, return_index=True, return_inverse=True)
        faces = name.reshape(-1)[mesh.faces]
        good = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
        mesh = SurfaceMesh(mesh.vertices[kept], faces[good], mesh.density[good])
        cell *= 1.4
    return mesh


def _encoded(array: Array, dtype: str) -> str:
    """Encode an array as base64 text, after conversion to `dtype` (such as "<f4") in C order."""
    return base64_text(np.ascontiguousarray(array, dtype=dtype).tobytes())


def _geometry(mesh: Mesh, centre: Floats) -> dict[str, str]:
    """Return the vertices and faces of a mesh as base64 text, for the script that draws it.

    ``points`` are (x, y, z) in µm relative to `centre`, (z, y, x), as float32; ``faces`` are uint32.
    """
    points = (mesh.vertices.astype(np.float64) - centre)[:, ::-1]
    return {"points": _encoded(points, "<f4"), "faces": _encoded(mesh.faces, "<u4")}


def _script(data: ReportData) -> str:
    """Return the scripts of the page and their data (JSON) as HTML: the rotating surface, and the slices to browse.

    Fitted and true surface are simplified where they have many faces.
    """
    mesh = _simplified(data.mesh)
    centre = 0.5 * (mesh.bounds[0] + mesh.bounds[1])
    radius = float(np.linalg.norm(mesh.vertices - centre, axis=1).max())
    content: dict[str, Any] = {"yaw": surface_view.initial_yaw(data.mesh), "tilt": surface_view.TILT, "radius": radius}
    content["fit"] = _geometry(mesh, centre) | {"colours": _encoded(_vertex_colours(mesh), "u1")}
    if data.truth is not None:
        content["truth"] = _geometry(_simplified(data.truth), centre)
    return (
        f'<script type="application/json" id="surface-data">{json.dumps(content)}</script>\n'
        f"<script>\n{resource('viewer.js')}</script>\n"
        f"{browse_script(data)}\n<script>\n{resource('browse.js')}</script>"
    )
