"""The transform on a CUDA device: registers of its kernels, whether it is right there, and how quick.

    python benchmarks/device.py --registers                  # needs no device, but numba-cuda, its NVVM and ptxas
    CYTOFORM_TEST_DATA=... python benchmarks/device.py       # on a device: everything

Prints Markdown tables. Registers are a thread's, by ptxas; a kernel that spills ends the program with an error, as does
a transform that is not right. Times are the least of several, the device waited for. *Iteration* is rendering,
least-squares loss and gradient, as in benchmarks/transform.py (σ = 3 voxels, modes above 1 % of the OTF, float32).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]
RIGHT = {np.float32: 1e-5, np.float64: 1e-11}  # of the largest value


def registers() -> None:
    """Table of the kernels' registers; no spills."""
    from oracles import ptx

    if ptx.missing():
        raise SystemExit(ptx.missing())
    print("| kernel | " + " | ".join("sm_{}{}".format(*a) for a in ptx.ARCHITECTURES) + " |")
    print("| --- " * (1 + len(ptx.ARCHITECTURES)) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for name in ptx.KERNELS:
            for real in (np.float32, np.float64):
                found = [ptx.assembled(ptx.compiled(name, real, a), a, Path(folder)) for a in ptx.ARCHITECTURES]
                print(f"| {name} {real.__name__} | " + " | ".join(str(count) for count, _ in found) + " |", flush=True)
                if any(spilled for _, spilled in found):
                    raise SystemExit(f"{name} {real.__name__} spills registers: {found}")


def timed(work: Callable[[], Any]) -> float:
    """Least seconds of several, after one that compiles; the device is waited for."""
    import cupy

    from benchmarks.transform import timed as least

    def waited() -> None:
        work()
        cupy.cuda.get_current_stream().synchronize()

    return least(waited)


def right(mesh: Any, grid: Any) -> None:
    """Value and gradient against the CPU's in float64; an error ends the program."""
    import cytoform as cf

    rng = np.random.default_rng(0)
    cotangent = rng.normal(size=grid.spectrum_shape) + 1j * rng.normal(size=grid.spectrum_shape)
    wide = mesh.astype(np.float64)
    value = cf.mesh_ft(wide, grid, backend="exact", device="cpu")
    slope = cf.mesh_ft_vjp(wide, grid, cotangent, backend="exact", device="cpu")
    print("| precision | value | vertices | densities |\n| --- | --- | --- | --- |")
    for dtype, bar in RIGHT.items():
        there = mesh.astype(dtype)
        moved = cf.mesh_ft_vjp(there, grid, cotangent, device="cuda")
        pairs = (
            (cf.mesh_ft(there, grid, device="cuda"), value), (moved.vertices, slope.vertices),
            (moved.density, slope.density),
        )  # fmt: skip
        errors = [float(np.abs(found - wanted).max() / np.abs(wanted).max()) for found, wanted in pairs]
        print(f"| {dtype.__name__} | " + " | ".join(f"{e:.1e}" for e in errors) + " |")
        if not max(errors) < bar:
            raise SystemExit(f"{dtype.__name__}: the device is off by {max(errors):.1e}; expected less than {bar:g}")


def speed(mesh: Any, grid: Any, cutoff: float) -> list[str]:
    """Pairs a second for value and gradient, an iteration and a pair of FFTs, as cells of a row."""
    import cupy

    import cytoform as cf
    from benchmarks.transform import SIGMA
    from cytoform.rendering import Renderer, Target

    psf = cf.GaussianPSF.from_sigma(SIGMA * grid.spacing[0])
    band = psf.band(grid, cutoff)
    renderer = Renderer(psf, band, "exact", "cuda")
    faces = renderer._transform().prepare(mesh)._faces
    box = faces.forward()
    pairs = band.size * mesh.n_faces
    value, gradient = timed(faces.forward), timed(lambda: faces.adjoint(box))
    image = np.random.default_rng(0).random(grid.shape, dtype=np.float32)
    target = Target(image, np.ones_like(image))
    iteration = timed(lambda: renderer.least_squares(mesh, target))
    there = cupy.asarray(image)
    ffts = timed(lambda: cupy.fft.irfftn(cupy.fft.rfftn(there), s=grid.shape))
    return [
        f"{grid.shape[0]}³", f"{mesh.n_faces:,}", f"{cutoff:g}", f"{band.size:,}", f"{pairs / value:.2e}",
        f"{pairs / gradient:.2e}", f"{1e3 * iteration:.1f} ms", f"{1e3 * ffts:.2f} ms",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registers", action="store_true", help="only compile; no device is needed")
    options = parser.parse_args()
    if options.registers:
        registers()
        return
    from benchmarks.accuracy import cow_in_a_box
    from benchmarks.transform import sphere
    from cytoform import devices

    devices.resolve_device("cuda")
    data = Path(os.environ["CYTOFORM_TEST_DATA"])
    print(f"{devices.device_arrays().cuda.runtime.getDeviceProperties(0)['name'].decode()}\n")
    right(*cow_in_a_box(data, 32, np.float32))
    print("\n| voxels | faces | cut at | modes | value, pairs/s | gradient, pairs/s | iteration | FFT pair |")
    print("| --- " * 8 + "|")
    for n, cutoff, ball in ((48, 0.0, 0), (200, 0.01, 0), (200, 1e-3, 0), (512, 0.01, 20480)):
        mesh, grid = cow_in_a_box(data, n, np.float32)
        if ball:
            mesh = sphere(ball, grid).astype(np.float32)
        print("| " + " | ".join(speed(mesh, grid, cutoff)) + " |", flush=True)


if __name__ == "__main__":
    main()
