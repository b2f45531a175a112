"""Fits of real cells: how well they explain the image, and how far their surface depends on start and slices.

    CYTOFORM_TEST_DATA=DATA python benchmarks/cells.py [--only rbc_00 ...]

All red blood cells and the vesicles of the test data, default settings, everything inferred. Three tables: numbers of
the fit; its distance from a second fit that began from a mesh, the usual start shrunk to 0.85 and moved by 3 voxels
along y and x (a fit may move it onto the cell by itself); and the distance between fits of the even and of the odd
slices alone. Distances are between surfaces, both ways, in voxels.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

import cytoform as cf
from cytoform.fitting.bodies.surface import SurfaceBody
from cytoform.fitting.scene import Scene
from cytoform.mesh import topology
from cytoform.metrics import surface_distances

CELLS = (*(f"rbc_{i:02d}" for i in range(0, 16, 2)), "vesicles")


def image_of(name: str) -> cf.Volume:
    """One of the test data's images."""
    folder = os.environ.get("CYTOFORM_TEST_DATA")
    if folder is None:
        raise SystemExit("set CYTOFORM_TEST_DATA to the folder of the test data.")
    return cf.read_volume(Path(folder, "images", f"{name}.tif"))


def second_start(volume: cf.Volume, voxel: float) -> cf.SurfaceMesh:
    """The usual start, shrunk and moved."""
    scene = Scene(volume)
    usual = SurfaceBody(scene, 2.0 * voxel).starts(scene.largest_object().mask, "auto")[0]
    centre = usual.vertices.mean(axis=0)
    return usual.with_vertices(centre + 0.85 * (usual.vertices - centre) + 3.0 * voxel * np.array([0.0, 1.0, -1.0]))


def every_second(volume: cf.Volume, first: int) -> cf.Volume:
    """Slices first, first + 2, … of an image, where they are."""
    z, y, x = volume.spacing
    oz, oy, ox = volume.origin
    return cf.Volume(volume.data[first::2], (2 * z, y, x), (oz + first * z, oy, ox), volume.name)


def apart(one: cf.SurfaceMesh, two: cf.SurfaceMesh, voxel: float) -> str:
    """Mean, 95 % and largest distance of two surfaces, in voxels, as cells of a table."""
    found = surface_distances(one, two, n_points=20_000)
    return f"{found.mean / voxel:.3f} | {found.percentile_95 / voxel:.3f} | {found.hausdorff / voxel:.2f}"


def row(name: str, result: cf.FitResult) -> str:
    """Numbers of a fit."""
    sure, mesh = result.uncertainty, result.mesh
    errors = ("", "") if sure is None else (f" ± {sure.volume_um3:.1g}", f" ± {sure.area_um2:.1g}")
    low, high = result.density_range
    sigma = " ".join(f"{s:.3f}" for s in result.psf.sigma[:2])
    return (
        f"| {name} | {result.r2:.3f} | {result.r2_cell:.3f} | {result.volume_um3:.1f}{errors[0]} | "
        f"{result.area_um2:.1f}{errors[1]} | {result.sphericity:.3f} | {low:.2f} to {high:.2f} | {sigma} | "
        f"{topology.genus(mesh)} | {topology.self_intersections(mesh)} | {topology.quality(mesh).n_folded} | "
        f"{result.evaluations} | {result.seconds:.0f} s |"
    )


HEAD = (
    "| cell | R² | of the cell alone | volume, µm³ | area, µm² | sphericity | staining | PSF σ z, across, µm | genus | "
    "self-intersections | folds | evaluations | time |\n|" + " --- |" * 13
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=CELLS)
    parser.add_argument("--out", type=Path, help="A folder for the results.")
    options = parser.parse_args()
    cf.fit(image_of("rbc_04"), config=cf.FitConfig(iterations=6))  # kernels are compiled before anything is timed
    results, starts, halves = {}, [], []
    print(HEAD)
    for name in options.only:
        volume = image_of(name)
        results[name] = cf.fit(volume)
        print(row(name, results[name]), flush=True)
        if options.out is not None:
            results[name].save(options.out / name)
    values = np.array([r.r2 for r in results.values()])
    print(f"\nR²: median {np.median(values):.3f}, least {values.min():.3f}\n")
    for name, result in results.items():
        volume, voxel = image_of(name), float(np.prod(image_of(name).spacing) ** (1 / 3))
        other = cf.fit(volume, second_start(volume, voxel), config=cf.FitConfig(uncertainty=False))
        starts.append(f"| {name} | {apart(result.mesh, other.mesh, voxel)} | {other.r2:.3f} |")
        edge = cf.FitConfig(edge=2 * voxel, uncertainty=False)
        even, odd = (cf.fit(every_second(volume, first), config=edge) for first in (0, 1))
        halves.append(f"| {name} | {apart(even.mesh, odd.mesh, voxel)} | {even.r2:.3f}, {odd.r2:.3f} |")
    for title, rows in (("from another start", starts), ("even and odd slices", halves)):
        print(f"| cell, {title} | mean distance | 95 % | largest | R² |\n|" + " --- |" * 5)
        print("\n".join(rows) + "\n", flush=True)


if __name__ == "__main__":
    main()
