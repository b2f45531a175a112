from ._version import __version__
from .fitting import FitConfig, FitJob, FitResult, fit, load_result
from .fourier import mesh_ft, mesh_ft_vjp
from .image import Grid, Volume
from .image.io import read_volume, write_volume
from .image.series import open_series
from .mechanics import Forces, forces
from .mesh import Filaments, MultiMaterialMesh, PointSet, SurfaceMesh, TetrahedralMesh
from .mesh.io import read_mesh, write_mesh
from .optics import Camera, GaussianPSF, GibsonLanniPSF, MeasuredPSF, PupilPSF
from .rendering import render, render_vjp

__all__ = [
    "Camera",
    "Filaments",
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
    "PupilPSF",
    "SurfaceMesh",
    "TetrahedralMesh",
    "Volume",
    "__version__",
    "fit",
    "forces",
    "load_result",
    "mesh_ft",
    "mesh_ft_vjp",
    "open_series",
    "read_mesh",
    "read_volume",
    "render",
    "render_vjp",
    "write_mesh",
    "write_volume",
]
