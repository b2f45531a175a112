"""cytoform: the shape of living cells from 3D fluorescence images, by inverse rendering.

Arrays and coordinates are (z, y, x), lengths are micrometres. Public names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "FitConfig": "fit",
    "FitResult": "fit",
    "GaussianPSF": "optics",
    "Grid": "image",
    "MultiMaterialMesh": "mesh",
    "SurfaceMesh": "mesh",
    "Volume": "image",
    "fit": "fit",
    "load_result": "fit",
    "mesh_ft": "fourier",
    "mesh_ft_vjp": "fourier",
    "read_mesh": "mesh.io",
    "read_volume": "image.io",
    "render": "render",
    "render_vjp": "render",
    "write_mesh": "mesh.io",
    "write_volume": "image.io",
}
__all__ = ["__version__", *sorted(_HOME)]


class _Package(types.ModuleType):
    """This package's type: public names come before submodules of the same name.

    ``cytoform.render`` and ``cytoform.fit`` are functions that live in submodules called the same. Importing such a
    submodule would put the module in the function's place.
    """

    def __getattr__(self, name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'cytoform' has no attribute {name!r}")
        value = getattr(importlib.import_module(f"cytoform.{_HOME[name]}"), name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *__all__})


sys.modules[__name__].__class__ = _Package
