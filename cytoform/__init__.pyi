from ._version import __version__
from .fitting import (
    FilamentsConfig,
    FilamentsResult,
    FitConfig,
    FitJob,
    FitResult,
    PointsConfig,
    PointsResult,
    fit,
    fit_filaments,
    fit_points,
    load_result,
)
from .fourier import mesh_ft, mesh_ft_vjp
from .image import Grid, Volume
from .image.io import read_volume, write_volume
from .image.series import open_series
from .mesh import Filaments, MultiMaterialMesh, PointSet, SurfaceMesh, TetrahedralMesh
from .mesh.io import read_mesh, write_mesh
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
    "GaussianPSF",
    "GibsonLanniPSF",
    "Grid",
    "MeasuredPSF",
    "MultiMaterialMesh",
    "PointSet",
    "PointsConfig",
    "PointsResult",
    "PupilPSF",
    "SurfaceMesh",
    "TetrahedralMesh",
    "Volume",
    "__version__",
    "fit",
    "fit_filaments",
    "fit_points",
    "load_result",
    "mesh_ft",
    "mesh_ft_vjp",
    "open_series",
    "read_filaments",
    "read_mesh",
    "read_points",
    "read_volume",
    "render",
    "render_vjp",
    "write_filaments",
    "write_mesh",
    "write_points",
    "write_volume",
]
