"""Base class of the families of living shapes, and their lookup by name."""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ..errors import ConfigError
from .numbers import check_count, check_number
from .registry import FAMILIES

if TYPE_CHECKING:
    from .living import LivingShape

__all__ = ["FRAMES", "LEAST_SHAPE", "Family", "family"]

FRAMES = 30  # frames of the published sequences, so 29 steps of time_step_s from t = 0 to t = 1
LEAST_SHAPE = 8  # least number of samples along a side of the cube


@dataclasses.dataclass(frozen=True)
class Family(abc.ABC):
    """Base class of a family of simulated cells: the numbers from which its individuals are drawn.

    A subclass adds its own numbers as fields, sets ``name`` and ``time_step_s``, and draws an individual in ``_draw``.
    One with parts that are lost on a coarse grid names them in ``thin_parts`` and overrides ``resolved_at``. Numbers
    are checked in ``__post_init__``.

    Parameters
    ----------
    box_um : float
        Side of the cube that sequences are sampled in, µm; 1 to 1000.
    pattern_seed : int
        Seed of the random numbers that all individuals share, such as the positions of bulges.

    Attributes
    ----------
    name : str
        Name in ``FAMILIES``.
    time_step_s : float
        Seconds from one of 30 frames to the next.
    thin_parts : str
        Parts that fall apart where samples are too far apart, such as "filopodia"; "" for none.

    Raises
    ------
    ConfigError
        When a number is out of range.
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
        """Name of the family (under "family") and its numbers, as plain values for JSON."""
        return {"family": self.name, **dataclasses.asdict(self)}

    def resolved_at(self, shape: int) -> Self:
        """Return the family with its thin parts thick enough to stay connected when sampled.

        Parameters
        ----------
        shape : int
            Samples along each side of the box, at least 8.

        Returns
        -------
        Family
            The family itself where it has no thin parts or they are thick enough.

        Raises
        ------
        ConfigError
            When the parts would be thicker than the family allows, or ``shape`` is below 8.
        """
        check_count("shape", shape, LEAST_SHAPE)
        return self

    def sample(self, seed: int = 0) -> LivingShape:
        """Draw one individual; all its random numbers are drawn here, so the same seed gives the same shape.

        Parameters
        ----------
        seed : int
            Seed of the random numbers, from 0.

        Returns
        -------
        LivingShape
            Number 0 of ``sample_many`` with the same seed.

        Raises
        ------
        ConfigError
            When ``seed`` is no whole number of at least 0.
        """
        return self._individual(check_count("seed", seed, 0), 0)

    def sample_many(self, n: int, seed: int = 0) -> list[LivingShape]:
        """Draw several individuals, each from random numbers of its own.

        Parameters
        ----------
        n : int
            How many, at least 1; more only adds individuals at the end.
        seed : int
            Seed of the random numbers, from 0.

        Returns
        -------
        list of LivingShape
            The first is ``sample(seed)``.

        Raises
        ------
        ConfigError
            When ``n`` or ``seed`` is out of range.
        """
        seed = check_count("seed", seed, 0)
        return [self._individual(seed, index) for index in range(check_count("n", n, 1))]

    def _individual(self, seed: int, index: int) -> LivingShape:
        """Draw individual number ``index`` with a random generator seeded by (seed, index)."""
        rng = np.random.default_rng([seed, index])
        return self._draw(rng, {"family": self.name, "seed": seed, "index": index})

    @abc.abstractmethod
    def _draw(self, rng: np.random.Generator, identity: dict[str, Any]) -> LivingShape:
        """Draw an individual.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of all its random numbers.
        identity : dict
            ``family``, ``seed`` and ``index``, to be part of its ``parameters``.

        Returns
        -------
        LivingShape
            Its parameters hold plain values for JSON.
        """


def family(name: str | Family, **options: Any) -> Family:
    """Return a family by name, with some of its numbers replaced.

    Parameters
    ----------
    name : str or Family
        One of ``FAMILIES``, or a family whose numbers are to be replaced.
    **options
        Numbers of the family, such as ``growth=2.5``; its defaults for the others.

    Returns
    -------
    Family
        A new one; the given one is not changed.

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
