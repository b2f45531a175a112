"""The result of a fit of points."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..._typing import Array, Floats
from ...atomic import write_text
from ...mesh.points import PointSet
from ...mesh.sources_io import write_points
from ...tables import csv_text, structured
from ..sources.page import write_page
from ..sources.result import SourcesResult

__all__ = ["PointsResult"]

_COLUMNS = {
    "point": int, "z_um": float, "y_um": float, "x_um": float, "brightness": float, "z_um_se": float, "y_um_se": float,
    "x_um_se": float, "brightness_se": float, "significance": float, "flags": str,
}  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class PointsResult(SourcesResult):
    """Points that were fitted to an image, with standard errors.

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
    positions : (n, 3) float64
        µm, (z, y, x).
    brightness : (n,) float64
        Total intensity of each: the sum over voxels of its image times the volume of a voxel.
    covariance : (n, 4, 4) float64
        Covariance of z, y, x and brightness of each point.
    flags : tuple of str
        What is doubtful about each point, words separated by spaces; "" for none: "border" (its image is cut off),
        "crowded" (another one is closer than the PSF's width at half maximum), "misfit" (the residual around it exceeds
        the noise; its standard errors are enlarged), "faint" (barely significant).
    """

    positions: Floats = dataclasses.field(default_factory=lambda: np.zeros((0, 3)))
    brightness: Floats = dataclasses.field(default_factory=lambda: np.zeros(0))
    covariance: Floats = dataclasses.field(default_factory=lambda: np.zeros((0, 4, 4)))
    flags: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.positions)

    @property
    def position_se(self) -> Floats:
        """Standard errors of the positions, (n, 3) µm."""
        found: Floats = np.sqrt(np.einsum("nkk->nk", self.covariance)[:, :3])
        return found

    @property
    def brightness_se(self) -> Floats:
        """Standard errors of the brightnesses, (n,)."""
        found: Floats = np.sqrt(self.covariance[:, 3, 3])
        return found

    @property
    def points(self) -> PointSet | None:
        """The points as an object that can be rendered; None where none was found."""
        return PointSet(self.positions, self.brightness) if len(self) else None

    def table(self) -> Array:
        """Return a row for each point: position, brightness, standard errors, significance and flags.

        Returns
        -------
        (n,) structured array
            Columns point, z_um, y_um, x_um, brightness, their standard errors (NAME_se), significance and flags.
        """
        errors = np.column_stack([self.position_se, self.brightness_se])
        rows: list[dict[str, Any]] = []
        for k in range(len(self)):
            numbers = [k, *self.positions[k], self.brightness[k], *errors[k], self.brightness[k] / errors[k, 3]]
            rows.append(dict(zip(_COLUMNS, [*numbers, self.flags[k]])))
        return structured(rows, _COLUMNS)

    def summary(self) -> dict[str, Any]:
        """Return the numbers of the fit as plain values, as ``fit.json`` has them.

        Returns
        -------
        dict of str to object
            With the number of points, and of those with a flag.
        """
        return {"kind": "points", "points": len(self), "flagged": sum(map(bool, self.flags)), **super().summary()}

    def warnings(self) -> tuple[str, ...]:
        """Return what to know before the points are used, a sentence each.

        Returns
        -------
        tuple of str
            Empty where nothing speaks against them.
        """
        none = () if len(self) else ("No point was found that stands out of the noise.",)
        return (*none, *super().warnings())

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write points.csv, points.vtp, rendered.tif, fit.json and report.html.

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
        write_text(made / "points.csv", csv_text(table.dtype.names or (), table.tolist()))
        if self.points is not None:
            errors = {f"{name}_se": self.position_se[:, k] for k, name in enumerate("zyx")}
            write_points(made / "points.vtp", self.points, {**errors, "brightness_se": self.brightness_se})
        else:
            (made / "points.vtp").unlink(missing_ok=True)
        headline = [(f"{len(self):,}", "", "points"), (f"{self.r2:.3f}".replace("nan", "–"), "", "R²")]
        write_page(made / "report.html", self, headline, points=self.positions)
        return made
