"""One self-contained HTML page for judging a fitted surface by eye; the room knows nothing of how the fit was made."""

from . import drawing  # first, so that matplotlib is loaded without the backend of MPLBACKEND
from .data import ReportData
from .figures import contours, loss_figure, psf_figure, slices_figure
from .film import write_film
from .maps import maps_figure
from .page import report_html, write_report
from .surface_view import surface_figure

__all__ = [
    "ReportData",
    "contours",
    "drawing",
    "loss_figure",
    "maps_figure",
    "psf_figure",
    "report_html",
    "slices_figure",
    "surface_figure",
    "write_film",
    "write_report",
]
