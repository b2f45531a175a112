"""What a fit tells while it runs."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from ..mesh.surface import SurfaceMesh
from ..optics import PSF

__all__ = ["Callback", "Progress"]


@dataclasses.dataclass(frozen=True, eq=False)
class Progress:
    """Where a fit stands after a shape step.

    Attributes
    ----------
    iteration, total : int
        Shape steps done, and at most to do.
    stage : int
        From 0, coarse to fine.
    loss : float
        Weighted loss of the shape (the stages' losses are not comparable).
    r2 : float or None
        R² in the region of interest at the last PSF step.
    message : str
        A word for the user, such as that the mesh was remeshed; often empty.
    mesh : SurfaceMesh
    psf : PSF
    """

    iteration: int
    total: int
    stage: int
    loss: float
    r2: float | None
    message: str
    mesh: SurfaceMesh
    psf: PSF


class Callback(Protocol):
    """Called after every shape step; raise ``StopIteration("reason")`` to end the fit there."""

    def __call__(self, progress: Progress) -> None: ...
