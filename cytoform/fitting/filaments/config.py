"""Settings of a fit of filaments."""

from __future__ import annotations

import dataclasses

from ...errors import ConfigError
from ..sources.config import SourcesConfig

__all__ = ["FilamentsConfig"]


@dataclasses.dataclass(frozen=True)
class FilamentsConfig(SourcesConfig):
    """Settings of :func:`cytoform.fit_filaments`. σ is the PSF's standard deviation (geometric mean over the axes).

    Parameters
    ----------
    infer_psf : bool, optional
        Whether to fit the PSF's parameters; by default only where no PSF was given.
    psf_shape : "axial" or "free"
        "axial" keeps the PSF rotationally symmetric about z; "free" fits all its parameters.
    background : "auto", "constant" or "smooth"
        "auto" takes a smooth background only where it explains more than noise would.
    search : bool, optional
        Whether to look for filaments that are missing and to remove parts without light; by default only where none
        were given.
    false_finds : float
        Mean number of places in an image of noise alone at which a filament is begun.
    model_error : float
        Standard deviation of the model's relative error: next to a bright filament fainter ones are not believed.
    rounds : int
        Most rounds of search and adjustment.
    iterations : int
        Most Levenberg-Marquardt steps in a round.
    segment : float
        Length of a segment, in σ.
    persistence : float
        Persistence length of the prior on bends (worm-like chain), in σ: the larger, the straighter filaments are
        where the image says little.
    density_change : float
        Expected relative change of the density over a length of σ.
    shortest : float
        Least length of a filament or branch, in σ.
    """

    rounds: int = 5
    iterations: int = 12
    segment: float = 1.5
    persistence: float = 50.0
    density_change: float = 0.05
    shortest: float = 4.0

    def __post_init__(self) -> None:
        """Raise ConfigError if a value is out of range."""
        super().__post_init__()
        limits = {
            "segment": (0.3, 2.5),
            "persistence": (0.0, 1e6),
            "density_change": (1e-4, 10.0),
            "shortest": (0, 1e3),
        }
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not least <= value <= most:
                raise ConfigError(f"{name} is {value!r}; expected a number from {least:g} to {most:g}.")
