"""Figures of a comparison, each a :class:`matplotlib.figure.Figure` without global state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .._typing import Array
from ..report.figures import FAINT, INK, styled

if TYPE_CHECKING:
    from .codes import CodeSpace
    from .comparison import Evaluation
    from .descriptors import Descriptor

__all__ = [
    "abbreviated",
    "boxes_figure",
    "overlap_figure",
    "pca_figure",
    "qq_figure",
    "set_colours",
    "time_figure",
    "tsne_figure",
]  # fmt: skip


# Okabe and Ito's colours: orange for the real set; blue, green, ... for made sets, as in the papers.
_COLOURS = ("#D98200", "#0072B2", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
_MARKERS = "osD^vP*X"
_UNLABELLED = "no label"
_SIZE = (10.4, 3.5)  # inches, three panels in a row
_PANELS_IN_ROW = 3


def set_colours(sets: tuple[str, ...]) -> dict[str, str]:
    """Return a colour (hex) for each set name: orange for the first, the reference; after six they repeat."""
    return {name: _COLOURS[k % len(_COLOURS)] for k, name in enumerate(sets)}


def abbreviated(name: str, most: int = 14) -> str:
    """Return a name unchanged if it has at most `most` characters, else shortened to that length by "…" in its middle.

    The last four characters stay.
    """
    return name if len(name) <= most else f"{name[: most - 5]}…{name[-4:]}"


def _panels(n: int, width: float | None = None) -> tuple[Figure, list[Axes]]:
    """Make a figure with n axes (panels) in rows of three, without top and right spines.

    `width` is the figure's width in inches, 10.4 where None. Return the figure and the list of its axes.
    """
    rows, columns = -(-n // _PANELS_IN_ROW), min(n, _PANELS_IN_ROW)
    figure = Figure(figsize=(width or _SIZE[0], rows * _SIZE[1]), facecolor="white", layout="constrained")
    panels = [figure.add_subplot(rows, columns, k + 1) for k in range(n)]
    for panel in panels:
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    return figure, panels


def _axis_label(ev: Evaluation, descriptor: Descriptor) -> str:
    """Return the label of an axis that shows a descriptor: its title, and its unit in brackets where it has one."""
    return descriptor.label(ev.unit, " ({})")


def _draw_legend(figure: Figure, panel: Axes) -> None:
    """Draw one legend above all panels of a figure, with the labelled artists of `panel` in one row."""
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)


def _draw_mean_and_quartiles(
    panel: Axes, frames: Array, values: Array, colour: str, label: str, *, reference: bool = False
) -> None:
    """Draw the mean of values at each frame as a line, and the range between their quartiles (25 % to 75 %) as a band.

    Parameters
    ----------
    panel : Axes
        Axes to draw on.
    frames : (n,) int
        Frame of each value.
    values : (n,) float
        The values; NaN is left out. Nothing is drawn where all are NaN.
    colour : str
        Colour of line and band.
    label : str
        Name in the legend.
    reference : bool
        True for the reference set: its line is dashed and on top, so that other sets show through the gaps.
    """
    good = np.isfinite(values)
    frame_numbers = np.unique(frames[good])
    parts = [values[good & (frames == k)] for k in frame_numbers]
    if not parts:
        return
    low, high = np.array([np.percentile(p, [25, 75]) for p in parts]).T
    marker = "o" if len(frame_numbers) < 3 else ""
    # The reference lies on top, dashed, so that a set which covers it shows through the gaps.
    line = dict(linewidth=2.2, linestyle=(0, (3, 1.2)), zorder=4) if reference else dict(linewidth=1.8, zorder=3)
    panel.fill_between(frame_numbers, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2 if reference else 1)
    panel.plot(frame_numbers, [p.mean() for p in parts], color=colour, marker=marker, label=label, **line)


@styled
def time_figure(ev: Evaluation) -> Figure:
    """Draw mean and quartiles over all bodies of each set against frames, one panel for each main descriptor."""
    figure, panels = _panels(len(ev.main_descriptors))
    for panel, descriptor in zip(panels, ev.main_descriptors):
        for name, colour in set_colours(ev.sets).items():
            part = ev.frames[ev.frames["set"] == name]
            _draw_mean_and_quartiles(
                panel, part["frame"], part[descriptor.name], colour, name, reference=name == ev.reference
            )
        panel.set(xlabel="frame", ylabel=_axis_label(ev, descriptor))
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _draw_legend(figure, panels[0])
    return figure


def _finite_values(ev: Evaluation, name: str, descriptor: Descriptor) -> Array:
    """Return a descriptor's values in one set, one for each sequence (its mean over frames), without NaN."""
    values: Array = ev.sequences[descriptor.name][ev.sequences["set"] == name]
    finite: Array = values[np.isfinite(values)]
    return finite


@styled
def boxes_figure(ev: Evaluation) -> Figure:
    """Draw box plots, one panel for each main descriptor, one box for each set, and all values as points.

    Boxes span the quartiles with a line at the median; whiskers end at the last value within 1.5 box lengths.
    """
    figure, panels = _panels(len(ev.main_descriptors))
    rng = np.random.default_rng(0)
    for panel, descriptor in zip(panels, ev.main_descriptors):
        for k, (name, colour) in enumerate(set_colours(ev.sets).items()):
            values = _finite_values(ev, name, descriptor)
            parts = panel.boxplot(values, positions=[k], widths=0.55, showfliers=False, patch_artist=True)
            parts["boxes"][0].set(facecolor=colour, alpha=0.25, edgecolor=colour)
            for line in (*parts["medians"], *parts["whiskers"], *parts["caps"]):
                line.set(color=colour, linewidth=1.4)
            aside = k + rng.uniform(-0.14, 0.14, len(values))
            panel.plot(aside, values, "o", color=colour, markersize=3.2, alpha=0.8, markeredgewidth=0)
        panel.set_ylabel(_axis_label(ev, descriptor))
        letters = 36 // len(ev.sets)  # that fit below a box
        too_long = max(map(len, ev.sets)) > letters
        rotated: dict[str, Any] = dict(rotation=25, ha="right", rotation_mode="anchor") if too_long else {}
        panel.set_xticks(range(len(ev.sets)), [abbreviated(name) for name in ev.sets], **rotated)
        panel.set_xlim(-0.6, len(ev.sets) - 0.4)
    return figure


@styled
def qq_figure(ev: Evaluation) -> Figure:
    """Draw quantiles of each set against those of the reference (Q–Q plots), one panel for each main descriptor.

    There is one value a sequence, and as many quantiles as the smaller set has values. Points lie on the drawn diagonal
    where distributions agree.
    """
    figure, panels = _panels(len(ev.main_descriptors))
    for panel, descriptor in zip(panels, ev.main_descriptors):
        first = _finite_values(ev, ev.reference, descriptor)
        seen = [first]
        for name, colour in list(set_colours(ev.sets).items())[1:]:
            second = _finite_values(ev, name, descriptor)
            n = min(len(first), len(second))
            at = (np.arange(n) + 0.5) / n
            x, y = (np.quantile(v, at, method="hazen") for v in (first, second))
            panel.plot(x, y, "o", color=colour, markersize=4, alpha=0.85, markeredgewidth=0, label=name)
            seen.append(second)
        low, high = float(np.min(np.concatenate(seen))), float(np.max(np.concatenate(seen)))
        pad = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        ends = (low - pad, high + pad)
        panel.plot(ends, ends, color=FAINT, linewidth=0.9, zorder=0)
        panel.set(xlim=ends, ylim=ends, aspect="equal", xlabel=f"{ev.reference}: {_axis_label(ev, descriptor)}")
        panel.set_ylabel(f"{'made' if len(ev.sets) > 2 else ev.sets[1]}: {_axis_label(ev, descriptor)}")
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(MaxNLocator(5))
    _draw_legend(figure, panels[0])
    return figure


@styled
def overlap_figure(ev: Evaluation) -> Figure:
    """Draw Dice and Jaccard coefficients of the paired sets at each frame: mean and quartiles over the sequences.

    The vertical axis begins a little below the second percentile of the lowest set.
    """
    figure, panels = _panels(2, 7.6)
    for panel, column in zip(panels, ("dice", "jaccard")):
        low = 1.0
        for name, colour in set_colours(ev.sets).items():
            part = ev.overlap[ev.overlap["set"] == name]
            _draw_mean_and_quartiles(panel, part["frame"], part[column], colour, name)
            values = part[column][np.isfinite(part[column])]
            low = min(low, float(np.percentile(values, 2)) if values.size else 1.0)
        low = max(0.0, low - 0.1 * (1.0 - low) - 0.005)
        panel.set(xlabel="frame", ylabel=f"{column.capitalize()} coefficient", ylim=(low, 1.02 - 0.02 * low))
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if len(ev.paired) > 1:
        _draw_legend(figure, panels[0])
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# Codes


def _descriptor_of_codes(ev: Evaluation, space: CodeSpace, descriptor: str) -> Array:
    """Return the value of a descriptor for the sequence that each code stands for, (n,); NaN where it is missing.

    The value is that of the table of sequences, a mean over frames, looked up by set and sequence name. `space` has the
    n codes, `descriptor` is the name of a column.
    """
    rows = zip(ev.sequences["set"].tolist(), ev.sequences["sequence"].tolist(), ev.sequences[descriptor].tolist())
    found = {(name, sequence): value for name, sequence, value in rows}
    return np.array([found.get(key, np.nan) for key in zip(space.sets.tolist(), space.sequences.tolist())])


def _draw_groups(panel: Axes, points: Array, groups: Array, palette: dict[str, Any]) -> None:
    """Draw points as a scatter plot with one colour for each group, and a legend.

    Parameters
    ----------
    panel : Axes
        Axes to draw on.
    points : (n, 2) float
        Positions of the points.
    groups : (n,) str
        Name of each point's group.
    palette : dict of str to colour
        Groups to draw, and their colours; the marker changes after every ten groups.
    """
    for k, (group, colour) in enumerate(palette.items()):
        at = groups == group
        marker = _MARKERS[(k // 10) % len(_MARKERS)]
        panel.scatter(points[at, 0], points[at, 1], s=22, color=colour, marker=marker, linewidths=0, label=group)
    panel.legend(frameon=False, fontsize=7.5, handletextpad=0.2, loc="best", ncols=1 + len(palette) // 9)


def _family_palette(labels: Array) -> dict[str, Any]:
    """Return a colour for each distinct label, in alphabetical order; "no label" comes last, in grey.

    The colours are matplotlib's ten of "tab10", then repeated.
    """
    import matplotlib

    shades = matplotlib.colormaps["tab10"](np.arange(10))
    names = [name for name in np.unique(labels).tolist() if name != _UNLABELLED]
    found: dict[str, Any] = {name: shades[k % 10] for k, name in enumerate(names)}
    return found | ({_UNLABELLED: "#b8bfc6"} if _UNLABELLED in labels else {})


@styled
def pca_figure(ev: Evaluation) -> Figure:
    """Draw the variance that each principal component of the codes explains, and a scatter plot of the first two.

    The left panel also has the cumulative variance; the right one colours the codes by set.
    """
    space = ev.codes
    assert space is not None
    figure, (left, right) = _panels(2, 7.6)
    part = np.cumsum(space.pca.explained) * 100
    number = np.arange(1, len(part) + 1)
    left.bar(number, space.pca.explained * 100, color="#c5d3df", width=0.8, label="each")
    left.plot(number, part, "o-", color=INK, markersize=3, linewidth=1.3, label="together")
    left.set(xlabel="principal components", ylabel="variance explained (%)", ylim=(0, 104))
    left.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    left.legend(frameon=False, fontsize=8, loc="center right")
    scores = space.pca.scores
    points = np.stack([scores[:, 0], scores[:, 1] if scores.shape[1] > 1 else np.zeros(len(scores))], axis=1)
    palette = {name: c for name, c in set_colours(ev.sets).items() if name in space.sets}
    _draw_groups(right, points, space.sets, palette)
    share = [*(space.pca.explained * 100).tolist(), 0.0][:2]
    right.set(xlabel=f"component 1 ({share[0]:.0f} %)", ylabel=f"component 2 ({share[1]:.0f} %)")
    return figure


@styled
def tsne_figure(ev: Evaluation) -> Figure:
    """Draw the t-SNE embedding of the latent codes three times, coloured by volume, by sphericity, and by family.

    Codes of sequences without a value are grey. Where no families are known, the third panel is coloured by set.
    """
    space = ev.codes
    assert space is not None and space.tsne is not None
    figure, panels = _panels(3)
    x, y = space.tsne.T
    coloured = [one for one in ev.descriptors if one.name in ("volume", "sphericity")]
    for panel, descriptor in zip(panels, coloured):
        values = _descriptor_of_codes(ev, space, descriptor.name)
        good = np.isfinite(values)
        panel.scatter(x[~good], y[~good], s=22, color="#c8ced4", linewidths=0)
        drawn = panel.scatter(x[good], y[good], s=22, c=values[good], cmap="viridis", linewidths=0)
        figure.colorbar(drawn, ax=panel, label=_axis_label(ev, descriptor), shrink=0.9)
        panel.set_title(f"by {descriptor.name}")
    if space.labels is not None:
        families = np.where(space.labels == "", _UNLABELLED, space.labels)
        _draw_groups(panels[2], space.tsne, families, _family_palette(families))
        panels[2].set_title("by family")
    else:
        palette = {name: c for name, c in set_colours(ev.sets).items() if name in space.sets}
        _draw_groups(panels[2], space.tsne, space.sets, palette)
        panels[2].set_title("by set")
    for panel in panels:
        panel.set(xticks=[], yticks=[])
        panel.margins(0.08)
    return figure
