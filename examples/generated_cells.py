"""New living cells: a network learns simulated cells that divide, and draws others of the same kind.

python examples/generated_cells.py [FILE]      the picture, docs/images/generated.png by default; needs PyTorch
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy import ndimage

from cytoform.metrics import dice
from cytoform.neural import generate, preset, reconstruct, train
from cytoform.report.surface_view import draw_surface, view_axes
from cytoform.sdf import SDFSequence
from cytoform.sdf.frames import frame_mesh
from cytoform.synth import family

SHOWN, TIMES = 3, 6  # new cells of the picture, and frames of each


def draw(new: list[SDFSequence], out: Path) -> None:
    """A row for each new cell, from its first frame to its last, all to one scale."""
    rows = [[frame_mesh(cell, k) for k in range(len(cell))] for cell in new]
    meshes = [mesh for row in rows for mesh in row if mesh is not None]
    view = view_axes(0.15)
    wide, high = (1.08 * max(float(np.abs(mesh.vertices @ view[k]).max()) for mesh in meshes) for k in (0, 1))
    size = 12.0 / TIMES
    figure = Figure(figsize=(12.0, len(rows) * size * high / wide), facecolor="white")
    for n, row in enumerate(rows):
        for k, mesh in enumerate(row):
            panel = figure.add_axes((k / TIMES, 1.0 - (n + 1) / len(rows), 1.0 / TIMES, 1.0 / len(rows)))
            panel.set_axis_off()
            if mesh is not None:
                draw_surface(
                    panel, mesh, view, np.array([[0.27, 0.67, 0.57]]), ambient=0.4, centre=np.zeros(3), half_width=wide
                )
                panel.set(xlim=(-wide, wide), ylim=(high, -high))
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)


def bodies(frame: np.ndarray) -> int:
    """Separate bodies of more than a twentieth of what is inside."""
    parts, count = ndimage.label(frame < 0)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    return int((sizes > 0.05 * sizes.sum()).sum())


def main(out: Path | None = None, *, quick: bool = False) -> dict[str, float]:
    """Simulate, learn, generate; with `out` also draw."""
    count, frames, samples, steps = (5, 5, 24, 300) if quick else (16, 10, 48, 1500)
    cells = [cell.sequence(frames, samples) for cell in family("dividing").sample_many(count, seed=0)]
    model = train(cells, config=preset("default", steps=steps), device="cpu")
    found = reconstruct(model, device="cpu")
    new = generate(model, SHOWN, seed=3, frames=TIMES, shape=samples if quick else 80, device="cpu")
    if out is not None:
        draw(new, out)
    overlap = [dice(a < 0, b < 0) for one, other in zip(found, cells) for a, b in zip(one, other)]
    return {
        "dice": float(np.mean(overlap)),
        "bodies_at_first": float(np.mean([bodies(cell.frame(0)) for cell in new])),
        "bodies_at_last": float(np.mean([bodies(cell.frame(len(cell) - 1)) for cell in new])),
    }


if __name__ == "__main__":
    numbers = main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/generated.png"))
    print("\n".join(f"{name:20s} {value:.4g}" for name, value in numbers.items()))
