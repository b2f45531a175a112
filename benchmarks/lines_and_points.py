"""Points and filaments found in simulated images: errors over the Cramér-Rao bound, F1, length found, densities.

    python benchmarks/lines_and_points.py [points] [filaments] [repeats]

Signal to noise is the peak of a lone point's or line's image over the noise's standard deviation. Distances of
filaments are in voxels, along each axis in its own.
"""

import sys
import time

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

import cytoform as cf
from cytoform.fitting.sources.gauss_newton import Start, linearise
from cytoform.fitting.spots.sources import PointSources
from cytoform.imaging import render_on

POINTS = {  # spacing, σ in voxels, shape, count, signal to noise, spread of log brightness, slope, photons, pairs
    "the bar": ((0.1, 0.1, 0.1), (2, 2, 2), (64, 160, 160), 500, 5, 0.0, 0, False, 50),
    "other seed": ((0.1, 0.1, 0.1), (2, 2, 2), (64, 160, 160), 500, 5, 0.0, 0, False, 50),
    "anisotropic, unequal": ((0.3, 0.1, 0.1), (1.2, 1.5, 1.5), (40, 128, 128), 200, 10, 0.4, 0, False, 20),
    "photons, uneven": ((0.2, 0.1, 0.1), (1.5, 2, 2), (40, 128, 128), 150, 5, 0.2, 60, True, 10),
}
LINES = {  # spacing, σ in voxels, shape, lines, branchings, signal to noise, spread of log density, slope, photons
    "the bar": ((0.1, 0.1, 0.1), (2, 2, 2), (48, 128, 128), 20, 3, 5, 0.0, 0, False),
    "anisotropic, unequal": ((0.3, 0.1, 0.1), (1.2, 2, 2), (24, 112, 112), 8, 2, 8, 0.3, 0, False),
    "photons, uneven": ((0.1, 0.1, 0.1), (2, 2, 2), (40, 112, 112), 10, 2, 6, 0.0, 60, True),
}


def image(light, noise_at_level, slope, photons, rng):
    """Add a background of 100 (with a slope) and noise, of photons or with one deviation, to light in units of it."""
    field = 100.0 + slope * np.linspace(0.0, 1.0, light.shape[2])[None, None] * np.ones(light.shape)
    if photons:  # the noise at the background of 100 is its root
        return rng.poisson(field + 10.0 * light).astype(np.float32), 10.0
    return (field + light + noise_at_level * rng.normal(size=light.shape)).astype(np.float32), 1.0


def points_of(case, seed):
    """Return a simulated image of points, the truth, and the PSF."""
    spacing, sigma, shape, count, snr, spread, slope, photons, pairs = case
    rng, sizes = np.random.default_rng(seed), np.array(sigma) * spacing
    low, high = 3.0 * np.array(spacing), (np.array(shape) - 4.0) * spacing
    places = [low + rng.random(3) * (high - low) for _ in range(count - pairs)]
    while len(places) < count:
        way = rng.normal(size=3)
        other = places[rng.integers(count - pairs)] + 2.0 * sizes * way / np.linalg.norm(way)
        if (other > low).all() and (other < high).all():
            places.append(other)
    places = np.array(places)
    light = snr * (2.0 * np.pi) ** 1.5 * np.prod(sizes) * np.exp(spread * rng.normal(size=count))
    psf, grid = cf.GaussianPSF.from_sigma(sizes), cf.Grid(shape, spacing)
    data, scale = image(render_on(cf.PointSet(places, light), psf, grid), 1.0, slope, photons, rng)
    return cf.Volume(data, spacing), places, scale * light, psf


def judge_points(name, seed):
    """Fit points, print a row of the table, and return the errors in units of the reported standard errors."""
    volume, places, light, psf = points_of(POINTS[name], seed)
    begin = time.perf_counter()
    found = cf.fit_points(volume, psf=psf)
    seconds, sigma = time.perf_counter() - begin, psf.sigma
    distance = np.linalg.norm((places[:, None] - found.positions[None]) / sigma, axis=-1)
    true, got = linear_sum_assignment(np.minimum(distance, 2.0))
    near = distance[true, got] < 1.0
    true, got = true[near], got[near]
    lone = np.sort(np.linalg.norm((places[:, None] - places[None]) / sigma, axis=-1), axis=1)[:, 1] > 3.0
    hits, missed, false = lone[true].sum(), lone.sum() - lone[true].sum(), len(found) - len(got)
    f1 = 2.0 * hits / (2.0 * hits + missed + false)
    scene = found.measurement
    problem = linearise(PointSources(places, light, scene), scene, np.zeros(volume.shape), Start())
    bound = np.sqrt(np.diagonal(problem.blocks(4), axis1=1, axis2=2))[true]
    error = np.column_stack([found.positions[got] - places[true], found.brightness[got] - light[true]])
    ratio = np.sqrt(np.mean((error[:, :3] / bound[:, :3]) ** 2))
    lone_ratio = np.sqrt(np.mean((error[lone[true], :3] / bound[lone[true], :3]) ** 2))
    own = error / np.column_stack([found.position_se, found.brightness_se])[got]
    inside = (np.abs(own) < 1.645).mean(axis=0)
    print(
        f"| {name} | {len(places)} | {len(found)} | {f1:.3f} | {ratio:.2f} | {lone_ratio:.2f} | "
        f"{100 * inside[:3].mean():.1f} | {100 * inside[3]:.1f} | {seconds:.0f} s |", flush=True,
    )  # fmt: skip


def lines_of(case, seed, length=60):
    """Return a simulated image of a network, its lines, their densities, and the PSF."""
    spacing, sigma, shape, count, branches, snr, spread, slope, photons = case
    rng, step, lines = np.random.default_rng(seed), 2.0, []
    spacing, sizes = np.array(spacing), np.array(sigma) * spacing
    low, high = 5.0 * spacing, (np.array(shape) - 6.0) * spacing
    unit = spacing.min()

    def grown(start, way, steps):
        line, way = [start], way / np.linalg.norm(way)
        for _ in range(steps):
            way = way + 0.08 * rng.normal(size=3)
            way /= np.linalg.norm(way)
            line.append(line[-1] + step * unit * way)
            if (line[-1] < low).any() or (line[-1] > high).any():
                return np.array(line[:-1])
        return np.array(line)

    def free(line, skip=0):
        old = np.concatenate(lines) if lines else np.full((1, 3), np.inf)
        return len(line) > 12 and np.linalg.norm((line[skip:, None] - old[None]) / sizes, axis=-1).min() > 4.0

    while len(lines) < count:
        if len(lines) < count - branches:
            line, skip = grown(low + rng.random(3) * (high - low), rng.normal(size=3), int(length / step)), 0
        else:
            base = lines[rng.integers(count - branches)]
            at = int(rng.integers(4, len(base) - 4))
            way = np.cross(base[at + 1] - base[at - 1], rng.normal(size=3))
            line, skip = grown(base[at], way, int(0.6 * length / step)), 6
        if free(line, skip):
            lines.append(line)
    section = 2.0 * np.pi * np.exp(2.0 * np.log(sizes).mean())
    density = snr * section * np.exp(spread * rng.normal(size=count))
    psf, grid = cf.GaussianPSF.from_sigma(sizes), cf.Grid(shape, tuple(spacing))
    light = render_on(cf.Filaments.from_polylines(lines, density), psf, grid)
    data, scale = image(light, 1.0, slope, photons, rng)
    return cf.Volume(data, tuple(spacing)), lines, scale * density, psf


def sampled(lines, spacing):
    """Return points along lines a fifth of a voxel apart, in voxels, and the line of each."""
    made = []
    for line in lines:
        size = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(line / spacing, axis=0), axis=1))]
        at = np.arange(0.0, size[-1], 0.2)
        made.append(np.column_stack([np.interp(at, size, column) for column in (line / spacing).T]))
    return np.concatenate(made), np.repeat(np.arange(len(made)), [len(m) for m in made])


def judge_lines(name, seed):
    """Fit a network and print a row of the table."""
    volume, lines, density, psf = lines_of(LINES[name], seed)
    begin = time.perf_counter()
    found = cf.fit_filaments(volume, psf=psf)
    seconds = time.perf_counter() - begin
    truth, line = sampled(lines, np.array(volume.spacing))
    fit, branch = sampled([b.places for b in found.branches], np.array(volume.spacing))
    missing, (false, nearest) = cKDTree(fit).query(truth)[0], cKDTree(truth).query(fit)
    errors, own = [], []
    for number, one in enumerate(found.branches):
        mine = (branch == number) & (false < 1.0)
        if mine.any():
            true = density[np.bincount(line[nearest[mine]]).argmax()]
            errors.append(one.density / true - 1.0)
            own.append((one.density - true) / one.density_se)
    print(
        f"| {name} | {len(lines)} | {100 * (missing < 0.3).mean():.1f} % | {100 * (missing < 1.0).mean():.1f} % | "
        f"{100 * (false > 0.3).mean():.1f} % | {100 * (false > 1.0).mean():.1f} % | "
        f"{100 * np.abs(errors).max():.1f} % | {100 * (np.abs(own) < 1.645).mean():.0f} | {seconds:.0f} s |",
        flush=True,
    )  # fmt: skip


def repeats(count=60):
    """Fit one short line in many images and tell how often 90 % intervals of its density hold the truth."""
    spacing, psf = (0.1, 0.1, 0.1), cf.GaussianPSF.from_sigma(0.2)
    along = np.linspace(0.6, 3.4, 40)
    line = np.column_stack([np.full(40, 0.9), 1.2 + 0.3 * np.sin(along), along])
    density = 5.0 * 2.0 * np.pi * 0.04
    light = render_on(cf.Filaments.from_polylines([line], density), psf, cf.Grid((18, 26, 40), spacing))
    away = []
    for seed in range(count):
        data = light + 100.0 + np.random.default_rng(seed).normal(size=light.shape)
        for branch in cf.fit_filaments(cf.Volume(data, spacing), psf=psf).branches:
            away.append((branch.density - density) / branch.density_se)
    inside = 100.0 * np.mean(np.abs(away) < 1.645)
    print(f"one line, {count} images: {len(away)} branches, 90 % intervals hold {inside:.1f} %", flush=True)


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["points", "filaments", "repeats"]
    if "filaments" in wanted:
        for seed, name in enumerate(LINES, 11):
            judge_lines(name, seed)
    if "points" in wanted:
        for seed, name in enumerate(POINTS, 21):
            judge_points(name, seed)
    if "repeats" in wanted:
        repeats()
