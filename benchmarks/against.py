"""Time of fits against another checkout of cytoform, both in one run, one thread each, by turns.

    CYTOFORM_TEST_DATA=DATA python benchmarks/against.py cells|masks|threads --other CHECKOUT [--repeats 1]

cells: the eight red cells of the test data, image to result without files. masks: simulated cells in 64³ voxels from
their true mask, dilated and eroded by two voxels, against the other checkout's own start. threads: this checkout alone,
two threads against one. Every fit runs in a process of its own that fits once before it is timed, so that kernels are
compiled and caches warm.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

CELLS = tuple(f"rbc_{i:02d}" for i in range(0, 16, 2))
WORKER = """
import json, sys, time
import numpy as np
import cytoform as cf
stored = np.load(sys.argv[1])
volume = cf.Volume(stored["image"], tuple(stored["spacing"].tolist()))
given = {"labels": stored["mask"]} if "mask" in stored and sys.argv[2] == "mask" else {}
cf.fit(volume, config=cf.FitConfig(iterations=12), **given)
wall, cpu = time.perf_counter(), time.process_time()
result = cf.fit(volume, **given)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
out = {"wall": wall, "cpu": cpu, "r2": result.r2, "volume": result.volume_um3, "area": result.area_um2,
       "iterations": result.iterations, "stop": result.stop_reason}
if "truth" in stored:
    inside = np.asarray(result.mask, dtype=bool)
    out["iou"] = float((inside & stored["truth"]).sum() / (inside | stored["truth"]).sum())
print(json.dumps(out))
"""


def run(checkout: Path, case: Path, start: str, threads: int = 1) -> dict[str, Any]:
    """Fit a stored case with a checkout in a process of its own."""
    names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = {**os.environ, "PYTHONPATH": str(checkout), **dict.fromkeys(names, str(threads))}
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(case), start], env=environment, capture_output=True, text=True, cwd=checkout
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def real_cell(name: str, folder: Path) -> Path:
    """A red cell of the test data as a stored case."""
    import cytoform as cf

    volume = cf.read_volume(Path(os.environ["CYTOFORM_TEST_DATA"], "images", f"{name}.tif"))
    np.savez(folder / f"{name}.npz", image=volume.data, spacing=np.array(volume.spacing))
    return folder / f"{name}.npz"


def masked_cell(kind: str, change: int, seed: int, folder: Path) -> Path:
    """A simulated cell in 64³ voxels with its mask dilated (change > 0) or eroded, as a stored case."""
    from scipy import ndimage

    import cytoform as cf
    from cytoform.imaging import render_on
    from cytoform.masks import mesh_to_mask
    from cytoform.mesh import shapes

    grid, rng = cf.Grid((64, 64, 64), (0.2, 0.2, 0.2)), np.random.default_rng(seed)
    centre = tuple(float(c) for c in grid.centre + rng.uniform(-0.1, 0.1, 3))
    if kind == "lobed":
        mesh = shapes.lobed_cell(seed, 2.2, centre, edge=0.2)
    else:
        axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        mesh = shapes.ellipsoid(tuple(rng.uniform(2.4, 4.2, 3)), centre, axes=axes, edge=0.2)
    psf = cf.GaussianPSF.from_sigma((0.5, 0.3, 0.3))
    light = render_on(mesh, psf, grid, margin=psf.reach())
    image = 100 + 400 * light / light.max() + rng.normal(0, 15, grid.shape)
    truth = mesh_to_mask(mesh, grid)
    ball = ndimage.distance_transform_edt(~truth) if change > 0 else ndimage.distance_transform_edt(truth)
    mask = truth | (ball <= change) if change > 0 else ball > -change
    case = folder / f"{kind}_{seed}_{change}.npz"
    np.savez(case, image=image.astype(np.float32), spacing=np.full(3, 0.2), mask=mask.astype(np.uint8), truth=truth)
    return case


def compare(rows: list[tuple[str, Path, str, str]], here: Path, other: Path) -> None:
    """Print a row for each case: times of both checkouts, their ratio, and what was found."""
    print("| case | time | other | ratio | R² | other | IoU | volume | other | iterations | ends |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    ratios = []
    for name, case, mine, theirs in rows:
        old, new = run(other, case, theirs), run(here, case, mine)
        ratios.append(new["wall"] / old["wall"])
        print(
            f"| {name} | {new['wall']:.1f} s | {old['wall']:.1f} s | {ratios[-1]:.3f} | {new['r2']:.3f} | "
            f"{old['r2']:.3f} | {new.get('iou', float('nan')):.3f} | {new['volume']:.1f} | {old['volume']:.1f} | "
            f"{new['iterations']} | {new['stop'].split(':')[0]} |",
            flush=True,
        )
    print(f"\nmedian ratio {np.median(ratios):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("cells", "masks", "threads"))
    parser.add_argument("--other", type=Path, help="Folder of the other checkout.")
    parser.add_argument("--only", nargs="*", default=CELLS)
    options = parser.parse_args()
    here = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.what == "cells":
            compare([(cell, real_cell(cell, folder), "auto", "auto") for cell in options.only], here, options.other)
        elif options.what == "masks":
            cases = [(kind, change, seed) for seed in (1, 2) for kind in ("ellipsoid", "lobed") for change in (2, -2)]
            rows = [
                (f"{kind} {seed}, {change:+d}", masked_cell(kind, change, seed, folder), "mask", "auto")
                for kind, change, seed in cases
            ]
            compare(rows, here, options.other)
        else:
            print("| case | one thread | two threads | ratio |\n| --- | --- | --- | --- |")
            for cell in options.only:
                case = real_cell(cell, folder)
                one, two = run(here, case, "auto", 1), run(here, case, "auto", 2)
                print(f"| {cell} | {one['wall']:.1f} s | {two['wall']:.1f} s | {one['wall'] / two['wall']:.2f} |")


if __name__ == "__main__":
    main()
