"""Slow, obviously right answers about label images and meshes of touching cells."""

from __future__ import annotations

import itertools

import numpy as np


def euler_of_label(mask: np.ndarray) -> int:
    """Euler characteristic of the surface of a label in which voxels are neighbours along Freudenthal's triangulation.

    Twice that of the complex of voxels, edges, triangles and tetrahedra whose corners all lie in the label.
    """
    inside = {tuple(v) for v in np.argwhere(mask).tolist()}
    simplices = set()
    for v in inside:
        for order in itertools.permutations(np.eye(3, dtype=int)):
            chain = [np.array(v)]
            for step in order:
                chain.append(chain[-1] + step)
            corners = [tuple(c.tolist()) for c in chain]
            for size in (1, 2, 3, 4):
                for some in itertools.combinations(corners, size):
                    if some[0] == v and all(c in inside for c in some):
                        simplices.add(some)
    return 2 * sum((-1) ** (len(s) - 1) for s in simplices)


def label_at(mesh, point: np.ndarray) -> int:
    """Region in which a point lies, by the solid angles of each region's surface (van Oosterom and Strackee 1983)."""
    for region in mesh.region_ids:
        surface = mesh.region_surface(region)
        a, b, c = (surface.vertices[surface.faces] - point).transpose(1, 0, 2)
        la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
        top = np.einsum("ij,ij->i", a, np.cross(b, c))
        bottom = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
        if abs(2 * np.arctan2(top, bottom).sum()) > 2 * np.pi:
            return region
    return 0
