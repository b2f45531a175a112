"""``cytoform fit``: the surface of a cell, points of light or filaments in an image."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .console import FitProgressBar, echo_table, result_folder
from .generated import parameters, values_by_field, with_options
from .inputs import plain_stem
from .optics import psf_from_arguments, psf_options

if TYPE_CHECKING:
    from ..fitting import FitJob, FitResult
    from ..options import Setting

__all__ = ["fit", "fit_options"]

NOT_GOOD = 3  # exit status of --strict for a verdict other than good


def fit_options() -> list[Setting]:
    """Return all options of a fit, in the order in which its help lists them."""
    from ..fitting import FitConfig, FitJob, ImageFile, Region
    from ..options import settings_of

    job = {setting.field: setting for setting in settings_of(FitJob)}
    path, *image = settings_of(ImageFile)
    config = sorted(
        settings_of(FitConfig), key=lambda setting: not setting.option.off
    )  # --fixed-psf first, next to the options of the PSF
    first = [path, job.pop("out"), *image, job.pop("start"), *settings_of(Region), *psf_options(), *config]
    return [*first, *job.values()]


def _command_parameters() -> list[Any]:
    """Return the command's parameters; only the image is required, since the options of a PSF depend on --psf."""
    path, *others = fit_options()
    return [*parameters([path]), *parameters(others, needed=False)]


@with_options(_command_parameters)
def fit(
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="What is fitted: surface, points or filaments.")
    ] = "surface",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress bar.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 3 unless the verdict is good; all files are written.")
    ] = False,
    **arguments: Any,
) -> None:
    """Fit a closed surface to the cell in a 3D image, or points of light or filaments.

    The surface is moved until its rendered image matches the measured one. The result
    folder holds the surface in µm (mesh.ply), its inside (mask.tif), its computed image (rendered.tif), volume, area
    and other numbers (fit.json), the course of the fit (history.csv) and a report to judge it by (report.html). The
    verdict says whether the surface is good, has to be checked, or failed, and why; --strict makes it the exit status.
    Ctrl-C saves the state of the fit; the same command with --resume continues it.

    With --kind points (single molecules, vesicles, beads) the folder holds points.csv and points.vtp, with
    --kind filaments filaments.swc, filaments.vtp and branches.csv, besides rendered.tif, fit.json and report.html. Of
    the options below those of the image, the PSF, --fixed-psf, --out and --overwrite are used then.

    Examples:
    cytoform fit cell.tif
    cytoform fit embryo.ome.tif --channel 1 --time 0 --roi labels.tif --roi-label 7
    cytoform fit stack.tif --spacing 0.3 0.1 0.1 --init ellipsoid --out run
    cytoform fit cell.tif --psf pupil --na 1.1 --wavelength 0.52 --immersion-index 1.33 --modality confocal
    cytoform fit cell.tif --psf bead.tif
    cytoform fit molecules.tif --kind points --psf-sigma 0.3 0.12 0.12 --fixed-psf
    """
    from .sources import KINDS, fit_sources

    if kind != "surface":
        if kind not in KINDS:
            raise ConfigError(f"--kind is {kind!r}; expected surface, {' or '.join(KINDS)}.")
        fit_sources(kind, arguments, fit_options(), strict=strict)
        return
    from ..fitting.saving import check_output_folder

    folder = arguments["out"] or Path(f"{plain_stem(arguments['image'])}_cytoform")
    job = _job_from_arguments({**arguments, "out": folder})
    check_output_folder(folder, overwrite=job.overwrite, resume=job.resume)
    job = job.loaded()
    with result_folder(folder), FitProgressBar(quiet=quiet) as bar:
        result = job.run(progress=bar)
    _print_result(result, folder, getattr(job.region.source, "remarks", ()) if job.region is not None else ())
    if strict and result.quality != "good":
        raise typer.Exit(NOT_GOOD)


def _job_from_arguments(arguments: dict[str, Any]) -> FitJob:
    """Return the fit that the values of the command's parameters describe.

    Raises
    ------
    ConfigError
        For --fixed-psf without a PSF, --roi-label without --roi, a device that is not there, and values out of range.
    """
    from ..devices import resolve_device
    from ..fitting import FitConfig, FitJob, ImageFile, Region
    from ..options import settings_of

    psf = psf_from_arguments(arguments)
    if arguments["fixed_psf"] and not psf.known:
        raise ConfigError(
            "--fixed-psf was given without a PSF.",
            remedy="Pass its σ in µm with --psf-sigma Z Y X, or another PSF with --psf.",
        )
    if arguments["roi_label"] is not None and arguments["roi"] is None:
        raise ConfigError("--roi-label was given without a label image.", remedy="Pass one with --roi FILE.")
    resolve_device(arguments["device"])
    return FitJob(
        image=ImageFile(**values_by_field(settings_of(ImageFile), arguments)),
        region=None if arguments["roi"] is None else Region(**values_by_field(settings_of(Region), arguments)),
        psf=None if arguments["psf"] is None and not psf.known else psf,
        config=FitConfig(**values_by_field(settings_of(FitConfig), arguments)),
        inputs={"command": shlex.join(["cytoform", *sys.argv[1:]])},
        **values_by_field(settings_of(FitJob), arguments),
    )


def _print_result(result: FitResult, folder: Path, shown: tuple[str, ...]) -> None:
    """Print the fit's warnings on stderr, its numbers, the reasons of its verdict, and the path of its report.

    Warnings in `shown` and those that reading the image has given were printed before, and are left out.
    """
    shown = (*shown, *(result.image.remarks if result.image is not None else ()))
    for warning in result.warnings():  # first: a reader such as head may hang up before the last line
        if warning not in shown:
            typer.echo(f"Warning: {warning}", err=True)
    echo_table(result.table(brief=True))
    for reason in result.reasons:
        typer.echo(f"  - {reason}")
    typer.echo(f"The report is {folder / 'report.html'}")
