"""Write the folder of a result, and read it."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._typing import Array
from ..atomic import ensure_folder, write_text
from ..errors import OutputError
from ..image.io import read_volume, write_volume
from ..image.volume import Volume
from ..mesh.protocol import Mesh
from ..optics import psf_from_description
from ..report import ReportData, write_report
from .bodies import body_class
from .config import FitConfig
from .file_errors import as_file_format_error

if TYPE_CHECKING:
    from .result import FitResult

__all__ = ["check_output_folder", "load_result", "report_data", "save_result"]

ERROR_NOTE = (
    "± is one standard error, from noise and from what the model leaves unexplained. Errors that the fit has taken up "
    "without a trace, such as a wrong voxel size or the thickness of the membrane, are not included."
)
NEIGHBOUR_LIGHT_FILE = "surroundings.tif"
PSF_FILE = "psf.json"  # where a PSF is whole that fit.json has in brief


def check_output_folder(folder: Path, *, overwrite: bool, resume: bool) -> None:
    """Check that a result folder is new or empty.

    Parameters
    ----------
    folder : Path
        The folder.
    overwrite : bool
        Whether it may contain something.
    resume : bool
        Whether a fit is to be resumed from it, so that it has to contain a checkpoint.

    Raises
    ------
    OutputError
        If it contains something and neither `overwrite` nor `resume` is set, or has no checkpoint to resume from.
    """
    if resume and not (folder / "checkpoint.h5").is_file():
        raise OutputError(
            f"there is no checkpoint.h5 in {folder}; expected the folder of an interrupted fit.",
            remedy="Pass that folder with --out, or omit --resume to start anew.",
        )
    if not (overwrite or resume) and folder.is_dir() and any(folder.iterdir()):
        raise OutputError(
            f"the result folder {folder} exists and is not empty.",
            remedy="Choose another one with --out, or pass --overwrite, or --resume to go on with an interrupted fit "
            "(out=, overwrite=True, resume=True in Python).",
        )


def save_result(
    result: FitResult, folder: str | os.PathLike[str], truth: Mesh | None = None, notes: tuple[str, ...] = ()
) -> Path:
    """Write a result's files into a folder, the surface and its numbers first, and return the folder.

    Each file is written whole or not at all. Files of an earlier result that this one does not have (light of
    neighbours, full PSF) are removed.

    Parameters
    ----------
    result : FitResult
        The result.
    folder : path
        The folder, made if it is missing.
    truth : Mesh, optional
        Known surface of a simulation, shown in the report.
    notes : tuple of str
        Remarks on top of the report.
    """
    folder = ensure_folder(folder)
    result.body.write(result.mesh, folder, result.at_vertices())
    write_text(folder / "fit.json", json.dumps(result.summary(), indent=2, allow_nan=False) + "\n")
    if result.psf.brief() != result.psf.describe():  # too large to be read by people
        write_text(folder / PSF_FILE, json.dumps(result.psf.describe()) + "\n")
    else:
        (folder / PSF_FILE).unlink(missing_ok=True)
    write_text(folder / "history.csv", _history_csv(result))
    grid = result.model
    write_volume(folder / "mask.tif", Volume(result.mask.astype(np.uint8), grid.spacing, grid.origin))
    write_volume(folder / "rendered.tif", result.model)
    if result.surroundings is not None:
        write_volume(folder / NEIGHBOUR_LIGHT_FILE, result.surroundings)
    else:
        (folder / NEIGHBOUR_LIGHT_FILE).unlink(missing_ok=True)  # of an earlier fit
    if result.image is not None:
        write_report(report_data(result, result.image, truth, (*notes, *result.warnings())), folder / "report.html")
    return folder


def report_data(result: FitResult, image: Volume, truth: Mesh | None = None, notes: tuple[str, ...] = ()) -> ReportData:
    """Gather what the report of a result shows.

    Parameters
    ----------
    result : FitResult
        The result.
    image : Volume
        The measured image.
    truth : Mesh, optional
        Known surface of a simulation.
    notes : tuple of str
        Remarks on top of the report.
    """
    return ReportData(
        title=image.name or "fit",
        image=image,
        model=result.whole_model,
        mesh=result.mesh,
        psf=result.psf,
        history=result.history,
        headline=_headline(result),
        table=result.table(),
        table_note="" if result.uncertainty is None else ERROR_NOTE,
        about=result.about(),
        stop_reason=result.stop_reason,
        roi=result.roi,
        measured=result.measured,
        start=result.start,
        truth=truth,
        notes=notes,
        quality=result.quality,
        reasons=result.reasons,
        maps=result.maps(),
    )


def _headline(result: FitResult) -> list[tuple[float | str, str, str]]:
    """Return the numbers on top of the report, each with unit and name: volume, area, sphericity, R² and PSF widths."""
    widths = ", ".join(f"{width:.2f}" for width in result.psf.fwhm)
    return [
        (abs(result.volume_um3), "µm³", "volume"),
        (result.area_um2, "µm²", "area"),
        (f"{result.sphericity:.3f}", "", "sphericity"),
        (f"{result.r2:.3f}".replace("nan", "–"), "", "R² within 1 µm of the cell"),
        (widths, "µm", "PSF FWHM (z, y, x)"),
    ]


def _history_csv(result: FitResult) -> str:
    """Return the history as the text of a CSV file: a header and a row for each step."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(result.history)
    for row in zip(*result.history.values()):
        writer.writerow([v if isinstance(v, str) else repr(v.item()) for v in row])
    return out.getvalue()


def load_result(folder: str | os.PathLike[str]) -> FitResult:
    """Read a result from its folder, without the measured image and what was derived from it.

    Parameters
    ----------
    folder : path
        Folder that :meth:`FitResult.save` wrote.

    Returns
    -------
    FitResult
        The result; `image`, `roi`, `start`, `measured` and `uncertainty` are None.

    Raises
    ------
    FileFormatError
        If a file is missing or damaged.
    """
    folder = Path(folder)
    remedy = "It is made by `cytoform fit` or FitResult.save, and holds fit.json and history.csv."
    with as_file_format_error(f"{folder} cannot be read as a result of a fit", remedy):
        saved = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
        config = FitConfig.from_dict(saved["config"])
        psf = psf_from_description(_full_psf_description(saved["psf"], folder))
        history = _read_history(folder / "history.csv")
        known = {name: saved[name] for name in ("gain", "background", "stop_reason", "iterations", "seconds")}
    mesh = body_class(saved.get("body", "surface")).read(folder)
    size = saved.get("spacing_um")
    model = read_volume(folder / "rendered.tif", spacing=size)
    light = (
        read_volume(folder / NEIGHBOUR_LIGHT_FILE, spacing=size) if (folder / NEIGHBOUR_LIGHT_FILE).exists() else None
    )
    from .result import FitResult

    return FitResult(
        mesh, psf, history=history, config=config, model=model, surroundings=light, saved=saved,
        inputs=saved.get("inputs", {}),
        evaluations=saved.get("evaluations", 0), **known,
    )  # fmt: skip


def _full_psf_description(brief: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a PSF's full description from ``psf.json``, or `brief` if that file is missing or of another PSF.

    `brief` is the description in ``fit.json``.
    """
    if not (folder / PSF_FILE).is_file():
        return brief
    whole = json.loads((folder / PSF_FILE).read_text(encoding="utf-8"))
    same = whole.get("kind") == brief.get("kind") and psf_from_description(whole).brief() == brief
    return whole if same else brief  # an earlier fit may have left one there


def _read_history(path: Path) -> dict[str, Array]:
    """Read the history's columns by name from its CSV file: int for iteration and stage, text for kind, float else."""
    with path.open(newline="", encoding="utf-8") as file:
        names, *rows = csv.reader(file)
    columns: dict[str, Array] = {}
    for name, values in zip(names, zip(*rows) if rows else [()] * len(names)):
        kind = str if name == "kind" else int if name in ("iteration", "stage") else float
        columns[name] = np.array([kind(v) for v in values])
    return columns
