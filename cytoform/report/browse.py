"""The part of the report that shows all slices of data, model and residual, one at a time, with a slider."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from PIL import Image

from .._typing import Array
from .data import ReportData
from .drawing import matplotlib
from .figures import grey_range, outlines, residual_range, window
from .frame import base64_text, caption, section

__all__ = ["browse_html", "browse_script"]

MAX_VOXELS = 1_200_000  # shown of the window around the surface; of larger windows every k-th voxel and slice


def browse_html(data: ReportData) -> str:
    """Return the HTML section with the slider, three empty canvases and a caption on the grey scale and colours.

    :func:`browse_script` returns the content of the canvases.
    """
    shown = """<div class="key"><label for="slice">slice along z</label>
<input type="range" id="slice" min="0" value="0" step="1"><output id="slice-at" for="slice"></output>
<label><input type="checkbox" id="slice-line" checked> show the surface</label></div>
<div class="panels">
<figure><canvas id="slice-data" aria-label="Data in this slice"></canvas><figcaption>data</figcaption></figure>
<figure><canvas id="slice-model" aria-label="Model in this slice"></canvas><figcaption>model</figcaption></figure>
<figure><canvas id="slice-residual" aria-label="Residual in this slice"></canvas>
<figcaption>residual (data − model)</figcaption></figure>
</div>"""
    text = (
        "Data and model share one grey scale, from {low:.5g} to {high:.5g}; the residual is blue at {less:.3g} and red "
        "at {most:.3g}. Move the slider, or use the arrow keys on it."
    )
    return section("Slice by slice", shown, caption(text.format(**_ranges(data))), name="browse")


def browse_script(data: ReportData) -> str:
    """Return the content of the slider as an HTML script element that holds JSON.

    It has three mosaics of slices along z (data and model grey, the residual data − model blue to red, each a PNG in
    base64), the surface's outline in each slice, the slices' positions in µm, and the slice to show first, the one
    nearest to the surface's centroid. Where the window around the surface has more than ``MAX_VOXELS`` voxels, only
    every k-th voxel and slice is kept.
    """
    view = window(data)
    stride = int(np.ceil((np.prod(view.grid.shape) / MAX_VOXELS) ** (1.0 / 3.0)))
    box = tuple(slice(s.start, s.stop, stride) for s in view.box)
    measured, model = (np.asarray(a[box], dtype=np.float64) for a in (data.masked_image, data.model))
    ranges = _ranges(data)
    low, high, most = ranges["low"], ranges["high"], ranges["most"]
    shown = (np.nan_to_num(part, nan=low) for part in (measured, model))
    grey = [np.clip(255.0 * (part - low) / (high - low), 0, 255).astype(np.uint8) for part in shown]
    colour_map = matplotlib.colormaps["RdBu_r"].with_extremes(bad="#c8c8c8")
    colours = colour_map(np.clip(0.5 + 0.5 * (measured - model) / most, 0, 1), bytes=True)[..., :3]
    nz, ny, nx = measured.shape
    places = [view.grid.origin[0] + k * stride * view.grid.spacing[0] for k in range(nz)]
    content = {
        "shape": [nz, ny, nx],
        "columns": _mosaic_columns(nz, ny, nx),
        "size": [view.grid.spacing[1] * stride, view.grid.spacing[2] * stride],
        "places": [round(z, 4) for z in places],
        "first": int(np.argmin(np.abs(np.asarray(places) - view.position(0)))),
        "data": _mosaic_png(grey[0]),
        "model": _mosaic_png(grey[1]),
        "residual": _mosaic_png(colours),
        "lines": [_slice_outlines(data, view.grid.origin, view.grid.spacing, stride, z) for z in places],
    }
    return f'<script type="application/json" id="slice-content">{json.dumps(content)}</script>'


def _ranges(data: ReportData) -> dict[str, float]:
    """Return the limits of the grey scale and of the residual's colours, in units of intensity.

    Keys are ``low`` (black) and ``high`` (white), from percentiles of the data in the window, and ``less`` and
    ``most``, the residuals shown in full blue and full red (``less`` = −``most``).
    """
    box = window(data).box
    measured, model = (np.asarray(a[box], dtype=np.float64) for a in (data.masked_image, data.model))
    (low, high), most = grey_range([measured]), residual_range(measured - model)
    return {"low": low, "high": high, "less": -most, "most": most}


def _slice_outlines(data: ReportData, origin: Any, spacing: Any, stride: int, z: float) -> list[list[float]]:
    """Return the outline of the surface in one slice as lines, each a flat list x, y, x, y, ...

    Parameters
    ----------
    data : ReportData
        Content of the report.
    origin : (3,) float
        Centre of the window's first voxel, µm.
    spacing : (3,) float
        Voxel size, µm.
    stride : int
        Every how many voxels one is shown; coordinates count shown voxels from the corner of the first one.
    z : float
        Position of the slice, µm.
    """
    found = []
    for line in outlines(data.mesh, 0, z):
        place = (line - np.asarray(origin)[1:]) / (np.asarray(spacing)[1:] * stride) + 0.5
        found.append(np.round(place[:, ::-1].ravel(), 2).tolist())
    return found


def _mosaic_columns(n: int, ny: int, nx: int) -> int:
    """Return how many of n slices of (ny, nx) pixels to put side by side so that the mosaic is about square.

    It is √(n ny / nx), rounded, and at least 1 and at most n.
    """
    return max(1, min(n, round(float(np.sqrt(n * ny / nx)))))


def _mosaic_png(stack: Array) -> str:
    """Put slices (n, y, x) or (n, y, x, 3), uint8, into one mosaic, row by row, and return it as PNG in base64.

    A row has as many slices as :func:`_mosaic_columns` gives; the end of the last row is black.
    """
    n, ny, nx = stack.shape[:3]
    columns = _mosaic_columns(n, ny, nx)
    rows = -(-n // columns)
    wide = np.zeros((rows * columns, *stack.shape[1:]), dtype=np.uint8)
    wide[:n] = stack
    wide = np.moveaxis(wide.reshape(rows, columns, *stack.shape[1:]), 1, 2)
    buffer = io.BytesIO()
    Image.fromarray(wide.reshape(rows * ny, columns * nx, *stack.shape[3:])).save(buffer, format="png", optimize=True)
    return base64_text(buffer.getvalue())
