"""Rotated shapes: how long a code must be with and without learned rotations; does the answer turn with the data?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from cytoform.neural.encoding import EncodeConfig, encode
from cytoform.sdf import SDFSequence
from cytoform.sdf.distance import mesh_sdf
from cytoform.synth import LivingShape

from .common import Bench, overlaps, spread, table

SIZES = (4, 8, 16, 32, 64, 128)
TURNS = 4


def turned_sequence(bench: Bench, shape: LivingShape, turn: np.ndarray, name: str) -> SDFSequence:
    """A living shape turned by a rotation, sampled anew: exact, not resampled."""
    n = bench.size.samples
    grid = shape.grid(n, 1.15 * shape.box_um)
    frames = []
    for t in np.linspace(0, 1, bench.size.frames):
        mesh = shape.surface(t)
        frames.append(mesh_sdf(mesh.with_vertices(mesh.vertices @ turn.T), grid, clamp=0.25 * shape.box_um))
    return SDFSequence.from_array(np.stack(frames), grid.spacing, name=name, clamp=0.25 * shape.box_um)


def _rotated_files(bench: Bench, count: int) -> list[Path]:
    folder = bench.out / "data" / "rotated"
    folder.mkdir(parents=True, exist_ok=True)
    shapes = bench.family("deforming").sample_many(count, 0)
    turns = Rotation.random(count * TURNS, rng=np.random.default_rng(1)).as_matrix()
    paths = []
    for k, turn in enumerate(turns):
        path = folder / f"shape{k // TURNS:02d}_turn{k % TURNS}.h5"
        if not path.exists():
            turned_sequence(bench, shapes[k // TURNS], turn, path.stem).save(path)
        paths.append(path)
    return paths


def latent_sizes(bench: Bench) -> None:
    """Shapes, each in four orientations: Dice for codes of 4 … 128 numbers, with and without learned rotations."""
    count = 8 if bench.size.small else 25
    files = _rotated_files(bench, count)
    kept = {}
    for size in SIZES:
        found = {}
        for turning in (True, False):
            what = f"latent {size}, {'with' if turning else 'without'} rotation"
            model = bench.train(files, what, share=0.25, latent=size, rotation=turning)
            found[turning] = overlaps(model, files)[:, -1]
            kept[what] = found[turning].tolist()
        gain = found[True].mean() - found[False].mean()
        table(["latent", "with rotation", "without", "gain"], [[str(size), *map(spread, found.values()), gain]])
        bench.save("latent", kept)


def equivariance(bench: Bench) -> None:
    """Unseen shapes and the same ones turned, encoded from independent starts: code and rotation composed."""
    count = bench.size.sequences
    shapes = bench.family("deforming").sample_many(count + 3, 0)
    still = [turned_sequence(bench, s, np.eye(3), f"shape{k}") for k, s in enumerate(shapes[:count])]
    model = bench.train(still, "equivariance", rotation=True, rotation_std=0.05)
    model.save(bench.out / "equivariance_model")
    deviation = float(model.learned.codes.double().std(0).norm())
    rng, rows = np.random.default_rng(3), []
    for k, shape in enumerate([*shapes[:3], *shapes[count:]]):
        turn = Rotation.random(rng=rng).as_matrix()
        first = encode(model, turned_sequence(bench, shape, np.eye(3), "a"), EncodeConfig(seed=1))
        second = encode(model, turned_sequence(bench, shape, turn, "b"), EncodeConfig(seed=2))
        angle = Rotation.from_matrix(second.rotation @ (turn @ first.rotation).T).magnitude()
        rows.append([
            f"{'seen' if k < 3 else 'unseen'} {k}", 100 * float(np.linalg.norm(second.code - first.code)) / deviation,
            float(np.rad2deg(angle)), first.loss, second.loss,
        ])  # fmt: skip
    table(["shape", "code, % of the codes' deviation", "rotation, °", "loss µm", "loss turned µm"], rows)
    bench.save("equivariance", rows)
