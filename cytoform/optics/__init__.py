"""Microscope optics: point spread functions and their transforms, and the camera behind them."""

from .camera import Camera
from .choice import PSFOptions
from .gaussian import GaussianPSF
from .gibson_lanni import GibsonLanniPSF
from .measured import MeasuredPSF
from .psf import PSF, Blurred, NumericPSF
from .pupil import PupilPSF
from .registry import psf_from_description, register

__all__ = [
    "PSF",
    "Blurred",
    "Camera",
    "GaussianPSF",
    "GibsonLanniPSF",
    "MeasuredPSF",
    "NumericPSF",
    "PSFOptions",
    "PupilPSF",
    "psf_from_description",
    "register",
]
