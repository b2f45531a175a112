"""Makes docs/images/architecture.png: how an image becomes a surface, room by room.

python docs/make_architecture.py [FILE]
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

INK, FAINT, SLOPE = "#1d2733", "#6b7785", "#b4460f"
# Face and edge of a box, by the rank of its room.
RANKS = {
    0: ("#eceff2", "#8a96a3"),
    1: ("#e3f1fb", "#56B4E9"),
    2: ("#e2f4ee", "#009E73"),
    3: ("#fdf5cf", "#c9b300"),
    4: ("#efe7fb", "#8e6cc0"),
    5: ("#fdeccf", "#E69F00"),
    8: ("#f9e6f0", "#CC79A7"),
}
LINE = 2.05  # distance of two lines of text


# x, y of the middle, width, height, room, what happens there, rank
@dataclasses.dataclass(frozen=True)
class Box:
    """A room: the middle of its box, width and height, its name and rank, and what happens in it."""

    x: float
    y: float
    width: float
    height: float
    room: str
    rank: int
    lines: tuple[str, ...]


BOXES = (
    Box(10.5, 91, 19, 13, "cli", 8, ("options and files,", "checked before the work")),
    Box(35.5, 91, 19, 13, "image", 1, ("TIFF, OME-TIFF, OME-Zarr", "→ Volume (z, y, x), µm")),
    Box(61, 91, 23, 13, "fitting.start", 5,
        ("largest bright object, its", "neighbours → ellipsoid, region", "of interest, PSF guess")),
    Box(88, 91, 21, 13, "fitting.state", 5,
        ("mesh, PSF, region, optimisers,", "counters, history:", "all that a step reads")),
    Box(11.5, 60, 18, 13, "mesh", 1, ("vertices, faces, density", "remesh: split, collapse,", "flip, relax")),
    Box(35, 66, 21, 12, "fourier", 2,
        ("surface → spectrum û, on the", "modes that the PSF keeps:", "exact sum or NUFFT")),
    Box(58, 66, 18, 12, "optics", 2, ("PSF → ĥ", "spectrum û · ĥ")),
    Box(78.5, 66, 16, 12, "fourier.pruned", 2, ("FFT → image I",)),
    Box(87, 47, 21, 13, "loss", 3,
        ("gain, background: closed form", "Σ w (gain · I + background − D)²", "+ what is known (priors)")),
    Box(58.5, 46, 27, 8.5, "the adjoint of each, backwards", 3, ("slope for the vertices and the PSF",)),
    Box(24, 44, 25, 12, "optim", 2,
        ("slopes smoothed by (1 + λL)⁻²,", "L-BFGS → vertices, staining;", "→ PSF, in steps of its own")),
    Box(22, 20.5, 32, 13, "fitting.result", 5,
        ("surface, PSF, gain, background, model;", "standard errors; mask, R², …")),
    Box(53.5, 20.5, 21, 13, "report", 4, ("slices, residual, loss, PSF,", "turning surface: one HTML")),
    Box(83, 20.5, 28, 13, "mesh.io, image.io, atomic", 1,
        ("mesh.ply mask.tif rendered.tif", "fit.json history.csv report.html")),
    Box(50, 5.5, 98, 7, "kernels", 0, (
        "compiled loops over arrays, for CPU and CUDA from one set of formulas; "
        "devices.py picks the device and loads them on first use",
    )),
)  # fmt: skip
# x, y from and to; the way of the image, and that of the slopes
FORWARD = (
    (20, 91, 26, 91), (45, 91, 49.5, 91), (72.5, 91, 77.5, 91), (88, 84.5, 84, 80.5), (20.5, 62, 24.5, 64.5),
    (45.5, 66, 49, 66), (67, 66, 70.5, 66), (84, 60, 86, 53.5), (38, 20.5, 43, 20.5), (64, 20.5, 69, 20.5),
    (22, 36, 22, 27),
)  # fmt: skip
BACKWARD = ((76.5, 46, 72, 46), (45, 45.3, 36.5, 44.7), (14.5, 50, 12, 53.5), (34, 50, 50, 60))


def round_box(left: float, bottom: float, width: float, height: float, **style: object) -> FancyBboxPatch:
    """A rectangle with round corners."""
    return FancyBboxPatch((left, bottom), width, height, boxstyle="round,pad=0,rounding_size=1.1", **style)


def draw_box(axes: Axes, box: Box) -> None:
    """A room: its name in bold, and what happens in it."""
    face, edge = RANKS[box.rank]
    corner = box.x - box.width / 2, box.y - box.height / 2
    axes.add_patch(round_box(*corner, box.width, box.height, fc=face, ec=edge, lw=1.4))
    step = 1.25 * LINE
    top = box.y + 0.5 * step * len(box.lines)
    axes.text(box.x, top, box.room, ha="center", va="center", fontsize=10.5, fontweight="bold", color=INK)
    for k, line in enumerate(box.lines, start=1):
        axes.text(box.x, top - k * step, line, ha="center", va="center", fontsize=8.4, color=INK)


def draw_arrow(axes: Axes, ends: tuple[float, float, float, float], *, back: bool = False) -> None:
    """From (x0, y0) to (x1, y1); `back` for the way of the slopes."""
    x0, y0, x1, y1 = ends
    style = {"linestyle": (0, (4, 2)), "color": SLOPE} if back else {"color": INK}
    axes.add_patch(FancyArrowPatch((x0, y0), (x1, y1), arrowstyle="-|>", mutation_scale=13, lw=1.5, **style))


def draw(path: Path) -> None:
    """The whole picture into a PNG file."""
    figure = Figure(figsize=(11.5, 7.6), dpi=120, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100), ylim=(0, 100))
    axes.set_axis_off()
    axes.add_patch(round_box(1, 36, 98, 44.5, fc="#fafbfc", ec="#c9d1d9", lw=1.2))
    axes.add_patch(round_box(23.2, 58.5, 64.8, 16.7, fc=RANKS[3][0], ec=RANKS[3][1], lw=1.2, alpha=0.55))
    small = {"fontsize": 8.4, "va": "center", "color": FAINT}
    axes.text(2.5, 78, "fitting: shape steps and PSF steps in turn, coarse to fine", fontsize=10.5,
              fontweight="bold", va="center", color=INK)  # fmt: skip
    axes.text(24.5, 73.7, "rendering", fontsize=10.5, fontweight="bold", va="center", color=INK)
    axes.text(23.5, 33.3, "converged, or all steps done", **small)
    axes.text(23.5, 30.8, "(after Ctrl-C, or now and then: checkpoint.h5)", **small)
    axes.text(43.8, 54.3, "PSF", fontsize=8.4, color=SLOPE)
    axes.text(12, 51.3, "vertices", fontsize=8.4, color=SLOPE, ha="right", va="center")
    for box in BOXES:
        draw_box(axes, box)
    for ends in FORWARD:
        draw_arrow(axes, ends)
    for ends in BACKWARD:
        draw_arrow(axes, ends, back=True)
    draw_key(axes)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas = FigureCanvasAgg(figure)
    canvas.print_png(path, metadata={"Software": None})


def draw_key(axes: Axes) -> None:
    """What the colours mean."""
    axes.text(70.5, 32.5, "rank of the room:", fontsize=8.4, va="center", ha="right", color=FAINT)
    for k, (rank, (face, edge)) in enumerate(RANKS.items()):
        x = 71.5 + 4 * k
        axes.add_patch(round_box(x, 31, 3.4, 3, fc=face, ec=edge, lw=1.2))
        axes.text(x + 1.7, 32.5, str(rank), fontsize=8.4, ha="center", va="center", color=INK)


if __name__ == "__main__":
    draw(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/architecture.png"))
