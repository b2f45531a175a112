"""The HTML page: figures, numbers and a turning surface in one file without references to anything outside of it."""

from __future__ import annotations

import base64
import html
import io
import json
import os
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from ..atomic import write_text
from ..errors import CytoformError
from ..masks import mesh_to_mask
from ..mesh.surface import SurfaceMesh
from ..metrics import r2, region_of_r2, sphericity
from . import figures, solid
from .browse import browse_html, browse_script
from .data import ReportData
from .maps import maps_figure, widened

__all__ = ["report_html", "write_report"]

_DPI = 150
_MOST_FACES = 60_000  # of the turning surface; what is fitted has more only for very large cells
_EVEN = 0.05  # relative spread of the staining below which the surface has one colour
_COLOUR = (237, 168, 56)
_AXIS_COLOURS = {"x": "#009E73", "y": "#D55E00", "z": "#0072B2"}


def write_report(data: ReportData, path: str | os.PathLike[str]) -> None:
    """Write :func:`report_html` to a file, whole or not at all.

    Raises
    ------
    OutputError
        When the place cannot be written.
    """
    write_text(path, report_html(data))


def report_html(data: ReportData) -> str:
    """The report as one HTML page that opens offline.

    Returns
    -------
    str
        Style, script, pictures and the surface's geometry are all inside.
    """
    title = html.escape(data.title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · cytoform report</title>
<style>
{_resource("style.css")}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="lead">{_lead(data)}</p>
{_notes(data.notes)}
{_headline(data)}
{_slices(data)}
{browse_html(data)}
<div class="row">
{_surface(data)}
{_table(data)}
</div>
{_maps(data)}
<div class="row">
{_loss(data)}
{_psf(data)}
</div>
<footer>Made by cytoform. Axes are z, y, x; lengths are in micrometres.</footer>
</main>
{_script(data)}
</body>
</html>
"""


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _picture(figure: Figure, alt: str, name: str = "") -> str:
    """A figure as an image element with its bytes inside."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    code = base64.b64encode(buffer.getvalue()).decode("ascii")
    wide = f' style="width: {figure.get_size_inches()[0] * 108:.0f}px"'
    label = f' class="{name}"' if name else ""
    return f'<img{label}{wide} alt="{html.escape(alt)}" src="data:image/png;base64,{code}">'


# ---------------------------------------------------------------------------------------------------------------------
# Parts of the page


def _lead(data: ReportData) -> str:
    shape = " × ".join(str(n) for n in data.image.shape)
    size = " × ".join(f"{d:g}" for d in data.image.spacing)
    parts = [*data.about, f"{shape} voxels of {size} µm (z, y, x)", f"{data.mesh.n_vertices:,} vertices"]
    if data.stop_reason:
        parts.append(f"stopped: {data.stop_reason.rstrip('.')}")
    return html.escape(" · ".join(parts))


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    lines = "\n".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return f'<div class="notes" role="note">\n{lines}\n</div>'


def _number(value: float) -> str:
    """Four digits, without an exponent where that reads well."""
    if not np.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}".rstrip(".")


def _explained(data: ReportData) -> float:
    try:
        inside = mesh_to_mask(data.mesh, data.image.grid)
        return r2(data.image.data, data.model, region_of_r2(inside, data.image.spacing))
    except CytoformError:  # an open surface, or one outside of the image
        return float("nan")


def _headline(data: ReportData) -> str:
    volume, area = abs(data.mesh.volume), data.mesh.area
    cells = [
        (_number(volume), "µm³", "volume"),
        (_number(area), "µm²", "area"),
        (f"{sphericity(volume, area):.3f}" if volume > 0 else "–", "", "sphericity"),
        (f"{_explained(data):.3f}".replace("nan", "–"), "", "R² within 1 µm of the cell"),
    ]
    if hasattr(data.psf, "fwhm"):
        z, y, x = data.psf.fwhm
        cells.append((f"{z:.2f}, {y:.2f}, {x:.2f}", "µm", "PSF FWHM (z, y, x)"))
    made = [
        f"<div><b>{html.escape(value)}{f' <small>{unit}</small>' if unit else ''}</b><span>{name}</span></div>"
        for value, unit, name in cells
    ]
    return '<div class="headline">\n' + "\n".join(made) + "\n</div>"


def _slices(data: ReportData) -> str:
    keys = "\n".join(
        f'<span><i style="--c: {colour}; --s: {style}"></i>{name}</span>'
        for name, colour, style in figures.legend_entries(data)
    )
    alt = "Slices across z, y and x of data, model and residual"
    return f"""<section class="slices">
<h2>Does the model match the image?</h2>
<div class="key">
{keys}
<label><input type="checkbox" id="contours" checked> show lines on the data</label>
</div>
<div class="swap">
{_picture(figures.slices_figure(data), alt + ", with the surface's contour on the data", "drawn")}
{_picture(figures.slices_figure(data, surfaces=False), alt, "bare")}
</div>
<p class="caption">Slices through the middle of the fitted surface, all at one scale; data and model share one grey
scale. A good fit leaves a residual without structure: a red or blue rim along the contour means that the surface lies
too far out or in, or that the PSF's width is wrong there.</p>
</section>"""


def _table(data: ReportData) -> str:
    rows = "\n".join(f"<tr><th>{html.escape(str(n))}</th><td>{html.escape(str(v))}</td></tr>" for n, v in data.table)
    meaning = f'\n<p class="caption">{html.escape(data.table_note)}</p>' if data.table_note else ""
    return f"<section>\n<h2>Numbers</h2>\n<table>\n{rows}\n</table>{meaning}\n</section>"


def _maps(data: ReportData) -> str:
    if not data.maps:
        return ""
    return f"""<section>
<h2>On the surface</h2>
{_picture(maps_figure(data.mesh, data.maps), "Maps on the surface from two sides: " + ", ".join(data.maps))}
<p class="caption">From one side and from the other.</p>
</section>"""


def _loss(data: ReportData) -> str:
    reason = f" The fit stopped: {html.escape(data.stop_reason.rstrip('.'))}." if data.stop_reason else ""
    return f"""<section>
<h2>Did it converge?</h2>
{_picture(figures.loss_figure(data), "Loss against steps")}
<p class="caption">Loss of each step. Shades mark the stages, from coarse to fine; each stage looks at finer detail, so
the curve may jump where one begins.{reason}</p>
</section>"""


def _psf(data: ReportData) -> str:
    return f"""<section>
<h2>Is the inferred PSF plausible?</h2>
{_picture(figures.psf_figure(data), "The point spread function: slices and profiles")}
<p class="caption">Point spread function, its maximum set to 1. Widths are full widths at half maximum; they include
whatever else blurs the membrane, such as its own thickness and motion.</p>
</section>"""


def _surface(data: ReportData) -> str:
    low, high = data.mesh.bounds
    z, y, x = high - low
    controls = ['<label><input type="checkbox" id="turning" checked> turn</label>',
                '<label><input type="checkbox" id="wires"> show mesh</label>']  # fmt: skip
    if data.truth is not None:
        controls.append('<label><input type="checkbox" id="truth"> show true surface</label>')
    axes = "\n".join(
        f'<line id="axis-{a}" x1="42" y1="42" x2="42" y2="42" stroke="{c}" stroke-width="2.5"/>'
        f'<text id="name-{a}" x="42" y="42" fill="{c}" font-size="12" font-weight="600" text-anchor="middle">{a}</text>'
        for a, c in _AXIS_COLOURS.items()
    )
    return f"""<section>
<h2>The surface</h2>
<div id="view">
<canvas tabindex="0" aria-label="The fitted surface in 3D; drag or use the arrow keys to turn it"></canvas>
<svg viewBox="0 0 84 84" aria-hidden="true">
{axes}
</svg>
{_picture(solid.surface_figure(data.mesh), "The fitted surface seen from one side")}
</div>
<div class="key" style="margin: 8px 0 0">
{" ".join(controls)}{_ramp(data.mesh)}
</div>
<p class="caption">{x:.1f} × {y:.1f} × {z:.1f} µm (x, y, z). Drag to rotate, turn the wheel to zoom.</p>
</section>"""


# ---------------------------------------------------------------------------------------------------------------------
# The turning surface


def _staining(mesh: SurfaceMesh) -> tuple[npt.NDArray[np.float64], float, float] | None:
    """Density at the vertices over its mean, with 5 % and 95 % of it; None where it is even."""
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
    return None if high - low < _EVEN else (values, *widened(low, high))


def _colours(mesh: SurfaceMesh) -> npt.NDArray[np.uint8]:
    """Colour of every vertex, (n, 3)."""
    found = _staining(mesh)
    if found is None:
        return np.tile(np.array(_COLOUR, dtype=np.uint8), (mesh.n_vertices, 1))
    import matplotlib

    values, low, high = found
    return matplotlib.colormaps["viridis"](np.clip((values - low) / (high - low), 0, 1), bytes=True)[:, :3]


def _ramp(mesh: SurfaceMesh) -> str:
    found = _staining(mesh)
    if found is None:
        return ""
    ramp = "linear-gradient(90deg, #440154, #3b528b, #21918c, #5ec962, #fde725)"
    bar = f'<b class="ramp" style="background: {ramp}"></b>'
    return f"\n<span>staining over its mean: {found[1]:.2f}{bar}{found[2]:.2f}</span>"


def _coarser(mesh: SurfaceMesh) -> SurfaceMesh:
    """A mesh with few enough faces for a page: vertices that share a cell of a grid become one."""
    mesh = mesh.without_unused_vertices()
    cell = 1.2 * float(np.sqrt(mesh.area / mesh.n_faces))
    while mesh.n_faces > _MOST_FACES:
        _, kept, name = np.unique(np.floor(mesh.vertices / cell), axis=0, return_index=True, return_inverse=True)
        faces = name.reshape(-1)[mesh.faces]
        good = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
        mesh = SurfaceMesh(mesh.vertices[kept], faces[good], mesh.density[good])
        cell *= 1.4
    return mesh


def _code(array: npt.NDArray[Any], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=dtype).tobytes()).decode("ascii")


def _geometry(mesh: SurfaceMesh, centre: npt.NDArray[np.float64]) -> dict[str, str]:
    points = (mesh.vertices.astype(np.float64) - centre)[:, ::-1]
    return {"points": _code(points, "<f4"), "faces": _code(mesh.faces, "<u4")}


def _script(data: ReportData) -> str:
    mesh = _coarser(data.mesh)
    centre = 0.5 * (mesh.bounds[0] + mesh.bounds[1])
    radius = float(np.linalg.norm(mesh.vertices - centre, axis=1).max())
    content: dict[str, Any] = {"yaw": solid.first_yaw(data.mesh), "tilt": solid.TILT, "radius": radius}
    content["fit"] = _geometry(mesh, centre) | {"colours": _code(_colours(mesh), "u1")}
    if data.truth is not None:
        content["truth"] = _geometry(_coarser(data.truth), centre)
    return (
        f'<script type="application/json" id="surface-data">{json.dumps(content)}</script>\n'
        f"<script>\n{_resource('viewer.js')}</script>\n"
        f"{browse_script(data)}\n<script>\n{_resource('browse.js')}</script>"
    )
