"""``cytoform neural simulate``: families of living shapes made by formulas, to train on or to try things with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ConfigError
from ...synth.known import FAMILIES
from ..console import WorkBar, echo_table
from .options import Overwrite, Quiet, next_command

if TYPE_CHECKING:
    from ...synth import Family

__all__ = ["simulate"]


def simulate(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help=f"One of {', '.join(FAMILIES)}.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder; by default the family's name.")
    ] = None,
    n: Annotated[int, typer.Option("--n", "-n", metavar="N", min=1, help="Number of individuals.")] = 30,
    frames: Annotated[int, typer.Option(metavar="N", min=2, help="Frames of each sequence.")] = 30,
    shape: Annotated[int, typer.Option(metavar="N", min=8, help="Samples along each side of the cube.")] = 64,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Another seed makes other individuals.")] = 0,
    coarse: Annotated[
        bool,
        typer.Option("--coarse", help="Thicken thin parts, as filopodia, so that they hold together at this --shape."),
    ] = False,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Replace a number of the family, such as growth=2.5 or box_um=50. May be repeated.",
        ),
    ] = None,
    clamp: Annotated[
        float | None, typer.Option(metavar="µm", help="Largest distance outside; by default all are kept.")
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Make living cells that deform, divide or grow filopodia.

    They come as sequences of exact signed distances in µm. Files that are there already with the same settings are
    kept: run it again to go on.

    Examples:
    cytoform neural simulate dividing -n 20 --out dividing
    cytoform neural simulate filopodial --coarse --shape 64 --out filopodial
    cytoform neural simulate deforming -n 5 --frames 10 --set growth=2 --set deformation=0.1
    """
    from ...synth import write_family

    made = _family(family, options or [], coarse, shape)
    folder = Path(made.name) if out is None else out
    with WorkBar("sequences", quiet=quiet) as bar:
        sampling: dict[str, Any] = {"n_frames": frames, "shape": shape, "clamp_um": clamp}
        paths = write_family(made, n, folder, seed=seed, overwrite=overwrite, progress=bar, **sampling)
    step = made.box_um / shape
    cube = f"{shape}³ samples of {step:.4g} µm, {made.box_um:.4g} µm a side"
    echo_table([("sequences", f"{len(paths)} of {frames} frames"), ("cube", cube)])
    typer.echo(f"They are in {folder}")
    next_command("train", folder, "--out", "run")


def _family(name: str, texts: list[str], coarse: bool, shape: int) -> Family:
    from ...synth import family as by_name

    made = by_name(name, **dict(_option(text) for text in texts))
    if not made.thin_parts:
        if coarse:
            raise ConfigError(f"--coarse came with {name}, which has no thin parts{_with_thin_parts()}.",
                              remedy="Leave it away.")  # fmt: skip
        return made
    try:
        thick = made.resolved_at(shape)
    except ConfigError as error:  # they would be thicker than the family allows
        raise ConfigError(
            f"--shape is {shape}: no {made.thin_parts} hold together in so few samples of {made.box_um:g} µm.",
            remedy="Raise --shape, for example to 64.",
        ) from error
    if coarse:
        return thick
    before, after = made.settings, thick.settings
    changed = [key for key in after if after[key] != before[key]]
    if changed:
        old, new = (" and ".join(f"{key} {settings[key]:.3g}" for key in changed) for settings in (before, after))
        typer.echo(
            f"Note: {made.thin_parts} with {old} fall apart at {shape} samples in {made.box_um:g} µm; --coarse makes "
            f"it {new}.",
            err=True,
        )
    return made


def _with_thin_parts() -> str:
    names = [name for name in FAMILIES if FAMILIES[name].thin_parts]
    return f", as {' and '.join(names)} has" if names else ""


def _option(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as a whole number, a number or a text."""
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise ConfigError(f"--set is {text!r}; expected NAME=VALUE, such as growth=2.5.")
    for kind in (int, float):
        try:
            return name.strip(), kind(value)
        except ValueError:
            continue
    return name.strip(), value.strip()
