"""Formats of image files, one module each: from bytes to arrays with their axes and voxel size."""

from .registry import register, unregister
from .source import Entry, ImageFormat, Images, Source

__all__ = ["Entry", "ImageFormat", "Images", "Source", "register", "unregister"]
