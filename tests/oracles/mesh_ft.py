"""The transform of a mesh and its gradient by dense quadrature: points on every face, summed one by one."""

from __future__ import annotations

import numpy as np


def _rule(order: int):
    """Gauss points on the collapsed square: barycentric coordinates and weights that sum to 1/2."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    u, wu = 0.5 * (nodes + 1.0), 0.5 * weights
    first, second = np.meshgrid(u, u, indexing="ij")
    area = np.outer(wu * (1.0 - u), wu)
    points = np.stack([first, (1.0 - first) * second, (1.0 - first) * (1.0 - second)], axis=-1)
    return points.reshape(-1, 3), area.ravel()


def dense(vertices, faces, density, frequencies, cotangents=()):
    """û at frequencies (n, 3): sum over faces of density · 2 A · quadrature of exp(-i x·ξ), all in float64.

    Faces that span more phase get more points: orders 8, 12 and 24 hold 1e-15 up to spreads of 2, 7 and 25 radians.

    With `cotangents` (each (n,) complex) also d/d(vertices) and d/d(density) of Re Σ conj(c_k) û_k for each of them,
    by differentiating that quadrature.
    """
    corners = np.asarray(vertices, dtype=np.float64)[faces]
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    cross = np.cross(edge1, edge2)
    doubled = np.linalg.norm(cross, axis=1)
    unit = cross / doubled[:, None]
    # d|e1 x e2| for each corner
    slope = np.stack([np.cross(unit, edge2 - edge1), np.cross(edge2, unit), np.cross(unit, edge1)], axis=1)
    out = np.zeros(len(frequencies), dtype=complex)
    totals = [np.zeros(len(faces)) for _ in cotangents]
    moves = [np.zeros((len(faces), 3, 3)) for _ in cotangents]
    longest = np.sqrt(np.maximum(np.maximum((edge1**2).sum(1), (edge2**2).sum(1)), ((edge2 - edge1) ** 2).sum(1)))
    spread = longest * np.linalg.norm(frequencies, axis=1).max()
    assert spread.max() < 25.0, "more points are needed"
    columns = [np.concatenate([c[:, None], -1j * c[:, None] * frequencies], axis=1) for c in np.conj(cotangents)]
    for low, high, order in ((0.0, 2.0, 8), (2.0, 7.0, 12), (7.0, 25.0, 24)):
        chosen = np.flatnonzero((spread >= low) & (spread < high))
        for some in np.array_split(chosen, 1 + len(chosen) // 100):  # pieces that stay in the cache
            for point, weight in zip(*_rule(order)):
                phase = np.einsum("p,fpd->fd", point, corners[some]) @ frequencies.T
                cosine, sine = np.cos(phase), np.sin(phase)
                masses = weight * (doubled * density)[some]
                out += masses @ cosine - 1j * (masses @ sine)
                for column, total, move in zip(columns, totals, moves):
                    field = weight * (cosine @ column.real + sine @ column.imag)  # Re exp(-i phase) column
                    total[some] += field[:, 0]
                    move[some] += point[None, :, None] * field[:, None, 1:]
    gradients = []
    for total, move in zip(totals, moves):
        corner = (density * doubled)[:, None, None] * move + (density * total)[:, None, None] * slope
        grad = np.zeros(np.asarray(vertices).shape)
        np.add.at(grad, faces, corner)
        gradients.append((grad, doubled * total))
    return (out, gradients) if cotangents else out
