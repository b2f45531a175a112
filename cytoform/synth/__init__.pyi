from .deforming import Deforming, DeformingShape
from .dividing import Dividing, DividingShape
from .families import Family, family
from .filopodial import Filopodial, FilopodialShape
from .living import LivingShape
from .registry import FAMILIES, register
from .writing import write_family

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
    "register",
    "write_family",
]
