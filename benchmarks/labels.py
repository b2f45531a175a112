"""Fits that start from a label: cells of an embryo, and red cells from their thresholded masks beside fits without.

CYTOFORM_TEST_DATA=DATA python benchmarks/labels.py [--frames 1 2 3] [--labels 57 170] [--cells rbc_00 rbc_06]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

import cytoform as cf

CELLS = [f"rbc_{k:02d}" for k in (0, 2, 4, 6, 8, 10, 12, 14)]


def thresholded(volume: cf.Volume) -> np.ndarray:
    """The largest part of what Otsu's threshold of the smoothed image leaves, holes filled."""
    smooth = ndimage.gaussian_filter(np.asarray(volume.data, np.float32), 1.0)
    parts, _ = ndimage.label(smooth > threshold_otsu(smooth))
    return ndimage.binary_fill_holes(parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:])))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Jaccard index of two masks."""
    return float((a & b).sum() / (a | b).sum())


def embryo(data: Path, frame: int, labels: list[int]) -> None:
    """R² of fits by label alone."""
    volume = cf.read_volume(data / "images" / f"embryo_crop_t{frame}.tif")
    known = cf.read_volume(data / "images" / f"embryo_crop_t{frame}_labels.tif")
    for label in labels or np.unique(known.data)[1:].tolist():
        result = cf.fit(volume, config=cf.FitConfig(uncertainty=False), labels=known, label=label)
        print(
            f"| t{frame}, label {label} | {result.r2:.3f} | {result.r2_cell:.3f} | "
            f"{overlap(result.mask, known.data == label):.3f} | {result.volume_um3:.0f} | {result.seconds:.0f} s |",
            flush=True,
        )


def red_cell(data: Path, name: str) -> None:
    """R² without a mask, and from the thresholded one by label and as a region."""
    volume, config = cf.read_volume(data / "images" / f"{name}.tif"), cf.FitConfig(uncertainty=False)
    mask = thresholded(volume)
    free = cf.fit(volume, config=config)
    ways = [cf.fit(volume, config=config, labels=mask.astype(int)), cf.fit(volume, config=config, roi=mask)]
    found = " | ".join(f"{way.r2:.3f}, {overlap(way.mask, free.mask):.3f}" for way in ways)
    print(f"| {name} | {free.r2:.3f} | {found} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="*", default=[1])
    parser.add_argument("--labels", type=int, nargs="*", default=[57, 170])
    parser.add_argument("--cells", nargs="*", default=CELLS)
    chosen = parser.parse_args()
    folder = Path(os.environ["CYTOFORM_TEST_DATA"])
    print("| cell | R² | of the cell alone | IoU with the label | volume, µm³ | time |\n" + "| --- " * 6 + "|")
    for number in chosen.frames:
        embryo(folder, number, chosen.labels)
    print("\n| cell | R² without | by label, IoU with that | as region, IoU |\n" + "| --- " * 4 + "|")
    for cell in chosen.cells:
        red_cell(folder, cell)
