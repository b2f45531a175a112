"""Label images of surfaces."""

import numpy as np

from cytoform.masks import mesh_to_mask


def label_mask(meshes, grid):
    """Label image of closed surfaces that do not overlap, (z, y, x) uint16: 0 outside, 1 for the first surface, ..."""
    labels = np.zeros(grid.shape, dtype=np.uint16)
    for number, mesh in enumerate(meshes, start=1):
        labels[mesh_to_mask(mesh, grid)] = number
    return labels
