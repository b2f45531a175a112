"""Names for the types of arrays and paths that signatures use. Shapes and units stand in the docstrings."""

from __future__ import annotations

import os
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["AnyFloats", "Array", "Bools", "Complex", "Floats", "Floats32", "Ints", "Ints32", "PathLike", "Triple"]

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]
Floats32: TypeAlias = npt.NDArray[np.float32]
AnyFloats: TypeAlias = npt.NDArray[np.floating[Any]]
Complex: TypeAlias = npt.NDArray[np.complex128]
Bools: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.int64]
Ints32: TypeAlias = npt.NDArray[np.int32]
Triple: TypeAlias = tuple[float, float, float]
PathLike: TypeAlias = str | os.PathLike[str]
