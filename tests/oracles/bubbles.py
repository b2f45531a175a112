"""Double bubbles with unequal tensions in closed form: three spherical caps that meet at one circle."""

from __future__ import annotations

import dataclasses

import numpy as np

from cytoform import MultiMaterialMesh


@dataclasses.dataclass(frozen=True)
class DoubleBubble:
    """A double bubble on the z axis and its forces; tensions and pressures are relative to the mean tension."""

    mesh: MultiMaterialMesh
    tensions: dict[tuple[int, int], float]
    pressures: dict[int, float]


def double_bubble(
    tensions: tuple[float, float, float], *, turn: float = 0.3, rim: float = 4.0, rings: int = 12
) -> DoubleBubble:
    """Build the double bubble with tensions of the interfaces (0, 1), (0, 2) and (1, 2).

    At the rim, a circle of radius `rim`, the unit vectors t along the sheets, away from the rim, obey Σ γ t = 0, so the
    tensions are the sides of a triangle. `turn`, not 0, rotates all three, which makes the bubbles unequal. The sphere
    that leaves the rim with the axial component a of t has the radius rim / |a|: the axial part of the sum is Laplace's
    law.
    """
    g1, g2, g12 = (float(g) for g in np.array(tensions) / np.mean(tensions))
    septum = np.pi + turn  # angle in the half plane (away from the axis, z)
    angles = {
        (0, 1): septum - np.arccos((g2**2 - g1**2 - g12**2) / (2 * g1 * g12)),
        (0, 2): septum + np.arccos((g1**2 - g2**2 - g12**2) / (2 * g2 * g12)),
        (1, 2): septum,
    }
    points, faces, labels = [_circle(rim, rings)], [], []
    for pair, angle in angles.items():
        cap, triangles = _cap(rim, np.cos(angle), np.sin(angle), rings, sum(len(p) for p in points))
        points.append(cap)
        faces.append(triangles)
        labels.append(np.tile(pair, (len(triangles), 1)))
    mesh = MultiMaterialMesh(np.concatenate(points), np.concatenate(faces), np.concatenate(labels)).repaired()
    pressures = {1: 2 * g1 * np.sin(angles[0, 1]) / rim, 2: -2 * g2 * np.sin(angles[0, 2]) / rim}
    return DoubleBubble(mesh, {(0, 1): g1, (0, 2): g2, (1, 2): g12}, {k: float(p) for k, p in pressures.items()})


def _circle(radius: float, rings: int) -> np.ndarray:
    """Return 6 `rings` points on the rim, (z, y, x)."""
    angle = 2 * np.pi * np.arange(6 * rings) / (6 * rings)
    return np.stack([np.zeros_like(angle), radius * np.sin(angle), radius * np.cos(angle)], axis=1)


def _cap(rim: float, radial: float, axial: float, rings: int, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of a spherical cap inside its rim, which has the indices from 0, and its triangles.

    It leaves the rim along `radial` (away from the axis) and `axial` (along z); its own points count from `first`.
    """
    middle, radius, up = rim * radial / axial, rim / abs(axial), np.sign(axial)  # of the sphere, on the axis
    opening = np.arccos(-middle * up / radius)  # angle between pole and rim, from the middle
    rows = []
    for k in range(rings):
        polar, angle = opening * k / rings, 2 * np.pi * np.arange(max(6 * k, 1)) / max(6 * k, 1)
        z = middle + up * radius * np.cos(polar) * np.ones_like(angle)
        rows.append(np.stack([z, radius * np.sin(polar) * np.sin(angle), radius * np.sin(polar) * np.cos(angle)], 1))
    starts = [first + sum(len(r) for r in rows[:k]) for k in range(rings)] + [0]
    return np.concatenate(rows), _ring_triangles(starts, rings)


def _ring_triangles(starts: list[int], rings: int) -> np.ndarray:
    """Return the triangles between rings of 1, 6, 12 … points that begin at `starts`."""
    triangles = []
    for k in range(1, rings + 1):
        inner, outer = max(6 * (k - 1), 1), 6 * k
        for side in range(6):
            for step in range(k):
                a = starts[k] + (side * k + step) % outer
                b = starts[k] + (side * k + step + 1) % outer
                c = starts[k - 1] + (side * (k - 1) + step) % inner
                triangles.append((a, b, c))
                if step < k - 1:
                    d = starts[k - 1] + (side * (k - 1) + step + 1) % inner
                    triangles.append((b, d, c))
    return np.array(triangles)
