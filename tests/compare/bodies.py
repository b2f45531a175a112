"""Signed distances of bodies whose volume and surface are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cytoform.sdf.sequence import SDFSequence

Floats = npt.NDArray[np.float64]


def coordinates(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Floats:
    """Positions of the voxels' centres, (z, y, x, 3) µm, with the middle of the box at 0."""
    axes = [(np.arange(n) - 0.5 * (n - 1)) * d for n, d in zip(shape, spacing)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def sphere(points: Floats, radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Floats:
    return np.linalg.norm(points - np.asarray(centre), axis=-1) - radius


def capsule(points: Floats, radius: float, length: float, axis: tuple[float, float, float]) -> Floats:
    """A cylinder of that length with half spheres at its ends."""
    along = np.asarray(axis) / np.linalg.norm(axis)
    place = np.clip(points @ along, -0.5 * length, 0.5 * length)
    return np.linalg.norm(points - place[..., None] * along, axis=-1) - radius


def growing(radius: float, frames: int = 3, n: int = 24, name: str = "", stretch: float = 1.0) -> SDFSequence:
    """A sphere (or a body stretched along z) that grows by 5 % a frame; voxels of 0.5 µm, a frame a minute."""
    points = coordinates((n, n, n), (0.5, 0.5, 0.5)) / np.array([stretch, 1.0, 1.0])
    sdf = [sphere(points, radius * 1.05**k) for k in range(frames)]
    return SDFSequence.from_array(np.array(sdf), 0.5, name=name, time_step=60.0)
