"""The report of a fit of points or filaments: slices and projections with what was found drawn over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._typing import Floats
from ...atomic import write_text

if TYPE_CHECKING:
    from .result import SourcesResult

__all__ = ["write_page"]

_SHOWN = 200  # rows of the table


def write_page(
    path: Path,
    result: SourcesResult,
    headline: Sequence[tuple[str, str, str]],
    *,
    points: Floats | None = None,
    lines: Sequence[Floats] = (),
) -> None:
    """Write a report as one HTML page that opens offline.

    Parameters
    ----------
    path : Path
        File to write.
    result : SourcesResult
        The result.
    headline : sequence of (str, str, str)
        Numbers on top: value, unit and name.
    points : (n, 3) float64, optional
        Points to draw, µm.
    lines : sequence of (m, 3) float64
        Polylines to draw, µm.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    from ...report import frame
    from ...report.overlay import projections_figure, sources_figure

    parts = (result.image, result.model.data, points, lines)
    table = result.table()  # type: ignore[attr-defined]
    rows = [[_cell(value) for value in row] for row in table[:_SHOWN].tolist()]
    names = list(table.dtype.names or ())
    words = [k for k, name in enumerate(names) if table.dtype[name].kind == "U"]
    more = f"The first {_SHOWN} of {len(table)} rows." if len(table) > _SHOWN else "± NAME_se is one standard error."
    shape = " × ".join(str(n) for n in result.image.shape)
    size = " × ".join(f"{d:g}" for d in result.image.spacing)
    body = [
        frame.notes_box(result.warnings()),
        frame.headline(headline),
        frame.section(
            "Does the model match the image?",
            frame.picture(sources_figure(*parts), "Slices of data, model and residual across z, y and x"),
            frame.caption("Slices through the brightest light, with what lies near them drawn on the data."),
        ),
        frame.section(
            "All that was found",
            frame.picture(projections_figure(*parts), "Maximum projections along z, y and x with what was found"),
            frame.caption("Brightest voxel along each axis."),
        ),
        frame.section("Numbers", frame.table(rows, names, text=words), frame.caption(more)),
    ]
    lead = f"{shape} voxels of {size} µm (z, y, x)"
    footer = "Axes are z, y, x; lengths are in micrometres."
    write_text(path, frame.document(result.image.name or "fit", "report", lead, body, footer=footer))


def _cell(value: Any) -> str:
    """Return a cell of the table as text, numbers with four significant digits."""
    if isinstance(value, float):
        return "–" if np.isnan(value) else f"{value:.4g}"
    return str(value)
