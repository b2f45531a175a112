"""The smoothest surface that agrees with a mask, below the size of its voxels.

A level-set function φ, in units of the smallest voxel edge h, lives on a lattice that has the voxel centres among its
nodes and steps of about h along all axes. It minimises

    ℓ⁶ |D³φ|²  +  Σ_near (φ − d s)²  +  Σ_wrong (φ − bound)²

with D³ the third derivatives. They vanish for every quadric, so spheres, ellipsoids and cylinders do not shrink, and a
cap between two slices is continued as the quadric that its slices show. *near* are the centres beside the wall as seen
along the finely sampled axes, d their distance from it within these axes (known to a fraction of a voxel), and
s = |∇φ along these axes| / |∇φ| turns it into the distance in space. *wrong* are centres on the wrong side: no voxel's
centre may change sides. Far from the surface φ is free.

φ is kept as a quadric, fitted once, plus a rest: the cosine transform, which solves for the rest, is flat at the box's
walls, as φ itself is not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from .._typing import AnyFloats, Bools, Ints
from ..devices import threads
from ..image.volume import Grid
from ..masks import between_levels, bounds, marching_cubes, mask_on_grid, mask_sdf

if TYPE_CHECKING:
    from ..mesh.surface import SurfaceMesh

__all__ = ["mask_surface"]


_LENGTH = 1.1  # ℓ in h: noise of a voxel's size goes, a bump of six voxels stays
_HOLD = 0.02  # weight that keeps nodes beside the surface at the last round's φ, so that each round is well posed
_HOLD_FAR = 2e-4  # the same for all other nodes
_BAND = 4.0  # h; how far "beside the surface" goes
_NEAR = 2.0  # h; centres whose distance within the fine axes is used
_FINE = 1.5  # h; longer steps are those of a coarse axis
_MARGIN = 8.0  # h of room around the body
_FLOOR = 2.0  # h that φ has at least at centres far from the other side
_ROUNDS, _STEPS = 16, 6  # of slopes and sides; of conjugate gradients within each
_STILL = 0.01  # h; less movement of the near centres in a round ends the work
_OVERSHOOT = 2.0  # h at most, by which a wrong centre is pulled beyond its bound
_SIDE = 0.05  # h by which every centre lies on its own side in the end


def mask_surface(mask: npt.ArrayLike, spacing: Grid | float | Sequence[float]) -> SurfaceMesh:
    """Closed surface of a mask in µm, smooth below the size of a voxel, also where slices are far apart.

    Every voxel's centre stays on its side. On smooth bodies of 8 to 20 small voxel edges the mean error is about
    0.05 edges with cubic voxels and 0.1 with slices five times as far apart as the pixels. Several bodies,
    and bodies a voxel or two thin, are kept. A body that touches the image's border is closed there.

    Parameters
    ----------
    mask : (z, y, x) bool or int
        Inside where not zero.
    spacing : Grid, or (3,) float or float
        Where the voxels are, or their size in µm, (z, y, x), with voxel (0, 0, 0) at the origin.

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
    phi = lattice.tidy(_smoothest(lattice)).astype(np.float32)
    mesh = marching_cubes(phi, between_levels(phi, 0.0))
    return mesh.with_vertices(grid.to_um(mesh.vertices / lattice.factors + lattice.low))


# ---------------------------------------------------------------------------------------------------------------------
# The lattice, all lengths in units of the smallest voxel edge


@dataclasses.dataclass(frozen=True)
class _Lattice:
    """A padded mask and the finer lattice around its centres.

    inside (z, y, x) bool, of the centres; size (3,) their spacing; factors (3,) lattice steps a centre; low (3,) index
    of the first centre in the image.
    """

    inside: Bools
    size: AnyFloats
    factors: Ints
    low: Ints

    @classmethod
    def around(cls, inside: Bools, grid: Grid) -> _Lattice:
        size = np.asarray(grid.spacing) / min(grid.spacing)
        factors = np.where(size < _FINE, 1, np.rint(size)).astype(np.int64)
        margin = np.ceil(_MARGIN / size).astype(np.int64)
        low, high = bounds(inside)
        part = inside[tuple(slice(a, b) for a, b in zip(low, high))]
        return cls(np.pad(part, [(int(m), int(m)) for m in margin]), size, factors, low - margin)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int((n - 1) * k + 1) for n, k in zip(self.inside.shape, self.factors))

    @property
    def step(self) -> AnyFloats:
        return self.size / self.factors

    @property
    def fine(self) -> Bools:
        return self.size < _FINE

    @property
    def centres(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, int(k)) for k in self.factors)

    def interpolate(self, values: AnyFloats) -> AnyFloats:
        """Values at the centres to values at the nodes, linearly."""
        for axis, k in enumerate(self.factors):
            place = np.arange((values.shape[axis] - 1) * k + 1) / k
            first = np.minimum(place.astype(np.int64), values.shape[axis] - 2)
            weight = _along(place - first, axis)
            values = np.take(values, first, axis) * (1 - weight) + np.take(values, first + 1, axis) * weight
        return values

    def slopes(self, phi: AnyFloats) -> tuple[AnyFloats, AnyFloats]:
        """At the centres: length of the gradient, and of its part along the fine axes."""
        whole, part = np.zeros(self.inside.shape), np.zeros(self.inside.shape)
        for axis, step in enumerate(self.step):
            square = np.gradient(phi, step, axis=axis)[self.centres] ** 2
            whole += square
            if self.fine[axis]:
                part += square
        return np.sqrt(whole), np.sqrt(part)

    def stiffness(self) -> AnyFloats:
        """ℓ⁶ |D³|² of the cosines, with the differences' own wave numbers."""
        square = np.zeros(self.shape)
        for axis, (n, step) in enumerate(zip(self.shape, self.step)):
            square += _along((2 - 2 * np.cos(np.pi * np.arange(n) / n)) / step**2, axis)
        return (_LENGTH**2 * square) ** 3

    def quadric(self, phi: AnyFloats) -> AnyFloats:
        """The quadric that is nearest to φ beside the surface."""
        z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in self.shape), indexing="ij", sparse=True)
        terms = [1.0 + 0 * z, z, y, x, z * z, y * y, x * x, z * y, z * x, y * x]
        beside = abs(phi) < _BAND
        matrix = np.stack([np.broadcast_to(t, self.shape)[beside] for t in terms])
        weights = np.linalg.lstsq(matrix @ matrix.T, matrix @ phi[beside], rcond=None)[0]
        return np.broadcast_to(sum(w * t for w, t in zip(weights, terms)), self.shape).copy()

    def tidy(self, phi: AnyFloats) -> AnyFloats:
        """Every centre on its side, nothing at the walls, no bodies or bubbles that hold no centre."""
        at = phi[self.centres]
        phi[self.centres] = np.where(self.inside, np.minimum(at, -_SIDE), np.maximum(at, _SIDE))
        wall = np.ones(self.shape, dtype=bool)
        wall[1:-1, 1:-1, 1:-1] = False
        phi[wall] = np.maximum(phi[wall], _SIDE)
        for sign, own in ((-1.0, self.inside), (1.0, ~self.inside)):
            parts, count = ndimage.label(sign * phi > 0)
            real = np.zeros(count + 1, dtype=bool)
            real[parts[self.centres][own]] = True
            real[0] = True
            phi = np.where(real[parts], phi, -sign * _SIDE)
        return phi


def _along(values: AnyFloats, axis: int) -> AnyFloats:
    return values.reshape([-1 if a == axis else 1 for a in range(3)])


# ---------------------------------------------------------------------------------------------------------------------
# Minimising


def _smoothest(lattice: _Lattice) -> AnyFloats:
    """φ at the nodes of the lattice, after rounds of slopes, sides and a linear solve."""
    data = _Data.of(lattice)
    phi = lattice.interpolate(mask_sdf(lattice.inside, lattice.size))  # type: ignore[arg-type]
    base = lattice.quadric(phi).astype(np.float32)
    phi = phi.astype(np.float32)  # half the time, and five digits of a voxel are enough
    stiffness, rest = lattice.stiffness().astype(np.float32), _cosines(phi - base)
    for _ in range(_ROUNDS):
        target, weight = data.demands(lattice, phi)
        pull = np.where(abs(phi) < _BAND, np.float32(_HOLD), np.float32(_HOLD_FAR))
        force = pull * phi
        pull[lattice.centres] += weight
        force[lattice.centres] += weight * target
        rest = _solve(stiffness, pull, _cosines(force - pull * base), rest)
        before, phi = phi, base + _nodes(rest)
        if abs(phi - before)[abs(before) < 1].max(initial=0.0) < _STILL:
            break
    return phi


def _cosines(values: AnyFloats) -> AnyFloats:
    return fft.dctn(values, norm="ortho", workers=threads())


def _nodes(rest: AnyFloats) -> AnyFloats:
    return fft.idctn(rest, norm="ortho", workers=threads())


def _solve(stiffness: AnyFloats, pull: AnyFloats, right: AnyFloats, rest: AnyFloats) -> AnyFloats:
    """(stiffness + pull) rest = right, in cosines, by conjugate gradients that start from ``rest``."""
    guess = 1 / (stiffness + pull.mean())

    def apply(values: AnyFloats) -> AnyFloats:
        return stiffness * values + _cosines(pull * _nodes(values))

    left = right - apply(rest)
    turned = guess * left
    way, size = turned, float(np.vdot(left, turned))
    for _ in range(_STEPS):
        if size <= 0:
            break
        pushed = apply(way)
        length = size / float(np.vdot(way, pushed))
        rest = rest + length * way
        left = left - length * pushed
        turned = guess * left
        new = float(np.vdot(left, turned))
        way, size = turned + new / size * way, new
    return rest


@dataclasses.dataclass
class _Data:
    """What the centres demand: flat (z, y, x) distance within the fine axes; near, where it counts; floor, the least
    |φ| there; beyond, by how much wrong centres are pulled past it."""

    flat: AnyFloats
    near: Bools
    floor: AnyFloats
    beyond: AnyFloats

    @classmethod
    def of(cls, lattice: _Lattice) -> _Data:
        inside = lattice.inside
        flat = mask_sdf(inside, np.where(lattice.fine, lattice.size, 1e4))  # type: ignore[arg-type]
        near = abs(flat) <= _NEAR
        size: Any = tuple(lattice.size)
        other = ndimage.distance_transform_edt(inside, size) + ndimage.distance_transform_edt(~inside, size)
        floor = np.where(near, 0.0, np.clip(other - 1.5 * lattice.size.max(), 0.0, _FLOOR))
        return cls(flat, near, floor, np.zeros(inside.shape))

    def demands(self, lattice: _Lattice, phi: AnyFloats) -> tuple[AnyFloats, AnyFloats]:
        """Targets and weights at the centres for the next solve."""
        side = np.where(lattice.inside, -1.0, 1.0)
        at = phi[lattice.centres]
        whole, part = lattice.slopes(phi)
        known = self.flat * np.clip(part / np.maximum(whole, 1e-9), 0.05, 1.0)
        lack = self.floor - side * at
        wrong = lack > 0
        self.beyond = np.where(wrong, np.minimum(self.beyond + lack, _OVERSHOOT), 0.5 * self.beyond)
        target = np.where(self.near, known, side * self.floor)
        target = np.where(wrong, target + side * self.beyond, target)
        return target, (self.near | wrong).astype(np.float64)
