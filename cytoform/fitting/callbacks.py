"""Callbacks of a fit: the progress that they are passed, and those that come with the package."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable
from typing import Any, Protocol

from ..errors import ConfigError
from ..image.volume import Volume
from ..mesh.protocol import Mesh
from ..optics import PSF

__all__ = ["PHASES", "Callback", "CancelCallback", "Film", "Progress", "announce", "cancel_requested"]

PHASES = ("fit", "standard errors", "writing")


@dataclasses.dataclass(frozen=True, eq=False)
class Progress:
    """Progress of a fit: after a shape step, and as each of its later phases begins.

    Parameters
    ----------
    iteration : int
        Shape steps done.
    total : int
        Most shape steps to do.
    stage : int
        Present stage, from 0, coarse to fine.
    loss : float
        Weighted loss of the image at the last evaluation of the shape; losses of different stages are not comparable.
    r2 : float or None
        R² in the region of interest at the last PSF step; None before the first one.
    message : str
        What happened at a pause, such as that the mesh was remeshed; empty otherwise.
    mesh : Mesh
        Best surface so far, µm.
    psf : PSF
        PSF so far.
    phase : "fit", "standard errors" or "writing"
        What is done now: steps; the last rendering and the standard errors, once the steps have ended; or the files of
        the result, if the fit writes them (:meth:`cytoform.fitting.FitJob.run`).
    seconds_left : float
        Estimated time until the end of the last phase, s; more than 0 while anything is left to do.
    """

    iteration: int
    total: int
    stage: int
    loss: float
    r2: float | None
    message: str
    mesh: Mesh
    psf: PSF
    phase: str = PHASES[0]
    seconds_left: float = 1.0


class Callback(Protocol):
    """A callable that a fit calls after every shape step, and once as each of its later phases begins.

    Raising ``StopIteration("reason")`` in it ends the steps.
    """

    def __call__(self, progress: Progress, /) -> object: ...


def announce(callbacks: Iterable[Callback], progress: Progress) -> None:
    """Call callbacks as a phase begins in which no steps are left to end: StopIteration has no effect."""
    for callback in callbacks:
        with contextlib.suppress(StopIteration):
            callback(progress)


class Film:
    """A callback that collects surfaces of a fit for an animation.

    Use it as ``fit(volume, callbacks=(film,))``, then call :meth:`save`.

    Parameters
    ----------
    every : int
        Shape steps between two frames.

    Raises
    ------
    ConfigError
        If `every` is below 1.
    """

    def __init__(self, every: int = 5) -> None:
        if every < 1:
            raise ConfigError(f"every is {every!r}; expected at least 1 step.")
        self.every = every
        self.frames: list[tuple[str, Mesh]] = []

    def __call__(self, progress: Progress) -> None:
        """Keep the surface of a step as a frame if its iteration is a multiple of `every`, or if it is the first."""
        if progress.phase == PHASES[0] and (progress.iteration % self.every == 0 or not self.frames):
            r2 = "" if progress.r2 is None else f", R² {progress.r2:.3f}"
            self.frames.append((f"stage {progress.stage + 1}, step {progress.iteration}{r2}", progress.mesh))

    def save(self, path: str | os.PathLike[str], volume: Volume, *, pause: int = 80) -> None:
        """Write the collected surfaces as an animated GIF (:func:`cytoform.report.write_film`).

        Parameters
        ----------
        path : path
            File to write.
        volume : Volume
            Image on whose slices the outlines of the surfaces are drawn.
        pause : int
            Time that each frame is shown, ms.
        """
        from ..report import write_film

        write_film(path, volume, self.frames, pause=pause)


class CancelCallback:
    """A callback that raises KeyboardInterrupt, as Ctrl-C does, once cancelling is requested.

    Parameters
    ----------
    cancel : object
        An event with ``is_set()``, or a callable that returns whether to cancel.
    """

    def __init__(self, cancel: Any) -> None:
        self._cancel = cancel

    def __call__(self, progress: Progress) -> None:
        """Raise KeyboardInterrupt if cancelling is requested."""
        if cancel_requested(self._cancel):
            raise KeyboardInterrupt


def cancel_requested(cancel: Any) -> bool:
    """Return whether `cancel`, an event with ``is_set()`` or a callable that returns a bool, asks for a fit to end."""
    return bool(cancel.is_set() if hasattr(cancel, "is_set") else cancel())
