"""Living shapes whose distance is a formula, and a network that computes one exactly."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoform.sdf.sequence import SDFSequence

Floats = npt.NDArray[Any]


def cube(n: int) -> Floats:
    """Coordinates −1 … 1 of a cube's voxels, (n, n, n, 3)."""
    axis = np.linspace(-1, 1, n)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)


def balls(points: Floats, time: float, arm: float = 0.0) -> Floats:
    """Three unequal balls that touch, off the middle, the arms growing with time: no turn maps it onto itself."""
    centres = np.array([[0.05, 0, -0.05], [0.42 + 0.1 * time, 0.05, 0], [-0.1, 0.38 + 0.15 * arm, 0.05 * time]])
    radii = np.array([0.33 + 0.05 * arm, 0.2, 0.26])
    return (np.linalg.norm(points[..., None, :] - centres, axis=-1) - radii).min(-1)


def body(arm: float = 0.0, *, turn: Floats | None = None, n: int = 16, frames: int = 4, name: str = "") -> SDFSequence:
    """A sequence of :func:`balls` in a cube of side 6 µm, turned: f(Rᵀ x)."""
    points = cube(n) if turn is None else cube(n) @ turn
    values = [3.0 * balls(points, time, arm) for time in np.linspace(-1, 1, frames)]
    return SDFSequence.from_array(values, 6.0 / (n - 1), name=name, time_step=60.0)


@dataclasses.dataclass(frozen=True)
class Octahedron:
    """A moving octahedron, whose distance off its edges is (|z − s| + |y| + |x|) / √3 − r: slope 1 everywhere."""

    radius: float = 0.37
    clamp: float | None = None
    drift: float = 0.2
    by_code: float = 0.15

    def __call__(self, points: Floats, time: float, code: float = 0.0, turn: Floats | None = None) -> Floats:
        """Distances at points (…, 3)."""
        at = np.asarray(points, dtype=float) if turn is None else points @ turn
        at = at - [self.drift * time + self.by_code * code, 0, 0]
        value = np.abs(at).sum(-1) / np.sqrt(3) - self.radius
        return value if self.clamp is None else np.minimum(value, self.clamp)

    def model(self, codes: tuple[float, ...] = (0.0, 1.0, -1.0), samples: int = 24, frames: int = 3) -> Any:
        """A network of two layers that computes it, |x| = relu(x) + relu(−x) and min(f, c) = c − relu(c − f)."""
        import torch

        from cytoform.neural.config import NetworkConfig
        from cytoform.neural.model import AutoDecoder, LearnedSequences, TrainingCube

        config = NetworkConfig(
            latent=1, width=6, layers=2, activation="relu", latent_layers=(1,), coordinate_layers=(1,)
        )
        model = AutoDecoder(config)
        most = 10.0 if self.clamp is None else self.clamp
        signs = np.array([1.0, -1.0, 0, 0, 0, 0])
        matrix = np.zeros((6, 4))
        matrix[np.arange(6), np.arange(6) // 2] = np.tile([1, -1], 3)
        matrix[:, 3] = -self.drift * signs
        first = np.zeros((6, 6))
        first[0] = -1 / np.sqrt(3)
        values = [matrix, -self.by_code * signs[:, None], np.zeros(6), first, np.eye(6)[0] * (most + self.radius)]
        values += [-np.eye(6)[:1], [most]]
        tensors = [torch.as_tensor(np.asarray(v), dtype=torch.float32) for v in values]
        names = ["0.matrix", "0.code", "0.bias", "1.matrix", "1.bias", "2.matrix", "2.bias"]
        model.load_state_dict({f"layers.{n}": t for n, t in zip(names, tensors)})
        model.space = TrainingCube(samples=samples, frames=frames, half_um=4.0, clamp=self.clamp, time_step=30.0)
        turns = torch.tensor([[1.0, 0, 0, 0]] * (len(codes) - 1) + [[0.9, 0.1, -0.3, 0.3]])
        model.learned = LearnedSequences(
            torch.tensor(codes)[:, None], turns, [f"s{k}" for k in range(len(codes))], [""] * len(codes), len(codes)
        )
        return model
