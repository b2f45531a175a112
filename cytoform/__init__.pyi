from ._version import __version__
from .fitting import FitConfig, FitJob, FitResult, fit, load_result
from .fourier import mesh_ft, mesh_ft_vjp
from .image import Grid, Volume
from .image.io import read_volume, write_volume
from .image.series import open_series
from .mesh import MultiMaterialMesh, SurfaceMesh
from .mesh.io import read_mesh, write_mesh
from .mesh.labels import labels_from_mesh, mesh_from_labels
from .optics import Camera, GaussianPSF, GibsonLanniPSF, MeasuredPSF, PupilPSF
from .rendering import render, render_vjp

__all__ = [
    "Camera",
    "FitConfig",
    "FitJob",
    "FitResult",
    "GaussianPSF",
    "GibsonLanniPSF",
    "Grid",
    "MeasuredPSF",
    "MultiMaterialMesh",
    "PupilPSF",
    "SurfaceMesh",
    "Volume",
    "__version__",
    "fit",
    "labels_from_mesh",
    "load_result",
    "mesh_from_labels",
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
