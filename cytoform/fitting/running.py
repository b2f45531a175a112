"""Run a job: read its inputs, fit, and write the result as the last phase of the fit's progress."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Interrupted
from ..image.volume import Volume
from ..mesh.protocol import Mesh
from ..optics import PSFOptions
from .callbacks import PHASES, Callback, CancelCallback, Film, Progress, announce, cancel_requested
from .progress import writing_seconds
from .saving import check_output_folder

if TYPE_CHECKING:
    from .job import FitJob
    from .result import FitResult

__all__ = ["ResultWriter", "run_job"]


def run_job(job: FitJob, callbacks: Sequence[Callback], cancel: Callable[[], bool] | Any = None) -> FitResult:
    """Run a job and return its result (:meth:`.FitJob.run`).

    Parameters
    ----------
    job : FitJob
        The job.
    callbacks : sequence of callable
        Called with each :class:`.Progress`.
    cancel : callable or event, optional
        Asked at each progress whether to end the fit as Ctrl-C does.
    """
    from . import fit  # the package imports this module

    if job.out is not None:
        check_output_folder(Path(job.out), overwrite=job.overwrite, resume=job.resume)
    job = job.loaded()
    if cancel is not None and cancel_requested(cancel):
        raise Interrupted("cancelled before the first step; nothing was changed.")
    image, psf = job.image, job.psf
    assert isinstance(image, Volume) and not isinstance(psf, PSFOptions)  # they have been read
    film = Film() if job.film else None
    told = [*callbacks, *([] if film is None else [film]), *([] if cancel is None else [CancelCallback(cancel)])]
    writer = None if job.out is None else ResultWriter(job.out, image, told, film)
    result = fit(
        image, None if isinstance(job.start, str) else job.start, psf, job.config,
        **({} if job.region is None else job.region.fit_arguments()), prior=job.prior,
        callbacks=told if writer is None else [writer], out=job.out, resume=job.resume, inputs=job.inputs,
    )  # fmt: skip
    if writer is not None:
        writer.write(result)
    return result


class ResultWriter:
    """Write a fit's result as the last phase of its progress.

    Pass it to the fit as its only callback, then call :meth:`write`. It passes each progress on, with the time that
    writing is going to take added to ``seconds_left``.

    Parameters
    ----------
    folder : path
        Folder of the result.
    image : Volume
        The image, on which a film is drawn.
    callbacks : sequence of callable
        Called with each progress of the fit, and as writing begins.
    film : Film, optional
        One of `callbacks`, to be saved as film.gif.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        image: Volume,
        callbacks: Sequence[Callback],
        film: Film | None = None,
    ) -> None:
        self._folder, self._image, self._callbacks, self._film = Path(folder), image, callbacks, film
        self._last: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        """Pass a progress of the fit on, with the time for writing added."""
        self._last = progress
        left = progress.seconds_left + self._writing_seconds(progress.mesh)
        for callback in self._callbacks:
            callback(dataclasses.replace(progress, seconds_left=left))

    def write(self, result: FitResult, truth: Mesh | None = None) -> None:
        """Write the files of a result.

        Parameters
        ----------
        result : FitResult
            The result.
        truth : Mesh, optional
            Known surface of a simulation, shown in the report.

        Raises
        ------
        Interrupted
            On Ctrl-C, or a callback's KeyboardInterrupt.
        """
        try:
            if self._last is not None:
                left = self._writing_seconds(self._last.mesh)
                now = dataclasses.replace(self._last, phase=PHASES[2], message="", seconds_left=left)
                announce(self._callbacks, now)
            result.save(self._folder, truth=truth)
            if self._film is not None and self._film.frames:
                self._film.save(self._folder / "film.gif", self._image)
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted while the result was written; files are missing in {self._folder}, or are of an earlier "
                "fit. Give the same command with --resume to write them (resume=True in Python)."
            ) from None

    def _writing_seconds(self, mesh: Mesh) -> float:
        """Return the time that writing the result for a mesh is expected to take, s."""
        frames = 0 if self._film is None else len(self._film.frames)
        return writing_seconds(mesh.n_faces, self._image.data.size, frames)
