"""How far the verdict of a fit can be trusted: fits of simulated images, half of them broken on purpose.

    python benchmarks/verdict.py --out FOLDER [--first N] [--count N]     # fits, a JSON file for each part
    python benchmarks/verdict.py --join FOLDER [--set]                    # tables; --set: also thresholds to compare

A fit is right if its surface's IoU with the true cell is at least 0.9 and its volume is right within 10 %. Rows of even
number set the thresholds (part "set"), the others are held back ("hold"); the two draw from different shapes and optics.
With --join the verdict is formed anew from the stored measures, so new thresholds need no new fits.
"""

from __future__ import annotations

import argparse
import json
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
from verdict_scenes import BROKEN, GOOD, Kind, Scene

import cytoform as cf
from cytoform.metrics import iou, mesh_iou

LEAST_IOU, MOST_VOLUME_ERROR = 0.9, 0.1
REPEATS_GOOD, REPEATS_BROKEN = 10, 6
SEED = 20_240


def rows() -> list[tuple[Kind, int, str]]:
    """All rows: kind, number of its repeat, part."""
    found = [(kind, n) for kinds, repeats in ((GOOD, REPEATS_GOOD), (BROKEN, REPEATS_BROKEN))
             for n in range(repeats) for kind in kinds]  # fmt: skip
    return [(kind, n, "set" if n % 2 == 0 else "hold") for kind, n in found]


def scene_of(row: int) -> Scene:
    """The scene of a row."""
    kind, n, part = rows()[row]
    return kind(np.random.default_rng([SEED, n, sum(map(ord, kind.__name__))]), part)


def fitted(scene: Scene) -> cf.FitResult | str:
    """The fit of a scene, or the message of the error that it ended with."""
    try:
        return cf.fit(scene.volume, config=cf.FitConfig(uncertainty=False, **scene.config), **scene.given)
    except cf.CytoformError as error:
        return str(error)


def truth_measures(result: cf.FitResult, scene: Scene) -> tuple[float, float]:
    """IoU of the surface with the true cell that it fits best, and the relative error of its volume."""
    best = (0.0, 1.0)
    for truth in scene.truths:
        if isinstance(truth, cf.SurfaceMesh):
            overlap = mesh_iou(result.mesh, truth, 0.5 * min(scene.volume.spacing))
            volume = abs(truth.volume)
        else:
            overlap, volume = iou(result.mask, truth), float(truth.sum()) * scene.volume.grid.voxel_volume
        best = max(best, (float(overlap), float(abs(result.volume_um3 / volume - 1.0))))
    return best


def row_of(number: int, keep: Path | None = None) -> dict[str, Any]:
    """Fit a row's scene and return what is known of it; the fit is pickled into `keep`."""
    kind, n, part = rows()[number]
    scene, clock = scene_of(number), time.perf_counter()
    result = fitted(scene)
    found: dict[str, Any] = {"row": number, "kind": kind.__name__, "repeat": n, "part": part,
                             "seconds": time.perf_counter() - clock}  # fmt: skip
    if isinstance(result, str):
        return {**found, "error": result, "iou": 0.0, "volume_error": 1.0}
    overlap, error = truth_measures(result, scene)
    if keep is not None:
        with (keep / f"{number:03d}.pkl").open("wb") as file:
            pickle.dump(result, file)
    return {**found, "iou": overlap, "volume_error": error, "stop_reason": result.stop_reason}


def main() -> None:
    """Run a part of the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=None)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for pickled fits")
    options = parser.parse_args()
    last = len(rows()) if options.count is None else min(options.first + options.count, len(rows()))
    for number in range(options.first, last):
        row = row_of(number, options.keep)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
