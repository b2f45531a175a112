"""Derivatives of the image of points on a window of voxels around each, and their products: the normal matrix.

The image of a point at x with brightness b is b h(x_n - x). Its derivatives for x and b are computed where h is not
negligible; of two points only windows that overlap contribute to the normal matrix Jᵀ W J.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy import fft, sparse
from scipy.spatial import cKDTree

from ..._typing import Array, Floats, Ints
from ...image.band import Band
from ...image.volume import Grid
from ...optics import PSF, GaussianPSF
from .measurement import Measurement

__all__ = ["Windows"]

REACH = 3.0  # half width of a window, in standard deviations of the PSF
COUPLING = 6.0  # points farther apart than this, in the same unit, do not overlap
_LEAST_WIDTH = 1.0  # voxels: a narrower Gaussian is not sampled but limited to the image's band
_MANY = 4_000_000  # derivatives from which they are held in single precision


class Windows:
    """Derivatives of the image of points, each on the voxels around it.

    Parameters
    ----------
    measurement : Measurement
        Image, optics and weights.
    positions : (n, 3) float
        µm, (z, y, x); each within a window's width of the image.
    brightness : (n,) float
        Total intensity of each point.
    centre : (n, 3) int, optional
        Index of the voxel at the centre of each window; the nearest by default.

    Attributes
    ----------
    columns : (n, 4, wz, wy, wx) float
        Derivatives for z, y, x (per µm) and brightness, in voxels of the image; 0 outside of it.
    corner : (n, 3) int
        Index of each window's first voxel in the image extended by `half` on all sides.
    half : (3,) int
        Half width of the windows in voxels.
    """

    def __init__(
        self, measurement: Measurement, positions: Floats, brightness: Floats, centre: Floats | None = None
    ) -> None:
        self.measurement, self.positions = measurement, np.asarray(positions, dtype=np.float64)
        grid, self.sigma = measurement.grid, measurement.sigma
        self.half: Ints = np.maximum(np.ceil(REACH * self.sigma / grid.spacing), 2).astype(np.int64)
        nearest = np.rint(grid.to_index(self.positions) if centre is None else centre).astype(np.int64)
        self.corner: Ints = np.clip(nearest, 0, np.asarray(grid.shape) - 1)  # a window touches the image at least
        offsets = grid.to_um(self.corner) - self.positions
        value, slope = _psf_and_slopes(measurement.psf, offsets, self.half, grid)
        columns = np.concatenate([brightness[:, None, None, None, None] * slope, value[:, None]], axis=1)
        self.columns: Array = columns.astype(np.float32) if columns.size > _MANY else columns
        self.columns *= self.gather(np.ones(grid.shape))[:, None]  # nothing is measured beyond the border

    def gather(self, image: Floats) -> Floats:
        """Return the voxels of an image (z, y, x) in each window, (n, wz, wy, wx), 0 beyond its border."""
        padded = np.pad(image, [(h, h) for h in self.half])
        view = np.lib.stride_tricks.sliding_window_view(padded, tuple(2 * self.half + 1))
        found: Floats = view[self.corner[:, 0], self.corner[:, 1], self.corner[:, 2]]
        return found

    @functools.cached_property
    def weights(self) -> Floats:
        """Weights in each window, (n, wz, wy, wx)."""
        return self.gather(self.measurement.weights)

    def project(self, image: Floats) -> Floats:
        """Return Jᵀ W image: the sums of an image times weights and each derivative, (n, 4)."""
        found: Floats = np.einsum("nkzyx,nzyx->nk", self.columns, self.gather(image) * self.weights, optimize=True)
        return found

    def normal_matrix(self) -> sparse.csr_matrix:
        """Return Jᵀ W J of all points, (4 n, 4 n) sparse, the four unknowns of a point side by side."""
        count = len(self.positions)
        scaled = self.columns * np.sqrt(self.weights)[:, None].astype(self.columns.dtype)
        pairs = cKDTree(self.positions / self.sigma).query_pairs(COUPLING, output_type="ndarray")
        flat = scaled.reshape(count, 4, -1)
        own = np.matmul(flat, flat.transpose(0, 2, 1)).astype(np.float64)
        blocks = np.empty((len(pairs), 4, 4))
        shape = np.asarray(scaled.shape[2:])
        shift = self.corner[pairs[:, 1]] - self.corner[pairs[:, 0]]
        first, last = np.maximum(shift, 0), np.minimum(shape + shift, shape)
        for k, (i, j) in enumerate(pairs.tolist()):
            (z0, y0, x0), (z1, y1, x1), (dz, dy, dx) = first[k].tolist(), last[k].tolist(), shift[k].tolist()
            one = scaled[i, :, z0:z1, y0:y1, x0:x1].reshape(4, -1)
            two = scaled[j, :, z0 - dz : z1 - dz, y0 - dy : y1 - dy, x0 - dx : x1 - dx].reshape(4, -1)
            blocks[k] = one @ two.T
        data = np.concatenate([own, blocks, blocks.transpose(0, 2, 1)])
        rows = np.concatenate([np.arange(count), pairs[:, 0], pairs[:, 1]])
        cols = np.concatenate([np.arange(count), pairs[:, 1], pairs[:, 0]])
        step = np.arange(4)
        row = np.broadcast_to((4 * rows)[:, None, None] + step[None, :, None], data.shape).ravel()
        col = np.broadcast_to((4 * cols)[:, None, None] + step[None, None, :], data.shape).ravel()
        return sparse.csr_matrix((data.ravel(), (row, col)), shape=(4 * count, 4 * count))


def _psf_and_slopes(psf: PSF, offsets: Floats, half: Ints, grid: Grid) -> tuple[Floats, Floats]:
    """Return h and its derivatives for the point's position on the window around each point.

    `offsets` (n, 3) lead from the point to its window's central voxel, µm. Shapes are (n, wz, wy, wx) and
    (n, 3, wz, wy, wx), in 1/µm³ and 1/µm⁴.
    """
    if isinstance(psf, GaussianPSF):
        variances = np.diag(psf.covariance)
        diagonal = np.count_nonzero(psf.covariance - np.diag(variances)) == 0
        if diagonal and (np.sqrt(variances) >= _LEAST_WIDTH * np.asarray(grid.spacing)).all():
            return _gaussian(variances, offsets, half, grid)
    return _sampled(psf, offsets, half, grid)


def _gaussian(variances: Floats, offsets: Floats, half: Ints, grid: Grid) -> tuple[Floats, Floats]:
    """Return :func:`_psf_and_slopes` of a Gaussian with a diagonal covariance: products of three profiles."""
    values, slopes = [], []
    for axis in range(3):
        distance = offsets[:, axis, None] + grid.spacing[axis] * np.arange(-half[axis], half[axis] + 1)
        profile = np.exp(-0.5 * distance**2 / variances[axis]) / np.sqrt(2.0 * np.pi * variances[axis])
        values.append(profile)
        slopes.append(profile * distance / variances[axis])
    made = []
    for sloped in (-1, 0, 1, 2):
        z, y, x = (slopes[a] if a == sloped else values[a] for a in range(3))
        made.append(z[:, :, None, None] * (y[:, None, :, None] * x[:, None, None, :]))
    return made[0], np.stack(made[1:], axis=1)


def _sampled(psf: PSF, offsets: Floats, half: Ints, grid: Grid) -> tuple[Floats, Floats]:
    """Return :func:`_psf_and_slopes` of any PSF, limited to the image's band, by a Fourier series on a wider window."""
    shape = [fft.next_fast_len(2 * (2 * int(h) + 1), real=True) for h in half]
    box = Grid((shape[0], shape[1], shape[2]), grid.spacing)
    band = Band.symmetric(box)
    otf = psf.otf_on(band) / box.volume
    axes = [np.asarray(axis) for axis in band.axes]
    count = len(offsets)
    values = np.empty((count, 4, *(2 * half + 1)))
    index = np.ix_(*[np.arange(-h, h + 1) % n for h, n in zip(half, shape)])
    for k in range(count):
        z, y, x = (np.exp(1j * offset * axis) for offset, axis in zip(offsets[k], axes))
        shifted = otf * z * y * x
        for part, factor in enumerate([*(-1j * axis for axis in axes), 1.0]):
            whole = np.fft.irfftn(band.expand(shifted * factor), shape, axes=(0, 1, 2)) * box.size
            values[k, part] = whole[index]
    return values[:, 3], values[:, :3]
