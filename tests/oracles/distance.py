"""Signed distance to a mesh, slow and obviously right: every sample against every triangle, sign by solid angle."""

from __future__ import annotations

import numpy as np


def segment_distance(points, a, b):
    """Distance of points (n, 3) from the segment a b."""
    edge = b - a
    length = edge @ edge
    t = np.clip((points - a) @ edge / length, 0.0, 1.0) if length > 0 else np.zeros(len(points))
    return np.linalg.norm(points - (a + t[:, None] * edge), axis=1)


def triangle_distance(points, corners):
    """Distance of points (n, 3) from a triangle (3, 3): that of its edges, or of its plane above its inside."""
    a, b, c = corners
    best = np.minimum.reduce([segment_distance(points, *pair) for pair in ((a, b), (b, c), (c, a))])
    normal = np.cross(b - a, c - a)
    size = np.linalg.norm(normal)
    if size == 0:
        return best
    normal = normal / size
    height = (points - a) @ normal
    foot = points - height[:, None] * normal
    over = np.ones(len(points), dtype=bool)
    for p, q in ((a, b), (b, c), (c, a)):
        over &= np.cross(q - p, foot - p) @ normal >= 0
    return np.where(over, np.minimum(best, abs(height)), best)


def winding_number(points, corners):
    """Sum of the triangles' solid angles over 4π. Ref: Van Oosterom & Strackee 1983, doi 10.1109/TBME.1983.325207."""
    total = np.zeros(len(points))
    for triangle in corners:
        a, b, c = (v - points for v in triangle)
        la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
        top = np.einsum("ij,ij->i", a, np.cross(b, c))
        dots = [np.einsum("ij,ij->i", u, v) for u, v in ((a, b), (b, c), (c, a))]
        total += 2 * np.arctan2(top, la * lb * lc + dots[0] * lc + dots[1] * la + dots[2] * lb)
    return total / (4 * np.pi)


def mesh_sdf(vertices, faces, grid):
    """Signed distance from the grid's voxel centres, (z, y, x) float64, negative inside."""
    points = np.stack(np.meshgrid(*grid.coordinates(), indexing="ij"), axis=-1).reshape(-1, 3)
    corners = np.asarray(vertices, dtype=np.float64)[faces]
    distance = np.full(len(points), np.inf)
    for triangle in corners:
        distance = np.minimum(distance, triangle_distance(points, triangle))
    inside = abs(winding_number(points, corners)) > 0.5
    return np.where(inside, -distance, distance).reshape(grid.shape)


# Signed distances of bodies with a formula: points (..., 3) to (...,)


def sphere(points, radius, centre):
    return np.linalg.norm(points - centre, axis=-1) - radius


def capsule(points, radius, length, centre, axis):
    """Everything within ``radius`` of a segment of ``length`` along the unit vector ``axis``."""
    offset = points - centre
    along = np.clip(offset @ axis, -0.5 * length, 0.5 * length)
    return np.linalg.norm(offset - along[..., None] * axis, axis=-1) - radius


def ellipsoid(points, axes, centre, rotation):
    """Semi-axes along the columns of ``rotation``; the nearest point by bisection of Eberly's equation."""
    axes = np.asarray(axes, dtype=np.float64)
    y = abs((points - centre) @ rotation)
    low = np.full(y.shape[:-1], -(axes.min() ** 2) * (1 - 1e-12))
    high = np.full(y.shape[:-1], axes.max() * np.linalg.norm(y, axis=-1).max() + 1)
    for _ in range(70):
        middle = 0.5 * (low + high)
        outside = ((axes * y / (middle[..., None] + axes**2)) ** 2).sum(axis=-1) > 1
        low, high = np.where(outside, middle, low), np.where(outside, high, middle)
    nearest = axes**2 * y / (high[..., None] + axes**2)
    return np.linalg.norm(nearest - y, axis=-1) * np.sign(((y / axes) ** 2).sum(axis=-1) - 1)


def positions(grid):
    """Positions of a grid's samples, (z, y, x, 3) µm."""
    return np.stack(np.meshgrid(*grid.coordinates(), indexing="ij"), axis=-1)
