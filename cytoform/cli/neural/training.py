"""``cytoform neural train``: training of a network on sequences of cell shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ConfigError, FileFormatError
from ..console import ProgressBar, echo_table
from .codes import write_codes
from .options import Device, Quiet, Sequences, echo_next_command, is_main_process, sequence_files
from .scale import Spacing, with_spacing

if TYPE_CHECKING:
    from ...neural.config import TrainConfig
    from ...neural.model import AutoDecoder
    from ...neural.training import TrainProgress

__all__ = ["train"]


def train(
    sequences: Sequences,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder for the trained network.")],
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            metavar="NAME",
            help="Settings of network and training: default, for reconstruction and generation; encoding, for encoding "
            "of new cells (trained also on mirrored, time-reversed and blended cells); miccai2022 or media2024, as in "
            "the papers.",
        ),
    ] = "default",
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            metavar="N",
            help="Length of the training in epochs, each of as many frames as there are; by default set by --preset.",
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", metavar="N", help="Length of the training in steps.")] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            metavar="MIN",
            help="Length of the training in minutes.",
        ),
    ] = None,
    latent: Annotated[
        int | None, typer.Option("--latent", metavar="N", help="Length of the latent code; by default set by --preset.")
    ] = None,
    omega: Annotated[
        float | None,
        typer.Option("--omega", metavar="ω0", help="Frequency factor ω0 of the sine activation; 30 by default."),
    ] = None,
    activation: Annotated[
        str | None, typer.Option("--activation", metavar="NAME", help="Activation function: sine (by default) or relu.")
    ] = None,
    width: Annotated[
        int | None, typer.Option("--width", metavar="N", help="Number of units in each hidden layer; 128 by default.")
    ] = None,
    layers: Annotated[
        int | None, typer.Option("--layers", metavar="N", help="Number of hidden layers; 9 by default.")
    ] = None,
    rotation: Annotated[
        bool | None,
        typer.Option(
            "--rotation/--no-rotation", help="Learn a rotation for each sequence, or none; by default set by --preset."
        ),
    ] = None,
    augment: Annotated[
        list[str] | None,
        typer.Option(
            "--augment",
            metavar="HOW",
            help="Train also on changed copies of the sequences: mirror (all 8 mirror images) or time (reversed). May "
            "be repeated.",
        ),
    ] = None,
    mix: Annotated[
        float | None,
        typer.Option(
            "--mix",
            metavar="PART",
            help="Fraction of the training samples that are blends of two sequences, 0 to 1; by default set "
            "by --preset.",
        ),
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", metavar="RATE", help="Learning rate of Adam; by default set by --preset.")
    ] = None,
    batch_frames: Annotated[
        int | None,
        typer.Option("--batch-frames", metavar="N", help="Number of frames in each step; by default set by --preset."),
    ] = None,
    frame_points: Annotated[
        int | None,
        typer.Option(
            "--frame-points", metavar="N", help="Number of sample points in each frame; by default set by --preset."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", min=0, help="Seed of the random numbers; 0 by default."),
    ] = None,
    device: Device = "auto",
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            metavar="NAME",
            help="Precision: full (float32), mixed (bfloat16), or auto (mixed where it is faster).",
        ),
    ] = "auto",
    memory_gb: Annotated[
        float, typer.Option("--memory-gb", metavar="GB", help="Memory for the sample points in GB.")
    ] = 1.0,
    checkpoint_minutes: Annotated[
        float, typer.Option("--checkpoint-minutes", metavar="MIN", help="Time between two checkpoints in minutes.")
    ] = 5.0,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="FILE|TEXT",
            help="Families of the sequences: a text file with one a line, the word folder for the names of their "
            "folders, or one name for all. Used by generate --prior mixture.",
        ),
    ] = None,
    spacing: Spacing = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the interrupted training in the folder.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the training in the folder.")] = False,
    tensorboard: Annotated[
        Path | None, typer.Option("--tensorboard", metavar="DIR", help="Folder for a TensorBoard log; none by default.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train a network to represent moving cells by latent codes.

    The network learns signed distances of all sequences together with a latent code for each. The folder gets the
    network (model.safetensors, model.json), the codes (codes.csv, a row of numbers for each sequence), the loss over
    time (history.csv) and the state of the training (checkpoint.safetensors). Of --epochs, --steps and --minutes at
    most one may be given. Ctrl-C saves the state; the same command with --resume continues with the same settings.
    Started by torchrun, the processes share the work.

    Examples:
    cytoform neural train sequences --out run --minutes 10
    cytoform neural train sequences --out run --preset encoding
    cytoform neural train sequences --out run --preset media2024 --epochs 200 --augment mirror --augment time
    cytoform neural train deforming dividing --labels folder --out run
    torchrun --nproc-per-node 2 -m cytoform neural train sequences --out run
    """
    _check_options(
        {"--epochs": epochs, "--steps": steps, "--minutes": minutes}, memory_gb, checkpoint_minutes, resume, overwrite
    )
    files = sequence_files(sequences)
    if resume and not (out / "checkpoint.safetensors").is_file():
        raise FileFormatError(
            f"there is no checkpoint.safetensors in {out}; expected the folder of an interrupted training.",
            remedy="Pass that folder with --out, or leave --resume away to start anew.",
        )
    families = None if labels is None else _read_labels(labels, files)
    from ...neural import train as run

    base = _stored_config(out) if resume and preset == "default" else preset
    config = _training_config(
        base, layers, epochs=epochs, steps=steps, latent=latent, omega=omega, activation=activation, width=width,
        rotation=rotation, augment=tuple(augment) if augment else None, mix=mix, lr=lr, batch_frames=batch_frames,
        frame_points=frame_points, seed=seed,
    )  # fmt: skip
    with ProgressBar("steps", quiet=quiet or not is_main_process()) as bar:
        model = run(
            with_spacing(files, spacing),
            out,
            config,
            labels=families,
            minutes=minutes,
            device=device,
            precision=precision,
            memory_gb=memory_gb,
            checkpoint_minutes=checkpoint_minutes,
            resume=resume,
            overwrite=overwrite,
            tensorboard=tensorboard,
            progress=_progress_callback(bar),
        )
    if is_main_process():
        n = model.learned.originals
        write_codes(out / "codes.csv", model.learned.names[:n], model.learned.codes[:n].tolist())
        _print_summary(model, out)


def _check_options(
    lengths: dict[str, float | None], memory_gb: float, checkpoint_minutes: float, resume: bool, overwrite: bool
) -> None:
    """Raise ConfigError for options that exclude each other, and for memory or minutes that are not above 0.

    `lengths` are the values of --epochs, --steps and --minutes by option, None where not given.
    """
    if resume and overwrite:
        raise ConfigError(
            "--overwrite and --resume were given together; expected one of them.", remedy="Leave one away."
        )
    given = [name for name, value in lengths.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} were given together; expected one of them.", remedy="Leave one away.")
    for name, value in (("--memory-gb", memory_gb), ("--checkpoint-minutes", checkpoint_minutes)):
        if not value > 0:
            raise ConfigError(f"{name} is {value:g}; expected a number above 0.")


def _read_labels(text: str, files: list[Path]) -> list[str]:
    """Return the family of each sequence for the value of --labels: lines of a file, names of folders, or one name.

    Raises
    ------
    FileFormatError
        When the value looks like a file and is none, or the file is not text.
    ConfigError
        When the file has not one line for each sequence.
    """
    if text == "folder":
        return [path.resolve().parent.name for path in files]
    path = Path(text)
    if not path.is_file():
        if path.suffix or path.exists():
            raise FileFormatError(f"{path} does not exist or is not a file.", remedy="Check --labels.")
        return [text] * len(files)
    try:
        found = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} is not text: {error}.", remedy="Expected a label in each line.") from error
    if len(found) != len(files):
        raise ConfigError(
            f"{path} has {len(found)} lines; expected {len(files)}, one for each sequence.",
            remedy="Sequences count in the order of their names, folder by folder.",
        )
    return found


def _stored_config(out: Path) -> TrainConfig:
    """Return the settings of the interrupted training in a folder, read from its checkpoint."""
    from ...neural import TrainConfig
    from ...neural.checkpoint import CHECKPOINT, read_checkpoint

    return TrainConfig.from_json(read_checkpoint(out / CHECKPOINT)[1]["config"])


def _training_config(base: TrainConfig | str, layers: int | None, **given: Any) -> TrainConfig:
    """Return settings, or those of the preset of that name, with the options that are not None replaced.

    With fewer layers than the settings have, the latent code enters those of its layers that remain.
    """
    from ...neural import NetworkConfig
    from ...neural import preset as made
    from ...neural.config import changed

    changes = {name: value for name, value in given.items() if value is not None}
    if layers is not None:
        changes |= {"layers": layers, "latent_layers": [n for n in NetworkConfig().latent_layers if n <= layers]}
    return made(base, **changes) if isinstance(base, str) else changed(base, **changes)


def _progress_callback(bar: ProgressBar) -> Callable[[TrainProgress], None]:
    """Return a function that shows the progress of a training, also of a resumed one, on a progress bar."""
    first: list[int] = []

    def show(now: TrainProgress) -> None:
        first.append(now.step - 1) if not first else None
        epoch = min(now.epoch + 1, now.epochs)
        note = f"loss {now.loss:.3g}"
        bar(now.step, now.total, f"epoch {epoch}/{now.epochs}", note=note, left=now.left, first=first[0])

    return show


def _print_summary(model: AutoDecoder, out: Path) -> None:
    """Print size, loss and training time of a network, the path of its file, and the commands to run next."""
    loss, half = model.notes.get("loss"), model.space.half_um
    rows = [("model", repr(model))]
    if loss is not None:
        shown = f"{loss:.4g} in the files' unit" if half is None else f"{loss * half:.4g} µm"
        rows.append(("loss", f"{shown}, the mean error of the distances in the last epoch"))
    steps, epochs = model.notes["steps_done"], model.notes["epochs_done"]
    done = f"{steps} step{'s'[: steps != 1]}, {epochs} whole epoch{'s'[: epochs != 1]}"
    rows.append(("time", f"{model.notes['seconds']:.0f} s, {done}"))
    echo_table(rows)
    typer.echo(f"The model is {out / 'model.safetensors'}")
    echo_next_command("reconstruct", out, "--out", out / "reconstructed")
    echo_next_command("generate", out, "-n", "10", "--out", out / "generated")
