"""What a fit tells while it runs."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Protocol

from ..errors import ConfigError
from ..image.volume import Volume
from ..mesh.protocol import Mesh
from ..optics import PSF

__all__ = ["Callback", "CancelCallback", "Film", "Progress", "cancel_requested"]


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
    mesh : Mesh
    psf : PSF
    """

    iteration: int
    total: int
    stage: int
    loss: float
    r2: float | None
    message: str
    mesh: Mesh
    psf: PSF


class Callback(Protocol):
    """Called after every shape step; raise ``StopIteration("reason")`` to end the fit there."""

    def __call__(self, progress: Progress) -> None: ...


class Film:
    """Keeps the surfaces of a fit, for a film of it: ``fit(volume, callbacks=(film,))``, then :meth:`save`.

    Parameters
    ----------
    every : int
        Shape steps between two pictures.
    """

    def __init__(self, every: int = 5) -> None:
        if every < 1:
            raise ConfigError(f"every is {every!r}; expected at least 1 step.")
        self.every = every
        self.frames: list[tuple[str, Mesh]] = []

    def __call__(self, progress: Progress) -> None:
        if progress.iteration % self.every == 0 or not self.frames:
            r2 = "" if progress.r2 is None else f", R² {progress.r2:.3f}"
            self.frames.append((f"stage {progress.stage + 1}, step {progress.iteration}{r2}", progress.mesh))

    def save(self, path: str | os.PathLike[str], volume: Volume, *, pause: int = 80) -> None:
        """Write an animated GIF (:func:`cytoform.report.write_film`)."""
        from ..report import write_film

        write_film(path, volume, self.frames, pause=pause)


class CancelCallback:
    """A callback that ends a fit as Ctrl-C does once it is asked to."""

    def __init__(self, cancel: Any) -> None:
        self._cancel = cancel

    def __call__(self, progress: Progress) -> None:
        if cancel_requested(self._cancel):
            raise KeyboardInterrupt


def cancel_requested(cancel: Any) -> bool:
    """Ask an event, or a callable, whether a fit is to end."""
    return bool(cancel.is_set() if hasattr(cancel, "is_set") else cancel())
