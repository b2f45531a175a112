"""Film of a fit: the contour on two slices and the surface in 3D, step by step, as an animated GIF."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from ..atomic import write_bytes
from ..errors import ConfigError
from ..image.volume import Volume
from ..mesh import geometry
from ..mesh.protocol import Mesh
from .figures import FIT, outlines, styled
from .surface_view import draw_surface, initial_yaw, view_axes

__all__ = ["write_film"]

SLICE_AXES = (0, 1)  # slices across z and y
LAST_PAUSE = 1500  # ms for which the last picture stays


def write_film(
    path: str | os.PathLike[str], volume: Volume, frames: Sequence[tuple[str, Mesh]], *, pause: int = 80
) -> None:
    """Write an animated GIF of a surface that changes, whole or not at all.

    Each picture has two slices of the image with the surface's contour, and the surface in 3D. The film repeats for
    ever; the last picture stays for 1.5 s.

    Parameters
    ----------
    path : path
        File to write.
    volume : Volume
        The image; its slices go through the centroid of the last surface.
    frames : sequence of (str, Mesh)
        A title and a surface for each picture.
    pause : int
        Time that each of them stays, ms.

    Raises
    ------
    ConfigError
        Without a frame.
    OutputError
        When the file cannot be written.
    """
    if not frames:
        raise ConfigError("no frames were given; expected at least one surface.")
    last = frames[-1][1]
    view = _FilmView(volume, last)
    pictures = [view.picture(title, mesh) for title, mesh in frames]
    buffer = io.BytesIO()
    times = [pause] * (len(pictures) - 1) + [LAST_PAUSE]
    colours = [p.convert("P", palette=Image.Palette.ADAPTIVE, colors=128) for p in pictures]
    colours[0].save(buffer, "GIF", save_all=True, append_images=colours[1:], duration=times, loop=0)
    write_bytes(path, buffer.getvalue())


class _FilmView:
    """Slices, grey scale and 3D view that all pictures of a film share.

    Parameters
    ----------
    volume : Volume
        The image.
    last : Mesh
        The film's last surface: slices go through its centroid, and the scale in 3D suits its size.
    """

    def __init__(self, volume: Volume, last: Mesh) -> None:
        """Cut the slices through the last surface's centroid; choose grey scale (1 to 99.8 percentile) and view."""
        self.volume, grid = volume, volume.grid
        self.centre = geometry.surface_centroid(last.vertices, last.faces)
        index = np.clip(np.rint(grid.to_index(self.centre)).astype(int), 0, np.asarray(grid.shape) - 1)
        self.slices = [np.take(np.asarray(volume.data), index[axis], axis=axis) for axis in SLICE_AXES]
        self.positions = [float(grid.to_um(index)[axis]) for axis in SLICE_AXES]
        self.range = np.percentile(np.concatenate([s.ravel() for s in self.slices]), (1.0, 99.8))
        self.view = view_axes(initial_yaw(last))
        self.half_width = 1.1 * float(np.linalg.norm(last.vertices[last.faces] - self.centre, axis=2).max())

    @styled
    def picture(self, title: str, mesh: Mesh) -> Image.Image:
        """Draw one picture of the film: two slices with the surface's contour, the surface in 3D, the title above."""
        figure = Figure(figsize=(9.0, 3.3), dpi=80, facecolor="white")
        low = np.asarray(self.volume.origin) - 0.5 * np.asarray(self.volume.spacing)
        high = low + np.asarray(self.volume.grid.extent)
        for column, (axis, values, position) in enumerate(zip(SLICE_AXES, self.slices, self.positions)):
            down, right = (a for a in range(3) if a != axis)
            panel = figure.add_axes((0.01 + 0.33 * column, 0.02, 0.32, 0.86))
            extent = (low[right], high[right], high[down], low[down])
            panel.imshow(values, cmap="gray", vmin=self.range[0], vmax=self.range[1], extent=extent)
            lines = [line[:, ::-1] for line in outlines(mesh, axis, position)]
            panel.add_collection(LineCollection(lines, colors=FIT, linewidths=1.6))
            panel.set(xlim=extent[:2], ylim=extent[2:])
            panel.set_axis_off()
        panel_3d = figure.add_axes((0.67, 0.02, 0.32, 0.86))
        draw_surface(panel_3d, mesh, self.view, centre=self.centre, half_width=self.half_width)
        figure.text(0.01, 0.93, title, fontsize=10, va="center")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib leaves both without types
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        return Image.fromarray(pixels[..., :3].copy())
