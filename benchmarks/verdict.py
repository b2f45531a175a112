"""How far the verdict of a fit can be trusted: fits of simulated images, half of them broken on purpose.

    python benchmarks/verdict.py --out FOLDER [--part set|hold] [--first N] [--count N]   # fits; writes JSON lines
    python benchmarks/verdict.py --join FOLDER [--wrong] [--limits]                       # tables

--wrong lists the rows that are judged wrong, --limits each measure of right and wrong fits of the part "set".

A fit is right if its surface's IoU with the true cell is at least 0.9 and its volume is right within 10 %. Even repeats
of each kind set the rules' limits (part "set"), odd ones are held back ("hold"); the two draw from different shapes,
voxel sizes and optics. --join forms the verdict anew from the stored measures, so new limits
(cytoform/fitting/quality/rules.py) need no new fits.
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
from cytoform.fitting.quality.rules import RULES
from cytoform.fitting.verdict import QUALITIES, Verdict, judge, verdict_of
from cytoform.metrics import iou, mesh_iou

LEAST_IOU, MOST_VOLUME_ERROR = 0.9, 0.1
REPEATS_GOOD, REPEATS_BROKEN = 10, 6
SEED = {"set": 20_261, "hold": 20_262}


def rows() -> list[tuple[Kind, int, str]]:
    """All rows: kind, number of its repeat, part."""
    found = [(kind, n) for kinds, repeats in ((GOOD, REPEATS_GOOD), (BROKEN, REPEATS_BROKEN))
             for n in range(repeats) for kind in kinds]  # fmt: skip
    return [(kind, n, "set" if n % 2 == 0 else "hold") for kind, n in found]


def scene_of(row: int) -> Scene:
    """The scene of a row."""
    kind, n, part = rows()[row]
    return kind(np.random.default_rng([SEED[part], n, sum(map(ord, kind.__name__))]), part)


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
    if keep is not None:
        with (keep / f"{number:03d}.pkl").open("wb") as file:
            pickle.dump(result, file)
    return {**found, **judged(result, scene)}


def judged(result: cf.FitResult, scene: Scene) -> dict[str, Any]:
    """What truth and verdict say of a fit."""
    overlap, error = truth_measures(result, scene)
    clock = time.perf_counter()
    verdict = verdict_of(result)
    return {
        "iou": overlap, "volume_error": error, "stop_reason": result.stop_reason, "quality": verdict.quality,
        "doubt": verdict.doubt, "reasons": verdict.reasons, "measures": dict(verdict.measures),
        "verdict_seconds": time.perf_counter() - clock,
    }  # fmt: skip


# -- tables -----------------------------------------------------------------------------------------------------------


def is_right(row: dict[str, Any]) -> bool:
    """Whether truth says that a row's surface is right."""
    return row["iou"] >= LEAST_IOU and row["volume_error"] <= MOST_VOLUME_ERROR


def area_under_curve(doubts: np.ndarray, right: np.ndarray) -> float:
    """The probability that a wrong fit has the larger doubt of a wrong and a right one (ROC AUC)."""
    wrong, good = doubts[~right][:, None], doubts[right]
    return float((wrong > good).mean() + 0.5 * (wrong == good).mean())


def table_of(found: list[dict[str, Any]], wrong: bool) -> None:
    """Print rates by part, counts by kind, and on request the rows that are judged wrong."""
    for row in found:
        row["verdict"] = judge(row["measures"]) if "measures" in row else Verdict("failed", (row["error"],), 5.0)
    print("| part | fits | right | AUC | called good | of these wrong | right ones called failed | called check |")
    print("| --- |" + " --- |" * 7)
    for part in ("set", "hold"):
        rows_of = [row for row in found if row["part"] == part]
        if not rows_of:
            continue
        right = np.array([is_right(row) for row in rows_of])
        doubts = np.array([row["verdict"].doubt for row in rows_of])
        quality = np.array([row["verdict"].quality for row in rows_of])
        good, failed = quality == "good", quality == "failed"
        print(
            f"| {part} | {len(rows_of)} | {right.sum()} | {area_under_curve(doubts, right):.3f} | {good.sum()} | "
            f"{(good & ~right).sum()} ({(good & ~right).sum() / max(good.sum(), 1):.0%}) | {(failed & right).sum()} "
            f"({(failed & right).sum() / max(right.sum(), 1):.0%}) | {(quality == 'check').sum()} |"
        )
    print("\n| kind | part | right | good | check | failed |\n| --- |" + " --- |" * 5)
    for kind in (*GOOD, *BROKEN):
        for part in ("set", "hold"):
            some = [row for row in found if row["kind"] == kind.__name__ and row["part"] == part]
            counts = [sum(row["verdict"].quality == q for row in some) for q in QUALITIES]
            print(f"| {kind.__name__} | {part} | {sum(map(is_right, some))} | {' | '.join(map(str, counts))} |")
    for row in found if wrong else []:
        expected = ("good",) if is_right(row) else ("failed",)
        if row["verdict"].quality not in expected:
            truth = f"IoU {row['iou']:.2f}, volume {row['volume_error']:.0%} off"
            said = f"{row['verdict'].quality}, doubt {row['verdict'].doubt:.2f}"
            print(f"\n{row['row']} {row['kind']} ({row['part']}): {truth}; {said}")
            print("\n".join(f"  - {reason}" for reason in row["verdict"].reasons))


def limits_table(found: list[dict[str, Any]]) -> None:
    """Print each measure of the right and the wrong fits of the part "set", beside the limits of its rule."""
    some = [row for row in found if row["part"] == "set" and "measures" in row]
    print("\n| measure | right: 90 % | largest | wrong: median | 90 % | wrong ones with this first | check | failed |")
    print("| --- |" + " --- |" * 7)
    first = [max(RULES, key=lambda rule: rule.severity(row["measures"])).name for row in some if not is_right(row)]
    for rule in RULES:
        values: dict[bool, list[float]] = {True: [], False: []}
        for row in some:
            if row["measures"].get(rule.name) is not None:
                values[is_right(row)].append(float(row["measures"][rule.name]))
        if all(values.values()):
            right, wrong = np.percentile(values[True], [90, 100]), np.percentile(values[False], [50, 90])
            numbers = " | ".join(f"{v:.3g}" for v in (*right, *wrong))
            print(f"| {rule.name} | {numbers} | {first.count(rule.name)} | {rule.check:g} | {rule.failed:g} |")


def main() -> None:
    """Run a part of the rows, or join parts into tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=None)
    parser.add_argument("--part", choices=("set", "hold"), help="rows of this part only")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for pickled fits")
    parser.add_argument("--join", type=Path, help="folder of finished parts")
    parser.add_argument("--wrong", action="store_true")
    parser.add_argument("--limits", action="store_true")
    options = parser.parse_args()
    if options.join is not None:
        lines = [line for file in sorted(options.join.glob("*.jsonl")) for line in file.read_text().splitlines()]
        found = sorted(map(json.loads, lines), key=lambda row: row["row"])
        table_of(found, options.wrong)
        if options.limits:
            limits_table(found)
        return
    last = len(rows()) if options.count is None else min(options.first + options.count, len(rows()))
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / f"rows_{options.part or 'all'}_{options.first:03d}_{last:03d}.jsonl").open("w") as file:
        for number in (n for n in range(options.first, last) if options.part in (None, rows()[n][2])):
            row = row_of(number, options.keep)
            print(json.dumps(row), file=file, flush=True)
            print(number, row["kind"], row.get("quality", "error"), f"IoU {row['iou']:.2f}", flush=True)


if __name__ == "__main__":
    main()
