"""Settings that fits of points and of filaments share."""

from __future__ import annotations

import dataclasses
from typing import Any

from ...errors import ConfigError

__all__ = ["SourcesConfig"]


@dataclasses.dataclass(frozen=True)
class SourcesConfig:
    """Settings that fits of points and of filaments share.

    Parameters
    ----------
    infer_psf : bool, optional
        Whether to fit the PSF's parameters; by default only where no PSF was given.
    psf_shape : "axial" or "free"
        "axial" keeps the PSF rotationally symmetric about z; "free" fits all its parameters.
    background : "auto", "constant" or "smooth"
        "auto" takes a smooth background only where it explains more than noise would.
    search : bool, optional
        Whether to look for sources that are missing and to remove what is not significant; by default only where none
        were given.
    false_finds : float
        Mean number of sources in an image of noise alone that are accepted.
    model_error : float
        Standard deviation of the model's relative error, such as of the PSF's shape: next to a bright source fainter
        ones than that are not believed.
    rounds : int
        Most rounds of search and adjustment.
    iterations : int
        Most Levenberg-Marquardt steps in a round.

    Raises
    ------
    ConfigError
        When a value is out of range.
    """

    infer_psf: bool | None = None
    psf_shape: str = "axial"
    background: str = "auto"
    search: bool | None = None
    false_finds: float = 0.05
    model_error: float = 0.03
    rounds: int = 8
    iterations: int = 30

    def __post_init__(self) -> None:
        """Raise ConfigError if a value is out of range."""
        for name, words in (("psf_shape", ("axial", "free")), ("background", ("auto", "constant", "smooth"))):
            if getattr(self, name) not in words:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(words)}.")
        for name, least in (("false_finds", 1e-12), ("model_error", 0.0), ("rounds", 1), ("iterations", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
                raise ConfigError(f"{name} is {value!r}; expected a number of at least {least:g}.")
        for name in ("rounds", "iterations"):
            if not isinstance(getattr(self, name), int):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected a whole number.")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values.

        Returns
        -------
        dict of str to object
            The fields by name.
        """
        return dataclasses.asdict(self)
