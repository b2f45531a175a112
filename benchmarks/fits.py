"""Default fits of real images through the command line, and the demo over several seeds: R², volume, time, soundness.

    python benchmarks/fits.py [IMAGE ...] [--demo-seeds 0 1 2]

Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cytoform as cf
from cytoform.cli.demo import compare, demo_sample
from cytoform.mesh import topology


def timed(words: list[str]) -> float:
    """Wall time in seconds of a command that has to succeed."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "cytoform", *words, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def real_fit(image: Path, folder: Path) -> str:
    """One row: a default fit."""
    seconds = timed(["fit", str(image), "--out", str(folder)])
    found = json.loads((folder / "fit.json").read_text())
    mesh = cf.read_mesh(folder / "mesh.ply")
    quality = topology.quality(mesh)
    sound = topology.is_closed(mesh) and topology.is_manifold(mesh) and quality.sound
    widths = ", ".join(f"{w:.2f}" for w in found["psf"]["sigma_um"])
    return (
        f"| {image.name} | {found['r2']:.3f} | {found['volume_um3']:.1f} | {found['area_um2']:.1f} | {widths} | "
        f"{sound}, {topology.self_intersections(mesh)} | {found['iterations']} | {seconds:.0f} s |"
    )


def demo(seed: int, folder: Path) -> str:
    """One row: the demo against its truth."""
    seconds = timed(["demo", "--seed", str(seed), "--out", str(folder)])
    result, sample = cf.load_result(folder), demo_sample(seed)
    found = compare(result.mesh, result.psf, sample)
    errors = ", ".join(f"{100 * e:+.1f}" for e in found.width_errors)
    return f"| {seed} | {found.iou:.4f} | {1000 * found.distance:.0f} nm | {errors} | {seconds:.0f} s |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("--demo-seeds", nargs="*", type=int, default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        print("| image | R² | volume µm³ | area µm² | PSF σ (z, y, x) µm | sound, crossings | steps | time |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for image in options.images:
            print(real_fit(image, Path(place, image.stem)), flush=True)
        print("\n| demo seed | IoU | mean distance | PSF width errors % (z, y, x) | time |")
        print("| --- | --- | --- | --- | --- |")
        for seed in options.demo_seeds:
            print(demo(seed, Path(place, f"demo{seed}")), flush=True)


if __name__ == "__main__":
    main()
