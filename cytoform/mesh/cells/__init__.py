"""Contacts, junction lines, corners and angles of a mesh of touching cells; its defects and their repair."""

from ..remesh.labelled import remesh_cells
from .interfaces import Contact, JunctionLine, contacts, corners, dihedral_angles, junction_lines
from .repair import RepairedCells, repair_cells
from .validity import CellsValidity, check_cells

__all__ = [
    "CellsValidity",
    "Contact",
    "JunctionLine",
    "RepairedCells",
    "check_cells",
    "contacts",
    "corners",
    "dihedral_angles",
    "junction_lines",
    "remesh_cells",
    "repair_cells",
]
