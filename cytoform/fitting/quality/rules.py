"""The rules of the verdict: from which value on a measure speaks against a surface, and what the user is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

__all__ = ["OUTLINE_REMEDY", "RULES", "Rule"]

Measures = Mapping[str, "float | None"]
OUTLINE_REMEDY = "Outline one cell with a label image: --roi FILE --roi-label N (labels=, label= in Python)."


@dataclasses.dataclass(frozen=True)
class Rule:
    """A measure that speaks against a surface the larger it is.

    Parameters
    ----------
    name : str
        Name of the measure.
    check : float
        Value from which the surface has to be looked at.
    failed : float
        Value from which it cannot be used.
    text : callable
        Takes the measure's value, returns a sentence with the number, and the remedy.
    """

    name: str
    check: float
    failed: float
    text: Callable[[float], str]

    def severity(self, measures: Measures) -> float:
        """Return how much a measure speaks against the surface: 0 not at all, 1 at `check`, 2 at `failed`, at most 5.

        It is linear between these points. A measure that is missing or None counts as 0, NaN as 5.

        Parameters
        ----------
        measures : mapping of str to float or None
            The measures by name.

        Returns
        -------
        float
            From 0 to 5.
        """
        value = measures.get(self.name)
        if value is None:
            return 0.0
        if not np.isfinite(value):
            return MOST_SEVERITY
        low = value / self.check
        high = 1.0 + (value - self.check) / (self.failed - self.check)
        return float(np.clip(low if value < self.check else high, 0.0, MOST_SEVERITY))


MOST_SEVERITY = 5.0


def _noise_text(value: float) -> str:
    """Return what to say where the noise, `value` times the membrane's contrast, is too strong."""
    return (
        f"There is hardly a signal: averaged over a patch of the surface, the membrane is {1.0 / max(value, 1e-9):.1f} "
        "times as bright as the noise. There may be no cell. Expose longer, or average frames."
    )


# Limits were set on the part "set" of benchmarks/verdict.py, between the values of fits that are right and of those
# that are wrong (--limits lists both); where there is no gap, `check` is on the safe side. Those of misfit, one_sided,
# thin and staining_at_limit leave the red blood cells of the test data below `check`: real optics and stainings are
# never those of the model.
RULES = (
    Rule(
        "touching_cells", 2.5, 3.0,
        lambda v: f"The image shows several cells: {v:.0f} that touch, at least. A search for one bright object cannot "
        f"part them. {OUTLINE_REMEDY}",
    ),
    Rule("noise", 0.1, 0.25, _noise_text),
    Rule(
        "no_dark_inside", 0.62, 1.1,
        lambda v: f"The inside is not dark: from the surface inward the image loses {max(1.0 - v, 0.0):.0%} of what it "
        "loses outward. The body is filled, as a nucleus is (fit it with --stain filled), or thinner than the blur; "
        "the model is a membrane.",
    ),
    Rule(
        "saturated", 0.02, 0.25,
        lambda v: f"{v:.0%} of the voxels around the surface have the largest value: the detector was saturated. "
        "Expose shorter; what is lost cannot be recovered.",
    ),
    Rule(
        "neck", 0.9, 1.1,
        lambda v: f"The surface has a neck {1.0 / v:.1f} times as wide as the PSF between two large parts: it may be "
        f"two cells. {OUTLINE_REMEDY}",
    ),
    Rule(
        "cut_by_border", 0.05, 1.0,
        lambda v: f"{v:.0%} of the surface lies at the image's border, beyond it, or where nothing was measured, as at "
        "the filled border of a deskewed stack: the cell is cut there. Choose a cell that is whole.",
    ),
    Rule(
        "cut_by_region", 0.1, 0.7,
        lambda v: f"{v:.0%} of the surface lies at the edge of the region of interest: the region or label cuts the "
        "cell, as an outline of one half of a dividing cell does. Outline the whole cell, or give a wider region.",
    ),
    Rule(
        "no_membrane", 0.03, 0.2,
        lambda v: f"{v:.0%} of the surface lies where the image shows no membrane: it is not stained there, or the "
        "surface closes over an open side. Look at the slices in the report, and outline the cell (--roi FILE).",
    ),
    Rule(
        "misfit_area", 0.04, 0.3,
        lambda v: f"{v:.0%} of the surface is not explained: on one side of it model and image differ by more than a "
        "fifth of the membrane's contrast. Look at the residual in the report; a start (--init MESH) or a label "
        "(--roi FILE) helps.",
    ),
    Rule(
        "one_sided", 0.055, 0.15,
        lambda v: f"On one side of the surface more than on the other, model and image differ by {v:.0%} of the "
        "membrane's contrast beyond the noise: the surface lies beside the membrane, or another one is near. Look at "
        "the residual in the report.",
    ),
    Rule(
        "misfit", 0.08, 0.5,
        lambda v: f"Around the surface, model and image differ by {v:.0%} of the membrane's contrast beyond the noise. "
        "The PSF is wrong, or there is more than one stained membrane: look at the residual in the report.",
    ),
    Rule(
        "staining_at_limit", 0.3, 0.9,
        lambda v: f"On {v:.0%} of the surface the staining is at its limit: the surface may lie beside the membrane, "
        "or the membrane is not stained there. Look at the slices in the report.",
    ),
    Rule(
        "neighbour_light", 0.1, 0.5,
        lambda v: f"{v:.0%} of the surface lies in the light of neighbours, where the image says little about it. "
        "Give labels of all cells (--roi FILE --roi-label N).",
    ),
    Rule(
        "thin", 0.15, 0.5,
        lambda v: f"{v:.0%} of the surface belongs to parts thinner than the PSF: sheets or fins that the image cannot "
        "show. If the cell has none, they lie in a neighbour or in noise: outline the cell (--roi FILE).",
    ),
    Rule(
        "psf_narrow", 0.6, 1.2,
        lambda v: f"The PSF is {1.0 / v:.1f} voxels wide, or far below what light allows: too narrow for the image. "
        "Check the voxel size (--spacing), or give the PSF.",
    ),
    Rule(
        "psf_wide", 0.4, 1.0,
        lambda v: f"The PSF is {v:.0%} as wide as the cell: its shape is lost in the blur. Check the PSF that was "
        "given; else take an image of better resolution.",
    ),
    Rule(
        "psf_long", 5.0, 10.0,
        lambda v: f"The PSF is {v:.1f} times as long along z as across: it stands for something else than optics. Give "
        "the microscope's PSF (--psf) and keep it (--fixed-psf).",
    ),
    Rule(
        "not_converged", 0.03, 0.3,
        lambda v: f"The fit had not converged: its loss still fell by {v:.0%} in the last tenth of its steps. Allow "
        "more steps (--iterations N).",
    ),
    Rule(
        "stability", 0.5, 1.5,
        lambda v: f"Fitted to every second slice, the surface moves by {v:.1f} voxels: the image does not fix it.",
    ),
)  # fmt: skip
