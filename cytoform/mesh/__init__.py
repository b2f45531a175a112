"""Triangle meshes: surfaces, clusters, their geometry, topology, upkeep and files; points, filaments, tetrahedra."""

from .filaments import Filaments
from .multimaterial import MultiMaterialMesh
from .points import PointSet
from .scene import Scene
from .surface import SurfaceMesh
from .tetrahedra import TetrahedralMesh

__all__ = ["Filaments", "MultiMaterialMesh", "PointSet", "Scene", "SurfaceMesh", "TetrahedralMesh"]
