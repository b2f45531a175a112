"""``cytoform neural prepare``: masks or meshes of living cells to sequences of signed distances."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...errors import ConfigError
from ..console import WorkBar, echo_table
from ..inputs import Axes, Series, Triple
from .options import Quiet

__all__ = ["prepare"]


def prepare(
    source: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE", help="A (t, z, y, x) TIFF, an .npz of tracks, a folder, or one file a frame."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the sequences.")],
    spacing: Annotated[
        Triple | None, typer.Option("--spacing", metavar="Z Y X", help="Voxel size in µm; by default the file's own.")
    ] = None,
    shape: Annotated[int, typer.Option(metavar="N", help="Samples along each side of the cube.")] = 64,
    box: Annotated[
        float | None,
        typer.Option(metavar="µm", help="Side of the cube; by default a tenth more than the largest cell."),
    ] = None,
    clamp: Annotated[
        float | None, typer.Option(metavar="µm", help="Largest distance outside; by default a quarter of the cube.")
    ] = None,
    no_align: Annotated[bool, typer.Option("--no-align", help="Centre the cells, but do not turn them.")] = False,
    label: Annotated[list[int] | None, typer.Option(metavar="N", help="Only this label; may come again.")] = None,
    track: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this track of an .npz.")] = None,
    daughters: Annotated[
        list[str] | None,
        typer.Option(metavar="M:A,B", help="Label M divides into A and B, and its sequence goes on with both."),
    ] = None,
    parts: Annotated[
        int,
        typer.Option(metavar="N", help="Parts of an object that are used: its largest; 2 for a cell that divides."),
    ] = 1,
    border: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="Objects that the image's border cuts: error, skip (leave such frames out) or keep (closed there); "
            "auto skips labels and refuses a single object.",
        ),
    ] = "auto",
    channel: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Channel that holds the masks, from 0; where it has several.")
    ] = None,
    axes: Axes = None,
    series: Series = None,
    frames: Annotated[int | None, typer.Option(metavar="N", help="Cut sequences to their first frames.")] = None,
    min_frames: Annotated[int, typer.Option("--min-frames", metavar="N", help="Leave out shorter sequences.")] = 2,
    time_step: Annotated[
        float | None,
        typer.Option("--time-step", metavar="S", help="Seconds between frames; by default the file's own."),
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the sequence.")] = None,
    matlab: Annotated[bool, typer.Option("--matlab", help="Write .mat files that MATLAB loads.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files made with other settings.")] = False,
    quiet: Quiet = False,
) -> None:
    """Make sequences of signed distances from masks or meshes.

    Each cell becomes one HDF5 file: centred, turned onto its principal axes, its exact signed distance in µm on a cube.
    Files that are there already, made from the same with the same settings, are kept: run it again to go on. What is
    left out (parts, specks, labels at the border or too small for the samples) and what looks like two cells under one
    label is told.

    Examples:
    cytoform neural prepare masks.tif --out sequences
    cytoform neural prepare frames/ --label 7 --spacing 0.5 0.1 0.1 --out sequences
    cytoform neural prepare tracks.npz --spacing 0.133 0.133 0.133 --frames 8 --min-frames 8 --out sequences
    """
    from ...sdf.prepare import prepare as run

    settings: dict[str, Any] = {"shape": shape, "box_um": box, "clamp_um": clamp, "align": not no_align}
    settings |= {"parts": parts, "border": border, "n_frames": frames, "min_frames": min_frames, "time_step": time_step}
    with WorkBar("frames", quiet=quiet) as bar:
        paths = run(
            source[0] if len(source) == 1 else source,
            out,
            spacing=spacing,
            labels=label or None,
            daughters=_divisions(daughters or []),
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
    _tell(paths, given=time_step is not None)


def _divisions(texts: list[str]) -> dict[int, tuple[int, int]]:
    found = {}
    for text in texts:
        mother, _, pair = text.partition(":")
        try:
            one, two = (int(part) for part in pair.split(","))
            found[int(mother)] = one, two
        except ValueError as error:
            raise ConfigError(f"--daughters is {text!r}; expected M:A,B, for example 3:7,8.") from error
    return found


def _tell(paths: list[Path], *, given: bool) -> None:
    from ...sdf import open_sequence

    with open_sequence(paths[0]) as first:
        side, step, seconds = first.shape[1], (first.info.spacing or (0.0,))[0], first.info.time_step
    rows = [("sequences", str(len(paths))), ("cube", f"{side}³ samples of {step:.4g} µm, {side * step:.4g} µm a side")]
    if seconds is not None:
        rows.append(("time step", f"{seconds:g} s" + ("" if given else ", the image file's own")))
    echo_table(rows)
    typer.echo(f"They are in {paths[0].parent}")
    typer.echo(f"Next:  cytoform neural train {paths[0].parent} --out run")
