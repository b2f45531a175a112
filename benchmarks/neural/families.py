"""Three simulated families: reconstruction and generation against held-out shapes; one network for all three."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cytoform.compare import evaluate, silhouette
from cytoform.neural.generation import generate, reconstruct
from cytoform.sdf import SDFSequence, open_sequence
from cytoform.synth import FAMILIES

from .common import Bench, overlaps, spread, table

GENERATION_SEED = 7
PRIORS = {"deforming": "gaussian", "dividing": "gaussian", "filopodial": "near"}
MEASURES = ("volume", "surface", "sphericity")


def families(bench: Bench) -> None:
    """33 learned, 33 generated, 33 held out, for each family; Kolmogorov–Smirnov on one value per sequence.

    One draw of 66 individuals, of which every second one is held out. Learned against held out shows what chance does.
    """
    for name in FAMILIES:
        one_family(bench, name)


def one_family(bench: Bench, name: str) -> None:
    """The same for one of the families."""
    count = bench.size.sequences
    files = bench.files(name, 2 * count, 0)[::2]
    model = bench.train(files, name)
    model.save(bench.out / f"{name}_model")
    found = overlaps(model, files)
    table(
        [name, "Dice, mean ± sd (least frame)", "last frame", "training"],
        [["reconstruction", spread(found), spread(found[:, -1]), f"{model.notes['wall_seconds'] / 60:.1f} min"]],
    )
    reconstruct(model, out=bench.out / name / "reconstructed", overwrite=True)
    generate(model, count, bench.out / name / "generated", prior=PRIORS[name], seed=GENERATION_SEED, overwrite=True)
    bench.save(f"family_{name}", {"dice": found.tolist(), "tests": compared(bench, name)})


def compared(bench: Bench, name: str) -> list:
    """Tests on the files that ``families`` left."""
    drawn = bench.files(name, 2 * bench.size.sequences, 0)
    files, held = drawn[::2], drawn[1::2]
    made, new = (bench.out / name / kind for kind in ("reconstructed", "generated"))
    rows = []
    cases = (("generated", held, new, None), ("reconstructed", files, made, True), ("learned", held, files, None))
    for label, real, other, paired in cases:
        result = evaluate(real, {label: other}, bench.out / name / f"evaluation_{label}", paired=paired)
        for test in result.tests:
            if test["scope"] == "sequence":
                rows.append([label, *(test[k] for k in ("descriptor", "ks_statistic", "p", "cliffs_delta"))])
    rows = [[str(a), str(b), float(c), float(d), float(e)] for a, b, c, d, e in rows]
    table(["against real (held out; the learned for reconstructed)", "descriptor", "KS D", "p", "Cliff's delta"], rows)
    return rows


def _without_scale(path: Path) -> SDFSequence:
    """A sequence in units of its own box, as the published sets are: the families' boxes differ."""
    with open_sequence(path) as real:
        half = 0.5 * (real.shape[1] - 1) * real.info.spacing[0]
        frames = np.stack(list(real)) / np.float32(half)
        return SDFSequence.from_array(frames, None, name=f"{path.parent.name}_{real.name}")


def clusters(bench: Bench) -> None:
    """One network for all three families: do their codes part?"""
    count = max(4, bench.size.sequences // 3) if bench.size.small else bench.size.sequences
    files, labels = [], []
    for name in FAMILIES:
        files += [_without_scale(path) for path in bench.files(name, bench.size.sequences, 0)[:count]]
        labels += [name] * count
    model = bench.train(files, "three families", labels=labels)
    model.save(bench.out / "clusters_model")
    codes = model.learned.codes.double().numpy()
    found = overlaps(model, files)
    table(
        ["three families in one network", "silhouette of the codes", "Dice"],
        [[f"{count} of each", silhouette(codes, labels), spread(found)]],
    )
    bench.save("clusters", {"codes": codes.tolist(), "labels": labels, "dice": found.tolist()})
