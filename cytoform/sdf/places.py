"""Which files of a folder are frames of a movie."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..errors import FileFormatError
from ..image.formats.registry import file_suffixes as image_suffixes
from ..mesh.formats.registry import file_suffixes as mesh_suffixes
from .sequence import SUFFIXES, natural

__all__ = ["Contents", "image_suffixes", "mesh_suffixes"]


@dataclasses.dataclass(frozen=True)
class Contents:
    """What lies in a folder: the frames in natural order, and the names of what else there is; hidden files aside."""

    files: list[Path]
    others: list[str]

    @classmethod
    def of(cls, folder: Path) -> Contents:
        """The images of a folder, or the meshes.

        Raises
        ------
        FileFormatError
            When there are none, or some of each kind.
        """
        inside = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=natural)
        suffixes = image_suffixes(), mesh_suffixes()
        images, meshes = ([p for p in inside if p.suffix.lower() in kinds] for kinds in suffixes)
        if images and meshes:
            raise FileFormatError(
                f"{folder} holds {_count(images)} and {_count(meshes)}; expected one kind, a file for each frame.",
                remedy="Move one kind into a folder of its own, or pass the files of one kind.",
            )
        files = images or meshes
        others = [p.name for p in inside if p not in files]
        if files:
            return cls(files, others)
        held = f"it holds {', '.join(others[:6])}{', …' if len(others) > 6 else ''}" if others else "it is empty"
        kinds = {Path(name).suffix.lower() for name in others}
        remedy = f"Images end in {', '.join(image_suffixes())}, meshes in {', '.join(mesh_suffixes())}."
        if ".npz" in kinds:
            remedy = "Pass an .npz of tracks by its own name."
        elif any(p.is_dir() for p in inside):
            remedy = "Pass one of its folders at a time."
        elif kinds & set(SUFFIXES):
            remedy = "Sequences of signed distances go to neural train as they are."
        raise FileFormatError(
            f"{folder} holds no image and no mesh files; {held}; expected one for each frame.", remedy=remedy
        )


def _count(files: list[Path]) -> str:
    kinds = sorted({p.suffix.lower() for p in files})
    return f"{len(files)} {' and '.join(kinds)} file{'s' * (len(files) > 1)}"
