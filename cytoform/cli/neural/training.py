"""``cytoform neural train``: a network that learns living shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ConfigError, FileFormatError
from ..console import WorkBar, echo_table
from .codes import write_codes
from .options import Device, Quiet, Sequences, leads, next_command, sequence_files
from .scale import Spacing, at_scale

if TYPE_CHECKING:
    from ...neural.config import TrainConfig
    from ...neural.model import AutoDecoder
    from ...neural.training import TrainProgress

__all__ = ["train"]


def train(
    sequences: Sequences,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the model.")],
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            metavar="NAME",
            help="default, to reconstruct and generate; encoding, for cells that shall be encoded later (with mirror "
            "images, time backwards and blends); miccai2022 or media2024, as in the papers.",
        ),
    ] = "default",
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", metavar="N", help="How long: an epoch draws as many frames as there are."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", metavar="N", help="How long, in steps.")] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            metavar="MIN",
            help="How long, in minutes. Without --epochs, --steps and --minutes: as the preset has it.",
        ),
    ] = None,
    latent: Annotated[int | None, typer.Option("--latent", metavar="N", help="Numbers in a code.")] = None,
    omega: Annotated[float | None, typer.Option("--omega", metavar="ω0", help="Frequency of the sine.")] = None,
    activation: Annotated[str | None, typer.Option("--activation", metavar="NAME", help="sine or relu.")] = None,
    width: Annotated[int | None, typer.Option("--width", metavar="N", help="Units of a hidden layer.")] = None,
    layers: Annotated[int | None, typer.Option("--layers", metavar="N", help="Hidden layers.")] = None,
    rotation: Annotated[
        bool | None, typer.Option("--rotation/--no-rotation", help="Learn a rotation for each sequence. By the preset.")
    ] = None,
    augment: Annotated[
        list[str] | None,
        typer.Option(
            "--augment",
            metavar="HOW",
            help="mirror (all 8 ways) or time (backwards): more shapes. May be repeated.",
        ),
    ] = None,
    mix: Annotated[
        float | None,
        typer.Option("--mix", metavar="PART", help="Share of the draws that are a blend of two sequences, 0 to 1."),
    ] = None,
    lr: Annotated[float | None, typer.Option("--lr", metavar="RATE", help="Learning rate of Adam.")] = None,
    batch_frames: Annotated[int | None, typer.Option("--batch-frames", metavar="N", help="Frames a step.")] = None,
    frame_points: Annotated[int | None, typer.Option("--frame-points", metavar="N", help="Points a frame.")] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", min=0, help="Seed of all that is drawn at random; 0 by default."),
    ] = None,
    device: Device = "auto",
    precision: Annotated[
        str,
        typer.Option("--precision", metavar="NAME", help="full, mixed (bfloat16), or auto: mixed where it is faster."),
    ] = "auto",
    memory_gb: Annotated[
        float, typer.Option("--memory-gb", metavar="GB", help="Memory for the points of the sequences.")
    ] = 1.0,
    checkpoint_minutes: Annotated[
        float, typer.Option("--checkpoint-minutes", metavar="MIN", help="Time between two checkpoints.")
    ] = 5.0,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="FILE|TEXT",
            help="Families: a file with a line for each sequence, folder for the names of their folders, or one text.",
        ),
    ] = None,
    spacing: Spacing = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in the folder.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the training in the folder.")] = False,
    tensorboard: Annotated[
        Path | None, typer.Option("--tensorboard", metavar="DIR", help="Folder for events that TensorBoard shows.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train a network on sequences of signed distances.

    The folder holds model.safetensors with its model.json, codes.csv (a row of numbers for each sequence), history.csv
    and checkpoint.safetensors. Ctrl-C saves; the same command with --resume goes on, with the settings that it began
    with. Under torchrun each process takes its share.

    Examples:
    cytoform neural train sequences --out run --minutes 10
    cytoform neural train sequences --out run --preset encoding
    cytoform neural train sequences --out run --preset media2024 --epochs 200 --augment mirror --augment time
    cytoform neural train deforming dividing --labels folder --out run
    torchrun --nproc-per-node 2 -m cytoform neural train sequences --out run
    """
    _check(
        {"--epochs": epochs, "--steps": steps, "--minutes": minutes}, memory_gb, checkpoint_minutes, resume, overwrite
    )
    files = sequence_files(sequences)
    if resume and not (out / "checkpoint.safetensors").is_file():
        raise FileFormatError(
            f"there is no checkpoint.safetensors in {out}; expected the folder of an interrupted training.",
            remedy="Pass that folder with --out, or leave --resume away to start anew.",
        )
    families = None if labels is None else _families(labels, files)
    from ...neural import train as run

    base = _stored(out) if resume and preset == "default" else preset
    config = _settings(
        base, layers, epochs=epochs, steps=steps, latent=latent, omega=omega, activation=activation, width=width,
        rotation=rotation, augment=tuple(augment) if augment else None, mix=mix, lr=lr, batch_frames=batch_frames,
        frame_points=frame_points, seed=seed,
    )  # fmt: skip
    with WorkBar("steps", quiet=quiet or not leads()) as bar:
        model = run(
            at_scale(files, spacing),
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
            progress=_shown(bar),
        )
    if leads():
        n = model.learned.originals
        write_codes(out / "codes.csv", model.learned.names[:n], model.learned.codes[:n].tolist())
        _tell(model, out)


def _check(
    lengths: dict[str, float | None], memory_gb: float, checkpoint_minutes: float, resume: bool, anew: bool
) -> None:
    if resume and anew:
        raise ConfigError("--overwrite and --resume came together; expected one of them.", remedy="Leave one away.")
    given = [name for name, value in lengths.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} came together; expected one of them.", remedy="Leave one away.")
    for name, value in (("--memory-gb", memory_gb), ("--checkpoint-minutes", checkpoint_minutes)):
        if not value > 0:
            raise ConfigError(f"{name} is {value:g}; expected a number above 0.")


def _families(text: str, files: list[Path]) -> list[str]:
    """``--labels``: a family's name for each sequence."""
    if text == "folder":
        return [path.resolve().parent.name for path in files]
    place = Path(text)
    if not place.is_file():
        if place.suffix or place.exists():
            raise FileFormatError(f"{place} does not exist or is not a file.", remedy="Check --labels.")
        return [text] * len(files)
    try:
        found = place.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{place} is not text: {error}.", remedy="Expected a label in each line.") from error
    if len(found) != len(files):
        raise ConfigError(
            f"{place} has {len(found)} lines; expected {len(files)}, one for each sequence.",
            remedy="Sequences count in the order of their names, folder by folder.",
        )
    return found


def _stored(out: Path) -> TrainConfig:
    """The settings that an interrupted training began with."""
    from ...neural import TrainConfig
    from ...neural.checkpoint import CHECKPOINT, read_checkpoint

    return TrainConfig.from_json(read_checkpoint(out / CHECKPOINT)[1]["config"])


def _settings(base: TrainConfig | str, layers: int | None, **given: Any) -> TrainConfig:
    """Settings, or a preset's, with what was given. With fewer layers the code enters those of its layers there are."""
    from ...neural import NetworkConfig
    from ...neural import preset as made
    from ...neural.config import changed

    changes = {name: value for name, value in given.items() if value is not None}
    if layers is not None:
        changes |= {"layers": layers, "latent_layers": [n for n in NetworkConfig().latent_layers if n <= layers]}
    return made(base, **changes) if isinstance(base, str) else changed(base, **changes)


def _shown(bar: WorkBar) -> Callable[[TrainProgress], None]:
    first: list[int] = []

    def show(now: TrainProgress) -> None:
        first.append(now.step - 1) if not first else None
        epoch = min(now.epoch + 1, now.epochs)
        note = f"loss {now.loss:.3g}"
        bar(now.step, now.total, f"epoch {epoch}/{now.epochs}", note=note, left=now.left, first=first[0])

    return show


def _tell(model: AutoDecoder, out: Path) -> None:
    loss, half = model.notes.get("loss"), model.space.half_um
    rows = [("model", repr(model))]
    if loss is not None:
        shown = f"{loss:.4g} in the files' unit" if half is None else f"{loss * half:.4g} µm"
        rows.append(("loss", f"{shown}, the mean error of the distances drawn in the last epoch"))
    steps, epochs = model.notes["steps_done"], model.notes["epochs_done"]
    done = f"{steps} step{'s'[: steps != 1]}, {epochs} whole epoch{'s'[: epochs != 1]}"
    rows.append(("time", f"{model.notes['seconds']:.0f} s, {done}"))
    echo_table(rows)
    typer.echo(f"The model is {out / 'model.safetensors'}")
    next_command("reconstruct", out, "--out", out / "reconstructed")
    next_command("generate", out, "-n", "10", "--out", out / "generated")
