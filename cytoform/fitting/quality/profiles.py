"""Profiles of an image along the normals of a surface, averaged over small patches of it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_matrix, diags
from scipy.spatial import cKDTree

from ..._typing import Array, Bools, Floats
from ...mesh import geometry
from ...mesh.protocol import Mesh
from .crop import Crop, sigma_of
from .limits import BLANK_DISTANCE, DROP_DISTANCE, MOST_PROFILES, PATCH_RADIUS, PROFILE_REACH, PROFILE_STEPS

if TYPE_CHECKING:
    from ...image.volume import Grid
    from ..result import FitResult

__all__ = ["Profiles", "facing_distances"]


@dataclasses.dataclass(frozen=True, eq=False)
class Profiles:
    """Lines through a surface along its normals, at vertices, and what images have on them.

    Attributes
    ----------
    offsets : (n_steps,) float64
        Places on a line in units of the blur along it, below 0 inside of the surface.
    image, model, light, noise : (n, n_steps) float64
        The image, the model of the image, the modelled light of neighbours, and white noise of standard deviation 1,
        all averaged over patches; NaN where a line leaves what was measured.
    areas : (n,) float64
        The vertices' parts of the surface's area, µm².
    thickness : (n,) float64
        Distance inward to the surface that faces the vertex, in units of the blur along the line; infinite for none.
    blank : (n,) bool
        Whether the line meets, within BLANK_DISTANCE, a block of voxels that all have the image's lowest value: where a
        membrane is, there is light, so nothing was measured there.
    """

    offsets: Floats
    image: Floats
    model: Floats
    light: Floats
    noise: Floats
    areas: Floats
    thickness: Floats
    blank: Bools

    @classmethod
    def of(cls, result: FitResult, crop: Crop) -> Profiles:
        """Sample the profiles of a result in the crop of its image."""
        mesh, sigma = result.mesh, sigma_of(result)
        at_corners = np.repeat(mesh.face_areas[:, None] / 3.0, 3, axis=1)
        areas = geometry.sum_at_vertices(at_corners, mesh.faces, mesh.n_vertices)
        chosen = np.flatnonzero(areas > 0)
        chosen = chosen[:: max(1, -(-len(chosen) // MOST_PROFILES))]
        points = np.asarray(mesh.vertices, dtype=np.float64)[chosen]
        normals = geometry.vertex_normals(mesh.vertices, mesh.faces)[chosen]
        blur = np.sqrt(((normals * sigma) ** 2).sum(axis=1))
        offsets = np.linspace(-PROFILE_REACH, PROFILE_REACH, PROFILE_STEPS)
        places = points[:, None] + (offsets[None] * blur[:, None])[..., None] * normals[:, None]
        average = _patches(points / sigma, normals)
        known = average @ _sampled(crop.measured, places, crop.grid, outside=0.0)
        noise = np.random.default_rng(0).normal(size=crop.image.shape)
        sampled = (average @ _sampled(a, places, crop.grid) for a in (crop.image, crop.model, crop.light, noise))
        image_at, model_at, light_at, noise_at = (np.where(known > 0.99, a, np.nan) for a in sampled)
        thickness = facing_distances(mesh, chosen) / blur
        flat = ndimage.binary_opening(crop.image == crop.darkest, np.ones((3, 3, 3), dtype=bool))
        dark = _sampled(np.asarray(flat, dtype=np.float64), places, crop.grid)
        blank = np.asarray((dark[:, np.abs(offsets) <= BLANK_DISTANCE] > 0.5).any(axis=1))
        return cls(offsets, image_at, model_at, light_at, noise_at, areas[chosen], thickness, blank)

    def share(self, where: Bools) -> float:
        """Return the share of the surface's area, 0 to 1, at the vertices of a mask, (n,)."""
        return float(self.areas[where].sum() / max(float(self.areas.sum()), 1e-300))

    def mean(self, values: Floats) -> float:
        """Return the mean of values at the vertices, (n,), weighted by area; NaN counts nowhere."""
        known = np.isfinite(values)
        return float((values * self.areas)[known].sum() / self.areas[known].sum()) if known.any() else float("nan")

    def median(self, values: Floats) -> float:
        """Return the median of values at the vertices, (n,), weighted by area; 0 if none is known."""
        known = np.isfinite(values)
        order = np.argsort(values[known])
        cumulated = np.cumsum(self.areas[known][order])
        if not len(order):
            return 0.0
        return float(values[known][order][int(np.searchsorted(cumulated, 0.5 * cumulated[-1]))])

    def drops(self, values: Floats, side: int) -> Floats:
        """Return by how much profiles, (n, n_steps), fall from the surface to one side of it, (n,).

        `side` is -1 for the inside and 1 for the outside. The distance is DROP_DISTANCE times the blur, inside at most
        half of the thickness.
        """
        distance = np.full(len(values), DROP_DISTANCE)
        if side < 0:
            distance = np.minimum(distance, 0.5 * self.thickness)
        return self._at(values, np.zeros(len(values))) - self._at(values, side * distance)

    def largest_drops(self, values: Floats) -> Floats:
        """Return by how much profiles, (n, n_steps), fall from the surface to the darker side of it, (n,)."""
        found: Floats = np.fmax(self.drops(values, -1), self.drops(values, 1))
        return found

    def _at(self, values: Floats, offsets: Floats) -> Floats:
        """Interpolate profiles, (n, n_steps), linearly at an offset for each of them, (n,)."""
        step = self.offsets[1] - self.offsets[0]
        place = np.clip((offsets - self.offsets[0]) / step, 0, len(self.offsets) - 1.000001)
        first = place.astype(int)
        rows, part = np.arange(len(values)), place - first
        found: Floats = (1 - part) * values[rows, first] + part * values[rows, first + 1]
        return found


def _sampled(data: Array, places: Floats, grid: Grid, outside: float | None = None) -> Floats:
    """Return an image's values at places, (n, n_steps, 3) µm, by linear interpolation.

    Beyond the image's border its nearest voxel counts, or the value `outside`.
    """
    index = np.moveaxis(grid.to_index(places.reshape(-1, 3)), -1, 0)
    values = np.asarray(data, dtype=np.float64)
    if outside is None:
        at = ndimage.map_coordinates(values, index, order=1, mode="nearest")
    else:
        at = ndimage.map_coordinates(values, index, order=1, mode="grid-constant", cval=outside)
    found: Floats = at.reshape(places.shape[:2])
    return found


def _patches(points: Floats, normals: Floats) -> csr_matrix:
    """Return the matrix that averages over patches: points within PATCH_RADIUS whose normals are less than 60° apart.

    `points` are in units of the blur, (n, 3); rows of the matrix, (n, n), sum to 1.
    """
    pairs = cKDTree(points).query_pairs(PATCH_RADIUS, output_type="ndarray")
    pairs = pairs[(normals[pairs[:, 0]] * normals[pairs[:, 1]]).sum(axis=1) > 0.5]
    n = len(points)
    rows, columns = np.concatenate([pairs, pairs[:, ::-1], np.repeat(np.arange(n), 2).reshape(-1, 2)]).T
    matrix = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    return (diags(1.0 / np.asarray(matrix.sum(axis=1)).ravel()) @ matrix).tocsr()


def facing_distances(mesh: Mesh, chosen: Array, *, chunk: int = 500) -> Floats:
    """Return how far it is inward from vertices to the part of the surface that faces them, µm; infinite for none.

    Of the vertices whose normal is turned by more than 120° and that lie within 45° of the inward normal the nearest
    counts.

    Parameters
    ----------
    mesh : Mesh
        The surface, normals outward.
    chosen : (n,) int
        The vertices.
    chunk : int
        Vertices that are processed at a time; it bounds the memory.
    """
    points, normals = np.asarray(mesh.vertices, dtype=np.float64), geometry.vertex_normals(mesh.vertices, mesh.faces)
    others = np.arange(len(points))[:: max(1, len(points) // MOST_PROFILES)]
    found = np.full(len(chosen), np.inf)
    for first in range(0, len(chosen), chunk):
        at = chosen[first : first + chunk]
        apart = points[others][None] - points[at][:, None]
        distance = np.linalg.norm(apart, axis=-1)
        depth = -np.einsum("nmi,ni->nm", apart, normals[at])
        faces = (normals[at] @ normals[others].T < -0.5) & (depth > 0.7 * distance) & (distance > 0)
        found[first : first + chunk] = np.where(faces, distance, np.inf).min(axis=1)
    return found
