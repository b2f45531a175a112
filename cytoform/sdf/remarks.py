"""What the preparation of sequences leaves out or takes for granted, gathered and told in few sentences."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Collection, Iterable, Sequence

__all__ = ["Remarks", "frames_told", "listed"]

_LOG = logging.getLogger(__name__)
_SHOWN = 8  # names in a sentence
_ROUGH = 0.05  # share of a frame's inside that specks together may have and still be called that


def listed(names: Sequence[str]) -> str:
    """Names in a row, the first few of many."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def frames_told(numbers: Iterable[int]) -> str:
    """Frames by number, runs of them as one: "frame 3", "frames 4 to 9, 12"."""
    ordered = sorted(set(numbers))
    runs = [[n for _, n in group] for _, group in itertools.groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])]
    told = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    told = [*told[:_SHOWN], "…"] if len(told) > _SHOWN else told
    return f"frame{'s' * (len(ordered) > 1)} {', '.join(told)}"


@dataclasses.dataclass
class Remarks:
    """What is to be told, by sequence and frame; :meth:`tell` puts it into one warning a kind.

    Attributes
    ----------
    sources : dict of str to None
        Sentences about the files that were read; what a reader itself assumed, it tells itself.
    parts : dict of str to dict of int to (int, float)
        Frames with more parts than are used: how many there are, and which share of the inside is left out.
    specks : dict of str to dict of int to float
        Share of the inside that is in specks.
    border : dict of str to dict of int to str
        Frames left out, and where the border is touched.
    small : dict of str to dict of int to int
        Frames with a body of few voxels, and how many.
    unset : int
        Frames with the value −1.
    """

    sources: dict[str, None] = dataclasses.field(default_factory=dict)
    parts: dict[str, dict[int, tuple[int, float]]] = dataclasses.field(default_factory=dict)
    specks: dict[str, dict[int, float]] = dataclasses.field(default_factory=dict)
    border: dict[str, dict[int, str]] = dataclasses.field(default_factory=dict)
    small: dict[str, dict[int, int]] = dataclasses.field(default_factory=dict)
    unset: int = 0

    def tell(self, parts: int) -> None:
        """Log the warnings; ``parts`` is how many bodies a frame may have."""
        for sentence in self.sources:
            _LOG.warning("%s", sentence)
        if self.unset:
            _LOG.warning("The value −1, in %d frame%s, counts as outside.", self.unset, "s" * (self.unset > 1))
        if self.border:
            _LOG.warning("%s", self.border_told())
        if self.parts:
            _LOG.warning("%s", self._parts_told(parts))
        if self.specks:
            _LOG.warning("%s", self._specks_told())

    def tell_small(self, names: Collection[str]) -> None:
        """The same for bodies of few voxels, of the sequences that are used."""
        told = []
        for name, found in self.small.items():
            if name in names:
                least = min(found.values())
                told.append(f"{name} ({least} voxel{'s' * (least > 1)}, {frames_told(found)})")
        if told:
            _LOG.warning(
                "Bodies of very few voxels: %s. Check that they are cells, or leave them out (labels, --label).",
                listed(told),
            )

    def border_told(self) -> str:
        """What was left out at the image's border, with the way to keep it."""
        each = [f"{name} ({frames_told(found)}, {next(iter(found.values()))})" for name, found in self.border.items()]
        return (
            f"Cut by the image's border and left out: {listed(each)}. To keep such frames, closed at the border: "
            "border='keep' (--border keep)."
        )

    def _parts_told(self, parts: int) -> str:
        each = []
        for name, found in self.parts.items():
            most, share = max(n for n, _ in found.values()), max(s for _, s in found.values())
            each.append(
                f"{name} ({frames_told(found)}: {most} parts, up to {100 * share:.0f} % of the volume left out)"
            )
        kept = "the largest part is" if parts == 1 else "the two largest parts are"
        way = "Pass parts=2 (--parts 2) for a cell that divides, or give" if parts == 1 else "Give"
        return f"Objects in several parts, of which only {kept} used: {listed(each)}. {way} each part its own label."

    def _specks_told(self) -> str:
        frames = sum(len(found) for found in self.specks.values())
        share = max(max(found.values()) for found in self.specks.values())
        rough = f" {'That is a rough mask: check it.' if share > _ROUGH else ''}".rstrip()
        return (
            f"Specks beside the objects were left out in {frames} frame{'s' * (frames > 1)} of "
            f"{listed(list(self.specks))}: at most {100 * share:.2g} % of the volume.{rough}"
        )
