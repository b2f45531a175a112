"""A fit as a description: made here, run anywhere, in this process, in another one or on another machine."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, Interrupted
from ..image.volume import Volume
from ..optics import PSF, PSFOptions
from ..options import option, reserve, settings_of
from .callbacks import Cancelled, is_set
from .config import FitConfig
from .descriptions import checked_names, mark_of, psf_of, stray
from .plain import plain, plain_number, shown
from .references import PATH, ImageFile, Region, plain_path

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..mesh.protocol import Mesh
    from . import Callback, FitResult, Prior, Progress

__all__ = ["FitJob"]

FORMAT = "cytoform fit job 1"


@dataclasses.dataclass(frozen=True, eq=False)
class FitJob:
    """One fit: what it is given and where its result goes. It can be pickled, and stored as JSON if all is in files.

    :meth:`run` gives the same result as :func:`cytoform.fit` with the same things, wherever it runs. Paths stay as they
    are given, so that a job in a JSON file can be moved with its folder: relative ones begin at the working folder of
    the process that runs it. :meth:`resolved` makes them absolute.

    Parameters
    ----------
    image : path, ImageFile or Volume
    out : path, optional
        Folder for the result, and for checkpoints while the fit runs. It has to be empty or new, but for `resume` and
        `overwrite`.
    start : "auto", "sphere", "ellipsoid", path of a mesh file, or Mesh
        What the fit starts from. With "auto", or None, ``config.init`` decides; the other two words come before it.
    region : path, array, Volume or Region, optional
        Voxels that count, or a cell of a label image.
    psf : optional
        PSF, path of an image of one, :class:`~cytoform.optics.PSFOptions`, or one of both as :meth:`as_dict` gives
        them. By default the PSF is guessed from the voxel size.
    config : FitConfig
    film : bool
        Also write film.gif, the surface step by step, into `out`.
    resume : bool
        Go on from the checkpoint in `out`.
    overwrite : bool
        Use `out` though there is something in it, such as another result.
    prior : callable, optional
        As for :func:`cytoform.fit`; for another process it has to be a function of a module.
    inputs : mapping, optional
        What ``fit.json`` keeps beside the job's own paths, as plain values.

    Raises
    ------
    ConfigError
        For a film, resume or overwrite without `out`, for resume with overwrite, for a PSF's description that is not
        understood, and for what is of another type.
    FileFormatError
        For a PSF of a kind that is neither known nor a file.

    Examples
    --------
    >>> jobs = [FitJob("embryo.tif", out=f"cell{n}", region=Region("labels.tif", label=n)) for n in (1, 2, 3)]
    >>> with concurrent.futures.ProcessPoolExecutor() as pool:
    ...     results = list(pool.map(FitJob.run, jobs))
    """

    image: str | os.PathLike[str] | ImageFile | Volume
    out: str | os.PathLike[str] | None = option(
        None,
        short="-o",
        kind=Path,
        metavar="DIR",
        help="Result folder; by default the image's name followed by _cytoform, in the working directory.",
    )
    start: str | os.PathLike[str] | Mesh = option(
        "auto",
        name="--init",
        kind=str,
        metavar="START",
        help="Surface from which the fit starts: auto, sphere, ellipsoid, or a mesh file.",
    )
    region: str | os.PathLike[str] | npt.ArrayLike | Volume | Region | None = None
    psf: str | os.PathLike[str] | Mapping[str, Any] | PSFOptions | PSF | None = None
    config: FitConfig = dataclasses.field(default_factory=FitConfig)
    film: bool = option(False, help="Write also film.gif, an animation of the surface during the fit.")
    resume: bool = option(False, help="Continue the interrupted fit in the result folder.")
    overwrite: bool = option(False, help="Write into the result folder even if it is not empty.")
    prior: Prior | None = None
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        keep = functools.partial(object.__setattr__, self)
        if isinstance(self.image, PATH):
            plain_path(self, "image")
            keep("image", ImageFile(self.image))
        elif not isinstance(self.image, (ImageFile, Volume)):
            raise stray("image", self.image, "a path, an ImageFile or a Volume", "Volume(array, spacing) makes one.")
        if self.region is not None and not isinstance(self.region, Region):
            keep("region", Region(self.region))  # type: ignore[arg-type]
        keep("psf", psf_of(self.psf))
        if self.start is None:
            keep("start", "auto")
        elif isinstance(self.start, PATH):
            plain_path(self, "start")
        elif not hasattr(self.start, "faces"):
            raise stray("start", self.start, "auto, sphere, ellipsoid, a mesh file or a mesh")
        if not isinstance(self.config, FitConfig):
            raise stray("config", self.config, "a FitConfig", "FitConfig.from_dict(…) makes one of plain values.")
        if not isinstance(self.inputs, Mapping):
            raise stray("inputs", self.inputs, "a mapping of names to plain values")
        keep("inputs", plain(self.inputs, "inputs"))
        self._check_out()

    def _check_out(self) -> None:
        """Refuse a folder that is none, and what needs one without it."""
        if self.out is not None:
            plain_path(self, "out")
        for name in ("film", "resume", "overwrite"):
            value = plain_number(getattr(self, name))
            if value not in (True, False):
                raise stray(name, value, "True or False")
            object.__setattr__(self, name, bool(value))
            if value and self.out is None:
                raise ConfigError(f"{name}=True came without a folder.", remedy="Pass one, out=…")
        if self.overwrite and self.resume:
            what = "overwrite and resume came together; expected one of them (--overwrite, --resume)."
            raise ConfigError(what, remedy="Leave one away.")

    # -- running -----------------------------------------------------------------------------------------------------

    def run(
        self,
        *,
        callbacks: Sequence[Callback] = (),
        progress: Callable[[Progress], None] | None = None,
        cancel: Callable[[], bool] | Any = None,
    ) -> FitResult:
        """Read what is in files, fit, and write the result into `out` if there is one.

        Parameters
        ----------
        callbacks : sequence of callable
            As for :func:`cytoform.fit`: called after every shape step, in the process that runs the job.
        progress : callable, optional
            One more of them.
        cancel : callable or event, optional
            Asked after every shape step: True, or an event that is set (``threading.Event``, a manager's ``Event()``
            for other processes), ends the fit there as Ctrl-C does. There is no result then, and no half of one; the
            checkpoint in `out` stays, and the same job with ``resume=True`` goes on from it.

        Returns
        -------
        FitResult
            From a folder, :func:`cytoform.load_result` gives it again without the measured image.

        Raises
        ------
        OutputError
            When `out` is not empty and neither `resume` nor `overwrite` is set, or there is nothing to resume.
        Interrupted
            On Ctrl-C or `cancel`.
        CytoformError
            Of another kind, as :func:`cytoform.fit` and the readers of images and meshes do.
        """
        from . import Film, fit  # the package imports this module
        from .saving import check_free

        if self.out is not None:
            check_free(Path(self.out), overwrite=self.overwrite, resume=self.resume)
        job = self.loaded()
        if cancel is not None and is_set(cancel):
            raise Interrupted("cancelled before the first step; nothing was changed.")
        film = Film() if self.film else None
        watching: list[Any] = [*callbacks, progress, film, None if cancel is None else Cancelled(cancel)]
        result = fit(
            job.image, None if isinstance(job.start, str) else job.start, job.psf, job.config,
            **job._region(), prior=job.prior, callbacks=[w for w in watching if w is not None],
            out=job.out, resume=job.resume, inputs=job.inputs,
        )  # fmt: skip
        if self.out is not None:
            result.save(self.out)
            if film is not None and film.frames:
                film.save(Path(self.out) / "film.gif", job.image)
        return result

    def _region(self) -> dict[str, Any]:
        """Region of interest or labels, as the fit takes them."""
        if self.region is None:
            return {}
        if self.region.label is None:
            return {"roi": self.region.source}
        return {"labels": self.region.source, "label": self.region.label}

    def loaded(self) -> FitJob:
        """The same job with image, PSF, start and region read, checked against each other, and held in it.

        It can be pickled to a machine that has none of the files. Its `inputs` keep where they came from.

        Raises
        ------
        FileFormatError, VolumeError, GridError, MeshError, ConfigError
            For a file that is missing or damaged, or that does not go with the image.
        """
        from .inputs import STARTS, load_image, load_region, load_start

        image, at = self.image, self.image if isinstance(self.image, ImageFile) else None
        if at is not None:
            image = load_image(Path(at.path), at.spacing, at.channel, at.time, series=at.series, axes=at.axes)
        psf = self.psf.psf(image.spacing) if isinstance(self.psf, PSFOptions) else self.psf
        start, config = self.start, self.config
        if isinstance(start, str) and start in STARTS:
            config = config if start == "auto" else dataclasses.replace(config, init=start)
        elif isinstance(start, str):
            start = load_start(start, image)
        region = self.region
        if region is not None and region.is_file:
            axes, time = (None, None) if at is None else (at.axes, at.time)
            where = {"time": region.time, "channel": region.channel, "series": region.series}
            found = load_region(Path(region.source), region.label, image, image_time=time, axes=axes, **where)
            region = Region(found, region.label)
        return dataclasses.replace(
            self, image=image, psf=psf, start=start, config=config, region=region, inputs=self._sources()
        )

    def resolved(self) -> FitJob:
        """The same job with all its paths absolute, taken from this process's working folder."""
        from .inputs import STARTS

        found: dict[str, Any] = {}
        if isinstance(self.image, ImageFile):
            found["image"] = dataclasses.replace(self.image, path=os.path.abspath(self.image.path))
        if self.region is not None and self.region.is_file:
            found["region"] = dataclasses.replace(self.region, source=os.path.abspath(self.region.source))
        if isinstance(self.psf, PSFOptions) and self.psf.is_file:
            found["psf"] = dataclasses.replace(self.psf, kind=os.path.abspath(self.psf.kind))
        if isinstance(self.start, str) and self.start not in STARTS:
            found["start"] = os.path.abspath(self.start)
        if self.out is not None:
            found["out"] = os.path.abspath(self.out)
        return dataclasses.replace(self, **found)

    def _sources(self) -> dict[str, Any]:
        """What ``fit.json`` keeps of the paths; those of image and region come with their volumes."""
        from .inputs import STARTS

        found: dict[str, Any] = {}
        if isinstance(self.start, str) and self.start not in STARTS:
            found["start"] = {"path": str(Path(self.start).resolve())}
        if isinstance(self.psf, PSFOptions):
            kind = self.psf.kind
            found["psf"] = {"path": str(Path(kind).resolve())} if self.psf.is_file else {"name": kind}
        return {**found, **self.inputs}

    # -- as plain values ---------------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file; :meth:`from_dict` goes back.

        Raises
        ------
        ConfigError
            When image, region, start or prior are held in the job and not in a file, or something in it is no plain
            value.
        """
        held = {
            "image": isinstance(self.image, Volume),
            "region": self.region is not None and not self.region.is_file,
            "start": not isinstance(self.start, str),
            "prior": self.prior is not None,
        }
        if any(held.values()):
            raise ConfigError(
                f"the job holds its {' and its '.join(n for n, is_held in held.items() if is_held)} in memory; "
                "expected files.",
                remedy="Save them and make the job with their paths, or pickle the job. A prior cannot be stored.",
            )
        return json.loads(json.dumps(plain({"format": FORMAT, **self._values()}, "the job")))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FitJob:
        """The job that :meth:`as_dict` gave.

        Raises
        ------
        ConfigError
            For something else, for names that are not known, and where something is missing or of another type.
        """
        if isinstance(values, Mapping) and values.get("format") != FORMAT:
            what = f"the job has the format {shown(values.get('format'))}; expected {FORMAT!r}."
            raise ConfigError(what, remedy="FitJob.as_dict gives it.")
        given = checked_names(cls, "the job", values, also="format")
        if "image" in given:
            given["image"] = ImageFile(**checked_names(ImageFile, "the job's image", given["image"]))
        if given.get("region") is not None:
            given["region"] = Region(**checked_names(Region, "the job's region", given["region"]))
        given["config"] = FitConfig.from_dict(given.get("config", {}))
        return cls(**given)

    def digest(self) -> str:
        """A short text that is the same for two jobs of the same image, region, start, PSF and settings.

        Files count by their absolute paths, not by what is in them, arrays by values, shape and type of numbers, a
        prior by its name and what :func:`functools.partial` gives it; where the result goes does not count. For names
        of folders, and to know a job that was run before.
        """
        values = self.resolved()._values()
        for name in ("out", "film", "resume", "overwrite", "inputs"):
            del values[name]
        del values["config"]["checkpoint_seconds"]
        return hashlib.sha256(json.dumps(values, default=mark_of, sort_keys=True).encode()).hexdigest()

    def _values(self) -> dict[str, Any]:
        """The fields as plain values, but for what is held in memory."""
        psf = self.psf
        if psf is not None:
            psf = psf.as_dict() if isinstance(psf, PSFOptions) else psf.describe()
        return {
            "image": self.image.as_dict() if isinstance(self.image, ImageFile) else self.image,
            "out": self.out,
            "start": self.start,
            "region": None if self.region is None else self.region.as_dict(),
            "psf": psf,
            "config": self.config.as_dict(),
            "film": self.film,
            "resume": self.resume,
            "overwrite": self.overwrite,
            "inputs": dict(self.inputs),
            **({} if self.prior is None else {"prior": self.prior}),
        }


for _part in (FitJob, ImageFile, Region, FitConfig):  # a PSF's option with such a name could not be told from them
    reserve(name for _setting in settings_of(_part) for name in _setting.names)
