"""Simulated families of living cells: seeded shapes in µm that deform, divide or grow filopodia. Negative inside.

They stand in for the data of Wiesner et al. (MICCAI 2022, doi 10.1007/978-3-031-16440-8_6; Medical Image Analysis
91:102991, 2024, doi 10.1016/j.media.2023.102991): *Platynereis dumerilii*, *C. elegans* and A549 cells.
"""

from .deforming import Deforming, DeformingShape
from .dividing import Dividing, DividingShape
from .families import FAMILIES, Family, LivingShape, family, write_family
from .filopodial import Filopodial, FilopodialShape

__all__ = [
    "FAMILIES",
    "Deforming",
    "DeformingShape",
    "Dividing",
    "DividingShape",
    "Family",
    "Filopodial",
    "FilopodialShape",
    "LivingShape",
    "family",
    "write_family",
]
