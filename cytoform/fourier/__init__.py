"""The Fourier transform of triangle meshes and its gradient, and the FFTs around it."""

from . import cost, exact, nufft, on_device, pruned
from .gradient import MeshGradient
from .quadrature import Shells
from .scene import SceneGradient, SceneOnBand
from .simplices import SimplicesOnBand
from .transform import (
    BackendName,
    MeshOnBand,
    MeshTransform,
    OnBand,
    choose_backend,
    device_for,
    mesh_ft,
    mesh_ft_vjp,
)

__all__ = [
    "BackendName",
    "MeshGradient",
    "MeshOnBand",
    "MeshTransform",
    "OnBand",
    "SceneGradient",
    "SceneOnBand",
    "Shells",
    "SimplicesOnBand",
    "choose_backend",
    "cost",
    "device_for",
    "exact",
    "mesh_ft",
    "mesh_ft_vjp",
    "nufft",
    "on_device",
    "pruned",
]
