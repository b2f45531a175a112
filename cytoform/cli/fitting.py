"""``cytoform fit``: the surface of a cell in an image."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .console import ProgressBar, echo_table, result_folder
from .generated import given, parameters, with_options
from .inputs import plain_stem
from .optics import chosen_psf, psf_options

if TYPE_CHECKING:
    from ..fitting import FitJob, FitResult
    from ..options import Setting

__all__ = ["fit", "fit_options"]


def fit_options() -> list[Setting]:
    """All options of a job, in the order in which they are shown."""
    from ..fitting import FitConfig, FitJob, ImageFile, Region
    from ..options import settings_of

    job = {setting.field: setting for setting in settings_of(FitJob)}
    path, *image = settings_of(ImageFile)
    config = sorted(settings_of(FitConfig), key=lambda setting: not setting.option.off)  # next to the PSF's own
    first = [path, job.pop("out"), *image, job.pop("start"), *settings_of(Region), *psf_options(), *config]
    return [*first, *job.values()]


def _parameters() -> list[Any]:
    """The command's parameters: the image is needed, of the others some with others only."""
    path, *others = fit_options()
    return [*parameters([path]), *parameters(others, needed=False)]


@with_options(_parameters)
def fit(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
    **said: Any,
) -> None:
    """Find the surface of the cell in an image.

    It comes in micrometres, with a report to judge it by. The result folder holds mesh.ply, mask.tif, rendered.tif,
    fit.json, history.csv and report.html. Ctrl-C saves; the same command with --resume goes on.

    Examples:
    cytoform fit cell.tif
    cytoform fit embryo.ome.tif --channel 1 --time 0 --roi labels.tif --roi-label 7
    cytoform fit stack.tif --spacing 0.3 0.1 0.1 --init ellipsoid --out run
    cytoform fit cell.tif --psf pupil --na 1.1 --wavelength 0.52 --immersion-index 1.33 --modality confocal
    cytoform fit cell.tif --psf bead.tif
    """
    from ..fitting.saving import check_output_folder

    folder = said["out"] or Path(f"{plain_stem(said['image'])}_cytoform")
    job = _job({**said, "out": folder})
    check_output_folder(folder, overwrite=job.overwrite, resume=job.resume)
    job = job.loaded()
    with result_folder(folder), ProgressBar(quiet=quiet) as bar:
        result = job.run(progress=bar)
    _tell(result, folder, getattr(job.region.source, "remarks", ()) if job.region is not None else ())


def _job(said: dict[str, Any]) -> FitJob:
    """The job that was typed."""
    from ..devices import resolve_device
    from ..fitting import FitConfig, FitJob, ImageFile, Region
    from ..options import settings_of

    psf = chosen_psf(said)
    if said["fixed_psf"] and not psf.known:
        raise ConfigError(
            "--fixed-psf came without a PSF.",
            remedy="Pass its σ in µm with --psf-sigma Z Y X, or another PSF with --psf.",
        )
    if said["roi_label"] is not None and said["roi"] is None:
        raise ConfigError("--roi-label came without a label image.", remedy="Pass one with --roi FILE.")
    resolve_device(said["device"])
    return FitJob(
        image=ImageFile(**given(settings_of(ImageFile), said)),
        region=None if said["roi"] is None else Region(**given(settings_of(Region), said)),
        psf=None if said["psf"] is None and not psf.known else psf,
        config=FitConfig(**given(settings_of(FitConfig), said)),
        inputs={"command": shlex.join(["cytoform", *sys.argv[1:]])},
        **given(settings_of(FitJob), said),
    )


def _tell(result: FitResult, folder: Path, told: tuple[str, ...]) -> None:
    """The warnings that reading image and region did not give already, and the numbers."""
    told = (*told, *(result.image.remarks if result.image is not None else ()))
    for warning in result.warnings():  # first: a reader such as head may hang up before the last line
        if warning not in told:
            typer.echo(f"Warning: {warning}", err=True)
    echo_table(result.table(brief=True))
    typer.echo(f"Look at {folder / 'report.html'}")
