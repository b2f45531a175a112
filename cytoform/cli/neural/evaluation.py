"""``cytoform neural evaluate``: comparison of generated or reconstructed shapes with real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..._typing import Triple
from ...errors import ConfigError, FileFormatError
from ..console import ProgressBar, check_empty, result_folder
from .codes import read_codes

__all__ = ["evaluate"]


def evaluate(
    real: Annotated[
        Path, typer.Argument(metavar="REAL", help="The folder of the real sequences (HDF5 files), or one file.")
    ],
    made: Annotated[
        list[str],
        typer.Argument(
            metavar="MADE", help="Folders of the sequences to compare with them: DIR, or NAME=DIR to name the set."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Result folder.")] = Path("evaluation"),
    paired: Annotated[
        list[str] | None,
        typer.Option(
            "--paired",
            "-p",
            metavar="NAME",
            help="Name of a set of reconstructions, one for each real sequence, of the same name or in the same order; "
            "their overlap is measured. May be repeated.",
        ),
    ] = None,
    spacing: Annotated[
        Triple | None,
        typer.Option(
            "--spacing", metavar="Z Y X", help="Voxel size in µm along z, y and x of sequences whose files have none."
        ),
    ] = None,
    codes: Annotated[
        list[str] | None,
        typer.Option(
            "--codes",
            metavar="FILE",
            help="File of latent codes (.csv or .npy), such as the codes.csv of a training: FILE, or NAME=FILE for the "
            "set NAME. May be repeated.",
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="Text file with the family of each sequence in --codes, one a line: FILE or NAME=FILE.",
        ),
    ] = None,
    speck: Annotated[
        float,
        typer.Option(
            metavar="PART",
            help="Smallest connected component that counts as a cell, as a fraction of the volume of all in its frame.",
        ),
    ] = 0.02,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the t-SNE map of the codes.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into the folder even if it is not empty.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress bar.")] = False,
) -> None:
    """Compare generated or reconstructed cells with real ones.

    Volume, surface area and sphericity over time are compared by statistical tests; for reconstructions the overlap is
    measured, and latent codes are mapped to the plane. The result folder holds the report (report.html), its figures
    (PNG) and the tables frames.csv, sequences.csv, tests.csv and overlap.csv.

    Examples:
    cytoform neural evaluate real generated
    cytoform neural evaluate real run/reconstructed run/generated --paired reconstructed --out evaluation
    cytoform neural evaluate real new=run/out --codes new=codes.npy --labels new=families.txt
    """
    sets = _named_folders(real, made)
    check_empty(out, overwrite=overwrite)
    latent = _read_per_set(codes, list(sets), read_codes, "--codes")
    families = _read_per_set(labels, list(sets), _read_labels, "--labels")
    if families is not None and latent is None:
        raise ConfigError(
            "--labels was given without --codes; it holds the families of the codes.", remedy="Pass --codes FILE."
        )
    from ...compare import evaluate as run

    name, *_ = sets
    with result_folder(out), ProgressBar("sequences", quiet=quiet) as bar:
        found = run(
            sets[name],
            {k: v for k, v in sets.items() if k != name},
            out,
            codes=latent,
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
    typer.echo(f"The report is {out / 'report.html'}")


def _named_folders(real: Path, made: list[str]) -> dict[str, Path]:
    """Return the paths of the sets by name, the real one first; a set without NAME= is named for its folder or file.

    Raises ConfigError if two sets have the same name.
    """
    sets = {"real": real}
    for text in made:
        name, path_text = _split_name(text)
        path = Path(path_text)
        name = name or (path.resolve().stem if path.is_file() else path.resolve().name)
        if name in sets:
            raise ConfigError(f"two sets are called {name!r}.", remedy="Name them: NAME=DIR.")
        sets[name] = path
    return sets


def _split_name(text: str) -> tuple[str, str]:
    """Return name and path of a text NAME=PATH; the name is "" without "=", or if the text is an existing path."""
    name, equals, path = text.partition("=")
    return (name, path) if equals and not Path(text).exists() else ("", text)


def _read_per_set(texts: list[str] | None, sets: list[str], read: Any, option: str) -> Any:
    """Return what `read` returns for one FILE, or a dictionary of it by set for NAME=FILE; None without texts.

    Raises ConfigError if NAME is not one of `sets`; the message names the `option`.
    """
    if not texts:
        return None
    parts = [_split_name(text) for text in texts]
    if len(parts) == 1 and not parts[0][0]:
        return read(Path(parts[0][1]))
    for name, path in parts:
        if name not in sets:
            raise ConfigError(f"{option} is {name or path!r}; expected NAME=FILE, with NAME one of {', '.join(sets)}.")
    return {name: read(Path(path)) for name, path in parts}


def _read_labels(path: Path) -> list[str]:
    """Return the lines of a text file; raise FileFormatError if there is no such file or it is not UTF-8."""
    if not path.is_file():
        raise FileFormatError(f"{path} does not exist or is not a file.", remedy="Check --labels.")
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} is not text: {error}.", remedy="Expected a label in each line.") from error
