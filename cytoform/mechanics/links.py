"""Which interfaces and regions of touching cells are linked by equations, so that they share one scale."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .._typing import Bools, Ints
from .reading import Shape

__all__ = ["Links", "find_links"]


@dataclasses.dataclass(frozen=True, eq=False)
class Links:
    """The interfaces of a mesh, and which of them are linked.

    Parameters
    ----------
    pairs : (n_interfaces, 2) int64
        The two regions of every interface, the smaller number first.
    numbers : (n_faces,) int64
        Interface of every face.
    active : (n_interfaces,) bool
        Interfaces with at least one face that has an equation.
    linked : (n_interfaces,) bool
        Active interfaces in the largest group that junction lines join: only within a group ratios are known.
    reference : int
        Region with pressure 0: the outside, or a cell where no face to the outside has an equation.
    components : (n_regions_and_outside,) int64
        Number of the group of each region, by the region's number; active interfaces join regions.
    """

    pairs: Ints
    numbers: Ints
    active: Bools
    linked: Bools
    reference: int
    components: Ints

    def region_linked(self, region: int) -> bool:
        """Tell whether active interfaces lead from a region, by its number, to the reference of pressures."""
        return bool(self.components[region] == self.components[self.reference])


def find_links(shape: Shape, pairs: Ints, numbers: Ints, active: Bools) -> Links:
    """Find which interfaces meet at junction edges with an equation, and which regions active interfaces join.

    Parameters
    ----------
    shape : Shape
        The mesh.
    pairs : (n_interfaces, 2) int64
        The two regions of every interface.
    numbers : (n_faces,) int64
        Interface of every face.
    active : (n_faces,) bool
        Faces with an equation.

    Returns
    -------
    Links
        The largest group of linked interfaces is that with the largest number of them.
    """
    n = len(pairs)
    on = np.bincount(numbers[active], minlength=n) > 0
    groups = _groups(_meeting(shape, numbers), n)
    sizes = np.bincount(groups[on], minlength=n) if on.any() else np.zeros(n, dtype=np.int64)
    linked = on & (groups == sizes.argmax())
    among = linked if linked.any() else on
    components = _groups(pairs[among], int(pairs.max()) + 1)
    outside = bool((pairs[among] == 0).any())
    reference = 0 if outside or not among.any() else int(pairs[among].min())
    return Links(pairs, numbers, on, linked, reference, components)


def _groups(links: Ints, size: int) -> Ints:
    """Return the group of each of `size` things of which pairs `links` (n, 2) belong together, (size,)."""
    graph = coo_matrix((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(size, size))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _meeting(shape: Shape, numbers: Ints) -> Ints:
    """Return pairs of interfaces that meet at a junction edge with an equation, (n, 2)."""
    junction_edges, faces = shape.junctions.edges, shape.faces
    if len(junction_edges) == 0:
        return np.zeros((0, 2), dtype=np.int64)
    size = len(shape.vertices)
    known = ~shape.excluded[junction_edges].any(axis=1)
    wanted = np.sort(junction_edges[known, 0] * size + junction_edges[known, 1])
    sides = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]], axis=2).reshape(-1, 2)
    keys, owners = sides[:, 0] * size + sides[:, 1], np.repeat(numbers, 3)
    hit = np.isin(keys, wanted)
    order = np.argsort(keys[hit], kind="stable")
    keys, owners = keys[hit][order], owners[hit][order]
    same = keys[1:] == keys[:-1]
    return np.unique(np.stack([owners[:-1][same], owners[1:][same]], axis=1), axis=0)
