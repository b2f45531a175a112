"""``cytoform fit``: the surface of a cell in an image."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from .console import ProgressBar, check_free, echo_table, result_folder
from .inputs import Axes, Series, Triple, plain_stem
from .optics import (
    Aperture,
    Blur,
    Depth,
    Excitation,
    Immersion,
    Kind,
    Modality,
    Optics,
    PsfChannel,
    PsfSpacing,
    SampleIndex,
    Sheet,
    Wavelength,
    Zernike,
)

if TYPE_CHECKING:
    from ..fitting import FitResult

__all__ = ["fit", "summary_rows"]


def fit(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A TIFF or OME-TIFF file, or an OME-Zarr folder.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Result folder; by default NAME_cytoform in this folder."),
    ] = None,
    spacing: Annotated[
        Triple | None, typer.Option("--spacing", metavar="Z Y X", help="Voxel size in µm; by default the file's own.")
    ] = None,
    channel: Annotated[int | None, typer.Option(metavar="N", help="Which channel, from 0.")] = None,
    time: Annotated[int | None, typer.Option(metavar="N", help="Which time point, from 0.")] = None,
    series: Series = None,
    axes: Axes = None,
    init: Annotated[str, typer.Option(metavar="START", help="Start: auto, sphere, ellipsoid or a mesh file.")] = "auto",
    roi: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A mask of the voxels that count, or a label image with --roi-label."),
    ] = None,
    roi_label: Annotated[
        int | None,
        typer.Option(metavar="N", help="Which cell of the label image --roi: start and voxels that count follow."),
    ] = None,
    roi_time: Annotated[
        int | None, typer.Option(metavar="N", help="Which time point of --roi; by default that of --time.")
    ] = None,
    roi_channel: Annotated[int | None, typer.Option(metavar="N", help="Which channel of --roi, from 0.")] = None,
    roi_series: Annotated[
        int | None, typer.Option(metavar="N", help="Which image of --roi, where its file has several, from 0.")
    ] = None,
    psf: Kind = None,
    psf_sigma: Annotated[
        Triple | None,
        typer.Option("--psf-sigma", metavar="Z Y X", help="σ of a Gaussian PSF in µm to start from; or guessed."),
    ] = None,
    na: Aperture = None,
    wavelength: Wavelength = None,
    immersion_index: Immersion = None,
    sample_index: SampleIndex = None,
    depth: Depth = None,
    modality: Modality = None,
    excitation: Excitation = None,
    sheet_fwhm: Sheet = None,
    zernike: Zernike = None,
    psf_blur: Blur = None,
    psf_spacing: PsfSpacing = None,
    psf_channel: PsfChannel = None,
    fixed_psf: Annotated[bool, typer.Option("--fixed-psf", help="Keep the given PSF as it is.")] = False,
    edge: Annotated[
        float | None, typer.Option(metavar="µm", help="Mean edge length of the mesh; two voxels by default.")
    ] = None,
    iterations: Annotated[int | None, typer.Option(metavar="N", help="Most steps of the shape.")] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of whatever is drawn at random.")] = 0,
    deterministic: Annotated[bool, typer.Option("--deterministic", help="Bit-identical runs, slower.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted fit in the folder.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Use the folder though it is not empty.")] = False,
    film: Annotated[bool, typer.Option("--film", help="Also write film.gif, the surface step by step.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
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
    from ..fitting.inputs import load_image, load_region, load_start

    folder = Path(f"{plain_stem(image)}_cytoform") if out is None else out
    if overwrite and resume:
        raise ConfigError("--overwrite and --resume came together; expected one of them.", remedy="Leave one away.")
    optics = Optics(psf, {
        "--psf-sigma": psf_sigma, "--na": na, "--wavelength": wavelength, "--immersion-index": immersion_index,
        "--sample-index": sample_index, "--depth": depth, "--modality": modality, "--excitation": excitation,
        "--sheet-fwhm": sheet_fwhm, "--zernike": zernike, "--psf-blur": psf_blur, "--psf-spacing": psf_spacing,
        "--psf-channel": psf_channel,
    })  # fmt: skip
    if fixed_psf and not optics.known:
        raise ConfigError(
            "--fixed-psf came without a PSF.",
            remedy="Pass its σ in µm with --psf-sigma Z Y X, or another PSF with --psf.",
        )
    if roi_label is not None and roi is None:
        raise ConfigError("--roi-label came without a label image.", remedy="Pass one with --roi FILE.")
    check_free(folder, overwrite=overwrite, resume=resume)
    config = _config(init, edge, iterations, not fixed_psf, device, seed, deterministic)
    volume = load_image(image, spacing, channel, time, series=series, axes=axes)
    given: dict[str, Any] = {"psf": optics.psf(volume.spacing), "mesh": load_start(init, volume)}
    if roi is not None:
        at = {"time": roi_time, "image_time": time, "channel": roi_channel, "series": roi_series}
        region = load_region(roi, roi_label, volume, **at, axes=axes)
        given |= {"roi": region} if roi_label is None else {"labels": region, "label": roi_label}
    given["inputs"] = _sources(init, optics)
    with result_folder(folder):
        result = _run(volume, given, config, folder, resume, quiet, film)
        result.save(folder)
    _tell(result, folder, region.remarks if roi is not None else ())


def _sources(init: str, optics: Optics) -> dict[str, Any]:
    """What ``fit.json`` keeps of the command: its words, and the files that it names."""
    from ..fitting.inputs import STARTS

    words: dict[str, Any] = {"command": shlex.join(["cytoform", *sys.argv[1:]])}
    if init not in STARTS:
        words["start"] = {"path": str(Path(init).resolve())}
    if optics.kind is not None:
        words["psf"] = {"path": str(Path(optics.kind).resolve())} if optics.family == "file" else {"name": optics.kind}
    return words


def _config(
    init: str, edge: float | None, iterations: int | None, infer_psf: bool, device: str, seed: int, deterministic: bool
) -> Any:
    from ..devices import resolve_device
    from ..fitting import FitConfig
    from ..fitting.inputs import STARTS

    resolve_device(device)
    given: dict[str, Any] = {"edge": edge, "iterations": iterations}
    given = {name: value for name, value in given.items() if value is not None}
    start = init if init in STARTS else "auto"
    return FitConfig(init=start, infer_psf=infer_psf, device=device, seed=seed, deterministic=deterministic, **given)


def _run(
    volume: Any, given: dict[str, Any], config: Any, folder: Path, resume: bool, quiet: bool, film: bool
) -> FitResult:
    from ..fitting import Film
    from ..fitting import fit as run_fit

    kept = Film()
    with ProgressBar(quiet=quiet) as bar:
        shown = (bar, kept) if film else (bar,)
        result = run_fit(volume, config=config, callbacks=shown, out=folder, resume=resume, **given)
    if kept.frames:
        kept.save(folder / "film.gif", volume)
    return result


def summary_rows(result: FitResult) -> list[tuple[str, str]]:
    """The numbers worth a line in a terminal."""
    rows = [
        ("volume", f"{result.words('volume_um3', 4)} µm³"),
        ("area", f"{result.words('area_um2', 4)} µm²"),
        ("sphericity", result.words("sphericity", 3)),
        ("R²", f"{result.r2:.3f}"),
    ]
    if hasattr(result.psf, "fwhm"):
        rows.append(("PSF FWHM", ", ".join(f"{w:.3f}" for w in result.psf.fwhm) + " µm (z, y, x)"))
    rows.append(("time", f"{result.seconds:.0f} s, {result.iterations} steps; {result.stop_reason}"))
    return rows


def _tell(result: FitResult, folder: Path, told: tuple[str, ...]) -> None:
    """The warnings that reading image and region did not give already, and the numbers."""
    told = (*told, *(result.image.remarks if result.image is not None else ()))
    for warning in result.warnings():  # first: a reader such as head may hang up before the last line
        if warning not in told:
            typer.echo(f"Warning: {warning}", err=True)
    echo_table(summary_rows(result))
    typer.echo(f"Look at {folder / 'report.html'}")
