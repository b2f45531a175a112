"""
A fit compared with the truth
=============================

The fit of ``cytoform demo``: a simulated cell that divides, found from a sphere and from a point spread function that
is 40 % too wide, and compared with the surface that the image was made from.

``python examples/readme_figure.py [FILE]`` writes the picture, by default ``demo.png``; it is the one of the README.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from PIL import Image

import cytoform as cf
from cytoform.cli.demo import Comparison, compare, demo_sample, initial_psf
from cytoform.imaging import Sample
from cytoform.mesh.geometry import vertex_normals
from cytoform.report.figures import outlines

QUICK = "CYTOFORM_QUICK" in os.environ  # fewer steps, no standard errors
FIT, TRUTH, START = "#E69F00", "#56B4E9", "#F0E442"
REACH = 5.4  # µm shown to each side of the cell
PLANES = ((0, "across z", "y", "x"), (1, "across y", "z", "x"))  # axis, name, and what runs down and to the right

# %%
# Simulate and fit
# ----------------
# The cell has two lobes and a neck between them. A camera's noise is added, of 60 photons in the brightest voxel.

sample = demo_sample()
config = cf.FitConfig(init="sphere", iterations=150 if QUICK else 260, uncertainty=not QUICK)
result = cf.fit(sample.image, None, initial_psf(sample), config)
found = compare(result.mesh, result.psf, sample)
print("\n".join(f"{name:18s} {value}" for name, value in found.rows()))

# %%
# How the picture is drawn
# ------------------------


def small_parts(n: int) -> np.ndarray:
    """Barycentric coordinates of the n² parts of a triangle, (part, corner, vertex)."""
    upright = [(i, j) for i in range(n) for j in range(n - i)]
    places = [[(i, j), (i + 1, j), (i, j + 1)] for i, j in upright]
    places += [[(i + 1, j), (i + 1, j + 1), (i, j + 1)] for i, j in upright if i + j < n - 1]
    ij = np.array(places) / n
    return np.stack([1.0 - ij.sum(axis=-1), ij[..., 0], ij[..., 1]], axis=-1)


def draw_surface(panel: Axes, mesh: cf.SurfaceMesh, *, yaw: float = -0.35, tilt: float = 1.15, parts: int = 4) -> None:
    """A surface lit from the viewer's side, faces painted in small parts from far to near."""
    (cy, sy), (ct, st) = ((np.cos(a), np.sin(a)) for a in (yaw, tilt))
    camera = np.array([[0.0, -sy, cy], [-st, ct * cy, ct * sy], [ct, st * cy, st * sy]])  # rows right, down, away
    weights = small_parts(parts)
    points = (mesh.vertices - mesh.vertices.mean(axis=0)) @ camera.T
    normals = vertex_normals(mesh.vertices, mesh.faces) @ camera.T
    triangles = np.einsum("pcv,fvk->fpck", weights, points[mesh.faces]).reshape(-1, 3, 3)
    facing = np.einsum("pcv,fvk->fpk", weights / 3.0, normals[mesh.faces]).reshape(-1, 3)
    facing /= np.linalg.norm(facing, axis=1, keepdims=True)
    order = np.argsort(-triangles[:, :, 2].mean(axis=1))
    order = order[facing[order, 2] < 0.2]
    lamp = np.array([-0.35, -0.55, -0.76])
    light = np.clip(0.28 + 0.72 * np.clip(facing[order] @ lamp, 0.0, None), 0.0, 1.0)[:, None]
    colours = np.clip(light * np.array([[0.96, 0.69, 0.24]]) + 0.25 * light**12, 0.0, 1.0)
    flat = triangles[order, :, :2]
    panel.add_collection(PolyCollection(list(flat), facecolors=colours, edgecolors=colours, linewidths=0.4))
    (left, top), (right, bottom) = points[:, :2].min(axis=0) - 0.05, points[:, :2].max(axis=0) + 0.05  # µm
    panel.set(xlim=(left, right), ylim=(bottom, top))
    panel.set_aspect("equal", anchor="C")
    panel.set_axis_off()


def draw_slice(panel: Axes, values: np.ndarray, grid: cf.Grid, axis: int, **colours: object) -> None:
    """One slice, at true proportions in µm."""
    down, right = (a for a in range(3) if a != axis)
    low = np.asarray(grid.origin) - 0.5 * np.asarray(grid.spacing)
    high = low + np.asarray(grid.extent)
    centre = np.asarray(grid.centre)
    panel.imshow(values, extent=(low[right], high[right], high[down], low[down]), interpolation="nearest", **colours)
    panel.set_xlim(centre[right] - REACH, centre[right] + REACH)
    panel.set_ylim(centre[down] + REACH, centre[down] - REACH)
    panel.set(xticks=[], yticks=[])
    for side in panel.spines.values():
        side.set_visible(False)


def draw_outline(panel: Axes, mesh: cf.SurfaceMesh, axis: int, position: float, colour: str, **line: object) -> None:
    """Where a slice cuts a surface."""
    lines = [points[:, ::-1] for points in outlines(mesh, axis, position)]
    panel.add_collection(LineCollection(lines, colors=colour, **line))


def draw_scale(panel: Axes, length: float = 2.0) -> None:
    """A bar of some micrometres."""
    left, bottom = panel.get_xlim()[0], panel.get_ylim()[0]
    ends = [left + 0.6, left + 0.6 + length]
    panel.plot(ends, [bottom - 0.6] * 2, color="white", linewidth=2.5, solid_capstyle="butt")
    style = {"color": "white", "ha": "center", "va": "bottom", "fontsize": 8}
    panel.text(sum(ends) / 2, bottom - 0.8, f"{length:g} µm", **style)


def draw(sample: Sample, result: cf.FitResult, found: Comparison) -> Figure:
    """Two slices of data, model and residual, the surface, and how it compares with the truth."""
    grid = sample.image.grid
    data, model = sample.image.data.astype(np.float64), result.model.data.astype(np.float64)
    grey = {"cmap": "gray", "vmin": np.percentile(data, 1), "vmax": np.percentile(data, 99.9)}
    limit = 0.5 * (grey["vmax"] - grey["vmin"])
    signed = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    figure = Figure(figsize=(11, 5.15), dpi=110, facecolor="white")
    width, height, gap, top = 0.205, 0.205 * 11 / 5.15, 0.006, 0.935
    for row, (axis, name, down, right) in enumerate(PLANES):
        index = grid.shape[axis] // 2
        position = grid.origin[axis] + index * grid.spacing[axis]
        parts = [np.take(values, index, axis=axis) for values in (data, model, data - model)]
        bottom = top - (row + 1) * height - row * gap * 11 / 5.15
        for column, (values, title) in enumerate(zip(parts, ("noisy image + contour", "model", "image − model"))):
            panel = figure.add_axes((0.004 + column * (width + gap), bottom, width, height))
            draw_slice(panel, values, grid, axis, **(signed if column == 2 else grey))
            if row == 0:
                panel.set_title(title, fontsize=11, pad=6)
            if column == 0:
                draw_outline(panel, result.start, axis, position, START, linewidth=1.2, linestyle=(0, (3, 2)))
                draw_outline(panel, sample.truth, axis, position, TRUTH, linewidth=3.2)
                draw_outline(panel, result.mesh, axis, position, FIT, linewidth=1.2)
                draw_scale(panel)
                note = f"{name}: {right} →, {down} ↓"
                panel.text(0.03, 0.97, note, color="white", fontsize=8, va="top", transform=panel.transAxes)
    view = figure.add_axes((0.655, 0.34, 0.335, 0.585))
    draw_surface(view, result.mesh)
    figure.text(0.8225, 0.952, "the fitted surface", fontsize=11, ha="center")
    write_legend(figure, result, found)
    return figure


def write_legend(figure: Figure, result: cf.FitResult, found: Comparison) -> None:
    """Colours and figures of merit, under the surface."""
    lines = (("start: a sphere", START, (0, (3, 2))), ("fitted surface", FIT, "-"), ("the truth", TRUTH, "-"))
    key = figure.add_axes((0.655, 0.02, 0.34, 0.23))
    key.set(xlim=(0, 1), ylim=(0, 1))
    key.set_axis_off()
    for k, (name, colour, style) in enumerate(lines):
        y = 0.88 - 0.19 * k
        key.plot([0.0, 0.075], [y, y], color=colour, linestyle=style, linewidth=2.4)
        key.text(0.1, y, name, va="center", fontsize=9.5)
    worst = 100 * max(abs(e) for e in found.width_errors)
    rows = (
        f"overlap (IoU) {found.iou:.3f}",
        f"mean distance {1000 * found.distance:.0f} nm",
        f"PSF widths within {worst:.1f} %",
        f"volume {result.volume_um3:.0f} µm³",
        f"area {result.area_um2:.0f} µm²",
    )
    for k, text in enumerate(rows):
        key.text(0.52, 0.88 - 0.19 * k, text, va="center", fontsize=9.5)


# %%
# The picture
# -----------
# Dashed: the sphere that the fit starts from. The blue line, the truth, lies under the orange one, the fit.

figure = draw(sample, result, found)
path = Path(sys.argv[1] if len(sys.argv) > 1 else "demo.png")
figure.savefig(path)
Image.open(path).convert("RGB").save(path, optimize=True)
