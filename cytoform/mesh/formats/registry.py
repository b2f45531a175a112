"""The formats of mesh files: built-in ones, and others that are registered or come as entry points.

A package that is installed beside cytoform adds one with an entry point of the group ``cytoform.mesh_formats``, named
for a suffix, that is a :class:`~cytoform.mesh.formats.parts.MeshFormat`::

    [project.entry-points."cytoform.mesh_formats"]
    ".toy" = "toy_mesh:FORMAT"

The readers are our own, though trimesh, meshio and pyvista read most of these files too, and the tests compare with
them. None of the three is as strict: of a text PLY and an STL that are cut short trimesh 5.2 gives what is there, or a
mesh without faces; meshio 5.3 takes an OBJ whose faces name vertices that do not exist, and ends the process at some
damaged files, as pyvista 0.49 does; a PLY of triangle strips comes without faces from trimesh; polygons that are not
convex become fans that fold over. Where they raise an error it names no line. No other library reads REC.
"""

from __future__ import annotations

from ...file_registry import FileRegistry
from . import obj, ply, rec, stl, vtk, vtp
from .parts import MeshFormat

__all__ = ["REGISTRY", "file_suffixes", "register", "unregister"]

REGISTRY: FileRegistry[MeshFormat] = FileRegistry(
    MeshFormat, "cytoform.mesh_formats", (obj.FORMAT, ply.FORMAT, stl.FORMAT, vtp.FORMAT, rec.FORMAT, vtk.FORMAT)
)
register, unregister, file_suffixes = REGISTRY.register, REGISTRY.unregister, REGISTRY.file_suffixes
