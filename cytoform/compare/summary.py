"""Summary of a comparison as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .statistics import LEVEL

if TYPE_CHECKING:
    from .comparison import Evaluation

__all__ = ["number_text", "p_text", "sequence_test", "summary_lines"]


def number_text(value: float) -> str:
    """Format a number with up to four significant digits, as a whole number such as "1,234" from 1000 on.

    From 10⁷ on there are three digits and an exponent; NaN and infinity become "–".
    """
    if not np.isfinite(value):
        return "–"
    size = abs(value)
    return f"{value:,.0f}" if 1000 <= size < 1e7 else f"{value:.3g}" if size >= 1e7 else f"{value:.4g}"


def p_text(value: float) -> str:
    """Format a p value with three decimals, "<0.001" below that, "–" for NaN."""
    return "–" if not np.isfinite(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def _percent(value: float) -> str:
    """Format a fraction as percent with sign and one decimal, such as "+1.5 %"; the minus sign is U+2212."""
    return f"{100 * value:+.1f} %".replace("-", "−")


def sequence_test(ev: Evaluation, name: str, descriptor: str) -> Any:
    """Return the row of the table of tests that compares set `name` with the reference, one value for each sequence.

    `descriptor` is the name of the descriptor compared.
    """
    tests = ev.tests
    at = (tests["set"] == name) & (tests["descriptor"] == descriptor) & (tests["scope"] == "sequence")
    return tests[at][0]


def _difference_line(ev: Evaluation, name: str) -> str:
    """Return one sentence on the main descriptors in which a set differs from the reference (p < LEVEL) or not.

    `name` is the name of the set. Each descriptor is followed by the relative change of its median and p; descriptors
    without a p (no values) are left out.
    """
    alike: list[str] = []
    unlike: list[str] = []
    for descriptor in ev.main_descriptors:
        row = sequence_test(ev, name, descriptor.name)
        change = row["median"] / row["median_reference"] - 1.0
        p = p_text(row["p"])
        text = f"{descriptor.title} (median {_percent(change)}, p {'<' if p[0] == '<' else '='} {p.lstrip('<')})"
        if np.isfinite(row["p"]):
            (unlike if row["p"] < LEVEL else alike).append(text)
    parts = [f"differs from {ev.reference} in {', '.join(unlike)}"] if unlike else []
    if alike:
        counts = [int((ev.sequences["set"] == n).sum()) for n in (ev.reference, name)]
        parts.append(
            f"no difference from {ev.reference} could be shown in {', '.join(alike)}, with {counts[1]} sequences "
            f"against {counts[0]}"
        )
    return f"{name}: {'; '.join(parts) or 'nothing to compare'}."


def _overlap_line(ev: Evaluation, name: str) -> str:
    """Return one sentence on a set of reconstructions: mean ± standard deviation of the Dice coefficient, volume error.

    The Dice coefficient is over all frames and in the last one; the volume error is the mean of its magnitude. `name`
    is the name of the set; where all its frames are empty, the sentence says so.
    """
    part = ev.overlap[ev.overlap["set"] == name]
    dice = part["dice"][np.isfinite(part["dice"])]
    last = part["dice"][part["frame"] == part["frame"].max()]
    last = last[np.isfinite(last)]
    if not dice.size:
        return f"{name}: no overlap, since all frames of all pairs are empty."
    end = f"; {last.mean():.3f} ± {last.std():.3f} in the last frame" if last.size else ""
    error = part["volume_error"][np.isfinite(part["volume_error"])]
    off = f" Volumes are off by {100 * np.abs(error).mean():.1f} % on average." if error.size else ""
    mean = f"{dice.mean():.3f} ± {dice.std():.3f} over all frames"
    return f"{name}: the reconstructions' Dice coefficient is {mean}{end}.{off}"


def _codes_lines(ev: Evaluation) -> list[str]:
    """Return sentences on the latent codes: components for 90 % and 99 % of the variance, silhouette of the labels.

    The list is empty where there are no codes; the silhouette is left out where it is NaN.
    """
    space = ev.codes
    if space is None:
        return []
    n, latent = space.codes.shape
    needed = [space.pca.needed(part) for part in (0.9, 0.99)]
    lines = [f"codes: {needed[0]} principal components explain 90 % of the variance of {n} codes of {latent} numbers, "
             f"{needed[1]} explain 99 %."]  # fmt: skip
    if np.isfinite(space.silhouette):
        lines.append(
            f"codes: the silhouette of the labels is {space.silhouette:.2f} (1: families apart; 0: touching; "
            "negative: mixed)."
        )
    return lines


def summary_lines(ev: Evaluation) -> list[str]:
    """Return the result of a comparison as sentences.

    The first counts the sequences; then there are for each made set the differences from the reference and, where it is
    paired, the overlap; last the latent codes.
    """
    counts = ", ".join(f"{int((ev.sequences['set'] == name).sum())} {name}" for name in ev.sets)
    lines = [f"Compared: {counts} sequences, lengths in {ev.unit}."]
    for name in ev.sets[1:]:
        lines.append(_difference_line(ev, name))
        if name in ev.paired:
            lines.append(_overlap_line(ev, name))
    return lines + _codes_lines(ev)
