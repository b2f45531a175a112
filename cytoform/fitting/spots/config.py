"""Settings of a fit of points."""

from __future__ import annotations

import dataclasses

from ..sources.config import SourcesConfig

__all__ = ["PointsConfig"]


@dataclasses.dataclass(frozen=True)
class PointsConfig(SourcesConfig):
    """Settings of :func:`cytoform.fit_points`; those of :class:`SourcesConfig`, and the following.

    Parameters
    ----------
    infer_psf : bool, optional
        Whether to fit the PSF's parameters; by default only where no PSF was given.
    psf_shape : "axial" or "free"
        "axial" keeps the PSF rotationally symmetric about z; "free" fits all its parameters.
    background : "auto", "constant" or "smooth"
        "auto" takes a smooth background only where it explains more than noise would.
    search : bool, optional
        Whether to look for points that are missing and to remove what is not significant; by default only where none
        were given.
    false_finds : float
        Mean number of points in an image of noise alone that are accepted.
    model_error : float
        Standard deviation of the model's relative error, such as of the PSF's shape: next to a bright point fainter
        ones than that are not believed.
    rounds : int
        Most rounds of search and adjustment.
    iterations : int
        Most Levenberg-Marquardt steps in a round.
    split : bool
        Whether to try two points where the residual says that one is not enough.
    """

    split: bool = True
