"""A network of filaments as the unknowns of a fit, with a prior on bends and on changes of the density.

Bends cost energy as those of a worm-like chain do: P/2 ∫ κ² ds for the persistence length P (Kratky, Porod 1949). With
second differences of the vertices it also keeps vertices evenly spaced along the line, where the image says nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np
from scipy import sparse

from ..._typing import Floats, Ints
from ...mesh.filaments import Filaments
from ..sources.measurement import Measurement
from .config import FilamentsConfig
from .network import Network

__all__ = ["FilamentSources"]

_LONGEST_MOVE = 0.7  # of a vertex in one step, standard deviations of the PSF
_NODES = np.array([0.5 - 0.5 / np.sqrt(3.0), 0.5 + 0.5 / np.sqrt(3.0)])  # Gauss's rule of two points
_OUTSIDE = 1.0  # how far a vertex may lie beyond the outer edges of the image, standard deviations of the PSF


@dataclasses.dataclass(frozen=True, eq=False)
class FilamentSources:
    """A network whose vertices and densities are fitted; the unknowns are all coordinates, then the densities.

    Parameters
    ----------
    network : Network
        Present network.
    reference : Network
        Network whose lengths and densities set the strength of the prior; it stays the same while the fit moves.
    measurement : Measurement
        Its grid and widths bound positions and moves.
    config : FilamentsConfig
        Strengths of the prior.
    """

    network: Network
    reference: Network
    measurement: Measurement
    config: FilamentsConfig

    @property
    def size(self) -> float:
        """Geometric mean of the PSF's standard deviations, µm."""
        return float(np.exp(np.log(self.measurement.sigma).mean()))

    @property
    def unknowns(self) -> Floats:
        """Coordinates of all vertices, then all densities, (3 n + m,)."""
        return np.concatenate([self.network.vertices.ravel(), self.network.density])

    def moved(self, step: Floats) -> FilamentSources:
        """Return the network after a step; long moves are shortened, densities stay 0 or more."""
        count, sigma = len(self.network.vertices), self.measurement.sigma
        change = step[: 3 * count].reshape(-1, 3)
        scale = np.minimum(1.0, _LONGEST_MOVE / np.maximum(np.linalg.norm(change / sigma, axis=1), 1e-300))
        grid, margin = self.measurement.grid, _OUTSIDE * sigma
        low, high = grid.to_um(np.full(3, -0.5)) - margin, grid.to_um(np.asarray(grid.shape) - 0.5) + margin
        vertices = np.clip(self.network.vertices + scale[:, None] * change, low, high)
        density = np.maximum(self.network.density + step[3 * count :], 0.0)
        return dataclasses.replace(self, network=Network(vertices, self.network.segments, density))

    def simplices(self) -> Filaments:
        """Return the filaments to render."""
        return self.network.filaments()

    def quadrature(self) -> tuple[Floats, Floats, sparse.csr_matrix]:
        """Return two points of light for each segment, and their derivatives for the unknowns."""
        network = self.network
        ends, lengths = network.vertices[network.segments], np.maximum(network.lengths, 1e-12)
        share = np.stack([1.0 - _NODES, _NODES], axis=1)  # of the two ends, at each node
        positions = np.einsum("qa,mak->mqk", share, ends).reshape(-1, 3)
        brightness = np.repeat(0.5 * network.density * lengths, 2)
        count, total = len(network.vertices), len(lengths)
        point = np.arange(2 * total).reshape(total, 2)
        rows, cols, values = [], [], []
        tangent = network.edges / lengths[:, None]
        for node in range(2):
            for end, sign in ((0, -1.0), (1, 1.0)):
                for axis in range(3):
                    column = 3 * network.segments[:, end] + axis
                    rows += [4 * point[:, node] + axis, 4 * point[:, node] + 3]
                    cols += [column, column]
                    values += [np.full(total, share[node, end]), sign * 0.5 * network.density * tangent[:, axis]]
            rows.append(4 * point[:, node] + 3)
            cols.append(3 * count + np.arange(total))
            values.append(0.5 * lengths)
        jacobian = sparse.csr_matrix(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols))), shape=(8 * total, 3 * count + total)
        )
        return positions, brightness, jacobian

    def prior(self) -> tuple[float, Floats, sparse.csr_matrix]:
        """Return the energy of bends and changes of density, its gradient and second derivatives; it is quadratic."""
        stiffness = self._stiffness
        unknowns = self.unknowns
        slope: Floats = stiffness @ unknowns
        return 0.5 * float(unknowns @ slope), slope, stiffness

    @functools.cached_property
    def _triples(self) -> tuple[Ints, Ints]:
        """Vertices before, at and behind each inner vertex of a branch, (k, 3), and the two segments there, (k, 2)."""
        vertices, segments = [], []
        for chain in self.reference.chains():
            path, passed = chain.vertices, chain.segments
            vertices += list(zip(path[:-2], path[1:-1], path[2:]))
            segments += list(itertools.pairwise(passed))
            if path[0] == path[-1] and len(path) > 3 and self.reference.degrees[path[0]] == 2:
                vertices.append((path[-2], path[0], path[1]))
                segments.append((passed[-1], passed[0]))
        return np.array(vertices, dtype=np.int64).reshape(-1, 3), np.array(segments, dtype=np.int64).reshape(-1, 2)

    @functools.cached_property
    def _stiffness(self) -> sparse.csr_matrix:
        """Second derivatives of the prior, (3 n + m, 3 n + m); those of the reference, so that they stay the same."""
        network, config, size = self.reference, self.config, self.size
        vertices, segments = self._triples
        count, total = len(network.vertices), len(network.segments)
        lengths = np.maximum(network.lengths, 0.2 * size)
        mean = 0.5 * lengths[segments].sum(axis=1) if len(segments) else np.zeros(0)
        row = np.arange(len(vertices))
        second = sparse.csr_matrix(
            (np.tile([1.0, -2.0, 1.0], len(row)), (np.repeat(row, 3), vertices.ravel())), shape=(len(row), count)
        )
        bend = second.T @ sparse.diags(config.persistence * size / np.maximum(mean, 1e-12) ** 3) @ second
        first = sparse.csr_matrix(
            (np.tile([1.0, -1.0], len(row)), (np.repeat(row, 2), segments.ravel())), shape=(len(row), total)
        )
        typical = np.maximum(network.density[segments].mean(axis=1), 0.2 * float(np.median(network.density)))
        spread = config.density_change * np.maximum(typical, 1e-300) * np.sqrt(mean / size)
        change = first.T @ sparse.diags(1.0 / spread**2) @ first
        return sparse.csr_matrix(sparse.block_diag([sparse.kron(bend, sparse.identity(3)), change]))

    def with_network(self, network: Network) -> FilamentSources:
        """Return another network with the same settings, which is its own reference."""
        return dataclasses.replace(self, network=network, reference=network)
