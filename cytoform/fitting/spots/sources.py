"""Points of light as unknowns of a fit: three coordinates and a brightness each."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import sparse

from ..._typing import Bools, Floats
from ...mesh.points import PointSet
from ..sources.measurement import Measurement

__all__ = ["PointSources"]

_LONGEST_MOVE = 0.7  # of a point in one step, standard deviations of the PSF
_LEAST = 1e-3  # brightness that a point keeps, in parts of the median
_OUTSIDE = 1.0  # how far a point may lie beyond the outer edges of the image, standard deviations of the PSF


@dataclasses.dataclass(frozen=True, eq=False)
class PointSources:
    """Points of light whose positions and brightnesses are fitted.

    Parameters
    ----------
    positions : (n, 3) float64
        µm, (z, y, x).
    brightness : (n,) float64
        Total intensities, above 0.
    measurement : Measurement
        Its grid and widths bound positions and moves.
    """

    positions: Floats
    brightness: Floats
    measurement: Measurement

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.positions)

    @property
    def unknowns(self) -> Floats:
        """Position and brightness of each point, one point after another, (4 n,)."""
        return np.column_stack([self.positions, self.brightness]).ravel()

    def moved(self, step: Floats) -> PointSources:
        """Return the points after a step (4 n,); long moves are shortened, brightnesses stay above 0."""
        change, sigma = step.reshape(-1, 4), self.measurement.sigma
        length = np.linalg.norm(change[:, :3] / sigma, axis=1)
        scale = np.minimum(1.0, _LONGEST_MOVE / np.maximum(length, 1e-300))
        grid, margin = self.measurement.grid, _OUTSIDE * sigma
        low, high = grid.to_um(np.full(3, -0.5)) - margin, grid.to_um(np.asarray(grid.shape) - 0.5) + margin
        positions = np.clip(self.positions + scale[:, None] * change[:, :3], low, high)
        least = _LEAST * float(np.median(self.brightness))
        bounded = np.clip(self.brightness + change[:, 3], 0.2 * self.brightness, None)
        return PointSources(positions, np.maximum(bounded, least), self.measurement)

    def simplices(self) -> PointSet:
        """Return the points to render."""
        return PointSet(self.positions, self.brightness)

    def quadrature(self) -> tuple[Floats, Floats, sparse.csr_matrix]:
        """Return positions, brightnesses and the Jacobian, which is the identity."""
        return self.positions, self.brightness, sparse.identity(4 * len(self), format="csr")

    def prior(self) -> tuple[float, Floats, sparse.csr_matrix]:
        """Return zeros: nothing is known of points beforehand."""
        count = 4 * len(self)
        return 0.0, np.zeros(count), sparse.csr_matrix((count, count))

    def where(self, kept: Bools) -> PointSources:
        """Return the points of a mask (n,)."""
        return PointSources(self.positions[kept], self.brightness[kept], self.measurement)

    def joined(self, positions: Floats, brightness: Floats) -> PointSources:
        """Return these points and further ones, (m, 3) and (m,), behind them."""
        return PointSources(
            np.concatenate([self.positions, positions]), np.concatenate([self.brightness, brightness]), self.measurement
        )
