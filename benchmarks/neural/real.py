"""Real cells: one tracked cell in three minutes; twenty tracks, and tracks that the network has not seen."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from cytoform.metrics import dice
from cytoform.neural.config import preset
from cytoform.sdf import open_sequence
from cytoform.sdf.prepare import prepare

from .common import TRACK_SPACING_UM, TRACKS, Bench, overlaps, spread, table, timed_training

FRAMES, SAMPLES, SEEN = 8, 64, 20


def track_files(bench: Bench) -> list[Path]:
    """All tracks with eight frames in a row, 64³."""
    return prepare(
        TRACKS, bench.out / "data" / "tracks", spacing=TRACK_SPACING_UM, shape=SAMPLES,
        n_frames=FRAMES, min_frames=FRAMES,
    )  # fmt: skip


def one_sequence(bench: Bench) -> None:
    """One tracked cell, latent 64, default settings, within three minutes of wall time."""
    rows = []
    for path in track_files(bench)[:3]:
        begin = time.monotonic()
        model = timed_training([path], preset("default"), path.stem, minutes=1.0)
        seconds = time.monotonic() - begin
        found = overlaps(model, [path])[0]
        rows.append([path.stem, found.min(), found.mean(), f"{seconds:.0f} s"])
    table(["track", "worst frame's Dice", "mean Dice", "time"], rows)
    bench.save("one", rows)


def command(*words: str | Path) -> float:
    """Run ``cytoform neural …`` as a user would, and say it; the seconds that it took, from start to files."""
    print(f"    cytoform neural {' '.join(map(str, words))}", flush=True)
    begin = time.monotonic()
    line = [sys.executable, "-m", "cytoform", "neural", *map(str, words)]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin


def overlap_of_files(made: Path, real: Path) -> np.ndarray:
    """Dice coefficient of each frame (frames,) of two sequences in files."""
    with open_sequence(made) as a, open_sequence(real) as b:
        return np.array([dice(x < 0, y < 0) for x, y in zip(a, b)])


def tracks(bench: Bench) -> None:
    """Twenty tracks learned by the README's recipe; the others encoded by it, each in under a minute."""
    files = track_files(bench)[:SEEN]
    folder = bench.out / "tracks_model"
    seconds = command("train", *files, "--out", folder, "--preset", "encoding", "--overwrite")
    command("reconstruct", folder, "--out", bench.out / "tracks_reconstructed", "--overwrite")
    found = [overlap_of_files(bench.out / "tracks_reconstructed" / path.name, path) for path in files]
    table(
        ["20 tracks", "mean ± sd (least frame)", "least track", "training"],
        [["Dice", spread(np.array(found)), np.mean(found, axis=1).min(), f"{seconds / 60:.1f} min"]],
    )
    bench.save("tracks", {"seen": np.array(found).tolist()})
    unseen(bench)


def unseen(bench: Bench) -> None:
    """The tracks that the network of ``tracks`` has not seen, encoded by the README's recipe, a command for each."""
    rows = []
    out = bench.out / "tracks_encoded"
    for path in track_files(bench)[SEEN:]:
        seconds = command("encode", bench.out / "tracks_model", path, "--out", out / path.stem, "--overwrite")
        values = overlap_of_files(out / path.stem / path.name, path)
        rows.append([path.stem, values.mean(), values.min(), f"{seconds:.0f} s"])
    table(["unseen track", "mean Dice", "worst frame", "time"], rows)
    means = np.array([row[1] for row in rows], dtype=float)
    table(["all unseen tracks", "mean Dice", "least"], [[str(len(rows)), means.mean(), means.min()]])
    bench.save("unseen", rows)
