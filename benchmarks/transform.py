"""Time and memory of the mesh transform: against voxels, faces, band and threads, beside one pair of FFTs.

    CYTOFORM_TEST_DATA=... python benchmarks/transform.py [--quick] [--out build/transform]

Every row is a process of its own, so that its peak memory is its own. It times, for float32: one `rfftn` and `irfftn`
of the image (scipy, the same threads), the exact and the fast transform and their gradients on the band, a plain NumPy
version of the paper's formula (Ichbiah et al. 2025, Eq. 7, with its switch) on as many modes as it can hold, and one
iteration of a fit (render, loss, gradient). Prints Markdown tables with the slopes in log-log, keeps the rows as JSON,
and draws them. *Error* is the largest of the fast rendering from the exact one on the same band, *error of the band*
from all modes, over the image's maximum. Takes about 20 minutes; --quick leaves the large rows out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIGMA = 3.0  # of the PSF, in voxels
TOLERANCE = 1e-3
EXACT_PAIRS, NAIVE_PAIRS = 6e9, 3e7  # at most, of a face and a mode


@dataclasses.dataclass(frozen=True)
class Case:
    """One row: voxels along a side, faces (0: the cow), what the band is cut at, threads."""

    n: int = 128
    faces: int = 0
    cutoff: float = 0.01
    threads: int = 2


SWEEPS: dict[str, list[Case]] = {
    "exact": [Case(n=48, cutoff=0.0)],
    "voxels": [Case(n=n) for n in (32, 64, 128, 200, 256, 384, 512)],
    "faces": [Case(faces=f) for f in (80, 320, 1280, 5120, 20480, 81920)],
    "band": [Case(cutoff=c) for c in (0.1, 0.01, 1e-3, 1e-4)],
    "threads": [Case(n=200, threads=t) for t in (1, 2)],
    "fit": [Case(n=200), Case(n=200, cutoff=1e-3), Case(n=512, faces=20480)],
}


def timed(work: Callable[[], object], seconds: float = 1.0) -> float:
    """Least time of several, after one that compiles and plans."""
    work()
    found, begin = [], time.perf_counter()
    while len(found) < 3 or (time.perf_counter() - begin < seconds and len(found) < 30):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def paper(corners: np.ndarray, areas: np.ndarray, frequencies: np.ndarray, epsilon: float = 1e-3) -> np.ndarray:
    """The formula of the paper, all pairs at once: quotients of phases, which are moved apart where closer than ε."""
    a, b, c = (frequencies @ corners[:, k].T for k in range(3))
    b = np.where(np.abs(a - b) < epsilon, a + epsilon, b)
    c = np.where(np.abs(a - c) < epsilon, a - epsilon, c)
    c = np.where(np.abs(b - c) < epsilon, b + 2 * epsilon, c)
    quotients = np.exp(-1j * a) / ((a - b) * (a - c)) + np.exp(-1j * b) / ((b - a) * (b - c))
    quotients += np.exp(-1j * c) / ((c - a) * (c - b))
    return -2.0 * quotients @ areas


def middle(grid: Any) -> np.ndarray:
    """The middle of a grid's box, µm."""
    return 0.5 * (np.asarray(grid.extent) + 2 * np.asarray(grid.origin))


def sphere(faces: int, grid: Any) -> Any:
    """A sphere of 20 · 4^k faces in the middle of a grid."""
    from cytoform.mesh import shapes

    return shapes.icosphere(0.36 * grid.extent[0], tuple(middle(grid)), round(np.log2(faces / 20) / 2))


def measure(case: Case) -> dict:
    """All numbers of a row, in this process."""
    from scipy import fft

    import cytoform as cf
    from cytoform.rendering import Renderer, Target

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.accuracy import cow_in_a_box

    mesh, grid = cow_in_a_box(Path(os.environ["CYTOFORM_TEST_DATA"]), case.n, np.float32)
    if case.faces:
        mesh = sphere(case.faces, grid).astype(np.float32)
    psf = cf.GaussianPSF.from_sigma(SIGMA * grid.spacing[0])
    band = psf.band(grid, case.cutoff)
    pairs = band.size * mesh.n_faces
    row: dict = {**dataclasses.asdict(case), "faces": mesh.n_faces, "modes": band.size}
    image = np.random.default_rng(0).random(grid.shape, dtype=np.float32)
    fast = Renderer(psf, band, "nufft", "cpu", TOLERANCE)
    observed, weights = image, np.ones_like(image)
    before = _peak()
    target = Target(observed, weights)
    row["iteration"] = timed(lambda: fast.least_squares(mesh, target))
    row["memory"] = _peak() - before + 2 * image.nbytes  # with the measured image and its weights
    row["image"] = image.nbytes
    row["ffts"] = timed(lambda: fft.irfftn(fft.rfftn(image, workers=case.threads), s=grid.shape, workers=case.threads))
    here = fast._transform(fast._shells).prepare(mesh)
    box = here.forward()
    row["fast"], row["fast gradient"] = timed(here.forward), timed(lambda: here.vjp(box))
    if pairs <= EXACT_PAIRS:
        slow = Renderer(psf, band, "exact", "cpu")
        there = slow._transform().prepare(mesh)
        row["exact"], row["exact gradient"] = timed(there.forward), timed(lambda: there.vjp(box))
        wanted = slow.render(mesh)
        row["error"] = float(np.abs(fast.render(mesh) - wanted).max() / wanted.max())
    if case.n <= 200 and case.cutoff > 0:
        whole = Renderer(psf, psf.band(grid, 0.0), "nufft", "cpu", 1e-6).render(mesh)
        row["band error"] = float(np.abs(fast.render(mesh) - whole).max() / whole.max())
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    some = band.frequencies[: max(1, min(band.size, int(NAIVE_PAIRS // mesh.n_faces)))]
    row["paper's formula"] = timed(lambda: paper(corners, mesh.face_areas, some)) * band.size / len(some)
    return row


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_a_process(case: Case) -> dict:
    """:func:`measure` in a process of its own, with so many threads."""
    threads = str(case.threads)
    environment = {**os.environ, "NUMBA_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
    command = [sys.executable, __file__, "--row", json.dumps(dataclasses.asdict(case))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


COLUMNS = ("exact", "exact gradient", "fast", "fast gradient", "paper's formula", "iteration")


def table(name: str, rows: list[dict]) -> None:
    """Print a sweep: times in FFT pairs of the same row, and what a pair takes."""
    print(f"\n### {name}\n\n| voxels | faces | cut at | threads | modes | FFT pair | "
          + " | ".join(COLUMNS) + " | peak memory, images | error | error of the band |")  # fmt: skip
    print("| --- " * (9 + len(COLUMNS)) + "|")
    for r in rows:
        times = [f"{r[c] / r['ffts']:.3g}" if c in r else "" for c in COLUMNS]
        what = [f"{r['n']}³", f"{r['faces']:,}", f"{r['cutoff']:g}", str(r["threads"]), f"{r['modes']:,}"]
        rest = [f"{r['memory'] / r['image']:.1f}", _short(r.get("error")), _short(r.get("band error"))]
        print("| " + " | ".join([*what, f"{r['ffts'] * 1e3:.1f} ms", *times, *rest]) + " |")


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"


def slope(rows: list[dict], size: Callable[[dict], float], column: str) -> float | None:
    """Of log time against log size."""
    found = [(size(r), r[column]) for r in rows if column in r]
    if len(found) < 3:
        return None
    return float(np.polyfit(*np.log(np.array(found)).T, 1)[0])


def draw(rows: dict[str, list[dict]], path: Path) -> None:
    """Times against voxels, faces and modes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(13, 4.2), constrained_layout=True)
    axes = (("voxels", "voxels", lambda r: r["n"] ** 3), ("faces", "faces", lambda r: r["faces"]),
            ("band", "modes of the band", lambda r: r["modes"]))  # fmt: skip
    for panel, (name, label, size) in zip(panels, axes):
        for column in ("ffts", *COLUMNS):
            found = [(size(r), r[column]) for r in rows.get(name, []) if column in r]
            if found:
                style = "k--" if column == "ffts" else "o-"
                panel.loglog(*zip(*found), style, markersize=3.5, label="FFT pair" if column == "ffts" else column)
        panel.set_visible(name in rows)
        panel.set_xlabel(label)
        panel.grid(True, color="0.92")
        if panel.lines:
            panel.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel("seconds")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=SWEEPS, action="append")
    parser.add_argument("--out", type=Path, default=Path("build/transform"))
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(Case(**json.loads(options.row)))))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in options.only or SWEEPS:
        cases = [c for c in SWEEPS[name] if not options.quick or (c.n <= 200 and c.faces <= 6000)]
        found[name] = [in_a_process(c) for c in cases]
        table(name, found[name])
        (options.out / "rows.json").write_text(json.dumps(found, indent=1))
    for r in found.get("exact", []):
        pairs = 1e-9 * r["modes"] * r["faces"]
        print(f"\nexact, {r['n']}³, all modes: {r['exact'] / pairs:.2f} ns a pair of a face and a mode for the value, "
              f"{r['exact gradient'] / pairs:.2f} ns for value and gradient together")  # fmt: skip
    large = [r for r in found.get("voxels", []) if r["n"] >= 64]
    print("\n| slope in log-log | value | gradient |\n| --- | --- | --- |")
    for label, rows, size, column in (
        ("fast, voxels from 64³", large, lambda r: r["n"] ** 3, "fast"),
        ("iteration, voxels from 64³", large, lambda r: r["n"] ** 3, "iteration"),
        ("fast, faces", found.get("faces", []), lambda r: r["faces"], "fast"),
        ("exact, pairs, by voxels from 64³", large, lambda r: r["modes"] * r["faces"], "exact"),
        ("exact, pairs, by faces", found.get("faces", []), lambda r: r["modes"] * r["faces"], "exact"),
        ("exact, pairs, by band", found.get("band", []), lambda r: r["modes"] * r["faces"], "exact"),
    ):
        values = slope(rows, size, column), slope(rows, size, f"{column} gradient")
        print(f"| {label} | " + " | ".join("" if v is None else f"{v:.3f}" for v in values) + " |")
    draw(found, options.out / "transform.png")


if __name__ == "__main__":
    main()
