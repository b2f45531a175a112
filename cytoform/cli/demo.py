"""``cytoform demo``: a fit of a simulated noisy image of a dividing cell, and its comparison with the truth."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ..errors import Interrupted, OutputError
from .console import FitProgressBar, echo_table, result_folder

if TYPE_CHECKING:
    from ..fitting import FitResult
    from ..imaging import Sample
    from ..mesh.surface import SurfaceMesh
    from ..optics import GaussianPSF

__all__ = ["Comparison", "compare", "demo", "demo_sample", "initial_psf"]

MIN_IOU = 0.95
MAX_WIDTH_ERROR = 0.05
_SHAPE, _SPACING = (48, 96, 96), (0.3, 0.15, 0.15)
_SIGMA = (0.5, 0.25, 0.25)  # µm; twice as wide along z
_WRONG_BY = 1.4  # σ of the PSF that the fit starts from, relative to the true σ
_OVERLAP_SPACING = 0.08  # µm, voxel size of the grid on which the overlap is measured


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Agreement of a fit with the truth.

    Parameters
    ----------
    iou : float
        Intersection over union of the two bodies, 0 to 1.
    distance : float
        Mean distance of the two surfaces, µm.
    width_errors : (3,) float
        Relative errors of the fitted σ of the PSF along (z, y, x).
    """

    iou: float
    distance: float
    width_errors: tuple[float, float, float]

    @property
    def good(self) -> bool:
        """Whether the overlap is at least ``MIN_IOU`` and no width is wrong by more than ``MAX_WIDTH_ERROR``."""
        return self.iou >= MIN_IOU and max(abs(e) for e in self.width_errors) <= MAX_WIDTH_ERROR

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of a table: names, and values with the limits of a good fit."""
        errors = ", ".join(f"{100 * e:+.1f} %" for e in self.width_errors)
        return [
            ("overlap (IoU)", f"{self.iou:.4f}  (expected: at least {MIN_IOU:g})"),
            ("mean distance", f"{1000 * self.distance:.0f} nm"),
            ("PSF width errors", f"{errors} (z, y, x)  (expected: at most {100 * MAX_WIDTH_ERROR:g} %)"),
        ]


def demo_sample(seed: int = 0, *, photons: float = 60.0) -> Sample:
    """Simulate a noisy image of a dividing cell, 48 × 96 × 96 voxels of 0.3 × 0.15 × 0.15 µm.

    Parameters
    ----------
    seed : int
        Seed of the cell's bumps and of the camera's noise.
    photons : float
        Mean number of photons in the brightest voxel.

    Returns
    -------
    Sample
        The image with the true surface (two lobes and a neck) and the true Gaussian PSF, in µm.
    """
    from ..image.volume import Grid
    from ..imaging import CameraNoise, make_sample
    from ..mesh.shapes import dividing_cell
    from ..optics import GaussianPSF

    grid = Grid(_SHAPE, _SPACING)
    truth = dividing_cell(9.5, 2.6, 1.5, grid.centre, axis=(0.35, 0.6, 0.75), edge=0.3, bumps=0.04, seed=seed)
    psf = GaussianPSF.from_sigma(_SIGMA)
    return make_sample(truth, psf, grid, noise=CameraNoise(photons), seed=seed, name="demo")


def initial_psf(sample: Sample) -> GaussianPSF:
    """Return the PSF that the fit starts from: the true Gaussian, 40 % too wide."""
    from ..optics import GaussianPSF

    return GaussianPSF.from_sigma(_WRONG_BY * cast("GaussianPSF", sample.psf).sigma)


def compare(mesh: SurfaceMesh, psf: GaussianPSF, sample: Sample) -> Comparison:
    """Compare a fitted surface and PSF with the truth of a simulated sample."""
    from ..metrics import mesh_iou, surface_distances

    errors = psf.sigma / cast("GaussianPSF", sample.psf).sigma - 1.0
    return Comparison(
        iou=mesh_iou(mesh, sample.truth, _OVERLAP_SPACING),
        distance=surface_distances(mesh, sample.truth, n_points=5000).mean,
        width_errors=(float(errors[0]), float(errors[1]), float(errors[2])),
    )


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Result folder.")] = Path("demo"),
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Seed of the simulation; another seed makes another cell.")
    ] = 0,
    device: Annotated[str, typer.Option(metavar="NAME", help="Processor to compute on: auto, cpu or cuda.")] = "auto",
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the report in the web browser.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress bar.")] = False,
) -> None:
    """Fit a simulated image of a cell and compare it with the truth.

    The image is noisy. The fit starts from a sphere and from a point spread function (PSF) that is 40 % too wide. It
    takes a minute or two on a laptop. The exit code is 1 if the overlap with the true cell is below 0.95 or a width of
    the PSF is wrong by more than 5 %.

    Example:
    cytoform demo --open
    """
    from ..devices import resolve_device

    resolve_device(device)
    _check_replaceable(out)
    with result_folder(out):
        sample = demo_sample(seed)
        _write_sample(sample, out)
        typer.echo(f"Made {out / 'image.tif'} with {out / 'truth.ply'} in it; fitting it from a sphere …")
        result = _fit(sample, out, seed, device, quiet)
    found = compare(cast("SurfaceMesh", result.mesh), cast("GaussianPSF", result.psf), sample)
    echo_table(result.table(brief=True))
    typer.echo("Compared with the truth:")
    echo_table(found.rows())
    typer.echo(f"The report is {out / 'report.html'}")
    if show:
        typer.launch(str((out / "report.html").resolve()))
    if not found.good:
        typer.echo("The fit is worse than expected: please report this, with fit.json from the folder.", err=True)
        raise typer.Exit(1)


def _check_replaceable(folder: Path) -> None:
    """Raise OutputError if a folder holds files, unless an earlier demo wrote them."""
    earlier = (folder / "image.tif").is_file() and (folder / "truth.ply").is_file()
    if folder.is_dir() and any(folder.iterdir()) and not earlier:
        raise OutputError(
            f"the folder {folder} exists and holds something else than an earlier demo.",
            remedy="Choose another one with --out.",
        )


def _write_sample(sample: Sample, folder: Path) -> None:
    """Write the sample's image as image.tif and its true surface as truth.ply into a folder."""
    from ..image.io import write_volume
    from ..mesh.io import write_mesh

    write_volume(folder / "image.tif", sample.image)
    write_mesh(folder / "truth.ply", sample.truth)


def _fit(sample: Sample, folder: Path, seed: int, device: str, quiet: bool) -> FitResult:
    """Fit the sample's image from a sphere and a PSF that is too wide, and write the result into `folder`."""
    from ..fitting import FitConfig
    from ..fitting import fit as run_fit
    from ..fitting.running import ResultWriter

    config: Any = FitConfig(init="sphere", seed=seed, device=device)
    with FitProgressBar(quiet=quiet) as bar:
        writer = ResultWriter(folder, sample.image, (bar,))
        try:
            result = run_fit(sample.image, None, initial_psf(sample), config, callbacks=(writer,), out=folder)
            writer.write(result, truth=sample.truth)
        except Interrupted:  # a demo has no --resume
            raise Interrupted("interrupted; the same command begins anew.") from None
        return result
