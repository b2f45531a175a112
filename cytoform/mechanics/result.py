"""What :func:`cytoform.forces` returns: tensions, pressures, their errors, residuals, tables and files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from .._typing import Array, Floats, PathLike
from ..atomic import ensure_folder, write_text
from ..mesh.io import write_mesh
from ..mesh.junctions import find_junctions, interface_numbers
from ..mesh.multimaterial import MultiMaterialMesh
from ..tables import csv_text, structured

__all__ = ["Forces"]

_LARGE_CONDITION = 1e4  # from here on tensions hang together: ratios of groups of interfaces are poorly known
_LARGE_RESIDUAL = 0.2  # median unbalanced force over the mean tension, from which equilibrium is in doubt

_TENSIONS = {"region1": int, "region2": int, "tension": float, "tension_se": float, "area_um2": float}
_TENSIONS |= {"residual": float, "reason": str}
_PRESSURES = {"region": int, "pressure": float, "pressure_se": float, "volume_um3": float, "reason": str}


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Forces:
    """Relative tensions of interfaces and relative pressures of cells, in units of the mean tension.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The cells.
    tensions : dict of (int, int) to float
        Tension of the interface between regions i < j (0 the outside); their mean is 1. NaN where it cannot be told.
    pressures : dict of int to float
        Pressure of each region less that outside, in mean tensions per µm. NaN where it cannot be told.
    standard_errors : dict of (int, int) or int to float
        Standard errors of the tensions, by pair, and of the pressures, by region.
    reasons : dict of (int, int) or int to str
        Why a tension or a pressure is NaN.
    vertex_residuals : (n_vertices,) float64
        Force that stays unbalanced about each vertex as a multiple of the mean tension; NaN without an equation.
    scale : float
        Length in µm over which forces were balanced; 0 for single faces.
    condition : float
        Condition number of the equations, infinite where they leave a combination open.
    reference : int
        Region with pressure 0: the outside, 0, or a cell where no face to the outside has an equation.
    keys : tuple of (int, int) or int
        What the rows of `covariance` stand for: pairs, then regions.
    covariance : (n, n) float64
        Covariance of tensions and pressures.
    """

    mesh: MultiMaterialMesh
    tensions: dict[tuple[int, int], float]
    pressures: dict[int, float]
    standard_errors: dict[tuple[int, int] | int, float]
    reasons: dict[tuple[int, int] | int, str]
    vertex_residuals: Floats
    scale: float
    condition: float
    reference: int
    keys: tuple[tuple[int, int] | int, ...]
    covariance: Floats

    @property
    def face_tensions(self) -> Floats:
        """Tension of the interface of every face, (n_faces,); NaN where it cannot be told."""
        pairs, numbers = interface_numbers(self.mesh.labels)
        values = np.array([self.tensions[int(i), int(j)] for i, j in pairs], dtype=np.float64)
        return np.asarray(values[numbers])

    @property
    def junction_residuals(self) -> tuple[Array, Floats]:
        """Vertices on junction lines, (n,), and the force that stays unbalanced there over the mean tension, (n,)."""
        at = np.flatnonzero(find_junctions(self.mesh.faces, self.mesh.n_vertices).degree > 0)
        return at, self.vertex_residuals[at]

    @property
    def interface_residuals(self) -> dict[tuple[int, int], float]:
        """Root mean square of the unbalanced force over each interface, by pair; NaN where it has no equation."""
        pairs, numbers = interface_numbers(self.mesh.labels)
        squares = (self.vertex_residuals[self.mesh.faces] ** 2).mean(axis=1)
        weight = np.where(np.isfinite(squares), self.mesh.face_areas, 0.0)
        total = np.bincount(numbers, weight, len(pairs))
        sums = np.bincount(numbers, weight * np.nan_to_num(squares), len(pairs))
        found = np.sqrt(np.divide(sums, total, out=np.full(len(pairs), np.nan), where=total > 0))
        return {(int(i), int(j)): float(value) for (i, j), value in zip(pairs, found)}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What speaks against the result, in sentences; empty where nothing does."""
        return tuple(_warnings(self))

    @property
    def quality(self) -> str:
        """Verdict: "good", "check" where there are warnings, "failed" where no tension can be told."""
        if not np.isfinite(list(self.tensions.values())).any():
            return "failed"
        return "check" if self.warnings else "good"

    def table(self) -> Array:
        """Return a row for each interface, in ascending order of the regions.

        Returns
        -------
        (n_interfaces,) structured array
            Fields region1, region2, tension, tension_se, area_um2, residual (root mean square of the unbalanced force)
            and reason (why there is no tension).
        """
        pairs, numbers = interface_numbers(self.mesh.labels)
        areas = np.bincount(numbers, self.mesh.face_areas, len(pairs))
        residuals = self.interface_residuals
        rows = []
        for (i, j), area in zip(pairs.tolist(), areas.tolist()):
            pair = (i, j)
            error, why = self.standard_errors[pair], self.reasons.get(pair, "")
            cells = (i, j, self.tensions[pair], error, area, residuals[pair], why)
            rows.append(dict(zip(_TENSIONS, cells)))
        return structured(rows, _TENSIONS)

    def pressure_table(self) -> Array:
        """Return a row for each region, in ascending order.

        Returns
        -------
        (n_regions,) structured array
            Fields region, pressure, pressure_se, volume_um3 and reason (why there is no pressure).
        """
        volumes = self.mesh.region_volumes()
        rows = [
            dict(zip(_PRESSURES, (r, p, self.standard_errors[r], volumes[r], self.reasons.get(r, ""))))
            for r, p in self.pressures.items()
        ]
        return structured(rows, _PRESSURES)

    def save(self, folder: PathLike) -> Path:
        """Write the tables tensions.csv and pressures.csv, the surface forces.vtp and the page forces.html.

        Parameters
        ----------
        folder : path
            Folder of the files; it is made where it does not exist. Files of these names are replaced.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OutputError
            When the folder or a file cannot be written.
        """
        from .page import forces_html

        found = ensure_folder(folder)
        for name, table in (("tensions.csv", self.table()), ("pressures.csv", self.pressure_table())):
            write_text(found / name, csv_text(table.dtype.names or (), table.tolist()))
        residuals = {"residual": self.vertex_residuals}
        write_mesh(found / "forces.vtp", self.mesh, residuals, face_data={"tension": self.face_tensions})
        write_text(found / "forces.html", forces_html(self))
        return found


def _warnings(found: Forces) -> list[str]:
    """Return sentences on what speaks against a result."""
    texts = []
    open_pairs = [key for key in found.tensions if "no equation" not in found.reasons.get(key, "no equation")]
    if open_pairs:
        names = ", ".join(f"{i}–{j}" for i, j in open_pairs[:8]) + (" …" if len(open_pairs) > 8 else "")
        texts.append(f"{len(open_pairs)} of {len(found.tensions)} tensions cannot be told: {names}.")
    if found.condition > _LARGE_CONDITION:
        number = f"{found.condition:.1g}"
        texts.append(f"The junctions determine some combinations poorly: condition number {number}.")
    negative = [pair for pair, value in found.tensions.items() if value < 0]
    if negative:
        names = ", ".join(f"{i}–{j}" for i, j in negative)
        texts.append(f"Negative tensions ({names}) contradict equilibrium: look at the residuals.")
    residual = float(np.nanmedian(found.vertex_residuals)) if np.isfinite(found.vertex_residuals).any() else 0.0
    if residual > _LARGE_RESIDUAL:
        texts.append(f"Forces stay unbalanced by {residual:.2g} mean tensions (median): is this an equilibrium?")
    return texts
