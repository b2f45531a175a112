"""Warnings about what the preparation of sequences leaves out or assumes, collected and logged one for each kind."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Collection, Iterable, Sequence

__all__ = ["PreparationWarnings", "format_frames", "format_names"]

_LOG = logging.getLogger(__name__)
_SHOWN = 8  # names in a sentence
_ROUGH = 0.05  # fraction of a frame's inside in specks above which the warning calls the mask rough


def format_names(names: Sequence[str]) -> str:
    """Join names with commas, at most eight of them, followed by the number of the others ("a, b and 3 more").

    Parameters
    ----------
    names : list of str
        In the order in which they are to appear.

    Returns
    -------
    str
        "" for no names.
    """
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def format_frames(numbers: Iterable[int]) -> str:
    """Return frame numbers in words, successive ones as ranges: "frame 3", "frames 4 to 9, 12".

    Parameters
    ----------
    numbers : iterable of int
        Frame numbers in any order; repeated ones count once.

    Returns
    -------
    str
        At most eight ranges, then "…".
    """
    ordered = sorted(set(numbers))
    runs = [[n for _, n in group] for _, group in itertools.groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])]
    ranges = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    ranges = [*ranges[:_SHOWN], "…"] if len(ranges) > _SHOWN else ranges
    return f"frame{'s' * (len(ordered) > 1)} {', '.join(ranges)}"


@dataclasses.dataclass
class PreparationWarnings:
    """Collected facts to warn of, by name of the sequence and number of the frame.

    :meth:`log` and :meth:`log_few_voxels` turn them into one warning for each kind.

    Parameters
    ----------
    about_files : dict of str to None
        Sentences about the files that were read; a dict, so that each is logged once and their order is kept.
    several_parts : dict of str to dict of int to (int, float)
        Frames with more connected components than are used: how many there are, and the fraction of the object's voxels
        that is left out.
    specks : dict of str to dict of int to float
        Fraction of the object's voxels in specks.
    cut_by_border : dict of str to dict of int to str
        Frames left out because the image's border cuts the object, and which plane it touches.
    few_voxels : dict of str to dict of int to int
        Frames with a body of few voxels, and how many it has.
    n_frames_unset : int
        Number of frames in which the value −1 occurs.
    """

    about_files: dict[str, None] = dataclasses.field(default_factory=dict)
    several_parts: dict[str, dict[int, tuple[int, float]]] = dataclasses.field(default_factory=dict)
    specks: dict[str, dict[int, float]] = dataclasses.field(default_factory=dict)
    cut_by_border: dict[str, dict[int, str]] = dataclasses.field(default_factory=dict)
    few_voxels: dict[str, dict[int, int]] = dataclasses.field(default_factory=dict)
    n_frames_unset: int = 0

    def log(self, parts: int) -> None:
        """Log one warning for each kind of fact that was collected, but for bodies of few voxels.

        Parameters
        ----------
        parts : int
            Bodies that an object may have in a frame (:attr:`PrepareConfig.parts`).
        """
        for sentence in self.about_files:
            _LOG.warning("%s", sentence)
        if self.n_frames_unset:
            frames = self.n_frames_unset
            _LOG.warning("The value −1, in %d frame%s, counts as outside.", frames, "s" * (frames > 1))
        if self.cut_by_border:
            _LOG.warning("%s", self.border_message())
        if self.several_parts:
            _LOG.warning("%s", self._parts_message(parts))
        if self.specks:
            _LOG.warning("%s", self._specks_message())

    def log_few_voxels(self, names: Collection[str]) -> None:
        """Log one warning about bodies of few voxels.

        Parameters
        ----------
        names : collection of str
            Sequences that are written; others are not mentioned.
        """
        entries = []
        for name, found in self.few_voxels.items():
            if name in names:
                least = min(found.values())
                entries.append(f"{name} ({least} voxel{'s' * (least > 1)}, {format_frames(found)})")
        if entries:
            _LOG.warning(
                "Bodies of very few voxels: %s. Check that they are cells, or leave them out (labels, --label).",
                format_names(entries),
            )

    def border_message(self) -> str:
        """Return the warning about frames left out at the image's border, with the setting that keeps them."""
        entries = [
            f"{name} ({format_frames(found)}, {next(iter(found.values()))})"
            for name, found in self.cut_by_border.items()
        ]
        return (
            f"Cut by the image's border and left out: {format_names(entries)}. To keep such frames, closed at the "
            "border: border='keep' (--border keep)."
        )

    def _parts_message(self, parts: int) -> str:
        """Return the warning about objects with more connected components than ``parts``, the number used."""
        entries = []
        for name, found in self.several_parts.items():
            most, share = max(n for n, _ in found.values()), max(s for _, s in found.values())
            entries.append(
                f"{name} ({format_frames(found)}: {most} parts, up to {100 * share:.0f} % of the volume left out)"
            )
        kept = "the largest part is" if parts == 1 else "the two largest parts are"
        remedy = "Pass parts=2 (--parts 2) for a cell that divides, or give" if parts == 1 else "Give"
        return (
            f"Objects in several parts, of which only {kept} used: {format_names(entries)}. {remedy} each part its own "
            "label."
        )

    def _specks_message(self) -> str:
        """Return the warning about specks; above 5 % of an object's voxels it also calls the mask rough."""
        frames = sum(len(found) for found in self.specks.values())
        share = max(max(found.values()) for found in self.specks.values())
        rough = f" {'That is a rough mask: check it.' if share > _ROUGH else ''}".rstrip()
        return (
            f"Specks beside the objects were left out in {frames} frame{'s' * (frames > 1)} of "
            f"{format_names(list(self.specks))}: at most {100 * share:.2g} % of the volume.{rough}"
        )
