"""A fit as a description that can be stored, pickled and run in this process, in another one or on another machine."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..image.volume import Volume
from ..optics import PSF, PSFOptions
from ..options import option, reserve, settings_of
from .config import FitConfig
from .descriptions import as_image, as_psf, as_region, as_start, checked_fields, hashable_value, wrong_type
from .json_values import json_value, python_number, short_repr
from .references import ImageFile, Region, convert_path_field

if TYPE_CHECKING:
    import numpy.typing as npt

    from .._typing import PathLike
    from ..mesh.protocol import Mesh
    from . import Callback, FitResult, Prior, Progress

__all__ = ["FitJob"]

FORMAT = "cytoform fit job 1"


@dataclasses.dataclass(frozen=True, eq=False)
class FitJob:
    """One fit: its inputs, settings and result folder. It can be pickled, or stored as JSON if all inputs are in files.

    :meth:`run` gives the same result as :func:`cytoform.fit` with the same arguments, wherever it runs. Paths stay as
    they are given: relative ones begin at the working folder of the process that runs the job, so a job in a JSON file
    can be moved with its folder. :meth:`resolved` makes them absolute.

    Parameters
    ----------
    image : path, ImageFile or Volume
        Image of a stained membrane.
    out : path, optional
        Folder for the result, and for checkpoints while the fit runs. It has to be empty or new unless `resume` or
        `overwrite` is set. By default nothing is written.
    start : "auto", "sphere", "ellipsoid", path of a mesh file, or Mesh
        Start of the surface. With "auto" or None, ``config.init`` decides; the other two words replace it.
    region : path, array, Volume or Region, optional
        Region of interest, or a cell of a label image; found in the image by default.
    psf : PSF, path, PSFOptions or mapping, optional
        A PSF, the path of an image of one, :class:`~cytoform.optics.PSFOptions`, or one of both as :meth:`as_dict`
        gives them. By default the PSF is guessed from the voxel size.
    config : FitConfig
        Settings of the fit.
    film : bool
        Whether to write film.gif, an animation of the fit, into `out`.
    resume : bool
        Whether to continue from the checkpoint in `out`.
    overwrite : bool
        Whether `out` may contain something, such as another result.
    prior : callable, optional
        Further prior on the surface (:class:`Prior`); a function of a module if the job is to be pickled.
    inputs : mapping, optional
        Provenance that ``fit.json`` stores beside the job's own paths, as plain values.

    Raises
    ------
    ConfigError
        If film, resume or overwrite come without `out`, resume with overwrite, a PSF's description is not understood,
        or a value has another type.
    FileFormatError
        If a PSF is of a kind that is neither registered nor a file.

    Examples
    --------
    >>> jobs = [FitJob("embryo.tif", out=f"cell{n}", region=Region("labels.tif", label=n)) for n in (1, 2, 3)]
    >>> with concurrent.futures.ProcessPoolExecutor() as pool:
    ...     results = list(pool.map(FitJob.run, jobs))
    """

    image: ImageFile | Volume
    out: str | None = option(
        None,
        short="-o",
        kind=Path,
        metavar="DIR",
        help="Result folder; by default the image's name followed by _cytoform, in the working directory.",
    )
    start: str | Mesh = option(
        "auto",
        name="--init",
        kind=str,
        metavar="START",
        help="Surface from which the fit starts: auto, sphere, ellipsoid, or a mesh file.",
    )
    region: Region | None = None
    psf: PSFOptions | PSF | None = None
    config: FitConfig = dataclasses.field(default_factory=FitConfig)
    film: bool = option(False, help="Write also film.gif, an animation of the surface during the fit.")
    resume: bool = option(False, help="Continue the interrupted fit in the result folder.")
    overwrite: bool = option(False, help="Write into the result folder even if it is not empty.")
    prior: Prior | None = None
    inputs: dict[str, Any] = dataclasses.field(default_factory=dict)

    if TYPE_CHECKING:  # what may be given; a field has the type that __post_init__ converts it to

        def __init__(
            self,
            image: PathLike | ImageFile | Volume,
            out: PathLike | None = None,
            start: PathLike | Mesh | None = "auto",
            region: PathLike | npt.ArrayLike | Volume | Region | None = None,
            psf: PathLike | Mapping[str, Any] | PSFOptions | PSF | None = None,
            config: FitConfig = ...,
            film: bool = False,
            resume: bool = False,
            overwrite: bool = False,
            prior: Prior | None = None,
            inputs: Mapping[str, Any] = ...,
        ) -> None:
            """Take paths, arrays and descriptions where the fields hold what they are converted to."""

    def __post_init__(self) -> None:
        """Convert what was given to the types of the fields and check it."""
        keep = functools.partial(object.__setattr__, self)
        keep("image", as_image(self.image))
        keep("region", as_region(self.region))
        keep("psf", as_psf(self.psf))
        keep("start", as_start(self.start))
        if not isinstance(self.config, FitConfig):
            raise wrong_type("config", self.config, "a FitConfig", "FitConfig.from_dict(…) makes one of plain values.")
        if not isinstance(self.inputs, Mapping):
            raise wrong_type("inputs", self.inputs, "a mapping of names to plain values")
        keep("inputs", json_value(self.inputs, "inputs"))
        self._check_out()

    def _check_out(self) -> None:
        """Convert `out` to text and the switches to bool, in place; raise ConfigError if they contradict each other."""
        if self.out is not None:
            convert_path_field(self, "out")
        for name in ("film", "resume", "overwrite"):
            value = python_number(getattr(self, name))
            if value not in (True, False):
                raise wrong_type(name, value, "True or False")
            object.__setattr__(self, name, bool(value))
            if value and self.out is None:
                raise ConfigError(f"{name}=True was given without a folder.", remedy="Pass one, out=…")
        if self.overwrite and self.resume:
            what = "overwrite and resume were given together; expected one of them (--overwrite, --resume)."
            raise ConfigError(what, remedy="Omit one of them.")

    # -- running -----------------------------------------------------------------------------------------------------

    def run(
        self,
        *,
        callbacks: Sequence[Callback] = (),
        progress: Callable[[Progress], None] | None = None,
        cancel: Callable[[], bool] | Any = None,
    ) -> FitResult:
        """Read the inputs that are in files, fit, and write the result into `out` if it is given.

        Parameters
        ----------
        callbacks : sequence of callable
            Called with a :class:`Progress` after every shape step, as the standard errors are begun, and as the files
            are, in the process that runs the job.
        progress : callable, optional
            A further callback.
        cancel : callable or event, optional
            Asked whenever callbacks are called: a callable that returns True, or an event that is set
            (``threading.Event``, or a manager's ``Event()`` for other processes), ends the fit as Ctrl-C does. No
            result is written then; the checkpoint in `out` stays, and the same job with ``resume=True`` continues from
            it.

        Returns
        -------
        FitResult
            The result; :func:`cytoform.load_result` reads it again from its folder, without the measured image.

        Raises
        ------
        OutputError
            If `out` is not empty and neither `resume` nor `overwrite` is set, or there is nothing to resume.
        Interrupted
            On Ctrl-C or `cancel`.
        CytoformError
            Of another kind, as :func:`cytoform.fit` and the readers of images and meshes raise.
        """
        from .running import run_job  # it imports the package

        return run_job(self, [*callbacks, *([] if progress is None else [progress])], cancel)

    def loaded(self) -> FitJob:
        """Return a copy of the job with image, PSF, start and region read from their files and checked.

        It can be pickled to a machine without the files. Its `inputs` keep their paths.

        Returns
        -------
        FitJob
            The copy; this job is unchanged.

        Raises
        ------
        FileFormatError, VolumeError, GridError, MeshError, ConfigError
            If a file is missing or damaged, or region or start do not go with the image.
        """
        from .inputs import read_job_inputs

        return read_job_inputs(self)

    def resolved(self) -> FitJob:
        """Return a copy of the job with all paths made absolute from the working folder of this process.

        Returns
        -------
        FitJob
            The copy; this job is unchanged.
        """
        from .inputs import with_absolute_paths

        return with_absolute_paths(self)

    # -- as plain values ---------------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """Return the job as plain values for a JSON file; :meth:`from_dict` makes the job again.

        Returns
        -------
        dict of str to object
            The fields by name, and "format".

        Raises
        ------
        ConfigError
            If image, region, start or prior are objects and not files, or a value cannot be stored as JSON.
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
        values: dict[str, Any] = json.loads(
            json.dumps(json_value({"format": FORMAT, **self._field_values()}, "the job"))
        )
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FitJob:
        """Make a job from plain values, as :meth:`as_dict` returns them.

        Parameters
        ----------
        values : mapping of str to object
            The fields by name, and "format".

        Returns
        -------
        FitJob
            The job.

        Raises
        ------
        ConfigError
            If the format is another one, a name is unknown, or a value is missing or of another type.
        """
        if isinstance(values, Mapping) and values.get("format") != FORMAT:
            what = f"the job has the format {short_repr(values.get('format'))}; expected {FORMAT!r}."
            raise ConfigError(what, remedy="FitJob.as_dict gives it.")
        given = checked_fields(cls, "the job", values, also="format")
        if "image" in given:
            given["image"] = ImageFile(**checked_fields(ImageFile, "the job's image", given["image"]))
        if given.get("region") is not None:
            given["region"] = Region(**checked_fields(Region, "the job's region", given["region"]))
        given["config"] = FitConfig.from_dict(given.get("config", {}))
        return cls(**given)

    def digest(self) -> str:
        """Return a SHA-256 digest, the same for two jobs of the same image, region, start, PSF, prior and settings.

        Files count by their absolute paths, not by their content; arrays by values, shape and dtype; a prior by its
        qualified name and the arguments of :func:`functools.partial`. `out`, `film`, `resume`, `overwrite`, `inputs`
        and the time between checkpoints do not count. It serves to name folders, and to recognise a job that was run
        before.

        Returns
        -------
        str
            64 hexadecimal digits.
        """
        values = self.resolved()._field_values()
        for name in ("out", "film", "resume", "overwrite", "inputs"):
            del values[name]
        del values["config"]["checkpoint_seconds"]
        return hashlib.sha256(json.dumps(values, default=hashable_value, sort_keys=True).encode()).hexdigest()

    def _field_values(self) -> dict[str, Any]:
        """Return the fields by name as plain values; objects in memory, such as arrays and meshes, stay as they are."""
        psf: Any = self.psf
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


for _part in (FitJob, ImageFile, Region, FitConfig):  # names that options of a PSF must not have
    reserve(name for _setting in settings_of(_part) for name in _setting.names)
