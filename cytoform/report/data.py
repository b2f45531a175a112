"""Content of a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from .._typing import Array, Bools
from ..errors import VolumeError
from ..image.volume import Volume
from ..mesh.protocol import Mesh
from ..optics import PSF

__all__ = ["ReportData"]


@dataclasses.dataclass(frozen=True, eq=False)
class ReportData:
    """Content of a report: image, model, surface, PSF and tables.

    Parameters
    ----------
    title : str
        Name of the image.
    image : Volume
        Raw data.
    model : (z, y, x) float
        Gain · rendering + background on the image's grid.
    mesh : Mesh
        Fitted surface, µm, (z, y, x).
    psf : PSF
        Inferred point spread function.
    history : mapping of str to (n,) array
        Columns, at least "iteration" and "loss"; "stage" (0, 1, 2, …, coarse to fine) and "kind" ("shape" or "psf")
        where there are any.
    table : sequence of (str, str)
        Rows: a name, and its value with unit.
    headline : sequence of (float or str, str, str)
        The few numbers on top: value, unit and name.
    table_note : str
        A sentence below the table; "" for none.
    about : sequence of str
        Which cell of which image, such as "label 7" and "channel 1"; below the title.
    stop_reason : str
        Why the fit ended, in words; "" leaves it out.
    roi : (z, y, x) bool, optional
        Region of interest: voxels that counted in the loss. None draws no outline.
    measured : (z, y, x) bool, optional
        Voxels that the microscope measured; the others are left blank. All by default.
    start : Mesh, optional
        Surface that the fit started from.
    truth : Mesh, optional
        True surface, known for simulations.
    notes : sequence of str
        Warnings in words, shown on top.
    quality : "good", "check", "failed" or ""
        Verdict on the surface, shown above all; "" for none.
    reasons : sequence of str
        What speaks against the surface, a sentence each; beside the verdict.
    maps : mapping of str to (n_vertices,) float
        Quantities to show on the surface: label with unit, and a value for each vertex.

    Raises
    ------
    VolumeError
        When model, roi or measured do not have the image's shape.
    """

    title: str
    image: Volume
    model: Array
    mesh: Mesh
    psf: PSF
    history: Mapping[str, Array]
    table: Sequence[tuple[str, str]]
    headline: Sequence[tuple[float | str, str, str]] = ()
    table_note: str = ""
    about: Sequence[str] = ()
    stop_reason: str = ""
    roi: Bools | None = None
    measured: Bools | None = None
    start: Mesh | None = None
    truth: Mesh | None = None
    notes: Sequence[str] = ()
    quality: str = ""
    reasons: Sequence[str] = ()
    maps: Mapping[str, Array] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise VolumeError unless model, roi and measured have the image's shape, where they are given."""
        for name in ("model", "roi", "measured"):
            array = getattr(self, name)
            if array is not None and np.shape(array) != self.image.shape:
                raise VolumeError(f"{name} has shape {np.shape(array)}; expected {self.image.shape}, the image's.")

    @property
    def masked_image(self) -> Array:
        """The image's intensities, with NaN (as float64) in voxels that were not measured."""
        if self.measured is None:
            return self.image.data
        return np.where(self.measured, np.asarray(self.image.data, dtype=np.float64), np.nan)
