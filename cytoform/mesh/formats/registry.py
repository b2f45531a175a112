"""Which kinds of mesh files there are. Built-in ones stand here; others are registered or come as entry points.

A package that is installed beside cytoform adds one with an entry point of the group ``cytoform.mesh_formats``, named
for a suffix, that is a :class:`~cytoform.mesh.formats.parts.MeshFormat`::

    [project.entry-points."cytoform.mesh_formats"]
    ".toy" = "toy_mesh:FORMAT"

The readers are our own, though trimesh, meshio and pyvista read most of these files too, and the tests compare with
them. Where a file is cut short, names a vertex that is not there or holds numbers that are none, those give a mesh
that lacks something, or an error that names no line; they drop region labels or densities, cut polygons that are not
convex into fans that fold over, or take no triangle strips. No other library reads REC.
"""

from __future__ import annotations

from pathlib import Path

from ...registry import Registry
from . import obj, ply, rec, stl, vtp
from .parts import MeshFormat

__all__ = ["REGISTRY", "file_suffixes", "register", "unregister"]

REGISTRY: Registry[MeshFormat] = Registry(
    MeshFormat, "cytoform.mesh_formats", (obj.FORMAT, ply.FORMAT, stl.FORMAT, vtp.FORMAT, rec.FORMAT)
)


def register(form: MeshFormat) -> None:
    """Add a kind of mesh file: every function and command that takes mesh files takes it from then on.

    It is asked before the built-in ones, and holds for this process; a package's entry point holds for all.

    Parameters
    ----------
    form : MeshFormat
        Its suffixes, and what reads and writes such a file.

    Raises
    ------
    ConfigError
        When it is no MeshFormat, or a suffix has no dot or is not in small letters.
    """
    REGISTRY.register(form)


def unregister(form: MeshFormat) -> None:
    """Take a kind of mesh file out again that was registered."""
    REGISTRY.unregister(form)


def file_suffixes() -> tuple[str, ...]:
    """Last parts of the suffixes of all mesh files that are read, each once."""
    return tuple(dict.fromkeys(Path(f"a{suffix}").suffix for suffix in REGISTRY.suffixes()))
