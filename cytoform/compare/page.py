"""HTML page of a comparison: a summary, figures and tables in one file without references to anything else."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._typing import Array
from ..report.frame import caption, details, document, headline, notes_box, picture, png, section, table
from . import figures
from .shapes import shapes_figure
from .statistics import LEVEL, critical_distance
from .summary import number_text, p_text, sequence_test, summary_lines

if TYPE_CHECKING:
    from .comparison import Evaluation
    from .descriptors import Descriptor

__all__ = ["evaluation_html", "pictures"]


# ---------------------------------------------------------------------------------------------------------------------
# Pictures


def pictures(ev: Evaluation) -> dict[str, bytes]:
    """Draw all figures of a comparison and return them as PNG, by name.

    There are always ``time``, ``boxes`` and ``qq``; ``shapes`` where there is a surface to draw, ``overlap`` where sets
    are paired, ``pca`` where there are codes, and ``tsne`` where they have an embedding.
    """
    wanted: dict[str, Any] = {"time": figures.time_figure, "boxes": figures.boxes_figure, "qq": figures.qq_figure}
    if any(mesh is not None for row in ev.pictured for one in row for mesh in one.meshes):
        wanted["shapes"] = lambda ev: shapes_figure(ev, figures.set_colours(ev.sets))
    if len(ev.overlap) and np.isfinite(ev.overlap["dice"]).any():
        wanted["overlap"] = figures.overlap_figure
    if ev.codes is not None:
        wanted["pca"] = figures.pca_figure
        if ev.codes.tsne is not None:
            wanted["tsne"] = figures.tsne_figure
    return {name: png(make(ev)) for name, make in wanted.items()}


# ---------------------------------------------------------------------------------------------------------------------
# The page


def evaluation_html(ev: Evaluation, pngs: Mapping[str, bytes] | None = None) -> str:
    """Return a comparison as one HTML page that opens offline.

    Parameters
    ----------
    ev : Evaluation
        The comparison.
    pngs : mapping of str to bytes, optional
        The figures, as :func:`pictures` returns them; by default they are drawn.
    """
    pngs = pictures(ev) if pngs is None else pngs
    parts = [notes_box(ev.notes), _headline(ev), _shapes(ev, pngs), _summary(ev), _time(ev, pngs),
             _overlap(ev, pngs), _tests(ev), _distributions(ev, pngs), _codes(ev, pngs), _sequences(ev)]  # fmt: skip
    footer = "Volume and surface area come from marching cubes at the zero level; tables lie beside this page as CSV."
    return document(
        f"{' and '.join(ev.sets[1:])} against {ev.reference}", "evaluation", _subtitle(ev), parts, footer=footer
    )


def _subtitle(ev: Evaluation) -> str:
    """Return the line below the page's heading: counts of sequences and frames in each set, and the unit of lengths."""
    parts = []
    for name in ev.sets:
        part = ev.sequences[ev.sequences["set"] == name]
        low, high = int(part["frames"].min()), int(part["frames"].max())
        frames = f"{low}" if low == high else f"{low} to {high}"
        parts.append(f"{name}: {len(part)} sequence{'s'[: len(part) != 1]} of {frames} frame{'s'[: high != 1]}")
    return " · ".join([*parts, f"lengths in {ev.unit}"])


def _headline(ev: Evaluation) -> str:
    """Return the HTML of the large numbers on top of the page.

    These are the mean Dice and Jaccard coefficients of each paired set, and for every made set the number of main
    descriptors whose test against the reference has p < ``LEVEL``.
    """
    cells = []
    for name in ev.paired:
        part = ev.overlap[ev.overlap["set"] == name]
        for column in ("dice", "jaccard"):
            value = part[column][np.isfinite(part[column])]
            cells.append((f"{value.mean():.3f}" if value.size else "–", "", f"{column.capitalize()}, {name}"))
    for name in ev.sets[1:]:
        rows = [sequence_test(ev, name, one.name) for one in ev.main_descriptors]
        differ = sum(bool(row["p"] < LEVEL) for row in rows)
        cells.append((f"{differ} of {len(rows)}", "", f"descriptors that differ (p < {LEVEL:g}), {name}"))
    return headline(cells)


def _with_nonbreaking_spaces(text: str) -> str:
    """Replace spaces around "=", "±", "&lt;" and before "%" by "&nbsp;", so that lines of HTML do not break there."""
    for mark in (" = ", " ± ", " &lt; "):
        text = text.replace(mark, mark.replace(" ", "&nbsp;"))
    return text.replace(" %", "&nbsp;%")


def _summary(ev: Evaluation) -> str:
    """Return the HTML section "Summary", with the lines of the summary as a list."""
    lines = "\n".join(f"<li>{_with_nonbreaking_spaces(html.escape(line))}</li>" for line in summary_lines(ev))
    return section("Summary", f'<ul class="lines">\n{lines}\n</ul>')


def _shapes(ev: Evaluation, pngs: Mapping[str, bytes]) -> str:
    """Return the HTML section with pictures of the surfaces; "" where `pngs` holds no figure ``shapes``."""
    if "shapes" not in pngs:
        return ""
    pairs = f" Each shape of {', '.join(ev.paired)} is shown below its original." if ev.paired else ""
    return section(
        "What do the shapes look like?",
        picture(pngs["shapes"], "Surfaces of a few sequences of each set, in a few frames"),
        caption(f"The first sequences of each set, from one side and to one scale.{pairs}"),
    )


def _descriptor_titles(ev: Evaluation) -> str:
    """Join the titles of the main descriptors to "a, b and c", without remarks in brackets at their ends."""
    *first, last = (one.title.split(" (")[0] for one in ev.main_descriptors)
    return f"{', '.join(first)} and {last}" if first else last


def _descriptor_notes(descriptors: Sequence[Descriptor]) -> str:
    """Join the explaining sentences of descriptors, each with a space before it; "" where there are none."""
    return "".join(f" {one.note}" for one in descriptors if one.note)


def _time(ev: Evaluation, pngs: Mapping[str, bytes]) -> str:
    """Return the HTML section with the figure ``time`` (main descriptors against frames), explained."""
    return section(
        "Do the shapes change alike over time?",
        picture(pngs["time"], f"Mean and quartiles of {_descriptor_titles(ev)} at each frame"),
        caption(
            "Lines are means; bands span the middle half of the shapes (between quartiles), at each frame. After a "
            f"division each daughter counts as a shape of its own.{_descriptor_notes(ev.main_descriptors)}"
        ),
    )


def _overlap(ev: Evaluation, pngs: Mapping[str, bytes]) -> str:
    """Return the HTML section on paired sets, with the figure ``overlap`` and a table; "" where nothing is paired.

    The table has for each paired set the number of pairs, mean ± standard deviation of Dice and Jaccard coefficients
    (Dice of the last frame, too), the worst Dice coefficient, and the mean magnitude of the volume error.
    """
    if "overlap" not in pngs:
        return ""
    head = ("set", "pairs", "Dice", "Dice, last frame", "Jaccard", "worst Dice", "volume error")
    rows = []
    for name in ev.paired:
        part = ev.overlap[ev.overlap["set"] == name]
        last = part[part["frame"] == part["frame"].max()]
        error = np.abs(part["volume_error"][np.isfinite(part["volume_error"])])
        dice = part["dice"][np.isfinite(part["dice"])]
        spread = [_mean_and_deviation(column) for column in (part["dice"], last["dice"], part["jaccard"])]
        off = f"{100 * error.mean():.1f} %" if error.size else "–"
        rows.append((name, str(len(np.unique(part["sequence"]))), *spread, f"{dice.min():.3f}", off))
    return section(
        "Do the reconstructions match their originals?",
        picture(pngs["overlap"], "Dice and Jaccard coefficients at each frame"),
        table(rows, head),
        caption(
            "Overlap of each reconstruction with its original, in voxels; 1 is a perfect match. Mean ± standard "
            "deviation. The volume error is the mean of its magnitude over frames."
        ),
    )


def _mean_and_deviation(values: Array) -> str:
    """Return "mean ± standard deviation" of values with three decimals, NaN left out; "–" where there are none."""
    good = values[np.isfinite(values)]
    return f"{good.mean():.3f} ± {good.std():.3f}" if good.size else "–"


_TEST_HEAD = ("set", "descriptor", "n", "median, {0}", "median, set", "D", "p", "Cliff's δ", "frames that differ")


def _test_rows(
    ev: Evaluation, descriptors: Sequence[Descriptor]
) -> tuple[list[tuple[str, ...]], list[tuple[int, int]]]:
    """Return the rows of the table of tests, one for each made set and descriptor, and the cells to stress.

    Parameters
    ----------
    ev : Evaluation
        The comparison.
    descriptors : sequence of Descriptor
        Descriptors to list.

    Returns
    -------
    rows : list of tuple of str
        Cells in the order of ``_TEST_HEAD``.
    low : list of (int, int)
        Row and column of every p below ``LEVEL``.
    """
    rows: list[tuple[str, ...]] = []
    low: list[tuple[int, int]] = []
    for name in ev.sets[1:]:
        for descriptor in descriptors:
            row = sequence_test(ev, name, descriptor.name)
            label = descriptor.label(ev.unit)
            numbers = [number_text(float(row[k])) for k in ("median_reference", "median")]
            effect = [f"{float(row[k]):.2f}".replace("-", "−") for k in ("ks_statistic", "cliffs_delta")]
            if row["p"] < LEVEL:
                low.append((len(rows), 6))
            counts = f"{row['n_reference']}, {row['n']}"
            rows.append((name, label, counts, *numbers, effect[0], p_text(row["p"]), effect[1],
                         _frames_that_differ(ev, name, descriptor.name)))  # fmt: skip
    return rows, low


def _test_remarks(ev: Evaluation) -> str:
    """Return as HTML captions what the table of tests notes, each note once with the sets that it holds for.

    Notes on small numbers of values are left out, since a warning on top of the page says the same.
    """
    rows = ev.tests[ev.tests["scope"] == "sequence"]
    found: dict[str, list[str]] = {}
    for name, note in dict.fromkeys(zip(rows["set"].tolist(), rows["note"].tolist())):
        if note and not note.startswith("only "):
            found.setdefault(note, []).append(name)
    lines = [f"{', '.join(names)}: {note}." for note, names in found.items()]
    return "\n".join(caption(line) for line in lines)


def _frames_that_differ(ev: Evaluation, name: str, descriptor: str) -> str:
    """Return "k of n": of n frames tested for a set and descriptor, k have an adjusted p below ``LEVEL``."""
    tests = ev.tests
    at = (tests["set"] == name) & (tests["descriptor"] == descriptor) & (tests["scope"] == "frame")
    return f"{int((tests['p_adjusted'][at] < LEVEL).sum())} of {int(at.sum())}"


_TESTS = """
Two-sample Kolmogorov–Smirnov tests, one value a sequence: its mean over frames, daughters averaged (so that a division
seen a frame earlier or later changes the means of volume and area). D is the largest distance between the two
cumulative distributions (0 to 1). Cliff's δ runs from −1 to 1 and is positive where the set's values are the larger;
below 0.15 in magnitude is often called negligible, above 0.47 large. A large p does not show that two sets are equal:
with {first} and {most} sequences D has to reach about {least:.2f} for p < {level:g}. The last count is of frames that
differ at {level:g} when each is tested alone, corrected for their number.
"""
_PAIRS = """
{sets}: the test assumes independent sets, but reconstructions are paired with their originals; it is shown since the
papers use it. Judge paired sets by their overlap first.
"""


def _tests(ev: Evaluation) -> str:
    """Return the HTML section with the table of tests, its explanation, and folded tables of the other descriptors."""
    head = [name.format(ev.reference) for name in _TEST_HEAD]
    rows, low = _test_rows(ev, ev.main_descriptors)
    reference_count, *made_counts = (int((ev.sequences["set"] == name).sum()) for name in ev.sets)
    least = critical_distance(reference_count, max(made_counts))
    explanation = _TESTS.format(first=reference_count, most=max(made_counts), least=least, level=LEVEL).strip()
    if ev.paired:
        explanation += "\n" + _PAIRS.format(sets=", ".join(ev.paired)).strip()
    asides = []
    for heading, descriptors in ev.folded_descriptors.items():
        more, low_more = _test_rows(ev, descriptors)
        inner = table(more, head, text=(0, 1), low=low_more)
        asides.append(details(heading, inner, caption(_descriptor_notes(descriptors).strip())))
    main = table(rows, head, text=(0, 1), low=low)
    return section("Are the sets alike?", main, _test_remarks(ev), caption(explanation), *asides)


def _distributions(ev: Evaluation, pngs: Mapping[str, bytes]) -> str:
    """Return the HTML section with the figures ``boxes`` (box plots) and ``qq`` (Q–Q plots), and how to read them."""
    return section(
        "How do the values spread?",
        picture(pngs["boxes"], f"Box plots of {_descriptor_titles(ev)}"),
        caption(
            "One point a sequence. Boxes span the middle half of the values, the line is the median, whiskers end at "
            "the last value within 1.5 box lengths."
        ),
        picture(pngs["qq"], "Quantiles of each set against those of the reference"),
        caption(
            "Quantiles of each set against those of the reference (Q–Q plot). On the diagonal the distributions "
            "agree; beside it one set has larger values; a slope below 1 means that the made shapes vary less."
        ),
    )


def _codes(ev: Evaluation, pngs: Mapping[str, bytes]) -> str:
    """Return the HTML section on latent codes, with the figures ``pca`` and ``tsne``; "" where there are no codes."""
    if ev.codes is None:
        return ""
    n, latent = ev.codes.codes.shape
    parts = [
        picture(pngs["pca"], "Principal components of the latent codes"),
        caption(f"Principal components of {n} codes of {latent} numbers."),
    ]
    if "tsne" in pngs:
        parts += [
            picture(pngs["tsne"], "Latent codes by t-SNE"),
            caption(
                "t-SNE places similar codes near each other; distances between groups and their sizes mean nothing."
            ),
        ]
    return section("How are the latent codes distributed?", *parts)


def _sequences(ev: Evaluation) -> str:
    """Return the HTML section with a folded table of all sequences: counts and means of main descriptors."""
    shown = [dataclasses.replace(one, title=one.title.split(" (")[0]).label(ev.unit) for one in ev.main_descriptors]
    paired = ["Dice"] if ev.paired else []
    head = ["set", "sequence", "frames", "missing", "bodies", *shown, *paired]
    rows = []
    for row in ev.sequences:
        cells = [str(row["set"]), str(row["sequence"]), *(str(row[k]) for k in ("frames", "missing", "components"))]
        cells += [number_text(float(row[one.name])) for one in ev.main_descriptors]
        rows.append([*cells, *([f"{row['dice']:.3f}".replace("nan", "–")] if paired else [])])
    return section("All sequences", details(f"{len(rows)} rows: means over frames", table(rows, head, text=(0, 1))))
