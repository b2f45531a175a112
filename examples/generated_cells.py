"""
New living cells
================

A network learns simulated cells that stretch, narrow and divide, and then draws new ones of the same kind. Needs
PyTorch.

``python examples/generated_cells.py [FILE]`` writes the picture, by default ``generated.png``.
"""

import os
import sys

import numpy as np
from matplotlib.figure import Figure
from scipy import ndimage

from cytoform.metrics import dice
from cytoform.neural import generate, preset, reconstruct, train
from cytoform.report.surface_view import draw_surface, view_axes
from cytoform.sdf.frames import frame_mesh
from cytoform.synth import family

QUICK = "CYTOFORM_QUICK" in os.environ  # fewer and coarser cells, fewer steps
COUNT, FRAMES, SAMPLES, STEPS = (5, 5, 24, 300) if QUICK else (16, 10, 48, 1500)
SHOWN, TIMES = 3, 6  # new cells of the picture, and frames of each

# %%
# Simulate, learn, generate
# -------------------------
# Each cell is a sequence of signed distances on a grid, in µm. The network learns all of them together, each with a
# code of its own; codes drawn at random are new cells.

cells = [cell.sequence(FRAMES, SAMPLES) for cell in family("dividing").sample_many(COUNT, seed=0)]
model = train(cells, config=preset("default", steps=STEPS), device="cpu")
found = reconstruct(model, device="cpu")
new = generate(model, SHOWN, seed=3, frames=TIMES, shape=SAMPLES if QUICK else 80, device="cpu")

# %%
# The new cells
# -------------
# A row for each new cell, from its first frame to its last, all to one scale.

rows = [[frame_mesh(cell, k) for k in range(len(cell))] for cell in new]
meshes = [mesh for row in rows for mesh in row if mesh is not None]
view = view_axes(0.15)
wide, high = (1.08 * max(float(np.abs(mesh.vertices @ view[k]).max()) for mesh in meshes) for k in (0, 1))
figure = Figure(figsize=(12.0, len(rows) * 12.0 / TIMES * high / wide), facecolor="white")
for n, row in enumerate(rows):
    for k, mesh in enumerate(row):
        panel = figure.add_axes((k / TIMES, 1.0 - (n + 1) / len(rows), 1.0 / TIMES, 1.0 / len(rows)))
        panel.set_axis_off()
        if mesh is not None:
            draw_surface(
                panel, mesh, view, np.array([[0.27, 0.67, 0.57]]), ambient=0.4, centre=np.zeros(3), half_width=wide
            )
            panel.set(xlim=(-wide, wide), ylim=(high, -high))
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "generated.png", dpi=110)

# %%
# How well it has learned
# -----------------------
# Dice's overlap of the learned cells with the simulated ones, and the number of separate bodies in the first and the
# last frame of the new cells: they divide.


def bodies(frame):
    """Separate bodies of more than a twentieth of what is inside."""
    parts, count = ndimage.label(frame < 0)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    return int((sizes > 0.05 * sizes.sum()).sum())


numbers = {
    "dice": float(np.mean([dice(a < 0, b < 0) for one, other in zip(found, cells) for a, b in zip(one, other)])),
    "bodies_at_first": float(np.mean([bodies(cell.frame(0)) for cell in new])),
    "bodies_at_last": float(np.mean([bodies(cell.frame(len(cell) - 1)) for cell in new])),
}
print("\n".join(f"{name:20s} {value:.4g}" for name, value in numbers.items()))
