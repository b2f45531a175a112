"""A cell that lies against another one: what is fitted is one cell, and what the other sends counts as its light.

python examples/neighbours.py [FILE]      the picture, docs/images/neighbours.png by default
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import cytoform as cf
from cytoform.imaging import render_on
from cytoform.mesh import shapes, topology
from cytoform.metrics import mesh_iou
from cytoform.report.figures import outlines

SPACING, SHAPE = (0.25, 0.15, 0.15), (26, 56, 90)
SIGMA = (0.4, 0.22, 0.22)


def scene() -> tuple[cf.SurfaceMesh, cf.Volume]:
    """The larger of two flat cells 0.5 µm apart, and the image of both."""
    grid, psf = cf.Grid(SHAPE, SPACING), cf.GaussianPSF.from_sigma(SIGMA)
    cells = [
        shapes.ellipsoid((1.1, 2.9, 3.2), (3.1, 4.1, 4.2), edge=0.25),
        shapes.ellipsoid((1.1, 2.3, 2.0), (3.3, 4.4, 9.9), edge=0.25),
    ]
    image = sum(render_on(cell, psf, grid, margin=psf.reach()) for cell in cells)
    dirt = np.random.default_rng(0).normal(0.0, 0.03, SHAPE)
    data = 1000 * (0.1 + image / image.max() + dirt)
    return cells[0], cf.Volume(data.astype(np.float32), SPACING, name="two cells")


def draw(volume: cf.Volume, result: cf.FitResult, truth: cf.SurfaceMesh, out: Path) -> None:
    """A slice of the image, of the cell's model, of the neighbour's light and of what is left, with the contours."""
    index = 12
    light = np.zeros(SHAPE) if result.surroundings is None else result.surroundings.data
    left = volume.data - result.model.data - light
    most = float(volume.data[index].max())
    grey = {"cmap": "gray", "vmin": 0.0, "vmax": most}
    signed = {"cmap": "RdBu_r", "vmin": -0.3 * most, "vmax": 0.3 * most}
    ends = f"(white: {most:.0f})"
    parts = ((f"image {ends}", volume.data, grey), (f"model of the cell {ends}", result.model.data, grey),
             (f"light of the neighbour {ends}", light, grey),
             (f"image − model − light (red: {0.3 * most:.0f})", left, signed))  # fmt: skip
    lines = ((truth, "#56B4E9", 2.6, "true surface"), (result.mesh, "#E69F00", 1.2, "fitted surface"))
    figure = Figure(figsize=(9.0, 6.6), facecolor="white")
    extent = (-0.075, 90 * 0.15 - 0.075, 56 * 0.15 - 0.075, -0.075)
    for number, (title, values, how) in enumerate(parts):
        row, column = divmod(number, 2)
        panel = figure.add_axes((0.005 + column / 2, 0.53 - 0.47 * row, 0.49, 0.41))
        panel.imshow(values[index], extent=extent, **how)
        for mesh, colour, width, name in lines:
            for k, line in enumerate(outlines(mesh, 0, index * SPACING[0])):
                panel.plot(line[:, 1], line[:, 0], color=colour, linewidth=width, label=name if k == 0 else None)
        panel.set(xlim=extent[:2], ylim=extent[2:], title=title)
        panel.set_axis_off()
    handles, names = panel.get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=2, frameon=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)


def main(out: Path | None = None, *, quick: bool = False) -> dict[str, float]:
    """Simulate, fit, compare; with `out` also draw."""
    truth, volume = scene()
    result = cf.fit(volume, config=cf.FitConfig(iterations=150 if quick else 280, uncertainty=not quick))
    if out is not None:
        draw(volume, result, truth, out)
    return {
        "iou": mesh_iou(result.mesh, truth, 0.1),
        "r2": result.r2,
        "r2_cell": result.r2_cell,
        "self_intersections": float(topology.self_intersections(result.mesh)),
    }


if __name__ == "__main__":
    numbers = main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/neighbours.png"))
    print("\n".join(f"{name:20s} {value:.4g}" for name, value in numbers.items()))
