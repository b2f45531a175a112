"""The registry of bodies: which kind of body moves which kind of mesh."""

from __future__ import annotations

import functools
import inspect
from typing import Any, TypeVar

from ...errors import FitError, MeshError
from ...registry import import_entry_points
from .base import Body

__all__ = ["body_class", "body_class_of", "register_body"]

BodyT = TypeVar("BodyT", bound=type[Body[Any]])
_KINDS: dict[str, type[Body[Any]]] = {}


def register_body(kind: BodyT) -> BodyT:
    """Register a kind of body under its `kind`, for meshes of its `mesh_class`; works as a decorator.

    A class that is defined again, as in a notebook, replaces the former one.

    Parameters
    ----------
    kind : subclass of Body
        The class to register.

    Returns
    -------
    subclass of Body
        `kind` itself.

    Raises
    ------
    FitError
        When another kind has the same name or class of meshes, or `voxels` or `measures` is not a static method.
    """
    for name in ("voxels", "measures"):
        if not isinstance(inspect.getattr_static(kind, name), staticmethod):
            raise FitError(f"{kind.__name__}.{name} is no static method.", remedy="Write @staticmethod above it.")
    for other in _KINDS.values():
        same = (other.__module__, other.__qualname__) == (kind.__module__, kind.__qualname__)
        if not same and (other.kind == kind.kind or other.mesh_class is kind.mesh_class):
            raise FitError(
                f"there is a kind of body {other.kind!r} for {other.mesh_class.__name__} already.",
                remedy="Give the new one another `kind` and a `mesh_class` of its own.",
            )
    _KINDS[kind.kind] = kind
    return kind


def body_class(kind: str) -> type[Body[Any]]:
    """Return a kind of body by its name.

    Raises
    ------
    FitError
        For an unknown name.
    """
    _load_built_in()
    if kind not in _KINDS:
        raise FitError(
            f"{kind!r} is no kind of body; there are {', '.join(sorted(_KINDS))}.",
            remedy="Import the module that registers it before.",
        )
    return _KINDS[kind]


def body_class_of(mesh: Any) -> type[Body[Any]]:
    """Return the kind of body that moves a mesh.

    Raises
    ------
    MeshError
        When there is none for its class.
    """
    _load_built_in()
    for base in type(mesh).__mro__:
        for kind in _KINDS.values():
            if kind.mesh_class is base:
                return kind
    known = ", ".join(sorted(kind.mesh_class.__name__ for kind in _KINDS.values()))
    raise MeshError(
        f"mesh is a {type(mesh).__name__}; a fit moves {known}.",
        remedy="Read it with cytoform.read_mesh, or take one region of a cluster (region_surface).",
    )


@functools.cache
def _load_built_in() -> None:
    """Import the built-in kinds and those of installed packages, once."""
    from . import cluster, surface  # noqa: F401

    import_entry_points("cytoform.bodies")
