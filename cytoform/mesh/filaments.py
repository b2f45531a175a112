"""Filaments, such as microtubules, actin bundles or the axes of thin tubes: straight segments between vertices."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats
from ..errors import MeshError
from .base import check_vertices
from .simplices import Simplices

__all__ = ["Filaments"]


@dataclasses.dataclass(frozen=True, eq=False)
class Filaments(Simplices):
    """Straight segments between vertices, with a brightness per length each.

    Parameters
    ----------
    vertices : (n_vertices, 3) float32 or float64
        Positions in µm, (z, y, x). Their dtype is the dtype of all that is computed from the filaments. Vertices that
        no segment uses are kept and have no influence.
    segments : (n_segments, 2) int
        Indices of the two ends of every segment, counted from 0.
    density : (n_segments,) float or float, optional
        Intensity per µm of length; 1 by default.

    Raises
    ------
    MeshError
        When there is no segment, an index is out of range, a shape is another one, or a value is not finite.
    """

    vertices: Array
    segments: Array
    density: Array = None  # type: ignore[assignment]

    order = 1
    _names = ("vertices", "segments", "density")

    if TYPE_CHECKING:  # what may be passed; the fields have the types that they are converted to

        def __init__(
            self, vertices: npt.ArrayLike, segments: npt.ArrayLike, density: npt.ArrayLike | None = None
        ) -> None: ...

    @classmethod
    def from_polylines(cls, polylines: Sequence[npt.ArrayLike], density: npt.ArrayLike = 1.0) -> Filaments:
        """Make filaments from polylines, which share no vertices.

        Parameters
        ----------
        polylines : sequence of (n, 3) float
            Vertices along each line in µm, (z, y, x), two or more. A line whose last vertex equals its first is closed.
        density : float or sequence of float, optional
            Intensity per µm, one number for all or one for each line; 1 by default.

        Returns
        -------
        Filaments
            The vertices one line after another; those of closed lines without the repeated end.

        Raises
        ------
        MeshError
            When there is no line, or a line has fewer than two vertices or another shape.
        """
        lines = [check_vertices(line) for line in polylines]
        short = [number for number, line in enumerate(lines) if len(line) < 2]
        if short or not lines:
            what = f"polyline {short[0]} has {len(lines[short[0]])} vertices" if short else "polylines is empty"
            raise MeshError(f"{what}; expected two or more vertices along each line.")
        strengths = np.broadcast_to(np.asarray(density, dtype=np.float64), (len(lines),))
        vertices, segments, start = [], [], 0
        for line in lines:
            closed = len(line) > 2 and bool((line[0] == line[-1]).all())
            count = len(line) - 1
            index = start + np.arange(count + 1)
            if closed:
                index[-1] = start
            vertices.append(line[:count] if closed else line)
            segments.append(np.column_stack([index[:-1], index[1:]]))
            start += len(vertices[-1])
        return cls(np.concatenate(vertices), np.concatenate(segments), np.repeat(strengths, [len(s) for s in segments]))

    @property
    def lengths(self) -> Floats:
        """Length of every segment in µm, (n_segments,) float64."""
        return self.sizes

    @property
    def length(self) -> float:
        """Length of all segments in µm."""
        return float(self.sizes.sum())

    def polylines(self) -> list[Array]:
        """Return the filaments as lines from one end or branch to the next.

        Returns
        -------
        list of (n, 3) array
            Vertices along each line in µm, (z, y, x), each segment once; a closed line ends with its first vertex.
        """
        neighbours: dict[int, list[tuple[int, int]]] = {}
        for number, (a, b) in enumerate(self.segments.tolist()):
            neighbours.setdefault(a, []).append((b, number))
            neighbours.setdefault(b, []).append((a, number))
        free = np.ones(len(self.segments), dtype=bool)
        ends = sorted(v for v, found in neighbours.items() if len(found) != 2)
        lines = []
        for start in [*ends, *sorted(neighbours)]:  # what no end leads to is a closed line
            for first, number in neighbours[start]:
                if free[number]:
                    lines.append(self.vertices[_walk(start, first, number, neighbours, free)])
        return lines

    def split(self, longest: float) -> Filaments:
        """Return the same filaments with long segments divided into equal ones.

        Parameters
        ----------
        longest : float
            Length in µm that no segment exceeds afterwards.

        Returns
        -------
        Filaments
            The vertices of before come first, in their order; every part has its segment's density.

        Raises
        ------
        MeshError
            When `longest` is not a positive number.
        """
        if not (np.isfinite(longest) and longest > 0):
            raise MeshError(f"longest is {longest}; expected a positive length in µm.")
        parts = np.maximum(np.ceil(self.sizes / longest), 1).astype(np.int64)
        owner = np.repeat(np.arange(len(parts)), parts)
        step = np.arange(len(owner)) - np.repeat(np.cumsum(parts) - parts, parts)
        inner = step > 0  # parts that begin at a new vertex
        place = (step[inner] / parts[owner[inner]])[:, None]
        ends = self.corners[owner[inner]]
        made = (1.0 - place) * ends[:, 0] + place * ends[:, 1]
        begin = self.segments[owner, 0].copy()
        begin[inner] = len(self.vertices) + np.arange(len(made))
        last = step == parts[owner] - 1
        end = np.where(last, self.segments[owner, 1], np.roll(begin, -1))
        vertices = np.concatenate([self.vertices, made.astype(self.dtype)])
        return Filaments(vertices, np.column_stack([begin, end]), self.density[owner])


def _walk(
    start: int, here: int, number: int, neighbours: dict[int, list[tuple[int, int]]], free: Array
) -> list[int]:  # fmt: skip
    """Return the vertices from `start` over `here`, along segment `number`, to the next end, branch or the start.

    `neighbours` has the (vertex, segment) pairs around every vertex; segments on the way are marked as not `free`.
    """
    path = [start, here]
    free[number] = False
    while here != start and len(neighbours[here]) == 2:
        onward = [(vertex, segment) for vertex, segment in neighbours[here] if free[segment]]
        if not onward:
            break
        here, number = onward[0]
        free[number] = False
        path.append(here)
    return path
