"""Following the surface against asking everywhere; memory of a training on the published size."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from cytoform.neural.decode import Decoder, Sampling
from cytoform.neural.model import AutoDecoder
from cytoform.neural.workers import Workers
from cytoform.synth import write_family

from .common import Bench, table

SAMPLES, FRAMES = 256, 30
EVERY = {"filopodial": 1, "deforming": 6, "dividing": 6}  # frames of which every n-th is decoded, both ways


def decoding(bench: Bench) -> None:
    """A model of each family that ``families`` left, one sequence each: 30 × 256³, of two families every 6th frame."""
    head = ["family", "evaluations, ratio", "time, ratio", "equal voxels %", "along surface", "everywhere", "frames"]
    rows = []
    for name, every in EVERY.items():
        path = bench.out / f"{name}_model.safetensors"
        if path.exists():
            rows.append([name, *_one(AutoDecoder.load(path), every)])
            table(head, rows[-1:])
    bench.save("decoding", rows)


def _one(model: AutoDecoder, every: int) -> list:
    code, turn, sampling = model.learned.codes[0], model.rotation(0), Sampling.cube(SAMPLES)
    times = np.linspace(-1, 1, FRAMES)[::-1][::every]  # the last frame, the hardest, is among them
    spent, asked, masks = {}, {}, {}
    with Workers(torch.device("cpu" if not torch.cuda.is_available() else "cuda")) as workers:
        for exhaustive in (False, True):
            decoder = Decoder(model, workers)
            decoder.decode_frame(code, -1.0, Sampling.cube(16), exhaustive=True)  # warm
            decoder.evaluations, begin = 0, time.perf_counter()
            masks[exhaustive] = [
                np.packbits(decoder.decode_frame(code, t, sampling, rotation=turn, exhaustive=exhaustive) < 0)
                for t in times
            ]
            spent[exhaustive], asked[exhaustive] = time.perf_counter() - begin, decoder.evaluations
    other = sum(int(np.unpackbits(a ^ b).sum()) for a, b in zip(masks[False], masks[True]))
    equal = 100.0 * (1.0 - other / (len(times) * SAMPLES**3))
    return [asked[True] / asked[False], spent[True] / spent[False], f"{equal:.5f}", f"{spent[False]:.1f} s",
            f"{spent[True]:.0f} s", str(len(times))]  # fmt: skip


_MEASURED = """
import resource, sys
from pathlib import Path
from cytoform.neural.training import train
from cytoform.neural.config import preset
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
train(sorted(Path(sys.argv[1]).glob("*.h5")), config=preset("default", epochs=1, batch_frames=8, frame_points=256))
print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def memory(bench: Bench) -> None:
    """Peak memory of a training on 33 files of 30 × 256³, one epoch. The files are one cell's, copied."""
    folder = bench.out / "data" / "large"
    folder.mkdir(parents=True, exist_ok=True)
    (first,) = write_family(bench.family("deforming"), 1, folder, seed=0, n_frames=FRAMES, shape=SAMPLES, clamp_um=4.0)
    for k in range(1, 33):
        copy = folder / f"copy_{k:02d}.h5"
        if not copy.exists():
            os.link(first, copy) if hasattr(os, "link") else shutil.copy(first, copy)
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", _MEASURED, str(folder)], check=True, capture_output=True, text=True)
    before, peak = (int(n) / 1024**2 for n in done.stdout.split())
    size = sum(Path(p).stat().st_size for p in folder.glob("*.h5")) / 1024**3
    table(
        ["set", "peak memory GiB", "of which torch and libraries", "time of an epoch"],
        [[f"33 × 30 × 256³, {size:.1f} GiB on disk", peak, before, f"{time.monotonic() - begin:.0f} s"]],
    )
    bench.save("memory", {"peak_gib": peak, "before_gib": before})
