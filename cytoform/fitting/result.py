"""The result of a fit: surface, optics, measures of their quality, and files of all that."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .._typing import Array, Bools, Floats
from ..image.volume import Volume
from ..mesh.curvature import curvatures
from ..mesh.geometry import mean_at_vertices
from ..mesh.protocol import Mesh
from ..mesh.topology import edge_lengths
from ..metrics.image import r2 as r_squared
from ..metrics.image import region_of_r2
from ..metrics.shape import sphericity
from ..optics import PSF
from .bodies import Body, body_class_of
from .bodies.measures import Measure
from .brightness import density_range, filling_of
from .config import FitConfig
from .intervals import confidence_interval
from .numbers import numbers
from .result_warnings import result_warnings
from .saving import load_result, save_result
from .uncertainty import Uncertainty
from .verdict import Quality, Verdict, verdict_of

__all__ = ["FitResult", "load_result"]


@dataclasses.dataclass(frozen=True, eq=False)
class FitResult:
    """The result of a fit: a surface, the optics, the model of the image, and how they were reached.

    Parameters
    ----------
    mesh : Mesh
        Fitted surface, µm, (z, y, x), with the density of its staining.
    psf : PSF
        Fitted PSF.
    gain, background : float
        The image is modelled as gain · rendering + background.
    history : dict of str to array
        Columns, (n_rows,) each: iteration, stage, kind ("shape" or "psf"), loss, r2, gain, background, step_um,
        seconds.
    stop_reason : str
        Why the fit ended, in words.
    iterations : int
        Shape steps done.
    seconds : float
        Run time, s, over all interruptions: the search for a start, the steps, the last rendering and the standard
        errors. Reading the image and writing files are not in it.
    config : FitConfig
        Settings of the fit.
    model : Volume
        Gain · rendering + background on the image's grid, float32: the cell alone.
    surroundings : Volume or None
        Modelled light of neighbours on the same grid; None if there are no bright ones.
    image : Volume or None
        Measured image; None in a loaded result.
    roi : (z, y, x) bool or None
        Region of interest of the last stage; None in a loaded result.
    start : Mesh or None
        Start of the surface; None in a loaded result.
    evaluations : int
        Evaluations of the loss with its gradient, of shape and PSF.
    uncertainty : Uncertainty or None
        Standard errors; None if they were not computed, or in a loaded result.
    saved : dict or None
        Content of ``fit.json`` in a loaded result, else None.
    measured : (z, y, x) bool or None
        Voxels that the microscope measured; None if no others are filled with a constant (deskewed stacks), or in a
        loaded result.
    inputs : mapping
        Inputs of the fit: image, region, label, start and PSF, with the paths of files.
    remarks : tuple of str
        Warnings about the start and the inputs, a sentence each; empty in a loaded result (see :meth:`warnings`).
    touching_cells : int
        Cells in contact that were counted in the image; 0 if the cell was outlined by the user.
    stability : float, optional
        Mean distance, in voxels, between the surface and one that was fitted to half of the slices.
    """

    mesh: Mesh
    psf: PSF
    gain: float
    background: float
    history: dict[str, Array]
    stop_reason: str
    iterations: int
    seconds: float
    config: FitConfig
    model: Volume
    surroundings: Volume | None = None
    image: Volume | None = None
    roi: Bools | None = None
    start: Mesh | None = None
    evaluations: int = 0
    uncertainty: Uncertainty | None = None
    saved: dict[str, Any] | None = None
    measured: Bools | None = None
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    touching_cells: int = 0
    stability: float | None = None

    def __repr__(self) -> str:
        """Return the main numbers on one line."""
        size = f"{self.volume_um3:.4g} µm³, {self.area_um2:.4g} µm², R² {self.r2:.3f}"
        return f"FitResult({size}, {self.mesh.n_vertices} vertices; {self.stop_reason})"

    @cached_property
    def verdict(self) -> Verdict:
        """What the surface is worth, and why; that of ``fit.json`` in a loaded result."""
        return verdict_of(self)

    @property
    def quality(self) -> Quality:
        """Verdict in a word: "good", "check" (look at it before you rely on it) or "failed"."""
        return self.verdict.quality

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against the surface, worst first: sentences with numbers and the remedy. Empty if it is good."""
        return self.verdict.reasons

    @cached_property
    def mask(self) -> Bools:
        """Voxels whose centre is inside the surface, on the image's grid, (z, y, x) bool."""
        return self.body.voxels(self.mesh, self.model.grid)

    @property
    def body(self) -> type[Body[Any]]:
        """The class of bodies (:class:`.Body`) for this kind of mesh."""
        return body_class_of(self.mesh)

    @cached_property
    def _measures(self) -> Mapping[str, Measure]:
        """Volume and area of the mesh with their gradients."""
        return self.body.measures(self.mesh)

    @cached_property
    def r2(self) -> float:
        """R² = 1 - Σ (I - M)² / Σ (I - Ī)² over the voxels inside the surface or within 1 µm of it, in raw intensities.

        I is the image, Ī its mean over these voxels, and M the model of the image: the cell's and, if there are bright
        neighbours, the light that comes from them. Voxels that were not measured are left out. A loaded result gives
        the stored value; NaN if no voxel is left or no value was stored.
        """
        return self._r2("r2", self.whole_model)

    @cached_property
    def r2_cell(self) -> float:
        """R² of the cell's model alone, over the voxels of :attr:`r2`: light of neighbours counts as unexplained."""
        return self._r2("r2_cell", self.model.data)

    def _r2(self, name: str, model: Array) -> float:
        """Return R² of a model, (z, y, x), within 1 µm of the cell; in a loaded result the stored value `name`.

        NaN if no voxel lies there or no value was stored.
        """
        if self.image is None:
            value = (self.saved or {}).get(name)
            return float("nan") if value is None else float(value)
        region = region_of_r2(self.mask, self.image.spacing) if self.mask.any() else self.mask
        region = region if self.measured is None else region & self.measured
        return r_squared(self.image.data, model, region) if region.any() else float("nan")

    @property
    def whole_model(self) -> Array:
        """Model of the image, (z, y, x), in its unit: gain · rendering + background, plus the light of neighbours."""
        return self.model.data if self.surroundings is None else self.model.data + self.surroundings.data

    @property
    def volume_um3(self) -> float:
        """Enclosed volume, µm³."""
        return self._measures["volume_um3"].value

    @property
    def area_um2(self) -> float:
        """Area of the surface, µm²."""
        return self._measures["area_um2"].value

    @property
    def sphericity(self) -> float:
        """Wadell's sphericity, π^(1/3) (6 V)^(2/3) / A: 1 for a sphere."""
        return sphericity(self.volume_um3, self.area_um2)

    @property
    def filling(self) -> float | None:
        """Brightness inside a filled body, over the background, in the image's intensities; None for a membrane."""
        return filling_of(self.mesh, self.gain)

    @property
    def density_range(self) -> tuple[float, float]:
        """5th and 95th percentile of the staining over its mean, weighted by area; NaN for a filled body."""
        return density_range(self.mesh)

    def interval(self, name: str, level: float = 0.9) -> tuple[float, float]:
        """Return a confidence interval of a quantity from its standard error, taken as normally distributed.

        Parameters
        ----------
        name : str
            "volume_um3", "area_um2" (of the smooth surface: the mesh's less `area_excess_um2`), "sphericity",
            "psf_fwhm_z_um", "psf_fwhm_y_um" or "psf_fwhm_x_um".
        level : float
            Probability of the interval, between 0 and 1.

        Returns
        -------
        low, high : float
            Ends of the interval, in the quantity's unit.

        Raises
        ------
        ConfigError
            If the name is unknown or the level not between 0 and 1.
        FitError
            If there are no standard errors.
        """
        return confidence_interval(self, name, level)

    def summary(self) -> dict[str, Any]:
        """Return the content of ``fit.json``.

        Returns
        -------
        dict of str to object
            All numbers (:mod:`cytoform.fitting.numbers`) that have a name, as plain values.
        """
        return {number.name: number.value(self) for number in numbers() if number.name}

    def table(self, *, brief: bool = False) -> list[tuple[str, str]]:
        """Return rows of the report's table.

        Parameters
        ----------
        brief : bool
            Whether to return the few rows that the terminal shows instead.

        Returns
        -------
        list of (str, str)
            Title and value with its unit.
        """
        rows = [(n.brief if brief else n.title, n) for n in numbers()]
        texts = [(title, number.text(self)) for title, number in rows if title]
        return [(title, text) for title, text in texts if text]

    def save(self, folder: str | os.PathLike[str], *, truth: Mesh | None = None, notes: tuple[str, ...] = ()) -> Path:
        """Write the result into a folder.

        The files are mesh.ply (or another format for other kinds of mesh), mesh.vtp, mask.tif, rendered.tif, fit.json,
        history.csv and report.html; with bright neighbours surroundings.tif, their light; with a measured PSF psf.json,
        its full description.

        Parameters
        ----------
        folder : path
            The folder, made if it is missing.
        truth : Mesh, optional
            Known surface of a simulation, shown in the report.
        notes : tuple of str
            Remarks on top of the report.

        Returns
        -------
        Path
            The folder.
        """
        return save_result(self, folder, truth, notes)

    def at_vertices(self) -> dict[str, Floats]:
        """Return the values at vertices that ``mesh.ply`` stores.

        Returns
        -------
        dict of str to (n_vertices,) float64
            `mean_curvature` (1/µm, positive if convex) and `gaussian_curvature` (1/µm²), averaged over one to two
            edges, and, if known, `standard_error` (µm), that of the surface along its normal. Empty for meshes
            in which three or more faces meet at an edge.
        """
        if self.body.branching:
            return {}
        mean, gaussian = self._curvatures
        found = {"mean_curvature": mean, "gaussian_curvature": gaussian}
        if self.uncertainty is not None:
            found["standard_error"] = self.uncertainty.surface_um
        return found

    @cached_property
    def _curvatures(self) -> tuple[Floats, Floats]:
        """Mean (1/µm) and Gaussian (1/µm²) curvature at the vertices, (n_vertices,) each, averaged over 1.5 edges."""
        return curvatures(self.mesh, smoothing=1.5 * float(np.mean(edge_lengths(self.mesh))))

    def maps(self) -> dict[str, Floats]:
        """Return the maps that the report shows on the surface.

        Returns
        -------
        dict of str to (n_vertices,) float64
            Curvatures, staining over its mean if it is uneven, and standard error if it is known, by title with unit.
        """
        found, density = self.at_vertices(), np.asarray(self.mesh.density, dtype=np.float64)
        maps = {} if self.body.branching else {f"{kind} curvature ({unit})": found[f"{kind.lower()}_curvature"]
                for kind, unit in (("mean", "1/µm"), ("Gaussian", "1/µm²"))}  # fmt: skip
        if not np.allclose(density, density[0]):
            areas = self.mesh.face_areas
            share = density / (float(areas @ density) / float(areas.sum()))
            maps["staining over its mean"] = mean_at_vertices(share, self.mesh.faces, self.mesh.n_vertices)
        if "standard_error" in found:
            maps["standard error (nm)"] = 1000.0 * found["standard_error"]
        return maps

    def warnings(self) -> tuple[str, ...]:
        """Return warnings that a user should read before relying on the surface.

        Returns
        -------
        tuple of str
            A sentence each; those of ``fit.json`` in a loaded result.
        """
        return tuple(self.saved.get("warnings", ())) if self.saved is not None else result_warnings(self)

    def about(self) -> tuple[str, ...]:
        """Return which cell of which image this is.

        Returns
        -------
        tuple of str
            Label, image of the file, channel and time point, as far as they are known.
        """
        region, image = self.inputs.get("region", {}), self.inputs.get("image", {})
        found = [f"label {region['label']}"] if region.get("label") is not None else []
        if image.get("series"):
            found.append(f"image {image['series']} of the file")
        found += [f"{words} {image[name]}" for name, words in (("channel", "channel"), ("time", "time point"))
                  if image.get(name) is not None]  # fmt: skip
        return tuple(found)
