"""What the experiments share: sizes, data on disk, trainings, Dice coefficients, tables."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cytoform.metrics import dice
from cytoform.neural.config import TrainConfig, preset
from cytoform.neural.generation import reconstruct
from cytoform.neural.model import AutoDecoder
from cytoform.neural.training import TrainProgress, train
from cytoform.sdf import SDFSequence, open_sequence
from cytoform.synth import Family, family, write_family

TRACKS = Path(os.environ.get("CYTOFORM_TEST_DATA", "")) / "sequences" / "celegans_tracks.npz"
TRACK_SPACING_UM = 0.133


@dataclasses.dataclass(frozen=True)
class Size:
    """How large an experiment is: that of the papers, for a GPU, or one for two cores."""

    samples: int
    frames: int
    sequences: int
    minutes: float  # of a training of one family, the unit of all others
    preset: str

    @property
    def small(self) -> bool:
        return self.samples < 128


SIZES = {
    "small": Size(samples=48, frames=15, sequences=33, minutes=8.0, preset="default"),
    "full": Size(samples=256, frames=30, sequences=33, minutes=240.0, preset="media2024"),
}


class Bench:
    """Folders, size and a place for what was measured."""

    def __init__(self, size: str, out: Path, minutes: float | None = None) -> None:
        self.size = SIZES[size] if minutes is None else dataclasses.replace(SIZES[size], minutes=minutes)
        self.name, self.out = size, out / size
        self.out.mkdir(parents=True, exist_ok=True)

    def family(self, name: str) -> Family:
        """A family, its thin parts as thick as the sampling needs."""
        found = family(name)
        return found.resolved_at(self.size.samples) if self.size.small else found

    def files(self, name: str, count: int, seed: int, *, frames: int | None = None) -> list[Path]:
        """Sequences of a family; made once."""
        frames = frames or self.size.frames
        folder = self.out / "data" / f"{name}_seed{seed}_{frames}"
        return write_family(
            self.family(name), count, folder, seed=seed, n_frames=frames, shape=self.size.samples, clamp_um=None
        )

    def train(self, sequences: Sequence[Any], what: str, *, share: float = 1.0, **changes: Any) -> AutoDecoder:
        """A model, trained for a share of the size's minutes, or for ``epochs``."""
        labels = changes.pop("labels", None)
        config = preset(self.size.preset, **changes)
        minutes = None if "epochs" in changes else share * self.size.minutes
        return timed_training(sequences, config, what, minutes, labels)

    def save(self, what: str, table: Any) -> None:
        """Keep an experiment's numbers as JSON."""
        (self.out / f"{what}.json").write_text(json.dumps(table, indent=1, default=float))


def timed_training(
    sequences: Sequence[Any], config: TrainConfig, what: str, minutes: float | None, labels: Any = None
) -> AutoDecoder:
    """Train, saying so on stderr now and then."""
    begin, last = time.monotonic(), 0.0

    def tell(p: TrainProgress) -> None:
        nonlocal last
        if time.monotonic() - last > 30:
            last = time.monotonic()
            print(f"  {what}: step {p.step}/{p.total}, loss {p.loss:.5f}, {p.left:.0f} s left", file=sys.stderr)

    model = train(sequences, config=config, minutes=minutes, labels=labels, progress=tell)
    model.notes["wall_seconds"] = time.monotonic() - begin
    return model


def overlaps(
    model: AutoDecoder, sources: Iterable[SDFSequence | Path], which: Sequence[int] | None = None
) -> np.ndarray:
    """Dice of every reconstructed sequence (n, frames) against the one it was learned from, at that one's samples."""
    rows = []
    for k, source in enumerate(sources):
        real = source if isinstance(source, SDFSequence) else open_sequence(source)
        index = k if which is None else which[k]
        made = reconstruct(model, index, frames=len(real), shape=real.shape[1:])[0]
        rows.append([dice(a < 0, b < 0) for a, b in zip(made, real)])
    return np.array(rows)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a Markdown table."""
    print("\n| " + " | ".join(head) + " |")
    print("| " + " | ".join("---" for _ in head) + " |")
    for row in rows:
        print("| " + " | ".join(v if isinstance(v, str) else f"{v:.4g}" for v in row) + " |", flush=True)


def spread(values: np.ndarray) -> str:
    """Mean ± standard deviation, and the least."""
    return f"{values.mean():.3f} ± {values.std():.3f} (least {values.min():.3f})"
