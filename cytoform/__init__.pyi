from ._version import __version__
from .fitting import (
    FilamentsConfig,
    FilamentsResult,
    FitConfig,
    FitJob,
    FitResult,
    PointsConfig,
    PointsResult,
    SceneResult,
    fit,
    fit_filaments,
    fit_points,
    fit_scene,
    load_result,
    scene_from_labels,
)
from .fourier import mesh_ft, mesh_ft_vjp
from .image import Grid, Volume
from .image.io import read_volume, write_volume
from .image.series import open_series
from .mechanics import Forces, forces
from .mesh import Filaments, MultiMaterialMesh, PointSet, Scene, SurfaceMesh, TetrahedralMesh
from .mesh.io import read_mesh, write_mesh
from .mesh.labels import labels_from_mesh, mesh_from_labels
from .mesh.scene_files import read_scene, write_scene
from .mesh.sources_io import read_filaments, read_points, write_filaments, write_points
from .optics import Camera, GaussianPSF, GibsonLanniPSF, MeasuredPSF, PupilPSF
from .rendering import render, render_vjp

__all__ = [
    "Camera",
    "Filaments",
    "FilamentsConfig",
    "FilamentsResult",
    "FitConfig",
    "FitJob",
    "FitResult",
    "Forces",
    "GaussianPSF",
    "GibsonLanniPSF",
    "Grid",
    "MeasuredPSF",
    "MultiMaterialMesh",
    "PointSet",
    "PointsConfig",
    "PointsResult",
    "PupilPSF",
    "Scene",
    "SceneResult",
    "SurfaceMesh",
    "TetrahedralMesh",
    "Volume",
    "__version__",
    "fit",
    "fit_filaments",
    "fit_points",
    "fit_scene",
    "forces",
    "labels_from_mesh",
    "load_result",
    "mesh_from_labels",
    "mesh_ft",
    "mesh_ft_vjp",
    "open_series",
    "read_filaments",
    "read_mesh",
    "read_points",
    "read_scene",
    "read_volume",
    "render",
    "render_vjp",
    "scene_from_labels",
    "write_filaments",
    "write_mesh",
    "write_points",
    "write_scene",
    "write_volume",
]
