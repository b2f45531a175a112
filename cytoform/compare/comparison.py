"""Result of a comparison of sets of shapes: tables, files and a page."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from .._typing import Array
from ..atomic import ensure_folder, write_bytes, write_text
from ..tables import csv_text
from .codes import CodeSpace
from .descriptors import Descriptor, known_descriptors
from .shapes import SequenceSurfaces

__all__ = ["Evaluation"]


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """Result of comparing sets of time-evolving shapes with a reference set.

    Parameters
    ----------
    sets : tuple of str
        Names of the sets, the reference first.
    paired : tuple of str
        Sets whose shapes are reconstructions of the reference's.
    unit : str
        Unit of lengths: "µm", or "voxels" where the sequences carry no metric scale.
    frames : structured (n,) array
        A row for each set, sequence, frame and component: each of ``DESCRIPTORS``, such as ``volume`` (unit³) and
        ``area`` (unit²); ``components``, ``specks``, ``at_border``, ``missing``.
    sequences : structured (n,) array
        A row for each sequence; means over frames of means over components.
    tests : structured (n,) array
        Kolmogorov–Smirnov tests of each set against the reference, by sequence and at each frame.
    overlap : structured (n,) array
        ``dice`` and ``jaccard`` for each frame of the paired sets.
    codes : CodeSpace or None
        Latent codes and their analysis; None where no codes were given.
    notes : tuple of str
        Warnings in words.
    pictured : tuple of tuples of SequenceSurfaces
        For each set the surfaces of a few sequences, for the page.
    descriptors : tuple of Descriptor
        Descriptors that were measured; by default all that are registered.
    """

    sets: tuple[str, ...]
    paired: tuple[str, ...]
    unit: str
    frames: Array
    sequences: Array
    tests: Array
    overlap: Array
    codes: CodeSpace | None = None
    notes: tuple[str, ...] = ()
    pictured: tuple[tuple[SequenceSurfaces, ...], ...] = ()
    descriptors: tuple[Descriptor, ...] = dataclasses.field(default_factory=lambda: tuple(known_descriptors().values()))

    @property
    def reference(self) -> str:
        """Name of the reference set, the first one."""
        return self.sets[0]

    @property
    def summary(self) -> str:
        """The result in a few lines of plain English, joined by line feeds."""
        from .summary import summary_lines

        return "\n".join(summary_lines(self))

    @property
    def main_descriptors(self) -> list[Descriptor]:
        """Descriptors of the figures, the summary and the main table: those without an ``aside``."""
        return [one for one in self.descriptors if not one.aside]

    @property
    def folded_descriptors(self) -> dict[str, list[Descriptor]]:
        """The other descriptors by ``aside``, the heading of the folded table that shows them."""
        found: dict[str, list[Descriptor]] = {}
        for one in self.descriptors:
            if one.aside:
                found.setdefault(one.aside, []).append(one)
        return found

    def tables(self) -> dict[str, str]:
        """Return the content of the CSV files, without writing them.

        Returns
        -------
        dict of str to str
            File name (``frames.csv``, ``sequences.csv``, ``tests.csv``, ``overlap.csv``, and ``codes.csv`` where there
            are codes) and text. Columns name their unit (``volume_um3``, or ``volume_voxel3``).
        """
        named = {one.name: one.column(self.unit) for one in self.descriptors}
        files = {}
        for name in ("frames", "sequences", "tests", "overlap"):
            rows = getattr(self, name)
            columns = list(rows.dtype.names)
            cells = rows.tolist()
            if name == "tests":
                at = columns.index("descriptor")
                cells = [(*row[:at], named[row[at]], *row[at + 1 :]) for row in cells]
            files[name] = csv_text([named.get(column, column) for column in columns], cells)
        if self.codes is not None:
            files["codes"] = self.codes.csv()
        return {f"{name}.csv": text for name, text in files.items()}

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the tables as CSV, the figures as PNG, and ``report.html``, a page that holds all of it.

        Parameters
        ----------
        folder : path
            Folder to write to; it is created where it is missing.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OutputError
            When the folder or a file cannot be written.
        """
        from .page import evaluation_html, pictures

        path = ensure_folder(folder)
        for name, text in self.tables().items():
            write_text(path / name, text)
        pngs = pictures(self)
        for name, data in pngs.items():
            write_bytes(path / f"{name}.png", data)
        write_text(path / "report.html", evaluation_html(self, pngs))
        return path
