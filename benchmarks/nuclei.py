"""Nuclei that touch, fitted together from dilated labels, and what a fit from the very labels does.

Usage: CYTOFORM_TEST_DATA=… python benchmarks/nuclei.py [dilation in voxels: 2] [z spacing over xy: 1]
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

import cytoform as cf
from cytoform.masks import mesh_to_mask


def main(dilation: int, ratio: float) -> None:
    """Fit all nuclei of the image together and print their overlap with the labels after the fit."""
    folder = Path(os.environ["CYTOFORM_TEST_DATA"]) / "images"
    image = tifffile.imread(folder / "nuclei_simulated.tif").astype(np.float32)
    labels = tifffile.imread(folder / "nuclei_simulated_labels.tif").astype(np.int64)
    volume = cf.Volume(image, (ratio, 1.0, 1.0))
    away, nearest = ndimage.distance_transform_cdt(labels == 0, metric="taxicab", return_indices=True)
    start = np.where(away <= dilation, labels[tuple(nearest)], 0)
    boxes = ndimage.find_objects(labels)
    whole = {
        n for n, box in enumerate(boxes, 1)
        if box and all(s.start > 0 and s.stop < size for s, size in zip(box, image.shape))
    }  # fmt: skip

    def overlap(scene: cf.Scene) -> str:
        """Return the mean overlap of the bodies with the labels, of all and of those that no border cuts."""
        found = {}
        for name, body in scene.bodies.items():
            inside, truth = np.asarray(mesh_to_mask(body, volume.grid)), labels == int(name)
            found[int(name)] = (inside & truth).sum() / (inside | truth).sum()
        whole_ones = [value for n, value in found.items() if n in whole]
        return (
            f"{np.mean(list(found.values())):.3f} all, {np.mean(whole_ones):.3f} whole, least {min(found.values()):.3f}"
        )

    scene = cf.scene_from_labels(start, volume.grid)
    print("start:", overlap(scene))
    for iterations in (15, 30, 90):
        begin = time.perf_counter()
        result = cf.fit_scene(volume, scene, config=cf.FitConfig(iterations=iterations), texture=True)
        seconds = time.perf_counter() - begin
        print(
            f"{iterations} steps: {overlap(result.scene)}; R² {result.r2:.4f}, PSF σ {np.round(result.psf.sigma, 2)}, "
            f"noise {result.noise:.1f}, {seconds:.0f} s", flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2, float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
