"""``cytoform neural encode``: codes of sequences that the network has not seen."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ConfigError
from ..console import WorkBar, check_empty, echo_table, result_folder
from .codes import write_codes
from .decoding import resolution
from .models import open_model
from .options import (
    Device,
    Exhaustive,
    Formats,
    Frames,
    ModelPath,
    Quiet,
    Sequences,
    Shape,
    next_command,
    sequence_files,
)
from .scale import Spacing, at_scale

if TYPE_CHECKING:
    from ...neural.encoding import EncodeConfig, Encoded
    from ...neural.model import AutoDecoder

__all__ = ["encode"]


def encode(
    model: ModelPath,
    sequences: Sequences,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Result folder.")] = Path("encoded"),
    rotation: Annotated[
        bool,
        typer.Option("--rotation/--no-rotation", help="Find how the shape is turned, or take it as aligned already."),
    ] = True,
    starts: Annotated[
        int, typer.Option("--starts", metavar="N", min=1, help="Rotations tried; fewer are quicker.")
    ] = 60,
    prior: Annotated[
        float | None,
        typer.Option(
            "--prior",
            metavar="WEIGHT",
            help="How much a code is held near the learned ones; 0 follows the shape most closely. By default 0 for "
            "networks that have learned blends (train --mix, or --preset encoding), 1e-5 for others.",
        ),
    ] = None,
    aside: Annotated[
        float | None,
        typer.Option(
            "--aside",
            metavar="SD",
            help="Spread of codes, in standard deviations, where the learned ones have none. By default 4 for networks "
            "that have learned blends, 0.3 for others.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the points that are drawn.")] = 0,
    frames: Frames = None,
    shape: Shape = None,
    formats: Formats = None,
    exhaustive: Exhaustive = False,
    spacing: Spacing = None,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Use the folder though it is not empty.")] = False,
    quiet: Quiet = False,
) -> None:
    """Find codes for sequences that the model has not seen.

    The folder holds the reconstructions, codes.csv (a row of numbers for each sequence) and encoded.json with code,
    rotation matrix and loss of each. Reconstructions have the sequences' own frames, samples and box, unless others are
    asked for. Shapes must lie in the box that the model was trained in. Unseen cells are followed best by a network
    that was trained for it: train --preset encoding.

    Examples:
    cytoform neural encode run unseen.h5 --out encoded
    cytoform neural encode run unseen --no-rotation --format h5 --format mesh
    """
    from ...neural import EncodeConfig

    check_empty(out, overwrite=overwrite)
    options = resolution(frames, shape, formats, exhaustive, device) | {"overwrite": overwrite}
    files = sequence_files(sequences)
    _check_names(files)
    config = EncodeConfig(rotation=rotation, starts=starts, prior=prior, aside=aside, seed=seed)
    opened = open_model(model)
    opened.check_learned()
    with result_folder(out):
        found = _encode_all(opened, at_scale(files, spacing), files, config, out, options, quiet)
    echo_table([(one.name, f"loss {one.loss:.4g} {_unit(opened)}") for one in found])
    typer.echo(_told(config.suited_to(opened)))
    typer.echo(f"Codes, rotations and reconstructions are in {out}")
    if len(sequences) == 1 and {"h5", "mat"} & set(options["formats"]):
        alike = options["frames"] is None and options["shape"] is None  # else voxels cannot be compared
        next_command("evaluate", *sequences, out, *(["--paired", out.resolve().name] if alike else []))


def _told(config: EncodeConfig) -> str:
    how = f"--prior {config.prior:g} --aside {config.aside:g}"
    if config.prior:
        return f"Codes are held near the learned ones ({how}); --prior 0 follows the shapes more closely."
    return f"Codes follow the shapes as closely as they can ({how}); --prior 1e-5 holds them near the learned ones."


def _check_names(files: Sequence[Path]) -> None:
    """Results are named by the files; two of one name would be written one over the other."""
    names = [path.stem for path in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"several sequences are called {twice[0]}; their results would have the same name.",
            remedy="Rename the files, or encode them into different folders.",
        )


def _encode_all(
    model: AutoDecoder,
    sequences: Sequence[Any],
    files: Sequence[Path],
    config: EncodeConfig,
    out: Path,
    options: dict[str, Any],
    quiet: bool,
) -> list[Encoded]:
    """One after the other; what is done is written at once."""
    from ...neural import encode as run

    found: list[Encoded] = []
    with WorkBar("tries", quiet=quiet) as bar:
        for count, (sequence, path) in enumerate(zip(sequences, files), start=1):
            stage = path.stem if len(files) == 1 else f"{path.stem} ({count}/{len(files)})"
            one = run(
                model,
                sequence,
                config,
                device=options["device"],
                progress=lambda done, total, stage=stage: bar(done, total, stage=stage),  # type: ignore[misc]
            )
            found.append(dataclasses.replace(one, name=path.stem))
            found[-1].reconstruct(out, **options)
            _write(found, out, _unit(model))
    return found


def _unit(model: AutoDecoder) -> str:
    return "in the files' unit" if model.space.half_um is None else "µm"


def _write(found: Sequence[Encoded], out: Path, unit: str) -> None:
    from ...atomic import write_text

    write_codes(out / "codes.csv", [one.name for one in found], [one.code for one in found])
    told = [
        {"name": one.name, "loss": one.loss, "unit": unit, "rotation": one.rotation.tolist(), "code": one.code.tolist()}
        for one in found
    ]
    write_text(out / "encoded.json", json.dumps(told, indent=1, ensure_ascii=False))
