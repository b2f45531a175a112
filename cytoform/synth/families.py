"""What a family of living shapes is, and how one is found by its name."""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ..errors import ConfigError
from .known import FAMILIES
from .numbers import check_count, check_number

if TYPE_CHECKING:
    from .living import LivingShape

__all__ = ["FRAMES", "LEAST_SHAPE", "Family", "family"]

FRAMES = 30  # of the published sequences; the families' rates are per 29 steps
LEAST_SHAPE = 8  # samples along a side of the cube


@dataclasses.dataclass(frozen=True)
class Family(abc.ABC):
    """What the individuals of a family have in common. Each kind of family adds its own numbers.

    A kind has to tell its ``name``, its ``time_step_s`` and how an individual is drawn (``_draw``). One with parts that
    are lost on a coarse grid names them in ``thin_parts`` and has a ``resolved_at`` of its own. Numbers are checked in
    ``__post_init__``.

    Attributes
    ----------
    name : str
        By which it is found.
    time_step_s : float
        Seconds from one of 30 frames to the next.
    thin_parts : str
        What of it falls apart where samples are too far apart, such as "filopodia"; "" for nothing.

    Parameters
    ----------
    box_um : float
        Side of the cube that sequences are sampled in, µm.
    pattern_seed : int
        Draws what all individuals share, such as where bulges are.
    """

    name: ClassVar[str]
    time_step_s: ClassVar[float]
    thin_parts: ClassVar[str] = ""

    box_um: float = 40.0
    pattern_seed: int = 2024

    def __post_init__(self) -> None:
        check_number("box_um", self.box_um, 1.0, 1000.0)
        check_count("pattern_seed", self.pattern_seed, 0)

    @property
    def settings(self) -> dict[str, Any]:
        """The family's name and numbers, JSON-able."""
        return {"family": self.name, **dataclasses.asdict(self)}

    def resolved_at(self, shape: int) -> Self:
        """The family with its thin parts thick enough to hold together in ``shape`` samples along the box.

        Raises
        ------
        ConfigError
            When they would be thicker than the family allows.
        """
        check_count("shape", shape, LEAST_SHAPE)
        return self

    def sample(self, seed: int = 0) -> LivingShape:
        """One individual, the same for the same seed: all its random numbers are drawn here."""
        return self._individual(check_count("seed", seed, 0), 0)

    def sample_many(self, n: int, seed: int = 0) -> list[LivingShape]:
        """``n`` individuals; those of a smaller ``n`` come first, and the first is ``sample(seed)``.

        Raises
        ------
        ConfigError
            When ``n`` is below 1.
        """
        seed = check_count("seed", seed, 0)
        return [self._individual(seed, index) for index in range(check_count("n", n, 1))]

    def _individual(self, seed: int, index: int) -> LivingShape:
        rng = np.random.default_rng([seed, index])
        return self._draw(rng, {"family": self.name, "seed": seed, "index": index})

    @abc.abstractmethod
    def _draw(self, rng: np.random.Generator, identity: dict[str, Any]) -> LivingShape:
        """An individual with numbers from ``rng``."""


def family(name: str | Family, **options: Any) -> Family:
    """A family by name, one of ``FAMILIES``; options replace its numbers.

    Parameters
    ----------
    name : str or Family
    **options
        Numbers of the family, such as ``growth=2.5``.

    Raises
    ------
    ConfigError
        When there is no such family or option, or a number is out of range.
    """
    if isinstance(name, Family):
        return dataclasses.replace(name, **options)
    kind = FAMILIES.named(name)
    known = [field.name for field in dataclasses.fields(kind)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ConfigError(f"{name} has no option {', '.join(unknown)}; expected {', '.join(known)}.")
    return kind(**options)
