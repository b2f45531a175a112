"""The size by which a cotangent is divided before it meets single precision."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["largest"]


def largest(values: Any) -> float:
    """Largest modulus of some numbers, here or on a device; 1 where that is no good to divide by.

    What is divided by it has 1 at the most, whatever the unit of a loss: nothing over- or underflows in float32.
    """
    found = float(abs(values).max()) if len(values) else 0.0
    return found if 0.0 < found < np.inf else 1.0
