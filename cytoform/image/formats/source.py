"""What every reader tells of a file, lengths in µm, and the error of a damaged file."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import FileFormatError

__all__ = ["UNKNOWN", "Array", "Partial", "Source", "truncated", "um"]

Partial = tuple[float | None, float | None, float | None]
Array = npt.NDArray[Any]

UNKNOWN: Partial = (None, None, None)

_UM_PER: dict[str, float] = {
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre", "micrometers"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers"), 1e-3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4),
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-6),
    **dict.fromkeys(("å", "angstrom"), 1e-4),
    **dict.fromkeys(("inch", "in", "inches"), 25400.0),
}


@dataclasses.dataclass(frozen=True)
class Source:
    path: Path
    format: str
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    spacing: Partial
    origin: tuple[float, float, float]
    load: Callable[[tuple[int | slice, ...]], Array]
    hint: str = ""  # what is known about the voxel size when it is not complete

    def length(self, axis: str) -> int:
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1

    @property
    def complete_spacing(self) -> tuple[float, float, float] | None:
        z, y, x = self.spacing
        return None if z is None or y is None or x is None else (z, y, x)


def um(value: Any, unit: Any) -> float | None:
    """A length in µm, or None where value or unit make no sense."""
    text = re.sub(r"\\u00b5", "µ", str(unit or ""), flags=re.IGNORECASE).strip().lower()
    factor = _UM_PER.get(text.replace("\ufffd", "µ").replace("âµ", "µ"))
    try:
        number = abs(float(value))
    except (TypeError, ValueError):
        return None
    if factor is None or not math.isfinite(number) or number == 0:
        return None
    return float(f"{number * factor:.12g}")


def truncated(path: Path, reason: str) -> FileFormatError:
    return FileFormatError(
        f"{path} is damaged or cut short: {reason}.", remedy="Copy it again, or export it again from its source."
    )
