"""How often 90 % intervals hold the truth where the model is wrong: five kinds of misfit.

    python benchmarks/misfit.py [--kinds patchy aberrated …] [--repeats 60] [--first 0] [--out FOLDER]

Random bumpy cells of 3.6 to 5 µm in 40³ voxels of 0.2 µm, everything inferred, default settings, a Gaussian PSF that
starts 15 % off. patchy: the staining varies within 2 to 4 voxels (the prior expects 15). aberrated: the image has a
Gibson-Lanni PSF, 1 to 6 µm deep under oil, the fit a Gaussian. thick: a membrane of 0.05 to 0.25 µm in place of a
sheet. neighbour: another cell 0.2 to 0.8 µm away. camera: 15 to 100 photons in the brightest voxel, read-out noise of
2; the fit takes equal noise. All but the last have Gaussian noise of 2 to 5 % of the maximum. Prints a row for each
kind and quantity: how often the misfit-aware and the noise-only interval held the truth, and the median errors.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

import cytoform as cf
from cytoform.imaging import camera_image, render_on
from cytoform.masks import mesh_to_mask
from cytoform.mesh import geometry, shapes
from cytoform.mesh.laplacian import combinatorial_laplacian
from cytoform.optics import GibsonLanniPSF

KINDS = ("patchy", "aberrated", "thick", "neighbour", "camera")
NAMES = ("volume_um3", "area_um2", "psf_fwhm_z_um", "psf_fwhm_y_um")
SHAPE, SPACING = (40, 40, 40), (0.2, 0.2, 0.2)


def bumpy_cell(rng: np.random.Generator, centre: npt.NDArray, edge: float = 0.15) -> cf.SurfaceMesh:
    """A random ellipsoid with smooth bumps of 4 % of its radius."""
    semi = rng.uniform(1.8, 2.5, 3)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    mesh = shapes.ellipsoid(tuple(semi), tuple(centre), axes=axes, edge=edge)
    waves = rng.normal(0.0, 1.0, (10, 3)) / semi.mean() * 1.5
    field = np.cos((mesh.vertices - centre) @ waves.T + rng.uniform(0, 2 * np.pi, 10)).sum(axis=1) / np.sqrt(5.0)
    return mesh.with_vertices(centre + (mesh.vertices - centre) * (1.0 + 0.04 * field)[:, None])


def patches(mesh: cf.SurfaceMesh, rng: np.random.Generator) -> cf.SurfaceMesh:
    """The mesh with a staining that varies by 30 to 50 % within a few voxels."""
    from scipy.sparse import identity
    from scipy.sparse.linalg import splu

    length = rng.uniform(2.0, 4.0) * SPACING[0]
    edge = float(np.mean(geometry.edge_lengths(mesh.vertices, mesh.faces)))
    laplacian = combinatorial_laplacian(mesh.faces, mesh.n_vertices)
    smooth = splu((identity(mesh.n_vertices) + (length / edge) ** 2 / 8.0 * laplacian).tocsc())
    field = smooth.solve(smooth.solve(rng.normal(size=mesh.n_vertices)))
    field *= rng.uniform(0.3, 0.5) / field.std()
    return mesh.with_density(np.exp(field[mesh.faces].mean(axis=1)))


def scene(kind: str, seed: int) -> tuple[cf.Volume, cf.SurfaceMesh, npt.NDArray, cf.GaussianPSF]:
    """An image, the true surface, the true FWHM of the PSF, and the PSF from which the fit starts."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    grid = cf.Grid(SHAPE, SPACING)
    truth = bumpy_cell(rng, grid.centre + rng.uniform(-0.1, 0.1, 3))
    across = rng.uniform(0.22, 0.3)
    psf = cf.GaussianPSF.from_sigma((rng.uniform(1.3, 1.9) * across, across, across))
    if kind == "aberrated":
        psf = GibsonLanniPSF(
            numerical_aperture=1.3, wavelength=0.6, immersion_index=1.515, sample_index=rng.uniform(1.35, 1.42),
            depth=rng.uniform(1.0, 6.0), modality="confocal", blur=(0.25, 0.15),
        )  # fmt: skip
    layers, parts = [patches(truth, rng) if kind == "patchy" else truth], 1
    if kind == "thick":
        half = 0.5 * rng.uniform(0.05, 0.25)
        normals = geometry.vertex_normals(truth.vertices, truth.faces)
        layers = [truth.with_vertices(truth.vertices + d * normals) for d in np.linspace(-half, half, 5)]
        parts = len(layers)
    light = sum(render_on(layer, psf, grid, margin=psf.reach()) for layer in layers) / parts
    if kind == "neighbour":
        other = bumpy_cell(rng, np.zeros(3))
        way = rng.normal(size=3)
        way /= np.linalg.norm(way)
        gap = rng.uniform(0.2, 0.8)
        shift = float((truth.vertices @ way).max() - (other.vertices @ way).min()) + gap
        beside = grid.centre - way * float(grid.centre @ way)
        other = other.with_vertices(other.vertices + beside + way * shift)
        light = light + render_on(other, psf, grid, margin=psf.reach())
    light = np.asarray(light, dtype=np.float64) / float(light.max())
    if kind == "camera":
        data = camera_image(light, photons=rng.uniform(15, 100), background=100.0, read_noise=2.0, seed=seed)
    else:
        data = light + rng.normal(0.0, rng.uniform(0.02, 0.05), SHAPE)
    start = cf.GaussianPSF.from_sigma(tuple(float(s) for s in np.asarray(psf.fwhm) / 2.3548 * 1.15))
    return cf.Volume(data.astype(np.float32), SPACING), truth, np.asarray(psf.fwhm), start


def repeat(kind: str, seed: int) -> list[float]:
    """Errors of the quantities, then their misfit-aware standard errors, the noise-only ones, R² and IoU."""
    volume, truth, fwhm, start = scene(kind, seed)
    result = cf.fit(volume, psf=start)
    sure = result.uncertainty
    assert sure is not None
    values = [sum(result.interval(name)) / 2 for name in NAMES]
    true = [truth.volume, truth.area, fwhm[0], 0.5 * (fwhm[1] + fwhm[2])]
    aware = [sure.volume_um3, sure.area_um2, *sure.psf_fwhm_um[:2]]
    plain = sure.noise_only
    noise = [plain.volume_um3, plain.area_um2, *plain.psf_fwhm_um[:2]]
    one, two = mesh_to_mask(result.mesh, volume.grid), mesh_to_mask(truth, volume.grid)
    iou = (one & two).sum() / (one | two).sum()
    return [*(v - t for v, t in zip(values, true)), *aware, *noise, result.r2, iou, *true]


def report(kind: str, found: npt.NDArray) -> None:
    """Print the rows of a kind; found (n, columns of :func:`repeat`)."""
    error, aware, noise = found[:, :4], found[:, 4:8], found[:, 8:12]
    for i, name in enumerate(NAMES):
        held = [100.0 * (np.abs(error[:, i]) <= 1.6449 * sure[:, i]).mean() for sure in (aware, noise)]
        true = 0.01 * found[:, 14 + i]  # then values are in %
        root = float(np.sqrt(np.mean((error[:, i] / true) ** 2)))
        medians = [float(np.median(values[:, i] / true)) for values in (error, aware, noise)]
        print(
            f"| {kind} | {name} | {held[0]:.0f} % | {held[1]:.0f} % | {medians[0]:+.2f} % | {root:.2f} % | "
            f"{medians[1]:.2f} % | {medians[2]:.2f} % |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="*", default=KINDS, choices=KINDS)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--first", type=int, default=0, help="Seed of the first repeat.")
    parser.add_argument("--out", type=Path, help="Folder for the rows of each kind, .npy, kept after each repeat.")
    parser.add_argument("--join", type=Path, nargs="*", help="Folders of --out to report on together.")
    options = parser.parse_args()
    found: dict[str, list[list[float]]] = {kind: [] for kind in options.kinds}
    for folder in options.join or []:
        for kind in options.kinds:
            found[kind] += np.load(folder / f"{kind}.npy").tolist()
    for kind in options.kinds if not options.join else []:
        for seed in range(options.first, options.first + options.repeats):
            found[kind].append(repeat(kind, seed))
            if options.out is not None:
                options.out.mkdir(parents=True, exist_ok=True)
                np.save(options.out / f"{kind}.npy", np.array(found[kind]))
            print(f"\r{kind}: {len(found[kind])} of {options.repeats}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    print("| kind | quantity | held, misfit-aware | noise only | median error | rms | ± misfit-aware | ± noise only |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind in options.kinds:
        report(kind, np.array(found[kind]))


if __name__ == "__main__":
    main()
