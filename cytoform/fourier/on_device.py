"""The exact transform on a CUDA device, and the FFTs around it: spectra and images stay on the device.

Names and meanings are those of :mod:`.exact` and :mod:`.pruned`; boxes and images are arrays of
:func:`cytoform.devices.device_arrays`. A mesh is small and stays on the host.
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
from .filled import Filling, inverse_squares
from .scale import largest_modulus

__all__ = ["Faces", "FilledFaces", "Simplices", "through_image", "to_band", "to_image"]

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True, eq=False)
class _Modes:
    """The kept modes of a band, as arrays on the device.

    Parameters
    ----------
    numbers : (n, 3) float32
        Mode numbers along (z, y, x).
    box : (n,) int
        Flat indices in the band's box.
    spectrum : (n,) int
        Flat indices in the grid's half-space spectrum.
    weights : (n,) float
        How many modes of the full spectrum each stands for, 1 or 2.
    """

    numbers: Any
    box: Any
    spectrum: Any
    weights: Any

    @classmethod
    def for_band(cls, band: Band) -> _Modes:
        """Return the kept modes of a band; they are kept as long as the band exists."""
        if band not in _modes_by_band:
            xp = devices.device_arrays()
            numbers = [np.broadcast_to(k, band.shape).ravel()[band.index] for k in np.ix_(*band.modes)]
            places = np.ravel_multi_index([k % n for k, n in zip(numbers, band.grid.shape)], band.grid.spectrum_shape)
            weights = np.broadcast_to(band.weights, band.shape).ravel()[band.index]
            _modes_by_band[band] = cls(
                xp.asarray(np.stack(numbers, axis=1).astype(np.float32)),  # exact: whole numbers
                xp.asarray(band.index), xp.asarray(places), xp.asarray(weights),
            )  # fmt: skip
        return _modes_by_band[band]


_modes_by_band: weakref.WeakKeyDictionary[Band, _Modes] = weakref.WeakKeyDictionary()


class Faces:
    """The faces of a mesh on a band, for their transform by the closed formula on the device and its adjoint.

    The transform is Σ strengths · G over the faces, with G = ∫ exp(-i x·ξ) dS / (2 area) of a face.

    Parameters
    ----------
    corners : (n_faces, 3 corners, 3 axes) float64
        µm, (z, y, x), relative to the grid's origin; on the host.
    strengths : (n_faces,) float64
        Twice the area times the density; on the host.
    band : Band
        Modes that are computed.
    dtype : float32 or float64
        Working precision.
    """

    def __init__(self, corners: Floats, strengths: Floats, band: Band, *, dtype: npt.DTypeLike = np.float64) -> None:
        self.band, self.dtype, self.n_faces = band, np.dtype(dtype), len(corners)
        xp = devices.device_arrays()
        extent = np.asarray(band.grid.extent)
        centres = corners.mean(axis=1)
        offsets = (corners[:, :2] - centres[:, None]) * (2.0 * np.pi / extent)
        # in float32 the largest is 1, whatever the unit: nothing over- or underflows
        self._size = largest_modulus(strengths)
        self._centres, self._offsets = xp.asarray(centres / extent), xp.asarray(offsets.astype(self.dtype))
        self._strengths = xp.asarray((strengths / self._size).astype(self.dtype))

    @devices.needs_device_memory
    def forward(self) -> Any:
        """Return the transform on the band's box, complex, on the device; 0 at modes that are not kept."""
        xp, modes, loops = devices.device_arrays(), _Modes.for_band(self.band), devices.load_kernels("mesh_ft_cuda")
        n = len(modes.numbers)
        parts = xp.empty((loops.count_slices(self.n_faces, n), n, 2))
        faces = self._centres, self._offsets, self._strengths
        loops.value(*faces, modes.numbers, parts, stream=devices.device_stream())
        out = parts.sum(axis=0).view(np.complex128)[:, 0]
        box = xp.zeros(math.prod(self.band.shape), np.result_type(self.dtype, np.complex64))
        box[modes.box] = (self._size * out).astype(box.dtype)
        return box.reshape(self.band.shape)

    @devices.needs_device_memory
    def adjoint(self, cotangent: Any) -> tuple[Floats, Floats]:
        """Return the gradients of Re Σ conj(c) G over the full spectrum, for the strength and the corners of each face.

        Parameters
        ----------
        cotangent : (band.shape) complex
            Cotangent c on the band's box, on the host or the device.

        Returns
        -------
        values : (n_faces,) float64
            Σ w_k Re conj(c_k) G_k, with w_k the modes of the full spectrum that mode k stands for; on the host.
        moves : (n_faces, 3 corners, 3 axes) float64
            Σ w_k Re conj(c_k) ∂G_k/∂corner, per µm; on the host.
        """
        xp, modes = devices.device_arrays(), _Modes.for_band(self.band)
        weighted = xp.asarray(cotangent).ravel()[modes.box] * modes.weights
        size = largest_modulus(weighted)
        pairs = (weighted / size).astype(np.complex128).view(np.float64).reshape(-1, 2).astype(self.dtype)
        values, moves = xp.empty(self.n_faces), xp.empty((self.n_faces, 3, 3))
        devices.load_kernels("mesh_ft_cuda").adjoint(
            self._centres, self._offsets, modes.numbers, pairs, values, moves, stream=devices.device_stream()
        )
        per_um = size * 2.0 * np.pi / np.asarray(self.band.grid.extent)
        return devices.to_host(values) * size, devices.to_host(moves) * per_um


class FilledFaces(Faces):
    """The faces of a mesh and the bodies that they bound, on a band, for both transforms on the device.

    Parameters
    ----------
    corners : (n_faces, 3 corners, 3 axes) float64
        µm, (z, y, x), relative to the grid's origin; on the host.
    strengths : (n_faces,) float64
        Twice the area times the density; on the host.
    filling : Filling
        The bodies, in the same coordinates.
    band : Band
        Modes that are computed.
    dtype : float32 or float64
        Working precision.
    """

    def __init__(
        self, corners: Floats, strengths: Floats, filling: Filling, band: Band, *, dtype: npt.DTypeLike = np.float64
    ) -> None:
        super().__init__(corners - filling.centre, strengths, band, dtype=dtype)
        xp, per_mode = devices.device_arrays(), 2.0 * np.pi / np.asarray(band.grid.extent)
        self.filling = filling
        fluxes, normals = filling.fluxes * per_mode, filling.normals * per_mode
        self._flux_size, self._normal_size = largest_modulus(fluxes.ravel()), largest_modulus(normals.ravel())
        self._fluxes = xp.asarray((fluxes / self._flux_size).astype(self.dtype))
        self._normals = xp.asarray((normals / self._normal_size).astype(self.dtype))

    @devices.needs_device_memory
    def forward(self) -> tuple[Any, Any]:
        """Return the transforms of membranes and of bodies on the band's box, on the device; 0 at modes not kept."""
        xp, modes, loops = devices.device_arrays(), _Modes.for_band(self.band), devices.load_kernels("filled_ft_cuda")
        n, band = len(modes.numbers), self.band
        parts = xp.empty((devices.load_kernels("mesh_ft_cuda").count_slices(self.n_faces, n), n, 4))
        faces = self._centres, self._offsets, self._strengths, self._fluxes
        loops.value(*faces, modes.numbers, parts, stream=devices.device_stream())
        out = parts.sum(axis=0).view(np.complex128)
        phase = xp.asarray(band.phase(self.filling.centre).ravel()[band.index])
        over = xp.asarray(inverse_squares(band).ravel()[band.index])
        boxes = xp.zeros((2, math.prod(band.shape)), np.result_type(self.dtype, np.complex64))
        boxes[0, modes.box] = (self._size * out[:, 0] * phase).astype(boxes.dtype)
        boxes[1, modes.box] = (self._flux_size * 1j * out[:, 1] * over * phase).astype(boxes.dtype)
        if band.mask is None or band.mask[0, 0, 0]:
            boxes[1, 0] = self.filling.mass
        return boxes[0].reshape(band.shape), boxes[1].reshape(band.shape)

    @devices.needs_device_memory
    def adjoint(self, cotangent: Any, *, of_jump: bool = True) -> tuple[Floats, Floats, Floats, Floats | None]:
        """Return the gradients of Re Σ conj(c) û over the full spectrum for what each face adds to either transform.

        Parameters
        ----------
        cotangent : (band.shape) complex
            Cotangent c on the band's box, on the host or the device.
        of_jump : bool
            Return the derivative for the jump; on by default.

        Returns
        -------
        values : (n_faces,) float64
            Σ w_k Re conj(c_k) G_k, with w_k the modes of the full spectrum that mode k stands for; on the host.
        moves : (n_faces, 3 corners, 3 axes) float64
            Σ w_k Re conj(c_k) ∂G_k/∂corner, per µm; on the host.
        corner_values : (n_faces, 3 corners) float64
            Mean over the face of its corner's linear hat function times Σ w_k Re conj(c_k) exp(-i x·ξ_k), halved.
        by_jump : (n_faces,) float64 or None
            Derivative of the bodies' part for the face's jump; None unless asked for.
        """
        xp, modes, band = devices.device_arrays(), _Modes.for_band(self.band), self.band
        phase = xp.asarray(band.phase(self.filling.centre, sign=1.0).ravel()[band.index])
        weighted = xp.asarray(cotangent).ravel()[modes.box] * modes.weights * phase
        over = weighted * xp.asarray(inverse_squares(band).ravel()[band.index])
        size, over_size = largest_modulus(weighted), largest_modulus(over)
        both = xp.stack([weighted / size, over / over_size], axis=1).astype(np.complex128)
        given = both.view(np.float64).reshape(-1, 4).astype(self.dtype)
        values, by_jump = xp.empty(self.n_faces), xp.empty(self.n_faces)
        moves, corner_values = xp.empty((self.n_faces, 3, 3)), xp.empty((self.n_faces, 3))
        devices.load_kernels("filled_ft_cuda").adjoint(
            self._centres, self._offsets, self._normals, modes.numbers, given, values, moves, corner_values, by_jump,
            stream=devices.device_stream(),
        )  # fmt: skip
        per_um = size * 2.0 * np.pi / np.asarray(band.grid.extent)
        at_zero = float(xp.asarray(cotangent).ravel()[0].real) if band.mask is None or band.mask[0, 0, 0] else 0.0
        by_flux = devices.to_host(by_jump) * (over_size * self._normal_size) + at_zero * self.filling.cones
        return (
            devices.to_host(values) * size, devices.to_host(moves) * per_um, devices.to_host(corner_values) * size,
            by_flux if of_jump else None,
        )  # fmt: skip


class Simplices:
    """Points, segments or tetrahedra on a band, for their transform by the closed formula on the device.

    The transform is Σ strengths · G, with G = ∫ exp(-i x·ξ) / (k! size) of a simplex of order k.

    Parameters
    ----------
    corners : (n, k + 1 corners, 3 axes) float64
        µm, (z, y, x), relative to the grid's origin; on the host.
    strengths : (n,) float64
        k! times the size times the density; on the host.
    band : Band
        Modes that are computed.
    dtype : float32 or float64
        Working precision.
    """

    def __init__(self, corners: Floats, strengths: Floats, band: Band, *, dtype: npt.DTypeLike = np.float64) -> None:
        self.band, self.dtype, self.shape = band, np.dtype(dtype), corners.shape
        xp, extent = devices.device_arrays(), np.asarray(band.grid.extent)
        centres = corners.mean(axis=1)
        offsets = np.zeros((len(corners), 3, 3))
        offsets[:, : corners.shape[1] - 1] = (corners[:, :-1] - centres[:, None]) * (2.0 * np.pi / extent)
        self._size = largest_modulus(strengths)
        self._centres, self._offsets = xp.asarray(centres / extent), xp.asarray(offsets.astype(self.dtype))
        self._strengths = xp.asarray((strengths / self._size).astype(self.dtype))

    @devices.needs_device_memory
    def forward(self) -> Any:
        """Return the transform on the band's box, complex, on the device; 0 at modes that are not kept."""
        xp, modes, n = devices.device_arrays(), _Modes.for_band(self.band), self.band.size
        parts = xp.empty((devices.load_kernels("mesh_ft_cuda").count_slices(self.shape[0], n), n, 2))
        devices.load_kernels("simplex_ft_cuda").value(
            self.shape[1] - 1, self._centres, self._offsets, self._strengths, modes.numbers, parts,
            stream=devices.device_stream(),
        )  # fmt: skip
        out = parts.sum(axis=0).view(np.complex128)[:, 0]
        box = xp.zeros(math.prod(self.band.shape), np.result_type(self.dtype, np.complex64))
        box[modes.box] = (self._size * out).astype(box.dtype)
        return box.reshape(self.band.shape)

    @devices.needs_device_memory
    def adjoint(self, cotangent: Any) -> tuple[Floats, Floats]:
        """Return the gradients of Re Σ conj(c) G over the full spectrum, for strength and corners of each simplex.

        Parameters
        ----------
        cotangent : (band.shape) complex
            Cotangent c on the band's box, on the host or the device.

        Returns
        -------
        values : (n,) float64
            Σ w_k Re conj(c_k) G_k, with w_k the modes of the full spectrum that mode k stands for; on the host.
        moves : (n, k + 1 corners, 3 axes) float64
            Σ w_k Re conj(c_k) ∂G_k/∂corner, per µm; on the host.
        """
        xp, modes = devices.device_arrays(), _Modes.for_band(self.band)
        weighted = xp.asarray(cotangent).ravel()[modes.box] * modes.weights
        size = largest_modulus(weighted)
        pairs = (weighted / size).astype(np.complex128).view(np.float64).reshape(-1, 2).astype(self.dtype)
        values, moves = xp.empty(self.shape[0]), xp.empty(self.shape)
        devices.load_kernels("simplex_ft_cuda").adjoint(
            self.shape[1] - 1, self._centres, self._offsets, modes.numbers, pairs, values, moves,
            stream=devices.device_stream(),
        )  # fmt: skip
        per_um = size * 2.0 * np.pi / np.asarray(self.band.grid.extent)
        return devices.to_host(values) * size, devices.to_host(moves) * per_um


@devices.needs_device_memory
def to_image(box: Any, band: Band, *, workers: int | None = None) -> Any:
    """Transform a spectrum on a band's box to a real image (z, y, x), float32 for complex64, else float64.

    Both are on the device. Modes of the plane kx = 0 have to come in conjugate pairs, as those of a mesh do: cuFFT
    relies on it.

    Parameters
    ----------
    box : (band.shape) complex
        Spectrum on the band's box.
    band : Band
        Modes that are kept.
    workers : int, optional
        Not used; for the signature of :func:`.pruned.to_image`.

    Returns
    -------
    (z, y, x) float
        The image on the band's grid, intensity per µm³.
    """
    xp, modes = devices.device_arrays(), _Modes.for_band(band)
    spectrum = xp.zeros(math.prod(band.grid.spectrum_shape), box.dtype)
    spectrum[modes.spectrum] = box.ravel()[modes.box]
    image = xp.fft.irfftn(spectrum.reshape(band.grid.spectrum_shape), s=band.grid.shape, axes=(0, 1, 2))
    image *= image.dtype.type(1.0 / band.grid.voxel_volume)
    return image


@devices.needs_device_memory
def to_band(image: Any, band: Band, *, workers: int | None = None) -> Any:
    """Transform a real image to its spectrum on a band's box, zero at modes that are not kept; both on the device.

    Parameters
    ----------
    image : (z, y, x) float
        An image smaller than the grid lies at its first voxels, and the rest is zero.
    band : Band
        Modes that are kept.
    workers : int, optional
        Not used; for the signature of :func:`.pruned.to_band`.

    Returns
    -------
    (band.shape) complex
        Σ_n image_n exp(-i ξ_k · (x_n - origin)); complex64 for float32, else complex128.
    """
    xp, modes = devices.device_arrays(), _Modes.for_band(band)
    padding = [(0, n - m) for n, m in zip(band.grid.shape, image.shape)]
    whole = xp.pad(image, padding) if any(more for _, more in padding) else image
    spectrum = xp.fft.rfftn(whole, axes=(0, 1, 2)).ravel()
    box = xp.zeros(math.prod(band.shape), np.result_type(image.dtype, np.complex64))
    box[modes.box] = spectrum[modes.spectrum]
    return box.reshape(band.shape)


@devices.needs_device_memory
def through_image(
    box: Any, band: Band, visit: Callable[[slice, Any], Result], *, workers: int | None = None
) -> tuple[Any, list[Result]]:
    """Transform a spectrum to an image, let `visit` change the image in place, and transform it back to the band.

    Parameters
    ----------
    box : (band.shape) complex
        Spectrum on the band's box, on the device.
    band : Band
        Modes that are kept.
    visit : callable
        Called once with the slice of all planes along z and the image (z, y, x), which it changes in place.
    workers : int, optional
        Not used; for the signature of :func:`.pruned.through_image`.

    Returns
    -------
    box : (band.shape) complex
        Spectrum of the changed image, on the device.
    results : list
        What `visit` returned, as the only entry.
    """
    image = to_image(box, band)
    result = visit(slice(0, band.grid.shape[0]), image)
    return to_band(image, band), [result]
