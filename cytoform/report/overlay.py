"""Figures of an image with points and lines that were found in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .._typing import Array, Floats
from ..image.volume import Grid, Volume
from .figures import FIT, grey_range, residual_range, styled

__all__ = ["projections_figure", "sources_figure"]

_AXES = "zyx"
_NEAR = 2.0  # voxels from a slice within which points and lines are drawn on it


@styled
def sources_figure(image: Volume, model: Array, points: Floats | None, lines: Sequence[Floats]) -> Figure:
    """Draw slices of data, model and residual across z, y and x through the model's brightest voxel.

    Parameters
    ----------
    image : Volume
        Measured image.
    model : (z, y, x) float
        Model of the image.
    points : (n, 3) float or None
        Points to draw on the data, µm.
    lines : sequence of (m, 3) float
        Polylines to draw on the data, µm.

    Returns
    -------
    Figure
        Three rows of three panels.
    """
    data = np.asarray(image.data, dtype=np.float64)
    planes = np.unravel_index(int(np.argmax(model)), model.shape)
    low, high = grey_range([data, model])
    most = residual_range(data - model)
    figure = Figure(figsize=(9.6, 9.0))
    figure.subplots_adjust(left=0.06, right=0.99, bottom=0.05, top=0.97, wspace=0.22, hspace=0.28)
    panels = figure.subplots(3, 3)
    for axis in range(3):
        at = int(planes[axis])
        for column, (values, title) in enumerate([(data, "data"), (model, "model"), (data - model, "residual")]):
            panel = panels[axis, column]
            limits = (-most, most) if column == 2 else (low, high)
            _show(panel, values.take(at, axis=axis), image.grid, axis, limits, "RdBu_r" if column == 2 else "gray")
            panel.set_title(f"{title}, {_AXES[axis]} = {image.grid.coordinates()[axis][at]:.2f} µm")
        _draw(panels[axis, 0], points, lines, axis, image.grid, at)
    return figure


@styled
def projections_figure(image: Volume, model: Array, points: Floats | None, lines: Sequence[Floats]) -> Figure:
    """Draw the brightest voxel along z, y and x, and all points and lines.

    Parameters
    ----------
    image : Volume
        Measured image.
    model : (z, y, x) float
        Not used; the figures take the same arguments.
    points : (n, 3) float or None
        Points to draw, µm.
    lines : sequence of (m, 3) float
        Polylines to draw, µm.

    Returns
    -------
    Figure
        Three panels.
    """
    data = np.asarray(image.data, dtype=np.float64)
    figure = Figure(figsize=(9.6, 3.6))
    figure.subplots_adjust(left=0.06, right=0.99, bottom=0.12, top=0.92, wspace=0.22)
    for axis, panel in enumerate(figure.subplots(1, 3)):
        values = data.max(axis=axis)
        _show(panel, values, image.grid, axis, grey_range([values]), "gray")
        _draw(panel, points, lines, axis, image.grid, None)
        panel.set_title(f"along {_AXES[axis]}")
    return figure


def _show(
    panel: Axes, values: Floats, grid: Grid, axis: int, limits: tuple[float, float], colours: str
) -> None:  # fmt: skip
    """Show a 2D image (rows, columns) whose axes are those of the grid without `axis`, in µm."""
    first, second = [a for a in range(3) if a != axis]
    low, high = grid.to_um(np.full(3, -0.5)), grid.to_um(np.asarray(grid.shape) - 0.5)
    extent = (low[second], high[second], high[first], low[first])
    panel.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1], extent=extent, interpolation="nearest")
    panel.set_xlabel(f"{_AXES[second]}, µm")
    panel.set_ylabel(f"{_AXES[first]}, µm")


def _draw(
    panel: Axes, points: Floats | None, lines: Sequence[Floats], axis: int, grid: Grid, plane: int | None
) -> None:
    """Draw points and lines, only those near a plane of voxels unless it is None."""
    first, second = [a for a in range(3) if a != axis]
    place = None if plane is None else grid.coordinates()[axis][plane]
    for line in lines:
        shown = np.array(line, dtype=np.float64)
        if place is not None:
            shown[np.abs(shown[:, axis] - place) > _NEAR * grid.spacing[axis]] = np.nan
        panel.plot(shown[:, second], shown[:, first], "-", color=FIT, linewidth=0.9)
    if points is not None and len(points):
        shown = points if place is None else points[np.abs(points[:, axis] - place) <= _NEAR * grid.spacing[axis]]
        panel.plot(shown[:, second], shown[:, first], "o", mfc="none", color=FIT, markersize=5.0, markeredgewidth=0.8)
