"""Table of the families by name. Importing it imports no family.

A new family is a file with a subclass of :class:`~cytoform.synth.Family`, and a line in the table here, or
:func:`register` in a user's own code, or an entry point ``cytoform.families`` of another package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ..registry import Registry

if TYPE_CHECKING:
    from .families import Family

__all__ = ["FAMILIES", "register"]

Kind = TypeVar("Kind", bound="type[Family]")

FAMILIES: Registry[type[Family]] = Registry(
    "family",
    "cytoform.families",
    {
        "deforming": "synth.deforming:Deforming",
        "dividing": "synth.dividing:Dividing",
        "filopodial": "synth.filopodial:Filopodial",
    },
)


def register(kind: Kind) -> Kind:
    """Add a family to ``FAMILIES`` under its ``name``, for this process; usable as a decorator.

    Parameters
    ----------
    kind : subclass of Family
        Class to add.

    Returns
    -------
    subclass of Family
        The same class.

    Raises
    ------
    ConfigError
        When another family has the same name.
    """
    FAMILIES.add(kind)
    return kind
