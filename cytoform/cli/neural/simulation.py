"""``cytoform neural simulate``: cells of simulated families, whose shapes are given by formulas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ConfigError
from ...synth.registry import FAMILIES
from ..console import ProgressBar, echo_table
from .options import Overwrite, Quiet, echo_next_command

if TYPE_CHECKING:
    from ...synth import Family

__all__ = ["simulate"]


def simulate(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help=f"Kind of cells: one of {', '.join(FAMILIES)}.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for the sequences; by default the name of the family."),
    ] = None,
    n: Annotated[int, typer.Option("--n", "-n", metavar="N", min=1, help="Number of cells.")] = 30,
    frames: Annotated[int, typer.Option(metavar="N", min=2, help="Number of frames of each sequence.")] = 30,
    shape: Annotated[int, typer.Option(metavar="N", min=8, help="Number of voxels along each side of the cube.")] = 64,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Seed of the simulation; another seed makes other cells.")
    ] = 0,
    coarse: Annotated[
        bool,
        typer.Option(
            "--coarse", help="Thicken thin parts such as filopodia so that the voxels of --shape resolve them."
        ),
    ] = False,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change a parameter of the family, such as growth=2.5 or box_um=50. May be repeated.",
        ),
    ] = None,
    clamp: Annotated[
        float | None,
        typer.Option(
            metavar="µm",
            help="Largest distance outside of the cell in µm that is stored; by default there is no limit.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Simulate moving cells that deform, divide or grow filopodia.

    Each cell becomes one HDF5 file with its exact signed distances in µm on a cube of voxels, a frame for each time
    point, as training data for a network. Files that were made with the same settings are kept, so an interrupted run
    can be repeated.

    Examples:
    cytoform neural simulate dividing -n 20 --out dividing
    cytoform neural simulate filopodial --coarse --shape 64 --out filopodial
    cytoform neural simulate deforming -n 5 --frames 10 --set growth=2 --set deformation=0.1
    """
    from ...synth import write_family

    made = _make_family(family, options or [], coarse, shape)
    folder = Path(made.name) if out is None else out
    with ProgressBar("sequences", quiet=quiet) as bar:
        sampling: dict[str, Any] = {"n_frames": frames, "shape": shape, "clamp_um": clamp}
        paths = write_family(made, n, folder, seed=seed, overwrite=overwrite, progress=bar, **sampling)
    step = made.box_um / shape
    cube = f"{shape}³ samples of {step:.4g} µm, {made.box_um:.4g} µm a side"
    echo_table([("sequences", f"{len(paths)}, {frames} frames each"), ("cube", cube)])
    typer.echo(f"They are in {folder}")
    echo_next_command("train", folder, "--out", "run")


def _make_family(name: str, texts: list[str], coarse: bool, shape: int) -> Family:
    """Return the family of that name, with parameters changed by texts NAME=VALUE, and thick enough for `shape` voxels.

    Thin parts that `shape` voxels do not resolve are thickened with `coarse`; otherwise a note is printed on stderr.
    Raises ConfigError for `coarse` with a family without thin parts, and where even the thickest are not resolved.
    """
    from ...synth import family as by_name

    made = by_name(name, **dict(_parse_assignment(text) for text in texts))
    if not made.thin_parts:
        if coarse:
            raise ConfigError(f"--coarse was given with {name}, which has no thin parts{_thin_parts_hint()}.",
                              remedy="Omit it.")  # fmt: skip
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


def _thin_parts_hint() -> str:
    """Return the end of a message that names the families with thin parts; an empty text if there are none."""
    names = [name for name in FAMILIES if FAMILIES[name].thin_parts]
    return f", as {' and '.join(names)} has" if names else ""


def _parse_assignment(text: str) -> tuple[str, Any]:
    """Return name and value of a text NAME=VALUE; the value is an int, a float, or else a str.

    Raises ConfigError for any other text.
    """
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise ConfigError(f"--set is {text!r}; expected NAME=VALUE, such as growth=2.5.")
    for kind in (int, float):
        try:
            return name.strip(), kind(value)
        except ValueError:
            continue
    return name.strip(), value.strip()
