"""Fits of simulated images against the surfaces that they were made from, one set of defaults for all.

    CYTOFORM_TEST_DATA=DATA python benchmarks/truth.py shapes|starts|noise|psf|filled|both|fine|baseline [--only NAME …]

Each prints a Markdown table. Shapes and starts follow Ichbiah et al., ICCV 2025, figures 7 to 9: Gaussian PSF of two
voxels, known but in `psf`; images are scaled to a maximum of 1; a start is a sphere (or a torus) of the truth's volume
about its centroid, scaled and shifted where the table says so. Distances are from the true surface, in voxels.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import morphological_geodesic_active_contour

import cytoform as cf
from cytoform.imaging import GaussianNoise, Sample, make_sample, render_on
from cytoform.masks import mask_to_mesh, mesh_to_mask
from cytoform.mesh import shapes, topology
from cytoform.metrics import mesh_iou, mse, psnr, ssim, surface_distances

SPACING = 0.1  # µm: a voxel of the simulated images
FILL = 0.62  # of the box that the largest side of a body takes
SIGMA = 2.0  # voxels


def _data_mesh(name: str) -> cf.SurfaceMesh:
    folder = os.environ.get("CYTOFORM_TEST_DATA")
    if folder is None:
        raise SystemExit(f"{name} is one of the test data's meshes: set CYTOFORM_TEST_DATA to their folder.")
    mesh = cf.read_mesh(Path(folder, "meshes", f"{name}.obj"))
    assert isinstance(mesh, cf.SurfaceMesh)
    return mesh


def _deformed(mesh: cf.SurfaceMesh, move: Callable[[npt.NDArray], npt.NDArray]) -> cf.SurfaceMesh:
    return mesh.with_vertices(move(mesh.vertices))


def _biconcave() -> cf.SurfaceMesh:
    """A red blood cell at rest (Evans and Fung 1972, doi 10.1016/0026-2862(72)90069-6), diameter 7.8 µm."""
    ball = shapes.icosphere(1.0, subdivisions=5)
    z, rho = ball.vertices[:, 0], np.hypot(ball.vertices[:, 1], ball.vertices[:, 2])
    half = 0.5 * (0.81 + 7.83 * rho**2 - 4.39 * rho**4)  # µm; times the sphere's own height
    return ball.with_vertices(np.stack([z * half, 3.91 * ball.vertices[:, 1], 3.91 * ball.vertices[:, 2]], axis=1))


def _thick_torus() -> cf.SurfaceMesh:
    """A torus that is wider on one side and bent."""

    def move(points: npt.NDArray) -> npt.NDArray:
        z, y, x = points.T
        return np.stack([1.2 * z + 0.15 * y * y - 0.1 * x, 1.15 * y, 0.9 * x + 0.1 * z], axis=1)

    return _deformed(shapes.torus(1.6, 0.6, n_major=96, n_minor=40), move)


BODIES: dict[str, Callable[[], cf.SurfaceMesh]] = {
    "cow": lambda: _data_mesh("cow"),
    "fish": lambda: _data_mesh("fish"),
    "dividing": lambda: shapes.dividing_cell(9.5, 2.6, 1.5, axis=(0.35, 0.6, 0.75), edge=0.2, bumps=0.04),
    "lobed": lambda: shapes.lobed_cell(3, 3.0, edge=0.15),
    "biconcave": _biconcave,
    "torus": _thick_torus,
}


def sample(
    name: str, size: int = 128, *, noise: float = 0.0, seed: int = 0, sigma: Sequence[float] = (SIGMA,),
    filled: bool = False,
) -> Sample:  # fmt: skip
    """A body of the table in the middle of size³ voxels.

    Parameters
    ----------
    noise : float
        Variance of the Gaussian noise on the image scaled to a maximum of 1.
    sigma : of the PSF, in voxels, one or (z, y, x).
    filled : whether its inside is bright, in place of its surface.
    """
    grid = cf.Grid((size,) * 3, SPACING)
    body = BODIES[name]()
    low, high = body.bounds
    scale = FILL * size * SPACING / float((high - low).max())
    truth = topology.orient_outward(_deformed(body, lambda v: (v - 0.5 * (low + high)) * scale + grid.centre))
    truth = truth.with_density(0.0).with_jump(1.0) if filled else truth
    psf = cf.GaussianPSF.from_sigma(SPACING * np.asarray(sigma, dtype=float))
    dirt = GaussianNoise(np.sqrt(noise))
    return make_sample(truth, psf, grid, noise=dirt, seed=seed, peak=1.0, name=name, margin=psf.reach(), tolerance=1e-5)


def start(truth: cf.SurfaceMesh, scale: float = 1.0, shift: float = 0.0) -> cf.SurfaceMesh:
    """A sphere of the truth's volume about its centroid, a torus where it is one; shifted by a part of its length."""
    low, high = truth.bounds
    step = float((high - low).max()) / 60.0
    grid = cf.Grid((64,) * 3, step, tuple(low - 2 * step))
    centre = grid.to_um(np.argwhere(mesh_to_mask(truth, grid))).mean(axis=0)
    centre = centre + np.array([0.0, 0.0, shift * float((high - low).max())])
    edge = 2.0 * SPACING
    if topology.genus(truth) == 0:
        return shapes.sphere_of_edge(scale * (0.75 * truth.volume / np.pi) ** (1 / 3), tuple(centre), edge)
    ring = 0.32 * float((high - low).max())
    return shapes.torus(scale * ring, scale * 0.4 * ring, tuple(centre))


@dataclasses.dataclass(frozen=True)
class Score:
    """What a surface is worth; image measures are of its rendering against the image without noise."""

    mse: float
    psnr: float
    ssim: float
    iou: float
    distance: float
    hausdorff: float
    evaluations: int
    seconds: float

    HEAD = "| {} | MSE | PSNR | SSIM | IoU | distance | 95 % | evaluations | time |\n|" + " --- |" * 9

    def row(self, name: str) -> str:
        """A row of a Markdown table."""
        return (
            f"| {name} | {self.mse:.2e} | {self.psnr:.1f} | {self.ssim:.4f} | {self.iou:.4f} | {self.distance:.3f} | "
            f"{self.hausdorff:.3f} | {self.evaluations} | {self.seconds:.0f} s |"
        )


def rendered(mesh: cf.SurfaceMesh, made: Sample) -> npt.NDArray[np.float32]:
    """Rendering of a surface through the true PSF, at the gain and background that fit the clean image best."""
    from cytoform.loss import best_affine

    grid = made.image.grid
    image = render_on(mesh, made.psf, grid, margin=np.asarray(made.psf.reach()) + grid.overhang(mesh.vertices))
    gain, background = best_affine(image, made.light)
    return (gain * image + background).astype(np.float32)


def score(mesh: cf.SurfaceMesh, made: Sample, evaluations: int, seconds: float) -> Score:
    """Measures of a surface against the truth."""
    image = rendered(mesh, made)
    apart = surface_distances(mesh, made.truth, n_points=20_000)
    return Score(
        mse(made.light, image), psnr(made.light, image, data_range=1.0), ssim(made.light, image, data_range=1.0),
        mesh_iou(mesh, made.truth, 0.5 * SPACING), apart.mean / SPACING, apart.percentile_95 / SPACING, evaluations,
        seconds,
    )  # fmt: skip


def fitted(made: Sample, begin: cf.SurfaceMesh, **config) -> tuple[cf.FitResult, Score]:
    """A fit with the default settings (and what is passed), scored."""
    psf = config.pop("psf", made.psf)
    callbacks = config.pop("callbacks", ())
    clock = time.perf_counter()
    result = cf.fit(
        made.image,
        begin,
        psf,
        cf.FitConfig(**{"infer_psf": False, "uncertainty": False, **config}),
        callbacks=callbacks,
    )
    return result, score(result.mesh, made, result.evaluations, time.perf_counter() - clock)


def shapes_table(options: argparse.Namespace) -> None:
    """The paper's figure 7: every body from a sphere or a torus."""
    print(Score.HEAD.format("body"))
    for name in options.only or BODIES:
        made = sample(name, options.size)
        print(fitted(made, start(made.truth))[1].row(name), flush=True)


def starts_table(options: argparse.Namespace) -> None:
    """The paper's figure 8, top and middle: the cow from spheres of other sizes and places."""
    made = sample("cow", options.size)
    print(Score.HEAD.format("start"))
    for scale in (0.5, 0.75, 1.0, 1.25, 1.5):
        print(fitted(made, start(made.truth, scale))[1].row(f"scale {scale:g}"), flush=True)
    for shift in (0.1, 0.2, 0.3, 0.4, 0.5):
        print(fitted(made, start(made.truth, 1.0, shift))[1].row(f"shift {shift:g}"), flush=True)


def noise_table(options: argparse.Namespace) -> None:
    """The paper's figure 8, bottom: noise of variance 0.001 to 0.1."""
    print(Score.HEAD.format("body, variance"))
    for name in options.only or ("cow",):
        for noise in (0.0, 0.001, 0.01, 0.1):
            made = sample(name, options.size, noise=noise, seed=options.seed)
            print(fitted(made, start(made.truth))[1].row(f"{name}, {noise:g}"), flush=True)


def psf_table(options: argparse.Namespace) -> None:
    """A PSF of 4 and 2 voxels, started 50 % too wide and too narrow, fitted with the shape; noise 0.01."""
    print("| body, PSF's start | σ z, error % | σ across, error % | IoU | distance | evaluations | time |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in options.only or BODIES:
        for off in (1.5, 0.5):
            made = sample(name, options.size, noise=0.01, sigma=(4.0, 2.0, 2.0))
            guess = cf.GaussianPSF.from_sigma(off * made.psf.sigma)
            result, found = fitted(made, start(made.truth), psf=guess, infer_psf=True)
            z, y, _ = 100.0 * (result.psf.sigma / made.psf.sigma - 1.0)
            print(
                f"| {name}, {off:g} | {z:+.2f} | {y:+.2f} | {found.iou:.4f} | {found.distance:.3f} | "
                f"{found.evaluations} | {found.seconds:.0f} s |", flush=True,
            )  # fmt: skip


def filled_table(options: argparse.Namespace) -> None:
    """Filled bodies, noise 0.01, from a sphere and a PSF 15 % too wide that is fitted with the shape."""
    print("| body | IoU | distance | volume, % | ± | σ z, error % | σ across, error % | evaluations | time |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in options.only or ("cow", "fish", "dividing"):
        made = sample(name, options.size, noise=0.01, filled=True)
        guess = cf.GaussianPSF.from_sigma(1.15 * made.psf.sigma)
        settings = {"infer_psf": True, "stain": "filled", "uncertainty": True}
        result, found = fitted(made, start(made.truth), psf=guess, **settings)
        z, y, _ = 100.0 * (result.psf.sigma / made.psf.sigma - 1.0)
        volume = made.truth.volume
        error = np.nan if result.uncertainty is None else 100.0 * result.uncertainty.volume_um3 / volume
        print(
            f"| {name} | {found.iou:.4f} | {found.distance:.3f} | {100.0 * (result.volume_um3 / volume - 1.0):+.2f} | "
            f"{error:.2f} | {z:+.2f} | {y:+.2f} | {found.evaluations} | {found.seconds:.0f} s |", flush=True,
        )  # fmt: skip


def both_table(options: argparse.Namespace) -> None:
    """A membrane and a cytoplasm 10 and 50 % as bright as its peak, noise 0.001; beside a fit of a membrane alone."""
    print(
        "| body, cytoplasm | volume, % | ± | membrane, % | cytoplasm, % | ± | σ, % | membrane alone: volume, % | time |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in options.only or ("lobed", "biconcave"):
        for share in (0.1, 0.5):
            plain = sample(name, options.size)
            peak = float(render_on(plain.truth, plain.psf, plain.image.grid, margin=plain.psf.reach()).max())
            truth = plain.truth.with_jump(share * peak)
            made = make_sample(
                truth, plain.psf, plain.image.grid, noise=GaussianNoise(0.001**0.5), peak=1.0, margin=plain.psf.reach()
            )
            unit = float(made.light.max()) / float(
                render_on(truth, made.psf, made.image.grid, margin=made.psf.reach()).max()
            )
            guess = cf.GaussianPSF.from_sigma(1.15 * made.psf.sigma)
            clock = time.perf_counter()
            result = cf.fit(made.image, start(plain.truth), guess, cf.FitConfig(stain="both"))
            clock = time.perf_counter() - clock
            alone = cf.fit(made.image, start(plain.truth), guess, cf.FitConfig(uncertainty=False))
            light = result.gain * float(result.mesh.face_areas @ result.mesh.density) / (unit * plain.truth.area)
            inside, errors, volume = result.filling / (unit * share * peak), result.uncertainty, plain.truth.volume
            row = [
                result.volume_um3 / volume - 1, errors.volume_um3 / volume, light - 1, inside - 1,
                errors.filling / (unit * share * peak), result.psf.sigma[1] / made.psf.sigma[1] - 1,
                alone.volume_um3 / volume - 1,
            ]  # fmt: skip
            print(
                f"| {name}, {share:g} | " + " | ".join(f"{100 * v:+.2f}" for v in row) + f" | {clock:.0f} s |",
                flush=True,
            )


def fine_table(options: argparse.Namespace) -> None:
    """The cow at 200³: image MSE after 50 iterations and at the end."""
    made, seen = sample("cow", 200), []

    def look(progress) -> None:
        if progress.iteration <= 50:
            seen[:] = [progress.mesh]

    _, found = fitted(made, start(made.truth), callbacks=(look,))
    print(Score.HEAD.format("cow, 200³"))
    print(score(seen[0], made, 50, 0.0).row("after 50 (not timed)"))
    print(found.row("at the end"))


def snake(made: Sample, begin: cf.SurfaceMesh) -> tuple[cf.SurfaceMesh, int, float]:
    """A classical active contour: morphological geodesic snakes (Márquez-Neila et al. 2014) on the edge image.

    The membrane itself is the edge: the contour stops where the blurred image is bright. Two evolutions, out from
    inside or in from outside, are what the method offers; smoothing 1 and balloon -1 or 1 are its hand-set tension.
    """
    clock = time.perf_counter()
    smooth = ndimage.gaussian_filter(made.image.data, 1.0)
    stopping = 1.0 - np.clip(smooth / np.percentile(smooth, 99.9), 0.0, 1.0)
    grid = made.image.grid
    mask = morphological_geodesic_active_contour(
        stopping, 300, init_level_set=mesh_to_mask(begin, grid), smoothing=1, balloon=1, threshold=0.5
    )
    return mask_to_mesh(mask, grid), 300, time.perf_counter() - clock


def baseline_table(options: argparse.Namespace) -> None:
    """Beside the fit: an active contour of the classical kind, from a sphere inside the body, scored alike."""
    print(Score.HEAD.format("body, method"))
    for name in options.only or ("cow", "fish", "dividing", "lobed", "biconcave"):
        made = sample(name, options.size, noise=0.001)
        begin = start(made.truth, 0.5)
        print(fitted(made, begin)[1].row(f"{name}, cytoform"), flush=True)
        found, steps, seconds = snake(made, begin)
        print(score(found, made, steps, seconds).row(f"{name}, snakes"), flush=True)


TABLES = {
    "shapes": shapes_table,
    "starts": starts_table,
    "noise": noise_table,
    "psf": psf_table,
    "filled": filled_table,
    "both": both_table,
    "fine": fine_table,
    "baseline": baseline_table,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--only", nargs="*", help="Bodies of the table.")
    parser.add_argument("--size", type=int, default=128, help="Voxels along an axis.")
    parser.add_argument("--seed", type=int, default=0, help="Of the noise in the table of noises.")
    options = parser.parse_args()
    warm = sample("lobed", 48)
    fitted(warm, start(warm.truth), iterations=6)  # kernels are compiled before anything is timed
    TABLES[options.table](options)


if __name__ == "__main__":
    main()
