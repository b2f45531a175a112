"""Pictures of the surfaces in a comparison: a few frames of a few sequences of each set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from .._typing import Floats32
from ..mesh.surface import SurfaceMesh
from ..report.figures import FAINT, INK, styled
from ..report.surface_view import draw_surface, initial_yaw, view_axes
from ..sdf.frames import frame_mesh
from ..sdf.sequence import SDFSequence, opened_sequence
from .figures import abbreviated
from .sets import Entry

if TYPE_CHECKING:
    from .comparison import Evaluation

__all__ = ["SequenceSurfaces", "choose_surfaces", "shapes_figure"]

SEQUENCES, FRAMES = 2, 4  # shown of each set, and of each sequence
_MAX_SAMPLES = 72  # along an axis, from which a surface is drawn
_WIDTH, _LEFT, _LINE, _MAX_HEIGHT = 10.4, 0.3, 0.19, 1.6  # inches
_GAP = 0.2  # of a picture's width, between two sequences
_SATURATION = 0.8  # share of the set's colour in the colour of its surfaces; the rest is white


@dataclasses.dataclass(frozen=True, eq=False)
class SequenceSurfaces:
    """Surfaces of one sequence at a few frames.

    Parameters
    ----------
    set : str
        Name of the set.
    sequence : str
        Name of the sequence.
    frames : tuple of int
        Indices of frames, evenly spread from the first to the last.
    meshes : tuple of SurfaceMesh or None
        Their surfaces, µm (or voxels), (z, y, x), with the middle of the grid at the origin; None for an empty frame.
    """

    set: str
    sequence: str
    frames: tuple[int, ...]
    meshes: tuple[SurfaceMesh | None, ...]


def choose_surfaces(
    sets: Mapping[str, Sequence[Entry]], matched: Mapping[tuple[str, str], Entry]
) -> tuple[tuple[SequenceSurfaces, ...], ...]:
    """Read the surfaces to show of each set: four frames of the first two sequences.

    A set of reconstructions shows those of the reference's two, where there are any.

    Parameters
    ----------
    sets : mapping of str to sequence of Entry
        The sequences of each set, the reference first.
    matched : mapping of (set, sequence name) to Entry
        The original of each reconstruction.

    Returns
    -------
    tuple of tuple of SequenceSurfaces
        For each set its sequences.
    """
    reference, *made_names = sets
    first = list(sets[reference])[:SEQUENCES]
    chosen = {reference: first}
    for name in made_names:
        of_shown = [e for real in first for e in sets[name] if _original_name(matched, name, e) == real.name]
        chosen[name] = of_shown or list(sets[name])[:SEQUENCES]
    return tuple(tuple(_sequence_surfaces(name, entry) for entry in entries) for name, entries in chosen.items())


def _original_name(matched: Mapping[tuple[str, str], Entry], name: str, entry: Entry) -> str | None:
    """Return the name of the original of a reconstructed sequence `entry` of set `name`; None where it has none."""
    found = matched.get((name, entry.name))
    return None if found is None else found.name


def _sequence_surfaces(name: str, entry: Entry) -> SequenceSurfaces:
    """Extract the surfaces of a sequence at up to ``FRAMES`` evenly spread frames, the first and the last among them.

    `name` is the name of its set.
    """
    count = entry.shape[0]
    frames = tuple(sorted({round(k) for k in np.linspace(0, count - 1, min(FRAMES, count))}))
    with opened_sequence(entry.source) as sequence:
        meshes = tuple(_frame_surface(sequence.frame(k), entry) for k in frames)
    return SequenceSurfaces(name, entry.name, frames, meshes)


def _frame_surface(frame: Floats32, entry: Entry) -> SurfaceMesh | None:
    """Return the closed surface of one frame of signed distances, in µm or voxels; None where no sample is inside.

    Of grids with more than ``_MAX_SAMPLES`` samples along an axis only every k-th sample is used, to save time.
    """
    every = -(-max(frame.shape) // _MAX_SAMPLES)
    spacing = tuple(every * s for s in entry.spacing or (1.0, 1.0, 1.0))
    return frame_mesh(SDFSequence.from_array(frame[None, ::every, ::every, ::every], spacing), 0)


@styled
def shapes_figure(ev: Evaluation, palette: Mapping[str, str]) -> Figure:
    """Draw the surfaces of a comparison, one row a set, all seen from the same side and to one scale, with a scale bar.

    `palette` has a colour for each set name. At least one surface must be there.
    """
    rows = ev.pictured
    meshes = [mesh for row in rows for one in row for mesh in one.meshes if mesh is not None]
    view = view_axes(initial_yaw(meshes[0]))
    wide, high = (1.06 * max(float(np.abs(mesh.vertices @ view[k]).max()) for mesh in meshes) for k in (0, 1))
    columns = max(sum(len(one.meshes) for one in row) for row in rows)
    gaps = _GAP * (max(len(row) for row in rows) - 1)
    across = (_WIDTH - _LEFT) / (columns + gaps)  # width of a picture, inches
    tall = min(across * max(high / wide, 0.3), _MAX_HEIGHT)
    figure = Figure(figsize=(_WIDTH, len(rows) * (tall + 2 * _LINE) + _LINE), facecolor="white")
    for n, row in enumerate(rows):
        bottom, left = figure.get_figheight() - (n + 1) * (tall + 2 * _LINE), _LEFT
        for one in row:
            middle = left + 0.5 * across * len(one.meshes)
            _draw_text(figure, middle, bottom + tall + 1.5 * _LINE, one.sequence, size=8)
            for frame, mesh in zip(one.frames, one.meshes):
                _draw_text(figure, left + 0.5 * across, bottom + 0.5 * _LINE, f"frame {frame}", size=7)
                if mesh is None:
                    _draw_text(figure, left + 0.5 * across, bottom + 0.5 * tall + _LINE, "no shape", size=8)
                else:
                    axes = figure.add_axes(_figure_fractions(figure, left, bottom + _LINE, across, tall))
                    colour = np.array([_SATURATION * np.array(to_rgb(palette[one.set])) + 1.0 - _SATURATION])
                    draw_surface(axes, mesh, view, colour, ambient=0.45, centre=np.zeros(3), half_width=wide)
                    axes.set(xlim=(-wide, wide), ylim=(high, -high))
                left += across
            left += _GAP * across
        _draw_text(
            figure, 0.4 * _LEFT, bottom + 0.5 * tall + _LINE, abbreviated(row[0].set), size=9, colour=INK, rotation=90
        )
    scale = min(across / (2.0 * wide), tall / (2.0 * high))  # inches for one µm (or voxel)
    _draw_scale_bar(figure, wide, scale, ev.unit)
    return figure


def _figure_fractions(
    figure: Figure, left: float, bottom: float, width: float, height: float
) -> tuple[float, float, float, float]:
    """Convert a rectangle from inches to fractions of the figure's width and height: (left, bottom, width, height)."""
    w, h = figure.get_size_inches()
    return left / w, bottom / h, width / w, height / h


def _draw_text(
    figure: Figure, x: float, y: float, text: str, *, size: float, colour: str = FAINT, rotation: float = 0.0
) -> None:
    """Write text on a figure, centred at (x, y) inches from its lower left corner.

    `size` is in points, `rotation` in degrees, counter-clockwise.
    """
    left, bottom, _, _ = _figure_fractions(figure, x, y, 0.0, 0.0)
    figure.text(left, bottom, text, ha="center", va="center", color=colour, fontsize=size, rotation=rotation)


def _draw_scale_bar(figure: Figure, half_width: float, scale: float, unit: str) -> None:
    """Draw a scale bar with its length at the lower right of the figure.

    Its length is the largest of 1, 2 and 5 times a power of ten that is at most `half_width`.

    Parameters
    ----------
    figure : Figure
        Figure to draw on, ``_WIDTH`` inches wide.
    half_width : float
        Half of the width that one picture shows, in `unit`.
    scale : float
        Inches for one `unit`.
    unit : str
        "µm" or "voxels", written behind the length.
    """
    power = 10.0 ** np.floor(np.log10(half_width))
    length = max(k * power for k in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if k * power <= half_width)
    axes = figure.add_axes(_figure_fractions(figure, 0.0, 0.0, _WIDTH, _LINE))
    axes.set(xlim=(0, _WIDTH), ylim=(0, 1))
    axes.set_axis_off()
    end = _WIDTH - 0.15
    axes.plot([end - length * scale, end], [0.6, 0.6], color=INK, linewidth=2.0, solid_capstyle="butt")
    axes.text(end - length * scale - 0.06, 0.6, f"{length:g} {unit}", ha="right", va="center", fontsize=8)
