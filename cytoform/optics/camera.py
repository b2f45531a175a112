"""A camera: photo-electrons are counted (Poisson noise), amplified, and read out with Gaussian noise."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .._typing import Array, Floats
from ..errors import ConfigError, VolumeError
from ..image.volume import Volume

__all__ = ["Camera", "Likelihood"]


_LEAST_ELECTRONS = 1e-3  # photo-electrons; below, the likelihood continues as its tangent
_SECOND_DIFFERENCE = np.outer(
    [1.0, -2.0, 1.0], [1.0, -2.0, 1.0]
)  # zero on planes and on ridges along x or y; variance 36 σ²
_BINS = 24


@dataclasses.dataclass(frozen=True, eq=False)
class Likelihood:
    """A negative log-likelihood and its gradient.

    Parameters
    ----------
    value : float
        Negative log-likelihood, summed over all voxels.
    gradient : float64 array
        Its derivative for the model in each voxel, counts⁻¹, of the model's shape.
    """

    value: float
    gradient: Floats


@dataclasses.dataclass(frozen=True)
class Camera:
    """A camera: counts = gain · (Poisson(electrons) + read noise) + offset.

    Parameters
    ----------
    gain : float
        Counts (grey values) per photo-electron, positive.
    offset : float
        Counts where there is no light.
    read_noise : float
        Standard deviation of the Gaussian read-out noise, photo-electrons, 0 or more.
    bits : int, optional
        Depth of the digitiser, 1 to 32: simulated counts are rounded and clipped to 0 … 2^bits - 1. None neither rounds
        nor clips.

    Raises
    ------
    ConfigError
        For values out of range.
    """

    gain: float = 1.0
    offset: float = 0.0
    read_noise: float = 0.0
    bits: int | None = None

    def __post_init__(self) -> None:
        ranges = {"gain": 0.0 < self.gain, "offset": True, "read_noise": 0.0 <= self.read_noise}
        for name, good in ranges.items():
            if not (math.isfinite(getattr(self, name)) and good):
                wanted = {
                    "gain": "counts per electron above 0",
                    "offset": "counts",
                    "read_noise": "0 electrons or more",
                }
                raise ConfigError(f"the camera's {name} is {getattr(self, name)!r}; expected {wanted[name]}.")
        if self.bits is not None and not (int(self.bits) == self.bits and 1 <= self.bits <= 32):
            raise ConfigError(f"the camera's bits are {self.bits!r}; expected a whole number of 1 to 32, or None.")

    @property
    def saturation(self) -> float:
        """Largest count that the digitiser gives, 2^bits - 1; infinite where `bits` is None."""
        return math.inf if self.bits is None else float(2**self.bits - 1)

    def expected(self, electrons: npt.ArrayLike) -> Floats:
        """Convert expected photo-electrons to the mean of the counts, gain · electrons + offset.

        Parameters
        ----------
        electrons : float, any shape
            Expected photo-electrons per voxel.

        Returns
        -------
        float64, the shape of `electrons`
            Mean counts.
        """
        return self.gain * np.asarray(electrons, dtype=np.float64) + self.offset

    def simulate(self, electrons: npt.ArrayLike, seed: int | np.random.Generator = 0) -> Array:
        """Draw random counts for the expected number of photo-electrons in each voxel.

        Parameters
        ----------
        electrons : float, any shape
            Expected photo-electrons, 0 or more: photons times the quantum efficiency.
        seed : int or Generator
            Seed of the random numbers, 0 by default, or a NumPy generator.

        Returns
        -------
        uint16, uint32 or float64, the shape of `electrons`
            Counts: integers up to 16 or 32 bits, or float64 where `bits` is None.

        Raises
        ------
        ConfigError
            For negative or infinite light.
        """
        light = np.asarray(electrons, dtype=np.float64)
        if not np.isfinite(light).all() or light.min(initial=0.0) < 0:
            raise ConfigError(
                f"the expected electrons reach down to {light.min(initial=0.0):g}; expected finite numbers, 0 or more.",
                remedy="A rendering may ring below 0: numpy.clip(image, 0, None).",
            )
        rng = np.random.default_rng(seed)
        counts = self.gain * (rng.poisson(light) + self.read_noise * rng.normal(size=light.shape)) + self.offset
        if self.bits is None:
            return counts
        return np.clip(np.rint(counts), 0, self.saturation).astype(np.uint16 if self.bits <= 16 else np.uint32)

    def electrons(self, counts: npt.ArrayLike) -> Floats:
        """Convert counts to photo-electrons, (counts - offset) / gain.

        Parameters
        ----------
        counts : float, any shape
            Counts of the camera.

        Returns
        -------
        float64, the shape of `counts`
            Photo-electrons; negative below the offset.
        """
        return (np.asarray(counts, dtype=np.float64) - self.offset) / self.gain

    def variance(self, model: npt.ArrayLike) -> Floats:
        """Return the variance of counts with a given mean, gain² (electrons + read noise²).

        Parameters
        ----------
        model : float, any shape
            Mean counts. Below the offset they stand for 0 electrons.

        Returns
        -------
        float64, the shape of `model`
            Variance, counts².
        """
        return self.gain**2 * (np.maximum(self.electrons(model), 0.0) + self.read_noise**2)

    def weights(self, model: npt.ArrayLike) -> Floats:
        """Return 1 / variance of counts with a given mean, for iteratively reweighted least squares.

        Parameters
        ----------
        model : float, any shape
            Mean counts.

        Returns
        -------
        float64, the shape of `model`
            Weights, counts⁻². The variance is taken to be that of 0.001 electrons at least, since a camera without read
            noise has none in the dark.
        """
        return 1.0 / np.maximum(self.variance(model), _LEAST_ELECTRONS * self.gain**2)

    def negative_log_likelihood(self, model: npt.ArrayLike, observed: npt.ArrayLike) -> Likelihood:
        """Return the negative log-likelihood of observed counts for a model of their mean, with its gradient.

        The sum of a Poisson and a Gaussian variable has no closed density. Both are approximated by one shifted Poisson
        variable: electrons + σ² ~ Poisson(mean + σ²), σ the read noise. It has the right mean and variance, is exact
        for σ = 0, and is convex in the model; a Gaussian with the model's variance is neither exact nor convex and is
        biased in dim voxels. The value is half the deviance, Σ x - y + y log(y / x) with x = mean + σ² and y =
        electrons + σ² (at least 0): the negative log-likelihood minus its value at x = y, about ½ per voxel for the
        true model. Below x = 0.001 electrons it continues as its tangent. Ref: Snyder et al. 1993, doi
        10.1364/JOSAA.10.001014.

        Parameters
        ----------
        model : float, any shape
            Mean counts.
        observed : float, the shape of `model`
            Measured counts.

        Returns
        -------
        Likelihood
            Value, and gradient for `model` in counts⁻¹.

        Raises
        ------
        ConfigError
            When the shapes differ.
        """
        if np.shape(model) != np.shape(observed):
            raise ConfigError(f"the model has shape {np.shape(model)}; expected {np.shape(observed)}, the counts'.")
        x = self.electrons(model) + self.read_noise**2
        y = np.maximum(self.electrons(observed) + self.read_noise**2, 0.0)
        inside = np.maximum(x, _LEAST_ELECTRONS)
        slope = 1.0 - y / inside
        ratio = np.where(y > 0, y, 1.0) / inside
        value = inside - y + np.where(y > 0, y * np.log(ratio), 0.0) + (x - inside) * slope
        return Likelihood(float(value.sum()), slope / self.gain)

    @classmethod
    def estimate(cls, volume: Volume, offset: float = 0.0) -> Camera:
        """Estimate gain and read noise from a single raw image by how the noise variance grows with the mean.

        In each slice a second difference along x and y leaves the noise and little of an image that is sampled at least
        twice as finely as its optics resolve. Its variance (from the median, so that few sharp structures do not count)
        is compared with the local mean in bins of equally many voxels; the line through the bins is variance = gain
        (mean - offset) + gain² σ². Interpolated, deconvolved or denoised images give wrong values; a coarsely sampled
        image gives too large a gain. Ref: Immerkær 1996, doi 10.1006/cviu.1996.0060.

        Parameters
        ----------
        volume : Volume
            Counts as the camera gave them.
        offset : float
            Counts of the camera in the dark, 0 by default; the image alone cannot tell it from read noise.

        Returns
        -------
        Camera
            With gain, offset and read noise; `bits` is None.

        Raises
        ------
        VolumeError
            When the noise does not grow with the brightness, or the image is too small.
        """
        means, variances = _binned_mean_and_variance(volume.data.astype(np.float64))
        slope, intercept = np.polyfit(means - offset, variances, 1, w=1.0 / variances)
        if not slope > 0:
            raise VolumeError(
                f"the noise of {volume.name or 'the image'} does not grow with the brightness (slope {slope:.3g}).",
                remedy="Take the camera's raw counts, not a denoised or scaled image, with bright and dark parts.",
            )
        return cls(float(slope), float(offset), float(math.sqrt(max(intercept, 0.0)) / slope))


def _binned_mean_and_variance(data: Floats) -> tuple[Floats, Floats]:
    """Return local mean (24,) and noise variance (24,) in bins of equally many voxels, from dark to bright.

    Voxels are sorted by the mean of their 7 × 7 surroundings in the slice without the inner 3 × 3; the mean is that of
    the 3 × 3. The variance follows from the median modulus of the second difference. Raises VolumeError for an image
    that is too small.
    """
    if data.size < 100 * _BINS or min(data.shape[1:]) < 7:
        raise VolumeError(
            f"the image has shape {data.shape}; expected {100 * _BINS} voxels at least to estimate its noise."
        )
    rough = ndimage.convolve(data, _SECOND_DIFFERENCE[None], mode="nearest")[:, 1:-1, 1:-1].ravel()
    near, wide = (ndimage.uniform_filter(data, (1, n, n), mode="nearest")[:, 1:-1, 1:-1].ravel() for n in (3, 7))
    # sorted by the surroundings' mean: sorted by the voxel's value, its noise would count as brightness
    parts = np.array_split(np.argsort(49.0 * wide - 9.0 * near, kind="stable"), _BINS)
    spread = [np.median(np.abs(rough[p])) / 0.6744897501960817 for p in parts]
    variances = np.maximum(np.square(spread) / 36.0, 1e-12)
    return np.array([near[p].mean() for p in parts]), variances
