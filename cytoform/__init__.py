"""cytoform: the shape of living cells from 3D fluorescence images, by inverse rendering.

Arrays and coordinates are (z, y, x), lengths are micrometres. Public names are loaded when they are first used.
"""

from __future__ import annotations

from .lazy import load_on_first_use

__version__ = "0.1.0"

_HOME = {
    "Camera": "optics",
    "FitConfig": "fitting",
    "FitJob": "fitting",
    "FitResult": "fitting",
    "GaussianPSF": "optics",
    "GibsonLanniPSF": "optics",
    "Grid": "image",
    "MeasuredPSF": "optics",
    "MultiMaterialMesh": "mesh",
    "PupilPSF": "optics",
    "SurfaceMesh": "mesh",
    "Volume": "image",
    "fit": "fitting",
    "load_result": "fitting",
    "mesh_ft": "fourier",
    "mesh_ft_vjp": "fourier",
    "open_series": "image.series",
    "read_mesh": "mesh.io",
    "read_volume": "image.io",
    "render": "rendering",
    "render_vjp": "rendering",
    "write_mesh": "mesh.io",
    "write_volume": "image.io",
}
__all__ = ["__version__", *sorted(_HOME)]

load_on_first_use(__name__, _HOME)
