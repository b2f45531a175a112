"""Meshes of touching cells from label images, and label images from such meshes."""

from .meshing import MeshedLabels, mesh_from_labels, mesh_labels
from .painting import labels_from_mesh
from .report import LabelReport, RegionRow

__all__ = ["LabelReport", "MeshedLabels", "RegionRow", "labels_from_mesh", "mesh_from_labels", "mesh_labels"]
