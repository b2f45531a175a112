"""Look up objects of one kind by name, such as descriptors and families of shapes, built in or from other packages."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, Protocol, TypeVar, cast

from .errors import BackendError, ConfigError

__all__ = ["Registry", "import_entry_points"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _Named(Protocol):
    """Protocol of an object with a name."""

    @property
    def name(self) -> str:
        """Name under which the object is registered."""


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from names to objects of one kind, which loads an object when it is first requested.

    An object is registered under its attribute ``name``. Built-in objects come first, then those of installed packages
    (entry points), then those that :meth:`add` registered.

    Parameters
    ----------
    kind : str
        What the objects are, for messages, such as "family".
    group : str
        Group of entry points under which other packages declare theirs, such as "cytoform.families".
    built_in : mapping of str to str, optional
        Names of the built-in objects, and "module:attribute" relative to cytoform.

    Examples
    --------
    Another package declares its own in its pyproject.toml::

        [project.entry-points."cytoform.families"]
        star = "mypackage.star:Star"
    """

    def __init__(self, kind: str, group: str, built_in: Mapping[str, str] | None = None) -> None:
        """Make a registry of the built-in objects; the parameters are those of the class."""
        self.kind, self.group = kind, group
        self._built_in = dict(built_in or {})
        self._added: dict[str, T] = {}
        self._declared: dict[str, EntryPoint] | None = None
        self._left_out: set[str] = set()

    def add(self, item: T) -> None:
        """Register an object under its ``name``, in this process.

        Parameters
        ----------
        item : object
            An object with the attribute ``name``.

        Raises
        ------
        ConfigError
            When another object has the name.
        """
        name = cast(_Named, item).name
        if name in self and self._added.get(name) is not item:
            raise ConfigError(
                f"there is a {self.kind} called {name!r} already; expected another name than {', '.join(self)}.",
                remedy="Name it otherwise, or remove the other one first.",
            )
        self._added[name] = item

    def remove(self, name: str) -> None:
        """Remove an object that :meth:`add` registered.

        Parameters
        ----------
        name : str
            Its name.

        Raises
        ------
        ConfigError
            When :meth:`add` has not registered this name.
        """
        if name not in self._added:
            raise ConfigError(f"no {self.kind} {name!r} was added; expected one of {list(self._added)}.")
        del self._added[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._built_in, **self._entry_points(), **self._added})

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self._built_in or name in self._added or name in self._entry_points()

    def __getitem__(self, name: str) -> T:
        if name in self._added:
            return self._added[name]
        if name in self._built_in:
            module, _, attribute = self._built_in[name].partition(":")
            item: T = getattr(importlib.import_module(f"cytoform.{module}"), attribute)
            return item
        if name in self._entry_points():
            return self._load(self._entry_points()[name])
        raise KeyError(name)

    def named(self, name: str) -> T:
        """Return the object of a name, loading it if need be.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        object
            The object.

        Raises
        ------
        ConfigError
            When there is none; the message lists all names.
        BackendError
            When it belongs to another package and cannot be loaded, or has another name there.
        """
        if name not in self:
            raise ConfigError(f"{self.kind} is {name!r}; expected one of {', '.join(sorted(self))}.")
        return self[name]

    def usable(self, of: type[T]) -> dict[str, T]:
        """Return all objects by name, without those of other packages that cannot be loaded or are not of type `of`.

        A warning is logged for each object that is left out, once.

        Parameters
        ----------
        of : type
            Type that the objects must have.

        Returns
        -------
        dict of str to object
            The objects, in the order of the registry.
        """
        found: dict[str, T] = {}
        for name in self:
            if name in self._left_out and name not in self._added:
                continue
            try:
                item = self[name]
                if not isinstance(item, of):
                    raise ConfigError(
                        f"the {self.kind} {name!r} is of type {type(item).__name__}; expected {of.__name__}."
                    )
                found[name] = item
            except (BackendError, ConfigError) as error:
                self._left_out.add(name)
                _log.warning("%s It is left out.", error)
        return found

    def _entry_points(self) -> dict[str, EntryPoint]:
        """Return the entry points of the registry's group by name, with a warning for each whose name is taken."""
        if self._declared is None:
            self._declared = {}
            for point in entry_points(group=self.group):
                if point.name in self._built_in or point.name in self._declared:
                    _log.warning("%s: the name %s is taken; %s is left out.", self.group, point.name, point.value)
                else:
                    self._declared[point.name] = point
        return self._declared

    def _load(self, point: EntryPoint) -> T:
        """Load the object of an entry point; raise BackendError where that fails or their names differ."""
        package = getattr(point.dist, "name", None) or point.value
        remedy = f"Repair or remove that package: pip uninstall {package}."
        try:
            item: T = point.load()
        except Exception as error:  # importing other packages raises exceptions of any type
            text = f"the {self.kind} {point.name!r} of the package {package} cannot be loaded: {error!r}."
            raise BackendError(text, remedy=remedy) from error
        name = getattr(item, "name", None)
        if name != point.name:
            raise BackendError(
                f"the package {package} declares {point.value} as the {self.kind} {point.name!r}, but it is called "
                f"{name!r}; expected the same name.",
                remedy=remedy,
            )
        return item


def import_entry_points(group: str) -> None:
    """Import the modules that installed packages declare under a group of entry points, which register their objects.

    A module that cannot be imported is left out, with a warning.
    """
    for point in entry_points(group=group):
        try:
            point.load()
        except Exception as error:  # importing other packages raises exceptions of any type
            _log.warning("%s: %s cannot be loaded and is left out: %r", group, point.value, error)
