"""``cytoform render``: the image of a surface through a microscope, as computed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError, OutputError
from .generated import parameters, with_options
from .inputs import Axes, Series, Triple
from .optics import psf_from_arguments, psf_options

if TYPE_CHECKING:
    from ..image.volume import Grid, Volume
    from ..mesh.surface import SurfaceMesh
    from ..optics import PSF, PSFOptions

_LOG = logging.getLogger(__name__)
MAX_VOXELS = 2**31  # 8 GB of float32

__all__ = ["render"]


@with_options(lambda: parameters(psf_options(), needed=False), after="out")
def render(
    mesh: Annotated[
        Path,
        typer.Argument(metavar="MESH", help="A mesh file (.ply, .obj, .stl or .vtp) with (x, y, z) coordinates in µm."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The TIFF file to write.")],
    spacing: Annotated[
        Triple | None,
        typer.Option("--spacing", metavar="Z Y X", help="Voxel size in µm along z, y and x; required without --like."),
    ] = None,
    shape: Annotated[
        tuple[int, int, int] | None,
        typer.Option(
            "--shape",
            metavar="Z Y X",
            help="Number of voxels along z, y and x; by default those of a box around the mesh.",
        ),
    ] = None,
    origin: Annotated[
        Triple | None,
        typer.Option(
            "--origin",
            metavar="Z Y X",
            help="Coordinates in µm of the first voxel's centre; by default 0 with --shape, else the box's corner.",
        ),
    ] = None,
    like: Annotated[
        Path | None, typer.Option("--like", metavar="IMAGE", help="Image whose voxel size, shape and origin are used.")
    ] = None,
    series: Series = None,
    axes: Axes = None,
    noise: Annotated[
        bool, typer.Option("--noise", help="Add the noise of a camera: photon noise and read-out noise.")
    ] = False,
    photons: Annotated[
        float, typer.Option(metavar="X", help="Mean number of photons in the brightest voxel, with --noise.")
    ] = 100.0,
    background: Annotated[
        float, typer.Option(metavar="X", help="Offset of the camera in grey values, with --noise.")
    ] = 100.0,
    read_noise: Annotated[
        float, typer.Option(metavar="X", help="Standard deviation of the read-out noise in grey values, with --noise.")
    ] = 2.0,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the noise.")] = 0,
    device: Annotated[str, typer.Option(metavar="NAME", help="Processor to compute on: auto, cpu or cuda.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output file if it exists.")] = False,
    **arguments: Any,
) -> None:
    """Compute the 3D fluorescence image of a stained surface.

    The surface is blurred by a point spread function (PSF): a Gaussian of the widths --psf-sigma, or another one with
    --psf. The image covers a box around the mesh unless --shape or --like is given. The TIFF file holds its voxel size.

    Examples:
    cytoform render cell.ply --spacing 0.3 0.1 0.1 --psf-sigma 0.5 0.2 0.2 --out cell.tif
    cytoform render run/mesh.ply --like embryo.tif --psf-sigma 0.5 0.2 0.2 --out model.tif
    cytoform render cell.ply --like embryo.tif --psf pupil --na 1.1 --wavelength 0.52 --immersion-index 1.33 --out i.tif
    """
    from ..devices import resolve_device
    from ..fitting.inputs import check_inside
    from ..image.io import write_volume
    from ..image.volume import Volume
    from ..imaging import camera_image, render_on
    from ..mesh.io import read_surface

    optics = psf_from_arguments(arguments)
    _check_output_path(out, overwrite)
    resolve_device(device)
    psf, surface = _required_psf(optics), read_surface(mesh)
    grid = _choose_grid(surface, psf, spacing, shape, origin, like, series, axes)
    remedy = "Leave --shape away for a box around the mesh, or set --origin." if shape is not None else None
    check_inside(surface, grid, mesh, remedy=remedy)
    _check_size(surface, grid, mesh)
    image = render_on(surface, psf, grid, device=device).astype("float32")
    if noise:
        image = camera_image(image, photons=photons, background=background, read_noise=read_noise, seed=seed)
    write_volume(out, Volume(image, grid.spacing, grid.origin))
    typer.echo(f"{out}: {' × '.join(str(n) for n in grid.shape)} voxels (z, y, x), {image.dtype}")


def _check_output_path(out: Path, overwrite: bool) -> None:
    """Raise OutputError if the file exists and may not be replaced, ConfigError if its suffix is not that of a TIFF."""
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists.", remedy="Choose another name with --out, or pass --overwrite.")
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise ConfigError(f"--out is {out}; a TIFF is written.", remedy="Give a name that ends in .tif or .ome.tif.")


def _required_psf(optics: PSFOptions) -> PSF:
    """Return the PSF; raise ConfigError where the options do not determine one, as a Gaussian without widths."""
    psf = optics.psf()
    if psf is None:
        raise ConfigError(
            "no PSF was given; expected one to render through.",
            remedy="Pass the σ of a Gaussian in µm, --psf-sigma Z Y X, or another PSF with --psf.",
        )
    return psf


def _check_size(mesh: SurfaceMesh, grid: Grid, path: Path) -> None:
    """Raise ConfigError for an image of more than ``MAX_VOXELS``; log a warning for a surface smaller than a voxel.

    Both mean most likely that the mesh's coordinates are not in µm.
    """
    import numpy as np

    span = np.ptp(mesh.bounds, axis=0)
    words = " × ".join(f"{d:.4g}" for d in span)
    if grid.size > MAX_VOXELS:
        raise ConfigError(
            f"{path} spans {words} µm (z, y, x), which takes {' × '.join(str(n) for n in grid.shape)} voxels.",
            remedy="Is the mesh in nm? Coordinates are µm. Otherwise pass larger voxels with --spacing.",
        )
    if (span < np.asarray(grid.spacing)).all():
        _LOG.warning("%s spans %s µm, less than a voxel. Is it in mm? Coordinates are µm.", path, words)


def _choose_grid(
    mesh: SurfaceMesh, psf: PSF, spacing: Triple | None, shape: tuple[int, int, int] | None, origin: Triple | None,
    like: Path | None, series: int | None = None, axes: str | None = None,
) -> Grid:  # fmt: skip
    """Return the grid of the image: that of `like`, or `shape` voxels from `origin`, or a box around the mesh.

    Raises ConfigError if both `like` and `shape` or `origin` are given, or neither `like` nor `spacing`.
    """
    from ..image.volume import Grid

    if like is not None:
        if shape is not None or origin is not None:
            raise ConfigError(
                "--like was given with --shape or --origin; expected one of them.", remedy="Leave one away."
            )
        return _read_like(like, spacing, series, axes).grid
    if spacing is None:
        raise ConfigError(
            "no voxel size was given; expected micrometres along z, y and x.",
            remedy="Pass --spacing Z Y X, for example --spacing 0.3 0.1 0.1, or --like IMAGE.",
        )
    if shape is not None:
        return Grid(shape, spacing, origin or (0.0, 0.0, 0.0))
    return _grid_around(mesh, psf, Grid((1, 1, 1), spacing).spacing, origin)


def _read_like(path: Path, spacing: Triple | None, series: int | None, axes: str | None) -> Volume:
    """Read one channel and time point of the image whose grid is used; see ``read_volume`` for the parameters."""
    from ..image.io import image_info, read_volume

    found = image_info(path, series=series, axes=axes)  # any channel and any time point have the same grid
    channel, time = 0 if found.channels > 1 else None, 0 if found.times > 1 else None
    return read_volume(path, spacing=spacing, channel=channel, time=time, series=series, axes=axes)


def _grid_around(mesh: SurfaceMesh, psf: PSF, spacing: Triple, origin: Triple | None) -> Grid:
    """Return a grid around the mesh with a margin as wide as the PSF reaches.

    Its first voxel lies at `origin` in µm, or else at a whole multiple of the voxel size.
    """
    import numpy as np

    from ..image.volume import Grid

    low, high = mesh.bounds
    margin, step = np.asarray(psf.reach()), np.asarray(spacing)
    first = np.floor((low - margin) / step) * step if origin is None else np.asarray(origin)
    shape = np.maximum(np.ceil((high + margin - first) / step).astype(int) + 1, 1)
    return Grid(tuple(int(n) for n in shape), spacing, tuple(float(v) for v in first))  # type: ignore[arg-type]
