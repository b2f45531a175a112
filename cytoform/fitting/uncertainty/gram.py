"""Inner products of the changes that the unknowns of a fit make in the modelled image, without rendering any.

A point p of the surface with mass m (density times area) that moves by a along its normal n, and whose mass changes by
the share τ, changes the image by m (a n·∇_p + τ) h(x - p), h the point spread function. The inner product of two such
changes depends only on the autocorrelation C of h at the distance of the two points p and q: -m_p m_q n_p·∇∇C·n_q for
two moves, m_p m_q n_p·∇C for a move and a change of mass, and m_p m_q C for two changes of mass. Changes of h itself
enter by their correlation with h. Tables of these correlations, which fall to nothing within a few widths of h, give
all inner products, with the vertices as points. A further filter behind the optics multiplies their spectra.

The edge of a filled body that moves by a changes the image as a sheet of density a times the jump of brightness does:
its points have the jump times the area as their masses, and moves are changes of mass.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.spatial import cKDTree

from ..._typing import Array, Floats, Floats32, Ints
from ...devices import load_kernels
from ...image.band import Band
from ...mesh import geometry
from ...mesh.protocol import Mesh
from ..constants import CORRELATION_REACH, CORRELATION_STEP

__all__ = ["SurfacePoints", "correlation_table", "optics_widths"]

_ORDERS = ((), (0,), (1,), (2,), (0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # axes of the derivatives


def optics_widths(band: Band, power: Array) -> Floats:
    """Return √2 σ along z, y, x, (3,) µm, of the Gaussian PSF whose autocorrelation is as curved at its peak.

    `power` (band.shape) is the PSF's power spectrum |ĥ|².
    """
    kept = band.kept_weights * power
    return np.array([np.sqrt(float(kept.sum()) / float((kept * axis**2).sum())) for axis in band.axes])


def correlation_table(band: Band, spectrum: Array, widths: Floats, derivatives: int) -> Array:
    """Tabulate a correlation C of two point images, and its derivatives, at differences of two points.

    Parameters
    ----------
    band : Band
        Modes of the spectrum.
    spectrum : (band.shape) float or complex
        conj(first spectrum) · second spectrum.
    widths : (3,) float
        Widths of the optics, µm (:func:`optics_widths`); the table's steps are CORRELATION_STEP of them.
    derivatives : 1 or 2
        Highest order of the derivatives.

    Returns
    -------
    (n, n, n, 4 or 10) float32
        C as a sum over voxels, ∂C along z, y, x, and ∂∂C along zz, zy, zx, yy, yx, xx, on a centred grid.
    """
    axes = [np.asarray(axis, dtype=np.float64) for axis in band.axes]
    weights = band.kept_weights * spectrum / (band.grid.volume * band.grid.voxel_volume)
    half: int = math.ceil(CORRELATION_REACH / CORRELATION_STEP) + 1
    steps = (CORRELATION_STEP * widths).tolist()
    waves: list[Array] = []
    for axis, step in zip(axes, steps):
        weights = weights / np.sinc(axis * step / (2.0 * np.pi)) ** 2  # what linear interpolation will smooth
        places = step * np.arange(-half, half + 1)
        waves.append(np.exp(1j * np.outer(axis.reshape(-1), places)).astype(np.complex64))
    orders = _ORDERS[: 10 if derivatives == 2 else 4]
    table = np.empty((2 * half + 1,) * 3 + (len(orders),), dtype=np.float32)
    for number, order in enumerate(orders):
        term = weights.astype(np.complex64)
        for number_of_axis in order:
            term = term * (1j * axes[number_of_axis]).astype(np.complex64)
        for wave in waves:  # each sum moves its axis to the end
            term = np.tensordot(term, wave, axes=(0, 0))
        table[..., number] = term.real
    return table


@dataclasses.dataclass(frozen=True, eq=False)
class SurfacePoints:
    """The vertices of a surface as points with masses, and modes in which position and density vary.

    Parameters
    ----------
    mesh : Mesh
        The surface, µm, with its density. Its edges should not be much longer than the widths of the optics.
    normals : (n_vertices, 3) float
        Unit normals.
    positions : (n_vertices, k) float
        Modes of the position along the normals, µm.
    staining : (n_vertices, l) float, optional
        Modes of the logarithm of the density; none by default.
    weights : (n_vertices,) float
        Factor on the image of each vertex.
    widths : (3,) float
        Widths of the optics, µm.
    """

    mesh: Mesh
    normals: Floats
    positions: Floats
    staining: Floats | None
    weights: Floats
    widths: Floats

    def weighted(self, power: Floats, widths: Floats | None = None) -> SurfacePoints:
        """Return the same points with images whose squares are multiplied by `power`, (n_vertices,).

        `widths` are those of other optics (:func:`optics_widths`), such as these behind a filter.
        """
        weights = self.weights * np.sqrt(power)
        return dataclasses.replace(self, weights=weights, widths=self.widths if widths is None else widths)

    def normal_matrix(
        self, band: Band, otfs: Sequence[Array], spectrum: Array | float, voxels: float, power: float = 1.0
    ) -> Floats:
        """Compute the inner products, summed over voxels, of the changes of the image for all unknowns.

        Parameters
        ----------
        band : Band
            Modes that the optics pass.
        otfs : sequence of (band.shape) array
            Transform of the PSF, and of its changes for its parameters.
        spectrum : (band.shape) float, or 1
            Transform of a further filter.
        voxels : float
            Weight of all voxels together, for the background.
        power : float
            Factor on the square of the background's image.

        Returns
        -------
        (n, n) float64
            For modes of position, modes of staining, parameters of the PSF, gain, background. The gain's unit is that
            of the image itself: a change by one doubles it.
        """
        otf, *changes = otfs
        moves, dims = self._mode_fields
        n, k = moves.shape[1], len(changes)
        shape = (len(self._masses),) * 2
        arrays = np.empty((3, len(self._pairs[1])), dtype=np.float32)
        self._run("fill_blocks", correlation_table(band, np.abs(otf) ** 2 * spectrum, self.widths, 2), arrays)
        along, mixed, mass = (csr_matrix((block, self._pairs[1], self._pairs[0]), shape=shape) for block in arrays)
        surface = (dims.T @ (mass @ dims)).astype(np.float64)
        cross = moves.T @ (mixed @ dims)
        surface[:n] += cross
        surface[:, :n] += cross.T
        surface[:n, :n] += moves.T @ (along @ moves)
        of_optics = [self._with_change(band, np.conj(otf) * change * spectrum) for change in changes]
        rows = [dims.T @ sums[:, 1] for sums in of_optics]
        for row, sums in zip(rows, of_optics):
            row[:n] += moves.T @ sums[:, 0]
        n = len(surface)  # the gain is a mode of staining of its own, the last one
        whole = np.zeros((n + k + 1, n + k + 1))
        order = np.r_[0 : n - 1, n + k - 1]
        whole[np.ix_(order, order)] = surface
        flat = power**0.5 * dims.T @ self._masses / band.grid.voxel_volume * self._at_zero(band, otf, spectrum)
        for i, row in enumerate(rows):
            whole[n - 1 + i, order] = whole[order, n - 1 + i] = row
            for j in range(i + 1):
                pair = np.conj(changes[j]) * changes[i] * spectrum
                whole[n - 1 + i, n - 1 + j] = whole[n - 1 + j, n - 1 + i] = self._with_change(band, pair)[:, 1].sum()
        whole[order, -1] = whole[-1, order] = flat
        whole[-1, -1] = power * voxels * self._at_zero(band, np.ones_like(otf), spectrum)
        return 0.5 * (whole + whole.T)

    @staticmethod
    def _at_zero(band: Band, otf: Array, spectrum: Array | float) -> float:
        """Return the product of two transforms at frequency zero."""
        return float((otf * spectrum)[0, 0, 0].real)

    def _with_change(self, band: Band, spectrum: Array) -> Floats:
        """Return the inner products of each vertex's move and mass with a change of all points' images, (n, 2)."""
        sums = np.empty((len(self._masses), 2))
        self._run("sum_over_partners", correlation_table(band, spectrum, self.widths, 1), sums)
        return sums

    def _run(self, kernel: str, table: Array, out: Array) -> None:
        """Fill `out` by a kernel that reads a correlation table at all near pairs."""
        points = np.asarray(self.mesh.vertices, dtype=np.float64)
        getattr(load_kernels("surface_gram"), kernel)(
            points, self.normals, self._masses, *self._pairs, table, CORRELATION_STEP * self.widths, out
        )

    @cached_property
    def _corners(self) -> csr_matrix:
        """Matrix, (n_faces, n_vertices), with a one for each corner of a face."""
        faces = np.asarray(self.mesh.faces)
        number = np.repeat(np.arange(len(faces)), 3)
        shape = (len(faces), self.mesh.n_vertices)
        return csr_matrix((np.ones(faces.size), (number, faces.reshape(-1))), shape=shape)

    @cached_property
    def _masses(self) -> Floats:
        """Each vertex's mass, a third of those of the faces around it, times its weight, (n_vertices,)."""
        return np.asarray(self.weights * (self._corners.T @ self._face_masses) / 3.0)

    @cached_property
    def _face_masses(self) -> Floats:
        """Density (of a body that is filled alone: jump) times area of each face, (n_faces,)."""
        jump, areas = self.mesh.jump, np.asarray(self.mesh.face_areas, dtype=np.float64)
        return areas * (jump if jump is not None and self._filled_alone else self.mesh.density)

    @cached_property
    def _filled_alone(self) -> bool:
        """Whether the inside is bright and the surface not stained."""
        return self.mesh.jump is not None and not self.mesh.density.any()

    @cached_property
    def _growth(self) -> Floats:
        """Share by which each vertex's mass grows as it moves along its normal by 1 µm, (n_vertices,)."""
        if self._filled_alone:
            return np.ones(self.mesh.n_vertices)
        if self.mesh.jump is None:
            return self._bending
        filled = self._corners.T @ (np.asarray(self.mesh.face_areas, dtype=np.float64) * self.mesh.jump)
        return np.asarray(self._bending + filled / np.maximum(self._corners.T @ self._face_masses, 1e-300))

    @cached_property
    def _pairs(self) -> tuple[Ints, Ints]:
        """All ordered pairs of near points, each with itself included.

        `starts` (n + 1,) and `others` (n_pairs,): those near point p are others[starts[p]:starts[p + 1]].
        """
        points, n = np.asarray(self.mesh.vertices, dtype=np.float64), self.mesh.n_vertices
        pairs = cKDTree(points / (CORRELATION_REACH * self.widths)).query_pairs(1.0, output_type="ndarray")
        rows = np.concatenate([pairs[:, 0], pairs[:, 1], np.arange(n)])
        others = np.concatenate([pairs[:, 1], pairs[:, 0], np.arange(n)])
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
        return starts.astype(np.int64), others[np.argsort(rows, kind="stable")].astype(np.int64)

    @cached_property
    def _mode_fields(self) -> tuple[Floats32, Floats32]:
        """Moves, (n, k), and changes of mass, (n, k + l + 1), of each vertex: for position, staining and the gain.

        A field that varies over the faces around a vertex acts as its mean there. For fields of long waves k and edges
        e, linear values on faces weaken a wave by k² e² / 16, half of what the consistent mass matrix does; faces of
        one density, the mean of their corners, by 5 k² e² / 48, five eighths of what averaging back and forth does.
        """
        thirds = self._corners.T @ self._face_masses / 3.0
        mean = csr_matrix(diags(1.0 / thirds) @ (self._corners.T @ diags(self._face_masses / 9.0) @ self._corners))
        moves = 0.625 * self.positions + 0.375 * np.asarray(mean @ self.positions)  # the mass matrix is (1 + 3 mean)/4
        dims = [self._growth[:, None] * moves]
        if self.staining is not None:
            dims.append(0.375 * self.staining + 0.625 * np.asarray(mean @ self.staining))
        ones = np.ones((len(thirds), 1))
        moves = np.zeros_like(moves) if self._filled_alone else moves
        return moves.astype(np.float32), np.hstack([*dims, ones]).astype(np.float32)

    @cached_property
    def _bending(self) -> Floats:
        """Share by which the area around each vertex grows as it moves along its normal, (n_vertices,) 1/µm."""
        points, faces = np.asarray(self.mesh.vertices, dtype=np.float64), self.mesh.faces
        slopes = geometry.sum_at_vertices(geometry.area_gradient(points, faces), faces, len(points))
        areas = self._corners.T @ np.asarray(self.mesh.face_areas, dtype=np.float64) / 3.0
        bending: Floats = (slopes * self.normals).sum(axis=1) / areas
        return bending
