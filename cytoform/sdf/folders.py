"""Files of a folder that are the frames of a movie."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..errors import FileFormatError
from ..image.formats.registry import file_suffixes as image_suffixes
from ..mesh.formats.registry import file_suffixes as mesh_suffixes
from .sequence import SUFFIXES, natural_key

__all__ = ["FolderContents", "image_suffixes", "mesh_suffixes"]


@dataclasses.dataclass(frozen=True)
class FolderContents:
    """Frames in a folder, and the names of its other files; hidden files count as neither.

    Parameters
    ----------
    files : list of Path
        Image files, or mesh files, in natural order (cell_2 before cell_10).
    ignored : list of str
        Names of all other files and folders.
    """

    files: list[Path]
    ignored: list[str]

    @classmethod
    def read(cls, folder: Path) -> FolderContents:
        """List the image files of a folder, or its mesh files.

        Parameters
        ----------
        folder : Path
            An existing folder; subfolders are not entered.

        Returns
        -------
        FolderContents
            At least one file.

        Raises
        ------
        FileFormatError
            When there are no such files, or files of both kinds.
        """
        inside = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=natural_key)
        suffixes = image_suffixes(), mesh_suffixes()
        images, meshes = ([p for p in inside if p.suffix.lower() in kinds] for kinds in suffixes)
        if images and meshes:
            raise FileFormatError(
                f"{folder} holds {_count_by_suffix(images)} and {_count_by_suffix(meshes)}; expected one kind, a file "
                "for each frame.",
                remedy="Move one kind into a folder of its own, or pass the files of one kind.",
            )
        files = images or meshes
        ignored = [p.name for p in inside if p not in files]
        if files:
            return cls(files, ignored)
        held = f"it holds {', '.join(ignored[:6])}{', …' if len(ignored) > 6 else ''}" if ignored else "it is empty"
        kinds = {Path(name).suffix.lower() for name in ignored}
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


def _count_by_suffix(files: list[Path]) -> str:
    """Return number and suffixes of files in words, such as "3 .tif files"."""
    kinds = sorted({p.suffix.lower() for p in files})
    return f"{len(files)} {' and '.join(kinds)} file{'s' * (len(files) > 1)}"
