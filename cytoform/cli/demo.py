"""``cytoform demo``: a noisy image of a dividing cell made here, fitted, and compared with the truth."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OutputError
from .console import ProgressBar, echo_table, result_folder

if TYPE_CHECKING:
    from ..fitting import FitResult
    from ..imaging import Sample
    from ..mesh.surface import SurfaceMesh
    from ..optics import GaussianPSF

__all__ = ["Comparison", "compare", "demo", "demo_sample", "first_psf"]

LEAST_IOU = 0.95
MOST_WIDTH_ERROR = 0.05
_SHAPE, _SPACING = (48, 96, 96), (0.3, 0.15, 0.15)
_SIGMA = (0.5, 0.25, 0.25)  # µm; twice as wide along z
_WRONG_BY = 1.4  # the PSF that the fit starts from is so much wider
_FINE = 0.08  # µm, of the grid for the overlap


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How a fit agrees with the truth.

    Attributes
    ----------
    iou : float
        Intersection over union of the bodies on a fine grid.
    distance : float
        Mean distance of the surfaces, µm.
    width_errors : (3,) float
        Relative errors of the PSF's σ along (z, y, x).
    """

    iou: float
    distance: float
    width_errors: tuple[float, float, float]

    @property
    def good(self) -> bool:
        """Whether overlap and all three widths are within the bars."""
        return self.iou >= LEAST_IOU and max(abs(e) for e in self.width_errors) <= MOST_WIDTH_ERROR

    def rows(self) -> list[tuple[str, str]]:
        """For a table: names, and values with the bars."""
        errors = ", ".join(f"{100 * e:+.1f} %" for e in self.width_errors)
        return [
            ("overlap (IoU)", f"{self.iou:.4f}  (bar: at least {LEAST_IOU:g})"),
            ("mean distance", f"{1000 * self.distance:.0f} nm"),
            ("PSF width errors", f"{errors} (z, y, x)  (bar: {100 * MOST_WIDTH_ERROR:g} %)"),
        ]


def demo_sample(seed: int = 0, *, photons: float = 60.0) -> Sample:
    """A cell with two lobes and a neck, blurred and noisy, on 48 × 96 × 96 voxels of 0.3 × 0.15 × 0.15 µm.

    Parameters
    ----------
    seed : int
        Of the cell's bumps and the camera's noise.
    photons : float
        In the brightest voxel.
    """
    from ..image.volume import Grid
    from ..imaging import CameraNoise, make_sample
    from ..mesh.shapes import dividing_cell
    from ..optics import GaussianPSF

    grid = Grid(_SHAPE, _SPACING)
    truth = dividing_cell(9.5, 2.6, 1.5, grid.centre, axis=(0.35, 0.6, 0.75), edge=0.3, bumps=0.04, seed=seed)
    psf = GaussianPSF.from_sigma(_SIGMA)
    return make_sample(truth, psf, grid, noise=CameraNoise(photons), seed=seed, name="demo")


def first_psf(sample: Sample) -> GaussianPSF:
    """The PSF that the fit starts from: 40 % too wide."""
    from ..optics import GaussianPSF

    return GaussianPSF.from_sigma(_WRONG_BY * sample.psf.sigma)


def compare(mesh: SurfaceMesh, psf: GaussianPSF, sample: Sample) -> Comparison:
    """A fitted surface and PSF against the truth."""
    from ..metrics import mesh_iou, surface_distances

    errors = psf.sigma / sample.psf.sigma - 1.0
    return Comparison(
        iou=mesh_iou(mesh, sample.truth, _FINE),
        distance=surface_distances(mesh, sample.truth, n_points=5000).mean,
        width_errors=(float(errors[0]), float(errors[1]), float(errors[2])),
    )


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where to put it.")] = Path("demo"),
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Another seed makes another cell.")] = 0,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")] = "auto",
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the report in the browser.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Fit a made-up noisy cell and compare it with the truth.

    The fit starts from a sphere and from a PSF that is 40 % too wide. Takes a minute or two on a laptop. Exit code 1
    if the fit misses the bars.

    Example:
    cytoform demo --open
    """
    from ..devices import resolve_device

    resolve_device(device)
    _check_own(out)
    with result_folder(out):
        sample = demo_sample(seed)
        _write_sample(sample, out)
        typer.echo(f"Made {out / 'image.tif'} with {out / 'truth.ply'} in it; fitting it from a sphere …")
        result = _fit(sample, out, seed, device, quiet)
        result.save(out, truth=sample.truth)
    found = compare(result.mesh, result.psf, sample)
    echo_table(result.table(brief=True))
    typer.echo("Against the truth:")
    echo_table(found.rows())
    typer.echo(f"Look at {out / 'report.html'}")
    if show:
        typer.launch(str((out / "report.html").resolve()))
    if not found.good:
        typer.echo("The fit misses the bars: please report this, with fit.json from the folder.", err=True)
        raise typer.Exit(1)


def _check_own(folder: Path) -> None:
    """An earlier demo may be replaced, anything else not."""
    ours = (folder / "image.tif").is_file() and (folder / "truth.ply").is_file()
    if folder.is_dir() and any(folder.iterdir()) and not ours:
        raise OutputError(
            f"the folder {folder} exists and holds something else than an earlier demo.",
            remedy="Choose another one with --out.",
        )


def _write_sample(sample: Sample, folder: Path) -> None:
    from ..image.io import write_volume
    from ..mesh.io import write_mesh

    write_volume(folder / "image.tif", sample.image)
    write_mesh(folder / "truth.ply", sample.truth)


def _fit(sample: Sample, folder: Path, seed: int, device: str, quiet: bool) -> FitResult:
    from ..fitting import FitConfig
    from ..fitting import fit as run_fit

    config: Any = FitConfig(init="sphere", seed=seed, device=device)
    with ProgressBar(quiet=quiet) as bar:
        return run_fit(sample.image, None, first_psf(sample), config, callbacks=(bar,), out=folder)
