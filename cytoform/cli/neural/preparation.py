"""``cytoform neural prepare``: sequences of signed distances from masks or meshes of cells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...errors import ConfigError
from ..console import ProgressBar, echo_table
from ..inputs import Axes, Series, Triple
from .options import Quiet

__all__ = ["prepare"]


def prepare(
    source: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE",
            help="A TIFF of masks or labels (t, z, y, x), an .npz file of tracks, a folder, or one file a frame.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder for the sequences.")],
    spacing: Annotated[
        Triple | None,
        typer.Option(
            "--spacing", metavar="Z Y X", help="Voxel size in µm along z, y and x; by default read from the file."
        ),
    ] = None,
    shape: Annotated[int, typer.Option(metavar="N", help="Number of voxels along each side of the cube.")] = 64,
    box: Annotated[
        float | None,
        typer.Option(metavar="µm", help="Side of the cube in µm; by default a tenth more than the largest cell."),
    ] = None,
    clamp: Annotated[
        float | None,
        typer.Option(
            metavar="µm",
            help="Largest distance outside of the cell in µm that is stored; by default a quarter of the cube.",
        ),
    ] = None,
    no_align: Annotated[
        bool, typer.Option("--no-align", help="Centre the cells, but do not rotate them onto their principal axes.")
    ] = False,
    label: Annotated[
        list[int] | None, typer.Option(metavar="N", help="Prepare only the cell with this label. May be repeated.")
    ] = None,
    track: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Prepare only this track of an .npz file. May be repeated.")
    ] = None,
    daughters: Annotated[
        list[str] | None,
        typer.Option(
            metavar="M:A,B",
            help="The cell with label M divides into A and B; its sequence continues with both. May be repeated.",
        ),
    ] = None,
    parts: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Number of connected components of a cell that are kept, the largest: 1, or 2 for a dividing cell.",
        ),
    ] = 1,
    border: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="What to do with cells that the image's border cuts: error, skip (leave out those frames) or keep "
            "(close the cell at the border); auto is skip for labels, error for a mask of one cell.",
        ),
    ] = "auto",
    channel: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Number of the channel that holds the masks, from 0; required for a file with several.",
        ),
    ] = None,
    axes: Axes = None,
    series: Series = None,
    frames: Annotated[
        int | None, typer.Option(metavar="N", help="Keep only the first N frames of each sequence; all by default.")
    ] = None,
    min_frames: Annotated[
        int, typer.Option("--min-frames", metavar="N", help="Leave out sequences with fewer frames.")
    ] = 2,
    time_step: Annotated[
        float | None,
        typer.Option("--time-step", metavar="S", help="Time between frames in seconds; by default read from the file."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the sequence, or what the names of its labels begin with; by default that of the file.",
        ),
    ] = None,
    matlab: Annotated[
        bool, typer.Option("--matlab", help="Write .mat files for MATLAB in place of HDF5 files.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing files, also those made with other settings.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Convert masks or meshes of cells into training data.

    Each cell becomes one HDF5 file with its signed distances in µm on a cube of voxels, a frame for each time point.
    The cell is centred and rotated onto its principal axes. Files that were made from the same input with the same
    settings are kept, so an interrupted run can be repeated. Warnings name everything that is left out (small
    components, cells at the border or too small for the voxels) and labels that look like two cells.

    Examples:
    cytoform neural prepare masks.tif --out sequences
    cytoform neural prepare frames/ --label 7 --spacing 0.5 0.1 0.1 --out sequences
    cytoform neural prepare tracks.npz --spacing 0.133 0.133 0.133 --frames 8 --min-frames 8 --out sequences
    """
    from ...sdf.prepare import prepare as run

    settings: dict[str, Any] = {"shape": shape, "box_um": box, "clamp_um": clamp, "align": not no_align}
    settings |= {"parts": parts, "border": border, "n_frames": frames, "min_frames": min_frames, "time_step": time_step}
    with ProgressBar("frames", quiet=quiet) as bar:
        paths = run(
            source[0] if len(source) == 1 else source,
            out,
            spacing=spacing,
            labels=label or None,
            daughters=_parse_divisions(daughters or []),
            tracks=track or None,
            name=name,
            suffix=".mat" if matlab else ".h5",
            channel=channel,
            axes=axes,
            series=series,
            overwrite=overwrite,
            progress=lambda p: bar(p.done, p.total, stage=p.stage, left=p.seconds_left),
            **settings,
        )
    _print_summary(paths, time_step_given=time_step is not None)


def _parse_divisions(texts: list[str]) -> dict[int, tuple[int, int]]:
    """Return the daughters of each dividing label from texts M:A,B; raise ConfigError for any other text."""
    found = {}
    for text in texts:
        mother, _, pair = text.partition(":")
        try:
            one, two = (int(part) for part in pair.split(","))
            found[int(mother)] = one, two
        except ValueError as error:
            raise ConfigError(f"--daughters is {text!r}; expected M:A,B, for example 3:7,8.") from error
    return found


def _print_summary(paths: list[Path], *, time_step_given: bool) -> None:
    """Print number, voxels and time step of the sequences in `paths`, their folder, and the command to run next."""
    from ...sdf import open_sequence

    with open_sequence(paths[0]) as first:
        side, step, seconds = first.shape[1], (first.info.spacing or (0.0,))[0], first.info.time_step
    rows = [("sequences", str(len(paths))), ("cube", f"{side}³ samples of {step:.4g} µm, {side * step:.4g} µm a side")]
    if seconds is not None:
        rows.append(("time step", f"{seconds:g} s" + ("" if time_step_given else ", read from the image file")))
    echo_table(rows)
    typer.echo(f"They are in {paths[0].parent}")
    typer.echo(f"Next:  cytoform neural train {paths[0].parent} --out run")
