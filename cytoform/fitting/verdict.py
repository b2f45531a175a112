"""The verdict of a fit: good, check or failed, with reasons."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from ..image.volume import Volume
from .quality.insides import CellCount
from .quality.measures import measures_of
from .quality.rules import OUTLINE_REMEDY, RULES

if TYPE_CHECKING:
    from .result import FitResult

__all__ = ["QUALITIES", "Quality", "Verdict", "judge", "verdict_of", "warn_of_several_cells"]

_LOG = logging.getLogger(__name__)
Quality: TypeAlias = Literal["good", "check", "failed"]
QUALITIES: tuple[Quality, ...] = get_args(Quality)
POWER = 4.0
"""Exponent of the mean that joins severities: the largest decides, but several of nearly the same size add up."""

MOST_REASONS = 4
"""Reasons that are told: one fault has several effects, and the lesser ones would hide it."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the surface of a fit is worth, and why.

    Attributes
    ----------
    quality : str
        "good", "check" (look at it before you rely on it) or "failed".
    reasons : tuple of str
        What speaks against the surface, worst first: a sentence with a number, and the remedy. Empty if it is good.
    doubt : float
        0 if nothing speaks against the surface, 1 where "check" begins, 2 where "failed" begins.
    measures : mapping of str to float or None
        What was measured, by the names in :data:`.RULES`.
    """

    quality: Quality
    reasons: tuple[str, ...] = ()
    doubt: float = 0.0
    measures: Mapping[str, float | None] = dataclasses.field(default_factory=dict)


def judge(measures: Mapping[str, float | None]) -> Verdict:
    """Form the verdict from measures.

    Each measure has a severity: 1 where one should look at the surface, 2 where it cannot be used
    (:class:`.Rule`). The doubt is (Σ severity⁴)^¼, so a single measure is enough, and several add up a little.

    Parameters
    ----------
    measures : mapping of str to float or None
        Measures by name (:func:`.measures_of`); those that are missing count as harmless.

    Returns
    -------
    Verdict
    """
    found = sorted(((rule.severity(measures), rule) for rule in RULES), key=lambda pair: -pair[0])
    doubt = sum(severity**POWER for severity, _ in found) ** (1.0 / POWER)
    quality: Quality = "good" if doubt < 1.0 else "check" if doubt < 2.0 else "failed"
    told = [] if doubt < 1.0 else [pair for pair in found if pair[0] >= 1.0][:MOST_REASONS] or found[:1]
    reasons = tuple(rule.text(float(measures[rule.name] or 0.0)) for _, rule in told)
    return Verdict(quality, reasons, float(doubt), dict(measures))


def verdict_of(result: FitResult) -> Verdict:
    """Return the verdict of a result: that of its ``fit.json`` if it was loaded, else formed from its image.

    Parameters
    ----------
    result : FitResult
        The result.

    Returns
    -------
    Verdict
        "check" without a known reason for a result that was stored before there were verdicts, and for one whose mesh
        branches, as a cluster's does.
    """
    if result.saved is not None:
        return _stored_verdict(result.saved)
    if result.image is None or result.body.branching:
        return Verdict("check", ("No verdict is formed for this kind of mesh.",))
    try:
        return judge(measures_of(result, cells=result.touching_cells, stability=result.stability))
    except Exception as error:  # a long fit is not lost for it
        _LOG.warning("the verdict cannot be formed: %r", error)
        return Verdict("check", (f"The verdict could not be formed ({error!r}). Judge by the report.",))


def _stored_verdict(saved: Mapping[str, Any]) -> Verdict:
    """Return the verdict that ``fit.json`` holds."""
    if saved.get("quality") not in QUALITIES:
        return Verdict("check", ("The result was stored without a verdict.",))
    doubt = saved.get("quality_doubt")
    measures = saved.get("quality_measures") or {}
    return Verdict(saved["quality"], tuple(saved.get("reasons", ())), float(doubt or 0.0), measures)


def warn_of_several_cells(count: CellCount, image: Volume) -> None:
    """Log a warning if an image without a label or region seems to hold several cells that touch.

    Parameters
    ----------
    count : CellCount
        The cells that were counted.
    image : Volume
        The image, for its name.
    """
    if count.several:
        _LOG.warning(
            "%s shows about %d cells, %d of them touching others: one surface cannot be right. %s",
            image.name or "the image", count.total, count.touching, OUTLINE_REMEDY,
        )  # fmt: skip
