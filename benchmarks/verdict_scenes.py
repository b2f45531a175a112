"""Small simulated images with known truth, good and bad, for ``benchmarks/verdict.py``.

A kind is a function of a random generator and of the part of the benchmark ("set", to set limits by, or "hold", held
back) that returns a Scene. The two parts draw from different families of shapes, voxel sizes and optics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

import cytoform as cf
from cytoform.imaging import render_on
from cytoform.masks import mesh_to_mask
from cytoform.mesh import shapes, topology

Array = npt.NDArray[Any]
Rng = np.random.Generator
PEAK, OFFSET = 400.0, 100.0  # grey values of the brightest voxel above the background, and of the background


@dataclasses.dataclass(eq=False)
class Scene:
    """An image, the true cells in it, of which the fit has to find one, and what is passed to the fit."""

    volume: cf.Volume
    truths: list[cf.SurfaceMesh | Array]  # surfaces, or masks on the image's grid
    given: dict[str, Any] = dataclasses.field(default_factory=dict)
    config: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(eq=False)
class Setting:
    """Grid and optics of a scene."""

    rng: Rng
    part: str
    grid: cf.Grid
    sigma: tuple[float, float, float]

    @classmethod
    def drawn(cls, rng: Rng, part: str, n: int = 46, ratio: float = 0.0) -> Setting:
        """Draw voxel size and PSF; `ratio` is the voxel's height over its width, by default 1 to 1.6."""
        across = rng.uniform(0.17, 0.23) if part == "set" else rng.uniform(0.12, 0.28)
        ratio = ratio or rng.uniform(1.0, 1.6)
        blur = across * (rng.uniform(1.2, 1.6) if part == "set" else rng.uniform(1.1, 1.9))
        shape = (max(int(n / ratio), 20), n, n)
        return cls(rng, part, cf.Grid(shape, (across * ratio, across, across)),
                   (blur * rng.uniform(1.4, 2.0), blur, blur))  # fmt: skip

    @property
    def size(self) -> float:
        """Length of the image's shortest side, µm."""
        return float(min(np.asarray(self.grid.shape) * self.grid.spacing))

    @property
    def psf(self) -> cf.GaussianPSF:
        """The true PSF."""
        return cf.GaussianPSF.from_sigma(self.sigma)

    def light(self, *bodies: cf.SurfaceMesh) -> Array:
        """Blurred membranes of bodies."""
        return sum(render_on(b, self.psf, self.grid, margin=np.asarray(self.psf.reach()) + self.grid.overhang(b.bounds))
                   for b in bodies)  # fmt: skip

    def blurred(self, filling: Array) -> Array:
        """A filling on the image's own voxels, blurred."""
        return ndimage.gaussian_filter(filling.astype(float), np.asarray(self.sigma) / self.grid.spacing)

    def camera(self, light: Array, snr: float | None = None) -> cf.Volume:
        """Noise of photons and read-out: brightest membrane over noise in it is `snr`, by default 8 to 40."""
        usual = self.rng.uniform(8, 40) if self.part == "set" else np.exp(self.rng.uniform(np.log(5), np.log(60)))
        snr = usual if snr is None else snr
        clean = PEAK * light / np.percentile(light, 99.9)
        spread = PEAK / snr * np.sqrt(0.5 + 0.5 * np.clip(clean / PEAK, 0, None))
        data = OFFSET + clean + spread * self.rng.normal(size=light.shape)
        return cf.Volume(np.clip(data, 0, 60000).astype(np.float32), self.grid.spacing)


def _waves(points: Array, rng: Rng, length: float, n: int = 6) -> Array:
    """A smooth random field of standard deviation about 1, with waves of about `length`."""
    vectors = rng.normal(size=(n, 3)) * 2 * np.pi / length / np.sqrt(3)
    return np.cos(points @ vectors.T + rng.uniform(0, 2 * np.pi, n)).sum(axis=1) * np.sqrt(2 / n)


def stained(mesh: cf.SurfaceMesh, rng: Rng, spread: float) -> cf.SurfaceMesh:
    """The mesh, unevenly stained: the density's logarithm has the standard deviation `spread`."""
    centres = mesh.vertices[mesh.faces].mean(axis=1)
    return cf.SurfaceMesh(mesh.vertices, mesh.faces, np.exp(spread * _waves(centres, rng, np.sqrt(mesh.area))))


def body(s: Setting, scale: float = 0.55, centre: Array | None = None, spread: float | None = None) -> cf.SurfaceMesh:
    """A cell of a family of the part, its longest side `scale` of the image's shortest one."""
    rng = s.rng
    if s.part == "set":
        name = rng.choice(["ellipsoid", "lobed", "flat", "dividing", "biconcave"])
    else:
        name = rng.choice(["ellipsoid", "bent", "pear", "dividing", "biconcave"])
    ball = shapes.icosphere(1.0, subdivisions=4)
    if name == "ellipsoid":
        mesh = ball.with_vertices(ball.vertices * rng.uniform(0.6, 1.0, 3))
    elif name == "flat":
        mesh = ball.with_vertices(ball.vertices * np.array([rng.uniform(0.4, 0.6), 0.95, 0.85]))
    elif name == "lobed":
        mesh = shapes.lobed_cell(int(rng.integers(1000)), 1.0, edge=0.09)
    elif name == "dividing":
        mesh = shapes.dividing_cell(2.6, 0.75, 0.5, axis=tuple(rng.normal(size=3)), edge=0.08)
    elif name == "pear":
        v = ball.vertices * np.array([0.65, 0.65, 1.0])
        mesh = ball.with_vertices(v * np.stack([1 + 0.4 * v[:, 2]] * 2 + [np.ones(len(v))], axis=1))
    elif name == "bent":
        v = ball.vertices * np.array([0.6, 0.65, 1.1])
        mesh = ball.with_vertices(v + np.stack([0 * v[:, 0], 0.35 * v[:, 2] ** 2, 0 * v[:, 0]], axis=1))
    else:
        z, rho = ball.vertices[:, 0], np.hypot(ball.vertices[:, 1], ball.vertices[:, 2])
        half = 0.5 * (1.2 + 7.5 * rho**2 - 4.2 * rho**4) / 3.91
        mesh = ball.with_vertices(np.stack([z * half, *ball.vertices.T[1:]], axis=1))
    low, high = mesh.bounds
    centre = s.grid.centre + rng.uniform(-1, 1, 3) * s.grid.spacing if centre is None else centre
    length = max(high - low)
    mesh = topology.orient_outward(
        mesh.with_vertices((mesh.vertices - 0.5 * (low + high)) * scale * s.size / length + centre)
    )
    return stained(mesh, rng, rng.uniform(0, 0.2) if spread is None else spread)


def _towards(rng: Rng, flat: bool = True) -> Array:
    """A random direction, in the plane of y and x."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([0.0 if flat else rng.uniform(-0.3, 0.3), np.sin(angle), np.cos(angle)])


def _extent(mesh: cf.SurfaceMesh, direction: Array) -> float:
    """How far a mesh reaches along a direction, from the centre of its bounds."""
    return float(((mesh.vertices - 0.5 * sum(mesh.bounds)) @ direction).max())


def _pair(s: Setting, gap: float, scale: float = 0.42) -> list[cf.SurfaceMesh]:
    """Two cells side by side along x, `gap` µm apart, the first near the middle."""
    x = np.array([0.0, 0.0, 1.0])
    first = body(s, scale)
    second = body(s, scale * s.rng.uniform(0.6, 0.95))
    shift = _extent(first, x) + _extent(second, -x) + gap
    second = second.with_vertices(second.vertices + shift * x)
    back = 0.5 * shift * x
    return [m.with_vertices(m.vertices - back) for m in (first, second)]


# -- kinds that should come out well ----------------------------------------------------------------------------------


def plain(rng: Rng, part: str) -> Scene:
    """A cell, moderate noise."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.45, 0.65))
    return Scene(s.camera(s.light(cell)), [cell])


def noisy(rng: Rng, part: str) -> Scene:
    """A cell, much noise."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.5, 0.65))
    return Scene(s.camera(s.light(cell), rng.uniform(2.0, 5.0)), [cell])


def clean(rng: Rng, part: str) -> Scene:
    """Next to no noise."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.45, 0.65))
    return Scene(s.camera(s.light(cell), 300.0), [cell])


def uneven(rng: Rng, part: str) -> Scene:
    """A strongly uneven staining."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.5, 0.65), spread=rng.uniform(0.25, 0.45))
    return Scene(s.camera(s.light(cell)), [cell])


def anisotropic(rng: Rng, part: str) -> Scene:
    """High voxels."""
    s = Setting.drawn(rng, part, n=52, ratio=rng.uniform(2.0, 2.6))
    cell = body(s, rng.uniform(0.55, 0.7))
    return Scene(s.camera(s.light(cell)), [cell])


def distant(rng: Rng, part: str) -> Scene:
    """A neighbour at a distance."""
    s = Setting.drawn(rng, part, n=54)
    pair = _pair(s, rng.uniform(4.0, 7.0) * s.sigma[2], 0.38)
    return Scene(s.camera(s.light(*pair)), list(pair))


def aberrated(rng: Rng, part: str) -> Scene:
    """A halo, or a light sheet of tilted blur, that the PSF's model does not have."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.5, 0.65))
    light = s.light(cell)
    wide = ndimage.gaussian_filter(light, 2.0 * np.asarray(s.sigma) / s.grid.spacing)
    return Scene(s.camera(light + rng.uniform(0.2, 0.6) * wide), [cell])


def outlined(rng: Rng, part: str) -> Scene:
    """A label that is a voxel too large or too small, with a neighbour close by that has one as well."""
    s = Setting.drawn(rng, part, n=50)
    pair = _pair(s, rng.uniform(1.0, 2.0) * s.sigma[2], 0.45)
    labels = np.zeros(s.grid.shape, dtype=int)
    for n, cell in enumerate(pair, start=1):
        mask = mesh_to_mask(cell, s.grid)
        mask = ndimage.binary_erosion(mask) if rng.random() < 0.5 else ndimage.binary_dilation(mask)
        labels[mask & (labels == 0)] = n
    return Scene(s.camera(s.light(*pair)), [pair[0]], {"labels": labels, "label": 1})


def known_psf(rng: Rng, part: str) -> Scene:
    """The right PSF, fixed."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.45, 0.65))
    return Scene(s.camera(s.light(cell)), [cell], {"psf": s.psf}, {"infer_psf": False})


def foggy(rng: Rng, part: str) -> Scene:
    """Stray light that varies over the image, and a dim cytoplasm."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.5, 0.65))
    light = s.light(cell)
    ramp = np.arange(s.grid.shape[2]) / s.grid.shape[2]
    inside = s.blurred(mesh_to_mask(cell, s.grid))
    return Scene(s.camera(light + light.max() * (0.1 * ramp + rng.uniform(0.0, 0.1) * inside)), [cell])


# -- kinds that are broken on purpose ----------------------------------------------------------------------------------


def _voronoi(s: Setting, spacing: float, part_of_box: float = 1.0) -> tuple[Array, Array]:
    """Labels of foam-like cells about `spacing` µm wide, and the blurred light of their membranes."""
    rng, fine = s.rng, 2
    shape = tuple(fine * n for n in s.grid.shape)
    step = np.asarray(s.grid.spacing) / fine
    extent = np.asarray(shape) * step
    counts = np.maximum(np.rint(extent / spacing).astype(int), 1)
    places = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n * e for n, e in zip(counts, extent)], indexing="ij"), -1)
    seeds = places.reshape(-1, 3) + rng.uniform(-0.28, 0.28, (places.size // 3, 3)) * spacing
    points = np.stack(np.meshgrid(*[np.arange(n) * d for n, d in zip(shape, step)], indexing="ij"), -1)
    from scipy.spatial import cKDTree

    labels = 1 + cKDTree(seeds).query(points.reshape(-1, 3))[1].reshape(shape)
    if part_of_box < 1.0:
        away = np.linalg.norm((points - 0.5 * extent) / (0.5 * extent), axis=-1)
        labels[away > part_of_box] = 0
    edges = np.zeros(shape)
    for axis in range(3):
        edges += np.abs(np.diff(labels, axis=axis, append=np.take(labels, [-1], axis=axis))) > 0
    light = ndimage.gaussian_filter((edges > 0).astype(float), np.asarray(s.sigma) / step)
    light *= np.exp(0.2 * ndimage.gaussian_filter(rng.normal(size=shape), spacing / step * 0.5) * 30)
    return labels[::fine, ::fine, ::fine], light[::fine, ::fine, ::fine]


def tissue(rng: Rng, part: str) -> Scene:
    """Foam-like cells that fill the image, or a clump of them; no label."""
    s = Setting.drawn(rng, part, n=48)
    labels, light = _voronoi(s, rng.uniform(0.3, 0.45) * s.size, rng.choice([1.0, 0.75]))
    return Scene(s.camera(light), [labels == n for n in np.unique(labels[labels > 0])])


def nucleus(rng: Rng, part: str) -> Scene:
    """A filled body without a membrane."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.45, 0.65))
    inside = mesh_to_mask(cell, s.grid)
    texture = 1.0 + rng.uniform(0, 0.2) * ndimage.gaussian_filter(rng.normal(size=inside.shape), 2) * 10
    return Scene(s.camera(s.blurred(inside * texture)), [cell])


def filled_membrane(rng: Rng, part: str) -> Scene:
    """A membrane whose inside is about as bright."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.5, 0.65))
    light, inside = s.light(cell), s.blurred(mesh_to_mask(cell, s.grid))
    return Scene(s.camera(light / light.max() + rng.uniform(0.5, 1.0) * inside), [cell])


def nothing(rng: Rng, part: str) -> Scene:
    """Noise alone."""
    s = Setting.drawn(rng, part)
    noise = rng.normal(size=s.grid.shape)
    if rng.random() < 0.5:
        noise = ndimage.gaussian_filter(noise, rng.uniform(0.5, 1.5))
    return Scene(cf.Volume((100 + 20 * noise / noise.std()).astype(np.float32), s.grid.spacing), [])


def half(rng: Rng, part: str) -> Scene:
    """One half of a dividing cell, given as a label."""
    s = Setting.drawn(rng, part)
    axis = _towards(rng)
    cell = shapes.dividing_cell(2.6, 0.75, rng.uniform(0.4, 0.75), axis=tuple(axis), edge=0.08)
    cell = cell.with_vertices(cell.vertices * 0.7 * s.size / 2.6 + s.grid.centre)
    inside = mesh_to_mask(cell, s.grid)
    place = np.stack(np.meshgrid(*[np.arange(n) * d for n, d in zip(s.grid.shape, s.grid.spacing)], indexing="ij"), -1)
    label = inside & ((place - s.grid.centre) @ axis > 0)
    return Scene(s.camera(s.light(cell)), [cell], {"labels": label.astype(int)})


def deskewed(rng: Rng, part: str) -> Scene:
    """A slanted window, zero outside, that cuts the cell."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.55, 0.7))
    volume = s.camera(s.light(cell))
    z, y, x = np.meshgrid(*[np.arange(n) / n for n in s.grid.shape], indexing="ij")
    window = (y > rng.uniform(0.35, 0.5) * 0.8 + 0.35 * (z - 0.5)) & (y < 0.98 + 0.3 * (z - 0.5))
    return Scene(dataclasses.replace(volume, data=np.where(window, volume.data, 0).astype(np.float32)), [cell])


def cut(rng: Rng, part: str) -> Scene:
    """A cell of which the border cuts a third or half off."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.55, 0.7))
    axis, side = int(rng.integers(3)), int(rng.integers(2))
    low, high = cell.bounds
    length = high[axis] - low[axis]
    edge = 0.0 if side == 0 else (s.grid.shape[axis] - 1) * s.grid.spacing[axis]
    share = rng.uniform(0.2, 0.5)
    move = np.zeros(3)
    move[axis] = edge - (low[axis] + share * length if side == 0 else high[axis] - share * length)
    cell = cell.with_vertices(cell.vertices + move)
    return Scene(s.camera(s.light(cell)), [cell])


def touching(rng: Rng, part: str) -> Scene:
    """Two cells that touch, no label."""
    s = Setting.drawn(rng, part, n=50)
    pair = _pair(s, rng.uniform(-0.3, 0.5) * s.sigma[2], 0.5)
    return Scene(s.camera(s.light(*pair)), list(pair))


def _wrong_psf(rng: Rng, part: str, factor: float) -> Scene:
    """A PSF that is wrong by a factor, fixed."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.4, 0.6))
    psf = cf.GaussianPSF.from_sigma(tuple(factor * w for w in s.sigma))
    return Scene(s.camera(s.light(cell)), [cell], {"psf": psf}, {"infer_psf": False})


def narrow_psf(rng: Rng, part: str) -> Scene:
    """A PSF far too narrow, fixed."""
    return _wrong_psf(rng, part, rng.uniform(0.3, 0.5))


def wide_psf(rng: Rng, part: str) -> Scene:
    """A PSF far too wide, fixed."""
    return _wrong_psf(rng, part, rng.uniform(1.8, 3.0))


def unfinished(rng: Rng, part: str) -> Scene:
    """Few steps, from a start that is far off."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.45, 0.65))
    radius = rng.uniform(0.4, 0.9) * (0.75 * cell.volume / np.pi) ** (1 / 3)
    start = shapes.icosphere(radius, tuple(cell.vertices.mean(axis=0)), subdivisions=2)
    return Scene(s.camera(s.light(cell)), [cell], {"mesh": start},
                 {"iterations": int(rng.integers(6, 30)), "align_start": False})  # fmt: skip


def half_stained(rng: Rng, part: str) -> Scene:
    """A cell of whose membrane a third or half is not stained."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.5, 0.65))
    centres = cell.vertices[cell.faces].mean(axis=1) @ _towards(rng, flat=False)
    lit = centres > np.quantile(centres, rng.uniform(0.25, 0.5))
    cell = cf.SurfaceMesh(cell.vertices, cell.faces, np.where(lit, cell.density, 0.03))
    return Scene(s.camera(s.light(cell)), [cell])


def two_in_a_mask(rng: Rng, part: str) -> Scene:
    """A label that covers two cells."""
    s = Setting.drawn(rng, part, n=50)
    pair = _pair(s, rng.uniform(-0.2, 1.0) * s.sigma[2], 0.45)
    mask = ndimage.binary_closing(mesh_to_mask(pair[0], s.grid) | mesh_to_mask(pair[1], s.grid), iterations=3)
    return Scene(s.camera(s.light(*pair)), list(pair), {"labels": mask.astype(int)})


def saturated(rng: Rng, part: str) -> Scene:
    """A detector that was saturated: all of the membrane's blur is white."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.45, 0.65))
    volume = s.camera(s.light(cell))
    top = OFFSET + rng.uniform(0.08, 0.3) * PEAK
    data = np.minimum(volume.data, top) / top * 255
    return Scene(dataclasses.replace(volume, data=data.astype(np.uint8)), [cell])


def thin(rng: Rng, part: str) -> Scene:
    """A sheet thinner than the PSF, or a body with such a sheet."""
    s = Setting.drawn(rng, part)
    ball = shapes.icosphere(1.0, subdivisions=4)
    height = rng.uniform(0.25, 0.8) * s.sigma[0]
    cell = ball.with_vertices(ball.vertices * np.array([height, 0.3 * s.size, 0.25 * s.size]) + s.grid.centre)
    return Scene(s.camera(s.light(cell)), [cell])


def drowned(rng: Rng, part: str) -> Scene:
    """Noise far above the membrane."""
    s = Setting.drawn(rng, part)
    cell = body(s, rng.uniform(0.45, 0.65))
    return Scene(s.camera(s.light(cell), rng.uniform(0.15, 0.6)), [cell])


Kind = Callable[[Rng, str], Scene]
GOOD: tuple[Kind, ...] = (
    plain, noisy, clean, uneven, anisotropic, distant, aberrated, outlined, known_psf, foggy,
)  # fmt: skip
BROKEN: tuple[Kind, ...] = (
    tissue, nucleus, filled_membrane, nothing, half, deskewed, cut, touching, narrow_psf, wide_psf, unfinished,
    half_stained, two_in_a_mask, saturated, thin, drowned,
)  # fmt: skip
