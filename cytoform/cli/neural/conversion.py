"""``cytoform neural convert``: a model of cytoform from the weights of the published auto-decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..console import check_empty, echo_table, result_folder
from .codes import write_codes
from .options import echo_next_command

__all__ = ["convert"]


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="The file of the published weights (.pth), or the folder of the experiment."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder for the converted model.")],
    codes: Annotated[
        Path | None,
        typer.Option(
            "--codes",
            metavar="FILE",
            help="File of the latent codes (.mat, .pth or .npy); by default searched in SOURCE or beside it.",
        ),
    ] = None,
    rotations: Annotated[
        Path | None,
        typer.Option(
            "--rotations",
            metavar="FILE",
            help="File of the rotation angles in radians (.mat or .npy); by default searched beside the codes.",
        ),
    ] = None,
    omega: Annotated[
        float,
        typer.Option("--omega", metavar="ω0", help="Frequency factor ω0 of the sine activation, as in the training."),
    ] = 30.0,
    activation: Annotated[
        str, typer.Option("--activation", metavar="NAME", help="Activation function of the network: sine or relu.")
    ] = "sine",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into the folder even if it is not empty.")
    ] = False,
) -> None:
    """Convert the published auto-decoder into a model of cytoform.

    The auto-decoder is that of Wiesner et al. 2024, github.com/MIAGroupUT/IMPLICIT-CELL-SURFACES. The folder gets
    model.safetensors, model.json and codes.csv, which the other commands read. No code in the published files is
    executed.

    Examples:
    cytoform neural convert autodecoder/experiments/cele --out cele
    cytoform neural convert model.pth --codes lat_vecs.mat --rotations rot_angs.mat --out cele
    """
    check_empty(out, overwrite=overwrite)
    from ...neural import AutoDecoder

    model = AutoDecoder.from_reference(source, codes=codes, rotations=rotations, omega=omega, activation=activation)
    model.check_learned()
    with result_folder(out):
        path = model.save(out / "model.safetensors")
        write_codes(out / "codes.csv", model.learned.names, model.learned.codes.tolist())
    cube = f"{model.space.samples}³ samples, {model.space.frames} frames, no metric scale"
    echo_table([("model", repr(model)), ("cube", cube)])
    typer.echo(f"The model is {path}")
    echo_next_command("reconstruct", out, "--out", out / "reconstructed")
    echo_next_command("generate", out, "-n", "10", "--out", out / "generated")
