"""Real FFTs that skip the modes a band leaves out.

``to_image`` is the image formula of the package: I_n = (1/V) Σ_k f_k exp(i ξ_k · (x_n - origin)), summed over the full
spectrum that the half space stands for. ``to_band`` is C_k = Σ_n c_n exp(-i ξ_k · (x_n - origin)) on the band.
Axis by axis only the rows with a kept mode are transformed. ``through_image`` is the one after the other with something
done in between, slab by slab, so that the image is never there as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import fft as _fft

from ..image.band import Band

__all__ = ["through_image", "to_band", "to_image"]

_SLAB_VOXELS = 2**18  # of an image that are in the making at a time: they stay in the cache
Result = TypeVar("Result")


def _pad(box: npt.NDArray, axis: int, length: int) -> npt.NDArray:
    """Zeros between the non-negative and the negative modes of one axis in FFT order."""
    modes = box.shape[axis]
    if modes == length:
        return box
    shape = list(box.shape)
    shape[axis] = length
    out = np.zeros(shape, dtype=box.dtype)
    head = (modes + 1) // 2
    lead = (slice(None),) * axis
    out[(*lead, slice(0, head))] = box[(*lead, slice(0, head))]
    if modes > head:
        out[(*lead, slice(length - (modes - head), length))] = box[(*lead, slice(head, modes))]
    return out


def _cut(array: npt.NDArray, axis: int, modes: int) -> npt.NDArray:
    length = array.shape[axis]
    if modes == length:
        return array
    head = (modes + 1) // 2
    lead = (slice(None),) * axis
    tail = array[(*lead, slice(length - (modes - head), length))]
    return np.concatenate([array[(*lead, slice(0, head))], tail], axis=axis)


def to_image(box: npt.NDArray, band: Band, *, workers: int | None = None) -> npt.NDArray:
    """Band spectrum to real image, (z, y, x); float32 for complex64, else float64."""
    nz, ny, nx = band.grid.shape
    spectrum = _fft.ifft(_pad(box, 0, nz), axis=0, workers=workers)
    spectrum = _fft.ifft(_pad(spectrum, 1, ny), axis=1, overwrite_x=True, workers=workers)
    image = _fft.irfft(spectrum, n=nx, axis=2, overwrite_x=True, workers=workers)
    image *= image.dtype.type(1.0 / band.grid.voxel_volume)
    return image


def to_band(image: npt.NDArray, band: Band, *, workers: int | None = None) -> npt.NDArray:
    """Real image to band spectrum; complex64 for float32, else complex128. Modes left out are zero."""
    spectrum = _fft.rfft(image, axis=2, workers=workers)[:, :, : band.shape[2]]
    spectrum = _cut(_fft.fft(spectrum, axis=1, workers=workers), 1, band.shape[1])
    spectrum = _cut(_fft.fft(spectrum, axis=0, workers=workers), 0, band.shape[0])
    return spectrum if band.mask is None else np.where(band.mask, spectrum, spectrum.dtype.type(0))


def through_image(
    box: npt.NDArray,
    band: Band,
    visit: Callable[[slice, npt.NDArray], Result],
    *,
    workers: int = 1,
) -> tuple[npt.NDArray, list[Result]]:
    """:func:`to_image`, a visit to every slab of the image, and :func:`to_band` of what the visits leave.

    Parameters
    ----------
    box : (band.shape) complex
    band : Band
    visit : callable
        Gets the planes (a slice of z) and their image (planes, y, x), which it turns into a cotangent in place. Runs in
        several threads.
    workers : int
        Slabs at a time.

    Returns
    -------
    box : (band.shape) complex
    results : list
        What the visits returned, in the order of the planes.
    """
    nz, ny, nx = band.grid.shape
    _, my, mx = band.shape
    spectrum = _fft.ifft(_pad(box, 0, nz), axis=0, workers=workers)
    scale = spectrum.real.dtype.type(1.0 / band.grid.voxel_volume)

    def through(planes: slice) -> Result:
        rows = _fft.ifft(_pad(spectrum[planes], 1, ny), axis=1, overwrite_x=True, workers=1)
        image = _fft.irfft(rows, n=nx, axis=2, overwrite_x=True, workers=1)
        image *= scale
        result = visit(planes, image)
        rows = _fft.rfft(image, axis=2, overwrite_x=True, workers=1)[:, :, :mx]
        spectrum[planes] = _cut(_fft.fft(rows, axis=1, workers=1), 1, my)
        return result

    thickness = max(1, _SLAB_VOXELS // (ny * nx))
    slabs = [slice(first, min(first + thickness, nz)) for first in range(0, nz, thickness)]
    if workers == 1:
        results = [through(slab) for slab in slabs]
    else:
        with ThreadPoolExecutor(workers) as pool:
            results = list(pool.map(through, slabs))
    found = _cut(_fft.fft(spectrum, axis=0, overwrite_x=True, workers=workers), 0, band.shape[0])
    return (found if band.mask is None else np.where(band.mask, found, found.dtype.type(0))), results
