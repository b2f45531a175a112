"""The numbers of a result: what ``fit.json``, the report's table and the terminal show, each declared once.

A new number is a :class:`Number` that is registered; nothing else has to be changed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..errors import ConfigError

if TYPE_CHECKING:
    from .result import FitResult

__all__ = ["Number", "numbers", "register_number", "with_error"]


@dataclasses.dataclass(frozen=True)
class Number:
    """A number, or another plain value, of a result.

    Attributes
    ----------
    name : str
        Its key in ``fit.json``; empty for a row of the table alone.
    of : callable
        Takes the result, gives a value that JSON can hold.
    title : str
        Its row in the report's table; empty for none.
    words : callable, optional
        Takes the result, gives the row's text; an empty text leaves the row out. By default the value, with its
        standard error where one is known, and the unit.
    unit : str
    digits : int
        Significant digits without a standard error.
    brief : str
        Its row among the few numbers that the terminal shows; empty for none.
    """

    name: str
    of: Callable[[FitResult], Any]
    title: str = ""
    words: Callable[[FitResult], str] | None = None
    unit: str = ""
    digits: int = 4
    brief: str = ""

    def text(self, result: FitResult) -> str:
        """Return its text in a table."""
        if self.words is not None:
            return self.words(result)
        error = None if result.uncertainty is None else getattr(result.uncertainty, self.name, None)
        value = with_error(float(self.of(result)), None if error is None else float(error), self.digits)
        return f"{value} {self.unit}".rstrip()


_NUMBERS: dict[str, Number] = {}


def register_number(number: Number) -> Number:
    """Register a number, to be shown after those that are known.

    Raises
    ------
    ConfigError
        When another one has its name.
    """
    key = number.name or number.title or number.brief
    if _NUMBERS.setdefault(key, number) is not number:
        raise ConfigError(f"there is a number {key!r} already; expected another name.")
    return number


def numbers() -> tuple[Number, ...]:
    """Return all numbers, in the order in which they are shown."""
    return tuple(_NUMBERS.values())


def with_error(value: float, error: float | None, digits: int) -> str:
    """Write a value and its standard error, "461 ± 18", both to the error's last digit that counts.

    The error has two digits where they are below 36, else one (the rule of the Particle Data Group). Without an error
    the value has `digits` of them.
    """
    if error is None or not np.isfinite(error) or error <= 0:
        return f"{value:#.{digits}g}".rstrip(".") if value else "0"
    places = int(np.floor(np.log10(error)))
    leading = round(error / 10.0 ** (places - 2))  # its first three digits
    places += leading >= 950  # rounded up to the next power of ten
    last = places if 355 <= leading < 950 else places - 1
    decimals = max(-last, 0)
    unit = 10.0**last if last > 0 else 1.0
    shown = [round(v / unit) * unit if last > 0 else v for v in (value, error)]
    return f"{shown[0]:.{decimals}f} ± {shown[1]:.{decimals}f}"


def _r2_words(result: FitResult) -> str:
    alone = f" ({result.r2_cell:.3f} without the light of neighbours)" if result.surroundings is not None else ""
    return f"{result.r2:.3f}{alone}"


def _widths(widths: Any, more: str = "") -> str:
    return "" if widths is None else ", ".join(f"{w:.3f}" for w in widths) + f" µm{more}"


def _nothing(result: FitResult) -> None:
    """No value: a row of a table alone."""


def _image_name(result: FitResult) -> str:
    return result.image.name if result.image is not None else (result.saved or {}).get("image", "")


def _errors(result: FitResult) -> Any:
    return result.uncertainty.as_dict() if result.uncertainty else (result.saved or {}).get("standard_errors")


_OWN = (
    Number("volume_um3", lambda r: r.volume_um3, "Volume", unit="µm³", brief="volume"),
    Number("area_um2", lambda r: r.area_um2, "Area", unit="µm²", brief="area"),
    Number("sphericity", lambda r: r.sphericity, "Sphericity (Wadell)", digits=3, brief="sphericity"),
    Number("r2", lambda r: r.r2, "R²", _r2_words, brief="R²"),
    Number("r2_cell", lambda r: r.r2_cell),
    Number(
        "density_range", lambda r: list(r.density_range), "Staining, 5 % to 95 %",
        lambda r: "{:.2f} to {:.2f} of its mean".format(*r.density_range),
    ),
    Number("standard_errors", _errors),
    Number("gain", lambda r: r.gain, "Gain", lambda r: f"{r.gain:.5g}"),
    Number("background", lambda r: r.background, "Background", lambda r: f"{r.background:.5g}"),
    Number("psf", lambda r: r.psf.brief()),
    Number("", _nothing, "PSF σ (z, y, x)", lambda r: _widths(r.psf.brief().get("sigma_um"))),
    Number("", _nothing, "PSF FWHM (z, y, x)", lambda r: _widths(r.psf.brief().get("fwhm_um"))),
    Number("", _nothing, words=lambda r: _widths(r.psf.fwhm, " (z, y, x)"), brief="PSF FWHM"),
    Number("", _nothing, "Mesh", lambda r: f"{r.mesh.n_vertices} vertices, {r.mesh.n_faces} faces"),
    Number("iterations", lambda r: r.iterations, "Iterations", lambda r: f"{r.iterations}"),
    Number("evaluations", lambda r: r.evaluations),
    Number("seconds", lambda r: r.seconds, "Run time", lambda r: f"{r.seconds:.0f} s"),
    Number(
        "", _nothing, brief="time",
        words=lambda r: f"{r.seconds:.0f} s, {r.iterations} steps; {r.stop_reason}",
    ),
    Number("stop_reason", lambda r: r.stop_reason),
    Number("n_vertices", lambda r: r.mesh.n_vertices),
    Number("n_faces", lambda r: r.mesh.n_faces),
    Number("image", _image_name),
    Number("spacing_um", lambda r: list(r.model.spacing)),
    Number("body", lambda r: r.body.kind),
    Number("warnings", lambda r: list(r.warnings())),
    Number("inputs", lambda r: dict(r.inputs)),
    Number("config", lambda r: r.config.as_dict()),
    Number("seed", lambda r: r.config.seed),
    Number("version", lambda r: __version__),
)  # fmt: skip
for _number in _OWN:
    register_number(_number)
