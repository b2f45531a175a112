"""The constants of the model by which ``backend="auto"`` chooses, and how often it chooses well.

    CYTOFORM_TEST_DATA=... python benchmarks/cost.py [--out build/cost.json]

Times value and gradient by both transforms over spheres from 20 to 20,480 faces, grids, bands, tolerances and both
precisions; fits the constants of :mod:`cytoform.fourier.cost` to half of them (non-negative least squares of relative
errors) and prints them. On the other half, and on meshes of another kind (the cow, cubes of few large faces), it
compares what the model picks with what is quicker. Takes about 10 minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import cytoform as cf
from benchmarks.accuracy import cow_in_a_box
from benchmarks.transform import middle, sphere, timed
from cytoform import devices
from cytoform.fourier import MeshTransform, Shells, cost
from cytoform.image.band import Band

LONGEST = 1.5e8  # pairs of a face and a mode for which the exact transform is timed
SECONDS = 0.03  # for each


def cases(data: Path) -> Iterator[tuple[str, Any, Band, float, Shells | None]]:
    """Kind of mesh, mesh, band, tolerance and shells."""
    sizes = (12, 20, 32, 56, 96)
    kinds = [("sphere", f) for f in (20, 80, 320, 1280, 5120, 20480)] + [("cow", 0), ("cube", 12)]
    for dtype, (kind, faces), n in itertools.product((np.float32, np.float64), kinds, sizes):
        mesh, grid = cow_in_a_box(data, n, dtype)
        if kind == "sphere":
            mesh = sphere(faces, grid).astype(dtype)
        elif kind == "cube":
            mesh = cube(grid, dtype)
        psf = cf.GaussianPSF.from_sigma(2.0 * grid.spacing[0])
        narrow = psf.band(grid, 0.01)
        shells = Shells.from_weights(narrow, psf.otf_on(narrow))
        for band, behind in ((narrow, shells), (Band.symmetric(grid), None)):
            if mesh.n_faces * band.size <= LONGEST:
                for tolerance in (1e-3, 1e-5) if dtype == np.float32 else (1e-3, 1e-8):
                    yield kind, mesh, band, tolerance, behind


def cube(grid: cf.Grid, dtype: Any) -> cf.SurfaceMesh:
    """Twelve large faces in the middle of a grid."""
    import trimesh

    side = 0.5 * grid.extent[0]
    box = trimesh.creation.box((side, 0.8 * side, 0.9 * side))
    return cf.SurfaceMesh(box.vertices + middle(grid), box.faces[:, ::-1]).astype(dtype)


def measured(kind: str, mesh: Any, band: Band, tolerance: float, shells: Shells | None) -> dict:
    """Times of both, in ns with one thread's worth of work, and what the model counts."""
    threads = devices.thread_count()
    row: dict = {"kind": kind, "dtype": mesh.vertices.dtype.name, "faces": mesh.n_faces, "modes": band.size,
                 "tolerance": tolerance}  # fmt: skip
    corners = mesh.vertices[mesh.faces].astype(np.float64) - np.asarray(band.grid.origin)
    for name in ("exact", "nufft"):
        here = MeshTransform(band, name, "cpu", tolerance, shells=shells).prepare(mesh)
        box = here._faces.forward()

        def both(name=name, box=box) -> None:
            faces = MeshTransform(band, name, "cpu", tolerance, shells=shells).prepare(mesh)._faces
            faces.forward()
            faces.adjoint(box)

        row[name] = 1e9 * threads * timed(both, SECONDS)
    row["exact work"] = cost.exact_work(corners, band).tolist()
    row["precision"], work = cost.nufft_work(
        corners, band, dtype=mesh.vertices.dtype, tolerance=tolerance, shells=shells, deterministic=False
    )
    row["nufft work"] = work.tolist()
    return row


def fitted(rows: list[dict], work: str, time: str) -> np.ndarray:
    """Constants that make the sums of work equal the times, in relative terms."""
    times = np.array([r[time] for r in rows])
    return optimize.nnls(np.array([r[work] for r in rows]) / times[:, None], np.ones(len(rows)))[0]


def judged(rows: list[dict], exact: dict, fast: dict) -> list[str]:
    """Cells of a row: how often the quicker one is picked, and what picking costs over always the quicker one."""
    ratios, taken = [], []
    for r in rows:
        one, other = np.dot(exact[r["dtype"]], r["exact work"]), np.dot(fast[r["precision"]], r["nufft work"])
        ratios.append(r["exact" if one <= other else "nufft"] / min(r["exact"], r["nufft"]))
        taken.append(one <= other)
    share = np.mean(np.array(ratios) == 1.0)
    return [str(len(rows)), f"{100 * np.mean(taken):.0f} %", f"{100 * share:.0f} %", f"{np.mean(ratios):.3f}",
            f"{np.quantile(ratios, 0.95):.2f}", f"{max(ratios):.2f}"]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/cost.json"))
    parser.add_argument("--again", action="store_true", help="fit to the measurements of an earlier run")
    options = parser.parse_args()
    if options.again:
        rows = json.loads(options.out.read_text())
    else:
        rows = [measured(*case) for case in cases(Path(os.environ["CYTOFORM_TEST_DATA"]))]
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(rows))
    spheres = [r for r in rows if r["kind"] == "sphere"]
    # by configuration: rows that differ in the tolerance alone stay together
    names = sorted({(r["faces"], r["modes"], r["dtype"]) for r in spheres})
    chosen = {names[k] for k in np.random.default_rng(0).permutation(len(names))[: len(names) // 2]}
    parts: dict[bool, list[dict]] = {True: [], False: []}
    for r in spheres:
        parts[(r["faces"], r["modes"], r["dtype"]) in chosen].append(r)
    learned, held = parts[True], parts[False]
    exact = {d: fitted([r for r in learned if r["dtype"] == d], "exact work", "exact") for d in cost.EXACT}
    fast = {p: fitted([r for r in learned if r["precision"] == p], "nufft work", "nufft") for p in cost.NUFFT}
    for title, found in (("EXACT", exact), ("NUFFT", fast)):
        for name, constants in found.items():
            print(f"{title}[{name!r}] = (" + ", ".join(f"{c:.3g}" for c in constants) + ")")
    print("\n| constants | cases | rows | exact picked | quicker one picked | mean over the quicker | 95 % | worst |")
    print("| --- " * 8 + "|")
    for label, constants in (("fitted here", (exact, fast)), ("built in", (cost.EXACT, cost.NUFFT))):
        for name, some in (
            ("spheres learned from", learned), ("spheres held out", held),
            ("cow", [r for r in rows if r["kind"] == "cow"]), ("cube", [r for r in rows if r["kind"] == "cube"]),
        ):  # fmt: skip
            print(f"| {label} | {name} | " + " | ".join(judged(some, *constants)) + " |")


if __name__ == "__main__":
    main()
