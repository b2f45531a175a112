"""Agreement of an image, a mask or a surface with another one, and the sphericity of a body."""

from .image import mse, psnr, r2, region_of_r2, ssim
from .overlap import dice, iou, mesh_iou
from .shape import sphericity, sphericity_media2024, sphericity_miccai2022
from .surface import SurfaceDistances, sample_surface, surface_distances

__all__ = [
    "SurfaceDistances",
    "dice",
    "iou",
    "mesh_iou",
    "mse",
    "psnr",
    "r2",
    "region_of_r2",
    "sample_surface",
    "sphericity",
    "sphericity_media2024",
    "sphericity_miccai2022",
    "ssim",
    "surface_distances",
]
