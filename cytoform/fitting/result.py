"""What a fit gives: the surface, the optics, how good they are, and files of all that."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import ndtri

from .. import __version__
from ..atomic import ensure_folder, write_text
from ..errors import ConfigError, FileFormatError, FitError
from ..image.io import read_volume, write_volume
from ..image.volume import Volume
from ..masks import mesh_to_mask
from ..mesh.curvature import curvatures
from ..mesh.geometry import mean_at_vertices
from ..mesh.io import read_mesh, write_mesh
from ..mesh.surface import SurfaceMesh
from ..mesh.topology import edge_lengths
from ..metrics.image import r2 as r_squared
from ..metrics.image import region_of_r2
from ..metrics.shape import sphericity
from ..optics import PSF, MeasuredPSF, psf_from_description
from ..report import ReportData, write_report
from .checks import saturated
from .config import FitConfig
from .uncertainty import Uncertainty

__all__ = ["FitResult", "load_result"]

ERRORS = "standard_errors"
LEAST_R2 = 0.7  # a model that explains less of the image comes with a warning
MOST_BEYOND = 0.1  # of the surface: more of it at the edge of the region of interest, and a warning says so
ERROR_NOTE = (
    "± is one standard error: how far the image's noise alone moves a number. What the model does not know of, such as "
    "another optics or light from elsewhere, comes on top."
)
LIGHT = "surroundings.tif"
OPTICS, PIXELS = "psf.json", "float32_zlib_base64"  # where a measured PSF is whole, and what fit.json leaves out of it


@dataclasses.dataclass(frozen=True, eq=False)
class FitResult:
    """A fitted surface.

    Attributes
    ----------
    mesh : SurfaceMesh
        µm, (z, y, x).
    psf : PSF
    gain, background : float
        The image is gain · rendering + background.
    history : dict of str to array
        Columns: iteration, stage, kind ("shape" or "psf"), loss, r2, gain, background, step_um, seconds.
    stop_reason : str
        Why the fit ended, in words.
    iterations : int
        Shape steps done.
    seconds : float
    config : FitConfig
    model : Volume
        Gain · rendering + background on the image's grid, float32: the cell alone.
    surroundings : Volume or None
        Light that neighbours throw onto the same grid, where there are bright ones.
    image : Volume or None
        The measured image; None in a loaded result.
    roi : (z, y, x) bool or None
        Voxels that counted in the last stage; None in a loaded result.
    start : SurfaceMesh or None
    uncertainty : Uncertainty or None
        Standard errors; None where they were not wanted, or in a loaded result.
    evaluations : int
        Values with their gradients computed, of the shape and of the PSF.
    measured : (z, y, x) bool or None
        Voxels that the microscope measured, where others are filled with a constant (deskewed stacks); None in a loaded
        result.
    inputs : mapping
        What the fit was given: image, region, label, start and PSF, with paths where they came from files.
    remarks : tuple of str
        What the start assumed or left out, a sentence each; in a loaded result among :meth:`warnings`.
    """

    mesh: SurfaceMesh
    psf: PSF
    gain: float
    background: float
    history: dict[str, npt.NDArray]
    stop_reason: str
    iterations: int
    seconds: float
    config: FitConfig
    model: Volume
    surroundings: Volume | None = None
    image: Volume | None = None
    roi: npt.NDArray[np.bool_] | None = None
    start: SurfaceMesh | None = None
    evaluations: int = 0
    uncertainty: Uncertainty | None = None
    saved: dict[str, Any] | None = None
    measured: npt.NDArray[np.bool_] | None = None
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @cached_property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Voxels whose centre is inside the surface, on the image's grid."""
        return mesh_to_mask(self.mesh, self.model.grid)

    @cached_property
    def r2(self) -> float:
        """1 - Σ (I - M)² / Σ (I - Ī)² over all voxels inside the surface or within 1 µm of it, raw intensities.

        M is the model of the image: the cell's and, where there are bright neighbours, the light that comes from them.
        """
        return self._r2("r2", self._whole_model)

    @cached_property
    def r2_cell(self) -> float:
        """The same for the cell alone: what light of neighbours there is within 1 µm counts as unexplained."""
        return self._r2("r2_cell", self.model.data)

    def _r2(self, name: str, model: npt.NDArray) -> float:
        if self.image is None:
            return float(self.saved[name]) if self.saved and name in self.saved else float("nan")
        region = region_of_r2(self.mask, self.image.spacing) if self.mask.any() else self.mask
        region = region if self.measured is None else region & self.measured
        return r_squared(self.image.data, model, region) if region.any() else float("nan")

    @property
    def _whole_model(self) -> npt.NDArray:
        return self.model.data if self.surroundings is None else self.model.data + self.surroundings.data

    @property
    def volume_um3(self) -> float:
        """Enclosed volume, µm³."""
        return self.mesh.volume

    @property
    def area_um2(self) -> float:
        """Area of the surface, µm²."""
        return self.mesh.area

    @property
    def sphericity(self) -> float:
        """Wadell's: 1 for a sphere."""
        return sphericity(self.mesh.volume, self.mesh.area)

    @property
    def density_range(self) -> tuple[float, float]:
        """5 % and 95 % of the staining over its mean, weighted by area."""
        order = np.argsort(self.mesh.density)
        areas, density = self.mesh.face_areas[order], self.mesh.density[order].astype(np.float64)
        share = (np.cumsum(areas) - 0.5 * areas) / areas.sum()
        low, high = np.interp((0.05, 0.95), share, density) * areas.sum() / (areas * density).sum()
        return float(low), float(high)

    def interval(self, name: str, level: float = 0.9) -> tuple[float, float]:
        """Between which values a quantity lies with a probability of `level`, from :attr:`uncertainty`.

        Parameters
        ----------
        name : str
            "volume_um3", "area_um2" (that of the smooth surface, which facets and noise exceed: `area_excess_um2`),
            "sphericity", or "psf_fwhm_z_um", "psf_fwhm_y_um", "psf_fwhm_x_um".
        level : float
            Between 0 and 1.

        Raises
        ------
        ConfigError
            For another name or level.
        FitError
            Where standard errors were not worked out.
        """
        if not 0 < level < 1:
            raise ConfigError(f"level is {level!r}; expected a probability between 0 and 1.")
        if self.uncertainty is None:
            raise FitError("no standard errors were worked out.", remedy="Fit with FitConfig(uncertainty=True).")
        sure, widths = self.uncertainty, np.asarray(getattr(self.psf, "fwhm", np.full(3, np.nan)))
        known = {
            "volume_um3": (self.volume_um3, sure.volume_um3),
            "area_um2": (self.area_um2 - sure.area_excess_um2, sure.area_um2),
            "sphericity": (sphericity(self.volume_um3, self.area_um2 - sure.area_excess_um2), sure.sphericity),
            **{f"psf_fwhm_{a}_um": (widths[i], sure.psf_fwhm_um[i]) for i, a in enumerate("zyx")},
        }
        if name not in known:
            raise ConfigError(f"name is {name!r}; expected one of {', '.join(known)}.")
        value, error = known[name]
        reach = float(ndtri(0.5 + 0.5 * level)) * error
        return float(value - reach), float(value + reach)

    def summary(self) -> dict[str, Any]:
        """What ``fit.json`` holds, as plain values."""
        return {
            "r2": self.r2,
            "r2_cell": self.r2_cell,
            "density_range": list(self.density_range),
            "volume_um3": self.volume_um3,
            "area_um2": self.area_um2,
            "sphericity": self.sphericity,
            "standard_errors": self.uncertainty.as_dict() if self.uncertainty else (self.saved or {}).get(ERRORS),
            "gain": self.gain,
            "background": self.background,
            "psf": self.psf.describe(),
            "iterations": self.iterations,
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "stop_reason": self.stop_reason,
            "n_vertices": self.mesh.n_vertices,
            "n_faces": self.mesh.n_faces,
            "image": self.image.name if self.image is not None else (self.saved or {}).get("image", ""),
            "spacing_um": list(self.model.spacing),
            "warnings": list(self.warnings()),
            "inputs": dict(self.inputs),
            "config": self.config.as_dict(),
            "seed": self.config.seed,
            "version": __version__,
        }

    def table(self) -> list[tuple[str, str]]:
        """Names and values with units, for people."""
        rows = [
            ("Volume", f"{self.words('volume_um3', 4)} µm³"),
            ("Area", f"{self.words('area_um2', 4)} µm²"),
            ("Sphericity (Wadell)", self.words("sphericity", 3)),
            ("R²", self._r2_words()),
            ("Staining, 5 % to 95 %", "{:.2f} to {:.2f} of its mean".format(*self.density_range)),
            ("Gain", f"{self.gain:.5g}"),
            ("Background", f"{self.background:.5g}"),
        ]
        optics = self.psf.describe()
        for name, key in (("PSF σ", "sigma_um"), ("PSF FWHM", "fwhm_um")):
            if key in optics:
                rows.append((f"{name} (z, y, x)", ", ".join(f"{w:.3f}" for w in optics[key]) + " µm"))
        rows.append(("Mesh", f"{self.mesh.n_vertices} vertices, {self.mesh.n_faces} faces"))
        rows.append(("Iterations", f"{self.iterations}"))
        rows.append(("Run time", f"{self.seconds:.0f} s"))
        return rows

    def words(self, name: str, digits: int) -> str:
        """A quantity with its standard error where it is known, else with so many digits."""
        error = None if self.uncertainty is None else float(getattr(self.uncertainty, name))
        return with_error(float(getattr(self, name)), error, digits)

    def _r2_words(self) -> str:
        alone = f" ({self.r2_cell:.3f} without the light of neighbours)" if self.surroundings is not None else ""
        return f"{self.r2:.3f}{alone}"

    def save(
        self, folder: str | os.PathLike[str], *, truth: SurfaceMesh | None = None, notes: tuple[str, ...] = ()
    ) -> Path:
        """Write mesh.ply, mesh.vtp, mask.tif, rendered.tif, fit.json, history.csv and report.html into a folder.

        With bright neighbours also surroundings.tif, their light; with a measured PSF also psf.json, the whole of it.

        Parameters
        ----------
        truth : SurfaceMesh, optional
            The known surface of a simulation, for the report.
        notes : tuple of str
            Remarks on top of the report.
        """
        folder = ensure_folder(folder)
        for name in ("mesh.ply", "mesh.vtp"):  # ParaView and PyVista show numbers at vertices of the second alone
            write_mesh(folder / name, self.mesh, self.at_vertices())
        grid = self.model
        write_volume(folder / "mask.tif", Volume(self.mask.astype(np.uint8), grid.spacing, grid.origin))
        write_volume(folder / "rendered.tif", self.model)
        if self.surroundings is not None:
            write_volume(folder / LIGHT, self.surroundings)
        else:
            (folder / LIGHT).unlink(missing_ok=True)  # of an earlier fit
        write_text(folder / "history.csv", self._history_csv())
        summary = self.summary()
        if PIXELS in summary["psf"]:  # a measured PSF is too large to be read by people
            write_text(folder / OPTICS, json.dumps(summary["psf"]) + "\n")
            del summary["psf"][PIXELS]
        write_text(folder / "fit.json", json.dumps(summary, indent=2) + "\n")
        if self.image is not None:
            write_report(self._report(self.image, truth, (*notes, *self.warnings())), folder / "report.html")
        return folder

    def at_vertices(self) -> dict[str, npt.NDArray[np.float64]]:
        """What ``mesh.ply`` holds at the vertices, (n_vertices,) each.

        `mean_curvature` (1/µm, positive where convex) and `gaussian_curvature` (1/µm²), averaged over an edge or two,
        and where they were worked out, standard errors of the surface along its normal, `standard_error` (µm).
        """
        mean, gaussian = self._curvatures
        found = {"mean_curvature": mean, "gaussian_curvature": gaussian}
        if self.uncertainty is not None:
            found["standard_error"] = self.uncertainty.surface_um
        return found

    @cached_property
    def _curvatures(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return curvatures(self.mesh, smoothing=1.5 * float(np.mean(edge_lengths(self.mesh))))

    def maps(self) -> dict[str, npt.NDArray[np.float64]]:
        """What the report shows on the surface, (n_vertices,) each: curvatures, staining, standard error."""
        found, density = self.at_vertices(), np.asarray(self.mesh.density, dtype=np.float64)
        maps = {f"{kind} curvature ({unit})": found[f"{kind.lower()}_curvature"]
                for kind, unit in (("mean", "1/µm"), ("Gaussian", "1/µm²"))}  # fmt: skip
        if not np.allclose(density, density[0]):
            share = density / (self.mesh.mass / self.mesh.area)
            maps["staining over its mean"] = mean_at_vertices(share, self.mesh.faces, self.mesh.n_vertices)
        if "standard_error" in found:
            maps["standard error (nm)"] = 1000.0 * found["standard_error"]
        return maps

    def warnings(self) -> tuple[str, ...]:
        """What a user should know before trusting the surface, a sentence each."""
        if self.saved is not None:
            return tuple(self.saved.get("warnings", ()))
        found = [*(self.image.remarks if self.image is not None else ()), *self.remarks]
        if self.measured is not None:
            found.append(
                f"{1.0 - self.measured.mean():.0%} of the voxels are filled with one value at the image's border, as "
                "deskewing and rotating leave them. They do not count."
            )
        if not self.r2 >= LEAST_R2:  # NaN too
            found.append(
                f"R² is {self.r2:.2f}: the model, a membrane, explains little of the image around the surface. Look at "
                "the residual in the report."
            )
        found += self._saturation()
        unmeasured, cut = self._beyond()
        if unmeasured > MOST_BEYOND:
            found.append(f"{unmeasured:.0%} of the surface lies where nothing was measured: the cell is cut there.")
        if cut > MOST_BEYOND:
            found.append(
                f"{cut:.0%} of the surface lies at the edge of the region of interest or beyond it, where its blurred "
                "membrane does not count. Give a wider region."
            )
        if self.image is not None:
            out = [name for name, d in zip("zyx", self.image.grid.overhang(self.mesh.bounds)) if d > 0]
            if out:
                found.append(f"The surface leaves the image along {', '.join(out)}: the cell may be cut by the border.")
        return tuple(found)

    def _saturation(self) -> list[str]:
        if self.image is None or not self.mask.any():
            return []
        full = saturated(np.asarray(self.image.data), region_of_r2(self.mask, self.image.spacing))
        return [full] if full else []

    def _beyond(self) -> tuple[float, float]:
        """Which part of the surface, within the image, was not measured, and which leaves the region of interest."""
        if self.roi is None:
            return 0.0, 0.0
        corners = self.mesh.vertices[self.mesh.faces].mean(axis=1)
        place = np.rint(self.model.grid.to_index(corners)).astype(int)
        inside = ((place >= 0) & (place < self.roi.shape)).all(axis=1)
        at, areas = tuple(place[inside].T), self.mesh.face_areas[inside]
        measured = np.ones(self.roi.shape, dtype=bool) if self.measured is None else self.measured
        deep = ndimage.binary_erosion(self.roi | ~measured, border_value=1)
        total = max(float(areas.sum()), 1e-300)
        return float(areas[~measured[at]].sum()) / total, float(areas[measured[at] & ~deep[at]].sum()) / total

    def about(self) -> tuple[str, ...]:
        """Which cell of which image this is: label, channel, time point."""
        region, image = self.inputs.get("region", {}), self.inputs.get("image", {})
        found = [f"label {region['label']}"] if region.get("label") is not None else []
        if image.get("series"):
            found.append(f"image {image['series']} of the file")
        found += [f"{words} {image[name]}" for name, words in (("channel", "channel"), ("time", "time point"))
                  if image.get(name) is not None]  # fmt: skip
        return tuple(found)

    def _report(self, image: Volume, truth: SurfaceMesh | None, notes: tuple[str, ...]) -> ReportData:
        return ReportData(
            title=image.name or "fit",
            image=image,
            model=self._whole_model,
            mesh=self.mesh,
            psf=self.psf,
            history=self.history,
            table=self.table(),
            table_note="" if self.uncertainty is None else ERROR_NOTE,
            about=self.about(),
            stop_reason=self.stop_reason,
            roi=self.roi,
            measured=self.measured,
            start=self.start,
            truth=truth,
            notes=notes,
            maps=self.maps(),
        )

    def _history_csv(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.history)
        for row in zip(*self.history.values()):
            writer.writerow([v if isinstance(v, str) else repr(v.item()) for v in row])
        return out.getvalue()


def with_error(value: float, error: float | None, digits: int) -> str:
    """A value and its standard error, "461 ± 18", both to the error's last digit that counts.

    The error has two digits where they are below 36, else one (the rule of the Particle Data Group). Without an error
    the value has `digits` of them.
    """
    if error is None or not np.isfinite(error) or error <= 0:
        return f"{value:#.{digits}g}".rstrip(".") if value else "0"
    places = int(np.floor(np.log10(error)))
    leading = round(error / 10.0 ** (places - 2))  # its first three digits
    places += leading >= 950  # rounded up to the next power of ten
    last = places if 355 <= leading < 950 else places - 1
    decimals = max(-last, 0)
    unit = 10.0**last if last > 0 else 1.0
    shown = [round(v / unit) * unit if last > 0 else v for v in (value, error)]
    return f"{shown[0]:.{decimals}f} ± {shown[1]:.{decimals}f}"


def load_result(folder: str | os.PathLike[str]) -> FitResult:
    """A result from its folder, without the measured image.

    Raises
    ------
    FileFormatError
        When a file is missing or damaged.
    """
    folder = Path(folder)
    try:
        saved = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
        config = FitConfig.from_dict(saved["config"])
        if saved["psf"].get("kind") == MeasuredPSF.kind:
            saved["psf"] = json.loads((folder / OPTICS).read_text(encoding="utf-8"))
        psf = psf_from_description(saved["psf"])
        history = _read_history(folder / "history.csv")
    except (OSError, ValueError, KeyError) as error:
        raise FileFormatError(
            f"{folder} cannot be read as a result of a fit ({error}).",
            remedy="It is made by `cytoform fit` or FitResult.save, and holds fit.json and history.csv.",
        ) from error
    mesh = read_mesh(folder / "mesh.ply")
    if not isinstance(mesh, SurfaceMesh):
        raise FileFormatError(f"{folder / 'mesh.ply'} is not a single surface.")
    size = saved.get("spacing_um")
    model = read_volume(folder / "rendered.tif", spacing=size)
    light = read_volume(folder / LIGHT, spacing=size) if (folder / LIGHT).exists() else None
    names = ("gain", "background", "stop_reason", "iterations", "seconds")
    return FitResult(
        mesh, psf, history=history, config=config, model=model, surroundings=light, saved=saved,
        inputs=saved.get("inputs", {}),
        evaluations=saved.get("evaluations", 0), **{n: saved[n] for n in names},
    )  # fmt: skip


def _read_history(path: Path) -> dict[str, npt.NDArray]:
    with path.open(newline="", encoding="utf-8") as file:
        names, *rows = csv.reader(file)
    columns: dict[str, npt.NDArray] = {}
    for name, values in zip(names, zip(*rows) if rows else [()] * len(names)):
        kind = str if name == "kind" else int if name in ("iteration", "stage") else float
        columns[name] = np.array([kind(v) for v in values])
    return columns
