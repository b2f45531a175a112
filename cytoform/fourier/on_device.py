"""The exact transform on a CUDA device, and the FFTs around it: spectra and images stay there.

The names and meanings are those of :mod:`.exact` and :mod:`.pruned`; boxes and images are arrays of
:func:`cytoform.devices.device_arrays`. A mesh is small and lives on the host.
"""

from __future__ import annotations

import dataclasses
import math
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .. import devices
from .._typing import Floats
from ..image.band import Band
from .scale import largest

__all__ = ["Faces", "through_image", "to_band", "to_image"]

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True, eq=False)
class _Modes:
    """The kept modes of a band, on the device: their numbers (n, 3), their places in the band's box and in the grid's
    half-space spectrum, and how many modes of the full spectrum each stands for."""

    numbers: Any
    box: Any
    spectrum: Any
    weights: Any

    @classmethod
    def of(cls, band: Band) -> _Modes:
        """Kept as long as the band."""
        if band not in _made:
            xp = devices.device_arrays()
            numbers = [np.broadcast_to(k, band.shape).ravel()[band.index] for k in np.ix_(*band.modes)]
            places = np.ravel_multi_index([k % n for k, n in zip(numbers, band.grid.shape)], band.grid.spectrum_shape)
            weights = np.broadcast_to(band.weights, band.shape).ravel()[band.index]
            _made[band] = cls(
                xp.asarray(np.stack(numbers, axis=1).astype(np.float32)),  # exact: whole numbers
                xp.asarray(band.index), xp.asarray(places), xp.asarray(weights),
            )  # fmt: skip
        return _made[band]


_made: weakref.WeakKeyDictionary[Band, _Modes] = weakref.WeakKeyDictionary()


class Faces:
    """Faces on a band, for their transform and its adjoint; made of what :class:`.exact.Faces` takes."""

    def __init__(self, corners: Floats, strengths: Floats, band: Band, *, dtype: npt.DTypeLike = np.float64) -> None:
        self.band, self.dtype, self.n_faces = band, np.dtype(dtype), len(corners)
        xp = devices.device_arrays()
        extent = np.asarray(band.grid.extent)
        centres = corners.mean(axis=1)
        offsets = (corners[:, :2] - centres[:, None]) * (2.0 * np.pi / extent)
        # in float32 the largest is 1, whatever the unit: nothing over- or underflows
        self._size = largest(strengths)
        self._centres, self._offsets = xp.asarray(centres / extent), xp.asarray(offsets.astype(self.dtype))
        self._strengths = xp.asarray((strengths / self._size).astype(self.dtype))

    @devices.needs_device_memory
    def forward(self) -> Any:
        """Transform on the band's box, complex64 or complex128, on the device."""
        xp, modes, loops = devices.device_arrays(), _Modes.of(self.band), devices.loops("mesh_ft_cuda")
        n = len(modes.numbers)
        parts = xp.empty((loops.slices(self.n_faces, n), n, 2))
        faces = self._centres, self._offsets, self._strengths
        loops.value(*faces, modes.numbers, parts, stream=devices.device_stream())
        out = parts.sum(axis=0).view(np.complex128)[:, 0]
        box = xp.zeros(math.prod(self.band.shape), np.result_type(self.dtype, np.complex64))
        box[modes.box] = (self._size * out).astype(box.dtype)
        return box.reshape(self.band.shape)

    @devices.needs_device_memory
    def adjoint(self, cotangent: Any) -> tuple[Floats, Floats]:
        """Adjoint of :meth:`forward` at a cotangent on the band's box, here or on the device; arrays of the host."""
        xp, modes = devices.device_arrays(), _Modes.of(self.band)
        weighted = xp.asarray(cotangent).ravel()[modes.box] * modes.weights
        size = largest(weighted)
        pairs = (weighted / size).astype(np.complex128).view(np.float64).reshape(-1, 2).astype(self.dtype)
        values, moves = xp.empty(self.n_faces), xp.empty((self.n_faces, 3, 3))
        devices.loops("mesh_ft_cuda").adjoint(
            self._centres, self._offsets, modes.numbers, pairs, values, moves, stream=devices.device_stream()
        )
        per_um = size * 2.0 * np.pi / np.asarray(self.band.grid.extent)
        return devices.to_host(values) * size, devices.to_host(moves) * per_um


@devices.needs_device_memory
def to_image(box: Any, band: Band, *, workers: int | None = None) -> Any:
    """Band spectrum to real image, (z, y, x); float32 for complex64, else float64. Both on the device.

    Modes of the plane kx = 0 come in conjugate pairs, as those of a mesh do: cuFFT relies on it.
    """
    xp, modes = devices.device_arrays(), _Modes.of(band)
    spectrum = xp.zeros(math.prod(band.grid.spectrum_shape), box.dtype)
    spectrum[modes.spectrum] = box.ravel()[modes.box]
    image = xp.fft.irfftn(spectrum.reshape(band.grid.spectrum_shape), s=band.grid.shape, axes=(0, 1, 2))
    image *= image.dtype.type(1.0 / band.grid.voxel_volume)
    return image


@devices.needs_device_memory
def to_band(image: Any, band: Band, *, workers: int | None = None) -> Any:
    """Real image to band spectrum, zero at modes left out. Both on the device.

    The image may be smaller than the grid: it lies at its first voxels, and the rest is zero.
    """
    xp, modes = devices.device_arrays(), _Modes.of(band)
    room = [(0, n - m) for n, m in zip(band.grid.shape, image.shape)]
    whole = xp.pad(image, room) if any(more for _, more in room) else image
    spectrum = xp.fft.rfftn(whole, axes=(0, 1, 2)).ravel()
    box = xp.zeros(math.prod(band.shape), np.result_type(image.dtype, np.complex64))
    box[modes.box] = spectrum[modes.spectrum]
    return box.reshape(band.shape)


@devices.needs_device_memory
def through_image(
    box: Any, band: Band, visit: Callable[[slice, Any], Result], *, workers: int | None = None
) -> tuple[Any, list[Result]]:
    """:func:`to_image`, a visit to the image as one slab, and :func:`to_band` of what the visit leaves."""
    image = to_image(box, band)
    result = visit(slice(0, band.grid.shape[0]), image)
    return to_band(image, band), [result]
