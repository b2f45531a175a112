"""Errors of the mesh transform on the cow mesh: against dense quadrature, between back ends, against a reference.

    CYTOFORM_TEST_DATA=... python benchmarks/accuracy.py

Prints a Markdown table. Needs `meshes/cow.obj` and `reference/deltamic_ft_cow.npz` in CYTOFORM_TEST_DATA.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

import cytoform as cf
from cytoform.fourier import MeshTransform, exact
from cytoform.image.band import Band

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from oracles import mesh_ft as oracle

FREQUENCIES = 1000


def norm(found, wanted) -> float:
    """Relative L2 error."""
    return float(np.linalg.norm(np.asarray(found - wanted)) / np.linalg.norm(np.asarray(wanted)))


def cow_in_a_box(data: Path, n: int, dtype) -> tuple[cf.SurfaceMesh, cf.Grid]:
    """The cow and a grid of n³ voxels around it."""
    mesh = cf.read_mesh(data / "meshes" / "cow.obj").astype(dtype)
    low, high = mesh.bounds
    length = 1.3 * float((high - low).max())
    return mesh, cf.Grid((n, n, n), length / n, tuple(0.5 * (low + high) - 0.5 * length))


def against_quadrature(data: Path, n: int, dtype) -> tuple[float, float]:
    """Errors of value and gradient of the exact back end."""
    mesh, grid = cow_in_a_box(data, n, dtype)
    rng = np.random.default_rng(n)
    band = Band.full(grid)
    if band.size > FREQUENCIES:
        chosen = np.zeros(band.shape, dtype=bool)
        chosen.ravel()[rng.choice(chosen.size, FREQUENCIES, replace=False)] = True
        band = band.where(chosen)
    transform = MeshTransform(band, "exact", "cpu")
    found = transform.forward(mesh)
    weights = np.broadcast_to(band.weights, band.shape).ravel()[band.index]
    cotangent = found.ravel()[band.index].astype(complex)
    wanted, [(vertices, density)] = oracle.dense(
        mesh.vertices.astype(float) - grid.origin,
        mesh.faces,
        mesh.density.astype(float),
        band.frequencies,
        [cotangent * weights],
    )
    grad = transform.vjp(mesh, band.scatter(cotangent))
    return norm(cotangent, wanted), max(norm(grad.vertices, vertices), norm(grad.density, density))


def between_back_ends(data: Path, n: int, dtype, tolerance: float) -> tuple[float, float]:
    """Differences of value and gradient, nufft from exact, on the whole n³ grid."""
    mesh, grid = cow_in_a_box(data, n, dtype)
    one = cf.mesh_ft(mesh, grid, backend="exact", device="cpu")
    two = cf.mesh_ft(mesh, grid, backend="nufft", device="cpu", tolerance=tolerance)
    first = cf.mesh_ft_vjp(mesh, grid, one, backend="exact", device="cpu")
    second = cf.mesh_ft_vjp(mesh, grid, one, backend="nufft", device="cpu", tolerance=tolerance)
    return norm(two, one), max(norm(second.vertices, first.vertices), norm(second.density, first.density))


def parity(data: Path) -> float:
    """Difference from the reference implementation's values."""
    found = np.load(data / "reference" / "deltamic_ft_cow.npz")
    x, y, z = np.meshgrid(found["xi_x"], found["xi_y"], found["xi_z"], indexing="ij")
    frequencies = np.stack([z.ravel(), y.ravel(), x.ravel()], axis=1)
    mesh = cf.SurfaceMesh(found["vertices_xyz"][:, ::-1], found["faces"], found["density"])
    strengths = 2.0 * mesh.face_areas * mesh.density
    pairs = exact.forward_at(mesh.vertices[mesh.faces], strengths, frequencies, dtype=np.float64)
    return norm(pairs.view(complex)[:, 0] / mesh.mass, found["ft"].ravel())


def main() -> None:
    data = Path(os.environ["CYTOFORM_TEST_DATA"])
    print("| what | value | gradient | bar (value, gradient) |\n| --- | --- | --- | --- |")
    bars = {
        (8, "float64"): (1e-13, 1e-12),
        (48, "float64"): (1e-13, 1e-12),
        (8, "float32"): (1e-6, 1e-5),
        (48, "float32"): (5e-6, 5e-5),
    }
    for (n, dtype), bar in bars.items():
        value, gradient = against_quadrature(data, n, np.dtype(dtype))
        print(
            f"| exact, {n}³, {dtype}, against dense quadrature "
            f"| {value:.1e} | {gradient:.1e} | {bar[0]:g}, {bar[1]:g} |"
        )
    for dtype, tolerance in (("float32", 1e-3), ("float32", 1e-5), ("float64", 1e-8)):
        value, gradient = between_back_ends(data, 32, np.dtype(dtype), tolerance)
        print(
            f"| nufft from exact, 32³, {dtype}, tolerance {tolerance:g} "
            f"| {value:.1e} | {gradient:.1e} | {tolerance:g} |"
        )
    print(f"| exact from the reference's values, float64 | {parity(data):.1e} | | 1e-10 |")


if __name__ == "__main__":
    main()
