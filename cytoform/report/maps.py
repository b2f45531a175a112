"""Pictures of quantities on the surface (curvature, staining, standard error), from two sides."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from .._typing import Floats
from ..errors import ConfigError
from ..mesh.protocol import Mesh
from .figures import styled
from .surface_view import draw_surface, initial_yaw, view_axes

__all__ = ["maps_figure", "widened_range"]


MIN_HALF_RANGE = 0.1  # least half range of the colours, relative to the middle value
UPPER_PERCENTILE = 98.0  # percentile of the values with the last colour; the first is at 100 − 98


@styled
def maps_figure(mesh: Mesh, maps: Mapping[str, npt.ArrayLike]) -> Figure:
    """Draw quantities on a surface as colours, one column a quantity, seen from two opposite sides.

    Parameters
    ----------
    mesh : Mesh
        The surface, µm, (z, y, x).
    maps : mapping of str to (n_vertices,) float
        Label with unit, and a value for each vertex. Values of both signs get a diverging scale about 0.

    Returns
    -------
    Figure
        With a colour bar below each column.

    Raises
    ------
    ConfigError
        When there is no map, or one does not have a value for each vertex.
    """
    if not maps:
        raise ConfigError("no maps were given; expected at least one.")
    for name, values in maps.items():
        if np.shape(values) != (mesh.n_vertices,):
            raise ConfigError(f"the map {name!r} has shape {np.shape(values)}; expected ({mesh.n_vertices},).")
    figure = Figure(figsize=(3.3 * len(maps), 5.9), facecolor="white")
    for column, (name, values) in enumerate(maps.items()):
        colour_scale = _colour_scale(np.asarray(values, dtype=np.float64)[np.unique(mesh.faces)])
        left, width = column / len(maps), 1.0 / len(maps)
        for row, rotation in enumerate((0.0, np.pi)):
            axes = figure.add_axes((left, 0.57 - 0.43 * row, width, 0.42))
            colours = colour_scale.to_rgba(np.asarray(values)[mesh.faces].mean(axis=1))[:, :3]
            draw_surface(axes, mesh, view_axes(initial_yaw(mesh) + rotation), colours, ambient=0.7)
        bar = figure.add_axes((left + 0.12 * width, 0.095, 0.76 * width, 0.022))
        figure.colorbar(colour_scale, cax=bar, orientation="horizontal", extend="both").set_label(name, fontsize=9)
        bar.tick_params(labelsize=8.5)
    return figure


def _colour_scale(values: Floats) -> ScalarMappable:
    """Return a colour scale from the 2nd to the 98th percentile of values (n,), widened where these are nearly equal.

    Where both signs occur the scale is diverging (blue to red) and symmetric about 0.
    """
    low, high = widened_range(*np.percentile(values, (100.0 - UPPER_PERCENTILE, UPPER_PERCENTILE)))
    if low < 0 < high:
        most = max(-low, high)
        return ScalarMappable(Normalize(-most, most), colormaps["RdBu_r"])
    return ScalarMappable(Normalize(low, high), colormaps["viridis"])


def widened_range(low: float, high: float) -> tuple[float, float]:
    """Widen a range of values about its middle to at least a fifth of its middle's magnitude.

    Small differences then do not look large. At least 2e-9 wide; returned as (low, high).
    """
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    half = max(half, MIN_HALF_RANGE * abs(middle), 1e-9)
    return float(middle - half), float(middle + half)
