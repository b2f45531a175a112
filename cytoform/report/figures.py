"""Figures of a report, each a :class:`matplotlib.figure.Figure` without global state."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib import patheffects, rc_context, rcParamsDefault
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .._typing import Array, Floats, Ints
from ..image.volume import Grid, Volume
from ..mesh import geometry
from ..mesh.protocol import Mesh
from ..optics import PSF
from .data import ReportData

__all__ = ["Window", "contours", "grey_range", "loss_figure", "outlines", "psf_figure", "psf_profile", "residual_range",
           "slices_figure", "styled", "window"]  # fmt: skip


# Okabe and Ito's colours, which readers with colour-vision deficiency can tell apart.
FIT, TRUTH, START, ROI = "#E69F00", "#56B4E9", "#F0E442", "#CC79A7"
INK, FAINT = "#1d2733", "#8a96a3"
PROFILE = {"z": "#0072B2", "y": "#D55E00", "x": "#009E73"}
_AXES = "zyx"
P = ParamSpec("P")
T = TypeVar("T")
_WIDTH = 10.4  # inches, of the figure of slices
_STAGE_SHADE = ("#eef2f6", "#dfe7ee")
_STYLE = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "svg.fonttype": "path",
    "path.simplify": False,
}


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function so that it draws in the report's style, whatever the user's matplotlibrc says.

    The style is matplotlib's defaults with the report's colours and sizes of type. The user's settings are as before
    when the function returns.
    """

    @functools.wraps(draw)
    def styled_draw(*args: P.args, **options: P.kwargs) -> T:
        base: dict[Any, Any] = {
            k: v for k, v in rcParamsDefault.items() if not k.startswith(("backend", "interactive"))
        }
        settings: dict[Any, Any] = {**base, **_STYLE}
        with rc_context(settings):
            return draw(*args, **options)

    return styled_draw


# ---------------------------------------------------------------------------------------------------------------------
# Where a plane cuts a mesh


def _plane_crossings(mesh: Mesh, axis: int, position: float) -> tuple[Floats, Ints]:
    """Cut the faces of a mesh by the plane at `position` (µm) on `axis`.

    Returns
    -------
    segments : (n, 2, 2) float64
        Two end points for each face that is cut, with their coordinates on the other two axes in µm, (z, y, x) order.
    edges : (n, 2) int64
        A number for the mesh edge that each end point lies on: equal numbers are the same point.
    """
    points = mesh.vertices.astype(np.float64)
    height = points[:, axis] - position
    above = height >= 0.0  # a vertex on the plane counts as above, so each face is cut at two edges or none
    sides = above[mesh.faces]
    faces = mesh.faces[sides.any(axis=1) & ~sides.all(axis=1)]
    ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1)  # (n, 3 edges, 2 ends)
    ends.sort(axis=-1)  # both faces of an edge compute the same point
    cut = ends[above[ends[..., 0]] != above[ends[..., 1]]]  # (2 n, 2)
    low, high = height[cut[:, 0]], height[cut[:, 1]]
    weight = (low / (low - high))[:, None]
    found = (1.0 - weight) * points[cut[:, 0]] + weight * points[cut[:, 1]]
    rest = [a for a in range(3) if a != axis]
    return found[:, rest].reshape(-1, 2, 2), (cut[:, 0] * mesh.n_vertices + cut[:, 1]).reshape(-1, 2)


def contours(mesh: Mesh, axis: int, position: float) -> Floats:
    """Return the segments in which a plane cuts a surface, one for each face that it cuts.

    Parameters
    ----------
    mesh : Mesh
        The surface, µm, (z, y, x).
    axis : int
        0, 1 or 2 for a plane across z, y or x.
    position : float
        Position of the plane on that axis, µm.

    Returns
    -------
    (n_segments, 2, 2) float64
        Two end points each, µm, with their coordinates on the two other axes in the order (z, y, x).
    """
    return _plane_crossings(mesh, axis, position)[0]


def outlines(mesh: Mesh, axis: int, position: float) -> list[Floats]:
    """Return the outlines of a surface in a plane: the segments of :func:`contours` joined to polygonal lines.

    `axis` is 0, 1 or 2 for a plane across z, y or x at `position` µm. Each line is an array (n, 2) in µm, with
    coordinates on the other two axes; closed lines end at the point where they begin.
    """
    segments, edges = _plane_crossings(mesh, axis, position)
    segments_at: dict[int, list[int]] = {}
    for number, pair in enumerate(edges.tolist()):
        for edge in pair:
            segments_at.setdefault(edge, []).append(number)
    unused, lines = set(range(len(segments))), []
    # Segments with a loose end come first, so that lines of an open surface begin at its rim.
    loose = [n for found in segments_at.values() if len(found) == 1 for n in found]
    for first in [*loose, *range(len(segments))]:
        if first in unused:
            lines.append(np.array(list(_follow_segments(first, segments, edges, segments_at, unused))))
    return lines


def _follow_segments(
    first: int, segments: Floats, edges: Ints, segments_at: dict[int, list[int]], unused: set[int]
) -> Iterator[Floats]:
    """Yield the points (2,) of one polygonal line, from segment to segment as long as one shares the last point.

    Parameters
    ----------
    first : int
        Index of the segment to begin with; the line begins at its loose end, if it has one.
    segments : (n, 2, 2) float64
        End points of all segments, µm.
    edges : (n, 2) int
        A number for each end point, equal for end points that coincide.
    segments_at : dict of int to list of int
        Segments that have an end point of that number.
    unused : set of int
        Segments that no line has taken yet; those of this line are removed.
    """
    side = 0 if len(segments_at[int(edges[first, 0])]) == 1 else 1 if len(segments_at[int(edges[first, 1])]) == 1 else 0
    yield segments[first, side]
    here: int | None = first
    while here is not None:
        unused.discard(here)
        yield segments[here, 1 - side]
        edge = int(edges[here, 1 - side])
        here = next((n for n in segments_at[edge] if n in unused), None)
        if here is not None:
            side = 0 if int(edges[here, 0]) == edge else 1


# ---------------------------------------------------------------------------------------------------------------------
# Slices


@dataclasses.dataclass(frozen=True)
class Window:
    """Part of an image around a surface, and three orthogonal planes through it.

    Parameters
    ----------
    box : (slice, slice, slice)
        Voxels of the part in the whole image, (z, y, x).
    planes : (int, int, int)
        Index of the slice across z, y and x, in the whole image.
    grid : Grid
        Grid of the part.
    """

    box: tuple[slice, slice, slice]
    planes: tuple[int, int, int]
    grid: Grid

    def slice_of(self, array: Array, axis: int) -> Array:
        """Return the slice of an array of the whole image (z, y, x) across `axis`, cropped to the window, 2D."""
        index: list[Any] = list(self.box)
        index[axis] = self.planes[axis]
        return np.asarray(array[tuple(index)])

    def extent(self, axis: int) -> tuple[float, float, float, float]:
        """Return left, right, bottom and top of the slice across `axis` in µm, for imshow: rows run downwards.

        These are the outer edges of its voxels.
        """
        low = np.asarray(self.grid.origin) - 0.5 * np.asarray(self.grid.spacing)
        high = low + np.asarray(self.grid.extent)
        v, h = (a for a in range(3) if a != axis)
        return float(low[h]), float(high[h]), float(high[v]), float(low[v])

    def position(self, axis: int) -> float:
        """Return the position of the plane across `axis`, µm."""
        return float(self.grid.origin[axis] + (self.planes[axis] - self.box[axis].start) * self.grid.spacing[axis])


def window(data: ReportData) -> Window:
    """Return the part of the image around all surfaces of a report, with planes through the fitted surface's centroid.

    The margin around the bounding box of fitted, starting and true surface is a quarter of its longest side, at least 1
    µm.
    """
    grid = data.image.grid
    meshes = [m for m in (data.mesh, data.start, data.truth) if m is not None]
    low = np.min([m.bounds[0] for m in meshes], axis=0)
    high = np.max([m.bounds[1] for m in meshes], axis=0)
    margin = np.maximum(0.25 * (high - low).max(), 1.0)
    shape = np.asarray(grid.shape)
    start = np.clip(np.floor(grid.to_index(low - margin)).astype(int), 0, np.maximum(shape - 2, 0))
    stop = np.clip(np.ceil(grid.to_index(high + margin)).astype(int) + 1, start + 1, shape)
    centre = geometry.surface_centroid(data.mesh.vertices, data.mesh.faces)
    planes = np.clip(np.rint(grid.to_index(centre)).astype(int), start, stop - 1)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(start, stop))
    at_z, at_y, at_x = (int(p) for p in planes)
    return Window((z, y, x), (at_z, at_y, at_x), grid.crop(start.tolist(), stop.tolist()))


def _round_length(length: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is at most `length`."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(power * max(n for n in (1, 2, 5) if n * power <= length * (1 + 1e-9)))


def _scale_bar(axes: Axes, extent: tuple[float, float, float, float]) -> None:
    """Draw a scale bar with its length in µm at the lower right of a panel, about 30 % of the panel's width or less.

    `extent` is left, right, bottom and top of the panel in µm.
    """
    left, right, bottom, top = extent
    length = _round_length(0.3 * (right - left))
    x, y = right - 0.05 * (right - left) - length, bottom - 0.07 * (bottom - top)  # lower right of the panel
    style: dict[str, Any] = {"solid_capstyle": "butt", "gid": "scale-bar"}
    axes.plot([x, x + length], [y, y], color="black", linewidth=4.5, **style)
    axes.plot([x, x + length], [y, y], color="white", linewidth=2.8, **style)
    text = axes.text(x + length / 2, y - 0.02 * (bottom - top), f"{length:g} µm", color="white", fontsize=8)
    text.set(ha="center", va="bottom", path_effects=_text_outline())


def _text_outline() -> list[Any]:
    """Return matplotlib path effects that give white text a black outline."""
    return [patheffects.withStroke(linewidth=2.0, foreground="black")]


def _draw_surfaces(axes: Axes, data: ReportData, view: Window, axis: int) -> None:
    """Draw the outlines of starting, true and fitted surface and the region of interest on the slice across `axis`.

    `view` has the position of the slice; what the report does not have is left out.
    """
    surfaces = ((data.start, START, 0.9, "--"), (data.truth, TRUTH, 1.3, "-"), (data.mesh, FIT, 1.3, "-"))
    for mesh, colour, width, style in surfaces:
        if mesh is not None:
            lines = [line[:, ::-1] for line in outlines(mesh, axis, view.position(axis))]
            axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, linestyles=style))
    if data.roi is not None:
        _draw_region(axes, view.slice_of(data.roi, axis), view.extent(axis))


def _draw_region(axes: Axes, inside: Array, extent: tuple[float, float, float, float]) -> None:
    """Draw the border of a region as a dotted line.

    Nothing is drawn where all or none of the slice is inside, or it is only one voxel wide.

    Parameters
    ----------
    axes : Axes
        Axes to draw on.
    inside : (n, m) bool
        Slice of the region.
    extent : (float, float, float, float)
        Left, right, bottom and top of the slice, µm.
    """
    if inside.all() or not inside.any() or min(inside.shape) < 2:
        return
    left, right, bottom, top = extent
    ny, nx = inside.shape
    y = top + (np.arange(ny) + 0.5) * (bottom - top) / ny
    x = left + (np.arange(nx) + 0.5) * (right - left) / nx
    axes.contour(x, y, inside.astype(float), levels=[0.5], colors=ROI, linewidths=1.2, linestyles=":")


def grey_range(parts: list[Array]) -> tuple[float, float]:
    """Return the intensities to show black and white: the 0.5 and 99.8 percentiles of all arrays together, without NaN.

    Half a unit is added on both sides where the two are equal.
    """
    values = np.concatenate([np.asarray(p, dtype=np.float64).ravel() for p in parts])
    low, high = np.nanpercentile(values, [0.5, 99.8])
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def residual_range(residual: Array) -> float:
    """Return half of a symmetric colour range for a residual: the 99.5 percentile of its magnitude (1 if that is 0)."""
    return float(np.nanpercentile(np.abs(residual), 99.5)) or 1.0


def _layout(view: Window) -> tuple[Figure, Floats]:
    """Make the figure of slices, with panels in 3 rows (planes) and 3 columns and two axes for colour bars.

    All panels have the same scale in µm, so that rows differ in height. Return the figure and its 11 axes: the nine
    panels row by row, then the bars for intensities and for the residual.
    """
    extents = [view.extent(a) for a in range(3)]
    widths = np.array([right - left for left, right, _, _ in extents])
    heights = np.array([bottom - top for _, _, bottom, top in extents])
    margin_left, margin_right, gap, top, bottom, between = 0.62, 0.15, 0.16, 0.36, 1.1, 0.56  # inches
    column = (_WIDTH - margin_left - margin_right - 2 * gap) / 3
    scale = min(column / widths.max(), 9.0 / heights.sum())
    total = top + bottom + 2 * between + scale * heights.sum()
    figure = Figure(figsize=(_WIDTH, total), facecolor="white")
    panels = np.empty((3, 3), dtype=object)
    y = total - top
    for row in range(3):
        y -= scale * heights[row]
        for k in range(3):
            x = margin_left + k * (column + gap) + 0.5 * (column - scale * widths[row])
            box = (x / _WIDTH, y / total, scale * widths[row] / _WIDTH, scale * heights[row] / total)
            panels[row, k] = figure.add_axes(box)
        y -= between
    bars = [
        figure.add_axes((x / _WIDTH, 0.48 / total, width / _WIDTH, 0.1 / total))
        for x, width in ((margin_left + 0.5 * column, column + gap), (margin_left + 2 * (column + gap), column))
    ]
    return figure, np.array([*panels.ravel(), *bars], dtype=object)


@styled
def slices_figure(data: ReportData, *, surfaces: bool = True) -> Figure:
    """Draw three orthogonal slices (rows: across z, y, x) of data, model and residual (columns), all at one scale.

    Parameters
    ----------
    data : ReportData
        Content of the report.
    surfaces : bool
        Draw the surfaces' contours (and the outline of the region of interest) on the data.

    Returns
    -------
    Figure
        Data and model share one grey scale; the residual, data − model, has a symmetric one.
    """
    view = window(data)
    figure, axes = _layout(view)
    panels, bars = axes[:9].reshape(3, 3), axes[9:]
    raw = [view.slice_of(data.masked_image, a).astype(np.float64) for a in range(3)]
    model = [view.slice_of(data.model, a).astype(np.float64) for a in range(3)]
    low, high = grey_range(raw)
    limit = residual_range(np.concatenate([(r - m).ravel() for r, m in zip(raw, model)]))
    for axis in range(3):
        extent = view.extent(axis)
        grey = {"cmap": "gray", "vmin": low, "vmax": high}
        signed = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        for panel, part, how in zip(
            panels[axis], (raw[axis], model[axis], raw[axis] - model[axis]), (grey, grey, signed)
        ):
            picture = panel.imshow(part, extent=extent, interpolation="nearest", aspect="equal", **how)
            _label_panel(panel, axis, first=panel is panels[axis, 0])
            bar = bars[1] if how is signed else bars[0]
            if axis == 0 and panel is not panels[0, 1]:
                figure.colorbar(picture, cax=bar, orientation="horizontal", extend="both")
        _scale_bar(panels[axis, 0], extent)
        panels[axis, 0].text(0.03, 0.97, f"{_AXES[axis]} = {view.position(axis):.1f} µm", color="white", fontsize=8,
                             transform=panels[axis, 0].transAxes, va="top", path_effects=_text_outline())  # fmt: skip
        if surfaces:
            _draw_surfaces(panels[axis, 0], data, view, axis)
        panels[axis, 0].set(xlim=extent[:2], ylim=extent[2:])
    for panel, title in zip(panels[0], ("data", "model", "residual (data − model)")):
        panel.set_title(title, fontweight="bold")
    bars[0].set_xlabel("intensity (data and model)", fontsize=8.5)
    bars[1].set_xlabel("residual", fontsize=8.5)
    for bar in bars:
        bar.tick_params(labelsize=8)
        bar.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def _label_panel(panel: Axes, axis: int, *, first: bool) -> None:
    """Label the axes of a slice across `axis` with their names and µm.

    Only panels of the left column (`first`) have labels and numbers on the vertical axis.
    """
    vertical, horizontal = (a for a in _AXES if a != _AXES[axis])
    panel.set_xlabel(f"{horizontal} (µm)", labelpad=1)
    panel.tick_params(labelsize=8, length=2.5)
    panel.xaxis.set_major_locator(MaxNLocator(5))
    panel.yaxis.set_major_locator(MaxNLocator(4))
    if first:
        panel.set_ylabel(f"{vertical} (µm)", labelpad=2)
    else:
        panel.set_yticklabels([])


def legend_entries(data: ReportData) -> list[tuple[str, str, str]]:
    """Return name, colour and CSS border style of each line on the data.

    These are the fitted surface, and true surface, start and region of interest where the report has them.
    """
    entries = [("fitted surface", FIT, "solid")]
    entries += [("true surface", TRUTH, "solid")] if data.truth is not None else []
    entries += [("start", START, "dashed")] if data.start is not None else []
    entries += [("region of interest", ROI, "dotted")] if data.roi is not None else []
    return entries


# ---------------------------------------------------------------------------------------------------------------------
# Loss


def _history_column(data: ReportData, name: str, n: int) -> Array | None:
    """Return a column of the history with n rows as an array; None where it is missing or has another length."""
    values = data.history.get(name)
    return None if values is None or len(values) != n else np.asarray(values)


def _step_kinds(data: ReportData, n: int) -> Array:
    """Return the kind of each of n steps, "shape" or "psf", (n,) str; all "shape" where the history has none."""
    kinds = _history_column(data, "kind", n)
    if kinds is None:
        return np.full(n, "shape")
    return np.array([k.decode() if isinstance(k, bytes) else str(k) for k in kinds.tolist()])


@styled
def loss_figure(data: ReportData) -> Figure:
    """Draw the loss against steps on a logarithmic scale, one line for each kind of step, with stages shaded.

    Steps whose loss is not finite and positive are left out; an empty history gives a figure that says so.

    Parameters
    ----------
    data : ReportData
        Content of the report; only its history is used.

    Returns
    -------
    Figure
        5.2 × 4.0 inches.
    """
    loss = np.asarray(data.history.get("loss", ()), dtype=np.float64)
    steps = np.arange(1, len(loss) + 1)
    figure = Figure(figsize=(5.2, 4.0), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    kinds, good = _step_kinds(data, len(loss)), np.isfinite(loss) & (loss > 0)
    names = {"shape": ("shape steps", "#0072B2"), "psf": ("PSF steps", "#D55E00")}
    for kind in dict.fromkeys(kinds.tolist()):
        which = good & (kinds == kind)
        label, colour = names.get(kind, (kind, INK))
        marker = "." if which.sum() < 3 else ""
        axes.plot(steps[which], loss[which], color=colour, label=label, linewidth=1.4, marker=marker)
    if good.any():
        axes.set_yscale("log")
    _shade_stages(axes, _history_column(data, "stage", len(loss)), steps)
    axes.set(xlabel="step", ylabel="loss", xlim=(0.5, max(1.5, len(loss) + 0.5)))
    axes.grid(True, which="major", axis="y", color="#d5dce3", linewidth=0.6)
    if len(set(kinds.tolist())) > 1:
        axes.legend(frameon=False, fontsize=8.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if not len(loss):
        axes.text(0.5, 0.5, "no steps were made", transform=axes.transAxes, ha="center")
    return figure


def _shade_stages(axes: Axes, stages: Array | None, steps: Array) -> None:
    """Shade the background of each run of steps with equal stage, in two alternating greys, and number the stages.

    "stage k" is written above runs of more than 4 % of the steps, and only where there are at most 11 runs. `stages`
    (n,) has the stage of each step, from 0; None shades nothing. `steps` (n,) are the positions on the horizontal axis.
    """
    if stages is None or not len(stages):
        return
    changes = np.flatnonzero(np.diff(np.asarray(stages, dtype=np.float64)) != 0) + 1
    bounds = [0, *changes.tolist(), len(stages)]
    for number, (begin, end) in enumerate(itertools.pairwise(bounds)):
        axes.axvspan(steps[begin] - 0.5, steps[end - 1] + 0.5, color=_STAGE_SHADE[number % 2], zorder=0, lw=0)
        if len(bounds) <= 12 and end - begin > 0.04 * len(stages):
            middle = 0.5 * (steps[begin] + steps[end - 1])
            axes.text(middle, 1.01, f"stage {int(stages[begin]) + 1}", transform=axes.get_xaxis_transform(),
                      ha="center", va="bottom", fontsize=8, color="#5b6875")  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Point spread function

_PSF_SAMPLES = 64


def _psf_volume(psf: PSF) -> Volume:
    """Sample a PSF in space on 64³ voxels, by inverse Fourier transform of its OTF.

    Its maximum is scaled to 1, its centre lies at the origin, and the box ends where the PSF's ``reach()`` does.
    """
    half_width = np.maximum(np.asarray(psf.reach(), dtype=np.float64), 1e-6)
    grid = Grid((_PSF_SAMPLES,) * 3, tuple(2.0 * half_width / _PSF_SAMPLES))
    otf = np.array(psf.otf(grid))
    for axis in range(2):  # the Nyquist frequency has no conjugate partner and is set to zero
        np.moveaxis(otf, axis, 0)[_PSF_SAMPLES // 2] = 0
    otf[..., -1] = 0
    data = np.fft.fftshift(np.fft.irfftn(otf, grid.shape, axes=(0, 1, 2)))
    z, y, x = (-_PSF_SAMPLES // 2 * d for d in grid.spacing)
    return Volume(data / data.max(), grid.spacing, (z, y, x))


def psf_profile(psf: PSF, axis: int, *, volume: Volume | None = None) -> tuple[Floats, Floats, float]:
    """Return the profile of a PSF along one axis, and its full width at half maximum.

    It follows from the PSF's formula where there is one, else from samples on a line through the brightest voxel.

    Parameters
    ----------
    psf : PSF
        Point spread function.
    axis : int
        0, 1 or 2 for z, y or x.
    volume : Volume, optional
        The PSF sampled in space, to save sampling it again; only used where there is no formula.

    Returns
    -------
    positions : (n,) float64
        Distance from the centre, µm.
    values : (n,) float64
        Profile with maximum 1.
    width : float
        Full width at half maximum, µm.
    """
    found, width = psf.profile(axis), float(psf.fwhm[axis])
    if found is None:
        volume = _psf_volume(psf) if volume is None else volume
        index: list[Any] = list(np.unravel_index(int(np.argmax(volume.data)), volume.shape))
        index[axis] = slice(None)
        found = volume.grid.coordinates()[axis], volume.data[tuple(index)]
    return *found, width


@styled
def psf_figure(data: ReportData) -> Figure:
    """Draw the PSF in slices across z and y, and its profiles along z, y, x with their full widths at half maximum.

    Parameters
    ----------
    data : ReportData
        Content of the report; only its PSF is used.

    Returns
    -------
    Figure
        5.2 × 4.0 inches.
    """
    volume = _psf_volume(data.psf)
    centre = [int(i) for i in np.unravel_index(int(np.argmax(volume.data)), volume.shape)]
    figure = Figure(figsize=(5.2, 4.0), facecolor="white", layout="constrained")
    cells = figure.add_gridspec(2, 2, height_ratios=(1.2, 1))
    panels = [figure.add_subplot(cells[0, 0]), figure.add_subplot(cells[0, 1]), figure.add_subplot(cells[1, :])]
    half_width = 0.5 * max(volume.grid.extent)
    grid = volume.grid
    for panel, axis in zip(panels, (0, 1)):
        vertical, horizontal = (a for a in range(3) if a != axis)
        low = np.asarray(grid.origin) - 0.5 * np.asarray(grid.spacing)
        high = low + np.asarray(grid.extent)
        extent = (low[horizontal], high[horizontal], high[vertical], low[vertical])
        panel.imshow(np.take(volume.data, centre[axis], axis=axis), extent=extent, cmap="viridis", vmin=0, vmax=1)
        panel.set(xlabel=f"{_AXES[horizontal]} (µm)", ylabel=f"{_AXES[vertical]} (µm)", facecolor="#440154")
        panel.set(xlim=(-half_width, half_width), ylim=(half_width, -half_width))
        panel.set_title(f"slice in {_AXES[horizontal]} and {_AXES[vertical]}")
    for axis in range(3):
        box, values, width = psf_profile(data.psf, axis, volume=volume)
        label = f"{_AXES[axis]}: {width:.2f} µm" if np.isfinite(width) else f"{_AXES[axis]}: not within view"
        style = ("-", "-", "--")[axis]
        panels[2].plot(box, values, style, color=PROFILE[_AXES[axis]], linewidth=1.5, label=label)
    panels[2].axhline(0.5, color=FAINT, linewidth=0.7, linestyle=":")
    bottom = min(0.0, panels[2].get_ylim()[0])
    panels[2].set(
        xlabel="distance from the centre (µm)", ylabel="profile", xlim=(-half_width, half_width), ylim=(bottom, 1.05)
    )
    panels[2].legend(title="FWHM", frameon=False, fontsize=8.5, title_fontsize=8.5, loc="upper right", handlelength=1.3)
    for side in ("top", "right"):
        panels[2].spines[side].set_visible(False)
    return figure
