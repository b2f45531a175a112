"""The factor by which numbers are divided before they are converted to single precision."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["largest_modulus"]


def largest_modulus(values: Any) -> float:
    """Return the largest modulus of an array on the host or a device; 1 where it is empty, 0 or not finite.

    Numbers divided by it have a modulus of 1 at most, whatever the unit of a loss: nothing over- or underflows in
    float32.
    """
    found = float(abs(values).max()) if len(values) else 0.0
    return found if 0.0 < found < np.inf else 1.0
