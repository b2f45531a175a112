"""The result of a fit of filaments."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..._typing import Array, Floats
from ...atomic import write_text
from ...mesh.filaments import Filaments
from ...mesh.sources_io import write_filaments
from ...tables import csv_text, structured
from ..sources.page import write_page
from ..sources.result import SourcesResult

__all__ = ["Branch", "FilamentsResult"]

_COLUMNS = {
    "branch": int, "length_um": float, "density": float, "density_se": float, "start": str, "end": str, "flags": str,
}  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Branch:
    """A filament from one free end or branching to the next.

    Parameters
    ----------
    places : (n, 3) float64
        Vertices along it, µm, (z, y, x).
    length : float
        Length in µm.
    density : float
        Mean intensity per µm.
    density_se : float
        Standard error of the mean intensity.
    ends : (str, str)
        What is at its two ends: "free", "branching", "border" (the image ends there) or "closed" (it is a loop).
    misfit : bool
        Whether the residual along it exceeds the noise.
    """

    places: Floats
    length: float
    density: float
    density_se: float
    ends: tuple[str, str]
    misfit: bool


@dataclasses.dataclass(frozen=True, eq=False)
class FilamentsResult(SourcesResult):
    """Filaments that were fitted to an image, with standard errors.

    Parameters
    ----------
    psf : PSF
        Point spread function, fitted or given.
    background : Volume
        Intensity without sources.
    light : Volume
        Image of the sources alone.
    noise : (float, float)
        Variance of the noise in the dark, and its growth per unit of light.
    settings : mapping
        Settings of the fit as plain values.
    image : Volume
        The measured image.
    measurement : Measurement
        Image, noise, background and PSF as the fit used them.
    seconds : float
        Time of the fit.
    filaments : Filaments or None
        The filaments; None where none was found.
    density_se : (m,) float64
        Standard error of each segment's density.
    vertex_se : (n, 3) float64
        Standard errors of the vertices, µm, (z, y, x); along a filament the prior alone holds a vertex.
    branches : tuple of Branch
        The filaments from end to end.
    """

    filaments: Filaments | None = None
    density_se: Floats = dataclasses.field(default_factory=lambda: np.zeros(0))
    vertex_se: Floats = dataclasses.field(default_factory=lambda: np.zeros((0, 3)))
    branches: tuple[Branch, ...] = ()

    def __len__(self) -> int:
        """Return the number of branches."""
        return len(self.branches)

    @property
    def length_um(self) -> float:
        """Length of all filaments, µm."""
        return 0.0 if self.filaments is None else self.filaments.length

    def table(self) -> Array:
        """Return a row for each branch: length, density, its standard error, ends and flags.

        Returns
        -------
        (n,) structured array
            Columns branch, length_um, density, density_se, start, end and flags.
        """
        rows: list[dict[str, Any]] = []
        for k, branch in enumerate(self.branches):
            flags = "misfit" if branch.misfit else ""
            values = [k, branch.length, branch.density, branch.density_se, *branch.ends, flags]
            rows.append(dict(zip(_COLUMNS, values)))
        return structured(rows, _COLUMNS)

    def summary(self) -> dict[str, Any]:
        """Return the numbers of the fit as plain values, as ``fit.json`` has them.

        Returns
        -------
        dict of str to object
            With the number of branches, and the length of all.
        """
        return {"kind": "filaments", "branches": len(self), "length_um": self.length_um, **super().summary()}

    def warnings(self) -> tuple[str, ...]:
        """Return what to know before the filaments are used, a sentence each.

        Returns
        -------
        tuple of str
            Empty where nothing speaks against them.
        """
        none = () if len(self) else ("No filament was found that stands out of the noise.",)
        return (*none, *super().warnings())

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write filaments.swc, filaments.vtp, branches.csv, rendered.tif, fit.json and report.html.

        Parameters
        ----------
        folder : path
            The folder, made if it is missing.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OutputError
            When a file cannot be written.
        """
        made, table = self._save_common(folder), self.table()
        write_text(made / "branches.csv", csv_text(table.dtype.names or (), table.tolist()))
        for name in ("filaments.swc", "filaments.vtp"):
            if self.filaments is None:
                (made / name).unlink(missing_ok=True)
            else:
                write_filaments(
                    made / name, self.filaments, {"density_se": self.density_se} if ".vtp" in name else None
                )
        headline = [
            (f"{self.length_um:.4g}", "µm", "length of all"), (f"{len(self):,}", "", "branches"),
            (f"{self.r2:.3f}".replace("nan", "–"), "", "R²"),
        ]  # fmt: skip
        write_page(made / "report.html", self, headline, lines=[branch.places for branch in self.branches])
        return made
