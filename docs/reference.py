"""What the API reference shows: its rooms, their public names, and their pages. Read by conf.py and by the tests."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import types
from collections.abc import Iterator
from typing import Any

__all__ = ["ROOMS", "Entry", "entries", "members"]

# The order is that of the reference. Of a name that two rooms have the first one has the page.
ROOMS: dict[str, str] = {
    "cytoform": "What most scripts need",
    "cytoform.fitting": "Fit a surface and the optics to an image",
    "cytoform.mechanics": "Tensions and pressures of touching cells",
    "cytoform.neural": "Living shapes: learn, generate, encode (needs PyTorch)",
    "cytoform.compare": "Describe and compare shapes",
    "cytoform.synth": "Simulated families of living cells",
    "cytoform.imaging": "Simulated images with their truth",
    "cytoform.rendering": "From a mesh to an image, with gradients",
    "cytoform.loss": "Gain, background and weights of an image's misfit",
    "cytoform.fourier": "The Fourier transform of a mesh",
    "cytoform.optics": "Point spread functions and cameras",
    "cytoform.optim": "Optimisers",
    "cytoform.mesh": "Meshes",
    "cytoform.mesh.io": "Mesh files",
    "cytoform.mesh.sources_io": "Files of points and filaments",
    "cytoform.mesh.shapes": "Simple shapes",
    "cytoform.mesh.geometry": "Areas, volumes, normals",
    "cytoform.mesh.topology": "Checks of a mesh",
    "cytoform.mesh.curvature": "Curvature",
    "cytoform.mesh.laplacian": "Laplacians",
    "cytoform.mesh.remesh": "Triangles made even",
    "cytoform.mesh.labels": "Touching cells from label images, and back",
    "cytoform.mesh.cells": "Contacts, junction lines, defects and repair of touching cells",
    "cytoform.image": "Images and grids",
    "cytoform.image.io": "Image files",
    "cytoform.image.series": "Images of many volumes",
    "cytoform.masks": "Masks from meshes, meshes from masks",
    "cytoform.metrics": "Agreement of images, masks and surfaces",
    "cytoform.sdf": "Sequences of signed distances",
    "cytoform.report": "Reports and their figures",
    "cytoform.errors": "Errors",
}

# Classes of others, whose members are not shown on the pages of those that derive from them.
FOREIGN = ("builtins", "torch", "typing", "collections", "abc", "enum", "contextlib")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A public name.

    Attributes
    ----------
    room : str
        The module that has it in its ``__all__``.
    name : str
        As it is written there.
    thing : object
        What it is.
    home : str
        Full name under which it has its page; another room's where that one comes first.
    kind : "class", "exception", "function", "module" or "data"
        Which of these it is.
    """

    room: str
    name: str
    thing: Any
    home: str
    kind: str

    @property
    def path(self) -> str:
        """The full name in this room."""
        return f"{self.room}.{self.name}"

    @property
    def page(self) -> str:
        """The page, as a path from the folder of the docs without an ending."""
        if self.kind == "module":
            return f"api/{self.home}"
        # Family and family must not become one file where capitals do not count.
        return f"api/names/{self.home}" + ("-class" if self.kind in ("class", "exception") else "")


def _kind(thing: Any) -> str:
    if isinstance(thing, types.ModuleType):
        return "module"
    if inspect.isclass(thing):
        return "exception" if issubclass(thing, BaseException) else "class"
    return "function" if inspect.isroutine(thing) or hasattr(thing, "__wrapped__") else "data"


def entries() -> Iterator[Entry]:
    """All public names, room by room."""
    homes: dict[int, str] = {}
    waiting = list(ROOMS)
    seen: set[str] = set()
    while waiting:
        room = waiting.pop(0)
        if room in seen:
            continue
        seen.add(room)
        module = importlib.import_module(room)
        for name in module.__all__:
            thing = getattr(module, name)
            kind = _kind(thing)
            path = f"{room}.{name}"
            if kind == "module":
                home = thing.__name__
                if home.partition(".")[0] != "cytoform":
                    continue
                waiting.append(home)
            else:
                home = path if kind == "data" else homes.setdefault(id(thing), path)
            yield Entry(room, name, thing, home, kind)


def members(cls: type) -> dict[str, Any]:
    """Public methods and properties of a class, its own and those that it has from other classes of this package."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] in FOREIGN:
            continue
        for name, value in vars(base).items():
            shown = inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod))
            if not name.startswith("_") and (shown or type(value).__name__ == "cached_property"):
                found.setdefault(name, value)
    return found
