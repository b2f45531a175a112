"""The papers' experiments on living shapes, each one command, at the papers' size or at one for two cores.

    python -m benchmarks.neural EXPERIMENT [--size small|full] [--out DIR] [--minutes M]

Prints Markdown tables; the numbers stay as JSON in DIR. ``one``, ``tracks`` and ``unseen``, which comes after it, need
CYTOFORM_TEST_DATA. ``families`` is ``deforming``, ``dividing`` and ``filopodial`` one after another.
"""

from __future__ import annotations

import argparse
import functools
import time
from pathlib import Path

from cytoform.synth import FAMILIES

from . import compare, decoding, families, latent, real
from .common import Bench

EXPERIMENTS = {
    "one": real.one_sequence,
    "tracks": real.tracks,
    "unseen": real.unseen,
    "families": families.families,
    **{name: functools.partial(families.one_family, name=name) for name in FAMILIES},
    "clusters": families.clusters,
    "activation": compare.activation,
    "deepsdf": compare.deepsdf,
    "omega": compare.omega,
    "temporal": compare.temporal,
    "spatial": compare.spatial,
    "latent": latent.latent_sizes,
    "equivariance": latent.equivariance,
    "decoding": decoding.decoding,
    "memory": decoding.memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=[*EXPERIMENTS, "all"])
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.add_argument("--out", type=Path, default=Path("build/neural"))
    parser.add_argument("--minutes", type=float, help="of a training of one family; others take a share of it")
    options = parser.parse_args()
    bench = Bench(options.size, options.out, options.minutes)
    parts = [name for name in EXPERIMENTS if name not in ("unseen", *FAMILIES)]  # which tracks and families do too
    for name in parts if options.experiment == "all" else [options.experiment]:
        begin = time.monotonic()
        print(f"\n## {name}, {options.size}", flush=True)
        EXPERIMENTS[name](bench)
        print(f"\n({time.monotonic() - begin:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
