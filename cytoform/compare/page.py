"""The page of a comparison: a summary in words, figures and tables in one file without references to anything else."""

from __future__ import annotations

import base64
import html
import io
import struct
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import figures
from .measure import DESCRIPTORS
from .shapes import shapes_figure
from .statistics import LEVEL, smallest_distance

if TYPE_CHECKING:
    from . import Evaluation

__all__ = ["evaluation_html", "pictures", "summary_lines"]

Array = npt.NDArray[Any]

_DPI = 150
_STYLE = """
.lines { margin: 0 0 4px; padding-left: 20px; }
.lines li { margin: 3px 0; }
.scroll { overflow-x: auto; }
thead th { color: var(--ink); font-weight: 600; vertical-align: bottom; }
.figures td, .figures thead th:not(.text) { text-align: right; white-space: nowrap; }
.figures td.text, .figures th.text { text-align: left; white-space: normal; overflow-wrap: normal; }
.figures thead th { white-space: normal; overflow-wrap: normal; }
.figures tbody th { padding-right: 10px; }
td.low { color: #a33c00; font-weight: 650; }
summary { cursor: pointer; color: var(--accent); margin: 10px 0 6px; }
.caption + img { margin-top: 20px; }
"""


# ---------------------------------------------------------------------------------------------------------------------
# Words


def _number(value: float) -> str:
    """Four digits at most, without an exponent where that reads well."""
    if not np.isfinite(value):
        return "–"
    size = abs(value)
    return f"{value:,.0f}" if 1000 <= size < 1e7 else f"{value:.3g}" if size >= 1e7 else f"{value:.4g}"


def _p(value: float) -> str:
    return "–" if not np.isfinite(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def _percent(value: float) -> str:
    return f"{100 * value:+.1f} %".replace("-", "−")


def _by_sequence(ev: Evaluation, name: str, descriptor: str) -> Any:
    tests = ev.tests
    at = (tests["set"] == name) & (tests["descriptor"] == descriptor) & (tests["scope"] == "sequence")
    return tests[at][0]


def _set_line(ev: Evaluation, name: str) -> str:
    """What a set looks like beside the reference."""
    alike: list[str] = []
    unlike: list[str] = []
    for descriptor in figures.SHOWN:
        row = _by_sequence(ev, name, descriptor)
        change = row["median"] / row["median_reference"] - 1.0
        p = _p(row["p"])
        text = (
            f"{figures.TITLES[descriptor]} (median {_percent(change)}, p {'<' if p[0] == '<' else '='} {p.lstrip('<')})"
        )
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
    part = ev.overlap[ev.overlap["set"] == name]
    dice = part["dice"][np.isfinite(part["dice"])]
    last = part["dice"][part["frame"] == part["frame"].max()]
    last = last[np.isfinite(last)]
    if not dice.size:
        return f"{name}: nothing to overlap, all frames of all pairs are empty."
    end = f"; {last.mean():.3f} ± {last.std():.3f} in the last frame" if last.size else ""
    error = part["volume_error"][np.isfinite(part["volume_error"])]
    off = f" Volumes are off by {100 * np.abs(error).mean():.1f} % on average." if error.size else ""
    mean = f"{dice.mean():.3f} ± {dice.std():.3f} over all frames"
    return f"{name}: the reconstructions' Dice coefficient is {mean}{end}.{off}"


def _codes_lines(ev: Evaluation) -> list[str]:
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
    """The result in plain words, a line for each thing to know."""
    counts = ", ".join(f"{int((ev.sequences['set'] == name).sum())} {name}" for name in ev.sets)
    lines = [f"Compared: {counts} sequences, lengths in {ev.unit}."]
    for name in ev.sets[1:]:
        lines.append(_set_line(ev, name))
        if name in ev.paired:
            lines.append(_overlap_line(ev, name))
    return lines + _codes_lines(ev)


# ---------------------------------------------------------------------------------------------------------------------
# Pictures


def pictures(ev: Evaluation) -> dict[str, bytes]:
    """The figures as PNG: ``time``, ``boxes``, ``qq``, and where there is something to show ``shapes``, ``overlap``,
    ``pca``, ``tsne``."""
    wanted: dict[str, Any] = {"time": figures.time_figure, "boxes": figures.boxes_figure, "qq": figures.qq_figure}
    if any(mesh is not None for row in ev.pictured for one in row for mesh in one.meshes):
        wanted["shapes"] = lambda ev: shapes_figure(ev, figures.colours(ev.sets))
    if len(ev.overlap) and np.isfinite(ev.overlap["dice"]).any():
        wanted["overlap"] = figures.overlap_figure
    if ev.codes is not None:
        wanted["pca"] = figures.pca_figure
        if ev.codes.tsne is not None:
            wanted["tsne"] = figures.tsne_figure
    return {name: _png(make(ev)) for name, make in wanted.items()}


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _image(data: bytes, alt: str) -> str:
    width, _ = struct.unpack(">II", data[16:24])  # of the PNG's header
    code = base64.b64encode(data).decode("ascii")
    return (
        f'<img style="width: {width / _DPI * 108:.0f}px" alt="{html.escape(alt)}" src="data:image/png;base64,{code}">'
    )


# ---------------------------------------------------------------------------------------------------------------------
# The page


def evaluation_html(ev: Evaluation, drawn: Mapping[str, bytes] | None = None) -> str:
    """The comparison as one HTML page that opens offline.

    Parameters
    ----------
    ev : Evaluation
    drawn : mapping of str to bytes, optional
        What :func:`pictures` gave, where it is there already.
    """
    drawn = pictures(ev) if drawn is None else drawn
    title = html.escape(f"{' and '.join(ev.sets[1:])} against {ev.reference}")
    base = resources.files("cytoform.report").joinpath("style.css").read_text(encoding="utf-8")
    parts = [_shapes(ev, drawn), _summary(ev), _time(drawn), _overlap(ev, drawn), _tests(ev), _spread(drawn),
             _codes(ev, drawn), _sequences(ev)]  # fmt: skip
    body = "\n".join(part for part in parts if part)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · cytoform evaluation</title>
<style>
{base}{_STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="lead">{_lead(ev)}</p>
{_notes(ev.notes)}
{_headline(ev)}
{body}
<footer>Made by cytoform. Volume and surface area come from marching cubes at the zero level; tables lie beside this
page as CSV.</footer>
</main>
</body>
</html>
"""


def _lead(ev: Evaluation) -> str:
    parts = []
    for name in ev.sets:
        part = ev.sequences[ev.sequences["set"] == name]
        low, high = int(part["frames"].min()), int(part["frames"].max())
        frames = f"{low}" if low == high else f"{low} to {high}"
        parts.append(f"{name}: {len(part)} sequence{'s'[: len(part) != 1]} of {frames} frame{'s'[: high != 1]}")
    return html.escape(" · ".join([*parts, f"lengths in {ev.unit}"]))


def _notes(notes: Sequence[str]) -> str:
    lines = "\n".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return f'<div class="notes" role="note">\n{lines}\n</div>' if notes else ""


def _headline(ev: Evaluation) -> str:
    cells = []
    for name in ev.paired:
        part = ev.overlap[ev.overlap["set"] == name]
        for column in ("dice", "jaccard"):
            value = part[column][np.isfinite(part[column])]
            cells.append((f"{value.mean():.3f}" if value.size else "–", f"{column.capitalize()}, {name}"))
    for name in ev.sets[1:]:
        rows = [_by_sequence(ev, name, d) for d in figures.SHOWN]
        differ = sum(bool(row["p"] < LEVEL) for row in rows)
        cells.append((f"{differ} of {len(rows)}", f"descriptors that differ (p < {LEVEL:g}), {name}"))
    made = [f"<div><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>" for value, name in cells]
    return '<div class="headline">\n' + "\n".join(made) + "\n</div>"


def _unbroken(text: str) -> str:
    """Numbers stay with their signs and units at the end of a line."""
    for mark in (" = ", " ± ", " &lt; "):
        text = text.replace(mark, mark.replace(" ", "&nbsp;"))
    return text.replace(" %", "&nbsp;%")


def _summary(ev: Evaluation) -> str:
    lines = "\n".join(f"<li>{_unbroken(html.escape(line))}</li>" for line in summary_lines(ev))
    return f'<section>\n<h2>In short</h2>\n<ul class="lines">\n{lines}\n</ul>\n</section>'


def _shapes(ev: Evaluation, drawn: Mapping[str, bytes]) -> str:
    if "shapes" not in drawn:
        return ""
    pairs = f" Those of {html.escape(', '.join(ev.paired))} stand below their originals." if ev.paired else ""
    return f"""<section>
<h2>What do the shapes look like?</h2>
{_image(drawn["shapes"], "Surfaces of a few sequences of each set, in a few frames")}
<p class="caption">The first sequences of each set, from one side and to one scale.{pairs}</p>
</section>"""


def _time(drawn: Mapping[str, bytes]) -> str:
    return f"""<section>
<h2>Do the shapes develop alike?</h2>
{_image(drawn["time"], "Mean and quartiles of volume, surface area and sphericity at each frame")}
<p class="caption">Lines are means, bands hold the middle half of the shapes (quartiles), frame by frame. After a
division each daughter counts as a shape of its own. Sphericity is Wadell's, 1 for a sphere.</p>
</section>"""


def _overlap(ev: Evaluation, drawn: Mapping[str, bytes]) -> str:
    if "overlap" not in drawn:
        return ""
    head = ("set", "pairs", "Dice", "Dice, last frame", "Jaccard", "worst Dice", "volume error")
    rows = []
    for name in ev.paired:
        part = ev.overlap[ev.overlap["set"] == name]
        last = part[part["frame"] == part["frame"].max()]
        error = np.abs(part["volume_error"][np.isfinite(part["volume_error"])])
        dice = part["dice"][np.isfinite(part["dice"])]
        spread = [_spread_of(column) for column in (part["dice"], last["dice"], part["jaccard"])]
        off = f"{100 * error.mean():.1f} %" if error.size else "–"
        rows.append((name, str(len(np.unique(part["sequence"]))), *spread, f"{dice.min():.3f}", off))
    return f"""<section>
<h2>Do the reconstructions match their originals?</h2>
{_image(drawn["overlap"], "Dice and Jaccard coefficients at each frame")}
{_table(head, rows)}
<p class="caption">Overlap of each reconstruction with its original, in voxels; 1 is a perfect match. Mean ± standard
deviation. The volume error is the mean of its magnitude over frames.</p>
</section>"""


def _spread_of(values: Array) -> str:
    good = values[np.isfinite(values)]
    return f"{good.mean():.3f} ± {good.std():.3f}" if good.size else "–"


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    text: Sequence[int] = (0,),
    low: Sequence[tuple[int, int]] = (),
) -> str:
    """A table whose columns in ``text`` are words, the others numbers; ``low`` are cells (row, column) to stress."""

    def kind(row: int, column: int) -> str:
        names = ["text"] * (column in text) + ["low"] * ((row, column) in low)
        return f' class="{" ".join(names)}"' if names else ""

    top = "".join(f"<th{kind(-1, k)}>{html.escape(name)}</th>" for k, name in enumerate(head))
    lines = [
        "<tr>" + "".join(f"<td{kind(r, k)}>{html.escape(cell)}</td>" for k, cell in enumerate(row)) + "</tr>"
        for r, row in enumerate(rows)
    ]
    body = "\n".join(lines)
    inner = f"<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    return f'<div class="scroll"><table class="figures">{inner}</table></div>'


_TEST_HEAD = ("set", "descriptor", "n", "median, {0}", "median, set", "D", "p", "Cliff's δ", "frames that differ")


def _test_rows(ev: Evaluation, descriptors: Sequence[str]) -> tuple[list[tuple[str, ...]], list[tuple[int, int]]]:
    rows: list[tuple[str, ...]] = []
    low: list[tuple[int, int]] = []
    for name in ev.sets[1:]:
        for descriptor in descriptors:
            row = _by_sequence(ev, name, descriptor)
            unit = ev.unit_of(descriptor)
            label = figures.TITLES[descriptor] + (f", {unit}" if unit else "")
            numbers = [_number(float(row[k])) for k in ("median_reference", "median")]
            effect = [f"{float(row[k]):.2f}".replace("-", "−") for k in ("ks_statistic", "cliffs_delta")]
            if row["p"] < LEVEL:
                low.append((len(rows), 6))
            counts = f"{row['n_reference']}, {row['n']}"
            rows.append((name, label, counts, *numbers, effect[0], _p(row["p"]), effect[1],
                         _frames_that_differ(ev, name, descriptor)))  # fmt: skip
    return rows, low


def _remarks(ev: Evaluation) -> str:
    """What the tests say about themselves, each once; that there are few values is said above."""
    rows = ev.tests[ev.tests["scope"] == "sequence"]
    found: dict[str, list[str]] = {}
    for name, note in dict.fromkeys(zip(rows["set"].tolist(), rows["note"].tolist())):
        if note and not note.startswith("only "):
            found.setdefault(note, []).append(name)
    lines = [f"{', '.join(names)}: {note}." for note, names in found.items()]
    return "".join(f'\n<p class="caption">{html.escape(line)}</p>' for line in lines)


def _frames_that_differ(ev: Evaluation, name: str, descriptor: str) -> str:
    tests = ev.tests
    at = (tests["set"] == name) & (tests["descriptor"] == descriptor) & (tests["scope"] == "frame")
    return f"{int((tests['p_adjusted'][at] < LEVEL).sum())} of {int(at.sum())}"


def _tests(ev: Evaluation) -> str:
    head = [name.format(ev.reference) for name in _TEST_HEAD]
    shown, low = _test_rows(ev, figures.SHOWN)
    papers, low_papers = _test_rows(ev, DESCRIPTORS[3:])
    counts = [int((ev.sequences["set"] == name).sum()) for name in ev.sets]
    least = smallest_distance(counts[0], max(counts[1:]))
    pairs = (
        f" {html.escape(', '.join(ev.paired))}: the test takes the two sets for independent, which pairs are not; it "
        "is the papers' test all the same. Judge pairs by their overlap first."
        if ev.paired
        else ""
    )
    return f"""<section>
<h2>Are the sets alike?</h2>
{_table(head, shown, text=(0, 1), low=low)}{_remarks(ev)}
<p class="caption">Two-sample Kolmogorov–Smirnov tests, one value a sequence: its mean over frames, daughters averaged
(so that a division seen a frame earlier or later shows in the means of volume and area).
D is the largest distance between the two cumulative distributions (0 to 1). Cliff's δ runs from −1 to 1 and is positive
where the set's values are the larger; under 0.15 in magnitude is often called negligible, over 0.47 large. A large p
does not show that two sets are equal: with {counts[0]} and {max(counts[1:])} sequences D has to reach about {least:.2f}
for p &lt; {LEVEL:g}. The last count is of frames that differ at {LEVEL:g} when each is tested alone, corrected for
their number.{pairs}</p>
<details>
<summary>Sphericity as the two papers define it</summary>
{_table(head, papers, text=(0, 1), low=low_papers)}
<p class="caption">2022: A^1.5 / (6 √π V), 1 for a sphere and more for all else. 2024: 36 π V² / A³, 1 for a sphere and
less for all else. Both are powers of Wadell's.</p>
</details>
</section>"""


def _spread(drawn: Mapping[str, bytes]) -> str:
    return f"""<section>
<h2>How do the values spread?</h2>
{_image(drawn["boxes"], "Box plots of volume, surface area and sphericity")}
<p class="caption">One point a sequence. Boxes hold the middle half, the line is the median, whiskers reach to the last
value within 1.5 box lengths.</p>
{_image(drawn["qq"], "Quantiles of each set against those of the reference")}
<p class="caption">Quantiles against quantiles. On the diagonal the distributions are alike; beside it one is larger; a
slope under 1 means that the made shapes vary less.</p>
</section>"""


def _codes(ev: Evaluation, drawn: Mapping[str, bytes]) -> str:
    if ev.codes is None:
        return ""
    plane = _image(drawn["tsne"], "Latent codes by t-SNE") if "tsne" in drawn else ""
    words = (
        """<p class="caption">t-SNE puts like codes beside each other; distances between groups and their sizes mean
nothing.</p>"""
        if plane
        else ""
    )
    return f"""<section>
<h2>How are the latent codes laid out?</h2>
{_image(drawn["pca"], "Principal components of the latent codes")}
<p class="caption">Principal components of {len(ev.codes.codes)} codes of {ev.codes.codes.shape[1]} numbers.</p>
{plane}
{words}
</section>"""


def _sequences(ev: Evaluation) -> str:
    shown = [
        f"{figures.TITLES[d].split(' (')[0]}{f', {ev.unit_of(d)}' if ev.unit_of(d) else ''}" for d in figures.SHOWN
    ]
    paired = ["Dice"] if ev.paired else []
    head = ["set", "sequence", "frames", "missing", "bodies", *shown, *paired]
    rows = []
    for row in ev.sequences:
        cells = [str(row["set"]), str(row["sequence"]), *(str(row[k]) for k in ("frames", "missing", "components"))]
        cells += [_number(float(row[d])) for d in figures.SHOWN]
        rows.append([*cells, *([f"{row['dice']:.3f}".replace("nan", "–")] if paired else [])])
    return f"""<section>
<h2>All sequences</h2>
<details>
<summary>{len(rows)} rows: means over frames</summary>
{_table(head, rows, text=(0, 1))}
</details>
</section>"""
