"""Label images to meshes of touching cells and back, remeshing of such meshes, and their files, against bars.

CYTOFORM_TEST_DATA=DATA python benchmarks/label_meshes.py [labels] [remesh] [files] [--rounds 100]
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import tifffile

import cytoform as cf
from cytoform.mesh import topology
from cytoform.mesh.cells import check_cells, contacts, junction_lines, remesh_cells, repair_cells
from cytoform.mesh.labels import mesh_labels

IMAGES = {
    **{f"images/embryo_crop_t{t}_labels.tif": (0.25, 0.28, 0.28) for t in (1, 2, 3)},
    "contact/gland_2017-12-04_1a_labels.tif": (1.0, 1.0, 1.0),
    "contact/gland_2019-01-18_2a_labels.tif": (1.0, 1.0, 1.0),
    "contact/mouse16a_labels.tif": (1.0, 1.0, 1.0),
    "images/platynereis_nuclei_labels.tif": (1.0, 1.0, 1.0),
}


def measure_labels(path: Path, spacing: tuple[float, float, float]) -> None:
    """Print a row on one label image: labels lost, defects, volumes, angle, overlap of labels, time."""
    labels = tifffile.imread(path)
    mesh_labels(labels[:8], spacing)  # compile
    started = time.process_time()
    made = mesh_labels(labels, spacing)
    seconds = time.process_time() - started
    back = cf.labels_from_mesh(made.mesh, cf.Grid(labels.shape, spacing))
    rows = [r for r in made.report.regions if r.n_voxels > 1000]
    overlaps = [((labels == r.region) & (back == r.region)).sum() / ((labels == r.region) | (back == r.region)).sum()
                for r in rows]  # fmt: skip
    lost = set(np.unique(labels[labels > 0]).tolist()) - set(made.mesh.region_ids)
    defects = "; ".join(check_cells(made.mesh).describe()) or "none"
    print(
        f"| {path.name} | {len(made.report.regions)} | {len(lost)} | {defects} | {made.report.n_ambiguous} | "
        f"{100 * max(abs(r.volume_error) for r in rows):.4f} % | {made.report.min_angle:.1f}° | "
        f"{np.median(overlaps):.3f}, {min(overlaps):.3f} | {seconds / labels.size * 1e6:.1f} s |"
    )


def drift(mesh: cf.MultiMaterialMesh, first: cf.MultiMaterialMesh) -> tuple[float, float, float]:
    """Largest relative change of a volume, of a contact's area and of the length of the lines of a set of regions."""

    def lengths(which: cf.MultiMaterialMesh) -> dict[tuple[int, ...], float]:
        found: dict[tuple[int, ...], float] = {}
        for line in junction_lines(which):
            found[line.regions] = found.get(line.regions, 0.0) + line.length
        return found

    pairs = [
        (first.region_volumes(), mesh.region_volumes()),
        ({k: c.area for k, c in contacts(first).items()}, {k: c.area for k, c in contacts(mesh).items()}),
        (lengths(first), lengths(mesh)),
    ]
    worst = [max(abs(new.get(k, 0.0) / v - 1) for k, v in old.items()) for old, new in pairs]
    return worst[0], worst[1], worst[2]


def measure_remeshing(path: Path, rounds: int) -> None:
    """Print rows on remeshing again and again to 0.7 and 1.4 times the first mean edge."""
    first = repair_cells(cf.read_mesh(path)).mesh
    edge = topology.edge_lengths(first).mean()
    euler = [topology.euler_characteristic(s) for s in first.regions().values()]
    mesh, unsound, started = first, 0, time.process_time()
    for k in range(rounds):
        mesh = remesh_cells(mesh, (0.7, 1.4)[k % 2] * edge)
        same = [topology.euler_characteristic(s) for s in mesh.regions().values()] == euler
        unsound += not (check_cells(mesh).sound and same and set(contacts(mesh)) == set(contacts(first)))
        if k + 1 in (2, 10, 20, 50, rounds):
            volume, area, line = drift(mesh, first)
            seconds = (time.process_time() - started) / (k + 1)
            row = f"{100 * volume:.5f} % | {100 * area:.2f} % | {100 * line:.2f} % | {seconds:.1f} s"
            print(f"| {path.name} | {k + 1} | {unsound} | {row} |")


def measure_files(data: Path) -> None:
    """Print rows on real files: what was wrong, what the repair changed, what is left."""
    for name in ("meshes/cell4.rec", "contact/foam6.rec", "contact/foam8_start.rec", "contact/foam_simple.vtk"):
        mesh = cf.read_mesh(data / name)
        variants = [(name, mesh)]
        if "foam8" in name:
            turn = np.random.default_rng(0).random(mesh.n_faces) < 0.5
            faces = topology.reverse_faces(mesh.faces, turn)
            variants.append((f"{name}, faces turned at random", dataclasses.replace(mesh, faces=faces)))
        for what, one in variants:
            repaired = repair_cells(one)
            before, changes, after = (
                "; ".join(x) or "none"
                for x in (repaired.before.describe(), repaired.changes, repaired.after.describe())
            )
            positive = all(v > 0 for v in repaired.mesh.region_volumes().values())
            print(f"| {what} | {before} | {changes} | {after} | {positive} |")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["labels", "remesh", "files"])
    parser.add_argument("--rounds", type=int, default=100)
    chosen, data = parser.parse_args(), Path(os.environ["CYTOFORM_TEST_DATA"])
    if "labels" in chosen.what:
        for name, spacing in IMAGES.items():
            measure_labels(data / name, spacing)
    if "files" in chosen.what:
        measure_files(data)
    if "remesh" in chosen.what:
        for name in ("contact/foam6.rec", "meshes/cell4.rec"):
            measure_remeshing(data / name, chosen.rounds)


if __name__ == "__main__":
    main()
