"""Link objects over time.

A *link* joins an object of one frame to the same object in a later one. A *gap* is a run of frames in which an object
is not detected; its last position is kept until it is detected again. In a *division* a *parent* becomes two
*daughters*.

:class:`CentroidLinker` links by centroids, :class:`OverlapLinker` by overlap; :class:`Lineage` holds divisions that are
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

__all__ = ["CentroidLinker", "Lineage", "OverlapLinker"]


_HALF = 0.5  # overlaps of more than half of the earlier object all count alike


@dataclasses.dataclass(frozen=True)
class Lineage:
    """Known divisions: the labels of the two daughters for each label of a parent.

    A parent and its daughters form one track, which has two objects from the division on.

    Parameters
    ----------
    divisions : mapping of int to (int, int)
        Labels of the daughters by label of the parent; none by default.
    """

    divisions: Mapping[int, tuple[int, int]] = dataclasses.field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether there are any divisions."""
        return bool(self.divisions)

    def parent(self, label: int) -> int | None:
        """Return the label of an object's parent, or None where the object is no daughter."""
        return {daughter: parent for parent, pair in self.divisions.items() for daughter in pair}.get(label)

    def track(self, label: int) -> int:
        """Return the label of the track that an object belongs to: its parent's label, or its own where it has none."""
        parent = self.parent(label)
        return label if parent is None else parent

    def with_daughters(self, labels: Iterable[int]) -> set[int]:
        """Return the set of some labels together with the labels of their daughters."""
        parents = set(labels)
        return parents | {daughter for label in parents for daughter in self.divisions.get(label, ())}


class CentroidLinker:
    """A linker that pairs the objects of successive frames by their centroids, one to one.

    Centroids are measured from the frame's common centroid, so that all may drift together; the links minimise the sum
    of squared distances. After a frame with another number of objects (a gap, a division) the objects keep their own
    order.
    """

    def __init__(self) -> None:
        """Start before the first frame."""
        self._last: Floats = np.empty((0, 3))

    def order(self, places: npt.ArrayLike, volumes: npt.ArrayLike) -> Ints:
        """Return the indices of a frame's objects in the order of those in the frame before to which they are linked.

        The frame is stored for the next call.

        Parameters
        ----------
        places : (n, 3) float
            Centroids in µm.
        volumes : (n,) float
            Volumes, which weight the centroids in the frame's common one.

        Returns
        -------
        (n,) int
            Entry k is the index, in this frame, of the object linked to number k of the frame before.
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
    """A linker that gives the objects of each frame the numbers of those that they overlap in earlier frames.

    In the first frame the largest is 0. When an object divides, the daughter that covers more of it keeps its number
    and the other gets the next; when two objects become one again, it has the lower number of those that it covers.
    Numbers are kept through gaps: objects that overlap with none take the free number whose last centroid was nearest.
    """

    def __init__(self) -> None:
        """Start before the first frame."""
        self._last: list[Bools] = []

    def order(self, labels: npt.NDArray[np.integer[Any]], count: int) -> list[int]:
        """Return the numbers of a frame's objects, and store their masks for the next frames.

        Parameters
        ----------
        labels : (z, y, x) int
            Label image with 1 to `count` in the objects, the largest first, 0 elsewhere.
        count : int
            Number of objects.

        Returns
        -------
        list of int
            Number of each object, from 0, in the order of the labels.
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
        """Return the score of a link between an object's mask and an earlier one, (z, y, x) bool.

        It is the covered share of the earlier object, at most 0.5; without overlap it is negative, -0.001 times the
        distance of the centroids over the diagonal of the image.
        """
        covered = float((body & last).sum()) / float(last.sum())
        if covered > 0:
            return min(covered, _HALF)
        apart = np.subtract(ndimage.center_of_mass(body), ndimage.center_of_mass(last))
        return -1e-3 * float(np.linalg.norm(apart) / np.linalg.norm(body.shape))
