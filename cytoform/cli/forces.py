"""``cytoform forces``: relative tensions and pressures of touching cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError, FileFormatError
from .console import check_empty, echo_table, result_folder

if TYPE_CHECKING:
    from ..mechanics import Forces
    from ..mesh import MultiMaterialMesh

__all__ = ["forces"]

_SURFACES = ("mesh.vtp", "mesh.ply", "mesh.rec")  # of a run's folder, the first that is there
_LISTED = 40  # most tensions on the terminal


def forces(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_MESH",
            help="Folder of a run with a mesh of touching cells, or a mesh file with region labels (.rec, .vtp, .ply).",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Result folder; by default forces beside the mesh."),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(
            metavar="UM",
            min=0.0,
            help="Length in µm over which forces are balanced, several times the image's resolution; 0 for the angles "
            "between single faces. By default 12 edge lengths, at most a cell's radius.",
        ),
    ] = None,
    passive: Annotated[
        str,
        typer.Option(metavar="N,N,…", help="Regions without equations, such as eggshell or lumen; 0 for the outside."),
    ] = "",
    no_robust: Annotated[
        bool, typer.Option("--no-robust", help="Plain least squares: places with large residuals keep their weight.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files of an earlier result.")] = False,
) -> None:
    """Infer tensions of interfaces and pressures of cells from the shape of touching cells.

    Tensions are relative to their mean, pressures to the outside. The result folder holds tensions.csv, pressures.csv,
    forces.vtp (tension on the faces, for ParaView) and forces.html (a report with a map of unbalanced forces).

    Examples:
    cytoform forces cells.rec
    cytoform forces run/ --scale 2.5 --passive 0 --out run/forces
    """
    from ..mechanics import forces as infer

    path = _mesh_path(run)
    folder = path.parent / "forces" if out is None else out
    check_empty(folder, overwrite=overwrite)
    mesh = _read_cells(path)
    found = infer(mesh, scale=scale, passive=_region_numbers(passive), robust=not no_robust)
    with result_folder(folder):
        found.save(folder)
    echo_table(_rows(found))
    for text in found.warnings:
        typer.echo(text)
    typer.echo(f"{folder}: tensions.csv, pressures.csv, forces.vtp, forces.html")


def _mesh_path(run: Path) -> Path:
    """Return the mesh of a run's folder, or the path itself where it is none; raise FileFormatError without a mesh."""
    if not run.is_dir():
        return run
    for name in _SURFACES:
        if (run / name).is_file():
            return run / name
    raise FileFormatError(
        f"{run} holds no mesh; expected one of {', '.join(_SURFACES)}.",
        remedy="Give a run's folder or a mesh file with region labels.",
    )


def _read_cells(path: Path) -> MultiMaterialMesh:
    """Return the touching cells of a file; raise FileFormatError for a mesh without region labels."""
    from ..mesh import MultiMaterialMesh
    from ..mesh.io import read_mesh

    mesh = read_mesh(path)
    if not isinstance(mesh, MultiMaterialMesh):
        raise FileFormatError(
            f"{path} is one surface without region labels; expected touching cells.",
            remedy="Give a .rec file, or a .vtp or .ply file with two labels a face.",
        )
    return mesh


def _region_numbers(text: str) -> list[int]:
    """Return the numbers in a list such as "3,7"; raise ConfigError for anything else."""
    words = [word for word in text.replace(",", " ").split() if word]
    if not all(word.isdigit() for word in words):
        raise ConfigError(f"--passive is {text!r}; expected numbers of regions with commas between, such as 3,7.")
    return [int(word) for word in words]


def _rows(found: Forces) -> list[tuple[str, str]]:
    """Return the rows of the table on the terminal: verdict, tensions and pressures with their standard errors."""
    rows = [("quality", found.quality)]
    for (i, j), value in list(found.tensions.items())[:_LISTED]:
        text = f"{value:.4g} ± {found.standard_errors[i, j]:.2g}" if value == value else found.reasons[i, j]
        rows.append((f"tension {i}–{j}", text))
    if len(found.tensions) > _LISTED:
        rows.append(("", f"and {len(found.tensions) - _LISTED} more in tensions.csv"))
    for region, value in list(found.pressures.items())[:_LISTED]:
        text = f"{value:.4g} ± {found.standard_errors[region]:.2g} / µm" if value == value else found.reasons[region]
        rows.append((f"pressure {region}", text))
    return rows
