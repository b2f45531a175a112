"""Real FFTs that skip the modes a band leaves out.

``to_image`` is the image formula of the package: I_n = (1/V) Σ_k f_k exp(i ξ_k · (x_n - origin)), summed over the full
spectrum that the half space stands for. ``to_band`` is C_k = Σ_n c_n exp(-i ξ_k · (x_n - origin)) on the band. Axis by
axis only the rows with a kept mode are transformed. ``through_image`` is the one after the other with a change of the
image in between, slab by slab, so that the image is never in memory as a whole.
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

_SLAB_VOXELS = 2**18  # voxels of a slab of the image: it stays in the cache
Result = TypeVar("Result")


def _pad_modes(box: Array, axis: int, length: int) -> Array:
    """Pad one axis in FFT order to `length` modes, with zeros between the non-negative and the negative modes."""
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


def _crop_modes(array: Array, axis: int, modes: int) -> Array:
    """Keep the `modes` lowest modes of one axis in FFT order: the inverse of :func:`_pad_modes`."""
    length = array.shape[axis]
    if modes == length:
        return array
    head = (modes + 1) // 2
    lead = (slice(None),) * axis
    tail = array[(*lead, slice(length - (modes - head), length))]
    return np.concatenate([array[(*lead, slice(0, head))], tail], axis=axis)


def to_image(box: Array, band: Band, *, workers: int | None = None) -> Array:
    """Transform a spectrum on a band's box to a real image (z, y, x).

    Parameters
    ----------
    box : (band.shape) complex
        Spectrum on the band's box.
    band : Band
        Modes that are kept.
    workers : int, optional
        Threads; one by default.

    Returns
    -------
    (z, y, x) float
        The image on the band's grid, intensity per µm³; float32 for complex64, else float64.
    """
    spectrum = _inverse_along_z(box, band, workers)
    image = np.empty(band.grid.shape, dtype=spectrum.real.dtype)

    def fill(planes: slice) -> None:
        image[planes] = _plane_images(spectrum[planes], band)

    _map_slabs(fill, band, workers)
    return image


def to_band(image: Array, band: Band, *, workers: int | None = None) -> Array:
    """Transform a real image to its spectrum on a band's box, zero at modes that are not kept.

    Parameters
    ----------
    image : (z, y, x) float
        An image smaller than the grid lies at its first voxels, and the rest is zero.
    band : Band
        Modes that are kept.
    workers : int, optional
        Threads; one by default.

    Returns
    -------
    (band.shape) complex
        Σ_n image_n exp(-i ξ_k · (x_n - origin)); complex64 for float32, else complex128.
    """
    nz, ny, nx = image.shape
    padding = tuple((0, n - m) for n, m in zip(band.grid.shape[1:], (ny, nx)))
    spectrum = np.zeros((band.grid.shape[0], *band.shape[1:]), dtype=np.result_type(image.dtype, np.complex64))

    def reduce(planes: slice) -> None:
        part = image[planes]
        if len(part):
            padded = np.pad(part, ((0, 0), *padding)) if any(r for _, r in padding) else part
            spectrum[planes.start : planes.start + len(part)] = _plane_spectra(padded, band)

    _map_slabs(reduce, band, workers)
    return _forward_along_z(spectrum, band, workers)


def through_image(
    box: Array,
    band: Band,
    visit: Callable[[slice, Array], Result],
    *,
    workers: int | None = None,
) -> tuple[Array, list[Result]]:
    """Transform a spectrum to an image slab by slab, let `visit` change each slab, and transform back to the band.

    The result is that of :func:`to_image`, the change, and :func:`to_band`, but the image is never in memory as a
    whole.

    Parameters
    ----------
    box : (band.shape) complex
        Spectrum on the band's box.
    band : Band
        Modes that are kept.
    visit : callable
        Called with a slice of planes along z and their image (planes, y, x), which it changes in place. Runs in several
        threads.
    workers : int, optional
        Slabs at a time; one by default.

    Returns
    -------
    box : (band.shape) complex
        Spectrum of the changed image.
    results : list
        What `visit` returned, in the order of the planes.
    """
    spectrum = _inverse_along_z(box, band, workers)

    def through(planes: slice) -> Result:
        image = _plane_images(spectrum[planes], band)
        result = visit(planes, image)
        spectrum[planes] = _plane_spectra(image, band)
        return result

    results = _map_slabs(through, band, workers)
    return _forward_along_z(spectrum, band, workers), results


def _inverse_along_z(box: Array, band: Band, workers: int | None) -> Array:
    """Transform a box of modes along z to planes: its modes along y and x for every plane, (z, my, mx)."""
    return _fft.ifft(_pad_modes(box, 0, band.grid.shape[0]), axis=0, workers=workers)


def _plane_images(spectrum: Array, band: Band) -> Array:
    """Transform the modes along y and x of some planes, (planes, my, mx), to their images (planes, y, x)."""
    _, ny, nx = band.grid.shape
    rows = _fft.ifft(_pad_modes(spectrum, 1, ny), axis=1, workers=1)
    image = _fft.irfft(rows, n=nx, axis=2, overwrite_x=True, workers=1)
    image *= image.dtype.type(1.0 / band.grid.voxel_volume)
    return image


def _plane_spectra(image: Array, band: Band) -> Array:
    """Transform the images of some planes, (planes, y, x), to their modes along y and x, (planes, my, mx)."""
    _, my, mx = band.shape
    rows = _fft.rfft(image, axis=2, workers=1)[:, :, :mx]
    return _crop_modes(_fft.fft(rows, axis=1, workers=1), 1, my)


def _forward_along_z(spectrum: Array, band: Band, workers: int | None) -> Array:
    """Apply the FFT along z to planes of modes (z, my, mx): the band's box, 0 at modes that are not kept.

    May overwrite `spectrum`.
    """
    found = _crop_modes(_fft.fft(spectrum, axis=0, overwrite_x=True, workers=workers), 0, band.shape[0])
    return found if band.mask is None else np.where(band.mask, found, found.dtype.type(0))


def _map_slabs(work: Callable[[slice], Result], band: Band, workers: int | None) -> list[Result]:
    """Call `work` with slices of planes, each thin enough for the cache, and return the results in order.

    With `workers` above 1 the slabs run in as many threads.
    """
    nz, ny, nx = band.grid.shape
    thickness = max(1, _SLAB_VOXELS // (ny * nx))
    slabs = [slice(first, min(first + thickness, nz)) for first in range(0, nz, thickness)]
    if workers is None or workers == 1 or len(slabs) == 1:
        return [work(slab) for slab in slabs]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, slabs))
