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
from scipy import fft as _fft

from .._typing import Array
from ..image.band import Band

__all__ = ["through_image", "to_band", "to_image"]

_SLAB_VOXELS = 2**18  # of an image that are in the making at a time: they stay in the cache
Result = TypeVar("Result")


def _pad(box: Array, axis: int, length: int) -> Array:
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


def _cut(array: Array, axis: int, modes: int) -> Array:
    length = array.shape[axis]
    if modes == length:
        return array
    head = (modes + 1) // 2
    lead = (slice(None),) * axis
    tail = array[(*lead, slice(length - (modes - head), length))]
    return np.concatenate([array[(*lead, slice(0, head))], tail], axis=axis)


def to_image(box: Array, band: Band, *, workers: int | None = None) -> Array:
    """Band spectrum to real image, (z, y, x); float32 for complex64, else float64."""
    spectrum = _to_planes(box, band, workers)
    image = np.empty(band.grid.shape, dtype=spectrum.real.dtype)

    def fill(planes: slice) -> None:
        image[planes] = _plane_images(spectrum[planes], band)

    _slab_by_slab(fill, band, workers)
    return image


def to_band(image: Array, band: Band, *, workers: int | None = None) -> Array:
    """Real image to band spectrum; complex64 for float32, else complex128. Modes left out are zero.

    The image may be smaller than the grid: it lies at its first voxels, and the rest is zero.
    """
    nz, ny, nx = image.shape
    room = tuple((0, n - m) for n, m in zip(band.grid.shape[1:], (ny, nx)))
    spectrum = np.zeros((band.grid.shape[0], *band.shape[1:]), dtype=np.result_type(image.dtype, np.complex64))

    def reduce(planes: slice) -> None:
        part = image[planes]
        if len(part):
            padded = np.pad(part, ((0, 0), *room)) if any(r for _, r in room) else part
            spectrum[planes.start : planes.start + len(part)] = _plane_spectra(padded, band)

    _slab_by_slab(reduce, band, workers)
    return _from_planes(spectrum, band, workers)


def through_image(
    box: Array,
    band: Band,
    visit: Callable[[slice, Array], Result],
    *,
    workers: int | None = None,
) -> tuple[Array, list[Result]]:
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
    spectrum = _to_planes(box, band, workers)

    def through(planes: slice) -> Result:
        image = _plane_images(spectrum[planes], band)
        result = visit(planes, image)
        spectrum[planes] = _plane_spectra(image, band)
        return result

    results = _slab_by_slab(through, band, workers)
    return _from_planes(spectrum, band, workers), results


def _to_planes(box: Array, band: Band, workers: int | None) -> Array:
    """Modes along y and x of every plane, (z, my, mx)."""
    return _fft.ifft(_pad(box, 0, band.grid.shape[0]), axis=0, workers=workers)


def _plane_images(spectrum: Array, band: Band) -> Array:
    """Images (planes, y, x) of some planes' modes."""
    _, ny, nx = band.grid.shape
    rows = _fft.ifft(_pad(spectrum, 1, ny), axis=1, workers=1)
    image = _fft.irfft(rows, n=nx, axis=2, overwrite_x=True, workers=1)
    image *= image.dtype.type(1.0 / band.grid.voxel_volume)
    return image


def _plane_spectra(image: Array, band: Band) -> Array:
    """Modes along y and x of some planes' images."""
    _, my, mx = band.shape
    rows = _fft.rfft(image, axis=2, workers=1)[:, :, :mx]
    return _cut(_fft.fft(rows, axis=1, workers=1), 1, my)


def _from_planes(spectrum: Array, band: Band, workers: int | None) -> Array:
    found = _cut(_fft.fft(spectrum, axis=0, overwrite_x=True, workers=workers), 0, band.shape[0])
    return found if band.mask is None else np.where(band.mask, found, found.dtype.type(0))


def _slab_by_slab(work: Callable[[slice], Result], band: Band, workers: int | None) -> list[Result]:
    """Do some planes at a time, so many that they stay in the cache, in several threads."""
    nz, ny, nx = band.grid.shape
    thickness = max(1, _SLAB_VOXELS // (ny * nx))
    slabs = [slice(first, min(first + thickness, nz)) for first in range(0, nz, thickness)]
    if workers is None or workers == 1 or len(slabs) == 1:
        return [work(slab) for slab in slabs]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, slabs))
