"""The numbers of a result: what ``fit.json``, the report's table and the terminal show, each declared once.

A new number is a :class:`Number` that is registered (:func:`register_number`); nothing else has to be changed.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._version import __version__
from ..errors import ConfigError
from ..mesh import geometry
from ..registry import import_entry_points
from .json_values import json_value

if TYPE_CHECKING:
    from .result import FitResult

_LOG = logging.getLogger(__name__)

__all__ = ["Number", "format_with_error", "numbers", "register_number"]


@dataclasses.dataclass(frozen=True)
class Number:
    """A number, or another plain value, of a result.

    Parameters
    ----------
    name : str
        Key in ``fit.json``; empty for a number that is only shown, on the terminal or in the report.
    compute : callable
        Takes the FitResult, returns a number, text, or lists and mappings of them. ``result.image`` may be None.
    title : str
        Title of its row in the report's table; empty for no row.
    formatter : callable, optional
        Takes the FitResult, returns the row's text; an empty text omits the row. By default the value, with its
        standard error if one is known, and the unit.
    unit : str
        Unit in the table.
    digits : int
        Significant digits in the table if there is no standard error.
    brief : str
        Title of its row among the few numbers that the terminal shows; empty for no row.
    """

    name: str
    compute: Callable[[FitResult], Any]
    title: str = ""
    formatter: Callable[[FitResult], str] | None = None
    unit: str = ""
    digits: int = 4
    brief: str = ""

    def value(self, result: FitResult) -> Any:
        """Return the plain value for a result; that of ``fit.json`` if the result was loaded from a folder.

        NaN and infinity become None. If computing it fails, a warning is logged and None returned, so that a long fit
        is not lost.

        Parameters
        ----------
        result : FitResult
            The result.

        Returns
        -------
        number, text, None, or lists and mappings of them
            The value.
        """
        if result.saved is not None and self.name in result.saved:
            return result.saved[self.name]
        try:
            return _finite_or_none(json_value(self.compute(result), "it"))
        except Exception as error:  # whatever a number of another's raises
            _LOG.warning("the number %r cannot be computed: %r", self.key, error)
            return None

    def text(self, result: FitResult) -> str:
        """Return the text of the table's row for a result.

        Parameters
        ----------
        result : FitResult
            The result.

        Returns
        -------
        str
            Value, standard error if known, and unit, or what `formatter` returns; "–" if there is no value.
        """
        if self.formatter is not None:
            return self._formatted(result)
        value = self.value(result)
        if not isinstance(value, (int, float)):
            return "–" if value is None else str(value)
        error = None if result.uncertainty is None else getattr(result.uncertainty, self.name, None)
        text = format_with_error(float(value), None if error is None else float(error), self.digits)
        return f"{text} {self.unit}".rstrip()

    def _formatted(self, result: FitResult) -> str:
        """Return the text that `formatter` makes for a result; if it fails, "–" with a logged warning."""
        assert self.formatter is not None
        try:
            return self.formatter(result)
        except Exception as error:  # as above
            _LOG.warning("the text of the number %r cannot be made: %r", self.key, error)
            return "–"

    @property
    def key(self) -> str:
        """Name under which the number is registered: its name, else its title, else `brief`."""
        return self.name or self.title or self.brief


_NUMBERS: dict[str, Number] = {}


def register_number(number: Number) -> Number:
    """Register a number, to be shown after those already registered.

    Parameters
    ----------
    number : Number
        The number.

    Returns
    -------
    Number
        The same.

    Raises
    ------
    ConfigError
        If it has neither name, title nor brief, or another number has the same key or title.
    """
    if not number.key:
        raise ConfigError("the number has no name, title or brief; expected one of them at least.")
    titles = {other.title for other in _NUMBERS.values() if other is not number} - {""}
    if _NUMBERS.get(number.key, number) is not number or number.title in titles:
        raise ConfigError(f"there is a number {number.key!r} or its title already; expected others.")
    _NUMBERS[number.key] = number
    return number


def numbers() -> tuple[Number, ...]:
    """Return all registered numbers, those of installed packages included, in the order in which they are shown."""
    _register_plugins()
    return tuple(_NUMBERS.values())


@functools.cache
def _register_plugins() -> None:
    """Import the modules under the entry points ``cytoform.numbers``, which register their numbers; done once."""
    import_entry_points("cytoform.numbers")


def _finite_or_none(value: Any) -> Any:
    """Return a plain value with lists for tuples, and None for NaN and infinity, which JSON cannot hold."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite_or_none(inner) for name, inner in value.items()}
    return [_finite_or_none(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def format_with_error(value: float, error: float | None, digits: int) -> str:
    """Write a value and its standard error as text, such as "461 ± 18", rounded to the error's last significant digit.

    The error has two significant digits if they are 10 to 35, else one (the rule of the Particle Data Group). Without
    an error, or if it is not positive and finite, the value alone is written with `digits` significant digits.
    """
    if error is None or not np.isfinite(error) or error <= 0:
        return f"{value:#.{digits}g}".rstrip(".") if value else "0"
    exponent = int(np.floor(np.log10(error)))
    leading = round(error / 10.0 ** (exponent - 2))  # its first three digits
    exponent += leading >= 950  # rounded up to the next power of ten
    last = exponent if 355 <= leading < 950 else exponent - 1
    decimals = max(-last, 0)
    unit = 10.0**last if last > 0 else 1.0
    rounded = [round(v / unit) * unit if last > 0 else v for v in (value, error)]
    return f"{rounded[0]:.{decimals}f} ± {rounded[1]:.{decimals}f}"


def _r2_text(result: FitResult) -> str:
    """Return R² as text, followed by that of the cell alone if light of neighbours is modelled."""
    alone = f" ({result.r2_cell:.3f} without the light of neighbours)" if result.surroundings is not None else ""
    return f"{result.r2:.3f}{alone}"


def _noise_only_text(result: FitResult) -> str:
    """Return the standard errors of volume, area and sphericity from noise alone as text; empty if there are none."""
    if result.uncertainty is None:
        return ""
    alone = result.uncertainty.noise_only
    return f"volume {alone.volume_um3:.2g} µm³, area {alone.area_um2:.2g} µm², sphericity {alone.sphericity:.1g}"


def _width_text(widths: Any, more: str = "") -> str:
    """Return widths in µm as text, followed by `more`; empty if `widths` is None."""
    return "" if widths is None else ", ".join(f"{w:.3f}" for w in widths) + f" µm{more}"


def _no_value(result: FitResult) -> None:
    """Return None, as the value of a number that is only shown (terminal, report) and not stored in ``fit.json``."""


def _regions(result: FitResult) -> list[dict[str, Any]]:
    """Return number, volume (µm³) and area (µm²) of every region of the mesh; a surface is one region."""
    return [
        {
            "region": number,
            "volume_um3": geometry.enclosed_volume(region.vertices, region.faces),
            "area_um2": region.area,
        }
        for number, region in result.mesh.regions().items()
    ]


def _image_name(result: FitResult) -> str:
    """Return the name of the fitted image; for a loaded result the one in ``fit.json``, "" if it has none."""
    return result.image.name if result.image is not None else (result.saved or {}).get("image", "")


def _standard_errors(result: FitResult) -> Any:
    """Return the standard errors as plain values, from ``fit.json`` in a loaded result; None if there are none."""
    return result.uncertainty.as_dict() if result.uncertainty else (result.saved or {}).get("standard_errors")


def _stain_text(result: FitResult) -> str:
    """Return what is stained, for the terminal, with the reason if it was chosen; "" for the usual membrane."""
    chosen = result.inputs.get("stain", {}).get("reason")
    return chosen or ("" if result.config.stain == "membrane" else result.config.stain)


_BUILT_IN = (
    Number("volume_um3", lambda r: r.volume_um3, "Volume", unit="µm³", brief="volume"),
    Number("area_um2", lambda r: r.area_um2, "Area", unit="µm²", brief="area"),
    Number("sphericity", lambda r: r.sphericity, "Sphericity (Wadell)", digits=3, brief="sphericity"),
    Number("r2", lambda r: r.r2, "R²", _r2_text, brief="R²"),
    Number("r2_cell", lambda r: r.r2_cell),
    Number(
        "density_range", lambda r: list(r.density_range), "Staining, 5 % to 95 %",
        lambda r: "–" if r.filling is not None else "{:.2f} to {:.2f} of its mean".format(*r.density_range),
    ),
    Number("stain", lambda r: r.config.stain, "Stained"),
    Number("", _no_value, brief="stained", formatter=_stain_text),
    Number("filling", lambda r: r.filling, "Brightness inside"),
    Number("standard_errors", _standard_errors),
    Number("", _no_value, "± from noise alone", _noise_only_text),
    Number("gain", lambda r: r.gain, "Gain", lambda r: f"{r.gain:.5g}"),
    Number("background", lambda r: r.background, "Background", lambda r: f"{r.background:.5g}"),
    Number("psf", lambda r: r.psf.brief()),
    Number("", _no_value, "PSF σ (z, y, x)", lambda r: _width_text(r.psf.brief().get("sigma_um"))),
    Number("", _no_value, "PSF FWHM (z, y, x)", lambda r: _width_text(r.psf.brief().get("fwhm_um"))),
    Number("", _no_value, formatter=lambda r: _width_text(r.psf.fwhm, " (z, y, x)"), brief="PSF FWHM"),
    Number("", _no_value, "Mesh", lambda r: f"{r.mesh.n_vertices} vertices, {r.mesh.n_faces} faces"),
    Number("iterations", lambda r: r.iterations, "Iterations", lambda r: f"{r.iterations}"),
    Number("evaluations", lambda r: r.evaluations),
    Number("seconds", lambda r: r.seconds, "Run time", lambda r: f"{r.seconds:.0f} s"),
    Number(
        "", _no_value, brief="time",
        formatter=lambda r: f"{r.seconds:.0f} s, {r.iterations} steps; {r.stop_reason}",
    ),
    Number("stop_reason", lambda r: r.stop_reason),
    Number("n_vertices", lambda r: r.mesh.n_vertices),
    Number("n_faces", lambda r: r.mesh.n_faces),
    Number("image", _image_name),
    Number("spacing_um", lambda r: list(r.model.spacing)),
    Number("body", lambda r: r.body.kind),
    Number("regions", _regions),
    Number("quality", lambda r: r.quality, "Verdict", brief="verdict"),
    Number("reasons", lambda r: list(r.reasons)),
    Number("quality_doubt", lambda r: r.verdict.doubt),
    Number("quality_measures", lambda r: dict(r.verdict.measures)),
    Number("warnings", lambda r: list(r.warnings())),
    Number("inputs", lambda r: dict(r.inputs)),
    Number("config", lambda r: r.config.as_dict()),
    Number("seed", lambda r: r.config.seed),
    Number("version", lambda r: __version__),
)  # fmt: skip
for _number in _BUILT_IN:
    register_number(_number)
