"""The smoothest surface that agrees with a mask, below the size of its voxels.

A level-set function φ, in units of the smallest voxel edge h, is defined on a lattice that has the voxel centres among
its nodes and steps of about h along all axes. It minimises

    ℓ⁶ |D³φ|²  +  Σ_near (φ − d s)²  +  Σ_wrong (φ − bound)²

with D³ the third derivatives. They vanish for every quadric, so spheres, ellipsoids and cylinders do not shrink, and a
cap between two slices is continued as the quadric that its slices show. *near* are the centres beside the mask's wall
as seen along the finely sampled axes, d their distance from it within these axes (known to a fraction of a voxel), and
s = |∇φ along these axes| / |∇φ| turns it into the distance in space. *wrong* are centres on the wrong side: no voxel's
centre may change sides. Far from the surface φ is free.

Both sums depend on φ itself through s and *wrong*. So φ is found in rounds: targets and weights at the centres are
computed from the last round's φ, then the linear system is solved by conjugate gradients in the cosine basis, in which
ℓ⁶ |D³|² is diagonal. φ is a quadric, fitted once, plus a remainder that is solved for: the cosines are flat at the
lattice's walls, which the remainder nearly is and φ is not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from .._typing import AnyFloats, Bools, Ints
from ..devices import thread_count
from ..image.volume import Grid
from ..masks import between_levels, bounding_box, marching_cubes, mask_on_grid, mask_sdf

if TYPE_CHECKING:
    from ..mesh.surface import SurfaceMesh

__all__ = ["mask_surface"]


_LENGTH = 1.1  # ℓ in h: noise of a voxel's size is smoothed away, a bump of six voxels stays
_PROXIMAL = 0.02  # weight of the last round's φ at nodes beside the surface, so that each round is well posed
_PROXIMAL_FAR = 2e-4  # the same for all other nodes
_BAND = 4.0  # h; |φ| up to which a node is "beside the surface"
_NEAR = 2.0  # h; distance within the fine axes up to which it is a centre's target
_FINE = 1.5  # h; an axis with a longer voxel edge is a coarse axis
_MARGIN = 8.0  # h between the body and the lattice's walls
_MAX_BOUND = 2.0  # h; largest bound on |φ| at centres far from the other side
_ROUNDS, _CG_STEPS = 16, 6  # rounds of targets and weights at most; steps of conjugate gradients in each
_CONVERGED = 0.01  # h; the rounds end once φ near the surface changes by less
_MAX_OVERSHOOT = 2.0  # h; largest shift of a wrong centre's target beyond its bound
_MIN_LEVEL = 0.05  # h; least |φ| of every centre, on its own side, in the end


def mask_surface(mask: npt.ArrayLike, spacing: Grid | float | Sequence[float]) -> SurfaceMesh:
    """Extract the smoothest closed surface that agrees with a mask, also where slices are far apart.

    It is the zero level set of the function that minimises the energy of third derivatives while every voxel's centre
    stays on its side (formulas: head of this module). On smooth bodies of 8 to 20 small voxel edges the mean error is
    about 0.05 edges with cubic voxels and 0.1 with slices five times as far apart as the pixels. Several bodies, and
    bodies a voxel or two thin, are kept. A body that touches the image's border is closed there.

    Parameters
    ----------
    mask : (z, y, x) bool or int
        Inside where not zero.
    spacing : Grid, or (3,) float or float
        Grid of the mask, or the voxel size in µm, (z, y, x), with voxel (0, 0, 0) at the origin.

    Returns
    -------
    SurfaceMesh
        Faces counter-clockwise seen from outside, float64; edges of about the smallest voxel edge.

    Raises
    ------
    VolumeError
        When the mask is not 3D, empty, or does not fit the grid.
    """
    inside, grid = mask_on_grid(mask, spacing)
    lattice = _Lattice.around(inside, grid)
    phi = lattice.enforce_sides(_smoothest_level_set(lattice)).astype(np.float32)
    mesh = marching_cubes(phi, between_levels(phi, 0.0))
    return mesh.with_vertices(grid.to_um(mesh.vertices / lattice.subdivisions + lattice.first))


# ---------------------------------------------------------------------------------------------------------------------
# The lattice, all lengths in units of the smallest voxel edge


@dataclasses.dataclass(frozen=True)
class _Lattice:
    """Cropped and padded mask, and the lattice of nodes that subdivides its voxel centres along coarse axes.

    Parameters
    ----------
    inside : (z, y, x) bool
        Whether each voxel centre is inside the mask.
    size : (3,) float
        Voxel edges in h, the smallest voxel edge.
    subdivisions : (3,) int
        Lattice steps from one centre to the next along each axis.
    first : (3,) int
        Index in the image of the first centre; negative where the padding reaches beyond the image.
    """

    inside: Bools
    size: AnyFloats
    subdivisions: Ints
    first: Ints

    @classmethod
    def around(cls, inside: Bools, grid: Grid) -> _Lattice:
        """Return the lattice of a mask cropped to its bounding box and padded by 8 h, along each axis rounded up.

        Axes with a voxel edge below 1.5 h get one step a centre, others the nearest whole number of steps of h.
        """
        size = np.asarray(grid.spacing) / min(grid.spacing)
        subdivisions = np.where(size < _FINE, 1, np.rint(size)).astype(np.int64)
        margin = np.ceil(_MARGIN / size).astype(np.int64)
        low, high = bounding_box(inside)
        part = inside[tuple(slice(a, b) for a, b in zip(low, high))]
        return cls(np.pad(part, [(int(m), int(m)) for m in margin]), size, subdivisions, low - margin)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of nodes along each axis."""
        return tuple(int((n - 1) * k + 1) for n, k in zip(self.inside.shape, self.subdivisions))

    @property
    def step(self) -> AnyFloats:
        """Distance between nodes along each axis, (3,), in h."""
        return self.size / self.subdivisions

    @property
    def fine(self) -> Bools:
        """Whether each axis, (3,), is finely sampled: its voxel edge is below 1.5 h."""
        return self.size < _FINE

    @property
    def centres(self) -> tuple[slice, ...]:
        """Index that picks the voxel centres from an array of all nodes."""
        return tuple(slice(None, None, int(k)) for k in self.subdivisions)

    def interpolate(self, values: AnyFloats) -> AnyFloats:
        """Interpolate values at the centres linearly to all nodes; shapes are those of ``inside`` and ``shape``."""
        for axis, k in enumerate(self.subdivisions):
            position = np.arange((values.shape[axis] - 1) * k + 1) / k
            first = np.minimum(position.astype(np.int64), values.shape[axis] - 2)
            weight = _along(position - first, axis)
            values = np.take(values, first, axis) * (1 - weight) + np.take(values, first + 1, axis) * weight
        return values

    def gradient_lengths(self, phi: AnyFloats) -> tuple[AnyFloats, AnyFloats]:
        """Return |∇φ| at the centres, and the length of the gradient's components along the fine axes alone.

        Parameters
        ----------
        phi : (z, y, x) float
            φ at all nodes, in h.

        Returns
        -------
        two arrays of the shape of ``inside``
            Both without a unit.
        """
        whole, part = np.zeros(self.inside.shape), np.zeros(self.inside.shape)
        for axis, step in enumerate(self.step):
            square = np.gradient(phi, step, axis=axis)[self.centres] ** 2
            whole += square
            if self.fine[axis]:
                part += square
        return np.sqrt(whole), np.sqrt(part)

    def smoothness_eigenvalues(self) -> AnyFloats:
        """Return the eigenvalues of the smoothness energy ℓ⁶ |D³φ|² in the cosine basis, one for each lattice node.

        D³ are third differences, ℓ the smoothing length ``_LENGTH``. A cosine with frequencies m (0 … n − 1) along the
        axes of n nodes has the eigenvalue (ℓ² k²)³, with k² = Σ (2 − 2 cos(π m / n)) / step² over the axes.
        """
        square = np.zeros(self.shape)
        for axis, (n, step) in enumerate(zip(self.shape, self.step)):
            square += _along((2 - 2 * np.cos(np.pi * np.arange(n) / n)) / step**2, axis)
        return (_LENGTH**2 * square) ** 3

    def fit_quadric(self, phi: AnyFloats) -> AnyFloats:
        """Return at all nodes the quadratic polynomial in (z, y, x) that fits φ by least squares where |φ| < 4 h."""
        z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in self.shape), indexing="ij", sparse=True)
        terms = [1.0 + 0 * z, z, y, x, z * z, y * y, x * x, z * y, z * x, y * x]
        beside = abs(phi) < _BAND
        matrix = np.stack([np.broadcast_to(t, self.shape)[beside] for t in terms])
        weights = np.linalg.lstsq(matrix @ matrix.T, matrix @ phi[beside], rcond=None)[0]
        return np.broadcast_to(sum(w * t for w, t in zip(weights, terms)), self.shape).copy()

    def enforce_sides(self, phi: AnyFloats) -> AnyFloats:
        """Return φ with |φ| ≥ 0.05 h and the mask's sign at all centres, positive at the lattice's walls.

        Connected components of either sign that contain no centre of that side get the other sign. ``phi`` itself is
        changed, too.
        """
        at = phi[self.centres]
        phi[self.centres] = np.where(self.inside, np.minimum(at, -_MIN_LEVEL), np.maximum(at, _MIN_LEVEL))
        wall = np.ones(self.shape, dtype=bool)
        wall[1:-1, 1:-1, 1:-1] = False
        phi[wall] = np.maximum(phi[wall], _MIN_LEVEL)
        for sign, side in ((-1.0, self.inside), (1.0, ~self.inside)):
            parts, count = ndimage.label(sign * phi > 0)
            real = np.zeros(count + 1, dtype=bool)
            real[parts[self.centres][side]] = True
            real[0] = True
            phi = np.where(real[parts], phi, -sign * _MIN_LEVEL)
        return phi


def _along(values: AnyFloats, axis: int) -> AnyFloats:
    """Return a view of 1D values that lie along ``axis`` of a 3D array, with length 1 along the others."""
    return values.reshape([-1 if a == axis else 1 for a in range(3)])


# ---------------------------------------------------------------------------------------------------------------------
# Minimising


def _smoothest_level_set(lattice: _Lattice) -> AnyFloats:
    """Return the φ that minimises the module's energy, at all nodes, in h, float32, negative inside.

    It starts from the interpolated distance to the mask's wall. At most 16 rounds; they end once no node with |φ| < 1
    has changed by 0.01 h.
    """
    data = _CentreTargets.of(lattice)
    phi = lattice.interpolate(mask_sdf(lattice.inside, lattice.size))  # type: ignore[arg-type]
    base = lattice.fit_quadric(phi).astype(np.float32)
    phi = phi.astype(np.float32)  # half the time, and five digits of a voxel are enough
    eigenvalues, remainder = lattice.smoothness_eigenvalues().astype(np.float32), _to_cosines(phi - base)
    for _ in range(_ROUNDS):
        target, weight = data.update(lattice, phi)
        weights = np.where(abs(phi) < _BAND, np.float32(_PROXIMAL), np.float32(_PROXIMAL_FAR))
        weighted = weights * phi
        weights[lattice.centres] += weight
        weighted[lattice.centres] += weight * target
        remainder = _conjugate_gradients(eigenvalues, weights, _to_cosines(weighted - weights * base), remainder)
        before, phi = phi, base + _from_cosines(remainder)
        if abs(phi - before)[abs(before) < 1].max(initial=0.0) < _CONVERGED:
            break
    return phi


def _to_cosines(values: AnyFloats) -> AnyFloats:
    """Return the coefficients of a level set's values (z, y, x) in the cosine basis, an array of the same shape.

    They are the orthonormal type II discrete cosine transform along all three axes of the values at the lattice's
    nodes; :func:`_from_cosines` inverts it.
    """
    return fft.dctn(values, norm="ortho", workers=thread_count())


def _from_cosines(coefficients: AnyFloats) -> AnyFloats:
    """Return the values at the nodes of cosine coefficients: the inverse of :func:`_to_cosines`."""
    return fft.idctn(coefficients, norm="ortho", workers=thread_count())


def _conjugate_gradients(eigenvalues: AnyFloats, weights: AnyFloats, right: AnyFloats, start: AnyFloats) -> AnyFloats:
    """Solve (Λ + C W Cᵀ) x = right for cosine coefficients x by six steps of preconditioned conjugate gradients.

    C is the cosine transform; the preconditioner is 1 / (Λ + mean of W).

    Parameters
    ----------
    eigenvalues : (z, y, x) float
        Λ, diagonal: of the smoothness energy in the cosine basis.
    weights : (z, y, x) float
        W, diagonal: weights of the data at the nodes.
    right : (z, y, x) float
        Cosine coefficients of the right-hand side.
    start : (z, y, x) float
        Coefficients to start from.

    Returns
    -------
    (z, y, x) float
        x.
    """
    preconditioner = 1 / (eigenvalues + weights.mean())

    def apply(values: AnyFloats) -> AnyFloats:
        return eigenvalues * values + _to_cosines(weights * _from_cosines(values))

    solution = start
    residual = right - apply(solution)
    preconditioned = preconditioner * residual
    direction, size = preconditioned, float(np.vdot(residual, preconditioned))
    for _ in range(_CG_STEPS):
        if size <= 0:
            break
        applied = apply(direction)
        length = size / float(np.vdot(direction, applied))
        solution = solution + length * direction
        residual = residual - length * applied
        preconditioned = preconditioner * residual
        new = float(np.vdot(residual, preconditioned))
        direction, size = preconditioned + new / size * direction, new
    return solution


@dataclasses.dataclass
class _CentreTargets:
    """Data terms of the energy at the voxel centres, from which each round's targets and weights follow.

    Parameters
    ----------
    in_plane : (z, y, x) float
        Signed distance d to the mask's wall within the fine axes, in h.
    near : (z, y, x) bool
        Centres with |d| ≤ 2 h, whose target follows from d.
    bound : (z, y, x) float
        Least |φ| at the other centres, in h; 0 at near ones.
    overshoot : (z, y, x) float
        Shift of the targets beyond the bound, in h, that grows as long as a centre stays on the wrong side.
    """

    in_plane: AnyFloats
    near: Bools
    bound: AnyFloats
    overshoot: AnyFloats

    @classmethod
    def of(cls, lattice: _Lattice) -> _CentreTargets:
        """Return the data terms of a lattice's mask, without overshoot.

        The bound is the distance to the nearest centre of the other side less 1.5 of the longest voxel edges, between 0
        and 2 h.
        """
        inside = lattice.inside
        in_plane = mask_sdf(inside, np.where(lattice.fine, lattice.size, 1e4))  # type: ignore[arg-type]
        near = abs(in_plane) <= _NEAR
        size: Any = tuple(lattice.size)
        other = ndimage.distance_transform_edt(inside, size) + ndimage.distance_transform_edt(~inside, size)
        bound = np.where(near, 0.0, np.clip(other - 1.5 * lattice.size.max(), 0.0, _MAX_BOUND))
        return cls(in_plane, near, bound, np.zeros(inside.shape))

    def update(self, lattice: _Lattice, phi: AnyFloats) -> tuple[AnyFloats, AnyFloats]:
        """Return targets and weights of φ at the centres for the next round, and update ``overshoot``.

        The target is d s at near centres and ± bound elsewhere, plus the overshoot where |φ| is below the bound or its
        sign is wrong. These and the near centres have weight 1, others 0.

        Parameters
        ----------
        lattice : _Lattice
            Lattice of the mask.
        phi : (z, y, x) float
            φ of the last round at all nodes, in h.

        Returns
        -------
        two arrays of the shape of ``lattice.inside``
            Targets in h, and weights.
        """
        side = np.where(lattice.inside, -1.0, 1.0)
        at = phi[lattice.centres]
        whole, part = lattice.gradient_lengths(phi)
        known = self.in_plane * np.clip(part / np.maximum(whole, 1e-9), 0.05, 1.0)
        lack = self.bound - side * at
        wrong = lack > 0
        self.overshoot = np.where(wrong, np.minimum(self.overshoot + lack, _MAX_OVERSHOOT), 0.5 * self.overshoot)
        target = np.where(self.near, known, side * self.bound)
        target = np.where(wrong, target + side * self.overshoot, target)
        return target, (self.near | wrong).astype(np.float64)
