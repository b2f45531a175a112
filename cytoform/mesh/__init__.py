"""Triangle meshes: surfaces, clusters, their geometry, topology, upkeep and files."""

from .surface import SurfaceMesh

__all__ = ["SurfaceMesh"]
