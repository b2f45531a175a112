"""A network of filaments as vertices and segments, and what changes its connections: resampling, joining, removing."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from scipy.interpolate import CubicSpline

from ..._typing import Bools, Floats, Ints
from ...mesh.filaments import Filaments

__all__ = ["Chain", "Network"]


@dataclasses.dataclass(frozen=True, eq=False)
class Chain:
    """A branch: the vertices from one end or branching to the next, and the segments between them.

    Parameters
    ----------
    vertices : (n,) int
        Indices along the branch; the first and the last are equal in a closed one.
    segments : (n - 1,) int
        Indices of the segments along it.
    """

    vertices: Ints
    segments: Ints


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """Vertices, segments between them, and a density of each segment.

    Parameters
    ----------
    vertices : (n, 3) float64
        µm, (z, y, x).
    segments : (m, 2) int
        The two vertices of each.
    density : (m,) float64
        Intensity per µm.
    """

    vertices: Floats
    segments: Ints
    density: Floats

    @classmethod
    def of(cls, filaments: Filaments) -> Network:
        """Make a network of filaments that can be rendered."""
        vertices = np.asarray(filaments.vertices, dtype=np.float64)
        return cls(vertices, filaments.segments, np.asarray(filaments.density, dtype=np.float64))

    def filaments(self) -> Filaments:
        """Return the filaments to render."""
        return Filaments(self.vertices, self.segments, self.density)

    @property
    def edges(self) -> Floats:
        """Vectors along the segments, (m, 3) µm."""
        found: Floats = self.vertices[self.segments[:, 1]] - self.vertices[self.segments[:, 0]]
        return found

    @property
    def lengths(self) -> Floats:
        """Length of each segment, (m,) µm."""
        found: Floats = np.linalg.norm(self.edges, axis=1)
        return found

    @property
    def degrees(self) -> Ints:
        """Number of segments at each vertex, (n,)."""
        return np.bincount(self.segments.ravel(), minlength=len(self.vertices))

    def chains(self) -> list[Chain]:
        """Return all branches, each segment once."""
        around: dict[int, list[tuple[int, int]]] = {}
        for number, (a, b) in enumerate(self.segments.tolist()):
            around.setdefault(a, []).append((b, number))
            around.setdefault(b, []).append((a, number))
        free = np.ones(len(self.segments), dtype=bool)
        found = []
        for start in [*sorted(v for v, near in around.items() if len(near) != 2), *sorted(around)]:
            for other, number in around[start]:
                if not free[number]:
                    continue
                path, passed, here = [start, other], [number], other
                free[number] = False
                while here != start and len(around[here]) == 2:
                    onward = [(v, n) for v, n in around[here] if free[n]]
                    if not onward:
                        break
                    here, number = onward[0]
                    free[number] = False
                    path.append(here)
                    passed.append(number)
                found.append(Chain(np.array(path), np.array(passed)))
        return found

    def where(self, kept: Bools) -> Network:
        """Return the segments of a mask (m,), without vertices that none of them uses."""
        segments = self.segments[kept]
        used = np.unique(segments)
        place = np.zeros(len(self.vertices), dtype=np.int64)
        place[used] = np.arange(len(used))
        return Network(self.vertices[used], place[segments], self.density[kept])

    def joined(self, other: Network) -> Network:
        """Return this network and another one, not connected."""
        segments = np.concatenate([self.segments, other.segments + len(self.vertices)])
        return Network(
            np.concatenate([self.vertices, other.vertices]), segments, np.concatenate([self.density, other.density])
        )

    def merged(self, pairs: Ints) -> Network:
        """Return the network with pairs of vertices (k, 2) made one; segments that vanish or repeat are left out."""
        root = np.arange(len(self.vertices))
        for a, b in pairs.tolist():
            root[root == root[b]] = root[a]
        segments = np.sort(root[self.segments], axis=1)
        _, first = np.unique(segments, axis=0, return_index=True)
        kept = np.zeros(len(segments), dtype=bool)
        kept[first] = True
        kept &= segments[:, 0] != segments[:, 1]
        return Network(self.vertices, segments, self.density).where(kept)

    def resampled(self, step: float, smoothing: int = 0) -> Network:
        """Return the network with all branches divided into equal segments of about a given length.

        Parameters
        ----------
        step : float
            Length of a segment, µm.
        smoothing : int
            How many times inner vertices are averaged with their neighbours first.

        Returns
        -------
        Network
            Ends and branchings stay where they are; the vertices between lie on a cubic spline through the former ones.
        """
        ends = {v for chain in self.chains() for v in (int(chain.vertices[0]), int(chain.vertices[-1]))}
        number = {v: k for k, v in enumerate(sorted(ends))}
        vertices = [self.vertices[v] for v in sorted(ends)]
        segments, density = [], []
        for chain in self.chains():
            places, strengths = _resampled_line(
                self.vertices[chain.vertices], self.density[chain.segments], step, smoothing
            )
            closed = chain.vertices[0] == chain.vertices[-1]
            if closed and len(places) < 4:
                continue  # a loop of no size
            inner = list(range(len(vertices), len(vertices) + len(places) - 2))
            vertices.extend(places[1:-1])
            path = [number[int(chain.vertices[0])], *inner, number[int(chain.vertices[-1])]]
            segments += list(itertools.pairwise(path))
            density += strengths.tolist()
        made = Network(np.array(vertices), np.array(segments, dtype=np.int64).reshape(-1, 2), np.array(density))
        return made.where(np.ones(len(segments), dtype=bool))


def _resampled_line(places: Floats, density: Floats, step: float, smoothing: int) -> tuple[Floats, Floats]:
    """Return a line's vertices at equal distances near `step` on a spline through it, and the density between them."""
    places = places.copy()
    for _ in range(smoothing):
        places[1:-1] = 0.25 * places[:-2] + 0.5 * places[1:-1] + 0.25 * places[2:]
    sizes = np.maximum(np.linalg.norm(np.diff(places, axis=0), axis=1), 1e-12)
    along = np.concatenate([[0.0], np.cumsum(sizes)])
    count = max(round(float(along[-1]) / step), 1)
    at = np.linspace(0.0, along[-1], count + 1)
    if len(places) >= 4 and not np.array_equal(places[0], places[-1]):
        found = CubicSpline(along, places, axis=0)(at)
    else:
        found = np.column_stack([np.interp(at, along, column) for column in places.T])
    middle = 0.5 * (along[1:] + along[:-1])
    return found, np.interp(0.5 * (at[1:] + at[:-1]), middle, density)
