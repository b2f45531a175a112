"""Tensions and pressures against known ones: double bubbles, a simulated foam, its label masks, and noise.

    CYTOFORM_TEST_DATA=DATA python benchmarks/forces.py bubbles | clean | masks | noise [--repeats 40]

`bubbles`: double bubbles in closed form. `clean`: the mesh of the simulated foam of six cells; its table of tensions
and pressures is that of the benchmark it comes from. `masks`: its label mask, every k-th voxel along each axis, through
a mesh from labels. `noise`: how often 90 % intervals hold the value of the clean mesh when noise is added that is
smooth over two edges. Prints rows of tables: relative errors in %, median and worst.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import diags
from scipy.sparse.linalg import splu

import cytoform as cf
from cytoform.mesh.laplacian import cotangent_laplacian
from cytoform.mesh.topology import edge_lengths

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from oracles.bubbles import double_bubble

STEPS = (1, 2, 3, 4)  # voxels between those that are kept
FACTOR = 1.645  # of standard errors, for 90 %


def data() -> Path:
    """Folder of the simulated foam."""
    return Path(os.environ["CYTOFORM_TEST_DATA"]) / "contact"


def foam() -> cf.MultiMaterialMesh:
    """The clean mesh; its file is binary: counts, positions (x, y, z), then faces with two labels."""
    raw = (data() / "foam6.rec").read_bytes()
    n = int(np.frombuffer(raw, "<u8", 1)[0])
    points = np.frombuffer(raw, "<f8", 3 * n, 8).reshape(n, 3)
    start = 8 + 24 * n
    m = int(np.frombuffer(raw, "<u8", 1, start)[0])
    rows = np.frombuffer(raw, np.dtype([("face", "<i8", 3), ("labels", "<i4", 2)]), m, start + 8)
    return cf.MultiMaterialMesh(points[:, ::-1].copy(), rows["face"].astype(np.int64), rows["labels"].astype(np.int64))


def truth() -> tuple[dict[tuple[int, int], float], dict[int, float]]:
    """The table that comes with the foam: tensions with mean 1, pressures."""
    table = json.loads((data() / "foam6_truth.json").read_text())
    return {(i, j): g for i, j, g in table["tension"]}, {int(k): p for k, p in table["pressure"].items() if int(k)}


def score(found: cf.Forces, tensions: dict, pressures: dict, *, ratios: bool = False) -> str:
    """Errors in % as cells of a row; `ratios` compares pressures up to a factor, where lengths have another unit."""
    t = [100 * abs(found.tensions[key] / value - 1) for key, value in tensions.items()]
    p = np.array([found.pressures[key] / value for key, value in pressures.items()])
    e = 100 * abs(p / (np.median(p) if ratios else 1.0) - 1)
    missing = int(np.isnan(t).sum())
    return (
        f"{np.nanmedian(t):.2f} | {np.nanmax(t):.2f} | {np.nanmedian(e):.2f} | {np.nanmax(e):.2f} | {missing} | "
        f"{np.nanmedian([found.standard_errors[k] / v * 100 for k, v in tensions.items()]):.2f}"
    )


def timed(mesh: cf.MultiMaterialMesh, **options: float) -> tuple[cf.Forces, float]:
    """Forces and the seconds that they took."""
    begin = time.perf_counter()
    found = cf.forces(mesh, **options)
    return found, time.perf_counter() - begin


HEAD = "| tensions median | worst | pressures median | worst | not told | standard error | s |"


def bubbles() -> None:
    """Double bubbles of unequal tensions, smooth reading and single faces."""
    print(f"| tensions | rings | scale {HEAD}")
    for tensions in ((1, 1, 1), (1, 0.8, 0.5), (1, 1.3, 1.2), (0.6, 1, 0.9)):
        for rings in (12, 24):
            bubble = double_bubble(tensions, turn=0.2, rings=rings)
            for scale in (None, 0.0):
                found, seconds = timed(bubble.mesh, scale=scale)
                name, row = "default" if scale is None else "0", score(found, bubble.tensions, bubble.pressures)
                print(f"| {tensions} | {rings} | {name} | {row} | {seconds:.2f} |")


def clean() -> None:
    """The clean mesh at several scales."""
    print(f"| scale {HEAD}")
    for scale in (None, 0.1, 0.2, 0.0):
        found, seconds = timed(foam(), scale=scale)
        print(f"| {found.scale:.3g} | {score(found, *truth())} | {seconds:.1f} |")


def masks() -> None:
    """The label mask at lower and lower resolution, against the table and against the clean mesh."""
    image = np.asarray(cf.read_volume(data() / "foam6_mask.tif", spacing=(1, 1, 1)).data).round().astype(np.int64)
    reference = cf.forces(foam(), scale=0.1)
    print(f"| voxels a cell | against {HEAD}")
    for k in STEPS:
        thin = np.pad(image[k // 2 :: k, k // 2 :: k, k // 2 :: k], 1)
        mesh = cf.mesh_from_labels(thin, float(k))  # type: ignore[attr-defined]
        found, seconds = timed(mesh)
        size = int((thin > 0).sum() / 6)
        print(f"| {size:,} | table | {score(found, *truth(), ratios=True)} | {seconds:.1f} |")
        print(f"| | clean mesh | {score(found, reference.tensions, reference.pressures, ratios=True)} | |", flush=True)


def rough(mesh: cf.MultiMaterialMesh, size: float, length: float, seed: int) -> cf.MultiMaterialMesh:
    """The mesh moved by noise of standard deviation `size`, smooth over `length`."""
    noise = np.random.default_rng(seed).normal(size=mesh.vertices.shape)
    laplacian = cotangent_laplacian(mesh.vertices, mesh.faces)
    area = np.bincount(mesh.faces.reshape(-1), np.repeat(mesh.face_areas / 3, 3), mesh.n_vertices)
    smooth = splu((diags(area) + 0.5 * length**2 * laplacian).tocsc()).solve(np.sqrt(area)[:, None] * noise)
    return mesh.with_vertices(mesh.vertices + size * smooth / smooth.std())


def noise(repeats: int) -> None:
    """Coverage of 90 % intervals over repeats of noise."""
    mesh = foam()
    edge = float(np.median(edge_lengths(mesh)))
    print(
        "| noise, edges | repeats | tensions held, % | pressures held, % | error / standard error | median error, % |"
    )
    for size in (0.2, 0.5):
        reference = cf.forces(mesh)
        held: dict[bool, list[npt.NDArray]] = {True: [], False: []}
        errors = []
        for seed in range(repeats):
            found = cf.forces(rough(mesh, size * edge, 2 * edge, seed))
            for pairs, values, known in (
                (True, found.tensions, reference.tensions),
                (False, found.pressures, reference.pressures),
            ):
                apart = np.array([values[k] - known[k] for k in known])
                held[pairs].append(apart / np.array([found.standard_errors[k] for k in known]))
                if pairs:
                    errors.append(100 * np.median(abs(apart) / np.array(list(known.values()))))
        t, p = (np.array(held[pairs]) for pairs in (True, False))
        rates = f"{100 * (abs(t) < FACTOR).mean():.0f} | {100 * (abs(p) < FACTOR).mean():.0f}"
        print(f"| {size} | {repeats} | {rates} | {np.nanstd(t):.2f} | {np.median(errors):.2f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("bubbles", "clean", "masks", "noise"))
    parser.add_argument("--repeats", type=int, default=40)
    chosen = parser.parse_args()
    {"bubbles": bubbles, "clean": clean, "masks": masks, "noise": lambda: noise(chosen.repeats)}[chosen.part]()
