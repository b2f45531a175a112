"""A fit as a description: made here, run anywhere, in this process, in another one or on another machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, Interrupted
from ..image.volume import Volume
from ..optics import PSF, PSFOptions, psf_from_description
from ..options import option
from .config import FitConfig
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

    :meth:`run` gives the same result as :func:`cytoform.fit` with the same things, wherever it runs.

    Parameters
    ----------
    image : path, ImageFile or Volume
    out : path, optional
        Folder for the result, and for checkpoints while the fit runs.
    start : "auto", "sphere", "ellipsoid", path of a mesh file, or Mesh
        What the fit starts from. With "auto" ``config.init`` decides; the other two words come before it.
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
    prior : callable, optional
        As for :func:`cytoform.fit`; for another process it has to be a function of a module.
    inputs : mapping, optional
        What ``fit.json`` keeps beside the job's own paths, as plain values.

    Raises
    ------
    ConfigError
        For a film or a resume without `out`, or a PSF's description that is not understood.
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
        help="Result folder; by default NAME_cytoform in this folder.",
    )
    start: str | os.PathLike[str] | Mesh = option(
        "auto", name="--init", kind=str, metavar="START", help="Start: auto, sphere, ellipsoid or a mesh file."
    )
    region: str | os.PathLike[str] | npt.ArrayLike | Volume | Region | None = None
    psf: str | os.PathLike[str] | Mapping[str, Any] | PSFOptions | PSF | None = None
    config: FitConfig = dataclasses.field(default_factory=FitConfig)
    film: bool = option(False, help="Also write film.gif, the surface step by step.")
    resume: bool = option(False, help="Go on with an interrupted fit in the folder.")
    prior: Prior | None = None
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.image, (ImageFile, Volume)):
            object.__setattr__(self, "image", ImageFile(self.image))
        if self.region is not None and not isinstance(self.region, Region):
            object.__setattr__(self, "region", Region(self.region))  # type: ignore[arg-type]
        if isinstance(self.psf, PATH):
            object.__setattr__(self, "psf", PSFOptions(os.fspath(self.psf)))
        elif isinstance(self.psf, Mapping):
            told = PSFOptions(**self.psf) if "options" in self.psf else psf_from_description(self.psf)
            object.__setattr__(self, "psf", told)
        for name in ("out", "start"):
            if isinstance(getattr(self, name), PATH):
                plain_path(self, name)
        for name in ("film", "resume"):
            if getattr(self, name) and self.out is None:
                raise ConfigError(f"{name}=True came without a folder.", remedy="Pass one, out=…")

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
        Interrupted
            On Ctrl-C or `cancel`.
        CytoformError
            Of another kind, as :func:`cytoform.fit` and the readers of images and meshes do.
        """
        from . import Film, fit  # the package imports this module

        job = self.loaded()
        if cancel is not None and _is_set(cancel):
            raise Interrupted("cancelled before the first step; nothing was changed.")
        film = Film() if self.film else None
        watching: list[Any] = [*callbacks, progress, film, None if cancel is None else _Cancelled(cancel)]
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
            When image, region, start or prior are held in the job and not in a file.
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
        return _through_json({"format": FORMAT, **self._values()})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FitJob:
        """The job that :meth:`as_dict` gave.

        Raises
        ------
        ConfigError
            For something else, and for settings that are not known.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known - {"format"})
        if values.get("format") != FORMAT or unknown:
            what = f"names {', '.join(unknown)}" if unknown else f"has the format {values.get('format')!r}"
            raise ConfigError(f"the job {what}; expected {FORMAT!r} and {', '.join(sorted(known))}.")
        given = {name: value for name, value in values.items() if name != "format"}
        region = given.get("region")
        return cls(**{
            **given,
            "image": ImageFile(**given["image"]),
            "region": None if region is None else Region(**region),
            "config": FitConfig.from_dict(given.get("config", {})),
        })  # fmt: skip

    def digest(self) -> str:
        """A short text that is the same for two jobs of the same image, region, start, PSF and settings.

        Files count by their paths, not by what is in them, arrays by their values; where the result goes does not
        count. For names of folders, and to know a job that was run before.
        """
        values = self._values()
        for name in ("out", "film", "resume", "inputs"):
            del values[name]
        del values["config"]["checkpoint_seconds"]
        return hashlib.sha256(json.dumps(_through_json(values), sort_keys=True).encode()).hexdigest()

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
            "inputs": dict(self.inputs),
            **({} if self.prior is None else {"prior": self.prior}),
        }


class _Cancelled:
    """A callback that ends a fit as Ctrl-C does once it is asked to."""

    def __init__(self, cancel: Any) -> None:
        self._cancel = cancel

    def __call__(self, progress: Progress) -> None:
        if _is_set(self._cancel):
            raise KeyboardInterrupt


def _is_set(cancel: Any) -> bool:
    return bool(cancel.is_set() if hasattr(cancel, "is_set") else cancel())


def _through_json(values: dict[str, Any]) -> dict[str, Any]:
    """Plain values as a JSON file gives them; arrays become digests."""
    return json.loads(json.dumps(values, default=_plain))


def _plain(value: Any) -> Any:
    """A digest of what is no plain value."""
    if isinstance(value, Volume):
        return [_plain(value.data), value.spacing, value.origin]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    if hasattr(value, "arrays"):
        return [_plain(np.asarray(array)) for array in value.arrays().values()]
    return getattr(value, "__qualname__", type(value).__qualname__)
