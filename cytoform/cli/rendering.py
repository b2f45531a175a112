"""``cytoform render``: the image that a microscope would take of a surface."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError, OutputError
from .generated import parameters, with_options
from .inputs import Axes, Series, Triple
from .optics import chosen_psf, psf_options

if TYPE_CHECKING:
    from ..image.volume import Grid, Volume
    from ..mesh.surface import SurfaceMesh
    from ..optics import PSF, PSFOptions

_LOG = logging.getLogger(__name__)
MOST_VOXELS = 2**31  # 8 GB of float32

__all__ = ["render"]


@with_options(lambda: parameters(psf_options(), needed=False), after="out")
def render(
    mesh: Annotated[Path, typer.Argument(metavar="MESH", help="A .ply, .obj, .stl or .vtp file, (x, y, z) in µm.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The TIFF to write.")],
    spacing: Annotated[
        Triple | None, typer.Option("--spacing", metavar="Z Y X", help="Voxel size in µm; not needed with --like.")
    ] = None,
    shape: Annotated[
        tuple[int, int, int] | None,
        typer.Option("--shape", metavar="Z Y X", help="Voxels; by default a box around the mesh."),
    ] = None,
    origin: Annotated[
        Triple | None, typer.Option("--origin", metavar="Z Y X", help="Place of the first voxel in µm; 0 with --shape.")
    ] = None,
    like: Annotated[
        Path | None, typer.Option("--like", metavar="IMAGE", help="Take voxel size and shape from this image.")
    ] = None,
    series: Series = None,
    axes: Axes = None,
    noise: Annotated[bool, typer.Option("--noise", help="Add a camera's noise: photons and read-out.")] = False,
    photons: Annotated[float, typer.Option(metavar="X", help="With --noise: photons in the brightest voxel.")] = 100.0,
    background: Annotated[float, typer.Option(metavar="X", help="With --noise: the camera's offset.")] = 100.0,
    read_noise: Annotated[float, typer.Option(metavar="X", help="With --noise: σ of the camera's read-out.")] = 2.0,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the noise.")] = 0,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    **said: Any,
) -> None:
    """Render a surface into a 3D image, through a PSF: --psf-sigma for a Gaussian, or another one with --psf.

    The grid is a box around the mesh, or --shape, or that of --like IMAGE. The file carries its voxel size.

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

    optics = chosen_psf(said)
    _check_out(out, overwrite)
    resolve_device(device)
    seen, surface = _psf(optics), read_surface(mesh)
    grid = _grid(surface, seen, spacing, shape, origin, like, series, axes)
    remedy = "Leave --shape away for a box around the mesh, or set --origin." if shape is not None else None
    check_inside(surface, grid, mesh, remedy=remedy)
    _check_size(surface, grid, mesh)
    image = render_on(surface, seen, grid, device=device).astype("float32")
    if noise:
        image = camera_image(image, photons=photons, background=background, read_noise=read_noise, seed=seed)
    write_volume(out, Volume(image, grid.spacing, grid.origin))
    typer.echo(f"{out}: {' × '.join(str(n) for n in grid.shape)} voxels (z, y, x), {image.dtype}")


def _check_out(out: Path, overwrite: bool) -> None:
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists.", remedy="Choose another name with --out, or pass --overwrite.")
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise ConfigError(f"--out is {out}; a TIFF is written.", remedy="Give a name that ends in .tif or .ome.tif.")


def _psf(optics: PSFOptions) -> PSF:
    """What is rendered through; refused where it would be a guess."""
    psf = optics.psf()
    if psf is None:
        raise ConfigError(
            "no PSF was given; expected one to render through.",
            remedy="Pass the σ of a Gaussian in µm, --psf-sigma Z Y X, or another PSF with --psf.",
        )
    return psf


def _check_size(mesh: SurfaceMesh, grid: Grid, path: Path) -> None:
    """Refuse an image that no memory holds, and doubt a surface smaller than a voxel: both are other units than µm."""
    import numpy as np

    span = np.ptp(mesh.bounds, axis=0)
    words = " × ".join(f"{d:.4g}" for d in span)
    if grid.size > MOST_VOXELS:
        raise ConfigError(
            f"{path} spans {words} µm (z, y, x), which takes {' × '.join(str(n) for n in grid.shape)} voxels.",
            remedy="Is the mesh in nm? Coordinates are µm. Otherwise pass larger voxels with --spacing.",
        )
    if (span < np.asarray(grid.spacing)).all():
        _LOG.warning("%s spans %s µm, less than a voxel. Is it in mm? Coordinates are µm.", path, words)


def _grid(
    mesh: SurfaceMesh, psf: PSF, spacing: Triple | None, shape: tuple[int, int, int] | None, origin: Triple | None,
    like: Path | None, series: int | None = None, axes: str | None = None,
) -> Grid:  # fmt: skip
    from ..image.volume import Grid

    if like is not None:
        if shape is not None or origin is not None:
            raise ConfigError("--like came with --shape or --origin; expected one of them.", remedy="Leave one away.")
        return _like(like, spacing, series, axes).grid
    if spacing is None:
        raise ConfigError(
            "no voxel size was given; expected micrometres along z, y and x.",
            remedy="Pass --spacing Z Y X, for example --spacing 0.3 0.1 0.1, or --like IMAGE.",
        )
    if shape is not None:
        return Grid(shape, spacing, origin or (0.0, 0.0, 0.0))
    return _around(mesh, psf, Grid((1, 1, 1), spacing).spacing, origin)


def _like(path: Path, spacing: Triple | None, series: int | None, axes: str | None) -> Volume:
    from ..image.io import image_info, read_volume

    found = image_info(path, series=series, axes=axes)  # any channel and any time point have the same grid
    channel, time = 0 if found.channels > 1 else None, 0 if found.times > 1 else None
    return read_volume(path, spacing=spacing, channel=channel, time=time, series=series, axes=axes)


def _around(mesh: SurfaceMesh, psf: PSF, spacing: Triple, origin: Triple | None) -> Grid:
    """A box around the mesh with room for the blur."""
    import numpy as np

    from ..image.volume import Grid

    low, high = mesh.bounds
    room, step = np.asarray(psf.reach()), np.asarray(spacing)
    first = np.floor((low - room) / step) * step if origin is None else np.asarray(origin)
    shape = np.maximum(np.ceil((high + room - first) / step).astype(int) + 1, 1)
    return Grid(tuple(int(n) for n in shape), spacing, tuple(float(v) for v in first))  # type: ignore[arg-type]
