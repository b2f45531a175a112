"""A cell that lies against another one: what is fitted is one cell, and what the other sends counts as its light.

python examples/neighbours.py [FILE]      the picture, docs/images/neighbours.png by default
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import cytoform as cf
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
    box = grid.padded(psf.reach())
    image = sum(cf.render(cell, psf, box)[tuple(slice(0, n) for n in SHAPE)] for cell in cells)
    dirt = np.random.default_rng(0).normal(0.0, 0.03, SHAPE)
    data = 1000 * (0.1 + image / image.max() + dirt)
    return cells[0], cf.Volume(data.astype(np.float32), SPACING, name="two cells")


def draw(volume: cf.Volume, result: cf.FitResult, truth: cf.SurfaceMesh, out: Path) -> None:
    """A slice of the image, of the cell's model and of the neighbour's light, with the contours."""
    index = 12
    light = np.zeros(SHAPE) if result.surroundings is None else result.surroundings.data
    parts = {"image": volume.data, "the cell's model": result.model.data, "light of the neighbour": light}
    figure = Figure(figsize=(12.0, 3.0), facecolor="white")
    extent = (-0.075, 90 * 0.15 - 0.075, 56 * 0.15 - 0.075, -0.075)
    for column, (title, values) in enumerate(parts.items()):
        panel = figure.add_axes((0.005 + column / 3, 0.02, 0.323, 0.86))
        panel.imshow(values[index], cmap="gray", vmin=0 if column == 2 else 80, vmax=1000, extent=extent)
        for mesh, colour, width in ((truth, "#56B4E9", 2.6), (result.mesh, "#E69F00", 1.2)):
            for line in outlines(mesh, 0, index * SPACING[0]):
                panel.plot(line[:, 1], line[:, 0], color=colour, linewidth=width)
        panel.set(xlim=extent[:2], ylim=extent[2:], title=title)
        panel.set_axis_off()
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
