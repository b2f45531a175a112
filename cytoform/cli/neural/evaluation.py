"""``cytoform neural evaluate``: made shapes against real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..._typing import Triple
from ...errors import ConfigError, FileFormatError
from ..console import WorkBar, check_empty, result_folder
from .codes import read_codes

__all__ = ["evaluate"]


def evaluate(
    real: Annotated[Path, typer.Argument(metavar="REAL", help="Folder of the real sequences (HDF5), or one file.")],
    made: Annotated[
        list[str], typer.Argument(metavar="MADE", help="Folders of made sequences: DIR, or NAME=DIR to name it.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Result folder.")] = Path("evaluation"),
    paired: Annotated[
        list[str] | None,
        typer.Option(
            "--paired",
            "-p",
            metavar="NAME",
            help="A set of reconstructions: one for each real sequence, of "
            "the same name or in the same order. May be repeated.",
        ),
    ] = None,
    spacing: Annotated[
        Triple | None,
        typer.Option("--spacing", metavar="Z Y X", help="Voxel size in µm of sequences that carry none."),
    ] = None,
    codes: Annotated[
        list[str] | None,
        typer.Option(
            "--codes",
            metavar="FILE",
            help="Latent codes, such as the codes.csv of a training (.csv or .npy): FILE, or NAME=FILE for a set. May "
            "be repeated.",
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--labels", metavar="FILE", help="Families of the codes, a line a sequence: FILE or NAME=FILE."),
    ] = None,
    speck: Annotated[
        float, typer.Option(metavar="PART", help="Components with less than this part of a frame are no cells.")
    ] = 0.02,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of t-SNE.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Use the folder though it is not empty.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Compare made shapes with real ones.

    Volume, surface and sphericity in time, tests, overlap, latent codes. The result folder holds
    report.html, its figures as PNG, and frames.csv, sequences.csv, tests.csv and overlap.csv.

    Examples:
    cytoform neural evaluate real generated
    cytoform neural evaluate real run/reconstructed run/generated --paired reconstructed --out evaluation
    cytoform neural evaluate real new=run/out --codes new=codes.npy --labels new=families.txt
    """
    sets = _named_folders(real, made)
    check_empty(out, overwrite=overwrite)
    given = _per_set(codes, list(sets), read_codes, "--codes")
    families = _per_set(labels, list(sets), _read_labels, "--labels")
    if families is not None and given is None:
        raise ConfigError("--labels came without codes; they are labels of codes.", remedy="Pass --codes FILE.")
    from ...compare import evaluate as run

    name, *_ = sets
    with result_folder(out), WorkBar("sequences", quiet=quiet) as bar:
        found = run(
            sets[name],
            {k: v for k, v in sets.items() if k != name},
            out,
            codes=given,
            labels=families,
            names=(name, ""),
            paired=set(paired or ()),
            spacing=spacing,
            speck=speck,
            seed=seed,
            progress=bar,
        )
    for line in (*found.notes, found.summary):
        typer.echo(line)
    typer.echo(f"Look at {out / 'report.html'}")


def _named_folders(real: Path, made: list[str]) -> dict[str, Path]:
    """The sets, the real one first; each has the name that was given, or that of its folder."""
    sets = {"real": real}
    for text in made:
        name, place = _split(text)
        path = Path(place)
        name = name or (path.resolve().stem if path.is_file() else path.resolve().name)
        if name in sets:
            raise ConfigError(f"two sets are called {name!r}.", remedy="Name them: NAME=DIR.")
        sets[name] = path
    return sets


def _split(text: str) -> tuple[str, str]:
    """NAME=PATH as its two parts; the name is "" where there is none, or where all of it is a path that exists."""
    name, equals, path = text.partition("=")
    return (name, path) if equals and not Path(text).exists() else ("", text)


def _per_set(given: list[str] | None, sets: list[str], read: Any, option: str) -> Any:
    """The content of FILE, or a dict of NAME=FILE; None where nothing is given."""
    if not given:
        return None
    parts = [_split(text) for text in given]
    if len(parts) == 1 and not parts[0][0]:
        return read(Path(parts[0][1]))
    for name, place in parts:
        if name not in sets:
            raise ConfigError(f"{option} is {name or place!r}; expected NAME=FILE, with NAME one of {', '.join(sets)}.")
    return {name: read(Path(place)) for name, place in parts}


def _read_labels(path: Path) -> list[str]:
    if not path.is_file():
        raise FileFormatError(f"{path} does not exist or is not a file.", remedy="Check --labels.")
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} is not text: {error}.", remedy="Expected a label in each line.") from error
