"""``cytoform fit --kind points`` and ``--kind filaments``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import ConfigError
from .console import echo_table, result_folder
from .generated import values_by_field
from .inputs import plain_stem
from .optics import psf_from_arguments, psf_options

if TYPE_CHECKING:
    from ..fitting import FilamentsResult, PointsResult
    from ..options import Setting

__all__ = ["KINDS", "fit_sources"]

KINDS = ("points", "filaments")
_USED = {"image", "spacing", "channel", "time", "series", "axes", "out", "overwrite", "fixed_psf"}


def fit_sources(kind: str, arguments: dict[str, Any], options: Sequence[Setting], *, strict: bool) -> None:
    """Fit points or filaments to the image of a command line, and write the result folder.

    Parameters
    ----------
    kind : "points" or "filaments"
        What is fitted.
    arguments : dict of str to object
        Values of the command's parameters.
    options : sequence of Setting
        All options of the command, of which those for surfaces are refused.
    strict : bool
        Whether --strict was given, which is refused: there is no verdict.

    Raises
    ------
    ConfigError
        For an option that only a fit of a surface has, or --fixed-psf without a PSF.
    """
    from ..fitting import FilamentsConfig, FitJob, ImageFile, PointsConfig, fit_filaments, fit_points
    from ..fitting.saving import check_output_folder
    from ..image.volume import Volume
    from ..optics import PSFOptions
    from ..options import settings_of

    _check_options(kind, arguments, options, strict)
    folder = arguments["out"] or Path(f"{plain_stem(arguments['image'])}_cytoform")
    psf = psf_from_arguments(arguments)
    if arguments["fixed_psf"] and not psf.known:
        raise ConfigError("--fixed-psf was given without a PSF.", remedy="Pass one with --psf-sigma Z Y X or --psf.")
    check_output_folder(folder, overwrite=arguments["overwrite"], resume=False)
    image = ImageFile(**values_by_field(settings_of(ImageFile), arguments))
    job = FitJob(image, psf=None if arguments["psf"] is None and not psf.known else psf).loaded()
    assert isinstance(job.image, Volume) and not isinstance(job.psf, PSFOptions)  # they have been read
    infer = False if arguments["fixed_psf"] else None
    result: PointsResult | FilamentsResult
    with result_folder(folder):
        if kind == "points":
            result = fit_points(job.image, psf=job.psf, config=PointsConfig(infer_psf=infer))
        else:
            result = fit_filaments(job.image, psf=job.psf, config=FilamentsConfig(infer_psf=infer))
        result.save(folder)
    _print_result(result, folder)


def _check_options(kind: str, arguments: dict[str, Any], options: Sequence[Setting], strict: bool) -> None:
    """Raise ConfigError if an option was given that only a fit of a surface has."""
    used = _USED | {setting.key for setting in psf_options()}
    for setting in options:
        default = False if setting.option.off else setting.default
        value = arguments.get(setting.key)
        if setting.key not in used and value is not None and value != default:
            raise ConfigError(f"{setting.flag} was given with --kind {kind}; it is for surfaces.", remedy="Omit it.")
    if strict:
        raise ConfigError(f"--strict was given with --kind {kind}; only surfaces have a verdict.", remedy="Omit it.")


def _print_result(result: PointsResult | FilamentsResult, folder: Path) -> None:
    """Print warnings on stderr, then the numbers and the path of the report."""
    for warning in result.warnings():
        if warning not in result.image.remarks:
            typer.echo(f"Warning: {warning}", err=True)
    found = result.summary()
    names = {
        "points": "points",
        "flagged": "with a flag",
        "branches": "branches",
        "length_um": "length, µm",
        "r2": "R²",
    }
    rows = [(title, _text(found[name])) for name, title in names.items() if name in found]
    rows.append(("PSF FWHM (z, y, x), µm", ", ".join(f"{width:.3f}" for width in result.psf.fwhm)))
    echo_table(rows)
    typer.echo(f"The report is {folder / 'report.html'}")


def _text(value: Any) -> str:
    """Return a number as text with four significant digits; None becomes a dash."""
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
