"""Triangle meshes: surfaces, clusters, their geometry, topology, upkeep and files."""

from .multimaterial import MultiMaterialMesh
from .surface import SurfaceMesh

__all__ = ["MultiMaterialMesh", "SurfaceMesh"]
