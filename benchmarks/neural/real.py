"""Real cells: one tracked cell in three minutes; twenty tracks, and tracks that the network has not seen."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from cytoform.metrics import dice
from cytoform.neural.config import preset
from cytoform.neural.encode import EncodeConfig, encode
from cytoform.neural.model import AutoDecoder
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


# Tracks are few and unlike each other: their shapes are followed closely; how well a code is determined is not asked.
TRACK_ENCODING = EncodeConfig(prior=0.0, aside=4.0, rounds=(8, 16, 300, 30))
TRACK_OPTIONS = dict(latent=128, augment=("mirror", "time"), mix=0.5, batch_frames=16)


def tracks(bench: Bench) -> None:
    """Twenty tracks learned within an hour; the others encoded, each in under a minute."""
    files = track_files(bench)
    minutes = 6.0 * bench.size.minutes
    model = timed_training(files[:SEEN], preset("default", **TRACK_OPTIONS), "tracks", minutes)
    model.save(bench.out / "tracks_model")
    seen = overlaps(model, files[:SEEN])
    table(
        ["20 tracks", "mean ± sd (least frame)", "least track", "training"],
        [["Dice", spread(seen), seen.mean(1).min(), f"{model.notes['wall_seconds'] / 60:.1f} min"]],
    )
    bench.save("tracks", {"seen": seen.tolist()})
    unseen(bench)


def unseen(bench: Bench) -> None:
    """The tracks that the network of ``tracks`` has not seen, encoded."""
    model = AutoDecoder.load(bench.out / "tracks_model")
    rows = []
    with open_sequence(track_files(bench)[SEEN]) as real:  # what a first call compiles and loads is not timed
        encode(model, real, EncodeConfig(rounds=(1, 1, 1, 1)))
    for path in track_files(bench)[SEEN:]:
        with open_sequence(path) as real:
            begin = time.monotonic()
            found = encode(model, real, TRACK_ENCODING)
            seconds = time.monotonic() - begin
            values = np.array([dice(a < 0, b < 0) for a, b in zip(found.reconstruct(), real)])
        rows.append([path.stem, values.mean(), values.min(), f"{seconds:.0f} s"])
    table(["unseen track", "mean Dice", "worst frame", "time"], rows)
    bench.save("unseen", rows)
