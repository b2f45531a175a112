"""A fit killed (SIGKILL) at a random moment and resumed, against the same fit run through.

    python benchmarks/resume.py IMAGE [--deterministic] [--iterations N] [--seed N]

Prints the largest distance of corresponding vertices in voxels, and whether the files are bit-identical.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import cytoform as cf
from cytoform.mesh.closest import closest_points


def command(image: Path, out: Path, options: argparse.Namespace, *more: str) -> list[str]:
    words = [sys.executable, "-m", "cytoform", "fit", str(image), "--out", str(out), "--quiet"]
    words += ["--iterations", str(options.iterations), *more]
    return [*words, "--deterministic"] if options.deterministic else words


def killed_and_resumed(image: Path, out: Path, options: argparse.Namespace, whole_seconds: float) -> int:
    """Start, kill after a random part of the whole time, and resume until it ends; returns the number of kills."""
    rng = np.random.default_rng(options.seed)
    kills, more = 0, []
    while True:
        process = subprocess.Popen(command(image, out, options, *more))
        wait = float(rng.uniform(0.3, 0.8)) * whole_seconds
        try:
            if process.wait(timeout=wait if kills < 2 else None) == 0:
                return kills
            raise SystemExit("the fit failed")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            more = ["--resume"] if (out / "checkpoint.h5").exists() else ["--overwrite"]
            print(f"killed after {wait:.0f} s, checkpoint: {(out / 'checkpoint.h5').exists()}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("--deterministic", action="store_true")
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole, parts = Path(folder, "whole"), Path(folder, "parts")
        begin = time.perf_counter()
        subprocess.run(command(options.image, whole, options), check=True)
        kills = killed_and_resumed(options.image, parts, options, time.perf_counter() - begin)
        one, two = cf.read_mesh(whole / "mesh.ply"), cf.read_mesh(parts / "mesh.ply")
        voxel = float(np.prod(cf.read_volume(whole / "mask.tif").spacing) ** (1 / 3))
        same = (whole / "mesh.ply").read_bytes() == (parts / "mesh.ply").read_bytes()
        _, points, _ = closest_points(one, two.vertices)
        apart = np.linalg.norm(points - two.vertices, axis=1).max() / voxel
        print(f"killed {kills} times; surfaces differ by at most {apart:.2e} voxel; mesh.ply bit-identical: {same}")


if __name__ == "__main__":
    main()
