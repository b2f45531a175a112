"""Numbers of seeded runs, for a comparison before and after a change that is to leave them as they are.

    CYTOFORM_TEST_DATA=DATA python benchmarks/same.py [SECTION ...] > before.txt

One line for each run: the numbers that the tables print, and a digest of the surface, the weights or the file to the
last bit. Take it in two checkouts on one machine and compare the files with diff. All runs are deterministic. It uses
public names and the command line alone, so that this file serves older checkouts too.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

import cytoform as cf

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
RED_CELLS = tuple(f"rbc_{i:02d}" for i in range(0, 16, 2))


def digest(*arrays: npt.ArrayLike) -> str:
    """The first 16 digits of a SHA-256 of arrays."""
    mark = hashlib.sha256()
    for array in arrays:
        mark.update(np.ascontiguousarray(array).tobytes())
    return mark.hexdigest()[:16]


def data() -> Path:
    """The folder of the test data."""
    folder = os.environ.get("CYTOFORM_TEST_DATA")
    if folder is None:
        raise SystemExit("set CYTOFORM_TEST_DATA to the folder of the test data.")
    return Path(folder)


def fit_line(name: str, result: cf.FitResult) -> str:
    """Numbers of a fit, and digests of its surface, model and error bars."""
    sure = result.uncertainty
    errors = "" if sure is None else f" ± {sure.volume_um3:.6g}, area ± {sure.area_um2:.6g}"
    marks = digest(result.mesh.vertices, result.mesh.density), digest(result.model.data)
    return (
        f"{name}: R² {result.r2!r}, of the cell alone {result.r2_cell!r}, volume {result.volume_um3!r}{errors}, "
        f"evaluations {result.evaluations}, {result.mesh.n_faces} faces, {' '.join(marks)}"
    )


def confocal() -> cf.PupilPSF:
    """Optics of a confocal microscope with a water objective."""
    return cf.PupilPSF(numerical_aperture=1.1, wavelength=0.52, immersion_index=1.33, modality="confocal")


def cells() -> None:
    """The red blood cells, the vesicles, and a cell of an embryo by its label, default settings."""
    for name in (*RED_CELLS, "vesicles"):
        volume = cf.read_volume(data() / "images" / f"{name}.tif")
        print(fit_line(name, cf.fit(volume, config=cf.FitConfig(deterministic=True))), flush=True)
    volume = cf.read_volume(data() / "images" / "embryo_crop_t1.tif")
    labels = cf.read_volume(data() / "images" / "embryo_crop_t1_labels.tif")
    config = cf.FitConfig(deterministic=True, uncertainty=False)
    print(fit_line("embryo, label 170", cf.fit(volume, config=config, labels=labels, label=170)), flush=True)


def bodies() -> None:
    """Cow, fish, dividing cell, torus; the cow from a PSF too wide; a red cell with other settings."""
    import truth

    for name in ("cow", "fish", "dividing", "torus"):
        made = truth.sample(name)
        result, score = truth.fitted(made, truth.start(made.truth), deterministic=True)
        print(fit_line(name, result), f"IoU {score.iou!r}, MSE {score.mse!r}, distance {score.distance!r}", flush=True)
    made = truth.sample("cow", noise=0.01, sigma=(4.0, 2.0, 2.0))
    guess = cf.GaussianPSF.from_sigma(1.5 * made.psf.sigma)
    result, _ = truth.fitted(made, truth.start(made.truth), psf=guess, infer_psf=True, deterministic=True)
    print(fit_line("cow, PSF 1.5", result), result.psf.describe(), flush=True)
    cell = cf.read_volume(data() / "images" / "rbc_06.tif")
    config = {"iterations": 120, "deterministic": True, "uncertainty": False}
    print(fit_line("robust", cf.fit(cell, config=cf.FitConfig(robust=3.0, **config))), flush=True)
    pupil = confocal()
    print(fit_line("pupil", cf.fit(cell, None, pupil, cf.FitConfig(**config))), flush=True)


def command(*words: str) -> None:
    """Run the command line of this checkout."""
    subprocess.run([sys.executable, "-m", "cytoform", *words], check=True, stdout=subprocess.DEVNULL)


def demo() -> None:
    """The demo by the command line, and the image that ``cytoform render`` makes of its truth."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "demo")
        command("demo", "--out", str(out), "--quiet")
        told, mesh = json.loads((out / "fit.json").read_text()), cf.read_mesh(out / "mesh.ply")
        numbers = {name: told[name] for name in ("r2", "volume_um3", "area_um2", "sphericity", "evaluations")}
        image = cf.read_volume(out / "image.tif")
        print(f"demo: {numbers}, {digest(mesh.vertices)}, image {digest(image.data)}", flush=True)
        made = Path(folder, "made.tif")
        optics = "--spacing 0.3 0.15 0.15 --psf-sigma 0.5 0.25 0.25 --noise --seed 3".split()
        command("render", str(out / "truth.ply"), *optics, "--out", str(made))
        print(f"render: {digest(cf.read_volume(made).data)}", flush=True)


def printed(*words: str) -> None:
    """What a benchmark prints, without times."""
    done = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True)
    print(re.sub(r"\d+(\.\d+)? (s|ms|min)\b", "- \\2", done.stdout), flush=True)


def tables() -> None:
    """Accuracy of the transform and digits of its kernels; the slowest section, seven minutes."""
    printed(str(HERE / "accuracy.py"))
    printed(str(HERE / "digits.py"))


def optics() -> None:
    """Renderings through each kind of optics, and their slopes."""
    grid, mesh = cf.Grid((24, 40, 40), (0.3, 0.1, 0.1)), cf.read_mesh(data() / "meshes" / "cow.obj")
    low, high = mesh.bounds
    mesh = mesh.with_vertices((mesh.vertices - 0.5 * (low + high)) * (2.4 / float((high - low).max())) + grid.centre)
    z, y, x = np.indices((9, 9, 9)) - 4.0
    bead = cf.Volume(np.exp(-0.5 * (z * z + y * y + x * x)), (0.3, 0.1, 0.1))
    kinds = {
        "Gaussian": cf.GaussianPSF.from_sigma((0.5, 0.2, 0.2)),
        "Gibson-Lanni": cf.GibsonLanniPSF(
            numerical_aperture=1.3, wavelength=0.52, immersion_index=1.518, sample_index=1.38, depth=4.0
        ),
        "pupil": confocal(),
        "measured": cf.MeasuredPSF(bead),
    }
    for name, psf in kinds.items():
        image = cf.render(mesh, psf, grid, deterministic=True)
        slope = cf.render_vjp(mesh, psf, grid, np.cos(image / image.max()), deterministic=True)
        marks = digest(image), digest(slope.vertices, slope.density), digest(slope.psf)
        print(f"{name}: widths {np.asarray(psf.fwhm).tolist()}, {' '.join(marks)}", flush=True)


def living() -> None:
    """Living shapes: families, a training of 60 steps, codes, new shapes and the evaluation, by the command line."""
    with tempfile.TemporaryDirectory() as folder:
        made, run, new = Path(folder, "made"), Path(folder, "run"), Path(folder, "new")
        families = {"deforming": ["32"], "dividing": ["32"], "filopodial": ["64", "--coarse"]}
        for family, shape in families.items():
            words = ["-n", "3", "--frames", "4", "--seed", "5", "--quiet", "--shape", *shape]
            command("neural", "simulate", family, "--out", str(made / family), *words)
            print(f"{family}: {sequences(made / family)}", flush=True)
        first = str(made / "dividing")
        small = "--steps 60 --latent 16 --width 48 --frame-points 2000 --seed 7 --quiet --precision full".split()
        command("neural", "train", first, "--out", str(run), *small)
        print(f"weights: {weights(run / 'model.safetensors')}", flush=True)
        command("neural", "generate", str(run), "-n", "2", "--out", str(new), "--seed", "3", "--shape", "32", "--quiet")
        print(f"generated: {sequences(new)}", flush=True)
        command("neural", "encode", str(run), first, "--out", str(Path(folder, "codes")), "--starts", "3", "--quiet")
        command("neural", "evaluate", first, str(made / "deforming"), "--out", str(Path(folder, "page")), "--quiet")
        for kind in ("*.csv", "*.json"):
            for file in sorted(Path(folder, "page").rglob(kind)):
                text = file.read_text().replace(folder, "")
                print(f"{file.name}: {hashlib.sha256(text.encode()).hexdigest()[:16]}", flush=True)
        for file in sorted(Path(folder, "codes").rglob("*.csv")):
            print(f"codes, {file.name}: {hashlib.sha256(file.read_bytes()).hexdigest()[:16]}", flush=True)


def sequences(folder: Path) -> str:
    """A digest of all signed distances in a folder."""
    import h5py

    frames = []
    for file in sorted(folder.rglob("*.h5")) + sorted(folder.rglob("*.hdf5")):
        with h5py.File(file) as opened:
            frames.append(opened["sdf_vid"][()])
    return f"{len(frames)} sequences, {digest(*frames)}"


def weights(file: Path) -> str:
    """A digest of a network's weights."""
    from safetensors.numpy import load_file

    tensors = load_file(file)
    return digest(*(tensors[name] for name in sorted(tensors)))


SECTIONS: dict[str, Callable[[], None]] = {
    "optics": optics,
    "demo": demo,
    "living": living,
    "cells": cells,
    "bodies": bodies,
    "tables": tables,
}


def main() -> None:
    for name in sys.argv[1:] or SECTIONS:
        print(f"# {name}", flush=True)
        SECTIONS[name]()


if __name__ == "__main__":
    main()
