"""Filopodial cells: sine against ReLU, DeepSDF, ω0, and how well frames and voxels in between are met."""

from __future__ import annotations

import numpy as np

from cytoform.metrics import dice
from cytoform.neural.generation import reconstruct
from cytoform.sdf import SDFSequence, open_sequence

from .common import Bench, overlaps, spread, table

FEW = 8  # sequences of a comparison at the small size
OMEGAS = (1.0, 5.0, 10.0, 20.0, 30.0, 50.0, 70.0)
# Park et al. 2019 (arXiv 1901.05103), in time: 8 layers, ReLU, code and coordinates at the first and the middle one.
DEEPSDF = dict(activation="relu", layers=8, latent=256, latent_layers=(1, 5), coordinate_layers=(1, 5))


def _few(bench: Bench, frames: int | None = None) -> list:
    count = FEW if bench.size.small else bench.size.sequences
    return bench.files("filopodial", count, 0, frames=frames)


def _epochs(bench: Bench) -> int:
    return 150 if bench.size.small else 2000


def activation(bench: Bench) -> None:
    """Sine against ReLU, all else equal."""
    _compare(bench, "activation", {"sine": {}, "ReLU": dict(activation="relu")})


def deepsdf(bench: Bench) -> None:
    """The network of DeepSDF at equal epochs, with our optimiser and with Adam."""
    adam = dict(optimizer="adam", lr=1e-3)
    cases = {"ours": {}, "DeepSDF": DEEPSDF, "ours, Adam": adam, "DeepSDF, Adam": {**DEEPSDF, **adam}}
    _compare(bench, "deepsdf", cases)


def omega(bench: Bench) -> None:
    """ω0 from 1 to 70."""
    _compare(bench, "omega", {f"ω0 = {w:g}": dict(omega=w) for w in OMEGAS})


def _compare(bench: Bench, what: str, cases: dict[str, dict]) -> None:
    files, rows, kept = _few(bench), [], {}
    for name, changes in cases.items():
        model = bench.train(files, name, epochs=_epochs(bench), **changes)
        found = overlaps(model, files)
        kept[name] = found.tolist()
        rows.append([
            name, f"{model.n_parameters:,}", spread(found), spread(found[:, -1]), f"{model.notes['wall_seconds']:.0f} s"
        ])  # fmt: skip
    table([what, "parameters", "Dice, mean ± sd (least)", "last frame", "training"], rows)
    bench.save(what, kept)


def temporal(bench: Bench) -> None:
    """29 frames, of which every 2nd and every 4th is learned: Dice of frames seen and of those between."""
    files, rows, kept = _few(bench, frames=29), [], {}
    for every in (2, 4):
        parts = [_every(path, every) for path in files]
        model = bench.train(parts, f"every {every}", epochs=_epochs(bench) * every // 2)
        found = overlaps(model, files).mean(0)
        seen = np.arange(29) % every == 0
        rows.append([f"every {every}", found[seen].mean(), found[seen].min(), found[~seen].mean(), found[~seen].min(),
                     int(np.argmin(np.where(seen, 2, found)))])  # fmt: skip
        kept[every] = found.tolist()
    table(["kept", "seen, mean Dice", "seen, worst", "between, mean", "between, worst", "at frame"], rows)
    bench.save("temporal", kept)


def _every(path, every: int) -> SDFSequence:  # type: ignore[no-untyped-def]
    with open_sequence(path) as real:
        kept = np.stack([real.frame(k) for k in range(0, len(real), every)])
        return SDFSequence.from_array(kept, real.info.spacing, name=real.name, clamp=real.info.clamp)


def spatial(bench: Bench) -> None:
    """Trained on coarser and finer samples, decoded on each, against the finest, at the last frame."""
    base = bench.size.samples
    grids = [round(base * f) for f in (0.75, 1.0, 1.5)]
    count = 4 if bench.size.small else bench.size.sequences
    shapes = bench.family("filopodial").sample_many(count, 0)
    data = {n: [s.sequence(bench.size.frames, n) for s in shapes] for n in grids}
    rows = []
    for trained in grids:
        model = bench.train(data[trained], f"{trained}³", epochs=_epochs(bench))
        row = [f"{trained}³"]
        for n in grids:
            found = [_upsampled_dice(model, k, n, data[grids[-1]][k]) for k in range(count)]
            row.append(float(np.mean(found)))
        rows.append(row)
    table(["trained on", *(f"decoded at {n}³" for n in grids)], rows)
    bench.save("spatial", rows)


def _upsampled_dice(model, index: int, n: int, real: SDFSequence) -> float:  # type: ignore[no-untyped-def]
    """The cube of n samples reaches half a voxel further out than its first and last centre: matched in µm."""
    made = reconstruct(model, index, frames=[1.0], shape=n)[0]
    (size, *_), step = real.shape[1:], real.info.spacing[0]
    places = (np.arange(size) - 0.5 * (size - 1)) * step / made.info.spacing[0] + 0.5 * (n - 1)
    nearest = np.clip(np.rint(places), 0, n - 1).astype(int)
    made = made.frame(0) < 0
    return dice(made[np.ix_(nearest, nearest, nearest)], real.frame(-1) < 0)
