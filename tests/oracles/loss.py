"""The weighted least-squares loss of an image, written out on all its voxels."""

import numpy as np


def weighted_l2(rendered, observed, weights, *, gain=1.0, background=0.0):
    """Σ w (gain · rendered + background - observed)² / Σ w, and its derivative for each voxel of the rendering."""
    rendered, observed, weights = (np.asarray(a, dtype=np.float64) for a in (rendered, observed, weights))
    residual = gain * rendered + background - observed
    total = weights.sum()
    return (weights * residual**2).sum() / total, 2.0 * gain * weights * residual / total
