"""``cytoform neural convert``: the published auto-decoder as a model of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..console import check_empty, echo_table, result_folder
from .codes import write_codes
from .options import next_command

__all__ = ["convert"]


def convert(
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="The published weights (.pth), or the experiment's folder."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the model.")],
    codes: Annotated[
        Path | None,
        typer.Option(
            "--codes",
            metavar="FILE",
            help="Latent codes (.mat, .pth or .npy); by default those in SOURCE or beside it.",
        ),
    ] = None,
    rotations: Annotated[
        Path | None,
        typer.Option(
            "--rotations", metavar="FILE", help="Angles in radians (.mat or .npy); by default those beside the codes."
        ),
    ] = None,
    omega: Annotated[float, typer.Option("--omega", metavar="ω0", help="Frequency of the sine.")] = 30.0,
    activation: Annotated[str, typer.Option("--activation", metavar="NAME", help="sine or relu.")] = "sine",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Use the folder though it is not empty.")] = False,
) -> None:
    """Open the published auto-decoder as a model.

    The other commands read what this one writes: model.safetensors, model.json and codes.csv. The auto-decoder is that
    of github.com/MIAGroupUT/IMPLICIT-CELL-SURFACES. Nothing in its files is executed.

    Examples:
    cytoform neural convert autodecoder/experiments/cele --out cele
    cytoform neural convert model.pth --codes lat_vecs.mat --rotations rot_angs.mat --out cele
    """
    check_empty(out, overwrite=overwrite)
    from ...neural import AutoDecoder

    model = AutoDecoder.from_reference(source, codes=codes, rotations=rotations, omega=omega, activation=activation)
    model.check_learned()
    with result_folder(out):
        place = model.save(out / "model.safetensors")
        write_codes(out / "codes.csv", model.learned.names, model.learned.codes.tolist())
    cube = f"{model.space.samples}³ samples, {model.space.frames} frames, no metric scale"
    echo_table([("model", repr(model)), ("cube", cube)])
    typer.echo(f"The model is {place}")
    next_command("reconstruct", out, "--out", out / "reconstructed")
    next_command("generate", out, "-n", "10", "--out", out / "generated")
