"""Join ends of filaments to each other and to filaments that they reach."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ..._typing import Floats
from .network import Network

__all__ = ["join_ends"]

_TOUCH = 1.5  # σ: an end this close to another filament meets it
_GAP = 5.0  # σ: longest gap between two ends that point at each other
_REACH = 3.0  # σ: an end meets a filament at this distance if it points at it
_STRAIGHT = 0.8  # least cosine between an end's direction and the way to what it points at


def join_ends(network: Network, sigma: Floats) -> tuple[Network, bool]:
    """Join free ends to other ends in line with them, and to filaments that they point at or touch.

    Parts that are bridged without light are removed later.

    Parameters
    ----------
    network : Network
        Filaments.
    sigma : (3,) float64
        Standard deviations of the PSF, µm.

    Returns
    -------
    network : Network
        The joined filaments.
    joined : bool
        Whether anything was joined.
    """
    degrees = network.degrees
    ends = np.flatnonzero(degrees == 1)
    if not len(ends):
        return network, False
    scaled = network.vertices / sigma
    owner, directions = _chain_of_vertices(network), {int(v): _direction(network, int(v)) / sigma for v in ends}
    tree = cKDTree(scaled)
    merges: list[tuple[int, int]] = []
    bridges: list[tuple[int, int]] = []
    taken: set[int] = set()
    for end in ends.tolist():
        if end in taken:
            continue
        ahead = directions[end] / max(float(np.linalg.norm(directions[end])), 1e-300)
        best, least = -1, np.inf
        for other in tree.query_ball_point(scaled[end], _GAP):
            if other == end or owner[other] & owner[end] or other in taken:
                continue
            way = scaled[other] - scaled[end]
            distance = float(np.linalg.norm(way))
            straight = float(way @ ahead) / max(distance, 1e-300)
            facing = degrees[other] == 1 and float(-way @ directions[other]) > 0
            limit = _GAP if facing and straight > _STRAIGHT else _REACH if straight > _STRAIGHT else _TOUCH
            if distance < limit and distance < least:
                best, least = other, distance
        if best >= 0:
            (merges if least < 1.0 else bridges).append((best, end))
            taken.add(end)
            if degrees[best] == 1:
                taken.add(best)
    if bridges:
        added = np.array(bridges)
        near = [float(network.density[(network.segments == end).any(axis=1)].mean()) for _, end in bridges]
        network = Network(
            network.vertices, np.concatenate([network.segments, added]), np.concatenate([network.density, near])
        )
    if merges:
        network = network.merged(np.array(merges))
    return network, bool(merges or bridges)


def _chain_of_vertices(network: Network) -> list[set[int]]:
    """Return the numbers of the branches to which each vertex belongs."""
    owner: list[set[int]] = [set() for _ in network.vertices]
    for number, chain in enumerate(network.chains()):
        for vertex in chain.vertices.tolist():
            owner[vertex].add(number)
    return owner


def _direction(network: Network, end: int) -> Floats:
    """Return the direction in which a filament would go on at a free end, (3,)."""
    (segment,) = np.flatnonzero((network.segments == end).any(axis=1))
    a, b = network.segments[segment]
    other = int(a if b == end else b)
    found: Floats = network.vertices[end] - network.vertices[other]
    return found
