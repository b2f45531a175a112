"""``cytoform neural encode``: latent codes of sequences that were not in the training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ConfigError
from ..console import ProgressBar, check_empty, echo_table, result_folder
from .codes import write_codes
from .decoding import decoding_options
from .models import open_model
from .options import (
    Device,
    Exhaustive,
    Formats,
    ModelPath,
    Quiet,
    Sequences,
    echo_next_command,
    frames_option,
    sequence_files,
    shape_option,
)
from .scale import Spacing, with_spacing

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
        typer.Option(
            "--rotation/--no-rotation",
            help="Estimate how each shape is rotated, or take the shapes as aligned like those of the training.",
        ),
    ] = True,
    starts: Annotated[
        int,
        typer.Option(
            "--starts",
            metavar="N",
            min=1,
            help="Number of rotations from which the estimate starts; fewer are quicker.",
        ),
    ] = 60,
    prior: Annotated[
        float | None,
        typer.Option(
            "--prior",
            metavar="WEIGHT",
            help="Regularisation weight that holds a code near the learned ones; 0 fits the shape most closely. By "
            "default 0 for networks trained with blends (train --mix or --preset encoding), 1e-5 for others.",
        ),
    ] = None,
    aside: Annotated[
        float | None,
        typer.Option(
            "--aside",
            metavar="SD",
            help="Standard deviation that --prior assumes along directions in which the learned codes hardly differ, "
            "relative to the overall standard deviation of the learned codes. By default 4 for networks trained with "
            "blends, 0.3 for others.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the random sample points.")] = 0,
    frames: Annotated[str | None, frames_option("those of the sequence")] = None,
    shape: Annotated[str | None, shape_option("those of the sequence")] = None,
    formats: Formats = None,
    exhaustive: Exhaustive = False,
    spacing: Spacing = None,
    device: Device = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into the folder even if it is not empty.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Find the latent codes of cells that were not in the training.

    For each sequence the latent code is sought whose decoded shape fits it best. The result folder holds the decoded
    shapes, codes.csv (a row of numbers for each sequence) and encoded.json (code, rotation matrix and loss of each).
    The decoded shapes have the frames and voxels of their sequence unless --frames or --shape is given. The cells have
    to lie in the box that the model was trained in. A network trained with --preset encoding fits new cells best.

    Examples:
    cytoform neural encode run unseen.h5 --out encoded
    cytoform neural encode run unseen --no-rotation --format h5 --format mesh
    """
    from ...neural import EncodeConfig

    check_empty(out, overwrite=overwrite)
    options = decoding_options(frames, shape, formats, exhaustive, device) | {"overwrite": overwrite}
    files = sequence_files(sequences)
    _check_distinct_names(files)
    config = EncodeConfig(rotation=rotation, starts=starts, prior=prior, aside=aside, seed=seed)
    opened = open_model(model)
    opened.check_learned()
    with result_folder(out):
        found = _encode_all(opened, with_spacing(files, spacing), files, config, out, options, quiet)
    echo_table([(one.name, f"loss {one.loss:.4g} {_loss_unit(opened)}") for one in found])
    typer.echo(_prior_message(config.suited_to(opened)))
    typer.echo(f"Codes, rotations and reconstructions are in {out}")
    if len(sequences) == 1 and {"h5", "mat"} & set(options["formats"]):
        alike = options["frames"] is None and options["shape"] is None  # else voxels cannot be compared
        echo_next_command("evaluate", *sequences, out, *(["--paired", out.resolve().name] if alike else []))


def _prior_message(config: EncodeConfig) -> str:
    """Return a sentence that says how strongly the codes were held near the learned ones, and how to change it."""
    how = f"--prior {config.prior:g} --aside {config.aside:g}"
    if config.prior:
        return f"Codes were held near the learned ones ({how}); --prior 0 fits the shapes more closely."
    return f"Codes fit the shapes as closely as possible ({how}); --prior 1e-5 holds them near the learned ones."


def _check_distinct_names(files: Sequence[Path]) -> None:
    """Raise ConfigError if two files have the same name, since their results would be written to the same file."""
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
    """Encode the sequences one after the other, and write the results of each as soon as it is done.

    `sequences` are paths or open sequences of the `files`, in the same order; `options` are those of decoding.
    """
    from ...neural import encode as run

    found: list[Encoded] = []
    with ProgressBar("tries", quiet=quiet) as bar:
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
            _write_results(found, out, _loss_unit(model))
    return found


def _loss_unit(model: AutoDecoder) -> str:
    """Return the unit of a model's loss: µm, or words where the training's files had no voxel size."""
    return "in the files' unit" if model.space.half_um is None else "µm"


def _write_results(found: Sequence[Encoded], out: Path, unit: str) -> None:
    """Write codes.csv and encoded.json of the sequences encoded so far; `unit` is that of the loss."""
    from ...atomic import write_text

    write_codes(out / "codes.csv", [one.name for one in found], [one.code for one in found])
    entries = [
        {"name": one.name, "loss": one.loss, "unit": unit, "rotation": one.rotation.tolist(), "code": one.code.tolist()}
        for one in found
    ]
    write_text(out / "encoded.json", json.dumps(entries, indent=1, ensure_ascii=False))
