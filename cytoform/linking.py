"""Link objects over time.

A *link* joins an object of one frame to the same object in a later one. A *gap* is a run of frames in which an object
is not detected; its last position is kept until it is detected again. In a *division* a *parent* becomes two
*daughters*.

:class:`PlaceLinker` links by centroids, :class:`OverlapLinker` by overlap; :class:`Lineage` holds divisions that are
known beforehand. A linker receives one frame after another and stores the frames that later links need.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize

from ._typing import Bools, Floats, Ints

__all__ = ["Lineage", "OverlapLinker", "PlaceLinker"]


_HALF = 0.5  # overlaps of more than half of the earlier object all count alike


@dataclasses.dataclass(frozen=True)
class Lineage:
    """Divisions that are known: by label of the parent the labels of its daughters.

    Daughters count as their parent's: a parent and its daughters are one track, of which there are two objects from the
    division on.
    """

    divisions: Mapping[int, tuple[int, int]] = dataclasses.field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.divisions)

    def parent(self, label: int) -> int | None:
        """Label of the parent; None where it is nobody's daughter."""
        return {daughter: parent for parent, pair in self.divisions.items() for daughter in pair}.get(label)

    def track(self, label: int) -> int:
        """Label of the track that an object belongs to: its parent's, or its own."""
        parent = self.parent(label)
        return label if parent is None else parent

    def with_daughters(self, labels: Iterable[int]) -> set[int]:
        """The labels and those of their daughters."""
        parents = set(labels)
        return parents | {daughter for label in parents for daughter in self.divisions.get(label, ())}


class PlaceLinker:
    """Links objects to those whose places among the others are nearest.

    Places are counted from the frame's common centroid, so that all may drift together, and are linked so that the sum
    of squared ways is least. After a frame with another number of objects (a gap, a division) the order is as it comes.
    """

    def __init__(self) -> None:
        self._last: Floats = np.empty((0, 3))

    def order(self, places: npt.ArrayLike, volumes: npt.ArrayLike) -> Ints:
        """Index of each object of a frame, in the order of the objects of the frame before that they are linked to.

        Parameters
        ----------
        places : (n, 3) float
            Centroids, µm.
        volumes : (n,) float
            Their weights in the common centroid.

        Returns
        -------
        (n,) int
        """
        sizes = np.asarray(volumes, dtype=np.float64)
        centred = np.asarray(places, dtype=np.float64)
        centred = centred - sizes @ centred / sizes.sum()
        order = np.arange(len(centred))
        if 1 < len(centred) == len(self._last):
            squared_distances = ((self._last[:, None] - centred[None]) ** 2).sum(axis=-1)
            order = optimize.linear_sum_assignment(squared_distances)[1]
        self._last = centred[order]
        return order


class OverlapLinker:
    """Gives the objects of each frame the numbers of those that they overlap in the frames before.

    In the first frame the largest is 0. When an object divides, the daughter that covers more of it keeps its number
    and the other gets the next; when two objects become one again, it has the lower number of those that it covers.
    Numbers outlast gaps: objects that overlap with nothing take the free number whose last place was nearest.
    """

    def __init__(self) -> None:
        self._last: list[Bools] = []

    def order(self, labels: npt.NDArray[np.integer[Any]], count: int) -> list[int]:
        """Numbers of the objects of a frame, (count,), from 0.

        Parameters
        ----------
        labels : (z, y, x) int
            1 to `count` in the objects, the largest first.
        count : int
        """
        bodies = [labels == number for number in range(1, count + 1)]
        known = len(self._last)
        score = np.full((count, known + count), -1.0) - 1e-6 * np.arange(
            known + count
        )  # a new number has the lowest score
        for row, body in enumerate(bodies):
            for column, last in enumerate(self._last):
                score[row, column] = self._similarity(body, last) - 1e-6 * column
        rows, columns = optimize.linear_sum_assignment(-score)
        found = [int(c) for _, c in sorted(zip(rows, columns))]
        for body, number in sorted(zip(bodies, found), key=lambda item: item[1]):
            self._last[number : number + 1] = [body]
        return found

    @staticmethod
    def _similarity(body: Bools, last: Bools) -> float:
        covered = float((body & last).sum()) / float(last.sum())
        if covered > 0:
            return min(covered, _HALF)
        apart = np.subtract(ndimage.center_of_mass(body), ndimage.center_of_mass(last))
        return -1e-3 * float(np.linalg.norm(apart) / np.linalg.norm(body.shape))
